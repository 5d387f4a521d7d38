#pragma once

#include <dualbus/base/chunk_queue.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::backend {

/// The verdict of a reply to `ECHO word` on the order of replies.
enum class echo : std::uint8_t {
  right,
  unclear,  ///< an error, as while a script keeps Redis busy
  wrong     ///< the reply to another request
};
echo judge_echo(std::string_view reply, std::string_view word);

/// A request whose reply is known and unlike any other: ECHO with a word that nobody can guess, which Redis
/// answers while it loads and as a replica without its master, too, where PING fails. Replies have
/// no numbers, so if a bus leaves one out, every later one goes to the wrong request, unless a connection is
/// told from time to time. A marker in the stream does that: either its own reply is another one, or its word
/// comes as the reply to another request.
///
/// One is under way at a time. Without a marker nothing is compared.
class order_marker {
 public:
  order_marker();

  /// Encodes the next marker, with a word of its own.
  void write(base::chunk_queue& out);
  /// The marker has a place among the requests whose replies are owed.
  bool under_way() const { return under_way_; }
  /// Its word may come: each reply is to be shown to fits(), before anybody gets it.
  bool expected() const { return expected_; }
  /// False if the order is lost. `own`: the marker's turn has come, which ends then.
  bool fits(std::string_view reply, bool own);
  /// True if `bytes`, the beginning of a reply that is not complete, have taken in the marker's own: somebody
  /// announced a string or list that swallows other replies. `own` as above.
  bool swallowed_by(std::string_view bytes, bool own) const;
  /// The marker's place is gone, without a reply.
  void forget() { under_way_ = expected_ = false; }

 private:
  const std::string stem_;
  std::string word_;
  std::uint64_t count_ = 0;
  bool under_way_ = false, expected_ = false;
};

}  // namespace dualbus::backend
