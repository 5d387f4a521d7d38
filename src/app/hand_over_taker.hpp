#pragma once

#include "hand_over_wire.hpp"
#include "ownership_board.hpp"

#include <dualbus/client/session_state.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace dualbus::app {

/// The daemon, as far as it takes another process's place. Called on the taker's thread.
class hand_over_target {
 public:
  /// Why the client cannot be served here; empty if it can.
  virtual std::string fault_of(const client::session_state& state) = 0;
  /// Serves the client from now on.
  virtual void take_client(base::unique_fd fd, client::session_state state) = 0;
  /// Hears what clients of that worker of the other process hear, and returns when it does.
  virtual void hear(std::uint32_t worker, hand_over::subscriptions what) = 0;
  /// This process is the daemon now. `giver_died`: because nobody else is left.
  virtual void become_daemon(bool giver_died) = 0;
  /// The other process goes on: this one accepts nobody, and ends when its clients have left.
  virtual void give_up(const std::string& why) = 0;

 protected:
  ~hand_over_target() = default;
};

/// Takes the listeners and clients of a running daemon: see hand_over_wire.hpp.
class hand_over_taker {
 public:
  /// Connects to the control socket. Throws std::runtime_error, whose text says what is wrong and what to do,
  /// if nobody listens there, or if the daemon refuses.
  explicit hand_over_taker(const std::string& control_socket);
  /// The giver is at the other end of `giver`, in this process. Throws as the other one.
  explicit hand_over_taker(base::unique_fd giver);
  ~hand_over_taker();  ///< stops
  hand_over_taker(const hand_over_taker&) = delete;
  hand_over_taker& operator=(const hand_over_taker&) = delete;

  struct listener {
    hand_over::listener_kind what;
    base::unique_fd fd;
  };
  struct inheritance {
    std::vector<listener> listeners;
    std::uint64_t last_client_id = 0, last_slow_id = 0;
  };
  /// The running daemon accepts nobody from now on. Throws as the constructor does.
  inheritance receive_listeners();
  /// The listeners are in use: takes clients, on a thread of its own, as long as there are some. Call it
  /// once.
  void start(hand_over_target& daemon);
  void stop();

 private:
  void greet();
  void run(hand_over_target& daemon);
  void take(hand_over_target& daemon, hand_over::frame offer);
  [[noreturn]] void fail(const std::string& why) const;

  const std::string place_;  // for messages
  hand_over::channel giver_;
  std::unique_ptr<ownership_board> board_;
  std::atomic<bool> stopping_{false};
  std::size_t taken_ = 0;
  base::time_point begun_ = base::clock::now();
  std::thread thread_;
};

}  // namespace dualbus::app
