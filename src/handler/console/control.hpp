#pragma once

#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

/// DUALBUS KILL ENGINE name: sends all clients of an engine away, as CLIENT KILL does. Answers how many.
void run_kill(server_services& services, session& client, routed_request& request);

/// DUALBUS RELOAD [CHECK]: answers what the configuration's file would change, and, without CHECK, reloads it
/// as SIGHUP does.
void run_reload(server_services& services, session& client, routed_request& request);

/// DUALBUS LOG LEVEL [level]: answers the level, or sets it until the next reload.
void run_log(server_services& services, session& client, routed_request& request);

/// DUALBUS DRAIN: takes the daemon out of service, as SIGUSR1 does.
void run_drain(server_services& services, session& client, routed_request& request);

}  // namespace dualbus::handler
