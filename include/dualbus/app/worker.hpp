#pragma once

#include <dualbus/app/acceptor.hpp>
#include <dualbus/app/mailbox.hpp>
#include <dualbus/session/worker_context.hpp>

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace dualbus::app {

/// One thread's share of the daemon: its clients, its connections to the buses, and the loop that serves
/// them.
///
///   wait ──> turn: read what is ready, dispatch, run the timers that are due, write
///     ^        every 50 ms also a tick: time-outs, reconnects, idle clients, resolved names
///     └────── turns of their own for what other threads have posted
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
  base::duration until_due() const;
  void take_turn();
  void read_mail();
  void tick();
  void end_when_drained();

  boost::asio::io_context io_;  // resolves names; asked in every tick
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> resolving_;
  session::worker_context context_;
  mailbox mailbox_;
  std::vector<std::unique_ptr<acceptor>> acceptors_;
  base::time_point next_tick_{}, give_up_at_{};
  bool draining_ = false, ended_ = false;
};

}  // namespace dualbus::app
