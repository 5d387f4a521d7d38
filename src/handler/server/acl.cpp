#include "server_commands.hpp"
#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/base/sha256.hpp>
#include <dualbus/client/access_control.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/acl_categories.hpp>

#include <algorithm>
#include <string>
#include <vector>

// ACL: the answers are Redis's (acl.c); users change in the configuration file alone.
namespace dualbus::handler {
namespace {

using metrics::outcome;

// Without configured users there is the one that Redis has then.
const client::user& everybody() {
  static const client::user result([] {
    config::user_settings settings;
    settings.name = client::default_user;
    settings.no_password = true;
    settings.commands = {"+@all"};
    settings.keys = settings.channels = {"*"};
    return settings;
  }());
  return result;
}

std::vector<const client::user*> users_by_name(const client::access_control& access) {
  std::vector<const client::user*> result;
  for (const client::user& u : access.users()) result.push_back(&u);
  std::sort(result.begin(), result.end(), [](auto* a, auto* b) { return a->name() < b->name(); });
  if (result.empty()) result.push_back(&everybody());
  return result;
}

const client::user* find_user(const client::access_control& access, std::string_view name) {
  return !access.restricts() && name == client::default_user ? &everybody() : access.find(name);
}

std::string joined(const std::vector<std::string>& list, std::string_view mark) {
  std::string text;
  for (const std::string& item : list) text += (text.empty() ? "" : " ") + std::string(mark) + item;
  return text;
}

bool allows_all(const std::vector<std::string>& patterns) {
  return std::find(patterns.begin(), patterns.end(), "*") != patterns.end();
}

std::string rules_of(const client::user& u) {
  const std::vector<std::string>& rules = u.settings().commands;
  if (rules.empty()) return "-@all";
  const bool has_base =
      rules[0] == "+@all" || rules[0] == "-@all" || rules[0] == "allcommands" || rules[0] == "nocommands";
  return (has_base ? "" : "-@all ") + joined(rules, "");
}

// The user as ACL SETUSER would take it.
std::string line_of(const client::user& u) {
  const config::user_settings& s = u.settings();
  std::string text = "user " + s.name + (s.enabled ? " on" : " off") + (s.no_password ? " nopass" : "");
  for (const std::string& hash : s.password_hashes) text += " #" + hash;
  if (!s.keys.empty()) text += " " + joined(s.keys, "~");
  if (!allows_all(s.channels)) text += " resetchannels";
  if (!s.channels.empty()) text += " " + joined(s.channels, "&");
  return text + " " + rules_of(u);
}

void whoami(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [&](resp::encoder& out) { out.bulk(client.user_name()); });
}

void list(server_services& services, session& client, routed_request& request) {
  const auto users = users_by_name(services.access());
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    out.array(users.size());
    for (const client::user* u : users) out.bulk(line_of(*u));
  });
}

void names(server_services& services, session& client, routed_request& request) {
  const auto users = users_by_name(services.access());
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    out.array(users.size());
    for (const client::user* u : users) out.bulk(u->name());
  });
}

void get_user(server_services& services, session& client, routed_request& request) {
  const client::user* const u = find_user(services.access(), request.args[2]);
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    if (u == nullptr) return out.null();
    const config::user_settings& s = u->settings();
    out.map(7);
    out.bulk("flags");
    out.set(s.no_password ? 2 : 1);
    out.bulk(s.enabled ? "on" : "off");
    if (s.no_password) out.bulk("nopass");
    out.bulk("passwords");
    out.array(s.password_hashes.size());
    for (const std::string& hash : s.password_hashes) out.bulk(hash);
    out.bulk("commands");
    out.bulk(rules_of(*u));
    out.bulk("keys");
    out.bulk(joined(s.keys, "~"));
    out.bulk("channels");
    out.bulk(joined(s.channels, "&"));
    out.bulk("selectors");
    out.array(0);
    out.bulk("message_types");
    out.bulk(joined(s.message_types, ""));
  });
}

