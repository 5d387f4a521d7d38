#pragma once

#include "handler/refusals.hpp"
#include "server_commands.hpp"

#include <span>
#include <string_view>

namespace dualbus::handler {

/// One subcommand that the daemon answers.
struct subcommand {
  std::string_view name;  ///< lower case
  int arity;              ///< counts the command and the name; negative: at least that many
  void (*run)(server_services&, session&, routed_request&);
};

/// Runs the subcommand that the request names; otherwise answers as Redis does. `command` is in lower case.
void run_subcommand(server_services& services, session& client, routed_request& request,
                    std::string_view command, std::span<const subcommand> subcommands);

/// The reply to HELP: `lines` between Redis's first and last ones. `command` is in upper case.
void answer_help(session& client, routed_request& request, std::string_view command,
                 std::span<const std::string_view> lines);

void answer_ok(session& client, routed_request& request);

}  // namespace dualbus::handler
