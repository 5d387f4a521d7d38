#include "exporter.hpp"

#include "family_set.hpp"
#include "figure_rows.hpp"
#include "process_figures.hpp"
#include "readiness.hpp"
#include "shared_redis.hpp"

#include <dualbus/base/glob.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/config/difference.hpp>
#include <dualbus/metrics/bus_rows.hpp>
#include <dualbus/metrics/engine_rows.hpp>
#include <dualbus/metrics/worker_rows.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string>
#include <utility>

namespace dualbus::admin {
namespace {

using family_labels = family_set::label_values;

double number(std::uint64_t value) {
  return static_cast<double>(value);
}
double number(std::chrono::nanoseconds value) {
  return std::chrono::duration<double>(value).count();
}
const metrics::histogram& number(const metrics::histogram& values) {
  return values;
}

template <typename Value>
void add_value(family_set& out, const metrics::metric_description& metric, family_labels labels,
               metrics::label_name label, metrics::label_name, const Value& value) {
  if (label != nullptr) labels.push_back(label(0));
  out.add(metric, labels, number(value));
}

template <typename Value, std::size_t Size>
void add_value(family_set& out, const metrics::metric_description& metric, family_labels labels,
               metrics::label_name label, metrics::label_name inner_label,
               const std::array<Value, Size>& values) {
  labels.emplace_back();
  for (std::size_t i = 0; i < Size; ++i) {
    labels.back() = label(i);
    if (!labels.back().empty()) add_value(out, metric, labels, inner_label, nullptr, values[i]);
  }
}

// Adds the fields that are shown unchanged; `labels` tells whose fields they are.
template <typename Rows, typename Owner>
void add_fields(family_set& out, const Rows& rows, const family_labels& labels, const Owner& counted) {
  metrics::for_each_row(
      rows, [&]<typename Value, bool Derived>(const metrics::counter_row<Owner, Value, Derived>& row) {
        if constexpr (!Derived)
          add_value(out, row.metric, labels, row.label, row.inner_label, counted.*row.field);
      });
}

template <typename Rows, typename Owner>
void add_figures(family_set& out, const Rows& rows, const family_labels& labels, const Owner& figures) {
  for (const auto& row : rows) out.add(row.metric, labels, figures.*row.figure);
}

void add_daemon(family_set& out, const daemon_snapshot& state) {
  out.add(metric::build_info, {base::version}, 1);
  out.add(metric::workers, {}, number(state.totals.workers));
  out.add(metric::ready, {}, is_ready(state) ? 1 : 0);
  out.add(metric::draining, {}, state.phase == daemon_phase::serving ? 0 : 1);
  add_fields(out, metrics::worker_rows, {}, state.totals.metrics);

  const base::log_losses lost = base::lost_log_lines();
  out.add(metric::log_lines_dropped, {"limit"}, number(lost.limited));
  out.add(metric::log_lines_dropped, {"output"}, number(lost.unwritten));
  out.add(metric::log_lines_waiting, {}, number(base::waiting_log_lines()));

  out.add(metric::config_reloads, {"success"}, number(state.reloads.succeeded));
  out.add(metric::config_reloads, {"failure"}, number(state.reloads.failed));
  out.add(metric::config_last_reload_successful, {}, state.reloads.last_succeeded ? 1 : 0);
  out.add(metric::config_last_reload_success_timestamp, {}, state.reloads.last_success_unix_seconds);
  out.add(metric::config_info, {config::rules_hash(*state.configuration)}, 1);
  out.add(metric::hand_overs, {"taken"}, number(state.hand_overs.ended[0]));
  out.add(metric::hand_overs, {"given"}, number(state.hand_overs.ended[1]));
  out.add(metric::hand_overs, {"failed"}, number(state.hand_overs.ended[2]));
}

// Commands times outcomes are many, and most stay at zero for ever. So a command that was used is shown with
// all outcomes; the outcomes of all commands together are shown from the start.
void add_requests(family_set& out, const daemon_snapshot& state) {
  const metrics::worker_metrics& all = state.totals.metrics;
  const metrics::metric_description& requests =
      metrics::metric_of(metrics::worker_rows, &metrics::worker_metrics::commands);
  const auto table = command::command_table();
  std::array<std::uint64_t, metrics::outcome_count> sums{};
  for (std::size_t i = 0; i < std::min(table.size(), all.commands.size()); ++i) {
    const auto& counted = all.commands[i];
    const bool came = std::any_of(counted.begin(), counted.end(), [](std::uint64_t n) { return n > 0; });
    for (std::size_t o = 0; came && o < metrics::outcome_count; ++o) {
      const std::string_view outcome = metrics::outcome_name(static_cast<metrics::outcome>(o));
      out.add(requests, {table[i].name, outcome}, number(counted[o]));
      sums[o] += counted[o];
    }
  }
  const auto refused = static_cast<std::size_t>(metrics::outcome::refused);
  sums[refused] += all.unknown_commands;
  out.add(requests, {"unknown", metrics::outcome_name(metrics::outcome::refused)},
          number(all.unknown_commands));
  for (std::size_t o = 0; o < metrics::outcome_count; ++o) {
    const std::string_view outcome = metrics::outcome_name(static_cast<metrics::outcome>(o));
    out.add(metric::request_outcomes, {outcome}, number(sums[o]));
  }
}

// Adds the types that have come; and, at 0, types that the configuration names and that have not come.
void add_messages(family_set& out, const daemon_snapshot& state) {
  for (const auto& [type, row] : state.totals.messages) {
    for (std::size_t bus = 0; bus < std::min(row.size(), state.bus_count()); ++bus) {
      for (std::size_t r = 0; r < command::rule_count; ++r) {
        if (row[bus][r] == 0) continue;
        const std::string_view rule = command::rule_name(static_cast<command::rule>(r));
        out.add(metric::messages_routed, {state.bus_name(bus), rule, type}, number(row[bus][r]));
      }
    }
  }
  std::set<std::string> added;  // two names may look alike on the page
  constexpr auto by_name = static_cast<std::size_t>(command::rule::type);
  for (const command::match_rule& known : state.configuration->routing.types) {
    if (base::is_glob(known.match)) continue;
    const std::string type = printable_name(known.match);
    const auto counted = state.totals.messages.find(type);
    const bool came = counted != state.totals.messages.end() && known.bus < counted->second.size() &&
                      counted->second[known.bus][by_name] > 0;
    if (came || !added.insert(type).second) continue;
    out.add(metric::messages_routed,
            {state.bus_name(known.bus), command::rule_name(command::rule::type), type}, 0);
  }
}

void add_engines(family_set& out, const daemon_snapshot& state) {
  for (const auto& [engine, counted] : state.totals.engines)
    add_fields(out, metrics::engine_rows, {engine}, counted);
}

void add_bus(family_set& out, const daemon_snapshot& state, std::size_t index) {
  const std::string_view bus = state.bus_name(index);
  const metrics::bus_metrics& counted = state.bus_totals(index);
  add_fields(out, metrics::bus_rows, {bus}, counted);
  const bus_standing now = standing_of(state, index);
  for (std::size_t i = 0; i < metrics::bus_state_count; ++i) {
    const auto each = static_cast<metrics::bus_state>(i);
    out.add(metrics::metric_of(metrics::bus_rows, &metrics::bus_metrics::states),
            {bus, metrics::bus_state_name(each)}, each == now.state ? 1 : 0);
  }
  if (counted.last_answer != base::time_point{}) {
    out.add(metrics::metric_of(metrics::bus_rows, &metrics::bus_metrics::last_answer), {bus},
            unix_seconds(counted.last_answer));
  }
  if (now.since != base::time_point{}) {
    out.add(metrics::metric_of(metrics::bus_rows, &metrics::bus_metrics::down_since), {bus},
            unix_seconds(now.since));
  }
  if (index < state.configuration->buses.size()) {
    const auto target = state.configuration->buses[index].latency_target;
    if (target.count() > 0)
      out.add(metric::latency_target, {bus}, std::chrono::duration<double>(target).count());
  }
}

// Redis lists an error once it has occurred; errors that somebody may wait for are shown before. With too
// many kinds of errors, Redis counts none any more.
void add_redis_errors(family_set& out, std::string_view bus, const redis_info& info) {
  constexpr std::string_view known[] = {"BUSY",       "CLUSTERDOWN", "ERR",    "EXECABORT", "LOADING",
                                        "MASTERDOWN", "MISCONF",     "NOAUTH", "NOGROUP",   "NOPERM",
                                        "NOREPLICAS", "NOSCRIPT",    "OOM",    "READONLY",  "WRONGTYPE"};
  for (const auto& [err, count] : info.errors) out.add(metric::redis_errors, {bus, err}, count);
  if (info.errors.contains("ERRORSTATS_DISABLED")) return;
  for (const std::string_view err : known) {
    if (!info.errors.contains(err)) out.add(metric::redis_errors, {bus, err}, 0);
  }
}

void add_redis_commands(family_set& out, std::string_view bus, const redis_info& info) {
  for (const auto& [cmd, stats] : info.commands) {
    out.add(metric::redis_commands, {bus, cmd}, stats.calls);
    out.add(metric::redis_commands_failed_calls, {bus, cmd}, stats.failed_calls);
    out.add(metric::redis_commands_rejected_calls, {bus, cmd}, stats.rejected_calls);
    out.add(metric::redis_commands_duration, {bus, cmd}, stats.usec / 1e6);
  }
  add_redis_errors(out, bus, info);
}

std::optional<double> flag(std::optional<bool> value) {
  if (!value) return {};
  return *value ? 1 : 0;
}

void add_redis_info(family_set& out, std::string_view bus, const redis_info& info) {
  add_figures(out, redis_rows, {bus}, info);
  for (const auto& [db, stats] : info.keyspace) {
    out.add(metric::redis_db_keys, {bus, db}, stats.keys);
    out.add(metric::redis_db_keys_expiring, {bus, db}, stats.expires);
  }
  out.add(metric::redis_aof_last_write_status, {bus}, flag(info.aof_last_write_ok));
  out.add(metric::redis_aof_last_rewrite_status, {bus}, flag(info.aof_last_rewrite_ok));
  out.add(metric::redis_rdb_last_save_status, {bus}, flag(info.rdb_last_save_ok));
  out.add(metric::redis_instance_info,
          {bus, info.version, info.valkey_version, info.mode, info.role, info.maxmemory_policy}, 1);
  add_redis_commands(out, bus, info);
}

void add_redis(family_set& out, std::string_view bus, const bus_status& status) {
  out.add(metric::redis_up, {bus}, status.up ? 1 : 0);
  // The policy is a setting, not a measurement: it is worth a warning while Redis is away, too.
  if (status.info) out.add(metric::bus_evicts_streams, {bus}, status.info->evicts_streams() ? 1 : 0);
  if (!status.up || !status.info) return;
  out.add(metric::redis_cpu_ratio, {bus}, status.cpu_ratio);
  add_redis_info(out, bus, *status.info);
}

void add_sentinels(family_set& out, const daemon_snapshot& state, const sentinel_status& status) {
  const std::string_view bus = state.bus_name(status.bus);
  if (status.master) out.add(metric::bus_master_info, {bus, status.master->endpoint}, 1);
  out.add(metric::failovers, {bus}, number(status.failovers));
  out.add(metric::sentinel_up, {bus}, status.up ? 1 : 0);
  out.add(metric::sentinel_failures, {bus}, number(status.failures));
  out.add(metric::sentinel_refused_masters, {bus}, number(status.refused_masters));
}

// Only the counters are shown while the bus does not answer: an old verdict would look like a current one.
void add_draining(family_set& out, const daemon_snapshot& state, const drain_status& status) {
  const std::string_view bus = state.bus_name(status.bus);
  out.add(metric::drain_healed_groups, {bus}, number(status.healed_groups));
  out.add(metric::drain_checks, {bus}, number(status.checks));
  out.add(metric::drain_check_failures, {bus}, number(status.failures));
  if (status.checked_at > 0) out.add(metric::drain_last_check_timestamp, {bus}, status.checked_at);
  if (!status.known()) return;
  const drain_report& report = *status.report;
  const drain_verdict verdict = status.verdict();
  if (verdict != drain_verdict::unknown) {
    out.add(metric::bus_drained, {bus}, verdict == drain_verdict::drained ? 1 : 0);
  }
  out.add(metric::drain_streams, {bus}, number(report.streams()));
  out.add(metric::drain_streams_drained, {bus}, number(report.streams_drained()));
  out.add(metric::drain_undelivered_groups, {bus}, number(report.undelivered_groups()));
  out.add(metric::drain_pending_entries, {bus}, number(report.pending_entries()));
  out.add(metric::drain_missing_groups, {bus}, number(report.missing_groups()));
  out.add(metric::drain_ungrouped_streams, {bus}, number(report.ungrouped().total));
  out.add(metric::drain_pinned_streams, {bus}, number(report.pinned().total));
  out.add(metric::drain_other_keys, {bus}, number(report.other_keys()));
}

}  // namespace

exporter::exporter(std::function<daemon_snapshot()> observe) : observe_(std::move(observe)) {}

std::vector<prometheus::MetricFamily> exporter::Collect() const {
  return export_metrics(observe_());
}

std::vector<prometheus::MetricFamily> export_metrics(const daemon_snapshot& state) {
  family_set out;
  add_daemon(out, state);
  add_requests(out, state);
  add_messages(out, state);
  add_engines(out, state);
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    add_bus(out, state, bus);
    add_redis(out, state.bus_name(bus), state.status_of(bus));
  }
  const std::vector<shared_redis> shared = find_shared_redis(state.buses, *state.configuration);
  for (std::size_t bus = 0; bus < std::min(state.buses.size(), state.bus_count()); ++bus) {
    const bool shares = std::any_of(shared.begin(), shared.end(), [bus](const shared_redis& s) {
      return s.first == bus || s.second == bus;
    });
    out.add(metric::bus_shares_redis, {state.bus_name(bus)}, shares ? 1 : 0);
  }
  for (const sentinel_status& status : state.sentinels) add_sentinels(out, state, status);
  for (const drain_status& status : state.draining) add_draining(out, state, status);
  add_figures(out, process_rows, {}, read_process_figures());
  return out.take();
}

std::vector<prometheus::MetricFamily> export_redis_metrics(const daemon_snapshot& state, std::size_t bus) {
  family_set out;
  add_redis(out, state.bus_name(bus), state.status_of(bus));
  std::vector<prometheus::MetricFamily> families = out.take();
  std::erase_if(families, [](const prometheus::MetricFamily& family) {
    return !std::string_view(family.name).starts_with("redis_");
  });
  for (prometheus::MetricFamily& family : families) {
    for (prometheus::ClientMetric& row : family.metric)
      std::erase_if(row.label, [](const auto& label) { return label.name == "bus"; });
  }
  return families;
}

}  // namespace dualbus::admin
