#include "metric_table.hpp"

#include "figure_rows.hpp"

#include <dualbus/metrics/bus_rows.hpp>
#include <dualbus/metrics/engine_rows.hpp>
#include <dualbus/metrics/worker_rows.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <vector>

namespace dualbus::admin {
namespace {

using metrics::kind;
using metrics::metric_description;
using metrics::section;

struct own_metric {
  metric id;
  metric_description description;
};

// clang-format off
constexpr own_metric own_metrics[] = {
    {metric::build_info,
     {section::daemon, kind::gauge, "dualbus_build_info", "version",
      "Always 1; the label tells the version.",
      "always 1; the label tells the version"}},
    {metric::workers,
     {section::daemon, kind::gauge, "dualbus_workers", "",
      "Worker threads.",
      "worker threads"}},
    {metric::ready,
     {section::daemon, kind::gauge, "dualbus_ready", "",
      "1 if clients may come to the daemon.",
      "1 if `/readyz` answers 200"}},
    {metric::draining,
     {section::daemon, kind::gauge, "dualbus_draining", "",
      "1 while the daemon is taken out of service.",
      "1 while the daemon is taken out of service, by `SIGUSR1` or because it ends: `/readyz` answers 503"}},
    {metric::log_lines_dropped,
     {section::daemon, kind::counter, "dualbus_log_lines_dropped_total", "reason",
      "Lines that are missing in the log, by reason.",
      "lines missing in the log: `limit` (too many of a kind, counted in another line), `output` (standard error, or the file of `log.file`, did not take them, said once it does)"}},
    {metric::log_lines_waiting,
     {section::daemon, kind::gauge, "dualbus_log_lines_waiting", "",
      "Lines of the log that standard error or its file has yet to take.",
      "lines of the log that standard error, or its file, has yet to take: more than a few mean that nobody reads it, or that its disk is full"}},
    {metric::config_reloads,
     {section::daemon, kind::counter, "dualbus_config_reloads_total", "result",
      "Reloads of the configuration, by result.",
      "reloads of the configuration: `success`, `failure`"}},
    {metric::config_last_reload_successful,
     {section::daemon, kind::gauge, "dualbus_config_last_reload_successful", "",
      "1 if the last reload of the configuration succeeded.",
      "1 if the last reload succeeded; the start counts as one"}},
    {metric::config_last_reload_success_timestamp,
     {section::daemon, kind::gauge, "dualbus_config_last_reload_success_timestamp_seconds", "",
      "When the configuration was last loaded successfully, in Unix time.",
      "when the configuration in use was loaded, Unix time"}},
    {metric::config_info,
     {section::daemon, kind::gauge, "dualbus_config_info", "hash",
      "Always 1; the label names the rules by which messages and keys find their buses.",
      "always 1; the label names the rules by which messages and keys find their buses, whatever the daemon's own addresses and limits are: daemons before the same buses must have the same"}},
    {metric::hand_overs,
     {section::daemon, kind::counter, "dualbus_handovers_total", "result",
      "Hand-overs between this process and another one, by result.",
      "hand-overs of all clients: `taken` from the process before, `given` to a new one, `failed`: a new one came, and this one had to go on"}},
    {metric::request_outcomes,
     {section::requests, kind::counter, "dualbus_request_outcomes_total", "outcome",
      "Requests of clients, by how they ended.",
      "requests of all commands together, by how they ended, as the client saw it; alert on this one"}},
    {metric::messages_routed,
     {section::requests, kind::counter, "dualbus_messages_routed_total", "bus, rule, message_type",
      "Messages (XADD) routed, by bus, by the rule that decided and by message type.",
      "XADD by bus, by the rule that decided, and by type. One within `MULTI` counts when it is queued, even if the transaction is then discarded"}},
    {metric::latency_target,
     {section::buses, kind::gauge, "dualbus_latency_target_seconds", "bus",
      "The configured latency target of the bus.",
      "the configured `latency_target`; absent where none is set"}},
    {metric::bus_evicts_streams,
     {section::buses, kind::gauge, "dualbus_bus_evicts_streams", "bus",
      "1 if the maxmemory policy of the bus can evict a whole stream.",
      "1 if `maxmemory` is set and the policy is one of `allkeys-*`: Redis may drop a whole stream, with all its groups, to make room. Stays as last known while Redis doesn't answer"}},
    {metric::bus_shares_redis,
     {section::buses, kind::gauge, "dualbus_bus_shares_redis", "bus",
      "1 if another bus is the same Redis and database.",
      "1 if another bus is the same Redis (by the `run_id` of its `INFO`) and database under another name: correct the `endpoint` of one of them"}},
    {metric::bus_master_info,
     {section::buses, kind::gauge, "dualbus_bus_master_info", "bus, address",
      "Always 1; the label tells where the master of a bus with Sentinels is.",
      "always 1; the label tells where the master of a bus with `sentinel` is; absent until one has been found"}},
    {metric::failovers,
     {section::buses, kind::counter, "dualbus_failovers_total", "bus",
      "Changes of the master of a bus with Sentinels.",
      "changes of the master of a bus with `sentinel` since the daemon has found the first one"}},
    {metric::sentinel_up,
     {section::buses, kind::gauge, "dualbus_sentinel_up", "bus",
      "1 if a Sentinel of the bus names its master.",
      "1 if a Sentinel answers and names the master; 0 means that a failover would not be noticed"}},
    {metric::sentinel_failures,
     {section::buses, kind::counter, "dualbus_sentinel_failures_total", "bus",
      "Questions that a Sentinel of the bus did not answer, or not with a master.",
      "questions that one of its Sentinels did not answer, or not with the address of a master"}},
    {metric::sentinel_refused_masters,
     {section::buses, kind::counter, "dualbus_sentinel_refused_masters_total", "bus",
      "Servers that a Sentinel named as the master and that were not used.",
      "servers that a Sentinel named as the master and that did not say so themselves: they are not used"}},
    {metric::bus_drained,
     {section::draining, kind::gauge, "dualbus_bus_drained", "bus",
      "1 if every group of every stream on the draining bus has read and acknowledged all of it.",
      "1 if it can be given up as far as groups are concerned, 0 if something holds it back; absent while that is not known"}},
    {metric::drain_streams,
     {section::draining, kind::gauge, "dualbus_drain_streams", "bus",
      "Streams on the draining bus, without pinned ones, in all databases of its Redis.",
      "streams on it, in all databases of its Redis, without pinned ones"}},
    {metric::drain_streams_drained,
     {section::draining, kind::gauge, "dualbus_drain_streams_drained", "bus",
      "Of these, the drained ones.",
      "of these, the drained ones"}},
    {metric::drain_undelivered_groups,
     {section::draining, kind::gauge, "dualbus_drain_undelivered_groups", "bus",
      "Groups on the draining bus that have yet to read entries.",
      "groups that have yet to read entries"}},
    {metric::drain_pending_entries,
     {section::draining, kind::gauge, "dualbus_drain_pending_entries", "bus",
      "Entries on the draining bus that are delivered and not acknowledged.",
      "entries delivered and not acknowledged"}},
    {metric::drain_missing_groups,
     {section::draining, kind::gauge, "dualbus_drain_missing_groups", "bus",
      "Groups on the draining bus that some active bus lacks.",
      "groups that some active bus lacks"}},
    {metric::drain_ungrouped_streams,
     {section::draining, kind::gauge, "dualbus_drain_ungrouped_streams", "bus",
      "Streams on the draining bus that have entries and no group.",
      "streams with entries and without groups; they hold nothing back"}},
    {metric::drain_pinned_streams,
     {section::draining, kind::gauge, "dualbus_drain_pinned_streams", "bus",
      "Streams on the draining bus that a rule pins to one bus.",
      "streams that a rule for keys pins to one bus; they hold nothing back"}},
    {metric::drain_other_keys,
     {section::draining, kind::gauge, "dualbus_drain_other_keys", "bus",
      "Keys on the draining bus that are no streams, and all keys in other databases of its Redis.",
      "keys that are no streams, and all keys in other databases; they hold nothing back"}},
    {metric::drain_healed_groups,
     {section::draining, kind::counter, "dualbus_drain_healed_groups_total", "bus",
      "Groups of the draining bus created on active buses that lacked them.",
      "groups of this bus that the checks created on active buses which lacked them; those that reads create count in `dualbus_groups_healed_total`"}},
    {metric::drain_checks,
     {section::draining, kind::counter, "dualbus_drain_checks_total", "bus",
      "Checks of the draining bus that it answered.",
      "checks that it answered"}},
    {metric::drain_check_failures,
     {section::draining, kind::counter, "dualbus_drain_check_failures_total", "bus",
      "Checks of the draining bus in which it or another bus failed.",
      "checks in which it, or an active bus that was asked for its groups, failed"}},
    {metric::drain_last_check_timestamp,
     {section::draining, kind::gauge, "dualbus_drain_last_check_timestamp_seconds", "bus",
      "When the draining bus last answered a check, in Unix time.",
      "when it last answered a check, Unix time"}},
    {metric::redis_up,
     {section::redis, kind::gauge, "redis_up", "bus",
      "1 if Redis answered the last INFO in time.",
      "1 if it answered the last `INFO`, and the present one has waited for less than 0.8 s"}},
    {metric::redis_cpu_ratio,
     {section::redis, kind::gauge, "redis_cpu_ratio", "bus",
      "CPU time that Redis used per time, between the last two INFO; 1 is one core.",
      "CPU time per time between the last two `INFO`: 0.22 is 22 % of one core. All threads of Redis, so it can exceed 1"}},
    {metric::redis_commands,
     {section::redis, kind::counter, "redis_commands_total", "bus, cmd",
      "Calls of a command.",
      "calls; subcommands as `xgroup\\|create`"}},
    {metric::redis_commands_failed_calls,
     {section::redis, kind::counter, "redis_commands_failed_calls_total", "bus, cmd",
      "Calls of a command that failed while it ran.",
      "calls that failed while they ran, such as XREADGROUP with NOGROUP"}},
    {metric::redis_commands_rejected_calls,
     {section::redis, kind::counter, "redis_commands_rejected_calls_total", "bus, cmd",
      "Calls of a command that were rejected before it ran.",
      "calls rejected before they ran: `OOM`, `READONLY`, `MISCONF`, `NOREPLICAS`, wrong arguments, …"}},
    {metric::redis_commands_duration,
     {section::redis, kind::counter, "redis_commands_duration_seconds_total", "bus, cmd",
      "Time that Redis spent in a command.",
      "time spent in the command"}},
    {metric::redis_errors,
     {section::redis, kind::counter, "redis_errors_total", "bus, err",
      "Errors that Redis answered, by the first word.",
      "errors answered, by the first word (`NOGROUP`, `WRONGTYPE`, ...); first words of scripts that are no error code, and more than 128, count as `other`"}},
    {metric::redis_db_keys,
     {section::redis, kind::gauge, "redis_db_keys", "bus, db",
      "Keys in a database.",
      "keys in a database"}},
    {metric::redis_db_keys_expiring,
     {section::redis, kind::gauge, "redis_db_keys_expiring", "bus, db",
      "Keys in a database that have a time to live.",
      "of these, the ones with a time to live"}},
    {metric::redis_aof_last_write_status,
     {section::redis, kind::gauge, "redis_aof_last_write_status", "bus",
      "1 if the last write to the append-only file succeeded.",
      "1 if the last write to the append-only file succeeded"}},
    {metric::redis_aof_last_rewrite_status,
     {section::redis, kind::gauge, "redis_aof_last_bgrewrite_status", "bus",
      "1 if the last rewrite of the append-only file succeeded.",
      "1 if the last rewrite of the append-only file succeeded"}},
    {metric::redis_rdb_last_save_status,
     {section::redis, kind::gauge, "redis_rdb_last_bgsave_status", "bus",
      "1 if the last snapshot succeeded.",
      "1 if the last snapshot succeeded"}},
    {metric::redis_instance_info,
     {section::redis, kind::gauge, "redis_instance_info", "bus, redis_version, valkey_version, redis_mode, role, maxmemory_policy",
      "Always 1; the labels tell what Redis it is.",
      "always 1; the labels tell what it is; `valkey_version` is empty of a Redis"}},
};
// clang-format on

constexpr bool stands_in_order() {
  for (std::size_t i = 0; i < std::size(own_metrics); ++i) {
    if (static_cast<std::size_t>(own_metrics[i].id) != i) return false;
  }
  return std::size(own_metrics) == metric_count;
}
static_assert(stands_in_order());

// A metric that two fields share stands in it once.
class metric_list {
 public:
  metric_list() {
    for (const own_metric& own : own_metrics) add(own.description);
    const auto add_row = [this](const auto& row) { add(row.metric); };
    metrics::for_each_row(metrics::worker_rows, add_row);
    metrics::for_each_row(metrics::bus_rows, add_row);
    metrics::for_each_row(metrics::engine_rows, add_row);
    std::for_each(std::begin(process_rows), std::end(process_rows), add_row);
    std::for_each(std::begin(redis_rows), std::end(redis_rows), add_row);
    std::stable_sort(all_.begin(), all_.end(), [](const metric_description& a, const metric_description& b) {
      return a.section < b.section;
    });
  }

  const std::vector<metric_description>& all() const { return all_; }

 private:
  void add(const metric_description& description) {
    const bool known = std::any_of(all_.begin(), all_.end(), [&](const metric_description& other) {
      return other.name == description.name;
    });
    if (!description.name.empty() && !known) all_.push_back(description);
  }

  std::vector<metric_description> all_;
};

}  // namespace

const metric_description& describe(metric m) {
  return own_metrics[static_cast<std::size_t>(m)].description;
}

std::span<const metric_description> metric_table() {
  static const metric_list list;
  return list.all();
}

}  // namespace dualbus::admin
