#pragma once

#include "chart_history.hpp"
#include "daemon_snapshot.hpp"
#include "stop_signal.hpp"

#include <dualbus/console/recent.hpp>

#include <functional>
#include <thread>

namespace dualbus::admin {

/// Takes a sample of all counters every second, on a thread of its own: for the rates of the last minute and
/// the charts of the last quarter of an hour.
class sampler {
 public:
  /// `observe` is called on the sampler's thread; the others outlive it.
  /// Throws std::system_error if there is no descriptor left.
  sampler(std::function<daemon_snapshot()> observe, console::history& recent, chart_history& charts);
  ~sampler();  ///< stops
  sampler(const sampler&) = delete;
  sampler& operator=(const sampler&) = delete;

  void start();  ///< once
  void stop();   ///< within the time of one observation; any number of times

 private:
  void run();

  const std::function<daemon_snapshot()> observe_;
  console::history& recent_;
  chart_history& charts_;
  stop_signal stop_;
  std::thread thread_;
};

/// The counters of a state, of which rates are asked for.
console::sample sample_of(const daemon_snapshot& state, base::time_point taken);

}  // namespace dualbus::admin
