#include "transaction_commands.hpp"

#include <dualbus/operation/leftovers.hpp>
#include <dualbus/operation/watch_operation.hpp>
#include <dualbus/resp/encoder.hpp>

namespace dualbus::handler {

bool start_watch(transaction_services& services, session& client, routed_request& request) {
  // Earlier requests travel on the shared connection and would be overtaken.
  if (client.await_replies()) return false;
  const command::routing_table& table = services.routing.router(client.database()).table();
  transaction& of = open_transaction_of(client, services.transactions);
  const command::bus_index bus = of.watches() ? of.watched_bus() : table.bus_of_key(request.args[1]);
  for (const std::string_view key : request.args.subspan(1)) {
    if (table.bus_of_key(key) == bus) continue;
    client.refuse(request,
                  "CROSSBUS command 'WATCH' has keys on different buses and cannot be split: pin them to one "
                  "bus with routing.keys");
    return true;
  }
  const bool first = !of.watches();
  if (first) {
    const std::size_t limit = services.configuration().backend.dedicated_connections;
    backend::link* const link = services.buses.bus(bus).dedicated().borrow(
        backend::purpose::watch, client.protocol(), client.database(), limit, services.turn.now);
    if (link == nullptr) {
      client.refuse(request, no_connection_text(services, bus));
      return true;
    }
    of.watch_over(*link, bus, client.database(), services.routing.number());
  }
  const bool selects = of.watching_database() != client.database();
  backend::pipeline& requests = of.watching_link()->requests;
  const auto write = [&](base::chunk_queue& out) {
    if (selects) append_select(services, bus, client.database(), out);
    resp::encoder(out).request(request.args);
  };
  if (!requests.encode(write)) {
    if (first) client.end_transaction();
    refuse_without_memory(services, client, request);
    return true;
  }
  of.set_watching_database(client.database());
  auto* const op = new watch_operation(services, client, request, bus, selects);
  client.enqueue(*op);
  requests.end_block(*op, selects ? 2 : 1, services.turn.now);
  return true;
}

}  // namespace dualbus::handler
