#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/base/unique_fd.hpp>
#include <dualbus/client/bus_order.hpp>
#include <dualbus/client/engine_attribution.hpp>
#include <dualbus/client/read_pauses.hpp>
#include <dualbus/client/reply_queue.hpp>
#include <dualbus/client/session_environment.hpp>
#include <dualbus/client/session_state.hpp>
#include <dualbus/resp/encoder.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::client {

/// The times of a client's polls.
struct poll_pace {
  base::time_point absorbed{};  ///< its last poll that was answered without a bus
  base::time_point served{};    ///< its last poll that brought something, or might have
};

/// One client's connection: reads requests, gives them to the handler, and writes the replies in the
/// requests' order.
///
///   socket ──recv──> parser ──> request_handler ──> running requests ──> buses
///                                  │ queue: oldest … newest │
///   socket <──send── out  <── the front one's reply <── replies in any order
///
/// Reading pauses for any of the reasons below and goes on when none is left. A quiet client holds no buffer.
class session final : public base::io_handler, public backend::drain_listener, public turn::member {
 public:
  session(session_environment& environment, base::unique_fd fd, std::uint64_t id, bool tcp);
  ~session() override;

  // --- for the handler of requests

  std::uint64_t id() const { return id_; }
  resp::protocol protocol() const { return protocol_; }
  void set_protocol(resp::protocol version) { protocol_ = version; }
  /// The database that it has chosen with SELECT.
  std::uint8_t database() const { return database_; }
  void set_database(std::uint8_t index) { database_ = index; }

  /// The request that is dispatched now, as CLIENT LIST shows it; no_command if nobody knows it.
  void set_last_command(std::uint16_t command) { last_command_ = command; }
  std::uint16_t last_command() const { return last_command_; }
  /// Puts a request at the end of the queue. Call before anything can finish the request.
  void enqueue(running_request& running);
  /// Encodes the daemon's own reply to the current request: `write(resp::encoder&)`.
  template <typename Write>
  void answer(const request& request, metrics::outcome outcome, Write&& write) {
    base::chunk_queue* out = begin_answer(request);
    if (out != nullptr) {
      resp::encoder encoder(*out, protocol_);
      write(encoder);
    }
    count(request.command, outcome);
    end_answer();
  }
  /// Owes the reply to the current request, and holds later requests back, until complete(); deferred replies
  /// are completed in their order.
  void defer(const request& request);
  template <typename Write>
  void complete(metrics::outcome outcome, Write&& write) {
    owed_reply* const owed = replies_.first_deferred();
    if (owed == nullptr) return;
    resp::encoder encoder(replies_.begin_deferred(*owed), protocol_);
    write(encoder);
    if (replies_.first_deferred() == nullptr) unpause(pause_reason::deferred);
    finish(static_cast<running_request&>(*owed), outcome);
  }
  /// Counts a request that was answered within another one's reply.
  void count(std::uint16_t command, metrics::outcome outcome);
  /// Answers with an encoded reply that is not the request's outcome: the request is counted later.
  void acknowledge(const request& request, std::string_view reply);
  /// An error reply; `text` begins with its code.
  void refuse(const request& request, std::string_view text);

