#pragma once

#include <string_view>

namespace dualbus::backend {

/// An error with which a Redis refuses what the daemon sends of its own accord, without the part in which it
/// may repeat the arguments: a Redis that does not know HELLO or AUTH repeats the password (server.c,
/// commandCheckExistence).
inline std::string_view refusal_text(std::string_view error) {
  return error.substr(0, error.find(", with args beginning with"));
}

}  // namespace dualbus::backend
