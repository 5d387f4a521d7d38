#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/session/dispatcher.hpp>

#include <cstdint>
#include <optional>

namespace dualbus::session {

class session;
class worker_context;

/// SELECT, of the databases that `databases` in the configuration allows.
void run_select(worker_context& context, session& client, const request& what);

/// The database that a SELECT chooses; nothing if it is another command, or will be refused.
std::optional<std::uint8_t> chosen_database(const worker_context& context, const command::command_spec& spec,
                                            const request& what);

/// True for commands whose arguments may name databases: MOVE, SWAPDB, COPY.
inline bool names_databases(const command::command_spec& spec) {
  return spec.route == command::route::databases || spec.route == command::route::whole;
}

/// Sends such a command to `bus`, with databases as the bus counts them.
void forward_between_databases(worker_context& context, session& client, const request& what,
                               command::bus_index bus);

}  // namespace dualbus::session
