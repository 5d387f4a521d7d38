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

/// True if it can be sent as it is, and only the ID of the reply is translated.
bool adds_as_is(const request& what, const command::plan& plan);

/// A command on a logical stream (route stream), over all buses, draining ones included.
void start_stream_operation(worker_context& context, session& client, const request& what,
                            const command::command_spec& spec);

// One function per command, or per family that shares a file.
void start_length(worker_context& context, session& client, const request& what);          // XLEN
void start_trim(worker_context& context, session& client, const request& what);            // XTRIM
void start_delete(worker_context& context, session& client, const request& what);          // XDEL
void start_acknowledge(worker_context& context, session& client, const request& what);     // XACK
void start_delete_counted(worker_context& context, session& client, const request& what);  // XDELEX, XACKDEL
void start_range(worker_context& context, session& client, const request& what);    // XRANGE, XREVRANGE
void start_group(worker_context& context, session& client, const request& what);    // XGROUP
void start_pending(worker_context& context, session& client, const request& what);  // XPENDING
void start_claim(worker_context& context, session& client, const request& what);    // XCLAIM, XAUTOCLAIM
void start_info(worker_context& context, session& client, const request& what);     // XINFO
void start_read(worker_context& context, session& client, const request& what);     // XREAD, XREADGROUP
/// A read with BLOCK of streams that have one bus, which waits in the daemon. False if only Redis can judge
/// it: it has an option of later versions, or a mistake.
bool start_parked_read(worker_context& context, session& client, const request& what);
/// A read of streams that have one bus; false if it had better be forwarded as it is.
bool start_whole_read(worker_context& context, session& client, const request& what);

}  // namespace dualbus::session
