#include "log_throttle.hpp"

#include <algorithm>
#include <iterator>

namespace dualbus::base {

void log_throttle::refill(bucket& b, time_point now) const {
  const auto intervals = std::max<std::int64_t>((now - b.refilled) / interval_, 0);
  b.tokens = static_cast<unsigned>(std::min<std::int64_t>(b.burst, b.tokens + intervals));
  b.refilled = b.tokens == b.burst ? now : b.refilled + intervals * interval_;
}

log_throttle::bucket& log_throttle::find(const void* call, std::string_view subject, unsigned burst,
                                         time_point now) {
  key wanted{call, std::string(subject)};
  if (const auto found = buckets_.find(wanted); found != buckets_.end()) return found->second;
  if (buckets_.size() >= most_subjects_) {
    for (auto entry = buckets_.begin(); entry != buckets_.end();) {
      refill(entry->second, now);
      const bool quiet = entry->second.held == 0 && entry->second.tokens == entry->second.burst;
      entry = quiet ? buckets_.erase(entry) : std::next(entry);
    }
    if (buckets_.size() >= most_subjects_) wanted.second.clear();
  }
  return buckets_.try_emplace(std::move(wanted), bucket{burst, burst, now, 0, {}}).first->second;
}

bool log_throttle::admit(const void* call, std::string_view subject, unsigned burst, line& candidate,
                         time_point now) {
  bucket& b = find(call, subject, burst, now);
  refill(b, now);
  if (b.tokens > 0 && b.held == 0) {
    --b.tokens;
    return true;
  }
  if (b.held++ == 0) {
    ++holding_;
  } else {
    ++left_out_;
  }
  b.last = std::move(candidate);
  return false;
}

std::vector<log_throttle::line> log_throttle::release(time_point now, bool all) {
  std::vector<line> lines;
  if (holding_ == 0) return lines;
  for (auto& [name, b] : buckets_) {
    if (b.held == 0) continue;
    refill(b, now);
    if (b.tokens == 0 && !all) continue;
    if (b.tokens > 0) --b.tokens;
    if (b.held > 1) b.last.text += " (and " + std::to_string(b.held - 1) + " more like it)";
    lines.push_back(std::move(b.last));
    b.held = 0;
    --holding_;
  }
  return lines;
}

}  // namespace dualbus::base
