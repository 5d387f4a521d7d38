#pragma once

#include "drain_verdict.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

// Readers of complete RESP2 replies. None takes an error reply; each returns nothing for a reply that Redis
// would not have given. Unknown fields are skipped: later versions of Redis add some.

/// XINFO STREAM key FULL COUNT 1. `now_ms` is the server's clock. The group fields that need more requests
/// (next, missing_on) stay empty, and so does the key.
std::optional<drain_stream> read_stream(std::string_view reply, std::uint64_t now_ms);

/// XINFO GROUPS key.
std::optional<std::vector<std::string>> read_group_names(std::string_view reply);

/// The number of XPENDING key group.
std::optional<std::uint64_t> read_pending_total(std::string_view reply);

/// The first ID of an XRANGE, if it has any entry.
struct range_start {
  std::optional<stream::bus_id> first;
};
std::optional<range_start> read_range_start(std::string_view reply);

/// FUNCTION LIST: the names of the libraries.
std::optional<std::vector<std::string>> read_library_names(std::string_view reply);

struct scan_page {
  std::string cursor;
  std::vector<std::string> keys;
};
std::optional<scan_page> read_scan_page(std::string_view reply);

/// INFO keyspace: the databases that hold keys.
std::optional<std::vector<int>> read_databases(std::string_view reply);

/// The run_id in INFO server, which no two servers share; empty if it is not there.
std::string read_run_id(std::string_view reply);

/// TIME, in milliseconds.
std::optional<std::uint64_t> read_time_ms(std::string_view reply);

/// The text of an error reply; empty for any other.
std::string_view error_in(std::string_view reply);

}  // namespace dualbus::admin
