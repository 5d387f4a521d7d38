#pragma once

#include "processes.hpp"

#include <dualbus/admin/daemon_state.hpp>
#include <dualbus/command/command_table.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
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
  bus.connections[static_cast<std::size_t>(metrics::connection_state::up)] = 1;
  bus.waiting = 7;
  bus.in_flight = 6;
  bus.abandoned = 5;
  bus.bus_duration.observe(std::chrono::microseconds(30));
  bus.bus_duration.observe(std::chrono::microseconds(1500));
  bus.bus_duration.observe(std::chrono::seconds(9));
  bus.daemon_duration.observe(std::chrono::microseconds(8));
  worker.messages[type].resize(2);
  worker.messages[type][0][static_cast<std::size_t>(command::rule::type)] = n;
  return worker;
}

/// Two workers, two buses that answer INFO (the captured one), one reload.
inline admin::daemon_state sample_state() {
  admin::daemon_state state;
  state.configuration = sample_configuration();
  state.totals = admin::add_up({sample_worker(10, "price_update"), sample_worker(32, "price_update")});
  admin::bus_status status;
  status.up = true;
  status.info = admin::parse_info(read_text(DUALBUS_SOURCE_DIR "/test/unit/admin/info-7.0.15.txt"));
  status.cpu_ratio = 0.25;
  state.buses = {status, status};
  state.reloads = {1, 2, false, 1700000000};
  return state;
}

}  // namespace dualbus::test
