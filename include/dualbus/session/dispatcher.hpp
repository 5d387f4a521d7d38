#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstdint>
#include <string_view>

namespace dualbus::session {

class session;
class worker_context;

/// One parsed request; views live during the dispatch only.
struct request {
  resp::arguments args;
  std::string_view raw;            ///< its bytes as received
  bool verbatim = false;           ///< whether `raw` may be forwarded as it is
  std::uint16_t command = 0xffff;  ///< index in the command table
};

/// Takes one request of a client to where it belongs: a bus, several, or the daemon itself. By the time it
/// returns, the request has been answered, queued, or handed to an operation. False: it must come again when
/// the client's earlier requests have been answered; the session has paused for that.
bool dispatch(worker_context& context, session& client, request what);

/// Refuses a request before it is queued or carried out, as Redis does (server.c, rejectCommand): the
/// transaction that it would belong to is spoiled, and EXEC ends it, with EXECABORT in front of `error`.
/// `spec` is null for a command that is not in the table.
void reject(session& client, const command::command_spec* spec, std::uint16_t command,
            std::string_view error);

/// True if what the request names must not be answered from what was known before.
bool changes_keys(const command::command_spec& spec, resp::arguments args);

/// Carries out a request that has at least the arguments that the command needs: the part of dispatch() that
/// a transaction's requests go through at EXEC. False as there, but never within a transaction.
bool carry_out(worker_context& context, session& client, const request& what);

/// To a request that was not sent because memory is short.
inline constexpr std::string_view out_of_memory_text =
    "OOM command not allowed when used memory is near 'limits.memory' of dualbusd: it was not sent";
void refuse_without_memory(worker_context& context, session& client, std::uint16_t command);

/// Sends a request to one bus and its reply back, with `args` instead of the raw bytes if there are any.
void forward(worker_context& context, session& client, const request& what, command::bus_index bus,
             bool translate_id, resp::arguments args = {});

/// An EVAL is about to be sent or queued: see script_spread. Any other command of scripts: nothing happens.
void spread_script(worker_context& context, session& client, const command::command_spec& spec,
                   const request& what, command::bus_index bus);

}  // namespace dualbus::session
