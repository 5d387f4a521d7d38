#pragma once

#include "drain_monitor.hpp"
#include "info_poller.hpp"

#include <dualbus/admin/daemon_phase.hpp>
#include <dualbus/admin/sentinel_watch.hpp>
#include <dualbus/base/clock.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// The counters of all workers, added up.
struct daemon_totals {
  std::size_t workers = 0;
  metrics::worker_metrics metrics;
  /// By printable_name of the message type, "none" for messages without one.
  std::map<std::string, command::message_counters::row> messages;
  /// By printable_name of the engine; engines without any count are left out.
  std::map<std::string, metrics::engine_counters> engines;
};

/// Workers may know different numbers of buses while a reload reaches them; a missing bus counts as zero.
daemon_totals add_up(const std::vector<metrics::worker_snapshot>& workers);

struct reload_figures {
  std::uint64_t succeeded = 0, failed = 0;
  bool last_succeeded = true;  ///< the start counts as a successful reload
  double last_success_unix_seconds = 0;
};

struct hand_over_figures {
  std::array<std::uint64_t, 3> ended{};  ///< by service::hand_over
};

/// The source of all admin pages, at one moment. Buses are by index in the configuration.
struct daemon_snapshot {
  std::shared_ptr<const config::configuration> configuration;  ///< never null
  daemon_totals totals;
  std::vector<bus_status> buses;
  std::vector<drain_status> draining;      ///< of the draining ones only
  std::vector<sentinel_status> sentinels;  ///< of the buses that have some
  reload_figures reloads;
  daemon_phase phase = daemon_phase::serving;
  std::vector<std::string> wrong_slots;  ///< texts: buses that bear another slot than theirs
  hand_over_figures hand_overs;

  std::size_t bus_count() const { return configuration->routing.buses.size(); }
  const std::string& bus_name(std::size_t bus) const { return configuration->routing.buses[bus].name; }
  /// The workers' counts for the bus; zeros if none of them knows it.
  const metrics::bus_metrics& bus_totals(std::size_t bus) const;
  const bus_status& status_of(std::size_t bus) const;
};

/// The moment in Unix time, seconds.
double unix_seconds(base::time_point when);

/// For pages: "unchecked", "unknown", "draining" or "drained".
std::string_view drain_state_name(const drain_status& status);

/// Whether a bus does its job for the workers, all taken together. A state that its Redis itself reported
/// counts, whichever worker has heard it; else it is enough that the bus does its job for one worker.
/// `disconnected` without workers.
metrics::bus_state state_of(const metrics::bus_metrics& totals);

}  // namespace dualbus::admin
