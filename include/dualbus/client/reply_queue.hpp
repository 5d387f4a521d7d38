#pragma once

#include <dualbus/base/chunk_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::client {

/// The reply that a client is owed for one of its requests. It stands in the reply_queue of its client from
/// owe() until take_finished() or close() hands it back. The queue never frees it.
class owed_reply {
 public:
  /// `muted`: it is not sent (CLIENT REPLY OFF and SKIP).
  owed_reply(base::chunk_pool& pool, bool muted) : stash_(pool, true), muted_(muted) {}
  owed_reply(const owed_reply&) = delete;
  owed_reply& operator=(const owed_reply&) = delete;

  /// This reply comes soon: the replies before it wait for it, so that one write will do.
  void hold_output_back() { holds_output_back_ = true; }

 protected:
  ~owed_reply() = default;

 private:
  friend class reply_queue;

  base::chunk_queue stash_;  // the reply, while others come before it
  owed_reply* next_ = nullptr;
  std::size_t kept_bytes_ = 0;
  bool done_ = false;
  bool deferred_ = false;
  bool muted_;
  bool holds_output_back_ = false;
  bool holds_pushes_ = false;
};

/// The replies that one client is owed, in the order of its requests, and its output. It has no socket: the
/// client's connection writes out() and frees the replies that it takes.
///
/// There are four ways to owe a reply:
///   - at once: begin_answer(), encode, end_answer();
///   - later: owe(); encode into target(); finish(). Any of them may be the first to finish;
///   - in the order of deferring: owe() and defer(), then begin_deferred() and finish() as above;
///   - in a place that was taken before: owe(), then answer_next_at() in front of begin_answer(), or drop().
///
/// Redis gives one reply to each request, in order; messages of Pub/Sub stand between replies, never within
/// one. A queue that is closed owes nothing and takes nothing.
class reply_queue {
 public:
  explicit reply_queue(base::chunk_pool& pool) : out_(pool) {}
  reply_queue(const reply_queue&) = delete;
  reply_queue& operator=(const reply_queue&) = delete;

  // --- what is owed

  /// Puts the reply at the end of the queue. Call before anything can finish it.
  void owe(owed_reply& reply);
  bool owes() const { return oldest_ != nullptr; }
  /// Nothing is owed and nothing waits to be written.
  bool idle() const { return !owes() && out_.empty(); }
  /// The number of replies owed that do not stand in the output yet.
  std::uint32_t owed() const { return owed_; }
  /// Null if nothing is owed.
  owed_reply* oldest() const { return oldest_; }
  owed_reply* newest() const { return newest_; }
  /// True if `is(const owed_reply&)` is true of a reply that is not complete yet.
  template <typename Is>
  bool any_unfinished(Is&& is) const {
    for (const owed_reply* reply = oldest_; reply != nullptr; reply = reply->next_) {
      if (!reply->done_ && is(*reply)) return true;
    }
    return false;
  }
  /// The queue into which the reply is to be encoded, whole, before finish().
  base::chunk_queue& target(owed_reply& reply) {
    return &reply == oldest_ && !reply.muted_ ? out_ : reply.stash_;
  }
  /// The reply is complete. Returns the number of bytes not kept for it any more; see keep().
  std::size_t finish(owed_reply& reply);
  /// The oldest reply, if it is complete: now it stands in the output, and belongs to the caller. Null
  /// otherwise. Call it after each finish() and end_answer(), until it returns null.
  owed_reply* take_finished();

  /// Bytes that are kept for a reply elsewhere, until it is finished or forgets them.
  void keep(owed_reply& reply, std::size_t bytes);
  std::size_t forget_kept(owed_reply& reply);

  // --- replies of the daemon's own

  /// Returns the queue into which the reply to the present request is encoded at once; null if it is not to
  /// be sent. `make()` returns an owed_reply for it, if it has to wait for others. end_answer() follows in
  /// any case.
  template <typename Make>
  base::chunk_queue* begin_answer(Make&& make) {
    owed_reply* place = std::exchange(place_, nullptr);
    if (closed_) return nullptr;
    if (place == nullptr) {
      if (mutes()) return nullptr;
      if (!owes()) return &out_;
      place = make();
      owe(*place);
    }
    answering_ = place;
    return &place->stash_;
  }
  void end_answer();

  /// The next answer that begins goes to `place`, which is owed, though others have been owed since.
  void answer_next_at(owed_reply& place) { place_ = &place; }
  /// Takes back the place that the next answer was to take, for other use; null if there is none.
  owed_reply* take_place() { return std::exchange(place_, nullptr); }
  /// The place, which is muted, will get no reply.
  void drop(owed_reply& place) { place.done_ = true; }
  /// The replies behind `first`, up to and with `last`, are not to be sent. Both are owed.
  void mute(owed_reply& first, owed_reply& last);
  void mute(owed_reply& reply) { reply.muted_ = true; }

