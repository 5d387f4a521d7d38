#include <dualbus/backend/renewal.hpp>

namespace dualbus::backend {
namespace {

// Replies come within milliseconds. Nobody shall wait behind one that takes long; the exchange is tried
// again.
constexpr std::chrono::milliseconds longest_hold{100};
constexpr std::chrono::seconds between_holds{1};

}  // namespace

renewal::renewal(const link_environment& with, link& of, base::time_point now)
    : environment_{with.io,     with.poller,   with.pool, with.settings,
                   with.target, with.requests, with.name, unseen_},
      of_(of),
      fresh_(environment_, of.version, of.database) {
  fresh_.socket.start(now);
}

renewal::~renewal() {
  of_.socket.hold(false);
  fresh_.socket.stop(base::clock::now());
}

bool renewal::run(base::time_point now) {
  using state = metrics::connection_state;
  if (of_.socket.state() != state::up) return true;  // lost; the next one has the new login
  if (fresh_.socket.state() != state::up) {
    of_.socket.hold(holding_ = false);
    return false;
  }
  if (!holding_) {
    if (now < next_hold_) return false;
    of_.socket.hold(holding_ = true);
    hold_until_ = now + longest_hold;
  }
  if (of_.socket.between_requests()) {
    of_.socket.take_over(fresh_.socket, now);
    return true;
  }
  if (now < hold_until_) return false;
  of_.socket.hold(holding_ = false);
  next_hold_ = now + between_holds;
  return false;
}

void renewal::tick(base::time_point now) {
  fresh_.socket.tick(now, false);
}

}  // namespace dualbus::backend
