#pragma once

#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

/// DUALBUS: the daemon explains to operators what it does. No client needs it.
void run_dualbus(server_services& services, session& client, routed_request& request);

}  // namespace dualbus::handler
