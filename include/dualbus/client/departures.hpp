#pragma once

#include <dualbus/client/client_directory.hpp>
#include <dualbus/client/session.hpp>

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

namespace dualbus::client {

/// Decides when a subscriber that could go may go.
class departure_gate {
 public:
  enum class verdict : std::uint8_t {
    now,
    later,   ///< ask again
    engaged  ///< the same, and do not let it stay meanwhile: it is soon let go
  };
  virtual verdict may_depart(const session& subscriber) = 0;
  /// It stays, or has ended.
  virtual void forget(std::uint64_t subscriber) = 0;
  /// All that could go were asked about.
  virtual void end_of_take() = 0;
  /// The round in which those leave that go now, see session_state.
  virtual std::uint64_t round() const = 0;

 protected:
  ~departure_gate() = default;
};

/// Sends the clients of one worker to another process, a few at a time: each is not read for a moment, until
/// it is owed nothing. One for which that takes too long is read again, and its turn comes later. Clients
/// that wait go in the order in which they began to.
///
///   here ──not read──> leaving ──owed nothing──> departed
///     ^                   │
///     └──── patience ─────┘
class departures {
 public:
  /// All outlive it.
  departures(client_directory& clients, client::turn& turn, departure_gate& gate)
      : clients_(clients), turn_(turn), gate_(gate) {}

  /// The clients that are ready to go now; they have no session any more. Call it again and again, each time
  /// in a turn of its own. `forced`: transactions lose what they watch, and waits that cannot go end.
  std::vector<session::departed> take(bool forced);
  /// Clients that have not gone.
  std::size_t left() const { return clients_.size(); }
  /// This client was not taken, and stays; it does not go again.
  void keep(std::uint64_t id) { kept_.insert(id); }
  /// The others stay, too: nobody leaves any more.
  void call_off();

 private:
  struct leaving {
    std::uint64_t id;
    base::time_point since;
  };
  void begin_round();
  /// True if the client has gone, ended, or stays for now.
  bool settle(const leaving& each, bool forced, std::vector<session::departed>& ready);

  client_directory& clients_;
  client::turn& turn_;
  departure_gate& gate_;
  std::vector<std::uint64_t> round_;  // the next one comes last
  std::vector<leaving> leaving_;
  std::unordered_set<std::uint64_t> kept_;
};

}  // namespace dualbus::client
