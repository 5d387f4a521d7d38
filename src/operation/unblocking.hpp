#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/request_operation.hpp>

#include <functional>
#include <optional>

namespace dualbus::operation {

/// CLIENT UNBLOCK, sent on a bus's shared connection, for a request that waits on another connection to that
/// bus; after a move of the bus on the one that is kept to the place where the request waits. If that request
/// arrives later, the bus answers 0, and is told again. The bus decides the request's answer: it alone knows
/// whether it has given the client something already. Frees itself.
class unblocking final : public backend::reply_sink {
 public:
  /// `place`: the owner's pointer to it, which is set until it has ended or the owner gives the link back
  /// with give_back(). `failed` is called if the bus could not be told; then the request may wait for ever.
  static void start(environment& environment, command::bus_index bus, const backend::link& waiting,
                    bool with_error, unblocking*& place, std::function<void()> failed);
  /// The wait on the borrowed `link` is over: by the bus's answer if `answered`; otherwise the connection is
  /// closed. An order that is still on its way, in `told`, must not hit the next request that waits there:
  /// the link is free when the bus has answered the order, too. Clears both; nothing happens without a link.
  static void give_back(environment& environment, command::bus_index bus, backend::link*& link,
                        unblocking*& told, bool answered);

  void on_reply(std::uint32_t, const backend::reply_view& answer) override;
  void on_failure(std::uint32_t, backend::failure why) override;
  bool abandoned() const override { return false; }

 private:
  enum class result : std::uint8_t {
    done,       // the bus has ended the wait, or there is none
    not_there,  // the request has not arrived at the bus
    failed,     // the bus refuses
    unknown     // the bus may still carry the order out
  };

  unblocking(environment& environment, command::bus_index bus, const backend::link& waiting, bool with_error,
             unblocking*& place, std::function<void()> failed);
  void send_at(base::time_point when);
  void send();
  void ended(result how);
  void forget();
  void take(backend::link& link);

  environment& env_;
  const command::bus_index bus_;
  const backend::link* waiting_;
  unblocking** place_;                 // null once forgotten
  backend::link* returned_ = nullptr;  // to be given back when the answer is there
  std::function<void()> failed_;
  const bool with_error_;
  int attempts_ = 0;
  std::optional<client::timer_queue::id> timer_;  // while no answer is owed
};

}  // namespace dualbus::operation
