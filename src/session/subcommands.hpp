#pragma once

#include <dualbus/session/dispatcher.hpp>

#include <span>
#include <string_view>

namespace dualbus::session {

/// One subcommand that the daemon answers.
struct subcommand {
  std::string_view name;  ///< lower case
  int arity;              ///< with the command and the name; negative: at least that many
  void (*run)(worker_context&, session&, const request&);
};

/// Runs the one that the request names; otherwise answers as Redis does. `command` is in lower case.
void run_subcommand(worker_context& context, session& client, const request& what, std::string_view command,
                    std::span<const subcommand> subcommands);

/// The reply to HELP: `lines` between Redis's first and last ones. `command` is in upper case.
void answer_help(session& client, const request& what, std::string_view command,
                 std::span<const std::string_view> lines);

/// Redis's answer to a subcommand with arguments that it does not take (addReplySubcommandSyntaxError).
void refuse_subcommand_syntax(session& client, const request& what);

void answer_ok(session& client, const request& what);

}  // namespace dualbus::session
