#pragma once

#include <dualbus/console/table.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::ctl {

/// A table of the API. Throws std::runtime_error if the text is none.
console::table read_table(std::string_view json);
/// An object of the API: a line `name: value` for each value.
std::string read_record(std::string_view json);
/// The reason that an answer with an error gives; the text itself if it is not the API's.
std::string read_error(std::string_view text);

/// Sorts by the column that has the name, the largest first, texts from A; false if there is none.
bool sort_by(console::table& what, std::string_view name);
/// Only the columns whose names the list has, in its order.
console::table with_columns(const console::table& what, const std::vector<std::string>& names);

}  // namespace dualbus::ctl
