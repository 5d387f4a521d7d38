#pragma once

#include <dualbus/admin/move_check.hpp>
#include <dualbus/admin/service.hpp>
#include <dualbus/app/reloader.hpp>
#include <dualbus/app/worker.hpp>
#include <dualbus/config/configuration.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace dualbus::app {

/// The whole daemon: listeners, workers, admin service. Owned and driven by one thread, which is no worker's.
class server {
 public:
  /// Opens the listeners; throws std::system_error, whose text names the address, if that fails.
  explicit server(std::shared_ptr<const config::configuration> configuration);
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Looks whether the buses are those that they were, and starts the workers' threads and the admin service;
  /// may throw as the constructor does.
  void start();
  /// Loads the file again, soon, on another thread, and takes over what can change at run time; names in the
  /// log what cannot, and what it would take from readers of streams.
  void reload(const std::string& path);
  /// Ends gracefully, within shutdown_timeout.
  void stop();

 private:
  void open_listeners();
  void raise_descriptor_limit();
  void limit_memory();
  void load_again();
  /// False if the reload is refused.
  bool may_move_keys(const config::configuration& loaded);
  void ask_all(std::size_t asking, session::worker_context::question what,
               session::worker_context::answers done);
  std::vector<metrics::worker_snapshot> snapshots();

  std::shared_ptr<const config::configuration> configuration_;
  session::daemon_state daemon_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::thread> threads_;
  std::mutex snapshots_mutex_;
  std::vector<std::shared_ptr<metrics::worker_snapshot>> last_snapshots_;
  std::unique_ptr<admin::service> admin_;
  std::string path_;
  admin::move_check moves_;
  reloader reloader_{[this] { load_again(); }};  // from its start on the configuration is its thread's
};

}  // namespace dualbus::app
