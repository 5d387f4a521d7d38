#pragma once

#include <string_view>

namespace dualbus::session {

inline bool is_no_group(std::string_view error) {
  return error.starts_with("-NOGROUP");
}

/// The error of a bus that is there, but serves nobody for now.
inline bool is_unavailable(std::string_view error) {
  return error.starts_with("-LOADING") || error.starts_with("-MASTERDOWN") || error.starts_with("-BUSY ");
}

}  // namespace dualbus::session
