#include "record.hpp"

#include <algorithm>
#include <cstddef>

namespace dualbus::handler {
namespace {

// The values of each name, names in the order in which they come first.
std::vector<std::pair<std::string, std::vector<std::string>>> by_name(const record& what) {
  std::vector<std::pair<std::string, std::vector<std::string>>> result;
  for (const auto& [name, value] : what) {
    const auto found = std::find_if(result.begin(), result.end(),
                                    [&name = name](const auto& each) { return each.first == name; });
    if (found == result.end()) {
      result.push_back({name, {value}});
    } else {
      found->second.push_back(value);
    }
  }
  return result;
}

// The last column needs no blanks behind it.
std::string line_of(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] - cells[i].size() + 2, ' ');
  }
  return line;
}

}  // namespace

void write_record(resp::encoder& out, resp::protocol version, const record& what) {
  if (version == resp::protocol::resp2) {
    out.array(what.size());
    for (const auto& [name, value] : what) out.status(name + ": " + value);
    return;
  }
  const auto names = by_name(what);
  out.map(names.size());
  for (const auto& [name, values] : names) {
    out.bulk(name);
    if (values.size() > 1) out.array(values.size());
    for (const std::string& value : values) out.bulk(value);
  }
}

void write_table(resp::encoder& out, resp::protocol version, const std::vector<std::string>& names,
                 const std::vector<std::vector<std::string>>& rows) {
  if (version == resp::protocol::resp3) {
    out.array(rows.size());
    for (const auto& row : rows) {
      out.map(names.size());
      for (std::size_t i = 0; i < names.size(); ++i) {
        out.bulk(names[i]);
        out.bulk(row[i]);
      }
    }
    return;
  }
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::size_t width = names[i].size();
    for (const auto& row : rows) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  out.array(rows.size() + 1);
  out.status(line_of(names, widths));
  for (const auto& row : rows) out.status(line_of(row, widths));
}

}  // namespace dualbus::handler