  /// Holds later requests back until release(): for commands that take several rounds.
  void hold() { pause(pause_reason::held); }
  void release() { unpause(pause_reason::held); }
  /// The same for EXEC, whose commands may hold and release for themselves.
  void hold_behind_exec() { pause(pause_reason::exec); }
  void release_behind_exec() {
    if (is_paused(pause_reason::exec)) unpause(pause_reason::exec);
  }
  /// Does not read further requests until the bus takes more; `request_bytes`: the size of the request that
  /// was sent or is to be sent.
  void await_drain(backend::bus& congested, std::size_t request_bytes);
  /// The same before a large request is sent, which waits in the client's own buffer: copies of all clients'
  /// large requests would fill any memory. False if the request may be sent.
  bool await_room(backend::bus& to, std::size_t request_bytes);
  /// Waits, perhaps long, for a reply that ends as soon as the client is gone.
  void set_blocked(bool value);
  /// True, as in Redis, also while CLIENT PAUSE holds a request back.
  bool blocked() const {
    return is_paused(pause_reason::client_pause) || (blocked_ && (!replies_.owes() || oldest()->waits()));
  }
  /// Ends the wait of a blocked client (CLIENT UNBLOCK); false if the client does not wait.
  bool unblock(bool with_error) { return blocked_ && replies_.owes() && newest()->unblock(with_error); }
  poll_pace& pace() { return pace_; }
  /// Asks the socket whether the client will send nothing more: that ends a wait.
  bool peer_gone() const;
  /// Asks the socket whether output cannot reach the client any more.
  bool was_reset() const;
  /// Sends a client away: its wait is called off, its other requests that buses have are answered, and then
  /// it has a moment to take the answers. A client that is owed nothing is closed at once, and so is one that
  /// goes for its memory, unless it waits.
  void leave(metrics::close_reason why);
  /// True if the client has been sent away and only takes its last answers.
  bool leaving() const {
    return leaving_ || phase_ == phase::lingering ||
           (phase_ == phase::closing && close_reason_ == metrics::close_reason::killed);
  }
  /// The wait of `running`, the newest request, was called off because the client leaves: it is not answered,
  /// and requests that the client has sent behind it are not carried out, as in Redis.
  void drop_wait(running_request& running);
  /// Drops the client's remaining requests, and closes when everything owed has been written.
  void end_input(metrics::close_reason why);
  /// Holds requests back until all earlier ones are answered; false if all are answered already.
  bool await_replies();
  bus_order& order() { return order_; }
  /// Holds requests back until one of those before them is complete, or order_moved(): then the first comes
  /// again.
  void await_order() { pause(pause_reason::order); }
  /// A bus has answered one of the requests that order() counts.
  void order_moved() {
    if (is_paused(pause_reason::order)) unpause(pause_reason::order);
  }
  /// CLIENT PAUSE: holds requests back until resume_after_pause().
  void await_unpause() { pause(pause_reason::client_pause); }
  void resume_after_pause();
  /// MONITOR: lines of other clients' requests come between its replies.
  void set_monitoring(bool value) { monitoring_ = value; }
  bool monitoring() const { return monitoring_; }
  /// CLIENT NO-EVICT: a client that is not evictable is cut off only for what it holds itself.
  void set_evictable(bool value) { evictable_ = value; }
  bool evictable() const { return evictable_; }
  void send_monitor_lines(std::string_view lines);
  /// Closes when everything owed so far has been written.
  void close_after_replies(metrics::close_reason why);
  /// Closes soon, after the caller has returned; nothing more is written.
  void close_unread(metrics::close_reason why);
  void close(metrics::close_reason why);

  /// The client's user; null if the client has yet to log in, or if there are no users.
  const user* current_user() const { return user_; }
  /// The client must log in and has not: it gets little of everything (stranger_limits.hpp).
  bool stranger() const { return standing_ == standing::stranger; }
  /// Call after any change of the client's user, and when users begin or cease to exist.
  void note_standing();
  /// The request that wants to log in comes again after `delay`; then take_login_permit() is true, once.
  void delay_login(base::duration delay);
  bool take_login_permit() { return std::exchange(login_permit_, false); }
  /// The user's name as CLIENT LIST shows it.
  std::string_view user_name() const;
  /// Logs the client in. The user belongs to session_environment::access.
  void set_user(const user& who);
  /// After a reload: the client goes on as the new user of the same name, and is reviewed. It is closed if it
  /// had logged in as a user that is gone or disabled now.
  void change_users();
  /// Ends every lasting state that a request could not lead to any more: subscriptions and MONITOR with the
  /// connection, waits with the error that a new request would get, a transaction as if it had failed. A wait
  /// for keys on a bus that does not have them any more ends as by CLIENT UNBLOCK.
  void review();
  /// The part of review() that concerns the request that waits.
  void review_wait();

