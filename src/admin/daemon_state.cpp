#include <dualbus/admin/daemon_state.hpp>

#include <algorithm>

namespace dualbus::admin {
namespace {

void add(metrics::bus_metrics& sum, const metrics::bus_metrics& bus) {
  sum.sent_bytes += bus.sent_bytes;
  sum.received_bytes += bus.received_bytes;
  sum.requests += bus.requests;
  sum.connects += bus.connects;
  sum.connect_failures += bus.connect_failures;
  sum.connections_lost += bus.connections_lost;
  sum.timeouts += bus.timeouts;
  sum.unexpected_replies += bus.unexpected_replies;
  sum.latency_target_missed += bus.latency_target_missed;
  sum.wakes += bus.wakes;
  sum.pubsub_messages += bus.pubsub_messages;
  sum.pubsub_interruptions += bus.pubsub_interruptions;
  sum.pubsub_unconfirmed += bus.pubsub_unconfirmed;
  for (std::size_t i = 0; i < sum.pubsub_published.size(); ++i)
    sum.pubsub_published[i] += bus.pubsub_published[i];
  sum.groups_healed += bus.groups_healed;
  sum.groups_created += bus.groups_created;
  for (std::size_t i = 0; i < sum.polls_absorbed.size(); ++i) sum.polls_absorbed[i] += bus.polls_absorbed[i];
  sum.entries_omitted += bus.entries_omitted;
  sum.elements_lost += bus.elements_lost;
  sum.daemon_duration.merge(bus.daemon_duration);
  sum.bus_duration.merge(bus.bus_duration);
  for (std::size_t i = 0; i < sum.connections.size(); ++i) sum.connections[i] += bus.connections[i];
  for (std::size_t i = 0; i < sum.states.size(); ++i) sum.states[i] += bus.states[i];
  sum.last_answer = std::max(sum.last_answer, bus.last_answer);
  sum.waiting += bus.waiting;
  sum.in_flight += bus.in_flight;
  sum.abandoned += bus.abandoned;
}

void add(metrics::worker_metrics& sum, const metrics::worker_metrics& worker) {
  sum.clients += worker.clients;
  sum.memory_bytes += worker.memory_bytes;
  sum.memory_limit_bytes = std::max(sum.memory_limit_bytes, worker.memory_limit_bytes);
  sum.memory_refusals += worker.memory_refusals;
  sum.clients_accepted += worker.clients_accepted;
  sum.strangers += worker.strangers;
  sum.clients_rejected += worker.clients_rejected;
  for (std::size_t i = 0; i < sum.clients_closed.size(); ++i)
    sum.clients_closed[i] += worker.clients_closed[i];
  sum.received_bytes += worker.received_bytes;
  sum.sent_bytes += worker.sent_bytes;
  sum.unknown_commands += worker.unknown_commands;
  sum.parked_readers += worker.parked_readers;
  sum.pubsub_clients += worker.pubsub_clients;
  sum.pubsub_channels += worker.pubsub_channels;
  sum.pubsub_patterns += worker.pubsub_patterns;
  sum.pubsub_shard_channels += worker.pubsub_shard_channels;
  sum.pubsub_deliveries += worker.pubsub_deliveries;
  sum.pubsub_cut_off += worker.pubsub_cut_off;
  sum.local_wakes.merge(worker.local_wakes);
  sum.notified_wakes.merge(worker.notified_wakes);
  sum.unstable_reads += worker.unstable_reads;
  sum.authentication_failures += worker.authentication_failures;
  sum.permission_denials += worker.permission_denials;
  sum.logins_delayed += worker.logins_delayed;
  sum.shares_used_up += worker.shares_used_up;
  sum.unknown_slot_ids += worker.unknown_slot_ids;
  for (std::size_t i = 0; i < sum.refused_json.size(); ++i) {
    for (std::size_t found = 0; found < 2; ++found)
      sum.refused_json[i][found] += worker.refused_json[i][found];
  }
  for (std::size_t i = 0; i < std::min(sum.commands.size(), worker.commands.size()); ++i) {
    for (std::size_t o = 0; o < metrics::outcome_count; ++o) sum.commands[i][o] += worker.commands[i][o];
  }
  if (sum.buses.size() < worker.buses.size()) sum.buses.resize(worker.buses.size());
  for (std::size_t i = 0; i < worker.buses.size(); ++i) add(sum.buses[i], worker.buses[i]);
}

void add(command::message_counters::row& sum, const command::message_counters::row& row) {
  if (sum.size() < row.size()) sum.resize(row.size());
  for (std::size_t bus = 0; bus < row.size(); ++bus) {
    for (std::size_t rule = 0; rule < command::rule_count; ++rule) sum[bus][rule] += row[bus][rule];
  }
}

}  // namespace

daemon_totals add_up(const std::vector<metrics::worker_snapshot>& workers) {
  daemon_totals totals;
  totals.workers = workers.size();
  for (const metrics::worker_snapshot& worker : workers) {
    add(totals.metrics, worker.metrics);
    for (const auto& [type, row] : worker.messages) {
      add(totals.messages[type.empty() ? "none" : printable_name(type)], row);
    }
    for (const auto& [name, counters] : worker.engines) {
      if (counters != metrics::engine_counters{}) totals.engines[printable_name(name)] += counters;
    }
  }
  return totals;
}

const metrics::bus_metrics& daemon_state::bus_totals(std::size_t bus) const {
  static const metrics::bus_metrics none;
  return bus < totals.metrics.buses.size() ? totals.metrics.buses[bus] : none;
}

const bus_status& daemon_state::status_of(std::size_t bus) const {
  static const bus_status unknown;
  return bus < buses.size() ? buses[bus] : unknown;
}

std::string_view drain_state_name(const drain_status& status) {
  if (status.checks + status.failures == 0) return "unchecked";
  switch (status.verdict()) {
    case drain_verdict::unknown:
      return "unknown";
    case drain_verdict::held:
      return "draining";
    case drain_verdict::drained:
      return "drained";
  }
  return {};
}

metrics::bus_state state_of(const metrics::bus_metrics& totals) {
  using metrics::bus_state;
  for (auto i = static_cast<std::size_t>(bus_state::loading); i < metrics::bus_state_count; ++i) {
    if (totals.states[i] > 0) return static_cast<bus_state>(i);
  }
  for (const bus_state s : {bus_state::up, bus_state::silent}) {
    if (totals.states[static_cast<std::size_t>(s)] > 0) return s;
  }
  return bus_state::disconnected;
}

std::vector<bus_fault> buses_not_ready(const daemon_state& state) {
  std::vector<bus_fault> faults;
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const metrics::bus_state now = state_of(state.bus_totals(bus));
    if (state.configuration->routing.buses[bus].draining || now == metrics::bus_state::up) continue;
    faults.push_back({state.bus_name(bus), std::string(bus_state_text(now))});
  }
  return faults;
}

}  // namespace dualbus::admin
