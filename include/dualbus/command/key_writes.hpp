#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/request_parser.hpp>

namespace dualbus::command {

/// True if XCLAIM has LASTID.
bool changes_keys_by_lastid(resp::arguments args);

/// True if, after the request, nothing that was known of its keys must be used for an answer. Reads of groups
/// change the groups, but do not make another read find more; XCLAIM with LASTID does.
inline bool changes_keys(const command_spec& spec, resp::arguments args) {
  return spec.has(fact::changes_keys) ||
         (spec.has(fact::changes_keys_by_lastid) && changes_keys_by_lastid(args));
}

}  // namespace dualbus::command
