#pragma once

#include <dualbus/backend/order_marker.hpp>
#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/base/clock.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/base/ring.hpp>
#include <dualbus/metrics/worker_metrics.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <new>
#include <optional>
#include <string_view>
#include <vector>

namespace dualbus::backend {

/// The reasons why a request has no reply; each is an error code that clients see.
enum class failure : std::uint8_t {
  bus_down,    ///< not a byte was sent: safe to retry
  bus_lost,    ///< sent, connection lost: outcome unknown
  bus_timeout  ///< sent, no answer in time: outcome unknown
};

struct reply_view {
  std::string_view bytes;   ///< the whole reply; valid during the call
  char type;                ///< its type byte, see reply_scanner
  base::duration bus_time;  ///< from having been sent to having been received
  base::duration held{};    ///< besides, on a durable_link: before it was sent, and until it was confirmed
  bool is_error() const { return type == '-' || type == '!'; }
};

/// Waits for the replies to requests. Each request that was appended ends in exactly one of the two calls,
/// with the `part` it was appended with; until then the sink must stay alive.
class reply_sink {
 public:
  virtual void on_reply(std::uint32_t part, const reply_view& reply) = 0;
  virtual void on_failure(std::uint32_t part, failure why) = 0;
  /// For requests over a durable_link: the bus has answered, or never will. Comes once, before one of the
  /// other calls, which may follow only when the bus has confirmed the write.
  virtual void on_answered(std::uint32_t part) { (void)part; }
  /// The same, when it was not confirmed in time; `why` says by whom not, for an error. Takes the place of
  /// on_reply().
  virtual void on_unconfirmed(std::uint32_t part, const reply_view& reply, std::string_view why) {
    (void)why;
    on_reply(part, reply);
  }
  /// True if nobody waits for the result any more.
  virtual bool abandoned() const = 0;
  /// True if the sink passes on what `who` gets.
  virtual bool stands_for(const reply_sink& who) const { return this == &who; }
  /// False once on_reply() does not look at the reply any more: then it may get only a part of it.
  virtual bool needs_reply() const { return true; }
  /// The client for whom the reply is kept, as session::id() counts; 0 if there is none.
  virtual std::uint64_t client() const { return 0; }

 protected:
  ~reply_sink() = default;
};

/// Is told about a pipeline's connection and about what arrives unasked. May append to the pipeline from
/// within its callbacks.
class pipeline_observer {
 public:
  virtual void on_connected() = 0;
  /// After everything that was in flight has ended as bus_lost.
  virtual void on_disconnected() = 0;
  /// A RESP3 push, valid during the call.
  virtual void on_push(std::string_view push) = 0;
  /// A reply that no request waits for. True if that is in order; else the connection cannot be trusted.
  virtual bool on_unasked(std::string_view reply) {
    (void)reply;
    return false;
  }

 protected:
  ~pipeline_observer() = default;
};

struct pipeline_settings {
  std::chrono::milliseconds reconnect_wait{1000};   ///< the time for unsent requests without a connection
  std::size_t reconnect_wait_bytes = 64U << 20;     ///< the most bytes of them
  std::chrono::milliseconds request_timeout{5000};  ///< from end() to the reply of a sent request; 0: none
  std::size_t congestion_bytes = 16U << 20;         ///< unsent bytes above which writers should pause
};

/// The requests of many clients on their way to one backend, and the order of the replies that are owed.
///
///   append ──> [ out: unsent bytes ] ──gather/on_written──> socket
///              [ slots: sent … | unsent … ] <──on_received── replies, oldest first
///
/// It sees no socket: a connection moves the bytes and says when it comes and goes. Nothing is written twice.
/// When the connection is lost, requests of which any byte was written end as bus_lost; the others stay and
/// wait for the next connection, for at most reconnect_wait. A request nobody waits for keeps its slot: its
/// reply must still be taken off the connection. Sinks may append to this pipeline from within their
/// callbacks.
class pipeline {
 public:
  /// All outlive the pipeline. `settings` may change between calls. Without `observer` pushes are passed
  /// over.
  pipeline(base::chunk_pool& pool, const pipeline_settings& settings, metrics::bus_metrics& metrics,
           pipeline_observer* observer = nullptr);

