#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::admin {

/// Writes JSON, member by member. The caller closes what it opens. Texts must be valid UTF-8.
class json_writer {
 public:
  enum class layout : std::uint8_t {
    indented,  ///< for people
    compact
  };
  explicit json_writer(layout how = layout::indented) : compact_(how == layout::compact) {}

  json_writer& object() { return open('{'); }
  json_writer& array() { return open('['); }
  json_writer& end();

  /// Writes the name of the value that follows, inside an object.
  json_writer& name(std::string_view text);

  json_writer& text(std::string_view value);
  json_writer& number(std::uint64_t value) { return raw(std::to_string(value)); }
  json_writer& number(std::int64_t value) { return raw(std::to_string(value)); }
  json_writer& number(double value);   ///< with three decimals; null if it is infinite or no number
  json_writer& seconds(double value);  ///< with milliseconds
  json_writer& boolean(bool value) { return raw(value ? "true" : "false"); }
  json_writer& null() { return raw("null"); }

  /// The document, with a line end.
  std::string take();

 private:
  json_writer& open(char bracket);
  json_writer& raw(std::string_view value);
  void begin_value();
  void indent();

  std::string out_;
  std::string open_;  // the brackets to close, innermost last
  const bool compact_;
  bool first_ = true, named_ = false;
};

}  // namespace dualbus::admin
