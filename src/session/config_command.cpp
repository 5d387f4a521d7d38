#include "subcommands.hpp"

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

// A setting as Redis names it, its value, and the YAML key behind it; empty: it has none.
struct parameter {
  std::string_view name;
  std::string value;
  std::string_view key = {};
};
using parameters = std::vector<parameter>;

parameters redis_parameters(const config::configuration& c) {
  return {
      {"appendonly", "no"},
      {"bind", c.listen.address, "listen.address"},
      {"client-query-buffer-limit", std::to_string(c.limits.max_request), "limits.max_request"},
      {"databases", std::to_string(c.databases), "databases"},
      {"loglevel", c.log_level == "info" ? "notice" : c.log_level, "log.level"},
      {"maxclients", std::to_string(c.limits.max_clients), "limits.max_clients"},
      {"maxmemory", "0"},
      {"maxmemory-policy", "noeviction"},
      {"port", std::to_string(c.listen.port), "listen.port"},
      {"proto-max-bulk-len", std::to_string(c.limits.max_request), "limits.max_request"},
      {"save", ""},
      {"requirepass", "", "auth.users"},
      {"slowlog-log-slower-than", std::to_string(c.slowlog.threshold.count()), "slowlog.threshold"},
      {"slowlog-max-len", std::to_string(c.slowlog.max_entries), "slowlog.max_entries"},
      {"tcp-backlog", std::to_string(c.listen.backlog), "listen.backlog"},
      {"tcp-keepalive", std::to_string(c.limits.client_keepalive.count()), "limits.client_keepalive"},
      {"timeout", std::to_string(c.limits.idle_timeout.count()), "limits.idle_timeout"},
      {"unixsocket", c.listen.unix_socket, "listen.unix_socket"},
  };
}

void get(worker_context& context, session& client, const request& what) {
  parameters found;
  for (parameter& one : redis_parameters(context.configuration())) {
    for (const std::string_view pattern : what.args.subspan(2)) {
      if (!base::glob_match(pattern, one.name, true)) continue;
      found.push_back(std::move(one));
      break;
    }
  }
  client.answer(what.command, metrics::outcome::ok, [&found](resp::encoder& out) {
    out.map(found.size());
    for (const parameter& p : found) {
      out.bulk(p.name);
      out.bulk(p.value);
    }
  });
}

bool sets(resp::arguments args, std::string_view name) {
  for (std::size_t i = 2; i < args.size(); i += 2) {
    if (base::equals_ignoring_case(args[i], name)) return true;
  }
  return false;
}

void refuse_set(worker_context& context, session& client, const request& what) {
  std::string where, of_buses;
  for (const parameter& one : redis_parameters(context.configuration())) {
    if (!sets(what.args, one.name)) continue;
    (one.key.empty() ? of_buses : where) = "'" + std::string(one.name) + "' is " + std::string(one.key);
  }
  if (where.empty() && !of_buses.empty()) {
    return client.refuse(what.command,
                         "NOTSUPPORTED " + of_buses + "a setting of the buses: change it on each of them");
  }
  where =
      where.empty() ? "the daemon's settings stand in its YAML file" : where + " in the daemon's YAML file";
  client.refuse(what.command, "NOTSUPPORTED " + where + ": change it there and send SIGHUP to the daemon");
}

void refuse_rewrite(worker_context&, session& client, const request& what) {
  client.refuse(what.command, "NOTSUPPORTED the daemon never writes its YAML file");
}

// Who takes differences of counters must not see them go back.
void refuse_reset(worker_context&, session& client, const request& what) {
  client.refuse(what.command, "NOTSUPPORTED the daemon's counters run from its start: take differences");
}

void help(worker_context&, session& client, const request& what) {
  constexpr std::string_view lines[] = {
      "GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values."};
  answer_help(client, what, "CONFIG", lines);
}

constexpr subcommand subcommands[] = {
    {"get", -3, get},
    {"help", 2, help},
    {"resetstat", 2, refuse_reset},
    {"rewrite", 2, refuse_rewrite},
    {"set", -4, refuse_set},
};

}  // namespace

void run_config(worker_context& context, session& client, const request& what) {
  run_subcommand(context, client, what, "config", subcommands);
}

}  // namespace dualbus::session
