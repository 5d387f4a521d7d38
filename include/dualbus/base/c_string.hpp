#pragma once

#include <dualbus/base/numbers.hpp>

#include <cstddef>
#include <string_view>

namespace dualbus::base {

/// An argument as C's string functions see it: up to the first zero byte.
inline std::string_view as_c_string(std::string_view text) {
  return text.substr(0, text.find('\0'));
}

/// True if Redis takes `text` for the option word `lower` (in lower case, without zero bytes). Redis compares
/// option words with strcasecmp() (sort.c, t_stream.c and others), for which `STORE\0x` is STORE. So every
/// decision that depends on an option word must use this function; otherwise Redis reads the request in
/// another way than the daemon.
///
/// Names of commands and subcommands are different: Redis looks them up by their whole length (server.c,
/// lookupCommandLogic). They are compared with equals_ignoring_case(), and a subcommand with a zero byte is
/// refused (handler/dispatcher).
inline bool is_word(std::string_view text, std::string_view lower) {
  if (text.size() < lower.size()) return false;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (to_lower(text[i]) != lower[i]) return false;
  }
  return text.size() == lower.size() || text[lower.size()] == '\0';
}

}  // namespace dualbus::base
