#pragma once

#include <dualbus/base/clock.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::base {

/// Decides which lines of the log are left out because there are too many like them. A burst of lines of one
/// call and subject passes, then one line per interval; the others are counted, and the last of them is
/// written, with their number, when the interval is over. It has no clock and no threads.
class log_throttle {
 public:
  explicit log_throttle(duration interval = std::chrono::seconds(10), std::size_t most_subjects = 64)
      : interval_(interval), most_subjects_(most_subjects) {}

  struct line {
    int level = 0;
    std::string text;
    std::string event = {}, subject = {};
  };

  /// True if the line is to be written now; else it is kept until release() gives it out.
  bool admit(const void* call, std::string_view subject, unsigned burst, line& candidate, time_point now);
  /// The lines that have waited long enough, `… (and 41 more like it)`; with `all`, the other ones, too.
  std::vector<line> release(time_point now, bool all = false);
  /// True while lines wait for release().
  bool holds() const { return holding_ > 0; }
  /// Lines that were not written, and are not going to be.
  std::uint64_t left_out() const { return left_out_; }

 private:
  struct bucket {
    unsigned burst = 0, tokens = 0;
    time_point refilled{};
    std::uint64_t held = 0;
    line last;
  };
  using key = std::pair<const void*, std::string>;

  bucket& find(const void* call, std::string_view subject, unsigned burst, time_point now);
  void refill(bucket& b, time_point now) const;

  const duration interval_;
  const std::size_t most_subjects_;  // of all calls together, before further ones share a bucket per call
  std::map<key, bucket> buckets_;
  std::size_t holding_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace dualbus::base
