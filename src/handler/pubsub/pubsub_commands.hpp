#pragma once

#include <dualbus/backend/subscriber.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/services.hpp>

#include <string_view>

namespace dualbus::handler {

/// (P|S)SUBSCRIBE and (P|S)UNSUBSCRIBE, for a client that is owed no replies. A subscription is confirmed
/// when every bus that can be reached, and at least one, has it; a bus that does not answer is waited for as
/// long as requests wait for a connection (backend.reconnect_wait).
void run_subscription(pubsub_services& services, session& client, routed_request& request);

/// PUBLISH and SPUBLISH, to the bus of the plan.
void start_publish(pubsub_services& services, session& client, routed_request& request);

/// SUBSCRIBE, PSUBSCRIBE or SSUBSCRIBE.
std::string_view subscribing_command(backend::subscription kind);

/// PUBSUB.
void run_pubsub(pubsub_services& services, session& client, routed_request& request);

}  // namespace dualbus::handler
