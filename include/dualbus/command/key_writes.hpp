#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/request_parser.hpp>

namespace dualbus::command {

/// True if, after the request, nothing that was known of its keys must be used for an answer. Reads of groups
/// change the groups, but do not make another read find more; XCLAIM with LASTID does.
bool changes_keys(const command_spec& spec, resp::arguments args);

}  // namespace dualbus::command
