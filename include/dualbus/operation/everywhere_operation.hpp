#pragma once

#include <dualbus/operation/gather_operation.hpp>

#include <cstddef>

namespace dualbus::operation {

/// A request that goes at once and as it is to every bus, including draining ones; the parts are in the order
/// of the buses.
class everywhere_operation : public single_round_operation {
 public:
  everywhere_operation(environment& environment, session& owner, routed_request& request)
      : single_round_operation(environment, owner, request), args_(request.args) {}

 protected:
  void on_start() override {
    for (std::size_t i = 0; i < env_.buses.count(); ++i) send(static_cast<command::bus_index>(i), args_);
    args_ = {};  // the request's bytes are gone when the replies come
  }

 private:
  resp::arguments args_;
};

/// The step in which a key's part on `bus` is removed: draining buses in step 0, then the anchor, then the
/// others. In another order a poll could restore a group that is being removed with its key.
inline std::size_t removal_step(const command::routing_table& table, command::bus_index bus) {
  return table.bus(bus).draining ? 0 : bus == table.rules().anchor ? 1 : 2;
}

}  // namespace dualbus::operation
