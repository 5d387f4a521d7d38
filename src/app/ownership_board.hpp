#pragma once

#include <dualbus/base/unique_fd.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace dualbus::app {

/// Memory that two processes share during a hand-over, with one word for each client that is offered and one
/// for the hand-over as a whole. A word decides who owns the client: it changes once, by one atomic step, and
/// whoever makes that step first is right. So the two never disagree, whichever of them hangs or is killed at
/// whatever moment: the memory is still there for the other.
///
///   a client     free ──giver──> offered ──taker──> taken    the taker serves it, and nobody else does any
///   more
///                                   └─────giver───> kept     the giver serves it on
///   the whole    running ──giver──> complete     the taker is the daemon now
///                   ├──────giver──> called_off   the giver goes on; the taker serves what it has, and ends
///                   └──────taker──> orphaned     the giver has died; the taker is the daemon now
///
/// Between `offered` and the next step nobody reads from the client or writes to it.
class ownership_board {
 public:
  /// The number of offers in one hand-over. A client may be offered several times.
  static constexpr std::uint32_t offers = std::uint32_t{1} << 20;

  /// For the giver. Throws std::system_error.
  ownership_board();
  /// For the taker: the giver's descriptor. Throws std::runtime_error if it is something else.
  explicit ownership_board(base::unique_fd memory);
  ~ownership_board();
  ownership_board(const ownership_board&) = delete;
  ownership_board& operator=(const ownership_board&) = delete;

  int fd() const { return memory_.get(); }

  // By the giver.
  void offer(std::uint32_t number);
  bool keep(std::uint32_t number) { return change(number + 1, offered, kept); }
  bool complete() { return change(0, running, is_complete); }
  bool call_off() { return change(0, running, called_off); }
  // By the taker.
  bool take(std::uint32_t number) { return change(number + 1, offered, taken); }
  bool adopt_orphans() { return change(0, running, orphaned) || word(0).load() == is_complete; }

 private:
  using word_type = std::atomic<std::uint32_t>;
  static_assert(word_type::is_always_lock_free);
  enum client_word : std::uint32_t { free, offered, taken, kept };
  enum whole_word : std::uint32_t { running, is_complete, called_off, orphaned };

  void map();
  word_type& word(std::uint32_t index) { return words_[index]; }
  bool change(std::uint32_t index, std::uint32_t from, std::uint32_t to);

  base::unique_fd memory_;
  word_type* words_ = nullptr;
};

}  // namespace dualbus::app
