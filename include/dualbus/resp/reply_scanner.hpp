#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dualbus::resp {

enum class scan_status {
  incomplete,  ///< more bytes are needed
  complete,    ///< consumed() bytes are one reply
  error        ///< not RESP: the connection cannot be trusted any more
};

/// Finds where a backend's reply ends, RESP2 or RESP3, without building it. Nesting costs neither stack nor
/// memory: all that is kept is how many values are still to come.
///
/// Call order as for request_parser: scan() with all bytes from the reply's start, again with more after
/// `incomplete` (no byte is looked at twice), reset() before the next reply.
class reply_scanner {
 public:
  scan_status scan(std::string_view input);
  void reset() { *this = reply_scanner(); }
  /// For a reply that nobody needs, after scan() found `input` incomplete: the number of its bytes that are
  /// done with. The caller drops them before the next scan(), and consumed() does not count them any more.
  std::size_t pass_over(std::string_view input);

  std::size_t consumed() const { return position_; }
  /// The reply's type byte, behind any attributes: '+', '-', ':', '$', '*', '_', ',', '#', '!', '=', '(',
  /// '%', '~' or '>'. A '>' is a push: it answers no request.
  char type() const { return type_; }
  bool is_error() const { return type_ == '-' || type_ == '!'; }

 private:
  std::uint64_t outstanding_ = 1;
  std::size_t position_ = 0;
  std::size_t searched_ = 0;  // where the search for a line's end goes on
  std::uint64_t body_ = 0;    // bytes of a bulk and its CRLF that are still to come
  char type_ = 0;
};

}  // namespace dualbus::resp
