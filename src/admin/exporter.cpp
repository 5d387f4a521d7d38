#include "family_set.hpp"
#include "process_figures.hpp"

#include <dualbus/admin/exporter.hpp>
#include <dualbus/admin/shared_redis.hpp>
#include <dualbus/base/glob.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/command/command_table.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string>
#include <utility>

namespace dualbus::admin {
namespace {

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

// By the clock of the wall.
double unix_seconds(base::time_point when) {
  const auto age = base::clock::now() - when;
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch() - age).count();
}

void add_daemon(family_set& out, const daemon_state& state) {
  const metrics::worker_metrics& all = state.totals.metrics;
  out.add(metric::build_info, {base::version}, 1);
  out.add(metric::workers, {}, number(state.totals.workers));
  out.add(metric::clients, {}, number(all.clients));
  out.add(metric::clients_accepted, {}, number(all.clients_accepted));
  out.add(metric::clients_not_logged_in, {}, number(all.strangers));
  out.add(metric::clients_rejected, {}, number(all.clients_rejected));
  for (std::size_t i = 0; i < metrics::close_reason_count; ++i) {
    const auto reason = static_cast<metrics::close_reason>(i);
    out.add(metric::clients_closed, {metrics::close_reason_name(reason)}, number(all.clients_closed[i]));
  }
  out.add(metric::memory, {}, number(all.memory_bytes));
  out.add(metric::memory_limit, {}, number(all.memory_limit_bytes));
  out.add(metric::memory_refusals, {}, number(all.memory_refusals));
  out.add(metric::client_received_bytes, {}, number(all.received_bytes));
  out.add(metric::client_sent_bytes, {}, number(all.sent_bytes));
  out.add(metric::authentication_failures, {}, number(all.authentication_failures));
  out.add(metric::permission_denials, {}, number(all.permission_denials));
  out.add(metric::logins_delayed, {}, number(all.logins_delayed));
  out.add(metric::shares_used_up, {}, number(all.shares_used_up));
  for (std::size_t i = 0; i < command::json_fault_count; ++i) {
    const std::string_view reason = command::json_fault_name(static_cast<command::json_fault>(i));
    out.add(metric::json_refused, {reason, "missing"}, number(all.refused_json[i][0]));
    out.add(metric::json_refused, {reason, "found"}, number(all.refused_json[i][1]));
  }
  out.add(metric::unknown_slot_ids, {}, number(all.unknown_slot_ids));
  out.add(metric::parked_readers, {}, number(all.parked_readers));
  out.add(metric::wake, {"local"}, all.local_wakes);
  out.add(metric::wake, {"notified"}, all.notified_wakes);
  out.add(metric::unstable_reads, {}, number(all.unstable_reads));
  out.add(metric::pubsub_clients, {}, number(all.pubsub_clients));
  out.add(metric::pubsub_channels, {}, number(all.pubsub_channels));
  out.add(metric::pubsub_patterns, {}, number(all.pubsub_patterns));
  out.add(metric::pubsub_shard_channels, {}, number(all.pubsub_shard_channels));
  out.add(metric::pubsub_deliveries, {}, number(all.pubsub_deliveries));
  out.add(metric::pubsub_cut_off, {}, number(all.pubsub_cut_off));

  const base::log_losses lost = base::lost_log_lines();
  out.add(metric::log_lines_dropped, {"limit"}, number(lost.limited));
  out.add(metric::log_lines_dropped, {"output"}, number(lost.unwritten));
  out.add(metric::log_lines_waiting, {}, number(base::waiting_log_lines()));

  out.add(metric::config_reloads, {"success"}, number(state.reloads.succeeded));
  out.add(metric::config_reloads, {"failure"}, number(state.reloads.failed));
  out.add(metric::config_last_reload_successful, {}, state.reloads.last_succeeded ? 1 : 0);
  out.add(metric::config_last_reload_success_timestamp, {}, state.reloads.last_success_unix_seconds);
}

// Commands times outcomes are many, and most stay at zero for ever: of a command that came, all outcomes; and
// the outcomes of all commands together, whose zeros are there from the start.
void add_requests(family_set& out, const daemon_state& state) {
  const metrics::worker_metrics& all = state.totals.metrics;
  const auto table = command::command_table();
  std::array<std::uint64_t, metrics::outcome_count> sums{};
  for (std::size_t i = 0; i < std::min(table.size(), all.commands.size()); ++i) {
    const auto& counted = all.commands[i];
    const bool came = std::any_of(counted.begin(), counted.end(), [](std::uint64_t n) { return n > 0; });
    for (std::size_t o = 0; came && o < metrics::outcome_count; ++o) {
      const std::string_view outcome = metrics::outcome_name(static_cast<metrics::outcome>(o));
      out.add(metric::requests, {table[i].name, outcome}, number(counted[o]));
      sums[o] += counted[o];
    }
  }
  const auto refused = static_cast<std::size_t>(metrics::outcome::refused);
  sums[refused] += all.unknown_commands;
  out.add(metric::requests, {"unknown", metrics::outcome_name(metrics::outcome::refused)},
          number(all.unknown_commands));
  for (std::size_t o = 0; o < metrics::outcome_count; ++o) {
    const std::string_view outcome = metrics::outcome_name(static_cast<metrics::outcome>(o));
    out.add(metric::request_outcomes, {outcome}, number(sums[o]));
  }
}

// Types that have come; and, at 0, those that the configuration names and that have not.
void add_messages(family_set& out, const daemon_state& state) {
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

void add_engines(family_set& out, const daemon_state& state) {
  for (const auto& [engine, counted] : state.totals.engines) {
    out.add(metric::engine_connections, {engine}, number(counted.connections));
    out.add(metric::engine_commands, {engine}, number(counted.commands));
    out.add(metric::engine_failed_commands, {engine}, number(counted.failed_commands));
    out.add(metric::engine_messages_published, {engine}, number(counted.messages_published));
    out.add(metric::engine_messages_consumed, {engine}, number(counted.messages_consumed));
    out.add(metric::engine_polls_absorbed, {engine}, number(counted.polls_absorbed));
    out.add(metric::engine_backend, {engine}, std::chrono::duration<double>(counted.bus_time).count());
  }
}

void add_bus(family_set& out, const daemon_state& state, std::size_t index) {
  const std::string_view bus = state.bus_name(index);
  const metrics::bus_metrics& counted = state.bus_totals(index);
  out.add(metric::bus_requests, {bus}, number(counted.requests));
  out.add(metric::bus_sent_bytes, {bus}, number(counted.sent_bytes));
  out.add(metric::bus_received_bytes, {bus}, number(counted.received_bytes));
  const metrics::bus_state now = state_of(counted);
  for (std::size_t i = 0; i < metrics::bus_state_count; ++i) {
    const auto each = static_cast<metrics::bus_state>(i);
    out.add(metric::bus_state, {bus, metrics::bus_state_name(each)}, each == now ? 1 : 0);
  }
  if (counted.last_answer != base::time_point{})
    out.add(metric::bus_last_answer_timestamp, {bus}, unix_seconds(counted.last_answer));
  for (std::size_t i = 0; i < metrics::connection_state_count; ++i) {
    const std::string_view name = metrics::connection_state_name(static_cast<metrics::connection_state>(i));
    out.add(metric::backend_connections, {bus, name}, number(counted.connections[i]));
  }
  out.add(metric::backend_connects, {bus}, number(counted.connects));
  out.add(metric::backend_connect_failures, {bus}, number(counted.connect_failures));
  out.add(metric::backend_connections_lost, {bus}, number(counted.connections_lost));
  out.add(metric::backend_unexpected_replies, {bus}, number(counted.unexpected_replies));
  out.add(metric::requests_waiting, {bus}, number(counted.waiting));
  out.add(metric::requests_in_flight, {bus}, number(counted.in_flight));
  out.add(metric::requests_abandoned, {bus}, number(counted.abandoned));
  out.add(metric::request_timeouts, {bus}, number(counted.timeouts));
  out.add(metric::request_bus_duration, {bus}, counted.bus_duration);
  out.add(metric::request_daemon_duration, {bus}, counted.daemon_duration);
  out.add(metric::latency_target_missed, {bus}, number(counted.latency_target_missed));
  out.add(metric::reader_wakes, {bus}, number(counted.wakes));
  out.add(metric::pubsub_messages, {bus}, number(counted.pubsub_messages));
  for (const command::rule r : {command::rule::json, command::rule::channel, command::rule::default_bus}) {
    out.add(metric::pubsub_published, {bus, command::rule_name(r)},
            number(counted.pubsub_published[static_cast<std::size_t>(r)]));
  }
  out.add(metric::pubsub_interruptions, {bus}, number(counted.pubsub_interruptions));
  out.add(metric::pubsub_unconfirmed, {bus}, number(counted.pubsub_unconfirmed));
  out.add(metric::groups_healed, {bus}, number(counted.groups_healed));
  out.add(metric::groups_created, {bus}, number(counted.groups_created));
  for (std::size_t i = 0; i < metrics::absorption_count; ++i) {
    const auto why = static_cast<metrics::absorption>(i);
    out.add(metric::polls_absorbed, {bus, metrics::absorption_name(why)}, number(counted.polls_absorbed[i]));
  }
  out.add(metric::entries_omitted, {bus}, number(counted.entries_omitted));
  out.add(metric::elements_lost, {bus}, number(counted.elements_lost));
  if (index < state.configuration->buses.size()) {
    const auto target = state.configuration->buses[index].latency_target;
    if (target.count() > 0)
      out.add(metric::latency_target, {bus}, std::chrono::duration<double>(target).count());
  }
}

// Redis lists an error when it has occurred; those that somebody may wait for are there before. With too many
// kinds it counts none any more.
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
  out.add(metric::redis_cpu_sys, {bus}, info.cpu_sys);
  out.add(metric::redis_cpu_user, {bus}, info.cpu_user);
  out.add(metric::redis_cpu_sys_main_thread, {bus}, info.cpu_sys_main_thread);
  out.add(metric::redis_cpu_user_main_thread, {bus}, info.cpu_user_main_thread);
  out.add(metric::redis_connected_clients, {bus}, info.connected_clients);
  out.add(metric::redis_blocked_clients, {bus}, info.blocked_clients);
  out.add(metric::redis_connections_received, {bus}, info.connections_received);
  out.add(metric::redis_rejected_connections, {bus}, info.rejected_connections);
  out.add(metric::redis_commands_processed, {bus}, info.commands_processed);
  out.add(metric::redis_memory_used, {bus}, info.used_memory);
  out.add(metric::redis_memory_used_rss, {bus}, info.used_memory_rss);
  out.add(metric::redis_memory_max, {bus}, info.maxmemory);
  out.add(metric::redis_evicted_keys, {bus}, info.evicted_keys);
  out.add(metric::redis_expired_keys, {bus}, info.expired_keys);
  out.add(metric::redis_keyspace_hits, {bus}, info.keyspace_hits);
  out.add(metric::redis_keyspace_misses, {bus}, info.keyspace_misses);
  for (const auto& [db, stats] : info.keyspace) {
    out.add(metric::redis_db_keys, {bus, db}, stats.keys);
    out.add(metric::redis_db_keys_expiring, {bus, db}, stats.expires);
  }
  out.add(metric::redis_net_input_bytes, {bus}, info.net_input_bytes);
  out.add(metric::redis_net_output_bytes, {bus}, info.net_output_bytes);
  out.add(metric::redis_loading, {bus}, info.loading);
  out.add(metric::redis_aof_enabled, {bus}, info.aof_enabled);
  out.add(metric::redis_aof_last_write_status, {bus}, flag(info.aof_last_write_ok));
  out.add(metric::redis_rdb_last_save_status, {bus}, flag(info.rdb_last_save_ok));
  out.add(metric::redis_rdb_changes, {bus}, info.rdb_changes_since_last_save);
  out.add(metric::redis_uptime, {bus}, info.uptime_seconds);
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

// While the bus does not answer, only the counters: an old verdict would look like a current one.
void add_draining(family_set& out, const daemon_state& state, const drain_status& status) {
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

void add_process(family_set& out) {
  const process_figures process = read_process_figures();
  out.add(metric::process_cpu, {}, process.cpu_seconds);
  out.add(metric::process_resident_memory, {}, process.resident_bytes);
  out.add(metric::process_open_fds, {}, process.open_fds);
  out.add(metric::process_max_fds, {}, process.max_fds);
  out.add(metric::process_start_time, {}, process.start_unix_seconds);
}

}  // namespace

exporter::exporter(std::function<daemon_state()> observe) : observe_(std::move(observe)) {}

std::vector<prometheus::MetricFamily> exporter::Collect() const {
  return export_metrics(observe_());
}

std::vector<prometheus::MetricFamily> export_metrics(const daemon_state& state) {
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
  for (const drain_status& status : state.draining) add_draining(out, state, status);
  add_process(out);
  return out.take();
}

}  // namespace dualbus::admin
