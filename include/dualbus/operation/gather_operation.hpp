#pragma once

#include <dualbus/base/task.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <coroutine>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::operation {

/// A request that takes several commands, on one or more buses, in one or more rounds. A round's commands are
/// sent together; round() waits until all of them are answered.
///
///   base::task<> run() override {
///     send(bus, args) …;
///     const std::vector<part> parts = co_await round();
///     answer(…);
///   }
///
/// Not the hot path: replies are kept as copies until they are merged. If the client goes while commands are
/// out, run() goes on, so that a request of several steps is not left half done; a pause ends it.
///
/// However many rounds there are, together they take backend.request_timeout at most, counted from the
/// request's arrival or from restart_clock(). A round under way ends then: its missing parts fail as
/// bus_timeout, or as `late` if they were not sent; parts that the bus has not got are not carried out any
/// more. Later commands of run() fail at once, as `late`. Pauses do not count.
///
/// If run() ends with std::bad_alloc, the client is closed: it cannot be told what its request has done.
class gather_operation : public request_operation {
 public:
  /// `holds`: the client's later requests are held back until this one is answered. They must be, unless the
  /// whole request is sent at once.
  gather_operation(environment& environment, session& owner, routed_request& request, bool holds);

  /// Puts the operation into its session's queue and begins to run it. Call once.
  void start();

  void on_reply(std::uint32_t part, const backend::reply_view& reply) final;
  void on_failure(std::uint32_t part, backend::failure why) final;
  void on_unconfirmed(std::uint32_t part, const backend::reply_view& reply, std::string_view why) final;
  bool needs_reply() const final { return !freed_ && (owner_ != nullptr || holds_); }
  /// If replies are still owed to a round that has ended without them, the last of them frees the operation.
  void destroy() final;
  bool detach() final;

 protected:
  struct part {
    command::bus_index bus;
    std::string reply;  // as received; empty if it failed
    std::optional<backend::failure> failed;
    bool late = false;      // bus_down because the time was over: the bus was not asked
    bool answered = false;  // by a reply or a failure
    bool is_error() const { return failed || reply[0] == '-' || reply[0] == '!'; }
  };
  using parts = std::vector<part>;

  /// The request's course; ends after exactly one answer.
  virtual base::task<> run() = 0;
  /// Sees a reply where it was received, before it is copied. True: no copy is needed, and its part stays
  /// empty.
  virtual bool take_reply(std::uint32_t, std::string_view) { return false; }
  /// The client has gone during a pause or suspension that no reply ends; then the operation is freed.
  virtual void on_abandoned() {}

  /// Sends one more command in this round; its part's index is the number of those before it. `confirm`: the
  /// part's reply waits until the bus confirms it (see durable_writes), or is an error that says that it has
  /// not. Only if nothing of this client is under way that might be overtaken.
  void send(command::bus_index bus, resp::arguments args, bool confirm = false);

  struct round_awaiter {
    gather_operation& op;
    bool await_ready() const noexcept { return op.outstanding_ == 0; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept { op.waiting_ = waiting; }
    parts await_resume() { return op.take_parts(); }
  };
  /// Waits for the answers to everything sent since the last round.
  round_awaiter round();
  /// The request's time begins anew: the request has waited for something that has a time limit of its own.
  void restart_clock();
  bool time_is_over() const;
  /// Adds a twentieth of the request's time, for commands that are answered at once or not at all.
  void extend_clock();

  struct pause_awaiter {
    gather_operation& op;
    base::duration delay;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting);
    void await_resume() const noexcept {}
  };
  pause_awaiter pause(base::duration delay) { return {*this, delay}; }

  /// For run() to wait for something else, which calls resume() when it has come.
  struct suspend_awaiter {
    gather_operation& op;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept { op.waiting_ = waiting; }
    void await_resume() const noexcept {}
  };
  suspend_awaiter suspend() { return {*this}; }
  /// Continues run() behind round() or suspend(). The operation may be gone when resume() returns.
  void resume();

  /// Answers by `write(resp::encoder&, base::chunk_queue&)`, unless the client has gone.
  template <typename Write>
  void answer(metrics::outcome outcome, Write&& write) {
    if (owner_ != nullptr) {
      base::chunk_queue& out = reply();
      resp::encoder encoder(out, version_);
      write(encoder, out);
    }
    outcome_ = outcome;
  }
  void answer_integer(std::int64_t value) {
    answer(metrics::outcome::ok, [value](resp::encoder& out, base::chunk_queue&) { out.integer(value); });
  }
  void answer_ok() {
    answer(metrics::outcome::ok, [](resp::encoder& out, base::chunk_queue&) { out.status("OK"); });
  }
  /// Answers with an error of the daemon's own; `text` begins with its code.
  void answer_refusal(std::string_view text) {
    answer(metrics::outcome::refused, [text](resp::encoder& out, base::chunk_queue&) { out.error(text); });
  }
  /// The sum of the integers that buses answered, without errors, or the largest integer if the sum is
  /// larger. Nothing if a reply is no integer; then the request has been answered with an error.
  std::optional<std::int64_t> sum_of(const parts& all);
  /// Answers that the bus gave a reply that Redis does not give, which cannot be merged.
  void answer_nonsense(command::bus_index bus);
  /// Answers with the error or failure of `bad`.
  void answer_error(const part& bad);
  /// Answers with the first error among `all`, WRONGTYPE before others; false if there is none.
  bool answer_error(const parts& all);

  const resp::protocol version_;
  const command::command_spec& spec_;
  /// True in a transaction: EXEC carries out the first round, and nothing waits.
  const bool one_round_;

 private:
  void keep(part& to, std::uint32_t index, const backend::reply_view& answer);
  void after_step();
  void conclude();
  void end_without_memory();
  /// Ends the round under way.
  void expire();
  void stop_clock();
  parts take_parts();
  /// The part of the present round that an answer belongs to; null if its round has ended without it.
  part* find_part(std::uint32_t index);

  outlet* out_;  // of the present round: later rounds than the first are no part of a transaction
  base::task<> script_;
  std::coroutine_handle<> waiting_;
  parts parts_;
  std::size_t outstanding_ = 0;
  std::uint32_t first_ = 0;  // the number of the present round's first part
  std::size_t missed_ = 0;   // answers that rounds have ended without
  base::time_point deadline_ = base::time_point::max();
  bool holds_, running_ = false, freed_ = false, expiring_ = false;
  metrics::outcome outcome_ = metrics::outcome::ok;
  std::optional<client::timer_queue::id> timer_;  // of a pause
  std::optional<client::timer_queue::id> clock_;  // of a round that began late
};

/// The common case: one round of commands, one merge.
class single_round_operation : public gather_operation {
 public:
  single_round_operation(environment& environment, session& owner, routed_request& request)
      : gather_operation(environment, owner, request, false) {}

 protected:
  base::task<> run() final;
  /// Sends all commands.
  virtual void on_start() = 0;
  /// Answers the request.
  virtual void on_round(const parts& all) = 0;
};

}  // namespace dualbus::operation
