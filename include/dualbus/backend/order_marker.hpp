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

/// A request whose reply is known and unlike any other: ECHO with a word that nobody can guess. Redis answers
/// ECHO also while it loads and as a replica without its master, where PING fails. Replies have no numbers:
/// if a bus leaves one out, every later one goes to the wrong request. A marker in the stream shows that:
/// either it gets another reply, or its word comes as the reply to another request.
///
/// One is under way at a time. Without a marker nothing is compared.
class order_marker {
 public:
  order_marker();

  /// Encodes the next marker, with a word of its own.
  void write(base::chunk_queue& out);
  /// True if the marker has a place among the requests whose replies are owed.
  bool under_way() const { return under_way_; }
  /// True while the word may come: each reply must be shown to fits() before anybody gets it.
  bool expected() const { return expected_; }
  /// False if the order is lost. `own`: it is the marker's turn, which ends with this call.
  bool fits(std::string_view reply, bool own);
  /// True if `bytes`, the beginning of a reply that is not complete, contain the marker's own reply: somebody
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
