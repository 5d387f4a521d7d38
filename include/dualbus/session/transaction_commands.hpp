#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/session/dispatcher.hpp>

namespace dualbus::session {

/// Queues a request of a client between MULTI and EXEC, or refuses it, and with it the transaction. Its
/// number of arguments is one that the command takes.
void queue_request(worker_context& context, session& client, const command::command_spec& spec,
                   const request& what);

/// MULTI, EXEC, DISCARD, WATCH, UNWATCH. False: it must come again when earlier requests are answered.
bool run_transaction_command(worker_context& context, session& client, const command::command_spec& spec,
                             const request& what);

}  // namespace dualbus::session
