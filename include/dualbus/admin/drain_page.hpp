#pragma once

#include <dualbus/admin/daemon_state.hpp>

#include <string>

namespace dualbus::admin {

/// All that is known about draining buses, as JSON for operators and scripts: the verdict, and what holds the
/// bus back. docs/draining.md explains each member. Entry IDs are those that clients see.
std::string render_drain_page(const daemon_state& state);

}  // namespace dualbus::admin
