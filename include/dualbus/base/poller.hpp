#pragma once

#include <dualbus/base/unique_fd.hpp>

#include <cstdint>
#include <vector>

namespace dualbus::base {

/// Gets told that a descriptor is ready. The object must stay alive until it left the poller *and* the
/// current dispatch() has returned: owners destroy handlers only between dispatches.
class io_handler {
 public:
  virtual ~io_handler() = default;
  virtual void on_readable() = 0;
  virtual void on_writable() = 0;
  /// The peer has closed while reading was not asked for: its own direction only, or both.
  virtual void on_hangup(bool both_directions) = 0;
};

/// The descriptors of one worker that carry traffic, level-triggered.
///
/// Why beside Asio's reactor: Asio costs a connection without pipelining a second system call per request,
/// either a read that finds nothing (speculative) or an epoll_ctl to arm a wait. Here reading a request is
/// one recv and nothing else. The poller's own descriptor becomes readable when any of its descriptors is
/// ready; the worker's io_context waits for that, so timers, resolving and posted work stay Asio's.
class poller {
 public:
  poller();

  int fd() const { return epoll_.get(); }

  /// What a descriptor is watched for. That both directions have closed is always told; that the peer has
  /// closed its own, only if asked for, and not while reading, which finds it.
  struct interest {
    bool read = false, write = false, half_close = true;
  };
  void add(int fd, io_handler& handler, interest what);
  void modify(int fd, io_handler& handler, interest what);
  /// Forgets `fd`; events for its handler that are still to be dispatched are dropped.
  void remove(int fd, io_handler& handler);
  /// A listening descriptor that several pollers share: one of them is woken per connection.
  void add_shared_listener(int fd, io_handler& handler);

  /// Hands the events that are there to their handlers, without waiting; returns how many there were.
  int dispatch();

 private:
  static constexpr int batch = 256;

  unique_fd epoll_;
  std::vector<io_handler*> pending_;  // of the batch being dispatched; null once removed
};

}  // namespace dualbus::base
