#pragma once

#include <dualbus/backend/subscriber.hpp>
#include <dualbus/command/routing_table.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::operation {

/// The subscriptions of all workers' clients, and the number of the workers' connections to each bus. A bus
/// counts each connection as one receiver, however many clients are behind it; the registry corrects these
/// counts. Shared by the workers: locked for a change of subscriptions and for a count to be corrected, never
/// for a message.
class subscription_registry {
 public:
  using kind = backend::subscription;

  /// A client's subscription; `change` is 1 or -1.
  void count_client(kind k, std::string_view name, int change);
  /// A connection's subscription on a bus.
  void count_connection(kind k, std::string_view name, command::bus_index bus, int change);

  /// True if neither a client nor a connection is subscribed to anything.
  bool empty() const { return entries_total_.load(std::memory_order_acquire) == 0; }

  /// The receivers of a message; the bus counted `counted`.
  std::int64_t receivers(bool shard, std::string_view channel, command::bus_index bus,
                         std::int64_t counted) const;
  /// The subscribers of a name; all buses together counted `counted` (PUBSUB NUMSUB).
  std::int64_t subscribers(kind k, std::string_view name, std::int64_t counted) const;
  /// The patterns that have subscribers; all buses together counted `counted` (PUBSUB NUMPAT).
  std::int64_t patterns(std::int64_t counted) const;
  /// Names that this daemon's clients are subscribed to.
  std::size_t names(kind k) const;

 private:
  struct entry {
    std::int64_t clients = 0;
    std::vector<std::int64_t> connections;  // by bus
    std::int64_t all_connections() const;
    std::int64_t on(command::bus_index bus) const { return bus < connections.size() ? connections[bus] : 0; }
  };
  using entries = std::map<std::string, entry, std::less<>>;

  entry& at(kind k, std::string_view name);
  void drop_if_empty(kind k, std::string_view name);

  mutable std::mutex mutex_;
  std::array<entries, backend::subscription_kinds> entries_;
  std::atomic<std::size_t> entries_total_{0};
};

}  // namespace dualbus::operation
