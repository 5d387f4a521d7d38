#include "subcommands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>

#include <string>

namespace dualbus::session {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return result;
}

}  // namespace

void run_subcommand(worker_context& context, session& client, const request& what, std::string_view command,
                    std::span<const subcommand> subcommands) {
  for (const subcommand& s : subcommands) {
    if (!base::equals_ignoring_case(what.args[1], s.name)) continue;
    const auto count = static_cast<int>(what.args.size());
    if (s.arity >= 0 ? count != s.arity : count < -s.arity) {
      return refuse_arity(client, what, std::string(command) + "|" + std::string(s.name));
    }
    return s.run(context, client, what);
  }
  refuse_subcommand(client, what);
}

void answer_help(session& client, const request& what, std::string_view command,
                 std::span<const std::string_view> lines) {
  client.answer(what.command, metrics::outcome::ok, [&](resp::encoder& out) {
    out.array(lines.size() + 3);
    out.status(std::string(command) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (const std::string_view line : lines) out.status(line);
    out.status("HELP");
    out.status("    Prints this help.");
  });
}

void refuse_subcommand_syntax(session& client, const request& what) {
  client.refuse(what.command, "ERR unknown subcommand or wrong number of arguments for '" +
                                  std::string(what.args[1].substr(0, 128)) + "'. Try " + upper(what.args[0]) +
                                  " HELP.");
}

void refuse_subcommand(session& client, const request& what) {
  client.refuse(what.command, "ERR unknown subcommand '" + std::string(what.args[1].substr(0, 128)) +
                                  "'. Try " + upper(what.args[0]) + " HELP.");
}

void refuse_arity(session& client, const request& what, std::string_view full_name) {
  client.refuse(what.command, "ERR wrong number of arguments for '" + std::string(full_name) + "' command");
}

void answer_ok(session& client, const request& what) {
  client.answer(what.command, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

}  // namespace dualbus::session
