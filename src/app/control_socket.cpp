#include "control_socket.hpp"

#include "quiet_thread.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace dualbus::app {
namespace {

constexpr unsigned mode = 0600;
constexpr int backlog = 8;

[[noreturn]] void fail(const std::string& text) {
  throw std::system_error(errno, std::generic_category(), text);
}

}  // namespace

control_socket::control_socket(std::string path, hand_over_source& daemon, on_outcome ended)
    : path_(std::move(path)), daemon_(daemon), ended_(std::move(ended)), wake_(::eventfd(0, EFD_CLOEXEC)) {
  if (!wake_) fail("eventfd");
}

control_socket::~control_socket() {
  stop();
}

void control_socket::listen(bool replace) {
  if (replace) {
    const std::string fresh = path_ + ".new";
    ::unlink(fresh.c_str());
    listener_ = base::listen_unix(fresh, mode, backlog);
    if (::rename(fresh.c_str(), path_.c_str()) != 0) fail("cannot listen on Unix socket '" + path_ + "'");
  } else {
    listener_ = base::listen_unix(path_, mode, backlog);
  }
  owns_path_ = true;
}

void control_socket::start() {
  thread_ = start_quiet_thread([this] { run(); });
}

void control_socket::stop() {
  stopping_ = true;
  constexpr std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
  if (std::exchange(owns_path_, false)) ::unlink(path_.c_str());
}

void control_socket::run() {
  while (!stopping_) {
    pollfd asked[] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(asked, 2, -1) < 0 && errno != EINTR) return;
    if (stopping_ || (asked[0].revents & POLLIN) == 0) continue;
    base::unique_fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (peer) serve(std::move(peer));
  }
}

void control_socket::serve(base::unique_fd peer) {
  hand_over::channel channel(std::move(peer));
  const int successor = channel.peer_process();
  hand_over_giver giver(daemon_, channel, stopping_);
  hand_over_giver::outcome outcome;
  try {
    outcome = giver.run();
  } catch (const std::exception& error) {
    outcome = {.failed = true, .text = std::string("hand-over failed: ") + error.what()};
  }
  if (outcome.given) owns_path_ = false;
  ended_(outcome, successor);
  if (outcome.given) stopping_ = true;
}

}  // namespace dualbus::app
