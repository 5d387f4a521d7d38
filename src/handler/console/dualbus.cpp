#include "console_commands.hpp"
#include "explanation.hpp"
#include "handler/refusals.hpp"
#include "handler/server/subcommands.hpp"
#include "record.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/client/session.hpp>

#include <chrono>
#include <string>
#include <unistd.h>
#include <vector>

namespace dualbus::handler {
namespace {

using metrics::outcome;

// Where the bus is, and whether it does its job.
std::string text_of(const backend::bus& bus, base::time_point now) {
  const metrics::bus_state state = bus.state(now);
  std::string text = "at " + bus.environment().target.endpoint;
  if (bus.identity().known()) text += ", " + bus.identity().title() + " " + bus.identity().version;
  return text + ", " + (state == metrics::bus_state::up ? "up" : std::string(metrics::bus_state_text(state)));
}

void help(server_services&, session& client, routed_request& request) {
  constexpr std::string_view lines[] = {
      "EXPLAIN <command> [<arg> ...]",
      "    Say what would become of that request: by which rule, to which bus, or why",
      "    not. Nothing is sent.",
      "SHOW <BUSES|RULES|VERSION>",
      "    BUSES: the buses, where they are, and whether they do their job.",
      "    RULES: the rules for routing, in the order in which they are tried.",
      "    VERSION: this daemon and its process."};
  answer_help(client, request, "DUALBUS", lines);
}

void run_explain(server_services& services, session& client, routed_request& request) {
  const resp::arguments imagined = request.args.subspan(2);
  const int index = command::find_command(imagined[0]);
  if (index < 0) return client.refuse(request, "ERR Invalid command specified");
  const command::command_spec& spec = command::command_table()[static_cast<std::size_t>(index)];
  std::vector<std::string> buses;
  for (const auto& bus : services.buses) buses.push_back(text_of(*bus, services.turn.now));
  const bool complete = command::arity_matches(spec, imagined.size());
  const std::string denial =
      complete ? services.rights.denial_of(client, static_cast<std::uint16_t>(index), imagined)
               : std::string();
  const record found = explain({spec, imagined, denial, services.routing.router(client.database()),
                                services.configuration(), std::move(buses)});
  client.answer(request, outcome::ok,
                [&](resp::encoder& out) { write_record(out, client.protocol(), found); });
}

void show_buses(server_services& services, session& client, routed_request& request) {
  const command::routing_rules& rules = services.routing.router().table().rules();
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < services.buses.count(); ++i) {
    const auto index = static_cast<command::bus_index>(i);
    const backend::bus& bus = services.buses.bus(index);
    const command::bus_rules& rule = rules.buses[i];
    rows.push_back(
        {rule.name, std::to_string(rule.id_slot), rule.draining ? "draining" : "active",
         rules.anchor == index ? "yes" : "no", bus.environment().target.endpoint,
         bus.identity().known() ? bus.identity().title() + " " + bus.identity().version : "unknown",
         std::string(metrics::bus_state_name(bus.state(services.turn.now)))});
  }
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    write_table(out, client.protocol(), {"bus", "id_slot", "state", "anchor", "endpoint", "server", "health"},
                rows);
  });
}

void show_rules(server_services& services, session& client, routed_request& request) {
  const auto rows = rules_of(services.routing.router().table());
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    write_table(out, client.protocol(), {"matched", "pattern", "bus"}, rows);
  });
}

void show_version(server_services& services, session& client, routed_request& request) {
  const auto age = std::chrono::system_clock::now() - services.daemon.started;
  const record version{
      {"version", std::string(base::version)},
      {"run_id", services.daemon.run_id},
      {"process_id", std::to_string(::getpid())},
      {"uptime_in_seconds", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count())},
      {"workers", std::to_string(services.configuration().workers)}};
  client.answer(request, outcome::ok,
                [&](resp::encoder& out) { write_record(out, client.protocol(), version); });
}

void run_show(server_services& services, session& client, routed_request& request) {
  using shows = void (*)(server_services&, session&, routed_request&);
  constexpr std::pair<std::string_view, shows> all[] = {
      {"buses", show_buses}, {"rules", show_rules}, {"version", show_version}};
  for (const auto& [name, show] : all) {
    if (base::is_word(request.args[2], name)) return show(services, client, request);
  }
  client.refuse(request, "ERR SHOW knows BUSES, RULES and VERSION");
}

constexpr subcommand subcommands[] = {{"explain", -3, run_explain}, {"help", 2, help}, {"show", 3, run_show}};

}  // namespace

void run_dualbus(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "dualbus", subcommands);
}

}  // namespace dualbus::handler
