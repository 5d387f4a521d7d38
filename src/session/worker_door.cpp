#include <dualbus/base/log.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <sys/socket.h>

// The places for clients when they are short, and the time that one may stay without a name.
namespace dualbus::session {

std::uint64_t worker_context::most_clients() const {
  return std::min<std::uint64_t>(configuration().limits.max_clients, daemon.most_clients);
}

// A new client, which is a stranger at first, takes the place of the oldest one.
bool worker_context::make_room() {
  if (!access().restricts() || access().initial() != nullptr) return false;
  if (strangers.size() == 0) return daemon.clients.load() <= most_clients() + daemon.places.most_in_excess();
  displace_stranger();
  return true;
}

void worker_context::displace_stranger() {
  session* const client = clients.find(strangers.oldest()->client);
  base::warn_limited({},
                     "client {} {}: it has not logged in, and a new client needs its place: {} clients are "
                     "the most; closing",
                     client->id(), client->peer_address(), most_clients());
  client->close(metrics::close_reason::displaced);
}

void worker_context::check_strangers() {
  while (strangers.size() > 0 && daemon.clients.load() > most_clients()) displace_stranger();
  const auto limit = configuration().limits.login_timeout;
  if (limit.count() == 0) return;
  while (strangers.size() > 0 && now - strangers.oldest()->since > limit) {
    session* const client = clients.find(strangers.oldest()->client);
    base::warn_limited({}, "client {} {}: it has not logged in within limits.login_timeout; closing",
                       client->id(), client->peer_address());
    client->close(metrics::close_reason::login_timeout);
  }
}

}  // namespace dualbus::session