  // Pub/Sub
  struct subscription_counts {
    std::size_t channels = 0, patterns = 0, shard_channels = 0;
    bool any() const { return channels + patterns + shard_channels > 0; }
  };
  void set_subscriptions(subscription_counts counts) {
    subscriptions_ = counts;
    subscribed_ = counts.any();
  }
  /// The client's own state, such as names and subscriptions, takes so many bytes more, or fewer.
  void note_own(std::ptrdiff_t bytes);
  bool subscribed() const { return subscribed_; }
  /// In RESP2 a client with subscriptions may send only a few commands.
  bool subscriber_mode() const { return subscribed() && protocol_ == resp::protocol::resp2; }
  /// Sends a message, given as a RESP3 push, between replies.
  void push(std::string_view message);
  /// The queue for such a message, which is encoded whole; null if the session is closing.
  base::chunk_queue* push_target();

  // MULTI, WATCH
  /// Between MULTI and EXEC or DISCARD.
  bool in_transaction() const { return in_transaction_; }
  /// Null if the client is not in MULTI and watches nothing.
  open_transaction* current_transaction() const { return transaction_.get(); }
  void set_transaction(open_transaction::pointer begun) { transaction_ = std::move(begun); }
  /// MULTI: requests are queued in current_transaction().
  void begin_transaction();
  /// MULTI and WATCH are over: the transaction goes to EXEC, or is dropped.
  open_transaction::pointer take_transaction();
  void end_transaction() { take_transaction().reset(); }

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
  const engine_attribution& attribution() const { return attribution_; }
  /// The figures of the engine behind this client.
  metrics::engine_counters& engine() const { return attribution_.counters(); }
  void reset();

  /// This client's line of CLIENT LIST, without the line break. `running`: the name, with its subcommand, of
  /// the request that is being answered to this client; `query_bytes`: the size of that request.
  std::string describe(std::string_view running = {}, std::size_t query_bytes = 0) const;
  std::chrono::seconds age() const;
  std::string peer_address() const;
  std::string local_address() const;

  // --- for running requests

  reply_queue& replies() { return replies_; }
  const reply_queue& replies() const { return replies_; }
  void finish(running_request& running, metrics::outcome outcome);
  /// The chunks that replies are made of.
  base::chunk_pool& chunks() const { return environment_.chunks; }
  /// The request that was put into the queue last; there is one.
  running_request* newest() const { return static_cast<running_request*>(replies_.newest()); }
  /// Adds bytes that are kept for the reply to a request, until it is finished or forgets them. All such
  /// bytes may take limits.client_output_buffer for each bus, since a client may get as much from each.
  void note_kept(running_request& running, std::size_t bytes);
  void forget_kept(running_request& running);
  /// Puts a place into the queue for the reply to a command that is run later: no other answer may come
  /// between answer_at() and the command's answer.
  local_reply& reserve(const request& request);
  void answer_at(local_reply& place) { replies_.answer_next_at(place); }

  // --- for the worker

  void flush() override;
  /// Goes on with requests that were read before a pause.
  void resume() override;
  /// The other clients have had their turn: goes on with the requests beyond one turn's share.
  void begin_next_share() override { unpause(pause_reason::turn); }
  /// Answers what the client has sent by now, then closes: the daemon ends.
  void drain();
  /// drain() once more, after the caller has returned.
  void drain_soon();
  bool draining() const { return phase_ == phase::draining; }
  void check_idle(std::chrono::seconds limit);

  /// That bus has left its place in a planned move: goes along with what waits or watches there.
  void follow(command::bus_index bus);

  // --- for a client that goes to another process, or comes from one (session_hand_over.cpp)

  /// Reads no more requests, so that the client is soon owed nothing.
  void prepare_to_go() { pause(pause_reason::hand_over); }
  /// It stays for now.
  void stay();
  /// It is owed nothing, or only a wait.
  bool can_go() const;
  /// Keys that it watches count as changed: a transaction that watches cannot go.
  void lose_watch();
  /// If the client is owed nothing, or a wait that can begin anew: its state, and its socket. The session has
  /// ended then, but not the connection. Nothing if the client cannot go now.
  struct departed {
    session_state state;
    base::unique_fd fd;
  };
  std::optional<departed> depart();
  /// Makes a session, just created, the one that has departed elsewhere. Its input is carried out at the end
  /// of the turn.
  void arrive(const session_state& state);
  /// Where its request that is being dispatched goes on, if that is a wait that began in another process;
  /// empty otherwise.
  const std::vector<read_cursor>& arrived_cursors() const;
  /// The time when the wait of a blocked client began; nothing if it does not wait.
  std::optional<base::time_point> waiting_since() const;
  /// Bytes that are kept for this client: unread replies, parts to be merged, input, MULTI's queue, names and
  /// subscriptions.
  std::size_t memory() const;
  /// Reads the client again, if it was not read because memory is tight and need not wait any more; cuts it
  /// off if it has not taken replies for a while. True if it goes on waiting.
  bool check_held(bool tight);
  bool closed() const { return phase_ == phase::closed; }

