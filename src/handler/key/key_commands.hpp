#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/services.hpp>

#include <cstdint>
#include <optional>

namespace dualbus::handler {

/// Starts a command whose keys have parts on several buses (route mget, mset, remove, count, type, expire,
/// ttl, object, memory), as docs/differences.md says.
void start_split_keys(key_services& services, session& client, routed_request& request,
                      const command::command_spec& spec);

/// Starts a command about all keys of all buses (route keyspace): KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHDB,
/// FLUSHALL. Only where there are several buses; one bus answers for itself.
void start_keyspace_operation(key_services& services, session& client, routed_request& request,
                              const command::command_spec& spec);

/// Starts RENAME, RENAMENX, COPY or DUMP of keys that no rule pins, over several buses (route whole).
void start_whole_key_operation(key_services& services, session& client, routed_request& request,
                               const command::command_spec& spec);

/// Sends a request that may wait over a connection of its own. A script for which there is no such connection
/// goes the way of other requests; a read waits in the daemon. False: the request must come again when
/// earlier ones are answered.
bool start_blocking(key_services& services, session& client, routed_request& request, command::bus_index bus);

/// SELECT, of the databases that `databases` in the configuration allows.
void run_select(key_services& services, session& client, routed_request& request);

/// The database that a SELECT chooses; nothing if it is another command, or will be refused.
std::optional<std::uint8_t> chosen_database(const config::configuration& configuration,
                                            const command::command_spec& spec,
                                            const client::request& request);

/// True for commands whose arguments may name databases: MOVE, SWAPDB, COPY.
inline bool names_databases(const command::command_spec& spec) {
  return spec.route == command::route::databases || spec.route == command::route::whole;
}

/// Sends such a command to `bus`, with databases as the bus counts them.
void forward_between_databases(key_services& services, session& client, routed_request& request,
                               command::bus_index bus);

}  // namespace dualbus::handler
