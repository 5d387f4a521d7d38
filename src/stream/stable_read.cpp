#include <dualbus/stream/stable_read.hpp>

namespace dualbus::stream {

stable_read::decision stable_read::judge(std::uint64_t horizon_ms, std::optional<std::uint64_t> latest_ms,
                                         base::time_point now) {
  using std::chrono::milliseconds;
  if (!limit_) {
    if (!latest_ms || *latest_ms < horizon_ms) return {true, milliseconds(0)};
    limit_ = latest_ms;
  }
  if (horizon_ms > *limit_) return {true, milliseconds(0)};
  const std::uint64_t behind = *limit_ - horizon_ms;
  if (behind > static_cast<std::uint64_t>(hold_max.count()) || now - started_ >= hold_max) {
    gave_up_ = true;
    return {true, milliseconds(0)};
  }
  return {false, milliseconds(static_cast<std::int64_t>(behind) + 1)};
}

}  // namespace dualbus::stream
