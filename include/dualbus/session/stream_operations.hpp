#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstdint>

namespace dualbus::session {

class session;
class worker_context;
struct request;

/// XADD to a logical stream's bus: the ID comes back in the client's form; explicit IDs and MINID go in the
/// bus's.
void start_add(worker_context& context, session& client, const request& what, const command::plan& plan);

/// XLEN, XRANGE, XREVRANGE and XDEL of a logical stream: over all buses, draining ones included.
void start_stream_operation(worker_context& context, session& client, std::uint16_t command,
                            const command::command_spec& spec, resp::arguments args);

/// XRANGE and XREVRANGE (range_operation.cpp).
void start_range(worker_context& context, session& client, std::uint16_t command, bool reverse,
                 resp::arguments args);

}  // namespace dualbus::session
