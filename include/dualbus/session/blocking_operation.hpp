#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <optional>
#include <string>
#include <vector>

namespace dualbus::session {

class unblocking;

/// A request whose reply may take long (BLPOP and its kin; reads with BLOCK and scripts where
/// `server_commands` are passed): it has a connection of its own while it waits, and the client's later
/// requests wait behind it, as in Redis. Only the bus knows whether it has given the client something
/// already. So it is asked to end the wait, by CLIENT UNBLOCK, when a client sends that, and when the client
/// that waits goes: what it answers the blocked connection decides. If the client of a script goes, the
/// connection is closed when all of it has been sent.
class blocking_operation final : public operation {
 public:
  blocking_operation(worker_context& context, session& owner, const request& what, command::bus_index bus,
                     backend::link& link);

  /// Ends it as bus_timeout at `when`: for a bus that hangs.
  void give_up_at(base::time_point when);

  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure why) override;
  void destroy() override { delete this; }
  bool detach() override;
  /// True if the bus is going to be told.
  bool unblock(bool with_error) override;
  bool give_up_wait() override;
  bool misplaced() const override;
  std::vector<std::string> lasting_request() const override;
  bool refuse_wait(std::string_view error) override;
  bool waits() const override { return link_ != nullptr && link_->requests.unsent_bytes() == 0; }

 private:
  void release(bool answered);
  void end_in_time();
  void tell_bus(bool with_error);
  void end_wait();
  void drop_wait();

  command::bus_index bus_;
  const bool script_;
  const bool reads_;                 // XREAD or XREADGROUP
  bool consumes_ = true;             // what these find is new to the reader
  const bool takes_;                 // what it is answered is nowhere else any more
  std::vector<std::string> words_;   // the request, if it waits for keys
  std::vector<std::uint32_t> keys_;  // where they stand in it
  std::string refusal_;              // that ends the wait
  backend::link* link_;              // null once given back
  std::optional<timer_queue::id> timer_;
  unblocking* unblocking_ = nullptr;  // while the bus is being told
  bool timed_out_ = false, given_up_ = false;
};

/// The error for a client that needs one more connection than there may be.
std::string no_connection_text(const worker_context& context, command::bus_index bus);

/// Sends `what` over a connection of its own; a script for which there is none goes the way of other
/// requests, and a read waits in the daemon. False: it must come again when earlier requests are answered.
bool start_blocking(worker_context& context, session& client, const request& what, command::bus_index bus);

}  // namespace dualbus::session
