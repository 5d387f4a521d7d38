#pragma once

#include "key_row.hpp"
#include "values.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::config {

std::span<const key_row> key_rows();
std::span<const section_row> section_rows();

/// Null if there is none.
const key_row* find_row(std::string_view path);
const section_row* find_section(std::string_view path);

/// The names, `*` or `[]` that may follow a section's path; that of the root is empty. In table order.
std::vector<std::string_view> children_of(std::string_view section);
/// `section` and a child as one path.
std::string child_path(std::string_view section, std::string_view child);

/// True if a mistaken value of that key or section may be a password, or hold one; then no message repeats
/// it.
bool may_be_secret(std::string_view path);

/// Reads a scalar as the row wants it, or one element of a list. Returns what is wrong, or nothing and fills
/// `out`.
std::string read_scalar(const key_row& row, std::string_view text, value& out);

std::vector<std::string_view> choices_of(const key_row& row);
/// "1 to 65535", "1ms to 5m", "up to 256 bytes"; empty if its type says it all.
std::string range_of(const key_row& row);

}  // namespace dualbus::config
