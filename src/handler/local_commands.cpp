#include "local_commands.hpp"

#include "console/console_commands.hpp"
#include "key/key_commands.hpp"
#include "pubsub/pubsub_commands.hpp"
#include "server/server_commands.hpp"

#include <string_view>
#include <utility>

namespace dualbus::handler {
namespace {

void run_echo(server_services&, session& client, routed_request& request) {
  client.answer(request, metrics::outcome::ok, [&](resp::encoder& out) { out.bulk(request.args[1]); });
}

void run_auth(server_services& services, session& client, routed_request& request) {
  services.rights.run_auth(client, request);
}

void run_reset(server_services&, session& client, routed_request& request) {
  client.reset();
  client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("RESET"); });
}

void run_quit(server_services&, session& client, routed_request& request) {
  client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
  client.close_after_replies(metrics::close_reason::client);
}

using runner = void (*)(server_services&, session&, routed_request&);
constexpr std::pair<std::string_view, runner> runners[] = {
    {"ping", run_ping},       {"echo", run_echo},       {"hello", run_hello},   {"acl", run_acl},
    {"slowlog", run_slowlog}, {"monitor", run_monitor}, {"client", run_client}, {"command", run_command},
    {"info", run_info},       {"config", run_config},   {"time", run_time},     {"auth", run_auth},
    {"reset", run_reset},     {"quit", run_quit},       {"role", run_role},     {"latency", run_latency},
    {"module", run_module},   {"dualbus", run_dualbus},
};

}  // namespace

void run_local_command(const families& families, session& client, const command::command_spec& spec,
                       routed_request& request) {
  if (spec.route == command::route::subscribe) return run_subscription(families.pubsub, client, request);
  if (spec.route == command::route::pubsub) return run_pubsub(families.pubsub, client, request);
  if (spec.name == "select") return run_select(families.keys, client, request);
  for (const auto& [name, run] : runners) {
    if (name == spec.name) return run(families.server, client, request);
  }
  if (spec.group == command::group::cluster) refuse_cluster(families.server, client, request);
}

}  // namespace dualbus::handler
