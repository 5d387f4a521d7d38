#include <dualbus/backend/connection.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <sys/socket.h>

#include <boost/asio/ip/address.hpp>

namespace dualbus::backend {
namespace {

namespace asio = boost::asio;

// One read takes what a turn's worth of replies needs; a larger reply grows the buffer.
constexpr std::size_t read_bytes = std::size_t{256} << 10;
// A buffer that a huge reply has grown is given back.
constexpr std::size_t keep_bytes = std::size_t{1} << 20;
constexpr int max_vectors = 64;
// A connection that did not last this long counts as a failed attempt, so that a peer which accepts and
// closes is not dialled in a tight loop.
constexpr std::chrono::seconds lasting{1};
// The kernel's time-out for bytes is this much later than ours, which knows the requests.
constexpr std::chrono::milliseconds kernel_lag{500};

// Leaves the first `bytes` of what the vectors hold; returns how many of them that takes.
std::size_t cut(iovec* vectors, std::size_t count, std::size_t bytes) {
  for (std::size_t i = 0; i < count; ++i) {
    if (vectors[i].iov_len < bytes) {
      bytes -= vectors[i].iov_len;
      continue;
    }
    vectors[i].iov_len = bytes;
    return i + 1;
  }
  return count;
}

}  // namespace

connection::connection(asio::io_context& io, base::poller& poller, const config::backend_settings& settings,
                       const config::bus_settings& target, std::string bus_name, resp::protocol version,
                       int database, pipeline& requests, metrics::bus_metrics& metrics, log_of logged)
    : resolver_(io),
      poller_(poller),
      settings_(settings),
      target_(target),
      bus_name_(std::move(bus_name)),
      version_(version),
      database_(database),
      requests_(requests),
      metrics_(metrics),
      logged_(logged),
      random_(std::random_device{}()) {}

connection::~connection() {
  *alive_ = false;
  if (fd_) poller_.remove(fd_.get(), *this);
}

void connection::start(base::time_point now) {
  stopped_ = false;
  attempt(now);
}

void connection::stop(base::time_point now) {
  if (stopped_) return;
  stopped_ = true;
  fail("stopped", now);
  requests_.give_up();
}

bool connection::delivered() const {
  return state_ != phase::up || (requests_.unsent_bytes() == 0 && base::unacknowledged_bytes(fd_.get()) == 0);
}

void connection::attempt(base::time_point now) {
  if (!target_.has_address()) return;  // its Sentinels will name one
  state_ = phase::connecting;
  deadline_ = now + settings_.connect_timeout;
  if (!target_.unix_socket.empty()) {
    begin(base::start_connect_unix(target_.unix_socket), now);
    return;
  }
  boost::system::error_code not_numeric;
  const auto address = asio::ip::make_address(target_.host, not_numeric);
  if (not_numeric) {
    resolve();
    return;
  }
  begin({address, target_.port}, now);
}

void connection::begin(const asio::ip::tcp::endpoint& endpoint, base::time_point now) {
  peer_ = endpoint.address();
  begin(base::start_connect(endpoint.data(), static_cast<unsigned>(endpoint.size())), now);
}

void connection::resolve() {
  resolver_.async_resolve(
      target_.host, std::to_string(target_.port),
      [this, alive = alive_](const boost::system::error_code& error, const auto& results) {
        if (error == asio::error::operation_aborted) return;  // an attempt that is over
        if (!*alive || stopped_ || state_ != phase::connecting || fd_) return;
        const auto now = base::clock::now();
        if (error || results.empty()) {
          fail("cannot resolve '" + target_.host + "': " + error.message(), now);
          return;
        }
        // Another address each time, so that one dead address of several does not keep the bus down.
        const auto chosen = std::next(results.begin(), failures_ % static_cast<int>(results.size()));
        begin(chosen->endpoint(), now);
      });
}

void connection::begin(base::unique_fd fd, base::time_point now) {
  if (!fd) {
    fail(std::strerror(errno), now);
    return;
  }
  fd_ = std::move(fd);
  base::reset_when_closed(fd_.get());
  read_armed_ = false;
  write_armed_ = true;
  poller_.add(fd_.get(), *this, {.write = true, .half_close = false});
}

void connection::connected(base::time_point now) {
  if (target_.unix_socket.empty()) {
    base::set_no_delay(fd_.get());
    base::set_keepalive(fd_.get(), settings_.keepalive);
    // For the case that this process hangs; otherwise the daemon gives the connection up earlier.
    if (const auto limit = patience(); limit.count() > 0)
      base::set_acknowledge_limit(fd_.get(), limit + kernel_lag);
  }
  state_ = phase::handshake;
  requests_.input().release();
  unwritten_ = handshake_.start(version_, target_, target_.database + database_);
  last_received_ = now;
  on_writable();
}

void connection::read_handshake(base::time_point now) {
  if (const std::string fault = handshake_.read(requests_.input()); !fault.empty()) return fail(fault, now);
  if (!handshake_.done()) return;
  // The one before may come back as a master for a moment, and be a replica at the next.
  if (target_.has_sentinels() && role() != "master") return fail("is no master, but a " + role(), now);
  up(now);
}

void connection::up(base::time_point now) {
  state_ = phase::up;
  up_since_ = now;
  next_mark_ = now + settings_.health_interval;
  last_error_.clear();
  ++metrics_.connects;
  base::log_limited(logged_ == log_of::everything ? spdlog::level::info : spdlog::level::debug, "connected",
                    bus_name_,
                    fmt::format("bus '{}': connected to {} (RESP{}, {} {})", bus_name_, target_.endpoint,
                                static_cast<int>(version_), identity().title(),
                                identity().known() ? identity().version : "?"));
  requests_.on_connected();
  flush(now);
}

void connection::close() {
  if (fd_) {
    poller_.remove(fd_.get(), *this);
    base::close_connection(fd_);
  }
  resolver_.cancel();
  state_ = phase::disconnected;
  unwritten_.clear();
}

void connection::reconnect(base::time_point now) {
  if (stopped_) return;
  const bool was_up = state_ == phase::up;
  close();
  if (was_up) requests_.on_disconnected(now);
  requests_.input().release();
  failures_ = 0;
  attempt(now);
}

void connection::take_over(connection& fresh, base::time_point now) {
  close();
  requests_.on_disconnected(now);
  poller_.remove(fresh.fd_.get(), fresh);
  fd_ = std::move(fresh.fd_);
  peer_ = fresh.peer_;
  handshake_ = fresh.handshake_;
  fresh.stopped_ = true;
  fresh.state_ = phase::disconnected;
  stopped_ = false;
  state_ = phase::up;
  held_ = false;
  read_armed_ = true;
  write_armed_ = false;
  poller_.add(fd_.get(), *this, {.read = true});
  last_received_ = up_since_ = now;
  next_mark_ = now + settings_.health_interval;
  ++metrics_.connects;
  requests_.on_connected();
  flush(now);
}

// The only way out of every other state, but for reconnect().
void connection::fail(const std::string& why, base::time_point now) {
  const bool was_up = state_ == phase::up;
  close();
  if (was_up) {
    ++metrics_.connections_lost;
  } else if (!stopped_) {
    ++metrics_.connect_failures;
  }
  if (!stopped_) {
    const bool lasted = was_up && now - up_since_ >= lasting;
    failures_ = lasted ? 0 : failures_ + 1;
    std::chrono::nanoseconds delay{0};
    if (!lasted) {
      const int doublings = std::min(failures_ - 1, 16);
      delay =
          std::min<std::chrono::nanoseconds>(settings_.backoff_max, settings_.backoff_min * (1 << doublings));
      delay = delay / 2 + std::chrono::nanoseconds(
                              std::uniform_int_distribution<std::int64_t>(0, delay.count() / 2)(random_));
    }
    next_attempt_ = now + delay;
    // The same failure again and again is one event.
    if (logged_ != log_of::nothing && (was_up || why != last_error_)) {
      base::warn_limited(bus_name_ + why,
                         "bus '{}': {}: {}; {} requests were in flight, {} wait; reconnecting", bus_name_,
                         target_.endpoint, why, requests_.in_flight(), requests_.waiting());
    }
    last_error_ = why;
  }
  if (was_up) requests_.on_disconnected(now);
  requests_.input().release();
}

void connection::update_interest() {
  const bool read = state_ == phase::handshake || state_ == phase::up;
  const bool write =
      state_ == phase::connecting || !unwritten_.empty() || (state_ == phase::up && writable_bytes() > 0);
  if (read == read_armed_ && write == write_armed_) return;
  read_armed_ = read;
  write_armed_ = write;
  poller_.modify(fd_.get(), *this, {read, write});
}

void connection::flush(base::time_point) {
  if (state_ != phase::up) return;
  while (const std::size_t most = writable_bytes()) {
    iovec vectors[max_vectors];
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = static_cast<std::size_t>(requests_.gather(vectors, max_vectors));
    if (most < requests_.unsent_bytes()) [[unlikely]]
      message.msg_iovlen = cut(vectors, message.msg_iovlen, most);
    const ssize_t written = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    // The clock is read anew: the bus's share of a request's time is counted from here.
    const auto now = base::clock::now();
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return fail(std::strerror(errno), now);
    }
    requests_.on_written(static_cast<std::size_t>(written), now);
  }
  update_interest();
}

