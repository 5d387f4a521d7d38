#pragma once

#include "daemon_snapshot.hpp"

#include <string>

namespace dualbus::admin {

/// The state as one HTML page for people, without scripts or anything to load. Texts that came from clients
/// or from Redis are escaped.
std::string render_status_page(const daemon_snapshot& state);

}  // namespace dualbus::admin
