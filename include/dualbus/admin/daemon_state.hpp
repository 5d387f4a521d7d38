#pragma once

#include <dualbus/admin/drain_monitor.hpp>
#include <dualbus/admin/info_poller.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// All workers' counters, added up.
struct daemon_totals {
  std::size_t workers = 0;
  metrics::worker_metrics metrics;
  /// By printable_name of the message type, "none" for messages without one.
  std::map<std::string, command::message_counters::row> messages;
  /// By printable_name of the engine; those of which there is nothing to tell are left out.
  std::map<std::string, metrics::engine_counters> engines;
};

/// Workers may know different numbers of buses while a reload goes round; a missing one counts as zero.
daemon_totals add_up(const std::vector<metrics::worker_snapshot>& workers);

struct reload_figures {
  std::uint64_t succeeded = 0, failed = 0;
  bool last_succeeded = true;  ///< the start counts as a successful one
  double last_success_unix_seconds = 0;
};

/// Everything that the admin pages are made of, at one moment. Buses by index in the configuration.
struct daemon_state {
  std::shared_ptr<const config::configuration> configuration;  ///< never null
  daemon_totals totals;
  std::vector<bus_status> buses;
  std::vector<drain_status> draining;  ///< of the draining ones only
  reload_figures reloads;

  std::size_t bus_count() const { return configuration->routing.buses.size(); }
  const std::string& bus_name(std::size_t bus) const { return configuration->routing.buses[bus].name; }
  /// The workers' counts for it; zeros if none of them knows it.
  const metrics::bus_metrics& bus_totals(std::size_t bus) const;
  const bus_status& status_of(std::size_t bus) const;
};

/// For pages: "unchecked", "unknown", "draining" or "drained".
std::string_view drain_state_name(const drain_status& status);

/// Whether a bus does its job, all workers taken together: what its Redis says itself counts, whichever
/// worker has heard it; else one worker that it does it for is enough. `disconnected` without workers.
metrics::bus_state state_of(const metrics::bus_metrics& totals);

struct bus_fault {
  std::string bus;
  std::string text;  ///< to be put behind the name: "has no connection"
};
/// The active buses that do not do their job; the daemon is ready when there is none. A draining bus may be
/// gone already.
std::vector<bus_fault> buses_not_ready(const daemon_state& state);

}  // namespace dualbus::admin
