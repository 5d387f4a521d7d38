#pragma once

#include <dualbus/base/clock.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace dualbus::client {

/// Functions to be called at a given time, for one thread. The queue keeps no clock: its owner asks next().
class timer_queue {
 public:
  using id = std::pair<base::time_point, std::uint64_t>;

  id add(base::time_point when, std::function<void()> function);
  void cancel(const id& timer) { timers_.erase(timer); }

  /// The time at which run_due() is to be called; nothing if no timer runs.
  std::optional<base::time_point> next() const;
  /// Calls the functions that are due, in order; the functions may add and cancel timers.
  void run_due(base::time_point now);

 private:
  std::map<id, std::function<void()>> timers_;
  std::uint64_t last_ = 0;
};

}  // namespace dualbus::client
