#pragma once

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstdint>
#include <string_view>

namespace dualbus::resp {

/// The version of the protocol that a connection speaks, as HELLO numbers them.
enum class protocol : std::uint8_t { resp2 = 2, resp3 = 3 };

/// Appends RESP values to a queue. A value that RESP2 lacks is written in the form Redis gives it there.
class encoder {
 public:
  explicit encoder(base::chunk_queue& out, protocol version = protocol::resp2)
      : out_(out), version_(version) {}

  void status(std::string_view text);
  /// `text` begins with its code and has no '-'; line breaks in it become blanks, as in Redis.
  void error(std::string_view text);
  void integer(std::int64_t value);
  void bulk(std::string_view text);
  void verbatim(std::string_view text);  ///< plain text; a bulk string in RESP2
  void boolean(bool value);              ///< an integer in RESP2
  void null();                           ///< a null bulk string in RESP2
  void null_array();
  void array(std::size_t elements);
  void map(std::size_t pairs);     ///< a flat array in RESP2
  void set(std::size_t elements);  ///< an array in RESP2
  /// An out-of-band message; an array in RESP2.
  void push(std::size_t elements);
  /// A request: an array of bulk strings.
  void request(arguments args);

 private:
  void header(char type, std::int64_t number);

  base::chunk_queue& out_;
  protocol version_;
};

}  // namespace dualbus::resp
