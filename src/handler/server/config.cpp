#include "figure_merge.hpp"
#include "server_commands.hpp"
#include "subcommands.hpp"

#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/bus_survey.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// CONFIG GET: the daemon's own settings under the names that Redis gives them, and those settings of the
// buses that clients ask for.
namespace dualbus::handler {
namespace {

// A setting of the daemon as Redis names it, its value, and the YAML key behind it.
struct parameter {
  std::string_view name;
  std::string value;
  std::string_view key;
};
using parameters = std::vector<parameter>;

parameters own_parameters(const config::configuration& c) {
  return {
      {"bind", c.listen.address, "listen.address"},
      {"client-query-buffer-limit", std::to_string(c.limits.max_request), "limits.max_request"},
      {"databases", std::to_string(c.databases), "databases"},
      {"loglevel", c.log_level == "info" ? "notice" : c.log_level, "log.level"},
      {"maxclients", std::to_string(c.limits.max_clients), "limits.max_clients"},
      {"port", std::to_string(c.listen.port), "listen.port"},
      {"proto-max-bulk-len", std::to_string(c.limits.max_request), "limits.max_request"},
      {"requirepass", "", "auth.users"},
      {"slowlog-log-slower-than", std::to_string(c.slowlog.threshold.count()), "slowlog.threshold"},
      {"slowlog-max-len", std::to_string(c.slowlog.max_entries), "slowlog.max_entries"},
      {"tcp-backlog", std::to_string(c.listen.backlog), "listen.backlog"},
      {"tcp-keepalive", std::to_string(c.limits.client_keepalive.count()), "limits.client_keepalive"},
      {"timeout", std::to_string(c.limits.idle_timeout.count()), "limits.idle_timeout"},
      {"unixsocket", c.listen.unix_socket, "listen.unix_socket"},
  };
}

struct bus_parameter {
  std::string_view name;
  merging how;
};

// Clients ask a Redis for these to learn how it keeps their data.
constexpr bus_parameter bus_parameters[] = {
    {"appendfsync", merging::same},
    {"appendonly", merging::worst},
    {"maxmemory", merging::limit},
    {"maxmemory-policy", merging::policy},
    {"notify-keyspace-events", merging::same},
    {"save", merging::same},
};

using pairs = std::vector<std::pair<std::string, std::string>>;

void write_pairs(resp::encoder& out, const pairs& found) {
  out.map(found.size());
  for (const auto& [name, value] : found) {
    out.bulk(name);
    out.bulk(value);
  }
}

// One parameter in the buses' replies, which are names and values in turn.
std::optional<std::string> merged(const bus_parameter& parameter, const std::vector<std::string>& replies) {
  std::vector<std::string_view> values;
  for (const std::string& reply : replies) {
    if (reply.empty()) continue;
    resp::reply_reader reader(reply);
    for (std::size_t left = reader.next().elements / 2; left > 0; --left) {
      const std::string_view name = reader.next().text, value = reader.next().text;
      if (name == parameter.name) values.push_back(value);
    }
  }
  return merge(parameter.how, values);
}

// Asks the buses, and answers the client when they have answered.
void get_from_buses(server_services& services, session& client, routed_request& request, pairs found,
                    std::vector<bus_parameter> wanted) {
  client.defer(request);
  std::vector<std::string_view> question = {"CONFIG", "GET"};
  for (const bus_parameter& one : wanted) question.push_back(one.name);
  bus_survey::start(services, question,
                    [&services, id = client.id(), found = std::move(found),
                     wanted = std::move(wanted)](const std::vector<std::string>& replies) {
                      session* const waiting = services.clients().find(id);
                      if (waiting == nullptr) return;
                      pairs all = found;
                      for (const bus_parameter& one : wanted) {
                        if (auto value = merged(one, replies)) all.emplace_back(one.name, std::move(*value));
                      }
                      waiting->complete(metrics::outcome::ok,
                                        [&all](resp::encoder& out) { write_pairs(out, all); });
                    });
}

void get(server_services& services, session& client, routed_request& request) {
  const auto asked_for = [&request](std::string_view name) {
    const resp::arguments patterns = request.args.subspan(2);
    return std::any_of(patterns.begin(), patterns.end(),
                       [name](std::string_view p) { return base::glob_match(p, name, true); });
  };
  pairs found;
  for (parameter& one : own_parameters(services.configuration())) {
    if (asked_for(one.name)) found.emplace_back(one.name, std::move(one.value));
  }
  std::vector<bus_parameter> wanted;
  std::copy_if(std::begin(bus_parameters), std::end(bus_parameters), std::back_inserter(wanted),
               [&](const bus_parameter& one) { return asked_for(one.name); });
  // A request to a bus that is sent while EXEC collects would become a part of the transaction.
  if (!wanted.empty() && !request.out.staged())
    return get_from_buses(services, client, request, std::move(found), std::move(wanted));
  client.answer(request, metrics::outcome::ok, [&found](resp::encoder& out) { write_pairs(out, found); });
}

bool sets(resp::arguments args, std::string_view name) {
  for (std::size_t i = 2; i < args.size(); i += 2) {
    if (base::equals_ignoring_case(args[i], name)) return true;
  }
  return false;
}

void refuse_set(server_services& services, session& client, routed_request& request) {
  std::string why =
      "the daemon's settings stand in its YAML file: change it there and send SIGHUP to the daemon";
  for (const bus_parameter& one : bus_parameters) {
    if (sets(request.args, one.name))
      why = "'" + std::string(one.name) + "' is a setting of the buses: change it on each of them";
  }
  for (const parameter& one : own_parameters(services.configuration())) {
    if (sets(request.args, one.name)) {
      why = "'" + std::string(one.name) + "' is " + std::string(one.key) +
            " in the daemon's YAML file: change it there and send SIGHUP to the daemon";
    }
  }
  client.refuse(request, "NOTSUPPORTED " + why);
}

void refuse_rewrite(server_services&, session& client, routed_request& request) {
  client.refuse(request, "NOTSUPPORTED the daemon never writes its YAML file");
}

// A reader that takes differences of counters must not see them go back.
void refuse_reset(server_services&, session& client, routed_request& request) {
  client.refuse(request, "NOTSUPPORTED the daemon's counters run from its start: take differences");
}

void help(server_services&, session& client, routed_request& request) {
  constexpr std::string_view lines[] = {
      "GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values."};
  answer_help(client, request, "CONFIG", lines);
}

constexpr subcommand subcommands[] = {
    {"get", -3, get},
    {"help", 2, help},
    {"resetstat", 2, refuse_reset},
    {"rewrite", 2, refuse_rewrite},
    {"set", -4, refuse_set},
};

}  // namespace

void run_config(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "config", subcommands);
}

}  // namespace dualbus::handler