  /// The reply is owed, and will be completed in the order of deferring.
  void defer(owed_reply& reply) { reply.deferred_ = true; }
  /// The first deferred reply; null if there is none.
  owed_reply* first_deferred() const;
  /// The queue into which a deferred reply is to be encoded, before finish().
  base::chunk_queue& begin_deferred(owed_reply& reply) {
    reply.deferred_ = false;
    return target(reply);
  }

  // --- CLIENT REPLY

  enum class mode : std::uint8_t { on, off, skip_next, skip_this };
  void set_mode(mode to) { mode_ = to; }
  mode current_mode() const { return mode_; }
  /// RESET: replies are on again, except one that was to be skipped.
  void reset_mode() {
    if (mode_ != mode::skip_this) mode_ = mode::on;
  }
  /// True if the reply to the present request is not to be sent.
  bool mutes() const { return mode_ == mode::off || mode_ == mode::skip_this; }
  /// The present request is over: CLIENT REPLY SKIP means the next one.
  void next_request() {
    if (mode_ == mode::skip_this) mode_ = mode::on;
    if (mode_ == mode::skip_next) mode_ = mode::skip_this;
  }

  // --- messages between replies

  /// Messages that come before the newest reply stands in the output are sent behind that reply, as in Redis
  /// since 7.2 (networking.c, _addReplyToBufferOrList: pending_push_messages).
  void hold_pushes_behind_newest();
  /// `first` and `rest` together are one encoded message.
  void push(char first, std::string_view rest);
  /// The output, for a message that is not held back.
  base::chunk_queue& push_target() {
    only_acknowledged_ = false;
    return out_;
  }

  // --- the output

  base::chunk_queue& out() { return out_; }
  const base::chunk_queue& out() const { return out_; }
  /// Bytes of replies that wait to be written: for the client, or for others before them.
  std::size_t waiting_bytes() const { return out_.size() + stashed_bytes_; }
  std::size_t kept_bytes() const { return kept_bytes_; }

  /// MULTI: from now on only acknowledgements are expected.
  void begin_acknowledging() { only_acknowledged_ = !owes() && out_.empty(); }
  /// Only the replies to MULTI and to the requests queued since wait to be written: EXEC's reply may travel
  /// with them.
  bool only_acknowledged() const { return only_acknowledged_ && oldest_ == newest_; }
  /// True if the output may wait for the oldest reply, which is near.
  bool may_wait() const { return only_acknowledged_ && owes() && oldest_->holds_output_back_; }

  /// The client has gone: hands out the replies owed, the oldest first, by `left(reply, done)`, and empties
  /// the output.
  template <typename Left>
  void close(Left&& left) {
    closed_ = true;
    newest_ = answering_ = place_ = nullptr;
    for (owed_reply* reply = std::exchange(oldest_, nullptr); reply != nullptr;) {
      owed_reply* const next = reply->next_;
      left(*reply, reply->done_);
      reply = next;
    }
    owed_ = 0;
    stashed_bytes_ = kept_bytes_ = 0;
    held_pushes_.clear();
    out_.clear();
  }

 private:
  struct held_push {
    std::uint32_t hold;
    std::string bytes;
  };

  void release_pushes();

  base::chunk_queue out_;
  owed_reply* oldest_ = nullptr;
  owed_reply* newest_ = nullptr;
  owed_reply* answering_ = nullptr;
  owed_reply* place_ = nullptr;  // of the next answer
  std::size_t stashed_bytes_ = 0, kept_bytes_ = 0;
  std::vector<held_push> held_pushes_;
  std::uint32_t newest_hold_ = 0, ended_holds_ = 0;  // numbers of holds
  std::uint32_t owed_ = 0;
  mode mode_ = mode::on;
  bool only_acknowledged_ = false, closed_ = false;
};

// --------------------------------------------------------------------------------------- for every request

inline void reply_queue::owe(owed_reply& reply) {
  (newest_ != nullptr ? newest_->next_ : oldest_) = &reply;
  newest_ = &reply;
  ++owed_;
}

inline std::size_t reply_queue::forget_kept(owed_reply& reply) {
  const std::size_t bytes = std::exchange(reply.kept_bytes_, 0);
  kept_bytes_ -= bytes;
  return bytes;
}

inline std::size_t reply_queue::finish(owed_reply& reply) {
  reply.done_ = true;
  if (reply.muted_) reply.stash_.clear();
  stashed_bytes_ += reply.stash_.size();
  return forget_kept(reply);
}

inline owed_reply* reply_queue::take_finished() {
  owed_reply* const reply = oldest_;
  if (reply == nullptr || !reply->done_) return nullptr;
  oldest_ = reply->next_;
  if (oldest_ == nullptr) newest_ = nullptr;
  if (!reply->stash_.empty()) {
    stashed_bytes_ -= reply->stash_.size();
    out_.splice(reply->stash_);
  }
  if (reply->holds_pushes_) [[unlikely]]
    release_pushes();
  --owed_;
  return reply;
}

}  // namespace dualbus::client
