#include "handler/stream/stream_commands.hpp"
#include "key_commands.hpp"

#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/operation/blocking_operation.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>

// BLPOP and its kin, and everything else that may keep its connection for long: XREAD with BLOCK, and
// scripts, where the bus itself is to wait.
namespace dualbus::handler {
namespace {

// The longest time that a command waits: for streams, behind BLOCK in milliseconds; for lists and sorted
// sets, in seconds, the first argument of commands that say how many keys follow, else the last one. 0 means
// for ever, or that Redis will find fault with it.
std::chrono::milliseconds block_time(const command::command_spec& spec, resp::arguments args) {
  constexpr double longest = 1e9;
  if (spec.route == command::route::xread) {
    const auto block = stream::parse_read(spec, args).block;
    return block.value_or(std::chrono::milliseconds(0));
  }
  const std::string_view text = spec.keys == command::key_form::numkeys2 ? args[1] : args.back();
  double seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (!(seconds > 0)) return {};
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(seconds, longest) * 1000));
}

command::route route_of(std::uint16_t command) {
  return command::command_table()[command].route;
}

}  // namespace

bool start_blocking(key_services& services, session& client, routed_request& request,
                    command::bus_index bus) {
  const bool script = route_of(request.command) == command::route::scripting;
  // The daemon ends: no request begins to wait.
  if (client.draining() && !script) {
    client.refuse(request, failure_text(services, bus, backend::failure::bus_down));
    return true;
  }
  // Earlier requests travel on the shared connection and would be overtaken.
  if (client.await_replies()) return false;
  // Nobody would get the element: the client has gone while its request waited. It ends as if there were no
  // element.
  if (takes_elements(request.command) && client.was_reset()) {
    client.end_input(metrics::close_reason::client);
    return true;
  }
  const std::size_t limit = services.configuration().backend.dedicated_connections;
  backend::link* const link = services.buses.bus(bus).dedicated().borrow(
      backend::purpose::wait, client.protocol(), client.database(), limit, services.turn.now);
  if (link == nullptr && script) {
    services.forwarder.forward(client, request, bus);
    return true;
  }
  if (link == nullptr) {
    const bool reads = route_of(request.command) == command::route::xread;
    if (reads && client.database() == 0 && start_parked_read(services.streams, client, request)) return true;
    client.refuse(request, no_connection_text(services, bus));
    return true;
  }
  std::unique_ptr<blocking_operation> made;  // it keeps a copy of the request
  const auto write = [&](base::chunk_queue& out) {
    made = std::make_unique<blocking_operation>(services, client, request, bus, *link);
    resp::encoder(out).request(request.args);
  };
  if (!link->requests.encode(write)) {
    services.buses.bus(bus).dedicated().release(*link, true, services.turn.now);
    refuse_without_memory(services, client, request);
    return true;
  }
  blocking_operation* const op = made.release();
  op->start();
  link->requests.end(*op, 0, services.turn.now);
  const auto answer_time = services.configuration().backend.request_timeout;
  const auto block = script ? std::chrono::milliseconds(0)
                            : block_time(command::command_table()[request.command], request.args);
  if ((script || block.count() > 0) && answer_time.count() > 0) {
    op->give_up_at(base::later(base::later(services.turn.now, block), answer_time));
  }
  return true;
}

}  // namespace dualbus::handler
