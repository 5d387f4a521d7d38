#include "subcommands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <string>

// Commands about a server as such: the daemon is a master without replicas, modules, a cluster, or data of
// its own to save.
namespace dualbus::session {
namespace {

using metrics::outcome;

void refuse_cluster(session& client, const request& what) {
  client.refuse(what.command, "ERR This instance has cluster support disabled");
}

void write_role(session& client, const request& what) {
  client.answer(what.command, outcome::ok, [](resp::encoder& out) {
    out.array(3);
    out.bulk("master");
    out.integer(0);
    out.array(0);
  });
}

void empty_list(worker_context&, session& client, const request& what) {
  client.answer(what.command, outcome::ok, [](resp::encoder& out) { out.array(0); });
}

// --- LATENCY: there are no events to watch; how long requests take is in the metrics

constexpr std::string_view latency_advice =
    "how long requests take here and at the buses is in the metrics dualbus_request_bus_duration_seconds and "
    "dualbus_request_daemon_duration_seconds, and in SLOWLOG";

void reset_latency(worker_context&, session& client, const request& what) {
  client.answer(what.command, outcome::ok, [](resp::encoder& out) { out.integer(0); });
}

void graph_latency(worker_context&, session& client, const request& what) {
  client.refuse(what.command, "ERR No samples available for event '" + std::string(what.args[2]) + "'");
}

void latency_doctor(worker_context&, session& client, const request& what) {
  client.answer(what.command, outcome::ok, [](resp::encoder& out) {
    out.verbatim("dualbusd watches no latency events: " + std::string(latency_advice) + ".\n");
  });
}

void latency_help(worker_context&, session& client, const request& what) {
  constexpr std::string_view lines[] = {"DOCTOR",
                                        "    Say where to look for latencies.",
                                        "HISTORY <event>",
                                        "    Return time-latency samples for the <event> class: none.",
                                        "LATEST",
                                        "    Return the latest latency samples for all events: none.",
                                        "RESET [<event> ...]",
                                        "    Reset latency data of one or more <event> classes."};
  answer_help(client, what, "LATENCY", lines);
}

void refuse_histogram(worker_context&, session& client, const request& what) {
  client.refuse(what.command,
                "NOTSUPPORTED there are no histograms by command: " + std::string(latency_advice));
}

constexpr subcommand latency_subcommands[] = {
    {"doctor", 2, latency_doctor},       {"graph", 3, graph_latency}, {"help", 2, latency_help},
    {"histogram", -2, refuse_histogram}, {"history", 3, empty_list},  {"latest", 2, empty_list},
    {"reset", -2, reset_latency},
};

// --- MODULE

void refuse_modules(worker_context&, session& client, const request& what) {
  client.refuse(what.command, "NOTSUPPORTED modules are loaded into a bus, not into dualbusd");
}

void module_help(worker_context&, session& client, const request& what) {
  constexpr std::string_view lines[] = {"LIST", "    Return a list of loaded modules: none."};
  answer_help(client, what, "MODULE", lines);
}

constexpr subcommand module_subcommands[] = {
    {"help", 2, module_help},       {"list", 2, empty_list},       {"load", -3, refuse_modules},
    {"loadex", -3, refuse_modules}, {"unload", 3, refuse_modules},
};

}  // namespace

bool run_server_command(worker_context& context, session& client, const command::command_spec& spec,
                        const request& what) {
  if (spec.name == "role") {
    write_role(client, what);
  } else if (spec.name == "latency") {
    run_subcommand(context, client, what, "latency", latency_subcommands);
  } else if (spec.name == "module") {
    run_subcommand(context, client, what, "module", module_subcommands);
  } else if (spec.group == command::group::cluster) {
    refuse_cluster(client, what);
  } else {
    return false;
  }
  return true;
}

}  // namespace dualbus::session
