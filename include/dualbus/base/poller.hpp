#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/base/unique_fd.hpp>

#include <array>
#include <cstdint>
#include <sys/epoll.h>

namespace dualbus::base {

/// Is told that a descriptor is ready. The object must stay alive until it left the poller *and* the current
/// dispatch() has returned: owners destroy handlers only between dispatches.
class io_handler {
 public:
  virtual ~io_handler() = default;
  virtual void on_readable() = 0;
  virtual void on_writable() = 0;
  /// The peer has closed while reading was not asked for: only its own direction, or both.
  virtual void on_hangup(bool both_directions) = 0;
};

/// The descriptors of one worker, level-triggered.
///
/// Asio's reactor is not used because it costs a connection without pipelining a second system call per
/// request, either a read that finds nothing (speculative) or an epoll_ctl to arm a wait. Here a turn is one
/// epoll_wait, and reading a request is one recv.
class poller {
 public:
  poller();

  /// Becomes readable when wait() would find something, for an owner that waits somewhere else.
  int fd() const { return epoll_.get(); }

  /// The events that a descriptor is watched for. The handler always learns that both directions have closed.
  /// It learns that the peer has closed its own direction only with `half_close`, and not while reading,
  /// which finds that out anyway.
  struct interest {
    bool read = false, write = false, half_close = true;
  };
  void add(int fd, io_handler& handler, interest wanted);
  void modify(int fd, io_handler& handler, interest wanted);
  /// Forgets `fd`; events for its handler that are still to be dispatched are dropped.
  void remove(int fd, io_handler& handler);
  /// A listening descriptor that several pollers share: one of them is woken per connection.
  void add_shared_listener(int fd, io_handler& handler);

  /// Waits until a descriptor is ready or `longest` has passed; not at all if that is zero or less. The
  /// events are kept for dispatch().
  void wait(base::duration longest);
  /// Hands the events of the last wait() to their handlers; returns how many there were.
  int dispatch();

 private:
  static constexpr int batch = 256;

  unique_fd epoll_;
  std::array<epoll_event, batch> events_;  // of the last wait; an event whose handler was removed has none
  int ready_ = 0;
  bool precise_ = true;  // the kernel has epoll_pwait2
};

}  // namespace dualbus::base
