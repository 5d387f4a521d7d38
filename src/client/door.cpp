#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>
#include <dualbus/client/door.hpp>
#include <dualbus/client/session.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <sys/socket.h>
#include <utility>

namespace dualbus::client {
namespace {

// A client that logs in does so at once. Workers do not see how old the strangers of the others are, so one
// that has come just now is spared while there may be older ones.
constexpr std::chrono::milliseconds time_to_speak{250};

}  // namespace

std::uint64_t door::most_clients() const {
  return std::min<std::uint64_t>(environment_.limits.max_clients, environment_.places.most_clients);
}

void door::accept(base::unique_fd fd, bool tcp) {
  const std::uint64_t most = most_clients();
  if (environment_.places.clients.fetch_add(1) >= most && !make_room()) {
    environment_.places.clients.fetch_sub(1);
    ++environment_.metrics.clients_rejected;
    constexpr std::string_view text = "-ERR max number of clients reached\r\n";
    (void)!::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    base::warn_limited({}, "a client was refused: no more than {} clients may be connected", most);
    return;
  }
  if (tcp) {
    base::set_no_delay(fd.get());
    base::set_keepalive(fd.get(), environment_.limits.client_keepalive);
  }
  ++environment_.metrics.clients_accepted;
  clients_.add(std::make_unique<session>(environment_, std::move(fd), last_id_.fetch_add(1) + 1, tcp));
}

void door::take_over(base::unique_fd fd, const session_state& state) {
  environment_.places.clients.fetch_add(1);
  auto made = std::make_unique<session>(environment_, std::move(fd), state.id, state.tcp);
  session& client = *made;
  clients_.add(std::move(made));
  client.arrive(state);
}

// A new client, which is a stranger at first, takes the place of the oldest one.
bool door::make_room() {
  const access_control& access = environment_.access;
  if (!access.restricts() || access.initial() != nullptr) return false;
  if (!has_silent_stranger() &&
      environment_.places.clients.load() <= most_clients() + environment_.places.most_in_excess())
    return true;
  if (environment_.strangers.size() == 0) return false;
  displace_stranger();
  return true;
}

bool door::has_silent_stranger() const {
  const auto oldest = environment_.strangers.oldest();
  return oldest && environment_.turn.now - oldest->since >= time_to_speak;
}

void door::displace_stranger() {
  session* const client = clients_.find(environment_.strangers.oldest()->client);
  base::warn_limited({},
                     "client {} {}: it has not logged in, and a new client needs its place: no more than {} "
                     "clients may be connected; closing",
                     client->id(), client->peer_address(), most_clients());
  client->close(metrics::close_reason::displaced);
}

void door::check_strangers() {
  const stranger_list& strangers = environment_.strangers;
  while (environment_.places.clients.load() > most_clients() && has_silent_stranger()) displace_stranger();
  const auto limit = environment_.limits.login_timeout;
  if (limit.count() == 0) return;
  while (strangers.size() > 0 && environment_.turn.now - strangers.oldest()->since > limit) {
    session* const client = clients_.find(strangers.oldest()->client);
    base::warn_limited({}, "client {} {}: it has not logged in within limits.login_timeout; closing",
                       client->id(), client->peer_address());
    client->close(metrics::close_reason::login_timeout);
  }
}

}  // namespace dualbus::client
