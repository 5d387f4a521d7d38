#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace dualbus::session {

/// What a client holds during SCAN over several buses: the cursor of the bus that it has reached, times 128,
/// plus the slot of that bus. 0 is where a scan starts and how it ends, as in Redis.
struct scan_cursor {
  static constexpr std::uint64_t slots = 128;

  std::uint64_t own = 0;  ///< the bus's cursor
  int slot = 0;           ///< of the bus, 0 to 127

  /// Every number is some bus's cursor, whether there is such a bus or not.
  static constexpr scan_cursor of_client(std::uint64_t number) {
    return {number / slots, static_cast<int>(number % slots)};
  }

  /// None if the bus's cursor leaves no room for the slot.
  constexpr std::optional<std::uint64_t> for_client() const {
    if (own > std::numeric_limits<std::uint64_t>::max() / slots) return std::nullopt;
    return own * slots + static_cast<std::uint64_t>(slot);
  }
};

}  // namespace dualbus::session
