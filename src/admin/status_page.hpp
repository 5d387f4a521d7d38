#pragma once

#include "daemon_snapshot.hpp"

#include <dualbus/console/recent.hpp>

#include <string>

namespace dualbus::admin {

/// The state as one HTML page for people. It says everything without its script, which adds the charts and
/// keeps the tables new. Texts that came from clients or from Redis are escaped.
std::string render_status_page(const daemon_snapshot& state, const console::recent& recent);
/// The part of it that changes.
std::string render_tables(const daemon_snapshot& state, const console::recent& recent);

}  // namespace dualbus::admin
