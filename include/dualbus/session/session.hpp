#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/base/poller.hpp>
#include <dualbus/base/unique_fd.hpp>
#include <dualbus/metrics/worker_metrics.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/session/client_places.hpp>
#include <dualbus/session/engine_attribution.hpp>
#include <dualbus/session/operation.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::session {

struct partial_input;
class transaction;
class user;
class worker_context;

/// How a client polls.
struct poll_pace {
  base::time_point absorbed{};  ///< its last poll that was answered without a bus
  base::time_point served{};    ///< its last poll that brought something, or might have
};

/// One client's connection: reads requests, has them dispatched, and writes the replies in the requests'
/// order.
///
///   socket ──recv──> parser ──> dispatch() ──> operations ──> buses
///                                  │ queue: oldest … newest │
///   socket <──send── out  <── the front one's reply <── replies in any order
///
/// Reading pauses for any of the reasons below and goes on when none is left. A quiet client holds no buffer.
class session final : public base::io_handler, public backend::drain_listener {
 public:
  /// Stands for commands that are not in the table.
  static constexpr std::uint16_t no_command = 0xffff;

  session(worker_context& context, base::unique_fd fd, std::uint64_t id, bool tcp);
  ~session() override;

  // --- for the dispatcher and commands
  // ----------------------------------------------------------------------

  std::uint64_t id() const { return id_; }
  resp::protocol protocol() const { return protocol_; }
  void set_protocol(resp::protocol version) { protocol_ = version; }
  /// The database that it has chosen with SELECT.
  std::uint8_t database() const { return database_; }
  void set_database(std::uint8_t index) { database_ = index; }

  /// The request that is dispatched now, as CLIENT LIST shows it; no_command if nobody knows it.
  void set_last_command(std::uint16_t command) { last_command_ = command; }
  /// Puts an operation at the end of the queue. It must be so before anything can finish it.
  void enqueue(operation& op);
  /// Encodes the daemon's own reply to the current request: `write(resp::encoder&)`. Returns nothing to wait
  /// for.
  template <typename Write>
  void answer(std::uint16_t command, metrics::outcome outcome, Write&& write) {
    base::chunk_queue* out = begin_answer(command);
    if (out != nullptr) {
      resp::encoder encoder(*out, protocol_);
      write(encoder);
    }
    count(command, outcome);
    end_answer();
  }
  /// Owes the reply to the current request, and holds later ones back, until complete(); the first that is
  /// owed is completed first.
  void defer(std::uint16_t command);
  template <typename Write>
  void complete(metrics::outcome outcome, Write&& write) {
    operation* const op = first_deferred();
    if (op == nullptr) return;
    op->deferred_ = false;
    resp::encoder encoder(reply_target(*op), protocol_);
    write(encoder);
    if (first_deferred() == nullptr) unpause(pause_reason::deferred);
    finish(*op, outcome);
  }
  /// Counts a request that was answered within another one's reply.
  void count(std::uint16_t command, metrics::outcome outcome);
  /// Answers with a reply, as encoded, that is not the request's outcome: it is counted later.
  void acknowledge(std::uint16_t command, std::string_view reply);
  /// An error reply; `text` begins with its code.
  void refuse(std::uint16_t command, std::string_view text);

