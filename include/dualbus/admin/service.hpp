#pragma once

#include <dualbus/config/configuration.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace dualbus::admin {

/// The workers as the admin layer sees them.
struct daemon_view {
  /// One snapshot per worker, within a bounded time. Called on the admin thread, for every request that needs
  /// figures. A worker that does not answer in time is represented by its last snapshot: were it left out,
  /// its counters would seem to fall and rise again, and Prometheus would count them twice.
  std::function<std::vector<metrics::worker_snapshot>()> snapshots;
  /// Told after each check which buses are drained so that nobody need watch them, by bit. Called on the
  /// monitor's thread.
  std::function<void(std::uint32_t)> rest = {};
  /// Told after each INFO whether it looks as if that bus did not do its job. Called on threads of the
  /// poller.
  std::function<void(std::size_t bus, bool doubtful)> doubt = {};
};

/// The HTTP listener with /, /drain, /metrics, /healthz and /readyz, and the INFO poller and the drain
/// monitor behind it, all on threads of their own. With admin.port 0 in the configuration there is none of
/// them.
class service {
 public:
  service(std::shared_ptr<const config::configuration> configuration, daemon_view view);
  ~service();  ///< stops
  service(const service&) = delete;
  service& operator=(const service&) = delete;

  /// Once. Throws std::system_error, whose text names the address, if it cannot listen there.
  void start();
  /// Within a second; any number of times. `view` is not called any more when it returns.
  void stop();

  /// Counts a reload of the configuration. From any thread.
  void note_reload(bool success);
  /// Sets what is shown from now on: names, states and latency targets of the buses; and how the monitor
  /// judges. The listener's address and the poller's endpoints stay those of the start. From any thread.
  void set_configuration(std::shared_ptr<const config::configuration> configuration);

  /// The port listened on; 0 without a listener.
  std::uint16_t port() const;

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace dualbus::admin
