#pragma once

#include <dualbus/admin/daemon_state.hpp>

#include <string>

namespace dualbus::admin {

/// The state as one HTML page for people, without scripts or anything to load. Texts that came from clients
/// or from Redis are escaped.
std::string render_status_page(const daemon_state& state);

}  // namespace dualbus::admin
