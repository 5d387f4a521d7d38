#pragma once

#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>

#include <string_view>

namespace dualbus::handler {

/// Refuses a request before it is queued or carried out, as Redis does (server.c, rejectCommand): the
/// transaction that it would belong to is spoiled, and EXEC ends that transaction, with EXECABORT in front of
/// `error`. `spec` is null for a command that is not in the table.
void reject(client::session& client, const command::command_spec* spec, const client::request& request,
            std::string_view error);

/// Redis's answer to a subcommand that does not exist.
void refuse_subcommand(client::session& client, const client::request& request);
/// Redis's answer to a wrong number of arguments behind a subcommand. `full_name`: command|subcommand.
void refuse_arity(client::session& client, const client::request& request, std::string_view full_name);
/// Redis's answer to a subcommand with arguments that it does not take (addReplySubcommandSyntaxError).
void refuse_subcommand_syntax(client::session& client, const client::request& request);

}  // namespace dualbus::handler
