#pragma once

#include <dualbus/command/command_table.hpp>

#include <string>
#include <string_view>

namespace dualbus::command {

/// A sentence that says how a command with that route is treated; COMMAND DOCS says the same.
std::string_view what_becomes_of(route way);

/// The same for one command, for which its route's sentence may not be the whole truth.
std::string_view what_becomes_of(const command_spec& spec);

/// docs/commands.md: every command of the table, by group.
std::string command_reference_markdown();

}  // namespace dualbus::command
