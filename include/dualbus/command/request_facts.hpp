#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <string>
#include <string_view>
#include <vector>

// Facts that also depend on the arguments. Every `spec` here is an element of command_table().
namespace dualbus::command {

/// The facts about the command, and those about the subcommand that argument 1 names.
fact facts_of_subcommand(const command_spec& spec, resp::arguments args);
inline fact facts_of(const command_spec& spec, resp::arguments args) {
  return spec.has(fact::by_subcommand) ? facts_of_subcommand(spec, args) : spec.facts;
}

/// True if the request brings a user's password: AUTH, and HELLO with more than a version and a name.
inline bool logs_in(const command_spec& spec, resp::arguments args) {
  return spec.has(fact::logs_in) || (spec.has(fact::may_log_in) && args.size() > 4);
}

/// True if a replica would get the request or its effects, so that CLIENT PAUSE WRITE holds it. A script may
/// say in its first line that it writes nothing (script.c, scriptFlagsList).
bool may_replicate(const command_spec& spec, resp::arguments args);

/// True for CONFIG RESETSTAT.
inline bool restarts_statistics(const command_spec& spec, resp::arguments args) {
  return has_fact(facts_of(spec, args), fact::resets_statistics);
}

/// For each argument, whether it is a password or the like, which no log and no monitor may show; empty if
/// none is. These are the arguments that Redis hides (callers of redactClientCommandArgument: acl.c,
/// networking.c, cluster.c, config.c). The command need not be one of the table.
std::vector<bool> secrets_in(resp::arguments args);
/// The text in the place of a secret.
inline constexpr std::string_view redacted = "(redacted)";

/// The name that texts for people use: "HELLO", and with a subcommand that the table knows "CLIENT REPLY".
std::string name_in_texts(const command_spec& spec, resp::arguments args);

}  // namespace dualbus::command
