#pragma once

#include <dualbus/metrics/bus_state.hpp>

#include <span>
#include <string_view>

namespace dualbus::backend {

/// An error by which a Redis says that it cannot do its job now, for reasons that are not the client's. This
/// table is the one place that says what each of them means; Redis gives them in server.c, processCommand,
/// and cluster.c, clusterRedirectClient.
///
/// The bus counts as down for the `XREADGROUP >` that is answered with such an error, whatever else the row
/// says: the other buses answer, and a reader that waits goes on waiting.
struct bus_error {
  std::string_view code;     ///< the first word, without '-'
  metrics::bus_state state;  ///< what the bus then is, to all clients; up: the error is about one request
  bool stops_reads;          ///< such a bus answers nothing
  bool stops_group_reads;    ///< such a bus answers no XREADGROUP, which writes
  bool needs_other_server;   ///< a new connection may lead to one that does the job: look for it
};

std::span<const bus_error> bus_error_table();
/// The row of an error reply, as received; null for all other errors and replies.
const bus_error* find_bus_error(std::string_view reply);

/// True if Redis closes the connection behind this reply: a master that becomes a replica sends away all who
/// wait (blocked.c, disconnectAllBlockedClients). A client that CLIENT UNBLOCK wakes, or that lost the key,
/// stays.
bool ends_connection(std::string_view reply);

}  // namespace dualbus::backend
