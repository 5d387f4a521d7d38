#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::session {

class unblocking;

/// WAIT, WAITAOF, SCRIPT KILL, FUNCTION KILL: to every bus at once, over a connection of its own to each. The
/// first two wait, and the others must not stand behind the script that they are to end. The client's later
/// requests wait behind it; if the client goes, the buses are told to end the wait.
class broadcast_operation final : public operation {
 public:
  broadcast_operation(worker_context& context, session& owner, std::uint16_t command,
                      std::vector<backend::link*> links);

  /// Ends the parts that are not answered as bus_timeout at `when`.
  void give_up_at(base::time_point when);

  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure why) override;
  void destroy() override { delete this; }
  bool detach() override;
  /// Each bus is told, and answers how far it has come.
  bool unblock(bool with_error) override;
  bool give_up_wait() override;
  std::vector<std::string> lasting_request() const override;
  bool refuse_wait(std::string_view error) override;

 private:
  friend bool start_broadcast(worker_context& context, session& client, const request& what);

  struct share {
    backend::link* link;  // null once given back
    unblocking* told;     // while the bus is being told to end the wait
    std::string reply;
    std::optional<backend::failure> failed;
  };

  void send(const request& what);
  void release(std::size_t bus, bool answered);
  void release_all();
  void tell_buses(bool with_error);
  void end_in_time();
  void count_down();
  void conclude();

  const bool kills_;
  std::vector<std::string> words_;  // the request, if it waits
  std::string refusal_;             // that ends the wait
  std::vector<share> shares_;       // by bus
  std::size_t outstanding_ = 0;
  std::optional<timer_queue::id> timer_;
  bool timed_out_ = false, unblocked_ = false, given_up_ = false;
};

/// Sends `what` to every bus. False: it must come again when earlier requests are answered.
bool start_broadcast(worker_context& context, session& client, const request& what);

/// The same inside a transaction, where nothing waits: as a part of what EXEC carries out on every bus.
void start_broadcast_in_transaction(worker_context& context, session& client, const request& what);

}  // namespace dualbus::session
