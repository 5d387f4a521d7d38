#include "refusals.hpp"

#include <string>

namespace dualbus::handler {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return result;
}

}  // namespace

void reject(client::session& client, const command::command_spec* spec, const client::request& request,
            std::string_view error) {
  if (spec == nullptr || !spec->has(command::fact::runs_queue)) {
    if (client.in_transaction()) client.current_transaction()->spoil();
    return client.refuse(request, error);
  }
  client.end_transaction();
  if (error.starts_with("ERR ")) error.remove_prefix(4);
  client.refuse(request, "EXECABORT Transaction discarded because of: " + std::string(error));
}

void refuse_subcommand_syntax(client::session& client, const client::request& request) {
  client.refuse(request, "ERR unknown subcommand or wrong number of arguments for '" +
                             std::string(request.args[1].substr(0, 128)) + "'. Try " +
                             upper(request.args[0]) + " HELP.");
}

void refuse_subcommand(client::session& client, const client::request& request) {
  client.refuse(request, "ERR unknown subcommand '" + std::string(request.args[1].substr(0, 128)) +
                             "'. Try " + upper(request.args[0]) + " HELP.");
}

void refuse_arity(client::session& client, const client::request& request, std::string_view full_name) {
  client.refuse(request, "ERR wrong number of arguments for '" + std::string(full_name) + "' command");
}

}  // namespace dualbus::handler
