#pragma once

#include <dualbus/app/acceptor.hpp>
#include <dualbus/session/worker_context.hpp>

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace dualbus::app {

/// One thread's share of the daemon: its clients, its connections to the buses, and the loop that serves
/// them.
///
///   io_context ── poller readable ──> turn: read, dispatch, write
///              ├─ timer ───────────> tick: time-outs, reconnects, idle clients
///              └─ post() ──────────> what other threads ask for
class worker {
 public:
  worker(std::shared_ptr<const config::configuration> configuration, session::daemon_state& daemon,
         session::worker_context::ask_all_function ask_all);
  ~worker();
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  /// Before run() only.
  void listen(base::unique_fd listener, bool tcp, bool shared);

  /// Serves until shut down; on the thread that is to own the worker.
  void run();

  /// Has `what` called on the worker's thread, in a turn of its own. From any thread; the only way in.
  void post(std::function<void(session::worker_context&)> what);
  /// Stops accepting, answers what is in flight, then ends run(); after `limit` at the latest.
  void shut_down(std::chrono::milliseconds limit);

 private:
  void await_traffic();
  void serve();
  void await_tick();
  void await_timers();
  void end_when_drained();

  boost::asio::io_context io_;
  session::worker_context context_;
  boost::asio::posix::stream_descriptor traffic_;
  boost::asio::steady_timer tick_, precise_;
  std::vector<std::unique_ptr<acceptor>> acceptors_;
  base::time_point armed_for_{}, give_up_at_{};
  bool draining_ = false;
};

}  // namespace dualbus::app
