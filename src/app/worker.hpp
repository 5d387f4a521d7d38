#pragma once

#include "acceptor.hpp"
#include "mailbox.hpp"
#include "worker_parts.hpp"

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
///     └────── turns of their own for calls that other threads have posted
class worker {
 public:
  worker(std::shared_ptr<const config::configuration> configuration, daemon_state& daemon,
         worker_parts::ask_all_function ask_all);
  ~worker();
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  /// Accepts clients from the listener, soon. From any thread.
  void listen(base::unique_fd listener, bool tcp, bool shared);
  /// In a call of post() only: whether clients are accepted.
  void set_accepting(bool value);

  /// Serves until shut down; on the thread that is to own the worker.
  void run();

  /// Has `call` called on the worker's thread, in a turn of its own. From any thread; the only way in.
  void post(std::function<void(worker_parts&)> call);
  /// Stops accepting, answers the requests in flight, then ends run(); after `limit` at the latest.
  void shut_down(std::chrono::milliseconds limit);

 private:
  base::duration until_due() const;
  void take_turn();
  void read_mail();
  void tick();
  void end_when_drained();

  boost::asio::io_context io_;  // resolves names; asked in every tick
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> resolving_;
  worker_parts parts_;
  mailbox mailbox_;
  std::vector<std::unique_ptr<acceptor>> acceptors_;
  base::time_point next_tick_{}, give_up_at_{};
  bool draining_ = false, ended_ = false;
};

}  // namespace dualbus::app
