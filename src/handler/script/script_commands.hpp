#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

/// Starts a subcommand of SCRIPT or FUNCTION that concerns every bus (route scripting): scripts and libraries
/// are loaded and removed everywhere, since the keys decide where one runs.
void start_script_operation(script_services& services, session& client, routed_request& request,
                            const command::command_spec& spec);

/// FUNCTION LIST where buses bear marks of the daemon's; false if it is another command, or there are no
/// marks.
bool start_function_list(script_services& services, session& client, routed_request& request,
                         command::bus_index bus);

/// An EVAL is about to be sent or queued: see script_spread. For any other command of scripts, nothing
/// happens.
void spread_script(operation::script_spread& scripts, session& client, const command::command_spec& spec,
                   const client::request& request, command::bus_index bus);

}  // namespace dualbus::handler