  /// Holds later requests back until release(): for commands that take several rounds.
  void hold() { pause(pause_reason::held); }
  void release() { unpause(pause_reason::held); }
  /// The same for EXEC, whose commands may hold and release for themselves.
  void hold_behind_exec() { pause(pause_reason::exec); }
  void release_behind_exec() {
    if (is_paused(pause_reason::exec)) unpause(pause_reason::exec);
  }
  /// Does not read further requests until the bus takes more; `request_bytes`: what it has sent or is to
  /// send.
  void await_drain(backend::bus& congested, std::size_t request_bytes);
  /// The same before a large request is sent, which waits in the client's own buffer: if all clients' were
  /// copied, they would fill any memory. False if it may be sent.
  bool await_room(backend::bus& to, std::size_t request_bytes);
  /// Waits, perhaps long, for a reply that ends as soon as the client is gone.
  void set_blocked(bool value);
  /// As Redis counts: also while CLIENT PAUSE holds a request back.
  bool blocked() const {
    return is_paused(pause_reason::client_pause) || (blocked_ && (head_ == nullptr || head_->waits()));
  }
  /// Ends the wait of a blocked client (CLIENT UNBLOCK); false if it does not wait.
  bool unblock(bool with_error) { return blocked_ && tail_ != nullptr && tail_->unblock(with_error); }
  poll_pace& pace() { return pace_; }
  /// Asks the socket whether the client will send nothing more: while it waits, that ends the wait.
  bool peer_gone() const;
  /// Asks the socket whether nothing that is written reaches the client any more.
  bool was_reset() const;
  /// Sends a client away: its wait is called off, what buses have of its other requests is answered, and then
  /// it has a moment to take the answers. One that is owed nothing is closed at once, and so is one that goes
  /// for its memory, unless it waits.
  void leave(metrics::close_reason why);
  /// It has been sent away and only takes its last answers.
  bool leaving() const {
    return leaving_ || lingering_ ||
           (is_paused(pause_reason::closing) && close_reason_ == metrics::close_reason::killed);
  }
  /// The wait of `op`, the newest one, was called off because the client leaves: it is not answered, and what
  /// the client has sent behind it is not carried out, as in Redis.
  void drop_wait(operation& op);
  /// Passes over what is left of the client's requests, and closes when everything owed has been written.
  void end_input(metrics::close_reason why);
  /// Holds requests back until all earlier ones are answered; false if they are already.
  bool await_replies();
  /// CLIENT PAUSE: holds requests back until resume_after_pause().
  void await_unpause() { pause(pause_reason::client_pause); }
  void resume_after_pause();
  /// MONITOR: lines of other clients' requests come between its replies.
  void set_monitoring(bool value) { monitoring_ = value; }
  bool monitoring() const { return monitoring_; }
  /// CLIENT NO-EVICT: an unevictable client is never cut off because of what others hold, too.
  void set_evictable(bool value) { evictable_ = value; }
  bool evictable() const { return evictable_; }
  void send_monitor_lines(std::string_view lines);
  /// Closes when everything owed so far has been written.
  void close_after_replies(metrics::close_reason why);
  /// Closes soon, after the caller has returned; nothing more is written.
  void close_unread(metrics::close_reason why);
  void close(metrics::close_reason why);

  /// The user that the client is; null if it has yet to log in, or if there are no users.
  const user* current_user() const { return user_; }
  /// It must log in and has not: it gets little of everything (stranger_limits.hpp).
  bool stranger() const { return standing_ == standing::stranger; }
  /// After any change of who it is, and of whether users exist.
  void note_standing();
  /// Lets the request that wants to log in come again after `delay`; take_login_permit() is true once then.
  void delay_login(base::duration delay);
  bool take_login_permit() { return std::exchange(login_permit_, false); }
  /// As CLIENT LIST shows it.
  std::string_view user_name() const;
  /// Logs it in. The user belongs to worker_context::access().
  void set_user(const user& who);
  /// After a reload: it goes on as the user of that name, and is reviewed. It is closed if it had logged in
  /// as one that is gone or disabled now.
  void change_users();
  /// Ends every state that lasts and that a request could not lead to any more: subscriptions and MONITOR
  /// with the connection, waits with the error that a new request would get, what was queued or watched as if
  /// it had failed. A wait for keys on a bus that has them no more ends as by CLIENT UNBLOCK.
  void review();

