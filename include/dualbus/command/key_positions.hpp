#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <vector>

namespace dualbus::command {

/// Fills `positions` with the indices of the keys in `args`; the arity has been checked. False if the
/// arguments do not say where the keys are (a number of keys that is no number, a missing STREAMS): Redis
/// would refuse such a request.
bool find_keys(const command_spec& spec, resp::arguments args, std::vector<std::uint32_t>& positions);

/// Fills `positions` with the indices of the arguments behind BY and GET of SORT and SORT_RO, as Redis reads
/// them (sort.c, sortCommandGeneric): patterns of keys, not keys.
void find_sort_patterns(resp::arguments args, std::vector<std::uint32_t>& positions);

}  // namespace dualbus::command