void cat(server_services&, session& client, routed_request& request) {
  if (request.args.size() > 3) return refuse_subcommand_syntax(client, request);
  std::vector<std::string> found;
  if (request.args.size() == 2) {
    for (const std::string_view name : command::acl_category_names()) found.emplace_back(name);
  } else {
    const command::acl_categories wanted = command::find_acl_category(base::as_c_string(request.args[2]));
    if (wanted == 0)
      return client.refuse(request, "ERR Unknown category '" + std::string(request.args[2]) + "'");
    for (const command::command_spec& spec : command::command_table()) {
      if ((command::categories_of(spec) & wanted) != 0) found.emplace_back(spec.name);
    }
    for (const command::subcommand_spec& spec : command::subcommand_table()) {
      if ((command::categories_of(spec) & wanted) != 0) {
        found.push_back(std::string(spec.command) + "|" + std::string(spec.name));
      }
    }
  }
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    out.array(found.size());
    for (const std::string& name : found) out.bulk(name);
  });
}

void generate(server_services&, session& client, routed_request& request) {
  if (request.args.size() > 3) return refuse_subcommand_syntax(client, request);
  std::int64_t bits = 256;
  if (request.args.size() == 3) {
    const auto given = base::parse_int64(request.args[2]);
    if (!given) return client.refuse(request, "ERR value is not an integer or out of range");
    if (*given <= 0 || *given > 4096) {
      return client.refuse(request,
                           "ERR ACL GENPASS argument must be the number of bits for the output password, a "
                           "positive number up to 4096");
    }
    bits = *given;
  }
  const std::string password = base::random_hex(static_cast<std::size_t>((bits + 3) / 4));
  if (password.empty()) return client.refuse(request, "ERR dualbus: the system gives no random numbers");
  client.answer(request, outcome::ok, [&](resp::encoder& out) { out.bulk(password); });
}

// Redis says more exactly than NOPERM which key or channel is not permitted; the client has the command at
// hand.
void dry_run(server_services& services, session& client, routed_request& request) {
  const client::user* const u = find_user(services.access(), request.args[2]);
  if (u == nullptr) {
    return client.refuse(request, "ERR User '" + std::string(request.args[2]) + "' not found");
  }
  const resp::arguments inner = request.args.subspan(3);
  const int index = command::find_command(inner[0]);
  if (index < 0) return client.refuse(request, "ERR Command '" + std::string(inner[0]) + "' not found");
  const command::command_spec& spec = command::command_table()[static_cast<std::size_t>(index)];
  if (!command::arity_matches(spec, inner.size())) return refuse_arity(client, request, spec.name);
  std::string denial =
      u->denial(static_cast<std::size_t>(index), inner, services.routing.router().types(), request.plan.keys);
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    if (denial.empty()) return out.status("OK");
    constexpr std::string_view code = "NOPERM ";
    if (denial.starts_with(code)) denial = "T" + denial.substr(code.size() + 1);
    out.bulk(denial);
  });
}

void refuse_change(server_services&, session& client, routed_request& request) {
  client.refuse(
      request,
      "NOTSUPPORTED users stand in auth.users of the daemon's YAML file: change them there and send "
      "SIGHUP to the daemon");
}

void refuse_log(server_services&, session& client, routed_request& request) {
  client.refuse(request,
                "NOTSUPPORTED failed attempts stand in the daemon's log and are counted in "
                "dualbus_authentication_failures_total and dualbus_permission_denials_total");
}

void help(server_services&, session& client, routed_request& request) {
  constexpr std::string_view lines[] = {
      "CAT [<category>]",
      "    List all commands that belong to <category>, or all command categories",
      "    when no category is specified.",
      "DRYRUN <username> <command> [<arg> ...]",
      "    Returns whether the user can execute the given command without executing the command.",
      "GETUSER <username>",
      "    Get the user's details.",
      "GENPASS [<bits>]",
      "    Generate a secure 256-bit user password. The optional `bits` argument can",
      "    be used to specify a different size.",
      "LIST",
      "    Show users details in config file format.",
      "USERS",
      "    List all the registered usernames.",
      "WHOAMI",
      "    Return the current connection username."};
  answer_help(client, request, "ACL", lines);
}

constexpr subcommand subcommands[] = {
    {"cat", -2, cat},           {"deluser", -3, refuse_change}, {"dryrun", -4, dry_run},
    {"genpass", -2, generate},  {"getuser", 3, get_user},       {"help", 2, help},
    {"list", 2, list},          {"load", 2, refuse_change},     {"log", -2, refuse_log},
    {"save", 2, refuse_change}, {"setuser", -3, refuse_change}, {"users", 2, names},
    {"whoami", 2, whoami},
};

}  // namespace

void run_acl(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "acl", subcommands);
}

}  // namespace dualbus::handler
