#pragma once

#include <dualbus/resp/encoder.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

// The forms in which the console answers: maps for programs that speak RESP3, and lines for the others, which
// redis-cli shows as they are.
namespace dualbus::console {

/// Names and values, in the order in which people read them. A name may come several times.
using record = std::vector<std::pair<std::string, std::string>>;

/// One value of a table; the empty one is a value that nobody knows.
using cell = std::variant<std::monostate, std::string, std::uint64_t, double>;

/// Rows that have the same names in the same order.
struct table {
  std::vector<std::string> names;
  std::vector<std::vector<cell>> rows;
};

/// For people: a number has at most three decimals, and none that is zero at its end; an unknown value is
/// "-". Texts stay as they are.
std::string text_of(const cell& value);

/// For people: a line with the names, and one for each row, in columns, numbers to the right.
std::vector<std::string> lines_of(const table& what);

/// Appends a row as bytes, in which another worker may hand it on; read_rows() appends such rows to a table.
void pack_row(std::string& out, const std::vector<cell>& row);
void read_rows(table& to, std::string_view packed);

/// RESP3: a map, in which a name that comes several times has an array of its values. RESP2: a line
/// `name: value` for each.
void write_record(resp::encoder& out, resp::protocol version, const record& what);

/// RESP3: an array of maps, in which an unknown value is null. RESP2: lines_of().
void write_table(resp::encoder& out, resp::protocol version, const table& what);

}  // namespace dualbus::console
