#include "answers.hpp"

#include <algorithm>
#include <stdexcept>

#include <simdjson.h>

namespace dualbus::ctl {
namespace {

namespace dom = simdjson::dom;
using console::cell;

cell cell_of(const dom::element& value) {
  cell result;
  if (std::uint64_t number = 0; value.get(number) == simdjson::SUCCESS) {
    result = number;
  } else if (double real = 0; value.get(real) == simdjson::SUCCESS) {
    result = real;
  } else if (std::string_view text; value.get(text) == simdjson::SUCCESS) {
    result = std::string(text);
  }
  return result;
}

}  // namespace

console::table read_table(std::string_view json) {
  dom::parser parser;
  dom::array rows;
  if (parser.parse(json.data(), json.size()).get(rows) != simdjson::SUCCESS)
    throw std::runtime_error("the answer is no table");
  console::table result;
  for (const dom::element row : rows) {
    dom::object members;
    if (row.get(members) != simdjson::SUCCESS) throw std::runtime_error("the answer is no table");
    const bool first = result.names.empty();
    auto& cells = result.rows.emplace_back();
    for (const auto& [name, value] : members) {
      if (first) result.names.emplace_back(name);
      cells.push_back(cell_of(value));
    }
    if (cells.size() != result.names.size()) throw std::runtime_error("the answer is no table");
  }
  return result;
}

std::string read_record(std::string_view json) {
  dom::parser parser;
  dom::object members;
  if (parser.parse(json.data(), json.size()).get(members) != simdjson::SUCCESS)
    throw std::runtime_error("the answer is no object");
  std::string result;
  const auto add = [&result](std::string_view name, const dom::element& value) {
    result += std::string(name) + ": " + console::text_of(cell_of(value)) + "\n";
  };
  for (const auto& [name, value] : members) {
    if (dom::array several; value.get(several) == simdjson::SUCCESS) {
      for (const dom::element one : several) add(name, one);
    } else {
      add(name, value);
    }
  }
  return result;
}

std::string read_error(std::string_view text) {
  dom::parser parser;
  std::string_view reason;
  if (parser.parse(text.data(), text.size())["error"].get(reason) == simdjson::SUCCESS)
    return std::string(reason);
  return std::string(text.substr(0, text.find_last_not_of('\n') + 1));
}

bool sort_by(console::table& what, std::string_view name) {
  const auto found = std::find(what.names.begin(), what.names.end(), name);
  if (found == what.names.end()) return false;
  const std::size_t column = static_cast<std::size_t>(found - what.names.begin());
  std::stable_sort(what.rows.begin(), what.rows.end(), [column](const auto& a, const auto& b) {
    const bool texts = std::holds_alternative<std::string>(a[column]);
    return texts ? a[column] < b[column] : b[column] < a[column];
  });
  return true;
}

console::table with_columns(const console::table& what, const std::vector<std::string>& names) {
  console::table result;
  std::vector<std::size_t> places;
  for (const std::string& name : names) {
    const auto found = std::find(what.names.begin(), what.names.end(), name);
    if (found == what.names.end()) continue;
    places.push_back(static_cast<std::size_t>(found - what.names.begin()));
    result.names.push_back(name);
  }
  for (const auto& row : what.rows) {
    auto& cells = result.rows.emplace_back();
    for (const std::size_t place : places) cells.push_back(row[place]);
  }
  return result;
}

}  // namespace dualbus::ctl
