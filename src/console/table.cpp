#include <dualbus/console/table.hpp>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace dualbus::console {
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

std::string text_of_number(double value) {
  char digits[400];  // the largest double has 309 before its point
  const auto end =
      std::to_chars(std::begin(digits), std::end(digits), value, std::chars_format::fixed, 3).ptr;
  std::string text(digits, end);
  if (text.find('.') == std::string::npos) return text;  // no number
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

struct column {
  std::size_t width = 0;
  bool numbers = true;
};

bool is_text(const cell& value) {
  return std::holds_alternative<std::string>(value);
}

// Nothing follows the last text of a line, not even blanks.
std::string line_of(const std::vector<std::string>& cells, const std::vector<column>& columns) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    const std::string blanks(columns[i].width - std::min(columns[i].width, cells[i].size()), ' ');
    if (columns[i].numbers) {
      line += blanks + cells[i];
    } else {
      line += i + 1 < cells.size() ? cells[i] + blanks : cells[i];
    }
  }
  return line;
}

void write_cell(resp::encoder& out, const cell& value) {
  if (std::holds_alternative<std::monostate>(value)) {
    out.null();
  } else if (const auto* const number = std::get_if<std::uint64_t>(&value)) {
    out.integer(static_cast<std::int64_t>(*number));
  } else {
    out.bulk(text_of(value));
  }
}

void pack_number(std::string& out, std::uint64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

std::uint64_t take_number(std::string_view& packed) {
  std::uint64_t number = 0;
  std::memcpy(&number, packed.data(), sizeof(number));
  packed.remove_prefix(sizeof(number));
  return number;
}

cell take_cell(std::string_view& packed) {
  const char kind = packed.front();
  packed.remove_prefix(1);
  cell result;
  if (kind == '#') result = take_number(packed);
  if (kind == '.') result = std::bit_cast<double>(take_number(packed));
  if (kind == '$') {
    const std::size_t size = take_number(packed);
    result = std::string(packed.substr(0, size));
    packed.remove_prefix(size);
  }
  return result;
}

}  // namespace

std::vector<std::string> lines_of(const table& what) {
  std::vector<std::vector<std::string>> texts{what.names};
  std::vector<column> columns(what.names.size());
  for (const auto& row : what.rows) {
    std::vector<std::string>& line = texts.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      line.push_back(text_of(row[i]));
      if (is_text(row[i])) columns[i].numbers = false;
    }
  }
  for (const auto& line : texts) {
    for (std::size_t i = 0; i < line.size(); ++i)
      columns[i].width = std::max(columns[i].width, line[i].size());
  }
  std::vector<std::string> lines;
  for (const auto& line : texts) lines.push_back(line_of(line, columns));
  return lines;
}

void pack_row(std::string& out, const std::vector<cell>& row) {
  for (const cell& value : row) {
    if (const auto* const text = std::get_if<std::string>(&value)) {
      out += '$';
      pack_number(out, text->size());
      out += *text;
    } else if (const auto* const number = std::get_if<std::uint64_t>(&value)) {
      out += '#';
      pack_number(out, *number);
    } else if (const auto* const real = std::get_if<double>(&value)) {
      out += '.';
      pack_number(out, std::bit_cast<std::uint64_t>(*real));
    } else {
      out += '_';
    }
  }
}

void read_rows(table& to, std::string_view packed) {
  while (!packed.empty()) {
    auto& row = to.rows.emplace_back();
    while (row.size() < to.names.size()) row.push_back(take_cell(packed));
  }
}

std::string text_of(const cell& value) {
  struct {
    std::string operator()(std::monostate) const { return "-"; }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(std::uint64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return text_of_number(number); }
  } const text;
  return std::visit(text, value);
}

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

void write_table(resp::encoder& out, resp::protocol version, const table& what) {
  if (version == resp::protocol::resp2) {
    const std::vector<std::string> lines = lines_of(what);
    out.array(lines.size());
    for (const std::string& line : lines) out.status(line);
    return;
  }
  out.array(what.rows.size());
  for (const auto& row : what.rows) {
    out.map(what.names.size());
    for (std::size_t i = 0; i < what.names.size(); ++i) {
      out.bulk(what.names[i]);
      write_cell(out, row[i]);
    }
  }
}

}  // namespace dualbus::console
