#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

/// Answers a command that the daemon answers itself (action local).
void run_local_command(const families& families, session& client, const command::command_spec& spec,
                       routed_request& request);

}  // namespace dualbus::handler
