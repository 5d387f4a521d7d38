#pragma once

#include <dualbus/client/reply_queue.hpp>
#include <dualbus/resp/encoder.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace dualbus::client {

/// Where a read that waits goes on, on one bus: behind `id`, which is an ID of that bus.
struct read_cursor {
  std::uint32_t key = 0;  ///< index of the key in the request
  std::string bus;        ///< by name: another configuration may number the buses differently
  std::string id;
  bool operator==(const read_cursor&) const = default;
};

/// Everything that one process must tell another about a client that is owed nothing, so that the client does
/// not notice the change. Its socket travels beside it.
///
/// A request that waits (XREAD with BLOCK, BLPOP) is the first of `input`, with the time that it has left as
/// its time limit: whoever takes the client carries it out like any other.
struct session_state {
  /// The version of the encoding. A process takes states of its own version and of all earlier ones. A field
  /// that is added gets a tag of its own and a new version; its default means what an older state means.
  static constexpr std::uint16_t version = 1;

  std::uint64_t id = 0;
  bool tcp = true;
  resp::protocol protocol = resp::protocol::resp2;
  std::uint8_t database = 0;
  bool logged_in = false;
  std::string user;  ///< empty: none
  std::string name, library, library_version;
  bool evictable = true;  ///< CLIENT NO-EVICT
  reply_queue::mode replies = reply_queue::mode::on;
  std::chrono::milliseconds age{0}, idle{0};
  std::string last_command;  ///< empty: none that is known

  std::uint8_t engine_source = 0;  ///< by which sign the engine is known, see engine_attribution
  std::uint8_t engine_searches = 0;
  std::string engine;  ///< empty: not known

  bool in_transaction = false;
  bool spoiled = false;     ///< EXEC will be refused
  bool watch_lost = false;  ///< EXEC will answer nil
  std::string queue;        ///< the requests since MULTI, as RESP

  /// The requests by which it has subscribed to all that it is subscribed to.
  std::vector<std::vector<std::string>> subscriptions;

  /// In which it leaves the subscribers, see operation/subscription_departure; 0: in none.
  std::uint64_t round = 0;

  std::string input;                 ///< bytes that were read and not carried out
  std::string output;                ///< whole replies and messages that the socket has not taken yet
  std::vector<read_cursor> cursors;  ///< of the first request of `input`

  bool operator==(const session_state&) const = default;
};

std::string encode(const session_state& state);
/// Never fails on a state that encode() of this version or an earlier one has made. For other bytes, the
/// reason in words. Bounded in memory by a few times `bytes`.
std::variant<session_state, std::string> decode(std::string_view bytes);

}  // namespace dualbus::client
