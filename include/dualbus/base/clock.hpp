#pragma once

#include <chrono>

namespace dualbus::base {

/// The clock of every deadline and duration: monotonic, nanoseconds.
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = clock::duration;

}  // namespace dualbus::base
