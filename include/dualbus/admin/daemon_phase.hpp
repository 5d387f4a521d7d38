#pragma once

#include <cstdint>

namespace dualbus::admin {

/// How far a daemon is on its way out, for those who decide where clients go.
enum class daemon_phase : std::uint8_t {
  serving,
  draining,  ///< it still takes clients, and asks for none
  stopping   ///< its listeners are closed
};

}  // namespace dualbus::admin
