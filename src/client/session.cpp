#include "stranger_limits.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/client/session.hpp>

#include <algorithm>
#include <cerrno>
#include <new>
#include <sys/socket.h>
#include <utility>

namespace dualbus::client {
namespace {

// The bytes that one read takes in the buffer that all quiet clients share.
constexpr std::size_t shared_read_bytes = std::size_t{128} << 10;
// The bytes that one read adds to a client's own buffer: at least this, at most what the request is known to
// lack, or the cap.
constexpr std::size_t own_read_bytes = std::size_t{16} << 10;
constexpr std::size_t own_read_cap = std::size_t{1} << 20;
// One client's share of a turn: a pipeline of 512 small requests, or fewer large ones. The rest comes
// in the next turn, after the others' requests.
constexpr std::int64_t share_bytes = std::int64_t{512} << 10, bytes_like_a_request = 1024;
constexpr std::size_t burst_bytes = std::size_t{1} << 20;
// Smaller requests go even to a congested bus, one of each client.
constexpr std::size_t large_request_bytes = std::size_t{64} << 10;
constexpr int max_vectors = 64;
constexpr std::size_t most_held_back = std::size_t{16} << 10;

}  // namespace

// The parser takes less from a stranger, until it has logged in.
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
    if (std::exchange(on_, false)) set({.max_request = client_.environment_.limits.max_request});
  }
  void set(resp::parser_limits limits) {
    if (shared_) {
      client_.environment_.input.shared_parser.set_limits(limits);
    } else if (client_.partial_) {
      client_.partial_->parser.set_limits(limits);
    }
  }

  session& client_;
  bool on_;
  const bool shared_;
};

session::session(session_environment& environment, base::unique_fd fd, std::uint64_t id, bool tcp)
    : environment_(environment),
      replies_(environment.chunks),
      attribution_(environment.engines),
      id_(id),
      created_(environment.turn.now),
      last_active_(environment.turn.now),
      fd_(std::move(fd)),
      tcp_(tcp) {
  user_ = environment_.access.initial();
  note_standing();
  environment_.poller.add(fd_.get(), *this, {.read = true});
}

session::~session() = default;

// --- requests

void session::on_readable() {
  if (phase_ == phase::lingering) return discard_input();
  if (pauses_.any()) {
    if (pauses_.only(pause_reason::turn) && !deaf_) return;  // the pause ends in this turn
    // The poller forgets it only now: most pauses end before more bytes come.
    reading_ = false;
    return deaf_ ? on_hangup(true) : watch();
  }
  if (resume_queued_) return;  // earlier input comes first, above all before the end of the input
  base::read_buffer& buffer = partial_ ? partial_->buffer : environment_.input.shared;
  std::size_t wanted = shared_read_bytes;
  if (partial_) {
    wanted = stranger() ? stranger_limits::read_bytes
                        : std::clamp(partial_->parser.missing(), own_read_bytes, own_read_cap);
  }
  std::span<char> room;
  try {
    room = buffer.prepare(wanted);
  } catch (const std::bad_alloc&) {
    return close(metrics::close_reason::memory);  // there is no memory for its own request
  }
  const ssize_t received = ::recv(fd_.get(), room.data(), room.size(), 0);
  if (received <= 0) {
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    deaf_ |= received < 0;
    return read_ended();
  }
  buffer.commit(static_cast<std::size_t>(received));
  environment_.metrics.received_bytes += static_cast<std::uint64_t>(received);
  last_active_ = environment_.turn.now;
  process();
}

void session::process() {
  if (share_turn_ != environment_.turn.number) {
    share_turn_ = environment_.turn.number;
    share_left_ = share_bytes;
  }
  {
    parser_limitation limitation(*this);
    const std::size_t burst = limitation.on() ? stranger_limits::output_bytes : burst_bytes;
    while (!closed() && !pauses_.any() && !(environment_.memory.tight() && hold_while_tight()) &&
           process_one()) {
      // Small requests can have large answers: these go out before more requests are answered.
      if (replies_.out().size() > burst) flush();
      limitation.end_if_logged_in();
      if (share_left_ <= 0) [[unlikely]]
        end_share();
    }
  }
  keep_rest();
  if (draining() && !pauses_.any()) close_after_replies(metrics::close_reason::shutdown);
}

