#pragma once

#include <dualbus/base/numbers.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace dualbus::handler {

/// A client's cursor during SCAN over several buses: the cursor of the bus that it has reached, times 128,
/// plus the slot of that bus. As in Redis, a scan starts at 0 and ends with 0.
struct scan_cursor {
  static constexpr std::uint64_t slots = 128;

  std::uint64_t own = 0;  ///< the bus's cursor
  int slot = 0;           ///< slot of the bus, 0 to 127

  /// Reads SCAN's argument as Redis 7.0 does (db.c, parseScanCursorOrReply): an empty one is 0, and only a
  /// blank in front of the number is wrong. Later versions refuse some of these; a caller that now passes the
  /// number on need not notice.
  static std::optional<std::uint64_t> parse(std::string_view text) {
    if (text.substr(0, text.find('\0')).empty()) return 0;
    constexpr std::string_view blanks = " \t\n\v\f\r";
    if (blanks.find(text[0]) != std::string_view::npos) return std::nullopt;
    return base::parse_uint64_as_c(text);
  }

  /// Every number is the cursor of some slot, whether a bus has that slot or not.
  static constexpr scan_cursor of_client(std::uint64_t number) {
    return {number / slots, static_cast<int>(number % slots)};
  }

  /// None if the bus's cursor leaves no room for the slot.
  constexpr std::optional<std::uint64_t> for_client() const {
    if (own > std::numeric_limits<std::uint64_t>::max() / slots) return std::nullopt;
    return own * slots + static_cast<std::uint64_t>(slot);
  }
};

}  // namespace dualbus::handler
