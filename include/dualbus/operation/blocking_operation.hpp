#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/request_operation.hpp>

#include <optional>
#include <string>
#include <vector>

namespace dualbus::operation {

class unblocking;

/// A request whose reply may take long (BLPOP and its kin; reads with BLOCK and scripts where
/// `server_commands` are passed): it has a connection of its own while it waits, and the client's later
/// requests wait behind it, as in Redis. Only the bus knows whether it has given the client something
/// already. So the bus is told CLIENT UNBLOCK when a client sends that, and when the waiting client goes: the
/// bus's answer on the blocked connection decides. If the client of a script goes, the connection is closed
/// when the whole request has been sent.
class blocking_operation final : public request_operation {
 public:
  blocking_operation(environment& environment, session& owner, routed_request& request,
                     command::bus_index bus, backend::link& link);

  /// Puts the operation into its session's queue. Call once, before its request is announced.
  void start();
  /// Ends the request as bus_timeout at `when`: for a bus that hangs.
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
  /// The bus is told to end the wait; once it has, without an element, the wait can begin anew elsewhere.
  bool pack_wait(client::packed_wait& out) override;
  void follow(command::bus_index bus) override;
  void unpack_wait() override;
  bool waits() const override { return link_ != nullptr && link_->requests.unsent_bytes() == 0; }

 private:
  void release(bool answered);
  void end_in_time();
  void tell_bus(bool with_error);
  bool may_begin_anew() const;
  void end_wait();
  void drop_wait();
  /// The request with the time that it has left; nothing: it waits for ever.
  std::optional<base::duration> time_left() const;
  std::string& time_limit(std::vector<std::string>& words) const;
  std::vector<std::string> words_left() const;
  void wait_again();

  command::bus_index bus_;
  const bool script_;
  const bool reads_;                 // XREAD or XREADGROUP
  bool consumes_ = true;             // the entries that these find are new to the reader
  const bool takes_;                 // its answer is the only copy
  std::vector<std::string> words_;   // the request, if it waits for keys
  std::vector<std::uint32_t> keys_;  // where they stand in it
  std::string refusal_;              // the error that ends the wait
  backend::link* link_;              // null once given back
  std::optional<client::timer_queue::id> timer_;
  unblocking* unblocking_ = nullptr;  // while the bus is being told
  bool timed_out_ = false, given_up_ = false;
  // The client is to go to another process: the bus is told, and then the request is idle, without a link.
  // When the bus has moved, it is told, too, and the request begins anew at once.
  bool going_ = false, told_to_go_ = false, idle_ = false;
};

/// True for the pops: they write and take no memory. Moves of elements take some, and reads of streams only
/// read, or leave entries pending.
bool takes_elements(std::uint16_t command);

}  // namespace dualbus::operation
