#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstdint>

namespace dualbus::session {

class session;
class worker_context;

/// Starts a command whose keys have parts on several buses (route mget, mset, remove, count, type, expire,
/// ttl, object, memory), as docs/differences.md says.
void start_key_operation(worker_context& context, session& client, std::uint16_t command,
                         const command::command_spec& spec, resp::arguments args, const command::plan& plan);

}  // namespace dualbus::session
