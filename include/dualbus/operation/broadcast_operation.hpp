#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/request_operation.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::operation {

class unblocking;

/// WAIT, WAITAOF, SCRIPT KILL, FUNCTION KILL: to every bus at once, over a connection of its own to each. The
/// first two wait, and the others must not stand behind the script that they are to end. The client's later
/// requests wait behind the operation; if the client goes, the buses are told to end the wait.
class broadcast_operation final : public request_operation {
 public:
  broadcast_operation(environment& environment, session& owner, routed_request& request,
                      std::vector<backend::link*> links);

  /// Sends the request to every bus.
  void send(const client::request& request);

  /// At `when`, ends the parts that have no answer as bus_timeout.
  void give_up_at(base::time_point when);

  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure why) override;
  void destroy() override { delete this; }
  bool detach() override;
  /// Each bus is told to end the wait, and answers with the result so far.
  bool unblock(bool with_error) override;
  bool give_up_wait() override;
  std::vector<std::string> lasting_request() const override;
  bool refuse_wait(std::string_view error) override;
  /// WAIT changes nothing, so it is asked again at the new place, for the time that it has left.
  void follow(command::bus_index bus) override;

 private:
  struct share {
    backend::link* link;  // null once given back
    unblocking* told;     // while the bus is being told to end the wait
    std::string reply;
    std::optional<backend::failure> failed;
    bool follows = false;  // told to end the wait because its bus has moved
  };

  void release(std::size_t bus, bool answered);
  void release_all();
  void tell_buses(bool with_error);
  void tell_bus(std::size_t bus, bool with_error);
  void ask_again(std::size_t bus);
  std::vector<std::string> words_left() const;
  void end_in_time();
  void count_down();
  void conclude();

  const bool kills_;
  std::vector<std::string> words_;  // the request, if it waits
  std::string refusal_;             // the error that ends the wait
  std::vector<share> shares_;       // by bus
  std::size_t asked_ = 0;           // buses that have been sent the request
  std::size_t outstanding_ = 0;
  std::optional<client::timer_queue::id> timer_;
  bool timed_out_ = false, unblocked_ = false, given_up_ = false;
};

/// The fewest replicas (WAITAOF: the fewest of each of its two numbers) that every bus can vouch for. False,
/// and nothing is written, if the replies do not go together.
bool write_least(const std::vector<std::string_view>& replies, base::chunk_queue& out);

}  // namespace dualbus::operation
