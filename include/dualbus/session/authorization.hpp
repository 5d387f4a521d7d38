#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/session/dispatcher.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::session {

class session;
class user;
class worker_context;

enum class admission : std::uint8_t {
  run,
  refused,  ///< it has been answered, with NOAUTH or NOPERM
  held      ///< it must come again: CLIENT PAUSE holds the client back
};

/// Decides about a request that somebody guards against (worker_context::guarded). Shows it to MONITOR if
/// it may run.
admission admit(worker_context& context, session& client, const command::command_spec& spec,
                const request& what);

/// Why the client may not run that command with these arguments, of an arity that it takes, as the error
/// reply says it, NOAUTH or NOPERM; empty if it may.
std::string denial_of(worker_context& context, const session& client, std::uint16_t command,
                      resp::arguments args);

/// Whether the queued requests of a transaction may run, one after the other at EXEC. Redis asks again if
/// users have changed since, and for what stands behind an AUTH of the same transaction, that user (multi.c,
/// execCommand): such a request needs the rights of both. Not for longer than one EXEC.
class exec_permissions {
 public:
  /// `users_changed`: since MULTI.
  exec_permissions(worker_context& context, session& client, bool users_changed);
  /// False: it has been answered.
  bool admit(const request& what);

 private:
  worker_context& context_;
  session& client_;
  const user* who_;
  bool asks_;
};

/// Lets the client in as the user `name`, or counts and logs the failed attempt, without the password. False:
/// the client stays who it was, and the request has been answered.
bool log_in(worker_context& context, session& client, const request& what, std::string_view name,
            std::string_view password);

/// AUTH.
void run_auth(worker_context& context, session& client, const request& what);

}  // namespace dualbus::session
