#pragma once

#include <dualbus/resp/encoder.hpp>

#include <string>
#include <utility>
#include <vector>

// The forms in which the console answers: maps for programs that speak RESP3, and lines for the others, which
// redis-cli shows as they are.
namespace dualbus::handler {

/// Names and values, in the order in which people read them. A name may come several times in a record, but
/// not in a row of a table.
using record = std::vector<std::pair<std::string, std::string>>;

/// RESP3: a map, in which a name that comes several times has an array of its values. RESP2: a line
/// `name: value` for each.
void write_record(resp::encoder& out, resp::protocol version, const record& what);

/// Rows with the same names in the same order. RESP3: an array of maps. RESP2: a line with the names, and one
/// for each row, in columns.
void write_table(resp::encoder& out, resp::protocol version, const std::vector<std::string>& names,
                 const std::vector<std::vector<std::string>>& rows);

}  // namespace dualbus::handler
