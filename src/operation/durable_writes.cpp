#include <dualbus/base/printable.hpp>
#include <dualbus/operation/durable_writes.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <string>

namespace dualbus::operation {
namespace {

using command::plan;
using command::route;

constexpr std::size_t most_shown = 64;

// True if the request goes to one bus by forwarder::forward() and nothing else, so that it may take the
// durable link. XADD with NOMKSTREAM may take several rounds.
bool may_follow(const command::command_spec& spec, const plan& planned) {
  switch (spec.route) {
    case route::xadd:
      return planned.what == plan::action::forward ||
             (planned.what == plan::action::add && !planned.xadd.no_mkstream);
    case route::keys:
    case route::sort:
    case route::mget:
    case route::mset:
    case route::remove:
    case route::count:
    case route::type:
    case route::expire:
    case route::ttl:
    case route::object:
    case route::memory:
    case route::stream:
    case route::xother:
    case route::whole:
      return planned.what == plan::action::forward;
    default:
      return false;
  }
}

}  // namespace

void durable_writes::follow_settings() {
  const auto& buses = routing_.configuration().routing.buses;
  on_ |= std::any_of(buses.begin(), buses.end(), [](const auto& bus) { return bus.confirms; });
}

bool durable_writes::overtakes(const session& client, command::bus_index bus) const {
  return client.replies().any_unfinished([bus](const client::owed_reply& reply) {
    return static_cast<const client::running_request&>(reply).may_be_overtaken(bus);
  });
}

bool durable_writes::wait(session& client) const {
  client.await_order();
  return false;
}

bool durable_writes::in_order(session& client, const command::command_spec& spec,
                              const client::request& request, plan& room) {
  if (!client.replies().owes() || spec.route == route::transaction) return true;
  command::router& router = routing_.router(client.database());
  router.foresee(spec, request.args, room);
  if (room.what == plan::action::local || room.what == plan::action::refuse) return true;
  const bool one_bus = room.what == plan::action::forward || room.what == plan::action::add;
  const bool follows = one_bus && may_follow(spec, room);
  if (follows && client.order().under_way(room.bus)) return true;
  if (!follows && client.order().any()) return wait(client);
  const bool durable = one_bus && router.confirms(spec, request.args, room.bus, room.confirm);
  return !durable || !overtakes(client, room.bus) || wait(client);
}

bool durable_writes::exec_in_order(session& client, command::bus_index plain, bool confirm) {
  if (!client.replies().owes()) return true;
  // Of other transactions it is seen only when they are carried out where their commands go.
  if (plain == command::no_bus) return !(client.order().any() || confirm) || !client.await_replies();
  return client.order().under_way(plain) || !confirm || !overtakes(client, plain) || wait(client);
}

durable_writes::way durable_writes::way_to(command::bus_index bus, session& client, bool confirm) {
  if (!confirm && !client.order().under_way(bus)) return {};
  return {&buses_.bus(bus).durable().of(client.protocol(), client.database(), now_), confirm};
}

std::string unconfirmed_text(std::string_view bus, std::string_view answer, std::string_view id,
                             std::string_view why) {
  std::string text = "UNCONFIRMED stored on bus '" + std::string(bus) + "'";
  if (!id.empty()) {
    text += " as " + std::string(id);
  } else {
    const resp::reply_value value = resp::reply_reader(answer).next();
    const bool shown = !value.null && !value.is_aggregate() && value.text.size() <= most_shown &&
                       base::is_printable(value.text);
    if (value.is_integer()) {
      text += ", answer " + std::to_string(value.number);
    } else if (shown) {
      text += ", answer " + std::string(value.text);
    }
  }
  return text + ": " + std::string(why);
}

}  // namespace dualbus::operation
