#pragma once

#include <dualbus/base/object_pool.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/operation/parking_lot.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/operation/script_spread.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::operation {

class forward_operation;

/// Sends requests to one bus and their replies back: the hot path. Each request is one part and copied once;
/// the operations come from a pool.
class forwarder {
 public:
  /// All outlive it.
  forwarder(environment& environment, parking_lot& parking, script_spread& scripts);
  ~forwarder();

  /// Sends a request to one bus and its reply back, with `args` instead of the raw bytes if there are any.
  /// `translate_id`: the reply is an entry's ID, and comes back in the client's form.
  void forward(session& client, routed_request& request, command::bus_index bus, bool translate_id = false,
               resp::arguments args = {});

  /// The memory of the requests under way.
  std::size_t used_bytes() const;

 private:
  friend class forward_operation;

  durable_writes::way choose_way(session& client, routed_request& request, command::bus_index bus);
  void forward_durably(session& client, routed_request& request, command::bus_index bus, bool translate_id,
                       resp::arguments args, durable_writes::way way);

  environment& env_;
  parking_lot& parking_;
  script_spread& scripts_;
  base::object_pool<forward_operation> pool_;
};

/// A request to one bus. The reply comes back as it is, or with its entry ID translated.
class forward_operation final : public request_operation {
 public:
  /// The kind of messages in the reply, to be counted for the client's engine.
  enum class messages : std::uint8_t { none, published, consumed };

  forward_operation(forwarder& forwarder, session& owner, routed_request& request, command::bus_index bus,
                    bool translate_id, messages counted);

  /// The request adds an entry to a key that somebody waits for, in order (parking_lot::added()): the parking
  /// lot is told the outcome.
  void note_waited_for(std::uint32_t key) { waited_for_ = key; }

  /// The request went over a durable link, and is counted in its client's order.
  void note_durable_link() { on_ = connection::durable; }
  /// Its answer waits for the confirmation, by itself or with a transaction.
  void note_confirm() { confirm_ = true; }

  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure why) override;
  void on_answered(std::uint32_t part) override;
  void on_unconfirmed(std::uint32_t part, const backend::reply_view& reply, std::string_view why) override;
  bool needs_reply() const override { return owner_ != nullptr || waited_for_ != 0; }
  bool may_be_overtaken(command::bus_index bus) const override {
    return bus_ == bus && on_ == connection::shared;
  }
  void destroy() override;
  bool detach() override { return false; }

 private:
  /// The connection on which the bus still has to answer.
  enum class connection : std::uint8_t { shared, durable, none };

  void count_messages(const backend::reply_view& answer) const;

  forwarder& forwarder_;
  command::bus_index bus_;
  bool translate_id_;
  messages counted_;
  connection on_ = connection::shared;
  bool confirm_ = false;
  std::uint32_t waited_for_ = 0;
};

inline forward_operation::forward_operation(forwarder& forwarder, session& owner, routed_request& request,
                                            command::bus_index bus, bool translate_id, messages counted)
    : request_operation(forwarder.env_, owner, request),
      forwarder_(forwarder),
      bus_(bus),
      translate_id_(translate_id),
      counted_(counted) {}

/// The ID in a bus's answer to XADD, in the client's form if `translates`; empty if there is none.
std::string added_id(const environment& environment, command::bus_index bus, std::string_view answer,
                     bool translates);

/// Appends a bus's answer to XADD, with the ID in the client's form, and returns the request's outcome.
/// Errors and nil are passed on. If the ID has no form for clients, the answer is an error that says that the
/// entry is stored: any ID would be another entry's.
metrics::outcome append_added(environment& environment, command::bus_index bus, std::string_view answer,
                              base::chunk_queue& out);

}  // namespace dualbus::operation
