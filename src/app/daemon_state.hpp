#pragma once

#include <dualbus/admin/daemon_phase.hpp>
#include <dualbus/client/client_places.hpp>
#include <dualbus/client/memory_budget.hpp>
#include <dualbus/handler/services.hpp>
#include <dualbus/operation/subscription_registry.hpp>
#include <dualbus/stream/key_changes.hpp>
#include <dualbus/stream/parking.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace dualbus::app {

/// The state that all workers share. Except `changes`, it is touched per connection, never per request.
struct daemon_state {
  std::atomic<admin::daemon_phase> phase{admin::daemon_phase::serving};
  std::atomic<std::uint64_t> last_client_id{0};
  std::atomic<std::uint64_t> last_slow_id{0};  ///< of SLOWLOG entries
  client::client_places places;
  client::memory_budget memory;
  handler::daemon_facts facts;
  /// The changes of keys by all workers' requests: no worker answers from memory about a key that another
  /// changes.
  stream::key_changes changes;
  std::atomic<std::uint64_t> script_flushes{0};  ///< the number of SCRIPT FLUSH so far
  operation::subscription_registry subscriptions;
  /// Drained buses that need not be watched: nobody should add anything there, and the next check finds out
  /// if somebody does.
  std::atomic<stream::bus_set> resting_buses{0};
  /// Buses that, by their INFO, may not do their job: each worker finds out for itself.
  std::atomic<stream::bus_set> doubted_buses{0};
  /// Tells the Sentinels' watch that a bus has no master. Set before the workers run.
  std::function<void(std::size_t bus)> look_for_master = [](std::size_t) {};
};

}  // namespace dualbus::app
