#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::resp {

/// The arguments of one request, command name first. Views into the bytes that were parsed.
using arguments = std::span<const std::string_view>;

struct parser_limits {
  /// The longest line of an inline command or a length; Redis's PROTO_INLINE_MAX_SIZE.
  std::size_t max_line = 64 * 1024;
  /// The largest whole request, in bytes; also the largest single argument, like Redis's proto-max-bulk-len.
  std::size_t max_request = 64 * 1024 * 1024;
  /// If false: Redis takes only ten words of 16 KiB from a client that must log in and has not (networking.c,
  /// processMultibulkBuffer).
  bool authenticated = true;
};

enum class parse_status {
  incomplete,  ///< more bytes are needed
  complete,    ///< args() and consumed() describe one request; no arguments means there is nothing to do
  error        ///< error() says what is wrong; the connection cannot go on
};

/// Finds requests in a client's bytes, multibulk or inline, as networking.c of Redis 7.0 does, with its error
/// texts. It copies no payload, and allocates nothing but room for the argument list. Limits are checked
/// before anything is reserved for what a length announces.
///
/// Call order: parse() with all bytes from the start of a request; on `incomplete`, again with the same
/// bytes and more behind them (they may have moved): no byte is looked at twice. After `complete` or `error`,
/// reset() before the next request. args() point into the last input, or, for quoted inline arguments, into
/// the parser.
class request_parser {
 public:
  request_parser() = default;
  explicit request_parser(parser_limits limits) : limits_(limits) {}

  parse_status parse(std::string_view input);
  void reset();
  void set_limits(parser_limits limits) { limits_ = limits; }
  /// The memory that it holds besides the bytes that it is given.
  std::size_t held_bytes() const { return args_.capacity() * sizeof(std::string_view); }

  arguments args() const { return args_; }
  /// Bytes of the input that make up the request.
  std::size_t consumed() const { return position_; }
  /// The least number of bytes that are missing, after `incomplete`; at least 1.
  std::size_t missing() const { return missing_; }
  /// True if the consumed bytes are the request as an encoder would write it, so that they may be
  /// forwarded as they are.
  bool verbatim() const { return verbatim_; }
  const char* error() const { return error_.c_str(); }

 private:
  enum class stage : std::uint8_t { start, count, length, body };

  parse_status parse_multibulk(std::string_view input);
  bool take_plain_bulks(std::string_view input);
  parse_status parse_inline(std::string_view input);
  bool split_inline(std::string_view line);
  parse_status fail(std::string text);
  parse_status need(std::size_t bytes) {
    missing_ = bytes;
    return parse_status::incomplete;
  }
  /// Reads "<number>\r\n" behind the type byte at position_.
  enum class line_result { number, incomplete, too_long, malformed };
  line_result read_length(std::string_view input, std::int64_t& value);

  parser_limits limits_;
  std::vector<std::string_view> args_;
  std::vector<std::string> unquoted_;
  std::string error_;
  const char* base_ = nullptr;  // where the last input was, to move the views if it did
  std::size_t position_ = 0, searched_ = 0, missing_ = 1;
  std::int64_t left_ = 0, bulk_ = 0;
  stage stage_ = stage::start;
  bool verbatim_ = true;
};

}  // namespace dualbus::resp
