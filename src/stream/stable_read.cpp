#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/stable_read.hpp>

#include <algorithm>

namespace dualbus::stream {

stable_read::decision stable_read::judge(std::uint64_t horizon_ms, std::optional<std::uint64_t> latest_ms,
                                         base::time_point now, std::optional<std::uint64_t> newest_ms) {
  using std::chrono::milliseconds;
  if (!limit_) {
    if (!latest_ms || *latest_ms < horizon_ms) return {true, milliseconds(0)};
    limit_ = latest_ms;
    // A bus that was slow to answer takes nothing off the time for holding back.
    started_ = now;
  }
  if (horizon_ms > *limit_) return {true, milliseconds(0)};
  // The entry is compared with the newest clock; a single old time is only an answer that came early.
  const std::uint64_t clock = std::max(horizon_ms, newest_ms.value_or(horizon_ms));
  const std::uint64_t ahead = *limit_ > clock ? *limit_ - clock : 0;
  if (ahead > static_cast<std::uint64_t>(hold_max.count()) || now - started_ >= hold_max) {
    gave_up_ = true;
    return {true, milliseconds(0)};
  }
  return {false, milliseconds(static_cast<std::int64_t>(ahead) + 1)};
}

std::uint64_t milliseconds_of_time(std::string_view reply) {
  resp::reply_reader reader(reply);
  reader.next();
  const std::uint64_t seconds = base::parse_uint64(reader.next().text).value_or(0);
  const std::uint64_t micros = base::parse_uint64(reader.next().text).value_or(0);
  return seconds * 1000 + micros / 1000;
}

}  // namespace dualbus::stream
