#include "assembler.hpp"
#include "key_table.hpp"

#include <dualbus/config/reference.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::config {
namespace {

// Members as they come, without thought for what they mean.
class json_text {
 public:
  json_text& open(std::string_view name, char bracket = '{') {
    key(name) += bracket;
    closing_.push_back(bracket == '{' ? '}' : ']');
    empty_ = true;
    return *this;
  }
  json_text& close() {
    const char bracket = closing_.back();
    closing_.pop_back();
    if (!empty_) new_line();
    text_ += bracket;
    empty_ = false;
    return *this;
  }
  /// `value` is JSON already.
  json_text& raw(std::string_view name, std::string_view value) {
    key(name) += value;
    return *this;
  }
  json_text& text(std::string_view name, std::string_view value) { return raw(name, quote(value)); }
  json_text& number(std::string_view name, std::int64_t value) { return raw(name, std::to_string(value)); }
  std::string take() { return std::move(text_); }

  static std::string quote(std::string_view words) {
    std::string out = "\"";
    for (const char c : words) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;  // the table holds no control characters
    }
    return out + '"';
  }

 private:
  // An element of a list has no name.
  std::string& key(std::string_view name) {
    if (!empty_) text_ += ',';
    if (!closing_.empty()) new_line();
    if (!name.empty()) text_ += quote(name) + ": ";
    empty_ = false;
    return text_;
  }
  void new_line() { text_.append("\n").append(2 * closing_.size(), ' '); }

  std::string text_;
  std::string closing_;
  bool empty_ = true;
};

void write_section(json_text& out, std::string_view name, std::string_view path);

// What a plain scalar of YAML may be taken for. The daemon takes all as they are written.
constexpr std::string_view any_scalar = R"(["string", "number", "boolean"])";
constexpr std::string_view number_or_text = R"(["integer", "string"])";

// A choice such as `true` or `0` is no text to an editor unless it stands in quotes.
std::string choices_json(const key_row& row) {
  std::string all;
  for (const std::string_view choice : choices_of(row)) {
    all += (all.empty() ? "" : ", ") + json_text::quote(choice);
    if (choice == "true" || choice == "false" || choice == "0") all += ", " + std::string(choice);
  }
  return "[" + all + "]";
}

void write_text_length(json_text& out, const key_row& row) {
  if (row.range.low > 0) out.number("minLength", row.range.low);
  // Bytes are at least as many as characters.
  if (row.range.high > 0) out.number("maxLength", row.range.high);
}

void write_value(json_text& out, const key_row& row) {
  switch (row.type) {
    case value_type::text:
    case value_type::text_list:
      out.raw("type", any_scalar);
      return write_text_length(out, row);
    case value_type::bus:
      out.raw("type", any_scalar);
      return;
    case value_type::integer:
      out.raw("type", number_or_text).text("pattern", "^(0|-?[1-9][0-9]*)$");
      out.number("minimum", row.range.low).number("maximum", row.range.high);
      if (row.range.step > 1) out.number("multipleOf", row.range.step);
      return;
    case value_type::mode:
      // YAML 1.1 takes 0700 for octal, YAML 1.2 does not: only the text can be checked.
      out.raw("type", number_or_text).text("pattern", "^0?[0-7]{3}$").number("minimum", 0);
      return;
    case value_type::bytes:
      out.raw("type", number_or_text).text("pattern", "^[0-9]+([kKmMgG][bB]?|[bB])?$");
      out.number("minimum", row.range.low).number("maximum", row.range.high);
      return;
    case value_type::duration:
      // Only 0 needs no unit.
      if (row.range.low > 0) {
        out.text("type", "string").text("pattern", "^[0-9]+(us|ms|s|m|h)$");
      } else {
        out.raw("type", number_or_text).text("pattern", "^(0|[0-9]+(us|ms|s|m|h))$");
        out.number("minimum", 0).number("maximum", 0);
      }
      return;
    case value_type::choice:
      out.raw("enum", choices_json(row));
      return;
    case value_type::address:
      out.text("type", "string").text("pattern", "^[0-9a-fA-F:.]+$");
      return;
    case value_type::socket_path:
    case value_type::pointer:
      out.text("type", "string").text("pattern", "^(/.*)?$");
      return write_text_length(out, row);
    case value_type::endpoint:
    case value_type::endpoint_list:
      out.text("type", "string").text("pattern", "^((unix:)?/.+|[^/@]+:[0-9]+)$");
      return;
  }
}

void write_default(json_text& out, const key_row& row) {
  if (row.fallback.empty()) return;
  const bool is_number = row.type == value_type::integer;
  out.raw("default", is_number ? std::string(row.fallback) : json_text::quote(row.fallback));
}

void write_setting(json_text& out, std::string_view name, const key_row& row) {
  out.open(name).text("description", row.meaning);
  if (row.type == value_type::text_list || row.type == value_type::endpoint_list) {
    out.text("type", "array");
    if (row.type == value_type::endpoint_list) out.number("minItems", 1);
    write_value(out.open("items"), row);
    out.close();
  } else {
    write_value(out, row);
  }
  write_default(out, row);
  out.close();
}

void write_child(json_text& out, std::string_view name, const std::string& path) {
  const key_row* const row = find_row(path);
  row != nullptr ? write_setting(out, name, *row) : write_section(out, name, path);
}

void write_required(json_text& out, std::string_view path) {
  std::string names;
  for (const std::string_view child : children_of(path)) {
    const key_row* const row = find_row(child_path(path, child));
    const bool required = row != nullptr ? row->required : path.empty() && child == "buses";
    if (required) names += (names.empty() ? "" : ", ") + json_text::quote(child);
  }
  if (!names.empty()) out.raw("required", "[" + names + "]");
}

// A section may be there with nothing in it, when all of it is commented out.
void write_members(json_text& out, std::string_view path) {
  const std::vector<std::string_view> children = children_of(path);
  const bool optional = !path.empty() && path != "buses" && path != "buses.*";
  if (children.front() == "[]") {
    out.raw("type", R"(["array", "null"])");
    return write_child(out, "items", child_path(path, "[]"));
  }
  out.raw("type", optional ? R"(["object", "null"])" : R"("object")");
  if (children.front() == "*") {
    if (path == "buses") {
      out.number("minProperties", 1).number("maxProperties", std::int64_t{max_buses});
      out.open("propertyNames").text("pattern", "^[a-z0-9_-]{1," + std::to_string(max_bus_name) + "}$");
      out.close();
    }
    return write_child(out, "additionalProperties", child_path(path, "*"));
  }
  write_required(out, path);
  out.raw("additionalProperties", "false").open("properties");
  for (const std::string_view child : children) write_child(out, child, child_path(path, child));
  out.close();
}

void write_section(json_text& out, std::string_view name, std::string_view path) {
  const section_row* const section = find_section(path);
  out.open(name);
  if (section != nullptr && !section->meaning.empty()) out.text("description", section->meaning);
  if (section != nullptr && !section->shorthand.empty()) {
    out.open("anyOf", '[');
    write_child(out, "", child_path(path, section->shorthand));
    write_members(out.open(""), path);
    out.close().close();
  } else {
    write_members(out, path);
  }
  out.close();
}

}  // namespace

std::string schema_json() {
  json_text out;
  out.open("").text("$schema", "http://json-schema.org/draft-07/schema#");
  out.text("title", "The configuration of dualbusd");
  write_members(out, "");
  out.close();
  return out.take() + "\n";
}

}  // namespace dualbus::config
