#pragma once

#include "daemon_snapshot.hpp"

#include <string>

namespace dualbus::admin {

/// Everything that is known about draining buses, as JSON for operators and scripts: the verdict, and the
/// obstacles. docs/draining.md explains each member. Entry IDs are those that clients see.
std::string render_drain_page(const daemon_snapshot& state);

}  // namespace dualbus::admin
