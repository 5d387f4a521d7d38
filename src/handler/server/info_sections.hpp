#pragma once

#include <dualbus/backend/server_identity.hpp>
#include <dualbus/handler/daemon_counts.hpp>
#include <dualbus/operation/bus_info.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::handler {

/// The sections of INFO that join the daemon's knowledge and the buses' answers; each comes with its heading.
/// `buses` by number; those that have not answered are empty.

/// `own`, a section of the daemon's, with those fields added that only the bus's section of that name has.
std::string completed(std::string own, std::string_view name, const bus_info& bus);

/// The software of a bus, under the names of its own INFO: redis_version, and other names that the server
/// gives itself, such as server_name and valkey_version. From INFO if `bus` has answered, else from the
/// handshake.
std::vector<std::pair<std::string, std::string>> software_of(const backend::server_identity& identity,
                                                             const bus_info& bus);

/// The daemon's calls; the time is the sum that all buses spent on each command. `alone`: a bus that the
/// daemon stands in for, whose own counts are shown for commands that the daemon does not answer itself; null
/// if there is none.
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

/// The section over all buses: sums, or the worst, or the oldest, as each field means. A field that no bus
/// has is left out.
std::string persistence_section(const std::vector<bus_info>& buses);

/// Hits, misses, expiries and the like as sums over all buses, in lines to be added to the section Stats.
std::string summed_stats(const std::vector<bus_info>& buses);

struct daemon_memory {
  std::uint64_t resident_bytes = 0, peak_bytes = 0;
};

/// The memory of all buses and, under names of its own, that of the daemon.
std::string memory_section(const daemon_memory& own, const std::vector<bus_info>& buses);

/// The role is a replica's if one of the buses is a replica: writes to it are refused.
std::string replication_section(const std::vector<bus_info>& buses);

/// The figures of one bus that an operator asks for, as `bus_<name>_<field>`.
std::string bus_section(std::string_view name, const bus_info& bus);

}  // namespace dualbus::handler
