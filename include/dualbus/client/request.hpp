#pragma once

#include <dualbus/resp/request_parser.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::client {

class session;
struct session_state;

/// Stands for a command that is not in the table.
inline constexpr std::uint16_t no_command = 0xffff;

/// One parsed request; its views live as long as it is being handled.
struct request {
  resp::arguments args;
  std::string_view raw;                ///< its bytes as received
  bool verbatim = false;               ///< whether `raw` may be forwarded as it is
  std::uint16_t command = no_command;  ///< index in the command table
};

/// Takes the requests of one worker's clients. A session leaves to it everything that takes knowledge of
/// commands or buses.
class request_handler {
 public:
  /// Takes one request of a client, whose `command` is not known yet, to where it belongs: a bus, several, or
  /// the daemon itself. When handle() returns true, the request has been answered, queued, or handed on to be
  /// answered later. False: the request must come again when the client's earlier requests have been
  /// answered; the session has paused for that.
  virtual bool handle(session& client, request& taken) = 0;
  /// Memory ran out in handle(): the parts of requests that stand in the output to any bus are taken back.
  virtual void drop_unfinished() = 0;
  /// Ends all subscriptions of the client.
  virtual void end_subscriptions(session& client) = 0;
  /// The requests by which the client could get again all that it hears of other clients.
  virtual std::vector<std::vector<std::string>> requests_to_hear(const session& client) const = 0;
  /// The error reply that says why the client may not send that request; empty if it may.
  virtual std::string denial_of(const session& client, const std::vector<std::string>& words) = 0;
  /// For a client that comes from another process: subscribes it, without an answer, to all that it was
  /// subscribed to there.
  virtual void restore_subscriptions(session& client, const session_state& state) = 0;
  /// Likewise: its transaction has lost the keys that it watched. Begins with an empty one if there is none.
  virtual void restore_lost_watch(session& client) = 0;

 protected:
  ~request_handler() = default;
};

}  // namespace dualbus::client