  void on_readable() override;
  void on_writable() override;
  void on_hangup(bool both_directions) override;
  bool on_drained() override {
    unpause(pause_reason::congestion);
    return resume_queued_;
  }

 private:
  using pause_reason = read_pauses::reason;
  /// The life of a connection. It only goes forward.
  enum class phase : std::uint8_t {
    open,
    draining,   ///< the daemon ends: requests sent by now are answered, and none begins to wait
    closing,    ///< nothing more is read; everything owed is written
    lingering,  ///< everything is written; the client has a moment to take it
    closed
  };
  /// The only place where the phase changes. False if the session has reached that phase already.
  bool enter(phase next);
  friend class running_request;
  class parser_limitation;

  void process();
  bool process_one();
  void keep_rest();
  void count_partial();
  void end_share();
  void pause(pause_reason reason) { pauses_.add(reason); }
  void unpause(pause_reason reason);
  bool is_paused(pause_reason reason) const { return pauses_.has(reason); }
  base::chunk_queue* begin_answer(const request& request);
  void end_answer();
  local_reply& make_place(const request& request);
  running_request* oldest() const { return static_cast<running_request*>(replies_.oldest()); }
  std::size_t most_kept() const;
  std::size_t owed_bytes() const { return replies_.waiting_bytes() + replies_.kept_bytes(); }
  bool hold_while_tight();
  void close_beyond_limits();
  void note_slow(running_request& running);
  void take_finished();
  std::string lost_right() const;
  void send_away();
  void read_ended();
  bool has_more_to_do() const;
  void leave_for_memory();
  void end_output();
  void discard_input();
  void end();
  void restore_transaction(const session_state& state);
  void watch();
  void queue_flush();

  session_environment& environment_;
  reply_queue replies_;
  std::unique_ptr<partial_input> partial_;
  std::unique_ptr<names> names_;
  open_transaction::pointer transaction_;
  bus_order order_;
  subscription_counts subscriptions_;
  engine_attribution attribution_;
  const user* user_ = nullptr;
  backend::bus* congested_bus_ = nullptr;
  const std::uint64_t id_;
  base::time_point created_, last_active_;
  poll_pace pace_;
  std::unique_ptr<std::vector<read_cursor>> cursors_;  // of the first request, until it is taken
  std::size_t own_bytes_ = 0, partial_bytes_ = 0;
  base::time_point stranger_since_;
  std::int64_t share_left_ = 0;  // of the turn below: see process()
  std::uint32_t share_turn_ = 0;
  base::unique_fd fd_;
  std::uint16_t last_command_ = no_command;
  read_pauses pauses_;
  std::uint8_t database_ = 0;
  resp::protocol protocol_ = resp::protocol::resp2;
  metrics::close_reason close_reason_ = metrics::close_reason::client;
  metrics::close_reason leaving_why_ = metrics::close_reason::client;
  standing standing_ = standing::none;
  phase phase_ = phase::open;
  bool login_permit_ = false;
  bool tcp_, reading_ = true, writing_ = false, flush_queued_ = false, resume_queued_ = false;
  bool in_transaction_ = false, logged_in_ = false, monitoring_ = false, blocked_ = false,
       half_closed_ = false, deaf_ = false, leaving_ = false, watched_ = true, last_answers_ = false,
       subscribed_ = false, evictable_ = true;
};

inline running_request::running_request(session& owner, const request& request)
    : owed_reply(owner.environment_.chunks, owner.replies_.mutes()),
      owner_(&owner),
      arrived_(owner.environment_.turn.now),
      command_(request.command) {
  if (owner.environment_.slow_log.keeps_arguments() && !request.args.empty()) [[unlikely]]
    keep_arguments(request.args);
}

}  // namespace dualbus::client
