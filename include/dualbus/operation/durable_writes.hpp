#pragma once

#include <dualbus/client/session.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/operation/bus_list.hpp>
#include <dualbus/operation/routing.hpp>

#include <string>
#include <string_view>

namespace dualbus::operation {

using client::session;

/// Decides for one worker which writes are answered only when replicas or the AOF of their bus have them
/// (`buses.*.acknowledge`), and keeps the order of each client's requests around them: see client::bus_order.
/// The writes go over backend::durable_link, together with requests that follow them to the same bus.
class durable_writes {
 public:
  /// All outlive it.
  durable_writes(bus_list& buses, operation::routing& routing, const base::time_point& now)
      : buses_(buses), routing_(routing), now_(now) {}

  /// Call after each load of the configuration.
  void follow_settings();
  /// True if there are, or ever were, buses with such writes: then in_order() is to be asked before a request
  /// is carried out.
  bool on() const { return on_; }

  /// False if the request must wait for others of its client; it comes again. `room` is overwritten.
  bool in_order(session& client, const command::command_spec& spec, const client::request& request,
                command::plan& room);
  /// The same for EXEC, without WATCH, of requests for one bus. `plain`: that bus, if they go there
  /// unchanged; else no_bus. `confirm`: one of them is to be confirmed.
  bool exec_in_order(session& client, command::bus_index plain, bool confirm);

  /// The way of a request to its bus.
  struct way {
    backend::durable_link* link = nullptr;  ///< null: the connection that all share
    bool confirm = false;                   ///< its answer waits for the confirmation
  };
  /// `confirm`: router::confirms().
  way way_to(command::bus_index bus, session& client, bool confirm);
  bool confirms(const session& client, const command::command_spec& spec, resp::arguments args,
                command::bus_index bus, const command::plan& planned) {
    return on_ && routing_.router(client.database()).confirms(spec, args, bus, planned.confirm);
  }

  /// A request of that client has gone over the durable link, and was answered there; nobody, if it is gone.
  static void sent(session& client, command::bus_index bus) { client.order().sent(bus); }
  static void answered(session* client, command::bus_index bus) {
    if (client == nullptr) return;
    client->order().answered(bus);
    client->order_moved();
  }

 private:
  bool overtakes(const session& client, command::bus_index bus) const;
  bool wait(session& client) const;

  bus_list& buses_;
  operation::routing& routing_;
  const base::time_point& now_;
  bool on_ = false;
};

/// The error reply, without '-', for a write that `bus` has carried out with that answer, and that was not
/// confirmed, because of `why`. `id`: of the entry, as clients see it; empty if it is none.
std::string unconfirmed_text(std::string_view bus, std::string_view answer, std::string_view id,
                             std::string_view why);

}  // namespace dualbus::operation
