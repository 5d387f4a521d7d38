#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

#include <climits>

namespace dualbus::resp {
namespace {

// Room for arguments that is kept from one request to the next.
constexpr std::size_t keep_args = 4096;
constexpr std::size_t least_bulk_bytes = 6;  // "$0\r\n\r\n"
// Before login.
constexpr std::int64_t most_stranger_args = 10, most_stranger_bulk = 16384;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

// Of the blanks that separate arguments, only these end an argument without quotes.
bool ends_word(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

}  // namespace

void request_parser::reset() {
  args_.clear();
  if (args_.capacity() > keep_args) args_.shrink_to_fit();
  if (!unquoted_.empty()) [[unlikely]] {
    unquoted_.clear();
    if (unquoted_.capacity() > keep_args) unquoted_.shrink_to_fit();
  }
  position_ = searched_ = 0;
  missing_ = 1;
  left_ = bulk_ = 0;
  stage_ = stage::start;
  verbatim_ = true;
  base_ = nullptr;
}

parse_status request_parser::fail(std::string text) {
  error_ = "Protocol error: " + std::move(text);
  return parse_status::error;
}

parse_status request_parser::parse(std::string_view input) {
  if (input.empty()) return need(1);
  if (base_ != nullptr && base_ != input.data()) {
    for (std::string_view& arg : args_) arg = {input.data() + (arg.data() - base_), arg.size()};
  }
  base_ = input.data();
  if (stage_ == stage::start) {
    if (input[0] != '*') return parse_inline(input);
    stage_ = stage::count;
  }
  return parse_multibulk(input);
}

request_parser::line_result request_parser::read_length(std::string_view input, std::int64_t& value) {
  const char* const begin = input.data() + position_ + 1;
  const char* const end = input.data() + input.size();
  // Lengths are short: most end within a few bytes.
  const char* p = begin;
  std::uint64_t number = 0;
  while (p < end && *p >= '0' && *p <= '9' && p - begin < 18)
    number = number * 10 + static_cast<unsigned>(*p++ - '0');
  const char* cr = p;
  if (p == end || *p != '\r') {
    const char* const from = std::max(p, input.data() + searched_);
    cr = static_cast<const char*>(std::memchr(from, '\r', static_cast<std::size_t>(end - from)));
  }
  // Redis looks for the '\r' with strchr, which finds nothing behind a NUL.
  if (cr != nullptr && cr != p && std::memchr(p, '\0', static_cast<std::size_t>(cr - p)) != nullptr)
    cr = nullptr;
  if (cr == nullptr || cr + 1 >= end) {
    searched_ = cr == nullptr ? input.size() : static_cast<std::size_t>(cr - input.data());
    missing_ = cr == nullptr ? 2 : 1;
    return input.size() - position_ > limits_.max_line ? line_result::too_long : line_result::incomplete;
  }
  if (cr == p && p != begin && (*begin != '0' || p - begin == 1)) {
    value = static_cast<std::int64_t>(number);
  } else {
    const auto parsed = base::parse_int64({begin, static_cast<std::size_t>(cr - begin)});
    if (!parsed) return line_result::malformed;
    value = *parsed;
  }
  // Redis skips the byte behind '\r' without a look; so does this parser, but it does not forward such a line
  // as it is.
  if (cr[1] != '\n') verbatim_ = false;
  position_ = static_cast<std::size_t>(cr + 2 - input.data());
  return line_result::number;
}

// Takes as many arguments of up to 999 bytes as stand complete and canonical in the input, which is nearly
// all of them; the careful path below takes the rest. True if those were the last ones.
bool request_parser::take_plain_bulks(std::string_view input) {
  const char* const begin = input.data();
  const char* const end = begin + input.size();
  const char* p = begin + position_;
  constexpr std::ptrdiff_t longest_header = 6;  // "$999\r\n"
  while (left_ > 0 && end - p > longest_header && *p == '$') {
    std::size_t length = static_cast<unsigned char>(p[1] - '0');
    const char* line_end = p + 2;
    if (length - 1 > 8) break;  // no digit, or a zero: the careful path knows
    for (unsigned digit; line_end < p + 4 && (digit = static_cast<unsigned char>(*line_end - '0')) <= 9;
         ++line_end) {
      length = length * 10 + digit;
    }
    const char* const body = line_end + 2;
    if (line_end[0] != '\r' || line_end[1] != '\n' || static_cast<std::size_t>(end - body) < length + 2 ||
        body[length] != '\r' || body[length + 1] != '\n' ||
        static_cast<std::size_t>(body - begin) + length > limits_.max_request) {
      break;
    }
    args_.emplace_back(body, length);
    p = body + length + 2;
    --left_;
  }
  position_ = static_cast<std::size_t>(p - begin);
  return left_ == 0;
}

parse_status request_parser::parse_multibulk(std::string_view input) {
  if (stage_ == stage::count) {
    switch (read_length(input, left_)) {
      case line_result::incomplete:
        return parse_status::incomplete;
      case line_result::too_long:
        return fail("too big mbulk count string");
      case line_result::malformed:
        return fail("invalid multibulk length");
      case line_result::number:
        break;
    }
    if (left_ > INT_MAX) return fail("invalid multibulk length");
    if (!limits_.authenticated && left_ > most_stranger_args) return fail("unauthenticated multibulk length");
    if (left_ > 0 && static_cast<std::size_t>(left_) > limits_.max_request / least_bulk_bytes)
      return fail("invalid multibulk length");
    if (left_ <= 0) return parse_status::complete;
    stage_ = stage::length;
  }
  for (;;) {
    if (stage_ == stage::length) {
      if (take_plain_bulks(input)) return parse_status::complete;
      if (position_ >= input.size()) return need(static_cast<std::size_t>(left_) * least_bulk_bytes);
      if (input[position_] != '$') {
        return fail(std::string("expected '$', got '") + input[position_] + "'");
      }
      switch (read_length(input, bulk_)) {
        case line_result::incomplete:
          return parse_status::incomplete;
        case line_result::too_long:
          return fail("too big bulk count string");
        case line_result::malformed:
          return fail("invalid bulk length");
        case line_result::number:
          break;
      }
      if (bulk_ < 0) return fail("invalid bulk length");
      if (!limits_.authenticated &&
          (bulk_ > most_stranger_bulk || position_ + static_cast<std::size_t>(bulk_) > limits_.max_request))
        return fail("unauthenticated bulk length");
      if (static_cast<std::uint64_t>(bulk_) > limits_.max_request) return fail("invalid bulk length");
      if (position_ + static_cast<std::size_t>(bulk_) > limits_.max_request) {
        return fail("request larger than max_request (" + std::to_string(limits_.max_request) + " bytes)");
      }
      stage_ = stage::body;
    }
    const auto bytes = static_cast<std::size_t>(bulk_);
    const std::size_t available = input.size() - position_;
    if (available < bytes + 2) {
      return need(bytes + 2 - available + static_cast<std::size_t>(left_ - 1) * least_bulk_bytes);
    }
    const char* body = input.data() + position_;
    if (body[bytes] != '\r' || body[bytes + 1] != '\n') verbatim_ = false;
    args_.emplace_back(body, bytes);
    position_ += bytes + 2;
    if (--left_ == 0) return parse_status::complete;
    stage_ = stage::length;
  }
}

parse_status request_parser::parse_inline(std::string_view input) {
  // Redis looks for the line's end with strchr, which finds none behind a NUL.
  const std::size_t newline = input.find_first_of(std::string_view("\n\0", 2), searched_);
  if (newline == std::string_view::npos || input[newline] == '\0') {
    searched_ = std::min(newline, input.size());
    if (input.size() > limits_.max_line) return fail("too big inline request");
    return need(1);
  }
  verbatim_ = false;
  position_ = newline + 1;
  std::string_view line = input.substr(0, newline);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (!split_inline(line)) return fail("unbalanced quotes in request");
  return parse_status::complete;
}

// The rules of sdssplitargs: blanks separate; "…" knows escapes, '…' only \'; a closing quote ends an
// argument.
bool request_parser::split_inline(std::string_view line) {
  std::size_t i = 0;
  for (;;) {
    while (i < line.size() && is_blank(line[i])) ++i;
    if (i == line.size()) break;
    std::string arg;
    char quote = 0;
    while (i < line.size() && (quote != 0 || !ends_word(line[i]))) {
      const char c = line[i];
      if (quote == '"' && c == '\\' && i + 3 < line.size() && line[i + 1] == 'x' &&
          hex_digit(line[i + 2]) >= 0 && hex_digit(line[i + 3]) >= 0) {
        arg += static_cast<char>(hex_digit(line[i + 2]) * 16 + hex_digit(line[i + 3]));
        i += 4;
      } else if (quote == '"' && c == '\\' && i + 1 < line.size()) {
        arg += unescape(line[i + 1]);
        i += 2;
      } else if (quote == '\'' && c == '\\' && i + 1 < line.size() && line[i + 1] == '\'') {
        arg += '\'';
        i += 2;
      } else if (quote != 0 && c == quote) {
        if (i + 1 < line.size() && !is_blank(line[i + 1])) return false;
        quote = 0;
        ++i;
        break;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
        ++i;
      } else {
        arg += c;
        ++i;
      }
    }
    if (quote != 0) return false;
    unquoted_.push_back(std::move(arg));
  }
  // simdjson may read a little behind an argument; reserve() makes that memory ours.
  for (std::string& text : unquoted_) {
    text.reserve(text.size() + 64);
    args_.emplace_back(text);
  }
  base_ = nullptr;
  return true;
}

}  // namespace dualbus::resp
