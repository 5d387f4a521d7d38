#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <string>
#include <utility>
#include <vector>

// CONFIG GET: the daemon's own settings under the names that Redis gives them.
namespace dualbus::session {
namespace {

using parameters = std::vector<std::pair<std::string_view, std::string>>;

parameters redis_parameters(const config::configuration& c) {
  return {
      {"appendonly", "no"},
      {"bind", c.listen.address},
      {"client-query-buffer-limit", std::to_string(c.limits.max_request)},
      {"databases", "1"},
      {"loglevel", c.log_level == "info" ? "notice" : c.log_level},
      {"maxclients", std::to_string(c.limits.max_clients)},
      {"maxmemory", "0"},
      {"maxmemory-policy", "noeviction"},
      {"port", std::to_string(c.listen.port)},
      {"proto-max-bulk-len", std::to_string(c.limits.max_request)},
      {"save", ""},
      {"tcp-backlog", std::to_string(c.listen.backlog)},
      {"tcp-keepalive", std::to_string(c.limits.client_keepalive.count())},
      {"timeout", std::to_string(c.limits.idle_timeout.count())},
      {"unixsocket", c.listen.unix_socket},
  };
}

}  // namespace

void run_config(worker_context& context, session& client, const request& what) {
  const resp::arguments args = what.args;
  if (base::equals_ignoring_case(args[1], "get")) {
    if (args.size() < 3) return refuse_arity(client, what, "config|get");
    parameters found;
    for (auto& parameter : redis_parameters(context.configuration())) {
      for (const std::string_view pattern : args.subspan(2)) {
        if (!base::glob_match(pattern, parameter.first, true)) continue;
        found.push_back(std::move(parameter));
        break;
      }
    }
    return client.answer(what.command, metrics::outcome::ok, [&found](resp::encoder& out) {
      out.map(found.size());
      for (const auto& [name, value] : found) {
        out.bulk(name);
        out.bulk(value);
      }
    });
  }
  for (const std::string_view name : {"set", "rewrite", "resetstat"}) {
    if (base::equals_ignoring_case(args[1], name)) {
      return client.refuse(what.command,
                           "NOTSUPPORTED the daemon's settings stand in its YAML file: change it there and "
                           "send SIGHUP to the daemon");
    }
  }
  refuse_subcommand(client, what);
}

}  // namespace dualbus::session