  // --- for requests

  /// True if a request may be appended; otherwise it is to end as bus_down. With a connection any request
  /// may, and those who have much to send are to wait while holds_back().
  bool accepts() const { return connected_ || out_.size() < settings_.reconnect_wait_bytes; }
  /// The queue into which the one request that end() announces is to be encoded.
  base::chunk_queue& begin() { return out_; }
  /// The same where memory may run out: `write(base::chunk_queue&)` encodes a request, or a block of them.
  /// False if there is too little: then nothing of it is left. After true, end() or end_block() needs no
  /// more.
  template <typename Write>
  bool encode(Write&& write) {
    try {
      write(out_);
      slots_.make_room();
      return true;
    } catch (const std::bad_alloc&) {
      drop_unannounced();
      return false;
    }
  }
  void end(reply_sink& sink, std::uint32_t part, base::time_point now);
  /// Announces what was encoded as several requests that belong together: the sink gets `replies` calls of
  /// on_reply(), with parts from 0, or one of on_failure() for what is left of them.
  void end_block(reply_sink& sink, std::uint32_t replies, base::time_point now);
  /// Drops what was encoded and not announced: memory ran out in the middle of it.
  void drop_unannounced();
  /// The time of this sink's requests is over. They end here: those of which not a byte was written as
  /// bus_down, and they are never sent; the others as bus_timeout. For the sink's requests with one reply
  /// each.
  void give_up(reply_sink& sink);
  /// True if unsent bytes pile up.
  bool congested() const { return out_.size() > settings_.congestion_bytes; }
  /// True if unsent bytes pile up although there is a connection that takes them.
  bool holds_back() const { return connected_ && congested(); }

  // --- for requests that are collected first: in a pipeline that never has a connection

  struct collected {
    reply_sink* sink;
    std::uint32_t part;
  };
  /// Moves all requests to the end of `bytes`, and says who waits for each reply. Nobody is told anything.
  void take(base::chunk_queue& bytes, std::vector<collected>& requests);

  // --- for requests that go out in portions

  /// What is there now may be written. Once this was called, what comes behind waits for the next call.
  void release() { released_ = written_ + out_.size(); }
  /// The bytes that may be written.
  std::size_t released_bytes() const {
    return released_ > written_ ? std::min<std::uint64_t>(out_.size(), released_ - written_) : 0;
  }

  // --- for requests that mean something on one connection only

  /// False: when the connection is lost, unsent requests end as bus_down instead of waiting for another one.
  void set_outlasting(bool value) { outlasting_ = value; }
  /// True if nothing is owed on the connection but one reply, of which no byte has come, to that sink.
  bool owes_only(const reply_sink& sink) const {
    return sent_ == 1 && slots_[0].sink == &sink && unfinished_bytes() == 0 && input_.empty();
  }
  /// Gives what is in flight to `heir`, which is new and has the connection now.
  void pass_on(pipeline& heir);
  /// A number that changes with every connection; 0 before the first.
  std::uint64_t connection_number() const { return connections_; }

  // --- for the connection

  void on_connected();
  void on_disconnected(base::time_point now);
  bool connected() const { return connected_; }

  std::size_t unsent_bytes() const { return out_.size(); }
  /// The rest of a request of which a part is written; 0 if there is none.
  std::size_t unfinished_bytes() const;
  int gather(iovec* vectors, int count) const { return out_.gather(vectors, count); }
  void on_written(std::size_t bytes, base::time_point now);

  /// Takes the received bytes; then on_received().
  base::read_buffer& input() { return input_; }
  /// The same before more is received; drops the received part of a large reply that nobody needs.
  base::read_buffer& input_for_more() {
    drop_large_unneeded();
    return input_;
  }
  /// Drops that at once, because a client has gone.
  void drop_large_unneeded() {
    if (input_.size() >= large_reply_bytes) [[unlikely]]
      drop_unneeded();
  }
  enum class verdict : std::uint8_t {
    ok,
    garbage,    ///< not RESP
    unasked,    ///< a reply that no request waits for
    no_memory,  ///< it ran out while a sink was told; some of the replies have not reached those who wait
    disordered  ///< the replies are not those of the requests whose turn it is: see order_marker
  };
  /// Hands the complete replies in the input to their sinks. After anything but ok the connection must be
  /// closed.
  verdict on_received(base::time_point now);

