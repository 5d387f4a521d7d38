#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dualbus::base {

/// The length of the printable UTF-8 character at the start of `text`, which is not empty; 0 if there is
/// none, or one that breaks a line, steers a terminal or turns the direction of writing.
std::size_t printable_sequence(std::string_view text);
/// True if `text` consists of such characters.
bool is_printable(std::string_view text);
/// Appends `text` with all other characters escaped: `\n`, `\r`, `\t`, `\x1b`; and a backslash before each of
/// `marks`.
void append_printable(std::string& out, std::string_view text, std::string_view marks);

}  // namespace dualbus::base
