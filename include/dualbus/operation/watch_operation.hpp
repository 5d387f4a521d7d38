#pragma once

#include <dualbus/client/request.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/request_operation.hpp>

#include <optional>
#include <string>

namespace dualbus::operation {

/// WATCH, on the connection that the client's transaction has borrowed for it. The client's later requests
/// travel on other connections and wait until the keys are watched.
class watch_operation final : public request_operation {
 public:
  /// `selects`: the reply to a SELECT comes first.
  watch_operation(environment& environment, session& owner, routed_request& request, command::bus_index bus,
                  bool selects);
  ~watch_operation() override;

  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure why) override;
  void destroy() override { delete this; }
  /// The transaction has closed the connection, which ends the operation.
  bool detach() override { return false; }

 private:
  void stop_clock();

  command::bus_index bus_;
  std::optional<client::timer_queue::id> timer_;
  const bool selects_;
  std::string error_;  // the reply to SELECT, if it is an error
  bool timed_out_ = false;
};

}  // namespace dualbus::operation
