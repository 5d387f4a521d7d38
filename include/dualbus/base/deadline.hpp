#pragma once

#include <dualbus/base/clock.hpp>

namespace dualbus::base {

/// The time `wait` after `now`, or the last moment of the clock if that is earlier, because a peer may name
/// any number. `wait` is not negative.
template <typename Rep, typename Period>
constexpr time_point later(time_point now, std::chrono::duration<Rep, Period> wait) {
  using given = std::chrono::duration<Rep, Period>;
  // The comparison is made in the given unit, in which the clock's range always has a value.
  if (wait >= std::chrono::duration_cast<given>(time_point::max() - now)) return time_point::max();
  return now + wait;
}

}  // namespace dualbus::base
