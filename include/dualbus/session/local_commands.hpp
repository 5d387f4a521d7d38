#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/dispatcher.hpp>

#include <string_view>

namespace dualbus::session {

class session;
class worker_context;

/// Answers a command that the daemon has an answer for itself (route local).
void run_local_command(worker_context& context, session& client, const command::command_spec& spec,
                       const request& what);

// One function per command, or per family that shares a file.
void run_acl(worker_context& context, session& client, const request& what);      // acl_command.cpp
void run_hello(worker_context& context, session& client, const request& what);    // connection_commands.cpp
void run_client(worker_context& context, session& client, const request& what);   // client_command.cpp
void run_slowlog(worker_context& context, session& client, const request& what);  // slowlog_command.cpp
void run_monitor(worker_context& context, session& client, const request& what);  // monitor_command.cpp
/// CLIENT PAUSE and UNPAUSE.
void run_client_pause(worker_context& context, session& client, const request& what);
void run_client_unpause(worker_context& context, session& client, const request& what);
/// ROLE, LASTSAVE, LATENCY, MEMORY, MODULE, CLUSTER, LOLWUT: server_commands.cpp. False: none of these.
bool run_server_command(worker_context& context, session& client, const command::command_spec& spec,
                        const request& what);
void run_command(worker_context& context, session& client, const request& what);  // command_command.cpp
void run_info(worker_context& context, session& client, const request& what);     // info_command.cpp
void run_config(worker_context& context, session& client, const request& what);   // config_command.cpp

/// Redis's answer to a subcommand that does not exist.
void refuse_subcommand(session& client, const request& what);
/// Redis's answer to a wrong number of arguments behind a subcommand.
void refuse_arity(session& client, const request& what, std::string_view full_name);

}  // namespace dualbus::session
