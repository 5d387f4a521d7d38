#pragma once

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/base/poller.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace dualbus::fleet {

/// The one thread: sockets are in the poller, timers in the io_context, which also waits for the poller.
class event_loop {
 public:
  event_loop();
  ~event_loop();
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  boost::asio::io_context& io() { return io_; }
  base::poller& poller() { return poller_; }
  base::chunk_pool& chunks() { return chunks_; }

  /// Runs until stop() is called from a handler.
  void run();
  void stop() { io_.stop(); }

 private:
  void await_traffic();

  boost::asio::io_context io_;
  base::poller poller_;
  base::chunk_pool chunks_;
  boost::asio::posix::stream_descriptor traffic_;
};

}  // namespace dualbus::fleet
