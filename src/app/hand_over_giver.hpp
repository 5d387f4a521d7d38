#pragma once

#include "hand_over_wire.hpp"
#include "ownership_board.hpp"

#include <dualbus/client/session.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::app {

/// The daemon, as far as its hand-over to another process is concerned. Called on the giver's thread; each
/// call returns when the workers have done what it says.
class hand_over_source {
 public:
  struct listener {
    hand_over::listener_kind what;
    int fd;  ///< stays the daemon's
  };
  struct departed {
    std::size_t worker;
    client::session::departed client;
  };
  struct round {
    std::vector<departed> ready;
    std::size_t left = 0;  ///< clients that have not gone
  };
  struct numbers {
    std::uint64_t last_client_id = 0, last_slow_id = 0;
  };

  virtual void accept_clients(bool accepting) = 0;
  /// Subscribers can depart from now on, behind markers on that channel. By worker, the requests by which
  /// another process hears all that they hear.
  virtual std::vector<std::vector<std::vector<std::string>>> prepare_subscribers(
      const std::string& channel) = 0;
  virtual std::vector<listener> listeners() = 0;
  virtual numbers last_numbers() = 0;
  /// See client::departures.
  virtual round take_departed(bool forced) = 0;
  /// `refused`: it is not to be offered again.
  virtual void take_back(departed client, bool refused) = 0;
  virtual void call_off() = 0;
  virtual std::chrono::milliseconds hand_over_timeout() = 0;

 protected:
  ~hand_over_source() = default;
};

/// Hands the daemon's listeners and clients to the process at the other end of a channel: see
/// hand_over_wire.hpp.
class hand_over_giver {
 public:
  /// All outlive it. `stop`: is set from another thread to call the hand-over off.
  hand_over_giver(hand_over_source& daemon, hand_over::channel& taker, const std::atomic<bool>& stop)
      : daemon_(daemon), taker_(taker), stop_(stop) {}

  struct outcome {
    bool given = false;   ///< the other process is the daemon now, and this one must end
    bool failed = false;  ///< it had begun; neither: it was refused before
    std::string text;     ///< for the log
  };
  outcome run();

 private:
  struct offered {
    hand_over_source::departed client;
    base::time_point since;
  };

  bool greet(std::string& refusal);
  bool give_listeners(ownership_board& board);
  bool give_subscriptions();
  std::string give_clients(ownership_board& board);
  std::string finish(ownership_board& board);
  bool offer(ownership_board& board, hand_over_source::departed client);
  /// Takes in one answer; false if the other one has ended.
  bool hear(ownership_board& board, base::duration wait);
  void withdraw(ownership_board& board, base::time_point before);
  std::string summary(base::time_point begun) const;
  /// The name of the other side, for messages.
  std::string taker() const;

  hand_over_source& daemon_;
  hand_over::channel& taker_;
  const std::atomic<bool>& stop_;
  std::map<std::uint32_t, offered> offered_;
  std::uint32_t next_ = 0;
  std::size_t given_ = 0, waiting_ = 0, subscribers_ = 0, transactions_ = 0, returned_ = 0, refused_ = 0,
              left_ = 0;
  std::optional<base::time_point> unanswered_since_;  // by the other process, though clients were offered
  base::time_point offer_again_{};
};

}  // namespace dualbus::app
