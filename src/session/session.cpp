#include <dualbus/base/log.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/stranger_limits.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <cerrno>
#include <new>
#include <sys/socket.h>
#include <utility>

namespace dualbus::session {
namespace {

// The bytes that one read takes in the buffer that all quiet clients share.
constexpr std::size_t shared_read_bytes = std::size_t{128} << 10;
// The bytes that one read adds to a client's own buffer: at least this, at most what the request is known to
// lack or the cap.
constexpr std::size_t own_read_bytes = std::size_t{16} << 10;
constexpr std::size_t own_read_cap = std::size_t{1} << 20;
// One client's share of a turn: a pipeline of 512 small requests, or fewer large ones. The rest comes
// in the next turn, after the others' requests.
constexpr std::int64_t share_bytes = std::int64_t{512} << 10, bytes_like_a_request = 1024;
constexpr std::size_t burst_bytes = std::size_t{1} << 20;
// Smaller requests go to a congested bus, one of each client.
constexpr std::size_t large_request_bytes = std::size_t{64} << 10;
constexpr int max_vectors = 64;
constexpr std::size_t most_held_back = std::size_t{16} << 10;

}  // namespace

// The parser takes less of a stranger, until it has logged in.
class session::parser_limitation {
 public:
  explicit parser_limitation(session& client)
      : client_(client), on_(client.stranger()), shared_(client.partial_ == nullptr) {
    if (on_) set({.max_request = stranger_limits::request_bytes, .authenticated = false});
  }
  ~parser_limitation() { end(); }
  parser_limitation(const parser_limitation&) = delete;
  parser_limitation& operator=(const parser_limitation&) = delete;

  bool on() const { return on_; }
  void end_if_logged_in() {
    if (on_ && !client_.stranger()) end();
  }

 private:
  void end() {
    if (std::exchange(on_, false)) set({.max_request = client_.context_.configuration().limits.max_request});
  }
  void set(resp::parser_limits limits) {
    if (shared_) {
      client_.context_.shared_parser.set_limits(limits);
    } else if (client_.partial_) {
      client_.partial_->parser.set_limits(limits);
    }
  }

