#include "acceptor.hpp"

#include <dualbus/base/log.hpp>

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

namespace dualbus::app {
namespace {

// The limit keeps a burst of new clients from delaying the others.
constexpr int accepts_per_turn = 128;
constexpr std::chrono::milliseconds rest{100};

}  // namespace

acceptor::acceptor(worker_parts& parts, base::unique_fd listener, bool tcp, bool shared)
    : parts_(parts), listener_(std::move(listener)), tcp_(tcp), shared_(shared) {
  watch();
}

acceptor::~acceptor() {
  if (!resting_ && !paused_) parts_.poller.remove(listener_.get(), *this);
}

void acceptor::set_accepting(bool value) {
  if (std::exchange(paused_, !value) == !value || resting_) return;
  value ? watch() : parts_.poller.remove(listener_.get(), *this);
}

void acceptor::watch() {
  if (shared_) {
    parts_.poller.add_shared_listener(listener_.get(), *this);
  } else {
    parts_.poller.add(listener_.get(), *this, {.read = true});
  }
}

void acceptor::on_readable() {
  for (int i = 0; i < accepts_per_turn; ++i) {
    base::unique_fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client) {
      parts_.door().accept(std::move(client), tcp_);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    base::error_limited({}, "cannot accept clients: {}", std::strerror(errno));
    resting_ = true;
    rest_until_ = parts_.turn.now + rest;
    parts_.poller.remove(listener_.get(), *this);
    return;
  }
}

void acceptor::tick(base::time_point now) {
  if (!resting_ || now < rest_until_) return;
  resting_ = false;
  if (!paused_) watch();
}

}  // namespace dualbus::app
