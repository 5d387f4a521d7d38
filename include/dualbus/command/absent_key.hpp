#pragma once

#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <optional>
#include <string_view>

namespace dualbus::command {

/// The answer of a Redis that does not have a key to a request about that key alone.
struct absent_key {
  std::string_view key;    ///< in the request
  std::string_view reply;  ///< encoded
};

/// Nothing, unless the request (DEL, EXPIRE, TTL, TYPE …) does nothing without its one key, and Redis finds
/// no fault with it.
std::optional<absent_key> answer_without_key(resp::arguments request, resp::protocol version);

}  // namespace dualbus::command
