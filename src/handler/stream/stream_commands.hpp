#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/services.hpp>

namespace dualbus::handler {

/// XADD to a logical stream's bus: the ID is returned in the client's form; explicit IDs and MINID are sent
/// in the bus's form.
void start_add(stream_services& services, session& client, routed_request& request);

/// True if the XADD can be sent as it is, and only the ID in the reply is translated.
bool adds_as_is(const routed_request& request);

/// A command on a logical stream (route stream), over all buses, draining ones included.
void start_stream_operation(stream_services& services, session& client, routed_request& request,
                            const command::command_spec& spec);

// One function per command, or per family that shares a file.
void start_length(stream_services& services, session& client, routed_request& request);       // XLEN
void start_trim(stream_services& services, session& client, routed_request& request);         // XTRIM
void start_delete(stream_services& services, session& client, routed_request& request);       // XDEL
void start_acknowledge(stream_services& services, session& client, routed_request& request);  // XACK
void start_delete_counted(stream_services& services, session& client,
                          routed_request& request);                                       // XDELEX, XACKDEL
void start_range(stream_services& services, session& client, routed_request& request);    // XRANGE, XREVRANGE
void start_group(stream_services& services, session& client, routed_request& request);    // XGROUP
void start_pending(stream_services& services, session& client, routed_request& request);  // XPENDING
void start_claim(stream_services& services, session& client, routed_request& request);  // XCLAIM, XAUTOCLAIM
void start_info(stream_services& services, session& client, routed_request& request);   // XINFO
void start_read(stream_services& services, session& client, routed_request& request);   // XREAD, XREADGROUP
/// A read with BLOCK of streams that have one bus; it waits in the daemon. False if only Redis can judge it:
/// it has an option of later versions, or a mistake.
bool start_parked_read(stream_services& services, session& client, routed_request& request);
/// A read of streams that have one bus; false if it should be forwarded as it is.
bool start_whole_read(stream_services& services, session& client, routed_request& request);

}  // namespace dualbus::handler
