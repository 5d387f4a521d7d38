#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/stranger_limits.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/worker_context.hpp>

#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

// How a client's connection ends, and what it waits for.
namespace dualbus::session {
namespace {

// How long a client that is sent away has to take its last answers.
constexpr std::chrono::milliseconds linger_time{250};
// While memory is tight: who has more replies to read is not read, and is cut off if it takes none of them
// for so long.
constexpr std::size_t most_owed_when_tight = std::size_t{64} << 10;
constexpr std::chrono::seconds patience_when_tight{10};

}  // namespace

void session::watch() {
  const base::poller::interest what{reading_, writing_, !half_closed_};
  // That both directions are closed is told again and again, whatever is asked for.
  const bool wanted = !deaf_ || reading_;
  if (wanted && watched_) {
    context_.poller.modify(fd_.get(), *this, what);
  } else if (wanted) {
    context_.poller.add(fd_.get(), *this, what);
  } else if (watched_) {
    context_.poller.remove(fd_.get(), *this);
  }
  watched_ = wanted;
}

// The client has gone while nothing is read from it. Redis carries out what has arrived before it sees that,
// up to a request that waits, or that CLIENT PAUSE holds back: this and what stands behind it is dropped.
void session::on_hangup(bool both_directions) {
  deaf_ |= both_directions;
  half_closed_ = true;
  if (lingering_) return deaf_ ? close(close_reason_) : watch();
  const bool taking = tail_ != nullptr && tail_->taking();
  if (blocked_ && !taking && !leaving_) {
    leave(metrics::close_reason::client);
  } else if (is_paused(pause_reason::client_pause)) {
    end_input(metrics::close_reason::client);
  } else if (deaf_ && !has_more_to_do()) {
    close(metrics::close_reason::client);
  }
  if (!closed()) watch();
}

// Something that came before the end is yet to be carried out.
bool session::has_more_to_do() const {
  if (leaving_ || blocked_ || is_paused(pause_reason::exec)) return true;
  if (is_paused(pause_reason::closing)) return false;
  char byte;
  return (partial_ && !partial_->buffer.empty()) || ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool session::peer_gone() const {
  pollfd state{fd_.get(), POLLRDHUP, 0};
  return deaf_ || !fd_ || ::poll(&state, 1, 0) > 0;
}

bool session::was_reset() const {
  pollfd state{fd_.get(), 0, 0};
  return deaf_ || !fd_ || ::poll(&state, 1, 0) > 0;
}

// The answers of buses reach the client before it goes: nobody else would ever hear of it. Only a
// wait is called off, and what no bus has yet is dropped.
void session::leave(metrics::close_reason why) {
  if (closed() || leaving_) return;
  if (why == metrics::close_reason::memory) return leave_for_memory();
  if (blocked_ && tail_ != nullptr && !tail_->taking()) {
    leaving_why_ = why;
    leaving_ = tail_->give_up_wait();
    if (leaving_) return;
    tail_->muted_ = true;
    tail_->unblock(false);
  }
  if (deaf_ || (head_ == nullptr && out_.empty())) return close(why);
  end_input(why);
}

// At the end of a turn, when everything has been written. Its input goes at once; it stays only if a bus may
// have given it something.
void session::leave_for_memory() {
  leaving_why_ = metrics::close_reason::memory;
  leaving_ = blocked_ && owed_bytes() == 0 && tail_ != nullptr && tail_->give_up_wait();
  if (!leaving_) return close(leaving_why_);
  if (partial_) context_.give_partial(std::move(partial_));
}

void session::drop_wait(operation& op) {
  op.muted_ = true;
  end_input(leaving_why_);
}

void session::end_input(metrics::close_reason why) {
  reading_ = false;
  close_after_replies(why);
}

// It does not read what it is owed.
void session::close_beyond_limits() {
  const config::limit_settings& limits = context_.configuration().limits;
  const std::size_t most = stranger()    ? stranger_limits::output_bytes
                           : subscribed_ ? limits.pubsub_output_buffer
                                         : limits.client_output_buffer;
  const std::size_t waiting = out_.size() + stashed_bytes_;
  const std::size_t sent = stranger() ? base::unacknowledged_bytes(fd_.get()) : 0;
  if (waiting <= most && sent <= stranger_limits::kernel_bytes && kept_bytes_ <= most_kept()) return;
  base::warn_limited(
      {}, "client {} {}: {} bytes of replies wait to be read and {} to be merged, more than {}; closing", id_,
      peer_address(), waiting + sent, kept_bytes_,
      stranger()    ? "a client gets before it logs in"
      : subscribed_ ? "pubsub_output_buffer"
                    : "client_output_buffer");
  if (subscribed_) ++context_.metrics.pubsub_cut_off;
  close(metrics::close_reason::output_limit);
}

// The client will send nothing more, but may still read what it is owed. All that it has sent was dispatched.
void session::read_ended() {
  if (deaf_ || (head_ == nullptr && out_.empty())) return close(metrics::close_reason::client);
  close_after_replies(metrics::close_reason::client);
  reading_ = false;
  watch();
}

std::size_t session::memory() const {
  return owed_bytes() + own_bytes_ + (partial_ ? partial_->buffer.capacity() : 0) + partial_bytes_ +
         (transaction_ ? transaction_->bytes() : 0);
}

bool session::hold_while_tight() {
  if (owed_bytes() <= most_owed_when_tight) return false;
  flush();
  if (closed()) return true;
  if (owed_bytes() <= most_owed_when_tight) return false;
  pause(pause_reason::memory);
  context_.memory.note_held();
  return true;
}

bool session::check_held(bool tight) {
  if (!is_paused(pause_reason::memory)) return false;
  if (!tight || owed_bytes() <= most_owed_when_tight / 2) {
    unpause(pause_reason::memory);
    return false;
  }
  if (context_.now - last_active_ < patience_when_tight || !evictable_) return true;
  base::warn_limited(
      {}, "client {} {}: it does not read {} bytes of replies, and limits.memory is nearly used up; closing",
      id_, peer_address(), owed_bytes());
  close(metrics::close_reason::memory);
  return false;
}

void session::close_after_replies(metrics::close_reason why) {
  if (is_paused(pause_reason::closing)) return;
  if (subscribed_) context_.subscriptions().leave(*this);
  close_reason_ = why;
  pause(pause_reason::closing);
  queue_flush();
}

void session::close_unread(metrics::close_reason why) {
  close_reason_ = why;
  pause(pause_reason::closing);
  deaf_ = true;
  queue_flush();
}

void session::close(metrics::close_reason why) {
  if (closed()) return;
  context_.poller.remove(fd_.get(), *this);
  fd_.reset();
  note_standing();
  count_partial();
  if (is_paused(pause_reason::turn)) context_.forget_leftover(*this);
  if (congested_bus_ != nullptr) congested_bus_->drained().forget(*this);
  if (subscribed_) context_.subscriptions().leave(*this);
  for (operation* op = std::exchange(head_, nullptr); op != nullptr;) {
    operation* const next = op->next_;
    op->owner_ = nullptr;
    if (op->done_ || op->detach()) op->destroy();
    op = next;
  }
  tail_ = nullptr;
  answering_ = reserved_ = nullptr;
  context_.memory.note_kept(-static_cast<std::ptrdiff_t>(std::exchange(kept_bytes_, 0)));
  note_own(-static_cast<std::ptrdiff_t>(own_bytes_));
  end_transaction();
  out_.clear();
  attribution_.disconnect();
  ++context_.metrics.clients_closed[static_cast<std::size_t>(why)];
  context_.retire(*this);
}

// All answers stand in the output. Closing while more of the client's requests arrive would reset the
// connection, and a client that is sent away might not read the answers that it has. So it is told the end
// first, and what it still sends is thrown away for a moment.
void session::end_output() {
  using metrics::close_reason;
  const bool sent_away = close_reason_ == close_reason::killed || close_reason_ == close_reason::memory;
  if (out_.empty() && !sent_away && close_reason_ != close_reason::shutdown) return close(close_reason_);
  if (!out_.empty() && !sent_away) return;
  if (!std::exchange(last_answers_, true)) {
    context_.timers.add(context_.now + linger_time, [&context = context_, id = id_] {
      if (session* const client = context.clients.find(id)) client->close(client->close_reason_);
    });
  }
  if (!out_.empty() || std::exchange(lingering_, true)) return;
  ::shutdown(fd_.get(), SHUT_WR);
  reading_ = true;
  watch();
}

void session::discard_input() {
  char rest[4096];
  const ssize_t received = ::recv(fd_.get(), rest, sizeof rest, 0);
  if (received > 0 || (received < 0 && (errno == EAGAIN || errno == EINTR))) return;
  close(close_reason_);
}

void session::drain() {
  // It may wait for ever; but what a read has been sent for belongs to this client.
  const bool taking = tail_ != nullptr && tail_->taking();
  if (blocked_ && !taking) {
    leave(metrics::close_reason::shutdown);
    draining_ = true;
    return;
  }
  draining_ = true;
  if (paused_ != 0) return;
  on_readable();
  if (!closed()) process();
}

void session::drain_soon() {
  constexpr std::chrono::milliseconds soon{1};
  context_.timers.add(context_.now + soon, [&context = context_, id = id_] {
    if (session* const client = context.clients.find(id)) client->drain();
  });
}

// A client that has gone before is noticed again. One that was to go when its wait ended goes now, though
// that brought something; if it was the client that wanted to go, what it has sent comes first.
void session::set_blocked(bool value) {
  blocked_ = value;
  const bool sent_away = is_paused(pause_reason::closing);
  if (value && (half_closed_ || deaf_ || sent_away)) {
    context_.timers.add(context_.now, [&context = context_, id = id_, sent_away] {
      session* const client = context.clients.find(id);
      if (client == nullptr || !client->blocked_) return;
      sent_away ? client->leave(client->close_reason_) : client->on_hangup(client->deaf_);
    });
  }
  if (value || !std::exchange(leaving_, false)) return;
  if (leaving_why_ != metrics::close_reason::client && leaving_why_ != metrics::close_reason::shutdown)
    close_after_replies(leaving_why_);
}

void session::check_idle(std::chrono::seconds limit) {
  if (head_ == nullptr && !subscribed_ && !monitoring_ && !is_paused(pause_reason::client_pause) &&
      context_.now - last_active_ > limit)
    close(metrics::close_reason::idle);
}

}  // namespace dualbus::session
