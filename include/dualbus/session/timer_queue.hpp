#pragma once

#include <dualbus/base/clock.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace dualbus::session {

/// Functions to be called at a time, for one thread. It keeps no clock: its owner asks when it is due.
class timer_queue {
 public:
  using id = std::pair<base::time_point, std::uint64_t>;

  id add(base::time_point when, std::function<void()> what);
  void cancel(const id& timer) { timers_.erase(timer); }

  /// When run_due() is to be called; nothing if no timer runs.
  std::optional<base::time_point> next() const;
  /// Calls what is due, in order; the functions may add and cancel timers.
  void run_due(base::time_point now);

 private:
  std::map<id, std::function<void()>> timers_;
  std::uint64_t last_ = 0;
};

}  // namespace dualbus::session