  // Pub/Sub
  void set_subscribed(bool value) { subscribed_ = value; }
  /// More or less is kept for it, replies and requests apart: names, subscriptions.
  void note_own(std::ptrdiff_t bytes);
  bool subscribed() const { return subscribed_; }
  /// In RESP2 a client with subscriptions may send but a few commands.
  bool subscriber_mode() const { return subscribed_ && protocol_ == resp::protocol::resp2; }
  /// Sends a message, given as a RESP3 push, between replies.
  void push(std::string_view message);
  /// The request just dispatched may publish to its own client (EXEC, PUBLISH, a script). Messages that come
  /// before its reply stands in the output are sent behind the reply, neither before nor within it.
  void hold_pushes_behind_newest();
  /// The queue for such a message, which is encoded whole; null if it is closing.
  base::chunk_queue* push_target();

  // CLIENT REPLY
  enum class reply_mode : std::uint8_t { on, off, skip_next, skip_this };
  void set_reply_mode(reply_mode mode) { reply_mode_ = mode; }
  reply_mode current_reply_mode() const { return reply_mode_; }

  // MULTI, WATCH
  /// Nothing but the replies to MULTI and what was queued since waits to be written: EXEC's may travel with
  /// them.
  bool only_acknowledged() const { return only_acknowledged_ && head_ == tail_; }
  /// Between MULTI and EXEC or DISCARD.
  bool in_transaction() const { return in_transaction_; }
  /// Null if the client is not in MULTI and watches nothing.
  transaction* current_transaction() const { return transaction_.get(); }
  /// The same; begins with an empty one if there is none.
  transaction& open_transaction();
  void begin_transaction();
  /// MULTI and WATCH are over: the transaction goes to EXEC, or is dropped.
  std::unique_ptr<transaction> take_transaction();
  void end_transaction();

  struct names {
    std::string client, library, library_version;
  };
  names& mutable_names();
  const names* current_names() const { return names_.get(); }
  /// `name` is one of mutable_names().
  void rename(std::string& name, std::string_view to);
  /// CLIENT SETNAME; empty for none.
  void set_name(std::string_view name);
  engine_attribution& attribution() { return attribution_; }
  /// The figures of the engine behind this client.
  metrics::engine_counters& engine() const { return attribution_.counters(); }
  void reset();

  /// This client's line of CLIENT LIST, without the line break. `running`: the name of the request that is
  /// being answered to this client, with its subcommand, and `query_bytes` what it took.
  std::string describe(std::string_view running = {}, std::size_t query_bytes = 0) const;
  std::chrono::seconds age() const;
  std::string peer_address() const;
  std::string local_address() const;

  // --- for operations
  // ---------------------------------------------------------------------------------------

  base::chunk_queue& reply_target(operation& op);
  void finish(operation& op, metrics::outcome outcome);
  /// The operation that was put into the queue last; there is one.
  operation* newest() const { return tail_; }
  /// The bytes kept for the reply of an operation, until it is finished or forgets them. All of them may take
  /// limits.client_output_buffer for each bus: of what each sends one client may get as much.
  void note_kept(operation& op, std::size_t bytes);
  void forget_kept(operation& op);
  /// Puts a place into the queue for the reply to a command that is run later: between answer_at() and what
  /// the command answers there must be no other answer.
  local_operation& reserve(std::uint16_t command);
  void answer_at(local_operation& place) { reserved_ = &place; }
  /// There will be no such reply; only of what is silenced.
  void abandon(local_operation& place);
  /// The replies of the operations behind `first`, up to `last`, are not to be sent.
  void silence(operation& first, operation& last);
  /// True if the reply to the request being dispatched is not to be sent.
  bool mutes_reply() const { return reply_mode_ == reply_mode::off || reply_mode_ == reply_mode::skip_this; }

  // --- for the worker
  // ---------------------------------------------------------------------------------------

  void flush();
  /// Goes on with requests that were read before a pause.
  void resume();
  /// The others have had their turn: goes on with what one turn's share was not enough for.
  void begin_next_share() { unpause(pause_reason::turn); }
  /// Answers what the client has sent by now, then closes: the daemon ends.
  void drain();
  /// drain() once more, after the caller has returned.
  void drain_soon();
  bool draining() const { return draining_; }
  void check_idle(std::chrono::seconds limit);
  /// Bytes that are kept for this client: unread replies, parts to be merged, input, MULTI's queue, names and
  /// subscriptions.
  std::size_t memory() const;
  /// Whether it is read again, if it is not because memory is tight: it is cut off if it has not taken
  /// replies for a while. True if it goes on waiting.
  bool check_held(bool tight);
  bool closed() const { return !fd_; }