void connection::on_writable() {
  const auto now = base::clock::now();
  if (state_ == phase::connecting) {
    if (const int error = base::connect_error(fd_.get()); error != 0) return fail(std::strerror(error), now);
    return connected(now);
  }
  while (!unwritten_.empty()) {
    const ssize_t written =
        ::send(fd_.get(), unwritten_.data(), unwritten_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return fail(std::strerror(errno), now);
    }
    unwritten_.erase(0, static_cast<std::size_t>(written));
  }
  if (state_ == phase::up) return flush(now);
  update_interest();
}

void connection::on_hangup(bool) {
  const int error = base::connect_error(fd_.get());
  fail(error != 0 ? std::strerror(error) : "connection closed", base::clock::now());
}

void connection::on_readable() {
  base::read_buffer& input = requests_.input_for_more();
  std::span<char> room;
  try {
    room = input.prepare(read_bytes);
  } catch (const std::bad_alloc&) {
    return fail("no memory for an answer of more than " + std::to_string(input.size()) + " bytes",
                base::clock::now());
  }
  const ssize_t received = ::recv(fd_.get(), room.data(), room.size(), MSG_DONTWAIT);
  const auto now = base::clock::now();
  if (received < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return;
    return fail(std::strerror(errno), now);
  }
  if (received == 0) return fail("connection closed by Redis", now);
  input.commit(static_cast<std::size_t>(received));
  last_received_ = now;
  if (state_ == phase::handshake) return read_handshake(now);
  metrics_.received_bytes += static_cast<std::uint64_t>(received);
  switch (requests_.on_received(now)) {
    case pipeline::verdict::ok:
      break;
    case pipeline::verdict::garbage:
      ++metrics_.unexpected_replies;
      return fail("answered something that is not RESP", now);
    case pipeline::verdict::unasked:
      ++metrics_.unexpected_replies;
      return fail("answered a request that was never sent", now);
    case pipeline::verdict::no_memory:
      return fail("no memory for what it has answered", now);
    case pipeline::verdict::disordered:
      ++metrics_.unexpected_replies;
      return fail("left out a reply or sent one too many: its replies are those of other requests", now);
  }
  if (input.empty() && input.capacity() > keep_bytes) input.release();
}

