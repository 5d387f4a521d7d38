#include "subcommands.hpp"

#include <dualbus/client/session.hpp>

#include <string_view>

// ROLE, MODULE and the commands of Redis Cluster: the daemon is a master without replicas, modules or a
// cluster.
namespace dualbus::handler {
namespace {

using metrics::outcome;

void empty_list(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [](resp::encoder& out) { out.array(0); });
}

void refuse_modules(server_services&, session& client, routed_request& request) {
  client.refuse(request, "NOTSUPPORTED modules are loaded into a bus, not into dualbusd");
}

void module_help(server_services&, session& client, routed_request& request) {
  constexpr std::string_view lines[] = {"LIST", "    Return a list of loaded modules: none."};
  answer_help(client, request, "MODULE", lines);
}

constexpr subcommand module_subcommands[] = {
    {"help", 2, module_help},       {"list", 2, empty_list},       {"load", -3, refuse_modules},
    {"loadex", -3, refuse_modules}, {"unload", 3, refuse_modules},
};

}  // namespace

void refuse_cluster(server_services&, session& client, routed_request& request) {
  client.refuse(request, "ERR This instance has cluster support disabled");
}

void run_role(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [](resp::encoder& out) {
    out.array(3);
    out.bulk("master");
    out.integer(0);
    out.array(0);
  });
}

void run_module(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "module", module_subcommands);
}

}  // namespace dualbus::handler