// One client's flood of small requests must not keep the others waiting.
void session::end_share() {
  const base::read_buffer& buffer = partial_ ? partial_->buffer : environment_.input.shared;
  if (closed() || buffer.empty()) return;
  ++environment_.metrics.shares_used_up;
  pause(pause_reason::turn);
  environment_.turn.go_on_next_turn(*this);
}

bool session::process_one() {
  base::read_buffer& buffer = partial_ ? partial_->buffer : environment_.input.shared;
  resp::request_parser& parser = partial_ ? partial_->parser : environment_.input.shared_parser;
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
    refuse({}, "ERR " + std::string(fault));
    close_after_replies(metrics::close_reason::protocol_error);
    buffer.consume(buffer.size());
    parser.reset();
    return false;
  }
  if (!parser.args().empty()) {
    bool done;
    try {
      request taken{parser.args(), buffer.data().substr(0, parser.consumed()), parser.verbatim()};
      done = environment_.handler.handle(*this, taken);
    } catch (const std::bad_alloc&) {
      environment_.handler.drop_unfinished();
      close(metrics::close_reason::memory);
      done = true;
    }
    if (!done) {
      parser.reset();  // the request comes again when earlier replies are there
      return false;
    }
    replies_.next_request();
    if (cursors_) [[unlikely]]
      cursors_.reset();
  }
  share_left_ -= bytes_like_a_request + static_cast<std::int64_t>(parser.consumed());
  buffer.consume(parser.consumed());
  parser.reset();
  return true;
}

// The shared buffer must be empty for the next client: the rest moves to this client's own buffer.
void session::keep_rest() {
  base::read_buffer& shared = environment_.input.shared;
  if (partial_) {
    if (partial_->buffer.empty() || closed()) environment_.input.give_back(std::move(partial_));
  } else if (!shared.empty()) {
    if (!closed()) {
      if (stranger()) {
        // A new buffer and parser, without the room that others' requests have left in the shared ones.
        partial_ = std::make_unique<partial_input>();
      } else {
        partial_ = environment_.input.take();
        std::swap(partial_->parser, environment_.input.shared_parser);
      }
      try {
        partial_->buffer.append(shared.data());
      } catch (const std::bad_alloc&) {
        close(metrics::close_reason::memory);
      }
    }
    shared.consume(shared.size());
    environment_.input.shared_parser.reset();
  }
  count_partial();
}

// The parser's notes about a part can be larger than the part.
void session::count_partial() {
  const std::size_t bytes = partial_ && !closed() ? partial_->parser.held_bytes() : 0;
  if (bytes == partial_bytes_) [[likely]]
    return;
  environment_.memory.note_kept(static_cast<std::ptrdiff_t>(bytes) -
                                static_cast<std::ptrdiff_t>(partial_bytes_));
  partial_bytes_ = bytes;
}

void session::resume() {
  resume_queued_ = false;
  if (closed() || pauses_.any()) return;
  process();
  if (closed() || pauses_.any() || reading_) return;
  reading_ = true;
  half_closed_ = false;  // the read finds it again
  watch();
}

void session::unpause(pause_reason reason) {
  pauses_.remove(reason);
  if (reason == pause_reason::congestion) congested_bus_ = nullptr;
  if (pauses_.any() || resume_queued_ || closed()) return;
  resume_queued_ = true;
  environment_.turn.resume_later(*this);
}

bool session::await_replies() {
  if (!replies_.owes()) return false;
  pause(pause_reason::barrier);
  return true;
}

