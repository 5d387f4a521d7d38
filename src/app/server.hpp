#pragma once

#include "control_socket.hpp"
#include "hand_over_taker.hpp"
#include "master_follower.hpp"
#include "reloader.hpp"
#include "worker.hpp"

#include <dualbus/admin/anchor_move.hpp>
#include <dualbus/admin/move_check.hpp>
#include <dualbus/admin/place_check.hpp>
#include <dualbus/admin/service.hpp>
#include <dualbus/admin/slot_marks.hpp>
#include <dualbus/config/configuration.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace dualbus::app {

/// The whole daemon: listeners, workers, admin service. Owned and driven by one thread, which is no worker's.
class server final : private hand_over_source, private hand_over_target {
 public:
  /// Opens the listeners; throws std::system_error, whose text names the address, if that fails. With
  /// `take_over`, the control socket of a running daemon, start() takes that one's listeners and clients
  /// instead.
  explicit server(std::shared_ptr<const config::configuration> configuration, std::string take_over = {});
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// `end` is called, on any thread, when this process is not needed any more: stop() is to follow. Call it
  /// before start().
  void set_on_end(std::function<void()> end) { on_end_ = std::move(end); }
  /// Checks that the buses are the same as before, and starts the workers' threads and the admin service. May
  /// throw as the constructor does.
  void start();
  /// Loads the file again, soon, on another thread, and takes over the settings that can change at run time.
  /// The log names those that cannot, and the entries that readers of streams would lose.
  void reload(const std::string& path);
  /// Sets the function that has stop() called on the owner's thread when a time is over; before start().
  void set_stop_later(std::function<void(std::chrono::milliseconds)> stop_later);
  /// Takes the daemon out of service: /readyz answers 503 from now on, while clients are served and accepted
  /// as before; limits.drain_delay later it stops. Nothing happens if it drains or stops already. From any
  /// thread.
  void drain();
  /// Ends gracefully, within shutdown_timeout.
  void stop();

 private:
  void open_listeners();
  void open_missing_listeners();
  void share_out_listeners();
  void raise_descriptor_limit();
  void limit_memory();
  void load_again();
  /// These are false if the reload is refused.
  bool may_move_keys(const config::configuration& loaded);
  bool may_move_buses(const config::configuration& loaded);
  bool may_move_anchor(const config::configuration& loaded);
  void take_masters();
  void note_draining();
  void rest(std::uint32_t buses);
  void ask_all(std::size_t asking, handler::colleagues::question question, handler::colleagues::answers done);
  std::vector<metrics::worker_snapshot> snapshots();

  template <typename Answer>
  std::vector<Answer> ask_workers(std::function<Answer(worker&, worker_parts&)> ask);

  // The hand-over to another process (server_hand_over.cpp).
  void accept_clients(bool accepting) override;
  std::vector<std::vector<std::vector<std::string>>> prepare_subscribers(const std::string& channel) override;
  std::vector<hand_over_source::listener> listeners() override;
  numbers last_numbers() override;
  round take_departed(bool forced) override;
  void take_back(departed client, bool refused) override;
  void call_off() override;
  std::chrono::milliseconds hand_over_timeout() override;
  void hand_over_ended(const hand_over_giver::outcome& outcome, int successor);
  void open_control(bool replace);

  // … and from one.
  void await_buses();
  base::unique_fd inherit_listeners(hand_over_taker::inheritance inherited);
  std::string fault_of(const client::session_state& state) override;
  void take_client(base::unique_fd fd, client::session_state state) override;
  void hear(std::uint32_t worker, hand_over::subscriptions what) override;
  void become_daemon(bool giver_died) override;
  void give_up(const std::string& why) override;

  std::shared_ptr<const config::configuration> configuration_;
  const std::string take_over_;
  const int databases_;
  const std::string control_path_;  // cannot change; asked for on any thread
  daemon_state daemon_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::thread> threads_;
  std::mutex snapshots_mutex_;
  std::vector<std::shared_ptr<metrics::worker_snapshot>> last_snapshots_;
  std::unique_ptr<admin::service> admin_;
  std::function<void(std::chrono::milliseconds)> stop_later_;
  std::atomic<std::chrono::milliseconds> drain_delay_{};
  std::vector<hand_over_taker::listener> listeners_;
  std::unique_ptr<hand_over_taker> taker_;
  std::unique_ptr<control_socket> control_;
  std::function<void()> on_end_;
  std::atomic<std::int64_t> hand_over_timeout_ms_;
  std::atomic<bool> owns_unix_socket_{false}, ending_{false};
  std::size_t next_worker_ = 0;  // that gets a client; on the taker's thread
  std::string path_;
  admin::move_check moves_;
  admin::place_check places_;
  admin::anchor_move anchors_;
  admin::slot_check slots_;
  std::mutex resting_mutex_;
  std::uint32_t draining_ = 0;  // by bit; guarded by it, as is what follows from it
  master_follower masters_{{[this](std::size_t bus, const config::server_address& master) {
                              for (auto& w : workers_)
                                w->post(
                                    [bus, master](worker_parts& parts) { parts.follow_master(bus, master); });
                            },
                            [this] { reloader_.post([this] { take_masters(); }); }}};
  reloader reloader_{[this] { load_again(); }};  // once it has started, its thread owns the configuration
};

}  // namespace dualbus::app
