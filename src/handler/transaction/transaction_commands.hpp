#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

/// Queues a request of a client between MULTI and EXEC, or refuses it, and with it the transaction. The
/// command takes the request's number of arguments.
void queue_request(transaction_services& services, session& client, const command::command_spec& spec,
                   routed_request& request);

/// MULTI, EXEC, DISCARD, WATCH, UNWATCH. False: it must come again when earlier requests are answered.
bool run_transaction_command(transaction_services& services, session& client,
                             const command::command_spec& spec, routed_request& request);

/// WATCH outside MULTI. False: it must come again when earlier requests are answered.
bool start_watch(transaction_services& services, session& client, routed_request& request);

}  // namespace dualbus::handler
