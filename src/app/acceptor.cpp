#include <dualbus/app/acceptor.hpp>
#include <dualbus/base/log.hpp>

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace dualbus::app {
namespace {

// So that a burst of new clients does not keep the others waiting.
constexpr int accepts_per_turn = 128;
constexpr std::chrono::milliseconds rest{100};

}  // namespace

acceptor::acceptor(session::worker_context& context, base::unique_fd listener, bool tcp, bool shared)
    : context_(context), listener_(std::move(listener)), tcp_(tcp), shared_(shared) {
  watch();
}

acceptor::~acceptor() {
  if (!resting_) context_.poller.remove(listener_.get(), *this);
}

void acceptor::watch() {
  if (shared_) {
    context_.poller.add_shared_listener(listener_.get(), *this);
  } else {
    context_.poller.add(listener_.get(), *this, {.read = true});
  }
}

void acceptor::on_readable() {
  for (int i = 0; i < accepts_per_turn; ++i) {
    base::unique_fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client) {
      context_.accept(std::move(client), tcp_);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    base::error_limited({}, "cannot accept clients: {}", std::strerror(errno));
    resting_ = true;
    rest_until_ = context_.now + rest;
    context_.poller.remove(listener_.get(), *this);
    return;
  }
}

void acceptor::tick(base::time_point now) {
  if (!resting_ || now < rest_until_) return;
  resting_ = false;
  watch();
}

}  // namespace dualbus::app
