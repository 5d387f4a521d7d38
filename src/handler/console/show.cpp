#include "show.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/console/tables.hpp>
#include <dualbus/handler/client_lists.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace dualbus::handler {
namespace {

using metrics::outcome;

const command::routing_rules& rules_of(const server_services& services) {
  return services.routing.router().table().rules();
}

void answer_table(session& client, routed_request& request, const console::table& what) {
  client.answer(request, outcome::ok,
                [&](resp::encoder& out) { console::write_table(out, client.protocol(), what); });
}

void show_buses(server_services& services, session& client, routed_request& request) {
  std::vector<console::bus_facts> buses;
  for (const auto& bus : services.buses) {
    const backend::server_identity& server = bus->identity();
    buses.push_back({bus->environment().target.endpoint,
                     server.known() ? server.title() + " " + server.version : std::string(),
                     std::string(metrics::bus_state_name(bus->state(services.turn.now)))});
  }
  answer_table(client, request,
               console::buses_table(rules_of(services), buses, services.daemon.recent->current()));
}

void show_pools(server_services& services, session& client, routed_request& request) {
  answer_table(client, request, console::pools_table(rules_of(services), services.daemon.recent->current()));
}

void show_config(server_services& services, session& client, routed_request& request) {
  answer_table(client, request, console::config_table(services.configuration()));
}

void show_rules(server_services& services, session& client, routed_request& request) {
  answer_table(client, request,
               console::rules_table(services.routing.router().table(), services.daemon.recent->current()));
}

void show_types(server_services& services, session& client, routed_request& request) {
  answer_table(client, request, console::types_table(rules_of(services), services.daemon.recent->current()));
}

void show_version(server_services& services, session& client, routed_request& request) {
  const auto age = std::chrono::system_clock::now() - services.daemon.started;
  const console::record version{
      {"version", std::string(base::version)},
      {"run_id", services.daemon.run_id},
      {"process_id", std::to_string(::getpid())},
      {"uptime_in_seconds", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count())},
      {"workers", std::to_string(services.configuration().workers)}};
  client.answer(request, outcome::ok,
                [&](resp::encoder& out) { console::write_record(out, client.protocol(), version); });
}

// Tables that all workers contribute to: the client waits, and may have gone when they are there.
template <typename Make>
void answer_from_clients(server_services& services, session& client, routed_request& request,
                         client_list what, Make make) {
  client.defer(request);
  list_clients(
      what,
      [&services](colleagues::question question, colleagues::answers done) {
        services.workers().ask(std::move(question), std::move(done));
      },
      [&services, id = client.id(), make](const console::table& rows) {
        session* const waiting = services.clients().find(id);
        if (waiting == nullptr) return;
        waiting->complete(outcome::ok, [&](resp::encoder& out) {
          console::write_table(out, waiting->protocol(), make(rows));
        });
      });
}

void show_engines(server_services& services, session& client, routed_request& request) {
  answer_from_clients(
      services, client, request, client_list::addresses, [&services](const console::table& addresses) {
        return console::engines_table(services.daemon.recent->current(), address_by_engine(addresses));
      });
}

template <client_list What>
void show_clients(server_services& services, session& client, routed_request& request) {
  answer_from_clients(services, client, request, What, [](const console::table& rows) { return rows; });
}

}  // namespace

void run_show(server_services& services, session& client, routed_request& request) {
  using shows = void (*)(server_services&, session&, routed_request&);
  constexpr std::pair<std::string_view, shows> all[] = {{"buses", show_buses},
                                                        {"clients", show_clients<client_list::clients>},
                                                        {"config", show_config},
                                                        {"engines", show_engines},
                                                        {"parked", show_clients<client_list::parked>},
                                                        {"pools", show_pools},
                                                        {"rules", show_rules},
                                                        {"types", show_types},
                                                        {"version", show_version}};
  for (const auto& [name, show] : all) {
    if (base::is_word(request.args[2], name)) return show(services, client, request);
  }
  client.refuse(request,
                "ERR SHOW knows BUSES, CLIENTS, CONFIG, ENGINES, PARKED, POOLS, RULES, TYPES and VERSION");
}

}  // namespace dualbus::handler
