#include "server_commands.hpp"
#include "subcommands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>

#include <string>

// LATENCY: there are no events to watch; the metrics tell how long requests take.
namespace dualbus::handler {
namespace {

using metrics::outcome;

void empty_list(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [](resp::encoder& out) { out.array(0); });
}

constexpr std::string_view latency_advice =
    "how long requests take here and at the buses is in the metrics dualbus_request_bus_duration_seconds and "
    "dualbus_request_daemon_duration_seconds, and in SLOWLOG";

void reset_latency(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [](resp::encoder& out) { out.integer(0); });
}

void graph_latency(server_services&, session& client, routed_request& request) {
  client.refuse(request, "ERR No samples available for event '" + std::string(request.args[2]) + "'");
}

void latency_doctor(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [](resp::encoder& out) {
    out.verbatim("dualbusd watches no latency events: " + std::string(latency_advice) + ".\n");
  });
}

void latency_help(server_services&, session& client, routed_request& request) {
  constexpr std::string_view lines[] = {"DOCTOR",
                                        "    Say where to look for latencies.",
                                        "HISTORY <event>",
                                        "    Return time-latency samples for the <event> class: none.",
                                        "LATEST",
                                        "    Return the latest latency samples for all events: none.",
                                        "RESET [<event> ...]",
                                        "    Reset latency data of one or more <event> classes."};
  answer_help(client, request, "LATENCY", lines);
}

void refuse_histogram(server_services&, session& client, routed_request& request) {
  client.refuse(request, "NOTSUPPORTED there are no histograms by command: " + std::string(latency_advice));
}

constexpr subcommand latency_subcommands[] = {
    {"doctor", 2, latency_doctor},       {"graph", 3, graph_latency}, {"help", 2, latency_help},
    {"histogram", -2, refuse_histogram}, {"history", 3, empty_list},  {"latest", 2, empty_list},
    {"reset", -2, reset_latency},
};

}  // namespace

void run_latency(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "latency", latency_subcommands);
}

}  // namespace dualbus::handler
