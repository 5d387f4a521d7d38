#pragma once

#include <dualbus/backend/subscriber.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/session/dispatcher.hpp>

#include <string_view>

namespace dualbus::session {

/// (P|S)SUBSCRIBE and (P|S)UNSUBSCRIBE, for a client that is owed no replies. A subscription is confirmed
/// when every bus that can be reached has it, at least one; a bus that does not answer is waited for as long
/// as requests wait for a connection (backend.reconnect_wait).
void run_subscription(worker_context& context, session& client, const command::command_spec& spec,
                      const request& what);

/// PUBLISH and SPUBLISH, to the bus of the plan.
void start_publish(worker_context& context, session& client, const request& what, const command::plan& plan);

/// SUBSCRIBE, PSUBSCRIBE or SSUBSCRIBE.
std::string_view subscribing_command(backend::subscription kind);

void run_pubsub(worker_context& context, session& client, const request& what);

}  // namespace dualbus::session
