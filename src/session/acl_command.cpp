#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/base/sha256.hpp>
#include <dualbus/command/acl_categories.hpp>
#include <dualbus/session/access_control.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <string>
#include <vector>

// ACL: what it tells is Redis's (acl.c); users change in the configuration file alone.
namespace dualbus::session {
namespace {

using metrics::outcome;

// Without users there is the one that Redis has then.
const user& everybody() {
  static const user result([] {
    config::user_settings settings;
    settings.name = default_user;
    settings.no_password = true;
    settings.commands = {"+@all"};
    settings.keys = settings.channels = {"*"};
    return settings;
  }());
  return result;
}

std::vector<const user*> users_by_name(const access_control& access) {
  std::vector<const user*> result;
  for (const user& u : access.users()) result.push_back(&u);
  std::sort(result.begin(), result.end(), [](auto* a, auto* b) { return a->name() < b->name(); });
  if (result.empty()) result.push_back(&everybody());
  return result;
}

const user* find_user(const access_control& access, std::string_view name) {
  return !access.restricts() && name == default_user ? &everybody() : access.find(name);
}

std::string joined(const std::vector<std::string>& list, std::string_view mark) {
  std::string text;
  for (const std::string& item : list) text += (text.empty() ? "" : " ") + std::string(mark) + item;
  return text;
}

bool allows_all(const std::vector<std::string>& patterns) {
  return std::find(patterns.begin(), patterns.end(), "*") != patterns.end();
}

std::string rules_of(const user& u) {
  const std::vector<std::string>& rules = u.settings().commands;
  if (rules.empty()) return "-@all";
  const bool has_base =
      rules[0] == "+@all" || rules[0] == "-@all" || rules[0] == "allcommands" || rules[0] == "nocommands";
  return (has_base ? "" : "-@all ") + joined(rules, "");
}

// As ACL SETUSER would take it.
std::string line_of(const user& u) {
  const config::user_settings& s = u.settings();
  std::string text = "user " + s.name + (s.enabled ? " on" : " off") + (s.no_password ? " nopass" : "");
  for (const std::string& hash : s.password_hashes) text += " #" + hash;
  if (!s.keys.empty()) text += " " + joined(s.keys, "~");
  if (!allows_all(s.channels)) text += " resetchannels";
  if (!s.channels.empty()) text += " " + joined(s.channels, "&");
  return text + " " + rules_of(u);
}

void whoami(worker_context&, session& client, const request& what) {
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) { out.bulk(client.user_name()); });
}

void list(worker_context& context, session& client, const request& what) {
  const auto users = users_by_name(context.access());
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    out.array(users.size());
    for (const user* u : users) out.bulk(line_of(*u));
  });
}

void names(worker_context& context, session& client, const request& what) {
  const auto users = users_by_name(context.access());
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    out.array(users.size());
    for (const user* u : users) out.bulk(u->name());
  });
}

void get_user(worker_context& context, session& client, const request& what) {
  const user* const u = find_user(context.access(), what.args[2]);
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
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

void cat(worker_context&, session& client, const request& what) {
  if (what.args.size() > 3) return refuse_subcommand_syntax(client, what);
  std::vector<std::string> found;
  if (what.args.size() == 2) {
    for (const std::string_view name : command::acl_category_names()) found.emplace_back(name);
  } else {
    const command::acl_categories wanted = command::find_acl_category(base::as_c_string(what.args[2]));
    if (wanted == 0)
      return client.refuse(what.command, "ERR Unknown category '" + std::string(what.args[2]) + "'");
    for (const command::command_spec& spec : command::command_table()) {
      if ((command::categories_of(spec) & wanted) != 0) found.emplace_back(spec.name);
    }
    for (const command::subcommand_spec& spec : command::subcommand_table()) {
      if ((command::categories_of(spec) & wanted) != 0) {
        found.push_back(std::string(spec.command) + "|" + std::string(spec.name));
      }
    }
  }
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    out.array(found.size());
    for (const std::string& name : found) out.bulk(name);
  });
}

void generate(worker_context&, session& client, const request& what) {
  if (what.args.size() > 3) return refuse_subcommand_syntax(client, what);
  std::int64_t bits = 256;
  if (what.args.size() == 3) {
    const auto given = base::parse_int64(what.args[2]);
    if (!given) return client.refuse(what.command, "ERR value is not an integer or out of range");
    if (*given <= 0 || *given > 4096) {
      return client.refuse(what.command,
                           "ERR ACL GENPASS argument must be the number of bits for the output password, a "
                           "positive number up to 4096");
    }
    bits = *given;
  }
  const std::string password = base::random_hex(static_cast<std::size_t>((bits + 3) / 4));
  if (password.empty()) return client.refuse(what.command, "ERR dualbus: the system gives no random numbers");
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) { out.bulk(password); });
}

// Redis says more exactly than NOPERM which key or channel it was; the client has the command at hand.
void dry_run(worker_context& context, session& client, const request& what) {
  const user* const u = find_user(context.access(), what.args[2]);
  if (u == nullptr) {
    return client.refuse(what.command, "ERR User '" + std::string(what.args[2]) + "' not found");
  }
  const resp::arguments inner = what.args.subspan(3);
  const int index = command::find_command(inner[0]);
  if (index < 0) return client.refuse(what.command, "ERR Command '" + std::string(inner[0]) + "' not found");
  const command::command_spec& spec = command::command_table()[static_cast<std::size_t>(index)];
  if (!command::arity_matches(spec, inner.size())) return refuse_arity(client, what, spec.name);
  std::string denial =
      u->denial(static_cast<std::size_t>(index), inner, context.router().types(), context.plan.keys);
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    if (denial.empty()) return out.status("OK");
    constexpr std::string_view code = "NOPERM ";
    if (denial.starts_with(code)) denial = "T" + denial.substr(code.size() + 1);
    out.bulk(denial);
  });
}

void refuse_change(worker_context&, session& client, const request& what) {
  client.refuse(
      what.command,
      "NOTSUPPORTED users stand in auth.users of the daemon's YAML file: change them there and send "
      "SIGHUP to the daemon");
}

void refuse_log(worker_context&, session& client, const request& what) {
  client.refuse(what.command,
                "NOTSUPPORTED failed attempts stand in the daemon's log and are counted in "
                "dualbus_authentication_failures_total and dualbus_permission_denials_total");
}

void help(worker_context&, session& client, const request& what) {
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
  answer_help(client, what, "ACL", lines);
}

constexpr subcommand subcommands[] = {
    {"cat", -2, cat},           {"deluser", -3, refuse_change}, {"dryrun", -4, dry_run},
    {"genpass", -2, generate},  {"getuser", 3, get_user},       {"help", 2, help},
    {"list", 2, list},          {"load", 2, refuse_change},     {"log", -2, refuse_log},
    {"save", 2, refuse_change}, {"setuser", -3, refuse_change}, {"users", 2, names},
    {"whoami", 2, whoami},
};

}  // namespace

void run_acl(worker_context& context, session& client, const request& what) {
  run_subcommand(context, client, what, "acl", subcommands);
}

}  // namespace dualbus::session