void session::defer(const request& request) {
  owed_reply* const place = replies_.take_place();
  replies_.defer(place != nullptr ? *place : reserve(request));
  pause(pause_reason::deferred);
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

// --- replies

void session::enqueue(running_request& running) {
  replies_.owe(running);
  if (replies_.owed() >= environment_.limits.client_in_flight) pause(pause_reason::in_flight);
}

void session::finish(running_request& running, metrics::outcome outcome) {
  count(running.command_, outcome);
  if (environment_.turn.now - running.arrived_ >= environment_.slow_log.threshold()) note_slow(running);
  if (const std::size_t kept = replies_.finish(running); kept != 0)
    environment_.memory.note_kept(-static_cast<std::ptrdiff_t>(kept));
  take_finished();
  queue_flush();
}

void session::note_kept(running_request& running, std::size_t bytes) {
  replies_.keep(running, bytes);
  environment_.memory.note_kept(static_cast<std::ptrdiff_t>(bytes));
  if (replies_.kept_bytes() > most_kept()) queue_flush();
}

std::size_t session::most_kept() const {
  return environment_.limits.client_output_buffer * environment_.buses;
}

void session::forget_kept(running_request& running) {
  environment_.memory.note_kept(-static_cast<std::ptrdiff_t>(replies_.forget_kept(running)));
}

void session::take_finished() {
  while (owed_reply* const finished = replies_.take_finished()) {
    static_cast<running_request*>(finished)->destroy();
  }
  if (!pauses_.any()) [[likely]]
    return;
  if (is_paused(pause_reason::in_flight) && replies_.owed() <= environment_.limits.client_in_flight / 2) {
    unpause(pause_reason::in_flight);
  }
  if (is_paused(pause_reason::barrier) && !replies_.owes()) unpause(pause_reason::barrier);
  if (is_paused(pause_reason::order)) unpause(pause_reason::order);
}

base::chunk_queue* session::begin_answer(const request& request) {
  return replies_.begin_answer([this, &request] { return &make_place(request); });
}

void session::end_answer() {
  replies_.end_answer();
  if (!closed()) queue_flush();
}

local_reply& session::make_place(const request& request) {
  return *environment_.local_replies.create(environment_.local_replies, *this, request);
}

local_reply& session::reserve(const request& request) {
  local_reply& place = make_place(request);
  enqueue(place);
  return place;
}

void session::acknowledge(const request& request, std::string_view reply) {
  base::chunk_queue* out = begin_answer(request);
  if (out != nullptr) out->append(reply);
  end_answer();
}

void session::refuse(const request& request, std::string_view text) {
  environment_.refusals.add(text);
  answer(request, metrics::outcome::refused, [text](resp::encoder& out) { out.error(text); });
}

void session::count(std::uint16_t command, metrics::outcome outcome) {
  if (command == no_command) {
    ++environment_.metrics.unknown_commands;
  } else {
    ++environment_.metrics.commands[command][static_cast<std::size_t>(outcome)];
  }
  metrics::engine_counters& counters = engine();
  ++counters.commands;
  if (outcome != metrics::outcome::ok) ++counters.failed_commands;
}

void session::queue_flush() {
  if (std::exchange(flush_queued_, true)) return;
  environment_.turn.flush_later(*this);
}

void session::flush() {
  flush_queued_ = false;
  if (closed()) return;
  base::chunk_queue& out = replies_.out();
  if (deaf_) out.clear();
  const bool held_back = replies_.may_wait() && !writing_ && out.size() < most_held_back;
  while (!out.empty() && !held_back) {
    iovec vectors[max_vectors];
    const int count = out.gather(vectors, max_vectors);
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
      // Earlier requests of the client are still carried out. The poller tells when the client has hung up.
      deaf_ = true;
      out.clear();
      break;
    }
    out.consume(static_cast<std::size_t>(sent));
    last_active_ = environment_.turn.now;
    environment_.metrics.sent_bytes += static_cast<std::uint64_t>(sent);
  }
  close_beyond_limits();
  if (closed()) return;
  if (is_paused(pause_reason::memory)) [[unlikely]]
    check_held(true);
  if (closed()) return;
  if (held_back) return;
  if (writing_ == out.empty()) {
    writing_ = !out.empty();
    watch();
  }
  if (phase_ >= phase::closing && !replies_.owes()) end_output();
}

void session::on_writable() {
  flush();
}

}  // namespace dualbus::client
