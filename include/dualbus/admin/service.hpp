#pragma once

#include <dualbus/admin/daemon_phase.hpp>
#include <dualbus/admin/sentinel_watch.hpp>
#include <dualbus/base/unique_fd.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/console/recent.hpp>
#include <dualbus/handler/colleagues.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace dualbus::admin {

/// The workers as the admin layer sees them.
struct daemon_view {
  /// One snapshot per worker, within a bounded time. Called on the admin thread, for every request that needs
  /// figures, and every second on the sampler's. A worker that does not answer in time is represented by its
  /// last snapshot: without it, its counters would seem to fall and rise again, and Prometheus would count
  /// them twice.
  std::function<std::vector<metrics::worker_snapshot>()> snapshots;
  /// Called after each check with the buses (by bit) that are drained so that nobody need watch them. Called
  /// on the monitor's thread.
  std::function<void(std::uint32_t)> rest = {};
  /// Called after each INFO: `doubtful` if the bus seems not to do its job. Called on threads of the poller.
  std::function<void(std::size_t bus, bool doubtful)> doubt = {};
  /// Called on the admin thread, for every request that needs it. Without it the daemon serves.
  std::function<daemon_phase()> phase = {};
  /// Of the buses that have Sentinels. Called on the admin thread.
  std::function<std::vector<sentinel_status>()> sentinels = {};
  /// Asks every worker, and waits for the answers, but not long: throws std::runtime_error if a worker does
  /// not answer. Called on the admin thread.
  std::function<std::vector<std::string>(handler::colleagues::question)> ask = {};
  /// Gets the samples of all counters, for the rates of the last minute; outlives the service.
  std::shared_ptr<console::history> recent = std::make_shared<console::history>();
  std::string run_id = {};
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
};

/// The HTTP listener with /, /drain, /metrics, /healthz, /readyz and /api, and behind it the INFO poller, the
/// drain monitor and the sampler, all on threads of their own. If admin.port is 0 in the configuration, only
/// the sampler runs.
class service {
 public:
  service(std::shared_ptr<const config::configuration> configuration, daemon_view view);
  ~service();  ///< stops
  service(const service&) = delete;
  service& operator=(const service&) = delete;

  /// Call it once. Throws std::system_error, whose text names the address, if it cannot listen there. With a
  /// `listener`, which another process has opened on that address, it listens there.
  void start(base::unique_fd listener = {});
  /// The listening socket, which stays the service's; -1 without one.
  int listener() const;
  /// While it does not accept, connections wait for whoever else has the listener. From any thread.
  void set_accepting(bool value);
  /// Takes no samples any more: before the workers end, which would let the last one wait for them.
  void stop_sampling();
  /// Stops within a second; may be called again. Afterwards `view` is not called any more.
  void stop();

  /// Counts a reload of the configuration. From any thread.
  void note_reload(bool success);
  /// Counts a hand-over to or from another process, by its end. From any thread.
  enum class hand_over : std::uint8_t { taken, given, failed };
  void note_hand_over(hand_over how);
  /// Goes on with the counts and charts of a service of this process, whose place this one takes. Before
  /// start().
  void continue_counts(const service& before);
  /// Sets the buses that are asked and shown from now on, and the rules by which the monitor judges. The
  /// listener's address stays that of the start. From any thread.
  void set_configuration(std::shared_ptr<const config::configuration> configuration);

  /// The port listened on; 0 without a listener.
  std::uint16_t port() const;

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace dualbus::admin
