#pragma once

#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {

/// A request that takes several commands, on one or more buses, in one or more rounds. A round's commands are
/// sent together; when all of them are answered, on_round() answers the client or sends the next round.
///
/// Not the hot path: parts are allocated, and replies are kept as copies until they are merged. While rounds
/// follow one another, the client's later requests are held back.
class gather_operation : public operation {
 public:
  /// `rounds`: whether more than one round may be needed.
  gather_operation(worker_context& context, session& owner, std::uint16_t command, bool rounds);

  /// Puts the operation into its session's queue and runs the first round. Call once.
  void start();

  void on_reply(std::uint32_t part, const backend::reply_view& reply) final;
  void on_failure(std::uint32_t part, backend::failure why) final;
  void destroy() final { delete this; }
  bool detach() override;

 protected:
  struct part {
    command::bus_index bus;
    std::string reply;  // as received; empty if it failed
    std::optional<backend::failure> failed;
    bool is_error() const { return failed || reply[0] == '-' || reply[0] == '!'; }
  };

  /// Sends the first round.
  virtual void on_start() = 0;
  /// All of the round's parts are there. Ends with send(), answer(), answer_error() or wait_then_restart().
  virtual void on_round(const std::vector<part>& parts) = 0;

  /// Sends one more command in this round; its part's index is the number of those before it.
  void send(command::bus_index bus, resp::arguments args);

  /// Answers and ends: `write(resp::encoder&, base::chunk_queue&)`. Nobody may be waiting any more.
  template <typename Write>
  void answer(metrics::outcome outcome, Write&& write) {
    if (owner_ != nullptr) {
      base::chunk_queue& out = reply();
      resp::encoder encoder(out, version_);
      write(encoder, out);
    }
    end(outcome);
  }
  void answer_integer(std::int64_t value) {
    answer(metrics::outcome::ok, [value](resp::encoder& out, base::chunk_queue&) { out.integer(value); });
  }
  /// Answers with the first error among `parts`; false if there is none.
  bool answer_error(const std::vector<part>& parts);
  /// Calls on_start() again after `delay`.
  void wait_then_restart(std::chrono::milliseconds delay);

  const resp::protocol version_;

 private:
  template <typename Step>
  void run(Step&& step);
  void run_round();
  void end(metrics::outcome outcome);
  void conclude();

  std::vector<part> parts_;
  std::size_t outstanding_ = 0;
  bool rounds_, running_ = false, ended_ = false;
  metrics::outcome outcome_ = metrics::outcome::ok;
  std::optional<timer_queue::id> timer_;
};

}  // namespace dualbus::session
