#include "subcommands.hpp"

#include "handler/refusals.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>

#include <string>

namespace dualbus::handler {
void run_subcommand(server_services& services, session& client, routed_request& request,
                    std::string_view command, std::span<const subcommand> subcommands) {
  for (const subcommand& s : subcommands) {
    if (!base::equals_ignoring_case(request.args[1], s.name)) continue;
    const auto count = static_cast<int>(request.args.size());
    if (s.arity >= 0 ? count != s.arity : count < -s.arity) {
      return refuse_arity(client, request, std::string(command) + "|" + std::string(s.name));
    }
    return s.run(services, client, request);
  }
  refuse_subcommand(client, request);
}

void answer_help(session& client, routed_request& request, std::string_view command,
                 std::span<const std::string_view> lines) {
  client.answer(request, metrics::outcome::ok, [&](resp::encoder& out) {
    out.array(lines.size() + 3);
    out.status(std::string(command) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (const std::string_view line : lines) out.status(line);
    out.status("HELP");
    out.status("    Prints this help.");
  });
}

void answer_ok(session& client, routed_request& request) {
  client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

}  // namespace dualbus::handler
