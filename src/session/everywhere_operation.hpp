#pragma once

#include <dualbus/session/gather_operation.hpp>
#include <dualbus/session/worker_context.hpp>

#include <cstddef>

namespace dualbus::session {

/// A request that goes as it is to every bus, draining ones included, at once; the parts are in the order of
/// the buses.
class everywhere_operation : public single_round_operation {
 public:
  everywhere_operation(worker_context& context, session& owner, std::uint16_t command, resp::arguments args)
      : single_round_operation(context, owner, command), args_(args) {}

 protected:
  void on_start() override {
    for (std::size_t i = 0; i < context_.bus_count(); ++i) send(static_cast<command::bus_index>(i), args_);
    args_ = {};  // the request's bytes are gone when the replies come
  }

 private:
  resp::arguments args_;
};

/// When a key's part on `bus` is removed: draining buses in step 0, then the anchor, then the others. In
/// another order a poll could bring a group back that is being removed with its key.
inline std::size_t removal_step(const command::routing_table& table, command::bus_index bus) {
  return table.bus(bus).draining ? 0 : bus == table.rules().anchor ? 1 : 2;
}

}  // namespace dualbus::session
