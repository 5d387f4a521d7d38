#include "daemon_snapshot.hpp"

#include <dualbus/metrics/counter_row.hpp>

#include <chrono>

namespace dualbus::admin {

daemon_totals add_up(const std::vector<metrics::worker_snapshot>& workers) {
  daemon_totals totals;
  totals.workers = workers.size();
  for (const metrics::worker_snapshot& worker : workers) {
    totals.metrics += worker.metrics;
    for (const auto& [type, row] : worker.messages) {
      metrics::add(totals.messages[type.empty() ? "none" : printable_name(type)], row);
    }
    for (const auto& [name, counters] : worker.engines) {
      if (counters != metrics::engine_counters{}) totals.engines[printable_name(name)] += counters;
    }
  }
  return totals;
}

const metrics::bus_metrics& daemon_snapshot::bus_totals(std::size_t bus) const {
  static const metrics::bus_metrics none;
  return bus < totals.metrics.buses.size() ? totals.metrics.buses[bus] : none;
}

const bus_status& daemon_snapshot::status_of(std::size_t bus) const {
  static const bus_status unknown;
  return bus < buses.size() ? buses[bus] : unknown;
}

double unix_seconds(base::time_point when) {
  const auto age = base::clock::now() - when;
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch() - age).count();
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

}  // namespace dualbus::admin
