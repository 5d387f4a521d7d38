#include "stranger_limits.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>
#include <dualbus/client/session.hpp>

#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

// The end of a client's connection, and its waits.
namespace dualbus::client {
namespace {

// A client that is sent away has so long to take its last answers.
constexpr std::chrono::milliseconds linger_time{250};
// While memory is tight, a client with more replies to read is not read, and is cut off if it takes none of
// them for so long.
constexpr std::size_t most_owed_when_tight = std::size_t{64} << 10;
constexpr std::chrono::seconds patience_when_tight{10};

}  // namespace

bool session::enter(phase next) {
  if (next <= phase_) return false;
  phase_ = next;
  return true;
}

void session::watch() {
  const base::poller::interest events{reading_, writing_, !half_closed_};
  // The poller tells again and again that both directions are closed, whatever it is asked for.
  const bool wanted = !deaf_ || reading_;
  if (wanted && watched_) {
    environment_.poller.modify(fd_.get(), *this, events);
  } else if (wanted) {
    environment_.poller.add(fd_.get(), *this, events);
  } else if (watched_) {
    environment_.poller.remove(fd_.get(), *this);
  }
  watched_ = wanted;
}

// The client has gone while nothing is read from it. Redis carries out what has arrived before it sees that,
// up to a request that waits or that CLIENT PAUSE holds back: this one and those behind it are dropped.
void session::on_hangup(bool both_directions) {
  deaf_ |= both_directions;
  half_closed_ = true;
  if (phase_ == phase::lingering) return deaf_ ? close(close_reason_) : watch();
  const bool taking = replies_.owes() && newest()->taking();
  if (blocked_ && !taking && !leaving_) {
    leave(metrics::close_reason::client);
  } else if (is_paused(pause_reason::client_pause)) {
    end_input(metrics::close_reason::client);
  } else if (deaf_ && !has_more_to_do()) {
    close(metrics::close_reason::client);
  }
  if (!closed()) watch();
}

// True if a request that came before the end is yet to be carried out.
bool session::has_more_to_do() const {
  if (leaving_ || blocked_ || is_paused(pause_reason::exec)) return true;
  if (phase_ >= phase::closing) return false;
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

// The answers of buses reach the client before it goes, since nobody else gets them. Only a wait is called
// off, and requests that no bus has yet are dropped.
void session::leave(metrics::close_reason why) {
  if (closed() || leaving_) return;
  if (why == metrics::close_reason::memory) return leave_for_memory();
  if (blocked_ && replies_.owes() && !newest()->taking()) {
    leaving_why_ = why;
    leaving_ = newest()->give_up_wait();
    if (leaving_) return;
    replies_.mute(*newest());
    newest()->unblock(false);
  }
  if (deaf_ || replies_.idle()) return close(why);
  end_input(why);
}

// At the end of a turn, when everything has been written. Its input goes at once; it stays only if a bus may
// have given it something.
void session::leave_for_memory() {
  leaving_why_ = metrics::close_reason::memory;
  leaving_ = blocked_ && owed_bytes() == 0 && replies_.owes() && newest()->give_up_wait();
  if (!leaving_) return close(leaving_why_);
  if (partial_) environment_.input.give_back(std::move(partial_));
  count_partial();
}

void session::drop_wait(running_request& running) {
  replies_.mute(running);
  end_input(leaving_why_);
}

void session::end_input(metrics::close_reason why) {
  reading_ = false;
  close_after_replies(why);
}

// The client does not read what it is owed.
void session::close_beyond_limits() {
  const config::limit_settings& limits = environment_.limits;
  const std::size_t most = stranger()     ? stranger_limits::output_bytes
                           : subscribed() ? limits.pubsub_output_buffer
                                          : limits.client_output_buffer;
  const std::size_t waiting = replies_.waiting_bytes();
  const std::size_t sent = stranger() ? base::unacknowledged_bytes(fd_.get()) : 0;
  if (waiting <= most && sent <= stranger_limits::kernel_bytes && replies_.kept_bytes() <= most_kept())
    return;
  base::warn_limited(
      {}, "client {} {}: {} bytes of replies wait to be read and {} to be merged, more than {}; closing", id_,
      peer_address(), waiting + sent, replies_.kept_bytes(),
      stranger()     ? "a client gets before it logs in"
      : subscribed() ? "pubsub_output_buffer"
                     : "client_output_buffer");
  if (subscribed()) ++environment_.metrics.pubsub_cut_off;
  close(metrics::close_reason::output_limit);
}

// The client will send nothing more, but may still read its replies. All its requests were dispatched.
void session::read_ended() {
  if (deaf_ || replies_.idle()) return close(metrics::close_reason::client);
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
  environment_.memory.note_held();
  return true;
}

bool session::check_held(bool tight) {
  if (!is_paused(pause_reason::memory)) return false;
  if (!tight || owed_bytes() <= most_owed_when_tight / 2) {
    unpause(pause_reason::memory);
    return false;
  }
  if (environment_.turn.now - last_active_ < patience_when_tight || !evictable_) return true;
  base::warn_limited(
      {}, "client {} {}: it does not read {} bytes of replies, and limits.memory is nearly used up; closing",
      id_, peer_address(), owed_bytes());
  close(metrics::close_reason::memory);
  return false;
}

void session::close_after_replies(metrics::close_reason why) {
  if (!enter(phase::closing)) return;
  if (subscribed()) environment_.handler.end_subscriptions(*this);
  close_reason_ = why;
  pause(pause_reason::closing);
  queue_flush();
}

void session::close_unread(metrics::close_reason why) {
  enter(phase::closing);
  close_reason_ = why;
  pause(pause_reason::closing);
  deaf_ = true;
  queue_flush();
}

void session::close(metrics::close_reason why) {
  if (!enter(phase::closed)) return;
  end();
  fd_.reset();
  ++environment_.metrics.clients_closed[static_cast<std::size_t>(why)];
}

// The session has entered its last phase: everybody forgets it.
void session::end() {
  environment_.poller.remove(fd_.get(), *this);
  note_standing();
  count_partial();
  if (is_paused(pause_reason::turn)) environment_.turn.forget_leftover(*this);
  if (congested_bus_ != nullptr) congested_bus_->drained().forget(*this);
  if (subscribed()) environment_.handler.end_subscriptions(*this);
  environment_.memory.note_kept(-static_cast<std::ptrdiff_t>(replies_.kept_bytes()));
  replies_.close([](owed_reply& owed, bool done) {
    auto& running = static_cast<running_request&>(owed);
    running.owner_ = nullptr;
    if (done || running.detach()) running.destroy();
  });
  note_own(-static_cast<std::ptrdiff_t>(own_bytes_));
  end_transaction();
  attribution_.disconnect();
  environment_.owner.retire(*this);
}

// All answers stand in the output. Closing while more of the client's requests arrive would reset the
// connection, and a client that is sent away might lose its answers. So the client is told the end first, and
// for a moment everything that it still sends is thrown away.
void session::end_output() {
  using metrics::close_reason;
  const bool sent_away = close_reason_ == close_reason::killed || close_reason_ == close_reason::memory;
  if (replies_.out().empty() && !sent_away && close_reason_ != close_reason::shutdown)
    return close(close_reason_);
  if (!replies_.out().empty() && !sent_away) return;
  if (!std::exchange(last_answers_, true)) {
    environment_.turn.timers.add(environment_.turn.now + linger_time,
                                 [&owner = environment_.owner, id = id_] {
                                   if (session* const client = owner.find(id))
                                     client->close(client->close_reason_);
                                 });
  }
  if (!replies_.out().empty() || !enter(phase::lingering)) return;
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
  // A client may wait for ever; but entries that a read was sent for belong to this client.
  const bool taking = replies_.owes() && newest()->taking();
  if (blocked_ && !taking) {
    leave(metrics::close_reason::shutdown);
    enter(phase::draining);
    return;
  }
  enter(phase::draining);
  if (pauses_.any()) return;
  on_readable();
  if (!closed()) process();
}

void session::drain_soon() {
  constexpr std::chrono::milliseconds soon{1};
  environment_.turn.timers.add(environment_.turn.now + soon, [&owner = environment_.owner, id = id_] {
    if (session* const client = owner.find(id)) client->drain();
  });
}

// A client that has gone before its wait begins is noticed again. A client that was to go when its wait ended
// goes now, even if the wait brought something; if the client itself wanted to go, its requests come first.
void session::set_blocked(bool value) {
  blocked_ = value;
  const bool sent_away = phase_ >= phase::closing;
  if (value && (half_closed_ || deaf_ || sent_away)) {
    environment_.turn.timers.add(environment_.turn.now, [&owner = environment_.owner, id = id_, sent_away] {
      session* const client = owner.find(id);
      if (client == nullptr || !client->blocked_) return;
      sent_away ? client->leave(client->close_reason_) : client->on_hangup(client->deaf_);
    });
  }
  if (value || !std::exchange(leaving_, false)) return;
  if (leaving_why_ != metrics::close_reason::client && leaving_why_ != metrics::close_reason::shutdown)
    close_after_replies(leaving_why_);
}

void session::check_idle(std::chrono::seconds limit) {
  if (!replies_.owes() && !subscribed() && !monitoring_ && !is_paused(pause_reason::client_pause) &&
      environment_.turn.now - last_active_ > limit)
    close(metrics::close_reason::idle);
}

}  // namespace dualbus::client
