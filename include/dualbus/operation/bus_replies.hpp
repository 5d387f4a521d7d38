#pragma once

#include <dualbus/backend/bus_errors.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace dualbus::operation {

inline bool is_no_group(std::string_view error) {
  return error.starts_with("-NOGROUP");
}

/// A name as Redis prints it in an error: up to the first zero byte, and without line ends, which would end
/// the reply.
inline std::string in_error(std::string_view name) {
  std::string text(name.substr(0, name.find('\0')));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  return text;
}

/// True for the error of a bus that is there, but cannot carry out the request for reasons of its own.
inline bool is_unavailable(std::string_view error) {
  return backend::find_bus_error(error) != nullptr;
}

}  // namespace dualbus::operation
