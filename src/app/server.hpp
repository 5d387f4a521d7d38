#pragma once

#include "control_socket.hpp"
#include "hand_over_taker.hpp"
#include "master_follower.hpp"
#include "reloader.hpp"
#include "worker.hpp"

#include <dualbus/admin/anchor_move.hpp>
#include <dualbus/admin/move_check.hpp>
#include <dualbus/admin/place_check.hpp>
#include <dualbus/admin/retirement_check.hpp>
#include <dualbus/admin/service.hpp>
#include <dualbus/admin/slot_marks.hpp>
#include <dualbus/config/bus_union.hpp>
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

/// The place from which a server gets its listeners and clients, if it does not begin with none.
struct predecessor {
  std::string control_socket;             ///< of another process; empty: none
  std::function<base::unique_fd()> meet;  ///< or, of a server in this process, begins the hand-over, and
                                          ///< returns the taker's end; may throw std::system_error
  std::string run_id;                     ///< … and what clients know of that one
  std::chrono::system_clock::time_point started;
  const admin::service* service = nullptr;  ///< … whose counts go on; outlives the start of the new one
  std::vector<std::string> new_masters;     ///< … and the buses whose Sentinels have yet to name a master

  bool exists() const { return meet || !control_socket.empty(); }
};

/// All that serves one configuration: listeners, workers, admin service. Owned by `daemon`.
class server final : private hand_over_source, private hand_over_target {
 public:
  struct hooks {
    std::string path;  ///< of the configuration's file
    /// This server is not needed any more: stop() is to follow. On any thread.
    std::function<void()> ended;
    /// stop() is to follow when that time is over. On any thread.
    std::function<void(std::chrono::milliseconds)> stop_later;
    /// Makes and starts the server that is to take this one's place with another configuration. Throws what
    /// that throws, and logs it. On the reloader's thread.
    std::function<void(std::shared_ptr<const config::configuration>, predecessor)> replace;
    /// A reload was asked for while another server takes this one's place: that one is to be told. The same.
    std::function<void()> reload_again;
  };

  /// Without a predecessor it opens the listeners; throws std::system_error, whose text names the address, if
  /// that fails. The hooks may be called until stop() returns.
  server(std::shared_ptr<const config::configuration> configuration, predecessor before, hooks told);
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Checks that the buses are the same as before, and starts the workers' threads and the admin service. May
  /// throw as the constructor does.
  void start();
  /// Loads the file again, soon, on another thread. The workers follow, or new ones take their place; the log
  /// says what changes, or why nothing does.
  void reload();
  /// Takes the daemon out of service: /readyz answers 503 from now on, while clients are served and accepted
  /// as before; limits.drain_delay later it stops. Nothing happens if it drains or stops already. From any
  /// thread.
  void drain();
  /// Ends gracefully, within shutdown_timeout.
  void stop();
  /// The path; empty if there is none.
  const std::string& control_socket_path() const { return control_path_; }
  /// True if every worker has answered since the last call, which asked it. On one thread.
  bool workers_answer();
  /// True if another server in this process has its clients now.
  bool replaced() const { return replaced_; }

 private:
  void open_listeners();
  void open_missing_listeners();
  void share_out_listeners();
  void raise_descriptor_limit();
  void limit_memory();
  void load_again();
  handler::file_trial try_file() const;
  void follow(const std::shared_ptr<const config::configuration>& loaded);
  void make_way(const std::shared_ptr<const config::configuration>& loaded);
  base::unique_fd begin_hand_over();
  void stay();
  bool refuse(const std::vector<std::string>& mistakes);
  /// These are false if the reload is refused.
  bool may_change_buses(const config::configuration& loaded, const config::bus_union& both);
  bool may_move_keys(const config::bus_union& both);
  bool may_move_buses(const config::configuration& loaded);
  bool may_move_anchor(const config::bus_union& both);
  void take_masters();
  void note_draining();
  void rest(std::uint32_t buses);
  void ask_all(std::size_t asking, handler::colleagues::question question, handler::colleagues::answers done);
  std::vector<std::string> ask_from_outside(const handler::colleagues::question& question);
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
  const std::shared_ptr<const config::configuration> first_configuration_;  // on any thread
  predecessor before_;
  const hooks told_;
  const int databases_;
  const std::string control_path_;  // cannot change; asked for on any thread
  daemon_state daemon_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::thread> threads_;
  std::shared_ptr<std::atomic<std::size_t>>
      unanswered_;  // of the workers, the last question of workers_answer()
  std::mutex snapshots_mutex_;
  std::vector<std::shared_ptr<metrics::worker_snapshot>> last_snapshots_;
  std::unique_ptr<admin::service> admin_;
  std::atomic<std::chrono::milliseconds> drain_delay_{};
  std::vector<hand_over_taker::listener> listeners_;
  std::unique_ptr<hand_over_taker> taker_;
  std::unique_ptr<control_socket> control_;
  std::atomic<std::int64_t> hand_over_timeout_ms_;
  std::atomic<bool> owns_unix_socket_{false}, ending_{false};
  std::atomic<bool> serves_{false};  // it is, or is to be, the daemon; false for one that may fail unnoticed
  std::atomic<bool> making_way_{false}, replaced_{false};  // to and by a server in this process
  std::vector<std::string> left_sockets_;  // Unix sockets that only the predecessor has listened on
  std::size_t next_worker_ = 0;            // that gets a client; on the taker's thread
  admin::move_check moves_;
  admin::place_check places_;
  admin::anchor_move anchors_;
  admin::slot_check slots_;
  admin::retirement_check retirements_;
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
