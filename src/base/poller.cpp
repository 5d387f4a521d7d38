#include <dualbus/base/poller.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <system_error>
#include <utility>

namespace dualbus::base {
namespace {

std::uint32_t event_mask(poller::interest wanted) {
  return (wanted.read ? EPOLLIN : wanted.half_close ? EPOLLRDHUP : 0U) | (wanted.write ? EPOLLOUT : 0U);
}

void control(int epoll, int operation, int fd, std::uint32_t events, io_handler& handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
}

}  // namespace

poller::poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

void poller::add(int fd, io_handler& handler, interest wanted) {
  control(epoll_.get(), EPOLL_CTL_ADD, fd, event_mask(wanted), handler);
}

void poller::modify(int fd, io_handler& handler, interest wanted) {
  control(epoll_.get(), EPOLL_CTL_MOD, fd, event_mask(wanted), handler);
}

void poller::remove(int fd, io_handler& handler) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = 0; i < ready_; ++i) {
    if (events_[i].data.ptr == &handler) events_[i].data.ptr = nullptr;
  }
}

void poller::add_shared_listener(int fd, io_handler& handler) {
  control(epoll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, handler);
}

void poller::wait(base::duration longest) {
  longest = std::max(longest, base::duration::zero());
  int count = -1;
  if (precise_) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(longest);
    const timespec timeout{seconds.count(), (longest - seconds).count()};
    count = ::epoll_pwait2(epoll_.get(), events_.data(), batch, &timeout, nullptr);
    // The kernel is old, or a container's filter does not know the call.
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) precise_ = false;
  }
  if (!precise_) {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(longest);
    count = ::epoll_wait(epoll_.get(), events_.data(), batch, static_cast<int>(milliseconds.count()));
  }
  ready_ = std::max(count, 0);
}

int poller::dispatch() {
  for (int i = 0; i < ready_; ++i) {
    const std::uint32_t ready = events_[i].events;
    const auto handler = [this, i] { return static_cast<io_handler*>(events_[i].data.ptr); };
    if (handler() != nullptr && (ready & EPOLLOUT)) handler()->on_writable();
    if (handler() == nullptr) continue;
    if (ready & EPOLLIN) {
      handler()->on_readable();  // a hang-up is found by the read that it ends
    } else if (ready & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
      handler()->on_hangup((ready & (EPOLLERR | EPOLLHUP)) != 0);
    }
  }
  return std::exchange(ready_, 0);
}

}  // namespace dualbus::base
