#pragma once

#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <optional>
#include <string>

namespace dualbus::session {

/// WATCH, on the connection that the client's transaction has borrowed for it. The client's later requests
/// travel on others and wait until the keys are watched.
class watch_operation final : public operation {
 public:
  /// `selects`: the reply to a SELECT comes first.
  watch_operation(worker_context& context, session& owner, std::uint16_t command, command::bus_index bus,
                  bool selects);
  ~watch_operation() override;

  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure why) override;
  void destroy() override { delete this; }
  /// The transaction has closed the connection, which ends this.
  bool detach() override { return false; }

 private:
  void stop_clock();

  command::bus_index bus_;
  std::optional<timer_queue::id> timer_;
  const bool selects_;
  std::string error_;  // the reply to SELECT, if it is one
  bool timed_out_ = false;
};

/// Sends WATCH. False: it must come again when earlier requests are answered.
bool start_watch(worker_context& context, session& client, const request& what);

}  // namespace dualbus::session
