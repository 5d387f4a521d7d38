#include "console_commands.hpp"
#include "control.hpp"
#include "handler/refusals.hpp"
#include "handler/server/subcommands.hpp"
#include "show.hpp"

#include <dualbus/client/session.hpp>
#include <dualbus/console/explanation.hpp>

#include <string>
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
      "KILL ENGINE <name>",
      "    Close the connections of that engine, but this one; answer how many.",
      "DRAIN",
      "    Take this daemon out of service: it ends after limits.drain_delay, like SIGUSR1.",
      "LOG LEVEL [<level>]",
      "    Say the level of the log, or set it until the next reload.",
      "RELOAD [CHECK]",
      "    Say what the configuration's file would change; without CHECK, reload it like SIGHUP.",
      "SHOW <BUSES|CLIENTS|CONFIG|ENGINES|PARKED|POOLS|RULES|TYPES|VERSION>",
      "    BUSES: the buses: where they are, whether they do their job, how soon they answer.",
      "    CLIENTS: who is connected, from where, and what is held for them.",
      "    CONFIG: the keys of the configuration that holds, and their values.",
      "    ENGINES: requests, failures and messages of each engine per second.",
      "    PARKED: the clients that wait, for what, and how long already.",
      "    POOLS: the connections to each bus.",
      "    RULES: the rules for routing, in the order in which they are tried, and their messages.",
      "    TYPES: messages per second by type and bus.",
      "    VERSION: this daemon and its process.",
      "    A rate is a number per second, over the last 1, 10 and 60 seconds."};
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
  const console::record found =
      console::explain({spec, imagined, denial, services.routing.router(client.database()),
                        services.configuration(), std::move(buses)});
  client.answer(request, outcome::ok,
                [&](resp::encoder& out) { console::write_record(out, client.protocol(), found); });
}

constexpr subcommand subcommands[] = {
    {"drain", 2, run_drain}, {"explain", -3, run_explain}, {"help", 2, help},    {"kill", 4, run_kill},
    {"log", -3, run_log},    {"reload", -2, run_reload},   {"show", 3, run_show}};

}  // namespace

void run_dualbus(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "dualbus", subcommands);
}

}  // namespace dualbus::handler
