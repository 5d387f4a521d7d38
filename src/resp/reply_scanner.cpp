#include "short_length.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace dualbus::resp {
namespace {

// Redis sends strings of up to 512 MB and 2^32 elements; a server that announces more than this is no Redis.
constexpr std::int64_t max_length = std::int64_t{1} << 30;
constexpr std::int64_t max_elements = std::int64_t{1} << 32;
constexpr std::uint64_t max_outstanding = std::uint64_t{1} << 40;  // in all of a reply that is nested
// A status, error, number or length line; Redis's errors may quote arguments but stay short.
constexpr std::size_t max_line = std::size_t{1} << 20;
// Redis's answer to each request of a transaction.
constexpr std::string_view queued = "+QUEUED\r\n";

}  // namespace

scan_status reply_scanner::scan(std::string_view input) {
  for (;;) {
    if (body_ > 0) {
      if (input.size() - position_ < body_) return scan_status::incomplete;
      position_ += body_;
      if (input[position_ - 2] != '\r' || input[position_ - 1] != '\n') return scan_status::error;
      body_ = 0;
      --outstanding_;
    }
    if (outstanding_ == 0) return scan_status::complete;
    if (position_ >= input.size()) return scan_status::incomplete;

    const char* const line = input.data() + position_;
    if (*line == '$' || *line == '*') {
      const short_length length = read_short_length(input.substr(position_ + 1));
      if (length.bytes > 0) {
        position_ += 1 + length.bytes;
        if (type_ == 0 && outstanding_ == 1) type_ = *line;
        if (*line == '$') {
          body_ = length.value + 2;
        } else {
          outstanding_ += length.value;
          --outstanding_;
        }
        continue;
      }
    } else if (*line == '+' && input.size() - position_ >= queued.size() &&
               std::memcmp(line, queued.data(), queued.size()) == 0) {
      position_ += queued.size();
      if (type_ == 0 && outstanding_ == 1) type_ = '+';
      --outstanding_;
      continue;
    }
    const std::size_t from = std::max(position_, searched_);
    const auto* cr = static_cast<const char*>(std::memchr(input.data() + from, '\r', input.size() - from));
    if (cr == nullptr || cr + 1 == input.data() + input.size()) {
      searched_ = cr == nullptr ? input.size() : static_cast<std::size_t>(cr - input.data());
      return input.size() - position_ > max_line ? scan_status::error : scan_status::incomplete;
    }
    if (cr[1] != '\n') return scan_status::error;
    const char kind = *line;
    const std::string_view text(line + 1, static_cast<std::size_t>(cr - line - 1));
    position_ = static_cast<std::size_t>(cr + 2 - input.data());
    // outstanding_ is 1 at the reply's own value; the values of an attribute in front of it count above that.
    if (type_ == 0 && outstanding_ == 1 && kind != '|') type_ = kind;

    switch (kind) {
      case '+':
      case '-':
      case ',':
      case '(':
        --outstanding_;
        break;
      case ':':
        if (!base::parse_int64(text)) return scan_status::error;
        --outstanding_;
        break;
      case '_':
        if (!text.empty()) return scan_status::error;
        --outstanding_;
        break;
      case '#':
        if (text != "t" && text != "f") return scan_status::error;
        --outstanding_;
        break;
      case '$':
      case '=':
      case '!': {
        const auto length = base::parse_int64(text);
        if (!length || *length < (kind == '$' ? -1 : 0) || *length > max_length) return scan_status::error;
        if (*length < 0) {
          --outstanding_;
        } else {
          body_ = static_cast<std::uint64_t>(*length) + 2;
        }
        break;
      }
      case '*':
      case '~':
      case '>':
      case '%':
      case '|': {
        const auto count = base::parse_int64(text);
        if (!count || *count < (kind == '*' ? -1 : 0) || *count > max_elements) return scan_status::error;
        std::uint64_t values = *count < 0 ? 0 : static_cast<std::uint64_t>(*count);
        if (kind == '%' || kind == '|') values *= 2;
        // An attribute comes before the value that it describes, so it does not count as one.
        if (kind != '|') --outstanding_;
        outstanding_ += values;
        if (outstanding_ > max_outstanding) return scan_status::error;
        break;
      }
      default:
        return scan_status::error;
    }
  }
}

// The last two bytes of a bulk are kept, because they are still to be checked.
std::size_t reply_scanner::pass_over(std::string_view input) {
  constexpr std::size_t end_bytes = 2;
  std::size_t done = std::exchange(position_, 0);
  if (body_ > end_bytes) {
    const std::size_t part = std::min<std::size_t>(input.size() - done, body_ - end_bytes);
    body_ -= part;
    done += part;
  }
  searched_ -= std::min(searched_, done);
  return done;
}

}  // namespace dualbus::resp
