#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace dualbus::base {

/// Reads a decimal as Redis does in lengths and arguments (util.c, string2ll): no sign but '-', no leading
/// zeros, no blanks, nothing behind it.
std::optional<std::int64_t> parse_int64(std::string_view text);

/// The same for an unsigned 64-bit number (util.c, string2ull, without its fallbacks).
std::optional<std::uint64_t> parse_uint64(std::string_view text);

/// The same as C's strtoull() reads it, for arguments that Redis reads so: blanks, a sign and zeros may stand
/// in front, '-' counts down from 2^64, and bytes behind a zero byte do not matter. Nothing if there are no
/// digits, if something stands behind them, or if the number is too large.
std::optional<std::uint64_t> parse_uint64_as_c(std::string_view text);

/// The most characters that a 64-bit integer takes in decimal, sign included.
inline constexpr std::size_t max_int_chars = 20;

/// Writes `value` in decimal at `out`, which has room for `max_int_chars`; returns the end.
template <typename Integer>
char* write_int(char* out, Integer value) {
  return std::to_chars(out, out + max_int_chars, value).ptr;
}

/// The sum, or the number next to it that an integer can hold: what peers send may add up to more.
inline std::int64_t add_saturated(std::int64_t a, std::int64_t b) {
  std::int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

/// ASCII only, as command names are.
inline char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

/// True if `text` equals `lower` whatever the case of `text`; `lower` is in lower case already.
inline bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (to_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

}  // namespace dualbus::base
