#pragma once

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/client/client_directory.hpp>
#include <dualbus/client/memory_budget.hpp>
#include <dualbus/client/memory_guard.hpp>
#include <dualbus/operation/bus_list.hpp>
#include <dualbus/operation/forwarding.hpp>

#include <cstddef>
#include <vector>

namespace dualbus::app {

/// The memory that a worker holds for its clients, and the clients whose end would help.
class client_memory final : public client::memory_guard::holder {
 public:
  /// All outlive it.
  client_memory(const base::chunk_pool& replies, const base::chunk_pool& requests,
                const operation::forwarder& forwarder, client::client_directory& clients,
                const operation::bus_list& buses, const client::memory_budget& budget)
      : replies_(replies),
        requests_(requests),
        forwarder_(forwarder),
        clients_(clients),
        buses_(buses),
        budget_(budget) {}

  /// The part of held_bytes() that may grow much in one turn.
  std::size_t quick_bytes() const;

  std::size_t held_bytes() const override;
  std::vector<client::memory_guard::candidate> evictable_clients(std::size_t least_bytes) const override;
  void cut_off(const client::memory_guard::candidate& which) override;
  bool check_held_clients(bool tight) override;

 private:
  const base::chunk_pool& replies_;
  const base::chunk_pool& requests_;
  const operation::forwarder& forwarder_;
  client::client_directory& clients_;
  const operation::bus_list& buses_;
  const client::memory_budget& budget_;
};

}  // namespace dualbus::app
