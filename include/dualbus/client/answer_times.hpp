#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <vector>

namespace dualbus::client {

/// The times of the answers that one worker passes on in a turn: the share of the bus, and that of the
/// daemon, which ends when the turn's output has been written.
class answer_times {
 public:
  /// Both outlive it; `buses` has the latency targets.
  answer_times(metrics::worker_metrics& metrics, const std::vector<config::bus_settings>& buses)
      : metrics_(metrics), buses_(buses) {}

  /// An answer to a request that came at `arrived`; `bus_time` is the bus's share of the time since.
  void add(command::bus_index bus, base::time_point arrived, base::duration bus_time) {
    answers_.push_back({arrived + bus_time, bus});
    const auto target = buses_[bus].latency_target;
    if (target.count() > 0 && bus_time > target) ++metrics_.buses[bus].latency_target_missed;
  }
  /// The bus's share of the turn's last answer, if its request came at `arrived`.
  base::duration last_bus_time(base::time_point arrived, base::time_point now) const;
  /// The turn's output has been written.
  void end_turn();

 private:
  struct answer {
    base::time_point arrived_plus_bus_time;
    command::bus_index bus;
  };

  metrics::worker_metrics& metrics_;
  const std::vector<config::bus_settings>& buses_;
  std::vector<answer> answers_;
};

}  // namespace dualbus::client
