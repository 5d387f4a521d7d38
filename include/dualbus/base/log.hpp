#pragma once

#include <dualbus/base/clock.hpp>

#include <cstdint>
#include <string>

#include <spdlog/spdlog.h>

namespace dualbus::base {

/// Sends the default spdlog logger to standard error, one line per event, so that journald and containers
/// collect it. Levels: trace, debug, info, warning, error, off.
void init_log(const std::string& level);
void set_log_level(const std::string& level);

/// Lets one line per interval through for an event that can repeat fast, and says how many it held back.
class log_limiter {
 public:
  explicit log_limiter(duration interval) : interval_(interval) {}

  /// True if this event may be logged; `suppressed()` then counts those dropped since the last one.
  bool allow(time_point now);
  std::uint64_t suppressed() const { return reported_; }

 private:
  duration interval_;
  time_point next_{};
  std::uint64_t dropped_ = 0, reported_ = 0;
};

}  // namespace dualbus::base
