#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dualbus::resp {

/// A length of up to six digits and its line break, which is read without looking for the end of the line
/// first. Almost all lengths are so short.
struct short_length {
  std::uint32_t value = 0;
  std::size_t bytes = 0;  ///< with the line break; 0: it is no such length, or not all of it is there
};

inline short_length read_short_length(std::string_view text) {
  constexpr std::size_t most_digits = 6;
  if (text.size() < most_digits + 2) return {};
  std::uint32_t value = 0;
  std::size_t digits = 0;
  for (; digits < most_digits; ++digits) {
    const auto digit = static_cast<unsigned char>(text[digits] - '0');
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  const bool good =
      digits > 0 && (digits == 1 || text[0] != '0') && text[digits] == '\r' && text[digits + 1] == '\n';
  return good ? short_length{value, digits + 2} : short_length{};
}

}  // namespace dualbus::resp
