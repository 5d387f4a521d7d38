#pragma once

#include <dualbus/base/numbers.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::operation {

/// One bus's answer to INFO. Lines that make no sense are passed over.
class bus_info {
 public:
  bus_info() = default;
  explicit bus_info(std::string text) : text_(std::move(text)) {}

  bool empty() const { return text_.empty(); }
  /// The whole text.
  const std::string& text() const { return text_; }
  /// The lines of a section, each ended by CRLF, without its heading; empty if there is no such section. The
  /// case of `name` does not matter.
  std::string_view section(std::string_view name) const;
  /// A field's value, wherever it stands; empty if there is none.
  std::string_view field(std::string_view name) const;

  /// Calls `visit(name, value)` for each field in `lines`.
  template <typename Visit>
  static void for_each(std::string_view lines, Visit&& visit) {
    while (!lines.empty()) {
      const std::string_view line = take_line(lines);
      const std::size_t colon = line.find(':');
      if (!line.starts_with('#') && colon != std::string_view::npos)
        visit(line.substr(0, colon), line.substr(colon + 1));
    }
  }
  /// Calls `visit(name, number)` for each `name=number` among fields separated by commas.
  template <typename Visit>
  static void for_each_part(std::string_view fields, Visit&& visit) {
    while (!fields.empty()) {
      const std::string_view one = take_part(fields);
      const std::size_t equals = one.find('=');
      if (equals == 0 || equals == std::string_view::npos) continue;
      if (const auto value = base::parse_uint64(one.substr(equals + 1))) visit(one.substr(0, equals), *value);
    }
  }
  /// The number behind `name=` among fields separated by commas; 0 if there is none.
  static std::uint64_t number(std::string_view fields, std::string_view name);

 private:
  static std::string_view take_line(std::string_view& text);
  static std::string_view take_part(std::string_view& fields);

  std::string text_;
};

}  // namespace dualbus::operation
