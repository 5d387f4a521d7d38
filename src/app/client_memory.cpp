#include "client_memory.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/client/session.hpp>

#include <algorithm>
#include <cstdint>
#include <map>

namespace dualbus::app {

std::size_t client_memory::quick_bytes() const {
  return replies_.used_bytes() + requests_.used_bytes() +
         static_cast<std::size_t>(base::read_buffer::bytes_of_this_thread());
}

std::size_t client_memory::held_bytes() const {
  const auto buffers =
      static_cast<std::size_t>(std::max<std::ptrdiff_t>(base::read_buffer::bytes_of_this_thread(), 0));
  return replies_.used_bytes() + requests_.used_bytes() + buffers + forwarder_.used_bytes() +
         clients_.size() * sizeof(client::session);
}

std::vector<client::memory_guard::candidate> client_memory::evictable_clients(std::size_t least_bytes) const {
  std::vector<client::memory_guard::candidate> found;
  std::map<std::uint64_t, std::size_t> receiving;  // large replies count from their first byte on
  for (const auto& bus : buses_) {
    for (const auto& reply : bus->receiving()) receiving[reply.client] += reply.bytes;
  }
  clients_.for_each([&](const client::session& client) {
    const auto reply = receiving.find(client.id());
    const std::size_t bytes = client.memory() + (reply == receiving.end() ? 0 : reply->second);
    if (bytes >= least_bytes && client.evictable() && !client.closed()) found.push_back({bytes, client.id()});
  });
  return found;
}

void client_memory::cut_off(const client::memory_guard::candidate& which) {
  client::session* const client = clients_.find(which.client);
  if (client == nullptr) return;
  base::warn_limited({},
                     "client {} {}: {} bytes are kept for it, and all clients together have more than "
                     "limits.memory, {}; closing",
                     which.client, client->peer_address(), which.bytes, budget_.limit());
  client->leave(metrics::close_reason::memory);
  // Otherwise the part of its reply that has come might cost another client its connection.
  for (const auto& bus : buses_) bus->drop_large_unneeded();
}

bool client_memory::check_held_clients(bool tight) {
  bool held = false;
  for (client::session* client : clients_.all()) held |= client->check_held(tight);
  return held;
}

}  // namespace dualbus::app
