#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <optional>

namespace dualbus::session {

class worker_context;

/// CLIENT UNBLOCK, on a bus's shared connection, for what waits on another one of that bus and may arrive
/// there later: then the bus answers 0, and is told again. What the bus answers there is up to it: it alone
/// knows whether it has given the client something already. Frees itself.
class unblocking final : public backend::reply_sink {
 public:
  /// `place`: where its owner keeps it. It is there until it has ended, or its owner calls forget(), which it
  /// must before the link goes.
  static void start(worker_context& context, command::bus_index bus, const backend::link& waiting,
                    bool with_error, unblocking*& place);
  /// The wait is over.
  void forget();

  void on_reply(std::uint32_t, const backend::reply_view& answer) override {
    answered(answer.bytes == ":0\r\n");
  }
  void on_failure(std::uint32_t, backend::failure why) override {
    answered(why == backend::failure::bus_down);
  }
  bool abandoned() const override { return false; }

 private:
  unblocking(worker_context& context, command::bus_index bus, const backend::link& waiting, bool with_error,
             unblocking*& place);
  void send_at(base::time_point when);
  void send();
  void answered(bool again);

  worker_context& context_;
  const command::bus_index bus_;
  const backend::link* waiting_;
  unblocking** place_;  // null once forgotten
  const bool with_error_;
  int attempts_ = 0;
  std::optional<timer_queue::id> timer_;  // while no answer is owed
};

}  // namespace dualbus::session
