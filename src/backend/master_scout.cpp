#include <dualbus/backend/master_scout.hpp>

namespace dualbus::backend {

master_scout::master_scout(const link_environment& environment)
    : environment_{environment.io,     environment.poller,   environment.pool, environment.settings,
                   environment.target, environment.requests, environment.name, unseen_,
                   log_of::nothing} {}

void master_scout::stop(base::time_point now) {
  if (!link_) return;
  link_->socket.stop(now);
  link_.reset();
}

bool master_scout::tick(bool wanted, base::time_point now) {
  if (!wanted) {
    stop(now);
    return false;
  }
  if (!link_) {
    link_ = std::make_unique<link>(environment_, resp::protocol::resp2);
    link_->socket.start(now);
  }
  link_->socket.tick(now);
  if (link_->socket.state() != metrics::connection_state::up) return false;
  if (link_->socket.role() != "master") {
    link_->socket.drop("is no master", now);  // which is tried again by itself
    return false;
  }
  stop(now);
  return true;
}

}  // namespace dualbus::backend
