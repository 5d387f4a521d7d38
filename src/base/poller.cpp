#include <dualbus/base/poller.hpp>

#include <algorithm>
#include <cerrno>
#include <sys/epoll.h>
#include <system_error>

namespace dualbus::base {
namespace {

std::uint32_t event_mask(poller::interest what) {
  return (what.read ? EPOLLIN : what.half_close ? EPOLLRDHUP : 0U) | (what.write ? EPOLLOUT : 0U);
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
  pending_.reserve(batch);
}

void poller::add(int fd, io_handler& handler, interest what) {
  control(epoll_.get(), EPOLL_CTL_ADD, fd, event_mask(what), handler);
}

void poller::modify(int fd, io_handler& handler, interest what) {
  control(epoll_.get(), EPOLL_CTL_MOD, fd, event_mask(what), handler);
}

void poller::remove(int fd, io_handler& handler) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  std::replace(pending_.begin(), pending_.end(), &handler, static_cast<io_handler*>(nullptr));
}

void poller::add_shared_listener(int fd, io_handler& handler) {
  control(epoll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, handler);
}

int poller::dispatch() {
  epoll_event events[batch];
  const int count = ::epoll_wait(epoll_.get(), events, batch, 0);
  if (count <= 0) return 0;
  pending_.clear();
  for (int i = 0; i < count; ++i) pending_.push_back(static_cast<io_handler*>(events[i].data.ptr));
  for (int i = 0; i < count; ++i) {
    const std::uint32_t ready = events[i].events;
    if (pending_[i] != nullptr && (ready & EPOLLOUT)) pending_[i]->on_writable();
    if (pending_[i] == nullptr) continue;
    if (ready & EPOLLIN) {
      pending_[i]->on_readable();  // a hang-up is found by the read that it ends
    } else if (ready & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
      pending_[i]->on_hangup((ready & (EPOLLERR | EPOLLHUP)) != 0);
    }
  }
  pending_.clear();
  return count;
}

}  // namespace dualbus::base
