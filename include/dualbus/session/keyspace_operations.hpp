#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstdint>

namespace dualbus::session {

class session;
struct request;
class worker_context;

/// Starts a command about all keys of all buses (route keyspace): KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHDB,
/// FLUSHALL. Only where there are several buses; one bus answers for itself.
void start_keyspace_operation(worker_context& context, session& client, std::uint16_t command,
                              const command::command_spec& spec, resp::arguments args);

/// Starts RENAME, RENAMENX, COPY or DUMP of keys that no rule pins, over several buses (route whole).
void start_whole_key_operation(worker_context& context, session& client, std::uint16_t command,
                               const command::command_spec& spec, resp::arguments args);

/// Starts a subcommand of SCRIPT or FUNCTION that concerns every bus (route scripting): scripts and libraries
/// are loaded and removed everywhere, since the keys decide where one runs.
void start_script_operation(worker_context& context, session& client, std::uint16_t command,
                            const command::command_spec& spec, resp::arguments args);

/// FUNCTION LIST where buses bear marks of the daemon's; false if it is none, or there are none.
bool start_function_list(worker_context& context, session& client, const request& what,
                         command::bus_index bus);

}  // namespace dualbus::session
