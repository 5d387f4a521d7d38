#pragma once

#include <dualbus/base/clock.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dualbus::stream {

/// Decides when a read over several buses may be answered, so that nothing can later appear below its last
/// ID.
///
/// Each round asks every bus for TIME and the range. H is the smallest of these times: every automatic ID
/// with less than H milliseconds that will ever exist is visible by then. M is the largest millisecond among
/// the entries found in the first round that found any. As long as H <= M an entry may still turn up among
/// those found; so the read is repeated, up to M, until H has passed M. IDs that are no clock times, or a bus
/// whose clock stands, end it after hold_max: then the answer is what is there.
class stable_read {
 public:
  /// The longest time for which an answer is held back: clocks of hosts with NTP differ by far less.
  static constexpr std::chrono::milliseconds hold_max{100};

  struct decision {
    bool reply;                      ///< answer with this round's entries
    std::chrono::milliseconds wait;  ///< else: how long to wait before the next round
  };

  explicit stable_read(base::time_point started) : started_(started) {}

  /// Judges one round's findings. `latest_ms` is that of the largest entry, nothing if there is none.
  /// `newest_ms` is the largest of the buses' times, which differs much from `horizon_ms` if a bus answers
  /// late; nothing if both are the same.
  decision judge(std::uint64_t horizon_ms, std::optional<std::uint64_t> latest_ms, base::time_point now,
                 std::optional<std::uint64_t> newest_ms = std::nullopt);

  /// The millisecond that entries of repeated rounds must not exceed.
  std::optional<std::uint64_t> limit_ms() const { return limit_; }
  /// True if the answer was given without H having passed M.
  bool gave_up() const { return gave_up_; }

 private:
  base::time_point started_;
  std::optional<std::uint64_t> limit_;
  bool gave_up_ = false;
};

/// The milliseconds of a reply to TIME; 0 if it is none.
std::uint64_t milliseconds_of_time(std::string_view reply);

}  // namespace dualbus::stream
