#pragma once

#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

/// DUALBUS SHOW: tables about the daemon, its buses and its clients.
void run_show(server_services& services, session& client, routed_request& request);

}  // namespace dualbus::handler
