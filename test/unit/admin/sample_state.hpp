#pragma once

#include "admin/daemon_snapshot.hpp"
#include "processes.hpp"

#include <dualbus/command/command_table.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::test {

/// Two buses named as in a fleet: marketdata (1 ms) and engine_logic (0.5 ms).
inline std::shared_ptr<config::configuration> sample_configuration() {
  auto configuration = std::make_shared<config::configuration>();
  configuration->routing.buses = {{"marketdata", 1, false}, {"engine_logic", 2, false}};
  configuration->buses.resize(2);
  configuration->buses[0].endpoint = "127.0.0.1:6380";
  configuration->buses[0].latency_target = std::chrono::microseconds(1000);
  configuration->buses[1].endpoint = "127.0.0.1:6381";
  configuration->buses[1].latency_target = std::chrono::microseconds(500);
  return configuration;
}

/// One worker that served `n` XADD of `type` to bus 0 and counted every other field, too.
inline metrics::worker_snapshot sample_worker(std::uint64_t n, const std::string& type) {
  metrics::worker_snapshot worker;
  metrics::worker_metrics& all = worker.metrics;
  all.clients = n;
  all.clients_limit = 100;
  all.clients_accepted = n + 1;
  all.clients_rejected = 2;
  all.clients_closed[static_cast<std::size_t>(metrics::close_reason::idle)] = 1;
  all.received_bytes = 100 * n;
  all.sent_bytes = 50 * n;
  all.unknown_commands = 1;
  all.unknown_slot_ids = 2;
  auto& xadd = all.commands[static_cast<std::size_t>(command::find_command("XADD"))];
  xadd[static_cast<std::size_t>(metrics::outcome::ok)] = n;
  xadd[static_cast<std::size_t>(metrics::outcome::bus_lost)] = 1;
  all.buses.resize(2);
  all.buses[1].down_since = base::clock::now();
  metrics::bus_metrics& bus = all.buses[0];
  bus.requests = n;
  bus.sent_bytes = 10 * n;
  bus.received_bytes = 5 * n;
  bus.connects = 3;
  bus.connect_failures = 4;
  bus.connections_lost = 2;
  bus.timeouts = 1;
  bus.unexpected_replies = 1;
  bus.latency_target_missed = 1;
  bus.groups_healed = 3;
  bus.entries_omitted = 4;
  bus.elements_lost = 2;
  bus.connections[static_cast<std::size_t>(metrics::connection_state::up)] = 1;
  bus.states[static_cast<std::size_t>(metrics::bus_state::up)] = 1;
  bus.last_answer = base::clock::now();
  bus.waiting = 7;
  bus.in_flight = 6;
  bus.abandoned = 5;
  bus.bus_duration.observe(std::chrono::microseconds(30));
  bus.bus_duration.observe(std::chrono::microseconds(1500));
  bus.bus_duration.observe(std::chrono::seconds(9));
  bus.daemon_duration.observe(std::chrono::microseconds(8));
  worker.messages[type].resize(2);
  worker.messages[type][0][static_cast<std::size_t>(command::rule::type)] = n;
  worker.engines["risk"] = {1, 10 * n, n, 3 * n, 2 * n, 4 * n, std::chrono::milliseconds(5 * n)};
  worker.engines[std::string(metrics::engine_table::unknown_name)].connections = n;
  worker.engines["other"] = {};
  return worker;
}

/// engine_logic as a draining bus: one stream is drained, another has a group with three pending entries, and
/// one that engine_logic cannot tell whether marketdata has it.
inline admin::drain_status sample_drain_status() {
  admin::drain_report report(std::chrono::seconds(10));
  admin::drain_stream stream;
  stream.length = 7;
  stream.quiet_for = std::chrono::minutes(1);
  stream.key = "done";
  report.add(admin::drain_stream(stream));
  stream.key = "busy";
  stream.groups.resize(3);
  stream.groups[0].name = "readers";
  stream.groups[0].next = stream::bus_id{1700000000000, 5};
  stream.groups[0].lag = 2;
  stream.groups[0].pending = 3;
  stream.groups[0].first_pending = {{1700000000000, 3}, "c\"1", std::chrono::milliseconds(1500), 4};
  stream.groups[0].consumer_idle = std::chrono::milliseconds(700);
  stream.groups[0].missing_on = {0};
  stream.groups[1].name = "unclear";
  stream.groups[1].unknown_on = {0};
  stream.groups[2].name = "old";
  stream.groups[2].ignored = true;
  report.add(std::move(stream));
  report.add_pinned("md:s", 0);
  report.set_keys(13);
  admin::drain_status status;
  status.bus = 1;
  status.report = std::make_shared<const admin::drain_report>(std::move(report));
  status.checked_at = 1700000100.5;
  status.checks = 20;
  status.failures = 2;
  status.healed_groups = 4;
  return status;
}

/// Two workers, two buses that answer INFO (the captured one), one of them draining, one reload.
inline admin::daemon_snapshot sample_state() {
  admin::daemon_snapshot state;
  state.configuration = sample_configuration();
  state.totals = admin::add_up({sample_worker(10, "price_update"), sample_worker(32, "price_update")});
  admin::bus_status status;
  status.up = true;
  status.info = admin::parse_info(read_text(DUALBUS_SOURCE_DIR "/test/unit/admin/info-7.0.15.txt"));
  status.cpu_ratio = 0.25;
  state.buses = {status, status};
  state.draining = {sample_drain_status()};
  state.sentinels.resize(1);
  state.sentinels[0].master = config::server_address{"10.0.0.7", 6379, "", "10.0.0.7:6379"};
  state.sentinels[0].failovers = 2;
  state.sentinels[0].failures = 5;
  state.sentinels[0].refused_masters = 1;
  state.reloads = {1, 2, false, 1700000000};
  return state;
}

}  // namespace dualbus::test
