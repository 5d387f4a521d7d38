#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/base/unique_fd.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The Unix socket between a running daemon, the giver, and the new one, the taker.
///
///   taker                                          giver
///     │ ── "dualbus take-over protocol=…\n" ─────────>│   checks versions, stops accepting
///     │ <── "welcome protocol=…\n" or "refused …\n" ──│
///     │ <── board, listener …, listeners_end ─────────│
///     │ ── ready ────────────────────────────────────>│   the taker accepts new clients
///     │ <── hear ─────────────────────────────────────│   names to subscribe to
///     │ ── heard ────────────────────────────────────>│
///     │ <── offer N (state, descriptor) ──────────────│   the board decides (ownership_board.hpp)
///     │ ── taken N, or refused N ────────────────────>│
///     │ <── done ─────────────────────────────────────│   nobody is left
///     │ ── end ──────────────────────────────────────>│   the taker has the control socket; the giver ends
///
/// What becomes of a client when a process dies, by the moment of its death:
///
///   moment                           the giver dies               the taker dies
///   before offer                     the client ends with it      the giver has never stopped serving it
///   offered, not taken               the taker takes it           the giver keeps it
///   taken                            the taker serves it          the client ends with it
///   between done and end             the taker is the daemon      the giver accepts again
///
/// So a client ends only with the process that owns it, as it would without a hand-over.
namespace dualbus::app::hand_over {

/// Raised when frames change. The taker speaks the giver's version, so it must know all versions before.
inline constexpr unsigned protocol_version = 1;

struct greeting {
  unsigned protocol = 0, state = 0;
  std::string daemon;  ///< its version, for the log
};
/// `word` is "dualbus take-over" or "welcome". With the line break.
std::string greeting_line(std::string_view word);
/// Nothing if the line is none, whatever it is.
std::optional<greeting> parse_greeting(std::string_view word, std::string_view line);

enum class kind : std::uint8_t {
  board = 1,
  listener,
  listeners_end,
  ready,
  hear,
  heard,
  offer,
  taken,
  refused,
  done,
  end
};

/// The `number` of a frame with a listener.
enum class listener_kind : std::uint32_t { tcp, unix_socket, admin };

struct frame {
  hand_over::kind what;
  std::uint32_t number = 0;
  std::string bytes;
  base::unique_fd fd;  ///< of board, listener and offer
};

/// The bytes of `hear`: the channel of the markers, and requests as in client::session_state::subscriptions.
std::string pack_requests(const std::string& channel, const std::vector<std::vector<std::string>>& requests);
/// Nothing if the bytes are none of those.
struct subscriptions {
  std::string channel;
  std::vector<std::vector<std::string>> requests;
};
std::optional<subscriptions> unpack_requests(std::string_view bytes);

/// One end of the socket, for one thread. Every call takes a limited time.
class channel {
 public:
  explicit channel(base::unique_fd socket);

  enum class result : std::uint8_t { done, nothing, ended };
  /// Nothing: not within `wait`.
  result receive_line(std::string& line, base::duration wait);
  /// Ended: the other process has closed its end or died, or speaks nonsense; problem() says which. All that
  /// it sent before comes first.
  result receive(frame& next, base::duration wait);
  /// False: the other one has ended, or takes nothing for seconds.
  bool send(kind what, std::uint32_t number = 0, std::string_view bytes = {}, int fd = -1);
  bool send_line(std::string_view line);
  /// Nothing more is received. Descriptors that are still on their way are closed with it: as long as one is
  /// open anywhere, its client does not learn that nobody serves it.
  void close();

  /// The user and process at the other end.
  bool is_same_user() const;
  int peer_process() const;
  /// Whether the other end belongs to this process.
  bool is_own_process() const;
  const std::string& problem() const { return problem_; }
  int fd() const { return socket_.get(); }
  /// Waits until something is there to receive.
  bool wait(base::duration longest) const;

 private:
  bool send_all(std::string_view head, std::string_view rest, int fd);
  result read_more(base::duration wait);
  bool take_frame(frame& next);

  base::unique_fd socket_;
  std::string received_;
  std::size_t used_ = 0;  // of received_
  std::deque<base::unique_fd> descriptors_;
  std::string problem_;
  bool nonsense_ = false;  // it has sent what cannot be read
};

}  // namespace dualbus::app::hand_over