// The time for which bytes may wait to be taken.
std::chrono::milliseconds connection::patience() const {
  const auto silence = settings_.health_timeout, answer = settings_.request_timeout;
  if (silence.count() == 0 || answer.count() == 0) return std::max(silence, answer);
  return std::min(silence, answer);  // what was sent before has timed out by then
}

// The client may repeat a request that is about to be answered with BUSTIMEOUT, so no byte of the first one
// may arrive from now on. Bytes written to a Unix socket have arrived.
bool connection::end_undelivered(base::time_point now) {
  const auto behind = requests_.written_behind_expired(now);
  if (state_ != phase::up || !behind) return false;
  const std::size_t lacking = target_.unix_socket.empty() ? base::unacknowledged_bytes(fd_.get()) : 0;
  if (static_cast<std::int64_t>(lacking) <= *behind) {
    requests_.note_expired_delivered();
    return false;
  }
  requests_.tick(now);
  fail("does not acknowledge what was sent", now);
  return true;
}

// Silence counts only while an answer is owed, or bytes are not taken. Bytes that never become that answer do
// not help for ever.
std::string connection::unhealthy(base::time_point now) const {
  constexpr int most_silences = 3;
  const auto owed_since = requests_.oldest_sent();
  const auto limit = settings_.health_timeout;
  if (limit.count() == 0) return {};
  const auto stalled_since = requests_.stalled_since();
  if (stalled_since && now - *stalled_since >= patience())
    return "has taken no bytes for " + std::to_string(patience().count()) + " ms";
  if (!owed_since) return {};
  if (now - *owed_since >= most_silences * limit) return "does not answer, though it sends";
  if (now - std::max(*owed_since, last_received_) < limit) return {};
  return "has been silent for " + std::to_string(limit.count()) + " ms";
}

void connection::tick(base::time_point now, bool marks) {
  if (stopped_) return;
  switch (state_) {
    case phase::disconnected:
      if (now >= next_attempt_) attempt(now);
      break;
    case phase::connecting:
    case phase::handshake:
      if (now >= deadline_) fail("did not answer the connection in time", now);
      break;
    case phase::up:
      if (const std::string why = unhealthy(now); !why.empty()) return fail(why, now);
      if (end_undelivered(now)) return;
      if (marks && now >= next_mark_) {
        next_mark_ = now + settings_.health_interval;
        if (requests_.swallows_marker()) {
          ++metrics_.unexpected_replies;
          return fail("sends replies within another one that does not end", now);
        }
        requests_.mark(now);
        flush(now);
      }
      break;
  }
}

}  // namespace dualbus::backend
