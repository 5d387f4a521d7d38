#include "short_length.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <algorithm>

namespace dualbus::resp {

reply_value reply_reader::next() {
  for (;;) {
    reply_value value;
    if (!rest_.empty() && (rest_[0] == '$' || rest_[0] == '*')) {
      const short_length length = read_short_length(rest_.substr(1));
      if (length.bytes > 0) {
        value.type = rest_[0];
        rest_.remove_prefix(1 + length.bytes);
        if (value.type == '*') {
          value.elements = length.value;
          return value;
        }
        value.text = rest_.substr(0, length.value);
        rest_.remove_prefix(length.value + 2);
        return value;
      }
    }
    const std::size_t end = rest_.find('\r');
    if (end == std::string_view::npos) return value;
    value.type = rest_[0];
    value.text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 2);
    switch (value.type) {
      case '$':
      case '=':
      case '!': {
        const std::int64_t length = base::parse_int64(value.text).value_or(-1);
        value.null = length < 0;
        value.text = value.null ? std::string_view() : rest_.substr(0, static_cast<std::size_t>(length));
        if (!value.null) rest_.remove_prefix(static_cast<std::size_t>(length) + 2);
        break;
      }
      case '|': {
        for (std::int64_t left = 2 * base::parse_int64(value.text).value_or(0); left > 0; --left) skip();
        continue;
      }
      case '*':
      case '~':
      case '%':
      case '>': {
        const std::int64_t count = base::parse_int64(value.text).value_or(0);
        value.elements = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
        value.null = value.type == '*' && count < 0;
        break;
      }
      case ':':
        value.number = base::parse_int64(value.text).value_or(0);
        break;
      case '_':
        value.null = true;
        break;
      default:
        break;
    }
    return value;
  }
}

std::string_view reply_reader::skip() {
  // Most elements are bulk strings, which need not be scanned again.
  if (!rest_.empty() && rest_[0] == '$') {
    const short_length length = read_short_length(rest_.substr(1));
    if (const std::size_t bytes = 1 + length.bytes + length.value + 2;
        length.bytes > 0 && bytes <= rest_.size()) {
      const std::string_view value = rest_.substr(0, bytes);
      rest_.remove_prefix(bytes);
      return value;
    }
  }
  reply_scanner scanner;
  if (scanner.scan(rest_) != scan_status::complete) return {};
  const std::string_view value = rest_.substr(0, scanner.consumed());
  rest_.remove_prefix(value.size());
  return value;
}

std::optional<std::string_view> reply_reader::last(std::size_t count) {
  const std::string_view all = rest_;
  for (std::size_t left = count; left > 0; --left) {
    if (skip().empty()) return std::nullopt;
  }
  if (!rest_.empty()) return std::nullopt;
  return all;
}

std::optional<std::int64_t> as_integer(std::string_view reply) {
  const reply_value value = reply_reader(reply).next();
  if (!value.is_integer()) return std::nullopt;
  return value.number;
}

}  // namespace dualbus::resp