  session& client_;
  bool on_;
  const bool shared_;
};

session::session(worker_context& context, base::unique_fd fd, std::uint64_t id, bool tcp)
    : context_(context),
      out_(context.client_chunks),
      attribution_(context.engines),
      id_(id),
      created_(context.now),
      last_active_(context.now),
      fd_(std::move(fd)),
      tcp_(tcp) {
  user_ = context_.access().initial();
  note_standing();
  context_.poller.add(fd_.get(), *this, {.read = true});
}

session::~session() = default;

// ----------------------------------------------------------------------------------------------------
// requests

void session::on_readable() {
  if (lingering_) return discard_input();
  if (paused_ != 0) {
    if (paused_ == static_cast<std::uint16_t>(pause_reason::turn) && !deaf_) return;  // it ends in this turn
    // Taken out of the poller only now: most pauses end before more bytes come.
    reading_ = false;
    return deaf_ ? on_hangup(true) : watch();
  }
  if (resume_queued_) return;  // what was read before comes first, above all before the end of the input
  base::read_buffer& buffer = partial_ ? partial_->buffer : context_.shared_input;
  std::size_t wanted = shared_read_bytes;
  if (partial_) {
    wanted = stranger() ? stranger_limits::read_bytes
                        : std::clamp(partial_->parser.missing(), own_read_bytes, own_read_cap);
  }
  std::span<char> room;
  try {
    room = buffer.prepare(wanted);
  } catch (const std::bad_alloc&) {
    return close(metrics::close_reason::memory);  // its own request is what there is no memory for
  }
  const ssize_t received = ::recv(fd_.get(), room.data(), room.size(), 0);
  if (received <= 0) {
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    deaf_ |= received < 0;
    return read_ended();
  }
  buffer.commit(static_cast<std::size_t>(received));
  context_.metrics.received_bytes += static_cast<std::uint64_t>(received);
  last_active_ = context_.now;
  process();
}

void session::process() {
  if (share_turn_ != context_.turn) {
    share_turn_ = context_.turn;
    share_left_ = share_bytes;
  }
  {
    parser_limitation limitation(*this);
    const std::size_t burst = limitation.on() ? stranger_limits::output_bytes : burst_bytes;
    while (!closed() && paused_ == 0 && !(context_.memory.tight() && hold_while_tight()) && process_one()) {
      // Small requests can have large answers: what has been answered goes out before more is.
      if (out_.size() > burst) flush();
      limitation.end_if_logged_in();
      if (share_left_ <= 0) [[unlikely]]
        end_share();
    }
  }
  keep_rest();
  if (draining_ && !closed() && paused_ == 0) close_after_replies(metrics::close_reason::shutdown);
}

// One client's flood of small requests must not keep the others waiting.
void session::end_share() {
  const base::read_buffer& buffer = partial_ ? partial_->buffer : context_.shared_input;
  if (closed() || buffer.empty()) return;
  ++context_.metrics.shares_used_up;
  pause(pause_reason::turn);
  context_.go_on_next_turn(*this);
}

bool session::process_one() {
  base::read_buffer& buffer = partial_ ? partial_->buffer : context_.shared_input;
  resp::request_parser& parser = partial_ ? partial_->parser : context_.shared_parser;
  if (buffer.empty()) return false;
  std::string_view fault;
  switch (parser.parse(buffer.data())) {
    case resp::parse_status::incomplete:
      if (!stranger() || buffer.size() <= stranger_limits::request_bytes) return false;
      fault = "Protocol error: unauthenticated bulk length";
      break;
    case resp::parse_status::error:
      fault = parser.error();
      break;
    case resp::parse_status::complete:
      break;
  }
  if (!fault.empty()) {
    base::warn_limited({}, "client {} {}: {}; closing", id_, peer_address(), base::in_log(fault));
    refuse(no_command, "ERR " + std::string(fault));
    close_after_replies(metrics::close_reason::protocol_error);
    buffer.consume(buffer.size());
    parser.reset();
    return false;
  }
  if (!parser.args().empty()) {
    bool done;
    try {
      done = dispatch(context_, *this,
                      {parser.args(), buffer.data().substr(0, parser.consumed()), parser.verbatim()});
    } catch (const std::bad_alloc&) {
      context_.drop_unannounced();
      context_.changing.end();
      close(metrics::close_reason::memory);
      done = true;
    }
    if (context_.keeps_arguments) context_.arguments = {};  // they stand in the buffer
    if (!done) {
      parser.reset();  // it comes again when earlier replies are there
      return false;
    }
    // CLIENT REPLY SKIP means the next request.
    if (reply_mode_ == reply_mode::skip_this) reply_mode_ = reply_mode::on;
    if (reply_mode_ == reply_mode::skip_next) reply_mode_ = reply_mode::skip_this;
  }
  share_left_ -= bytes_like_a_request + static_cast<std::int64_t>(parser.consumed());
  buffer.consume(parser.consumed());
  parser.reset();
  return true;
}

// The shared buffer must be empty for the next client: what is left becomes this client's own.
void session::keep_rest() {
  base::read_buffer& shared = context_.shared_input;
  if (partial_) {
    if (partial_->buffer.empty() || closed()) context_.give_partial(std::move(partial_));
  } else if (!shared.empty()) {
    if (!closed()) {
      if (stranger()) {
        // Neither the room that others' requests have left in a buffer, nor that in the shared parser.
        partial_ = std::make_unique<partial_input>();
      } else {
        partial_ = context_.take_partial();
        std::swap(partial_->parser, context_.shared_parser);
      }
      try {
        partial_->buffer.append(shared.data());
      } catch (const std::bad_alloc&) {
        close(metrics::close_reason::memory);
      }
    }
    shared.consume(shared.size());
    context_.shared_parser.reset();
  }
  count_partial();
}

// The parser's notes about a part can be larger than the part.
void session::count_partial() {
  const std::size_t bytes = partial_ && !closed() ? partial_->parser.held_bytes() : 0;
  if (bytes == partial_bytes_) [[likely]]
    return;
  context_.memory.note_kept(static_cast<std::ptrdiff_t>(bytes) - static_cast<std::ptrdiff_t>(partial_bytes_));
  partial_bytes_ = bytes;
}

void session::resume() {
  resume_queued_ = false;
  if (closed() || paused_ != 0) return;
  process();
  if (closed() || paused_ != 0 || reading_) return;
  reading_ = true;
  half_closed_ = false;  // the read finds it again
  watch();
}

void session::unpause(pause_reason reason) {
  paused_ &= static_cast<std::uint16_t>(~static_cast<unsigned>(reason));
  if (reason == pause_reason::congestion) congested_bus_ = nullptr;
  if (paused_ != 0 || resume_queued_ || closed()) return;
  resume_queued_ = true;
  context_.resume_later(*this);
}

bool session::await_replies() {
  if (head_ == nullptr) return false;
  pause(pause_reason::barrier);
  return true;
}

void session::defer(std::uint16_t command) {
  local_operation* op = std::exchange(reserved_, nullptr);
  if (op == nullptr) {
    op = context_.locals.create(context_, *this, command);
    enqueue(*op);
  }
  op->deferred_ = true;
  pause(pause_reason::deferred);
}

operation* session::first_deferred() const {
  operation* op = head_;
  while (op != nullptr && !op->deferred_) op = op->next_;
  return op;
}

void session::await_drain(backend::bus& congested, std::size_t request_bytes) {
  if (congested_bus_ != nullptr) return;
  congested_bus_ = &congested;
  pause(pause_reason::congestion);
  using wants = backend::drain_queue::wants;
  congested.drained().await(*this, request_bytes < large_request_bytes ? wants::little : wants::much);
}

bool session::await_room(backend::bus& to, std::size_t request_bytes) {
  if (request_bytes < large_request_bytes || !to.holds_back()) return false;
  await_drain(to, request_bytes);
  return true;
}

// -----------------------------------------------------------------------------------------------------
// replies

void session::enqueue(operation& op) {
  (tail_ != nullptr ? tail_->next_ : head_) = &op;
  tail_ = &op;
  if (++in_flight_ >= context_.configuration().limits.client_in_flight) pause(pause_reason::in_flight);
}

base::chunk_queue& session::reply_target(operation& op) {
  return &op == head_ && !op.muted_ ? out_ : op.stash_;
}

void session::finish(operation& op, metrics::outcome outcome) {
  count(op.command_, outcome);
  if (context_.now - op.arrived_ >= context_.slow_threshold) note_slow(op);
  op.done_ = true;
  forget_kept(op);
  if (op.muted_) op.stash_.clear();
  if (&op == head_) {
    pop_finished();
  } else {
    stashed_bytes_ += op.stash_.size();
  }
  queue_flush();
}

void session::note_kept(operation& op, std::size_t bytes) {
  op.kept_bytes_ += bytes;
  kept_bytes_ += bytes;
  context_.memory.note_kept(static_cast<std::ptrdiff_t>(bytes));
  if (kept_bytes_ > most_kept()) queue_flush();
}

std::size_t session::most_kept() const {
  return context_.configuration().limits.client_output_buffer * context_.bus_count();
}

void session::forget_kept(operation& op) {
  const std::size_t bytes = std::exchange(op.kept_bytes_, 0);
  kept_bytes_ -= bytes;
  context_.memory.note_kept(-static_cast<std::ptrdiff_t>(bytes));
}

void session::pop_finished() {
  while (head_ != nullptr && head_->done_) {
    operation* const op = head_;
    head_ = op->next_;
    if (head_ == nullptr) tail_ = nullptr;
    stashed_bytes_ -= op->stash_.size();
    out_.splice(op->stash_);
    if (op->holds_pushes_) [[unlikely]]
      release_pushes();
    --in_flight_;
    op->destroy();
  }
  if (is_paused(pause_reason::in_flight) &&
      in_flight_ <= context_.configuration().limits.client_in_flight / 2) {
    unpause(pause_reason::in_flight);
  }
  if (is_paused(pause_reason::barrier) && head_ == nullptr) unpause(pause_reason::barrier);
}

base::chunk_queue* session::begin_answer(std::uint16_t command) {
  local_operation* const reserved = std::exchange(reserved_, nullptr);
  if (reserved != nullptr && !closed()) {
    answering_ = reserved;
    return &answering_->stash_;
  }
  if (closed() || mutes_reply()) return nullptr;
  if (head_ == nullptr) return &out_;
  answering_ = context_.locals.create(context_, *this, command);
  enqueue(*answering_);
  return &answering_->stash_;
}

void session::end_answer() {
  if (answering_ != nullptr) {
    answering_->done_ = true;
    if (answering_->muted_) answering_->stash_.clear();
    stashed_bytes_ += answering_->stash_.size();
    answering_ = nullptr;
  }
  if (!closed()) queue_flush();
}

void session::acknowledge(std::uint16_t command, std::string_view reply) {
  base::chunk_queue* out = begin_answer(command);
  if (out != nullptr) out->append(reply);
  end_answer();
}

void session::refuse(std::uint16_t command, std::string_view text) {
  context_.refusals.add(text);
  answer(command, metrics::outcome::refused, [text](resp::encoder& out) { out.error(text); });
}

void session::count(std::uint16_t command, metrics::outcome outcome) {
  if (command == no_command) {
    ++context_.metrics.unknown_commands;
  } else {
    ++context_.metrics.commands[command][static_cast<std::size_t>(outcome)];
  }
  metrics::engine_counters& counters = engine();
  ++counters.commands;
  if (outcome != metrics::outcome::ok) ++counters.failed_commands;
}

void session::queue_flush() {
  if (std::exchange(flush_queued_, true)) return;
  context_.flush_later(*this);
}

void session::flush() {
  flush_queued_ = false;
  if (closed()) return;
  if (deaf_) out_.clear();
  const bool held_back = only_acknowledged_ && head_ != nullptr && head_->holds_output_back_ && !writing_ &&
                         out_.size() < most_held_back;
  while (!out_.empty() && !held_back) {
    iovec vectors[max_vectors];
    const int count = out_.gather(vectors, max_vectors);
    ssize_t sent;
    if (count == 1) {
      sent = ::send(fd_.get(), vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = vectors;
      message.msg_iovlen = static_cast<std::size_t>(count);
      sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    }
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      // Earlier requests of the client are carried out all the same. The poller tells when it has hung up.
      deaf_ = true;
      out_.clear();
      break;
    }
    out_.consume(static_cast<std::size_t>(sent));
    last_active_ = context_.now;
    context_.metrics.sent_bytes += static_cast<std::uint64_t>(sent);
  }
  close_beyond_limits();
  if (closed()) return;
  if (is_paused(pause_reason::memory)) [[unlikely]]
    check_held(true);
  if (closed()) return;
  if (held_back) return;
  if (writing_ == out_.empty()) {
    writing_ = !out_.empty();
    watch();
  }
  if (is_paused(pause_reason::closing) && head_ == nullptr) end_output();
}

void session::on_writable() {
  flush();
}

}  // namespace dualbus::session
