#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <functional>
#include <optional>

namespace dualbus::session {

class worker_context;

/// CLIENT UNBLOCK, on a bus's shared connection, for what waits on another one of that bus and may arrive
/// there later: then the bus answers 0, and is told again. The answer there is up to the bus: it alone
/// knows whether it has given the client something already. Frees itself.
class unblocking final : public backend::reply_sink {
 public:
  /// `place`: where its owner keeps it. It is there until it has ended, or its owner gives the link back,
  /// with give_back(). `failed` is called if the bus could not be told; then it may wait for ever.
  static void start(worker_context& context, command::bus_index bus, const backend::link& waiting,
                    bool with_error, unblocking*& place, std::function<void()> failed);
  /// The wait on the borrowed `link` is over: `answered` if by the bus's answer; otherwise the connection is
  /// closed. An order that is still on its way, in `told`, must not meet the next one who waits there: the
  /// link is free when the bus has answered that, too. Clears both; nothing happens without a link.
  static void give_back(worker_context& context, command::bus_index bus, backend::link*& link,
                        unblocking*& told, bool answered);

  void on_reply(std::uint32_t, const backend::reply_view& answer) override;
  void on_failure(std::uint32_t, backend::failure why) override;
  bool abandoned() const override { return false; }

 private:
  enum class result : std::uint8_t {
    done,       // the bus has ended the wait, or there is none
    not_there,  // what is to wait has not arrived at the bus
    failed,     // the bus refuses
    unknown     // it may still carry it out
  };

  unblocking(worker_context& context, command::bus_index bus, const backend::link& waiting, bool with_error,
             unblocking*& place, std::function<void()> failed);
  void send_at(base::time_point when);
  void send();
  void ended(result how);
  void forget();
  void take(backend::link& link);

  worker_context& context_;
  const command::bus_index bus_;
  const backend::link* waiting_;
  unblocking** place_;                 // null once forgotten
  backend::link* returned_ = nullptr;  // to be given back when the answer is there
  std::function<void()> failed_;
  const bool with_error_;
  int attempts_ = 0;
  std::optional<timer_queue::id> timer_;  // while no answer is owed
};

}  // namespace dualbus::session
