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
#include <sys/stat.h>
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

std::uint64_t file_at(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 ? found.st_ino : 0;
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
  if (path_.empty()) return;
  if (replace) {
    const std::string fresh = path_ + ".new";
    ::unlink(fresh.c_str());
    listener_ = base::listen_unix(fresh, mode, backlog);
    if (::rename(fresh.c_str(), path_.c_str()) != 0) fail("cannot listen on Unix socket '" + path_ + "'");
  } else {
    listener_ = base::listen_unix(path_, mode, backlog);
  }
  file_ = file_at(path_);
}

void control_socket::start() {
  thread_ = start_quiet_thread([this] { run(); });
}

void control_socket::hand_over_to(base::unique_fd taker) {
  const std::lock_guard lock(mutex_);
  waiting_ = std::move(taker);
  wake();
}

void control_socket::wake() {
  constexpr std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void control_socket::stop() {
  stopping_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
  if (file_ != 0 && file_at(path_) == std::exchange(file_, 0)) ::unlink(path_.c_str());
}

void control_socket::run() {
  while (!stopping_) {
    pollfd asked[] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(asked, 2, -1) < 0 && errno != EINTR) return;
    if (stopping_) continue;
    base::unique_fd peer;
    if ((asked[1].revents & POLLIN) != 0) {
      std::uint64_t ignored;
      (void)!::read(wake_.get(), &ignored, sizeof ignored);
      const std::lock_guard lock(mutex_);
      peer = std::move(waiting_);
    }
    if (!peer && (asked[0].revents & POLLIN) != 0)
      peer = base::unique_fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (peer) serve(std::move(peer));
  }
}

// A process that had the path already, and has died, leaves it to nobody.
void control_socket::listen_again() {
  if (path_.empty() || file_at(path_) == file_) return;
  try {
    listen(true);
  } catch (const std::exception& error) {
    spdlog::error("no later hand-over is possible: {}", error.what());
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
  if (!outcome.given) listen_again();
  ended_(outcome, successor);
  if (outcome.given) stopping_ = true;
}

}  // namespace dualbus::app