  void on_readable() override;
  void on_writable() override;
  void on_hangup(bool both_directions) override;
  bool on_drained() override {
    unpause(pause_reason::congestion);
    return resume_queued_;
  }

 private:
  enum class pause_reason : std::uint16_t {
    held = 1,
    congestion = 2,
    in_flight = 4,
    closing = 8,
    barrier = 16,
    exec = 32,
    client_pause = 64,
    deferred = 128,
    memory = 256,
    turn = 512,
    login = 1024
  };
  class parser_limitation;

  void process();
  bool process_one();
  void keep_rest();
  void count_partial();
  void end_share();
  void pause(pause_reason reason) { paused_ |= static_cast<std::uint16_t>(reason); }
  void unpause(pause_reason reason);
  bool is_paused(pause_reason reason) const { return (paused_ & static_cast<std::uint16_t>(reason)) != 0; }
  base::chunk_queue* begin_answer(std::uint16_t command);
  void end_answer();
  operation* first_deferred() const;
  std::size_t most_kept() const;
  std::size_t owed_bytes() const { return out_.size() + stashed_bytes_ + kept_bytes_; }
  bool hold_while_tight();
  void close_beyond_limits();
  void note_slow(operation& op);
  void pop_finished();
  void release_pushes();
  std::string lost_right() const;
  void send_away();
  void read_ended();
  bool has_more_to_do() const;
  void leave_for_memory();
  void end_output();
  void discard_input();
  void watch();
  void queue_flush();

  worker_context& context_;
  base::chunk_queue out_;
  std::unique_ptr<partial_input> partial_;
  std::unique_ptr<names> names_;
  std::unique_ptr<transaction> transaction_;
  engine_attribution attribution_;
  const user* user_ = nullptr;
  operation* head_ = nullptr;
  operation* tail_ = nullptr;
  local_operation* answering_ = nullptr;
  local_operation* reserved_ = nullptr;  // where the next answer goes
  backend::bus* congested_bus_ = nullptr;
  const std::uint64_t id_;
  base::time_point created_, last_active_;
  poll_pace pace_;
  std::size_t stashed_bytes_ = 0, kept_bytes_ = 0, own_bytes_ = 0, partial_bytes_ = 0;
  base::time_point stranger_since_;
  std::int64_t share_left_ = 0;  // of the turn below: see process()
  std::uint32_t share_turn_ = 0;
  struct held_pushes {
    std::uint32_t hold;
    std::string bytes;
  };
  std::vector<held_pushes> held_pushes_;
  std::uint32_t newest_hold_ = 0, ended_holds_ = 0;  // they are numbered
  std::uint32_t in_flight_ = 0;
  base::unique_fd fd_;
  std::uint16_t last_command_ = no_command;
  std::uint16_t paused_ = 0;
  std::uint8_t database_ = 0;
  resp::protocol protocol_ = resp::protocol::resp2;
  reply_mode reply_mode_ = reply_mode::on;
  metrics::close_reason close_reason_ = metrics::close_reason::client;
  metrics::close_reason leaving_why_ = metrics::close_reason::client;
  standing standing_ = standing::none;
  bool login_permit_ = false;
  bool tcp_, reading_ = true, writing_ = false, flush_queued_ = false, resume_queued_ = false;
  bool in_transaction_ = false, logged_in_ = false, monitoring_ = false, blocked_ = false,
       half_closed_ = false, deaf_ = false, leaving_ = false, watched_ = true, draining_ = false,
       last_answers_ = false, lingering_ = false, subscribed_ = false, only_acknowledged_ = false,
       evictable_ = true;
};

}  // namespace dualbus::session
