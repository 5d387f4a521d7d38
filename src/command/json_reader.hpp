#pragma once

#include "json_search.hpp"

#include <dualbus/command/json_fault.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <simdjson.h>

namespace dualbus::command {

/// Reads the message type out of JSON, for routing (classifier) and for permissions (type_judge), which
/// decide how. One per worker: the parser keeps the text that it has read until it reads again.
struct json_reader {
  /// In larger documents the type is searched for: the parser would need, and keep, many times their size.
  static constexpr std::size_t max_document_bytes = std::size_t{4} << 20;

  /// `path` is as in RFC 6901.
  explicit json_reader(std::string path) : pointer(std::move(path)), search(pointer) {}

  simdjson::dom::parser parser{max_document_bytes};
  std::string pointer;
  json_search search;
};

inline json_fault fault_of(simdjson::error_code error) {
  switch (error) {
    case simdjson::NUMBER_ERROR:
      return json_fault::number;
    case simdjson::STRING_ERROR:
    case simdjson::UTF8_ERROR:
    case simdjson::UNESCAPED_CHARS:
    case simdjson::UNCLOSED_STRING:
      return json_fault::string;
    case simdjson::CAPACITY:
      return json_fault::size;
    case simdjson::DEPTH_ERROR:
      return json_fault::depth;
    default:
      return json_fault::syntax;
  }
}

/// The text without the mark that some programs put in front of UTF-8. Empty if the text, behind blanks, can
/// hold no member: this check spares the parser.
inline std::string_view document_in(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  const bool container = start != std::string_view::npos && (text[start] == '{' || text[start] == '[');
  return container ? text : std::string_view();
}

}  // namespace dualbus::command
