#pragma once

#include <dualbus/backend/link.hpp>

#include <memory>

namespace dualbus::backend {

/// Looks for the master of a bus whose connections lead to a replica, or to a server that does not take the
/// password any more: the bus's endpoint may be a name, or an address that moves. It connects anew, as often
/// as the backoff of connections allows (backend.backoff_max), while the bus's own connections serve what
/// they can.
class master_scout {
 public:
  /// Outlives the scout.
  explicit master_scout(const link_environment& environment);

  /// Call it every few tens of milliseconds. `wanted`: a master is to be looked for. True, once, when a new
  /// connection has led to one.
  bool tick(bool wanted, base::time_point now);
  void stop(base::time_point now);

 private:
  metrics::bus_metrics unseen_;  // its connections serve nobody
  link_environment environment_;
  std::unique_ptr<link> link_;
};

}  // namespace dualbus::backend