  /// Sends an order_marker behind what is there, unless one is under way. It is no request: nobody waits for
  /// it, and it counts in no figure but in_flight() and waiting().
  void mark(base::time_point now);
  /// True if a marker that is under way has become a part of another reply, which never ends therefore: the
  /// connection must be closed. Looks once at each byte that has come since it was asked last.
  bool swallows_marker();

  /// Ends everything that is left as bus_down, when there will be no other connection.
  void give_up();

  /// Ends what has waited too long; call it every few tens of milliseconds.
  void tick(base::time_point now);

  /// The bytes that were written behind the last request that tick() would end now as bus_timeout, or that
  /// give_up() has ended so; below zero if that request is written only in part. Nothing if there is no such
  /// request.
  std::optional<std::int64_t> written_behind_expired(base::time_point now) const;
  /// The peer has got all bytes of what give_up() has ended.
  void note_expired_delivered() { given_up_end_ = 0; }

  // --- for observers

  std::size_t in_flight() const { return sent_; }
  std::size_t waiting() const { return slots_.size() - sent_; }
  std::size_t abandoned() const;
  bool idle() const { return slots_.empty(); }
  /// The time since which the connection has taken none of the bytes to be sent; nothing if there are none.
  std::optional<base::time_point> stalled_since() const {
    if (!connected_ || sent_ == slots_.size()) return std::nullopt;
    return std::max(slots_[sent_].queued, last_written_);
  }
  /// The client whose reply is arriving, 0 if it is no client's, and the memory of the bytes received so far.
  struct incoming {
    std::uint64_t client = 0;
    std::size_t bytes = 0;
  };
  incoming receiving() const {
    if (sent_ == 0 || slots_[0].sink == nullptr) return {0, input_.capacity()};
    return {slots_[0].sink->client(), input_.capacity()};
  }
  /// The time when the request was sent whose answer comes next; nothing if none is owed.
  std::optional<base::time_point> oldest_sent() const {
    if (sent_ == 0) return std::nullopt;
    return slots_[0].sent;
  }

 private:
  static constexpr std::size_t large_reply_bytes = std::size_t{1} << 20;

  struct slot {
    reply_sink* sink = nullptr;  // null once it has been told of a time-out
    std::uint32_t part = 0;
    std::uint32_t more = 0;  // replies of a block that come before its last one
    std::uint64_t end = 0;   // offset of its last byte in all that was ever appended, plus one
    base::time_point queued{}, sent{};
  };

  /// The sink of the marker, which tells nobody.
  struct marker_sink final : reply_sink {
    void on_reply(std::uint32_t, const reply_view&) override {}
    void on_failure(std::uint32_t, failure) override { marker.forget(); }
    bool abandoned() const override { return false; }
    order_marker marker;
  };

  slot pop();
  void drop_front_bytes(std::uint64_t up_to);
  verdict take_replies(base::time_point now);
  void drop_unneeded();

  const pipeline_settings& settings_;
  metrics::bus_metrics& metrics_;
  pipeline_observer* const observer_;
  base::chunk_queue out_;
  base::read_buffer input_;
  resp::reply_scanner scanner_;
  base::ring<slot> slots_;
  marker_sink marker_;
  std::size_t sent_ = 0;                        // slots at the front that are wholly written
  std::uint64_t written_ = 0;                   // offset of the first byte in out_
  std::uint64_t begin_ = 0;                     // offset where the front slot begins
  std::uint64_t released_ = ~std::uint64_t{0};  // offset up to which bytes may be written
  std::uint64_t given_up_end_ = 0;  // offset behind the last request that give_up() has ended as bus_timeout
  std::uint64_t connections_ = 0;
  // The reply that swallows_marker() has looked at, by the end of its request, and how far.
  std::uint64_t looked_in_ = 0;
  std::size_t looked_at_ = 0;
  base::time_point last_written_{};
  std::uint64_t passed_over_ = ~std::uint64_t{0};  // begin_ of the request whose reply is not kept as a whole
  bool connected_ = false, outlasting_ = true;
};

}  // namespace dualbus::backend
