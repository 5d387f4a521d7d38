#pragma once

#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

// One function per command that the daemon answers itself; the files have the commands' names.
void run_acl(server_services& services, session& client, routed_request& request);
void run_client(server_services& services, session& client, routed_request& request);
void run_command(server_services& services, session& client, routed_request& request);
void run_config(server_services& services, session& client, routed_request& request);
void run_hello(server_services& services, session& client, routed_request& request);
void run_info(server_services& services, session& client, routed_request& request);
void run_latency(server_services& services, session& client, routed_request& request);
void run_module(server_services& services, session& client, routed_request& request);
void run_monitor(server_services& services, session& client, routed_request& request);
void run_ping(server_services& services, session& client, routed_request& request);
void run_role(server_services& services, session& client, routed_request& request);
void run_slowlog(server_services& services, session& client, routed_request& request);
void run_time(server_services& services, session& client, routed_request& request);
/// CLIENT PAUSE and UNPAUSE: monitor.cpp.
void run_client_pause(server_services& services, session& client, routed_request& request);
void run_client_unpause(server_services& services, session& client, routed_request& request);
/// Every command of Redis Cluster.
void refuse_cluster(server_services& services, session& client, routed_request& request);

/// WAIT, WAITAOF, SCRIPT KILL, FUNCTION KILL: sends the request to every bus. False: it must come again when
/// earlier requests are answered.
bool start_broadcast(operation::environment& environment, session& client, routed_request& request);
/// The same inside a transaction, where nothing waits: the request is a part of what EXEC carries out on
/// every bus.
void start_broadcast_in_transaction(operation::environment& environment, session& client,
                                    routed_request& request);

}  // namespace dualbus::handler
