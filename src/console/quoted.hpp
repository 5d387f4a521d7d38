#pragma once

#include <dualbus/base/printable.hpp>

#include <string>
#include <string_view>

namespace dualbus::console {

/// The word in quotes, for people: odd characters are escaped, and a long word is cut.
inline std::string quoted(std::string_view word) {
  constexpr std::size_t longest = 100;
  std::string text = "'";
  base::append_printable(text, word.substr(0, longest), "'\\");
  return text + (word.size() > longest ? "…'" : "'");
}

}  // namespace dualbus::console
