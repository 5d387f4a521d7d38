#include <dualbus/base/log.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <map>

// The memory that a worker holds for its clients, and the clients whose end would help.
namespace dualbus::session {

std::size_t worker_context::held_bytes() const {
  const auto buffers =
      static_cast<std::size_t>(std::max<std::ptrdiff_t>(base::read_buffer::bytes_of_this_thread(), 0));
  return client_chunks.used_bytes() + bus_chunks.used_bytes() + buffers +
         forwards.in_use() * sizeof(forward_operation) + clients.size() * sizeof(session);
}

std::vector<memory_guard::candidate> worker_context::evictable_clients(std::size_t least_bytes) const {
  std::vector<memory_guard::candidate> found;
  std::map<std::uint64_t, std::size_t> receiving;  // a large reply is its client's from the first byte on
  for (const auto& b : buses_) {
    for (const auto& reply : b->receiving()) receiving[reply.client] += reply.bytes;
  }
  clients.for_each([&](const session& client) {
    const auto reply = receiving.find(client.id());
    const std::size_t bytes = client.memory() + (reply == receiving.end() ? 0 : reply->second);
    if (bytes >= least_bytes && client.evictable() && !client.closed()) found.push_back({bytes, client.id()});
  });
  return found;
}

void worker_context::cut_off(const memory_guard::candidate& which) {
  session* const client = clients.find(which.client);
  if (client == nullptr) return;
  base::warn_limited({},
                     "client {} {}: {} bytes are kept for it, and all clients together have more than "
                     "limits.memory, {}; closing",
                     which.client, client->peer_address(), which.bytes, daemon.memory.limit());
  client->leave(metrics::close_reason::memory);
  // What has come of its reply must not cost another client its connection.
  for (const auto& b : buses_) b->drop_large_unneeded();
}

void worker_context::drop_unannounced() {
  for (const auto& b : buses_) b->drop_unannounced();
  transactions.drop_unannounced();
}

bool worker_context::check_held_clients(bool tight) {
  std::vector<session*> open;
  clients.for_each([&open](session& client) { open.push_back(&client); });
  bool held = false;
  for (session* client : open) held |= client->check_held(tight);
  return held;
}

}  // namespace dualbus::session
