#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dualbus::command {

/// The reason why the parser refused a JSON text in which it was to find a type.
enum class json_fault : std::uint8_t {
  number,  ///< a number that no 64-bit integer or double holds, or a malformed one
  string,  ///< a lone surrogate, no UTF-8, a raw control character, not closed
  size,    ///< more than 4 MiB
  depth,   ///< more than 1024 levels
  syntax  ///< something else that JSON does not have, such as NaN, or nothing where there should be something
};
inline constexpr std::size_t json_fault_count = 5;

/// The name in metrics.
constexpr std::string_view json_fault_name(json_fault f) {
  constexpr std::string_view names[] = {"number", "string", "size", "depth", "syntax"};
  return names[static_cast<std::size_t>(f)];
}

/// The kind of text, for people.
constexpr std::string_view json_fault_text(json_fault f) {
  constexpr std::string_view texts[] = {
      "a number that is malformed or too large", "a string that is not closed or no valid Unicode",
      "more than 4 MiB", "more than 1024 levels", "NaN or something else that JSON does not have"};
  return texts[static_cast<std::size_t>(f)];
}

}  // namespace dualbus::command
