#pragma once

#include "server.hpp"

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace dualbus::app {

/// The process as a whole: the server that serves, and, while a reload replaces it, the next one.
///
///   reload ──> present server checks the file; its workers follow, or it calls replace():
///                next server ── hand-over ──> takes listeners and clients of the present one
///                present server ends; the next one is the present one
///
/// Everything is called on the thread of `io`, except where it says otherwise.
class daemon {
 public:
  /// `path`: of the configuration file. `end`: is called when the process is not needed any more.
  daemon(boost::asio::io_context& io, std::string path, std::function<void()> end);
  ~daemon();  ///< stops
  daemon(const daemon&) = delete;
  daemon& operator=(const daemon&) = delete;

  /// Starts the first server. Throws what server and its start() throw.
  void start(std::shared_ptr<const config::configuration> configuration, const std::string& take_over);
  void reload();
  void drain();
  /// Ends gracefully: within shutdown_timeout, and a few seconds more if a reload is under way.
  void stop();
  /// The socket at which another process may take over; empty if there is none.
  std::string control_socket_path() const {
    return present_.server ? present_.server->control_socket_path() : std::string();
  }

 private:
  struct numbered {
    unsigned number = 0;
    std::unique_ptr<app::server> server;
  };
  numbered make(std::shared_ptr<const config::configuration> configuration, predecessor before);
  void replace(std::shared_ptr<const config::configuration> configuration, predecessor before);
  void on_ended(unsigned number);
  void retire(std::unique_ptr<server> which);
  void feed_watchdog(std::chrono::microseconds every);

  boost::asio::io_context& io_;
  const std::string path_;
  const std::function<void()> end_;
  boost::asio::steady_timer drain_time_{io_}, watchdog_time_{io_};
  numbered present_;
  std::mutex starting_;  // held while the next server starts
  std::mutex mutex_;
  numbered next_;  // guarded by it, as the following two
  unsigned last_number_ = 0;
  bool reload_again_ = false;
  std::list<std::thread> retiring_;  // each ends a server
};

}  // namespace dualbus::app
