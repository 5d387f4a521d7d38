#pragma once

#include <dualbus/base/unique_fd.hpp>
#include <dualbus/client/client_directory.hpp>
#include <dualbus/client/session_environment.hpp>
#include <dualbus/client/session_state.hpp>

#include <atomic>
#include <cstdint>

namespace dualbus::client {

/// Lets clients in, as many as there may be, and closes those that do not log in.
class door {
 public:
  /// All outlive it. `last_id`: the ID of the last client, of all workers.
  door(session_environment& environment, client_directory& clients, std::atomic<std::uint64_t>& last_id)
      : environment_(environment), clients_(clients), last_id_(last_id) {}

  /// Takes a connection that was accepted; refuses it, as Redis does, if there are too many clients.
  void accept(base::unique_fd fd, bool tcp);
  /// Takes a client that another process, or this one before, has served, even beyond limits.max_clients: it
  /// was let in already.
  void take_over(base::unique_fd fd, const session_state& state);
  /// limits.max_clients, or fewer if the process may not have so many descriptors.
  std::uint64_t most_clients() const;
  /// Closes strangers whose place is needed or whose time is over. Every few ten milliseconds.
  void check_strangers();

 private:
  bool make_room();
  /// Whether a client of this worker has had the time to log in and has not.
  bool has_silent_stranger() const;
  void displace_stranger();

  session_environment& environment_;
  client_directory& clients_;
  std::atomic<std::uint64_t>& last_id_;
};

}  // namespace dualbus::client
