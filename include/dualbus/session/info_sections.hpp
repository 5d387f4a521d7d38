#pragma once

#include <dualbus/backend/server_identity.hpp>
#include <dualbus/session/bus_info.hpp>
#include <dualbus/session/daemon_counts.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::session {

/// The sections of INFO in which what the daemon knows and what the buses say come together; each with its
/// heading. `buses` by number; empty ones have not answered.

/// `own`, a section of the daemon's, with the fields of the bus's section of that name that it lacks.
std::string completed(std::string own, std::string_view name, const bus_info& bus);

/// The software of a bus, under the names of its own INFO: redis_version, and what else it calls itself, such
/// as server_name and valkey_version. From INFO if `bus` has answered, else from the handshake.
std::vector<std::pair<std::string, std::string>> software_of(const backend::server_identity& identity,
                                                             const bus_info& bus);

/// The daemon's calls; the time is what all buses spent on each command. `alone`: a bus that the daemon
/// stands in for, whose own counts are shown of what the daemon does not answer itself; null if there is
/// none.
std::string commandstats_section(const daemon_counts& counts, const std::vector<bus_info>& buses,
                                 const bus_info* alone);

/// Errors of all buses and those of the daemon's own, by code.
class error_totals {
 public:
  error_totals(const daemon_counts& counts, const std::vector<bus_info>& buses);
  std::uint64_t sum() const;
  std::string section() const;

 private:
  void add(std::string_view code, std::uint64_t count);

  std::map<std::string, std::uint64_t, std::less<>> errors_;
};

/// Of all buses: sums, or the worst, or the oldest, as each field means. A field that no bus has is left out.
std::string persistence_section(const std::vector<bus_info>& buses);

/// Hits, misses, expiries and the like of all buses, as lines to be added to the section Stats: sums.
std::string summed_stats(const std::vector<bus_info>& buses);

struct daemon_memory {
  std::uint64_t resident_bytes = 0, peak_bytes = 0;
};

/// The memory of all buses and, under names of its own, that of the daemon.
std::string memory_section(const daemon_memory& own, const std::vector<bus_info>& buses);

/// A replica, if one of the buses is: what is written there is refused.
std::string replication_section(const std::vector<bus_info>& buses);

/// The figures that an operator asks one bus for, as `bus_<name>_<field>`.
std::string bus_section(std::string_view name, const bus_info& bus);

}  // namespace dualbus::session
