#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/session/dispatcher.hpp>

#include <cstdint>
#include <string_view>

namespace dualbus::session {

class session;
class worker_context;

enum class admission : std::uint8_t {
  run,
  refused,  ///< it has been answered, with NOAUTH or NOPERM
  held      ///< it must come again: CLIENT PAUSE holds the client back
};

/// What becomes of a request that somebody guards against (worker_context::guarded). Shows it to MONITOR if
/// it may run.
admission admit(worker_context& context, session& client, const command::command_spec& spec,
                const request& what);

/// Of a request that was queued under other users than the present ones. False: it has been answered.
bool still_permitted(worker_context& context, session& client, const request& what);

/// Lets the client in as the user `name`, or counts and logs the failed attempt, without the password. False:
/// the client stays who it was.
bool log_in(worker_context& context, session& client, std::string_view name, std::string_view password);

/// AUTH.
void run_auth(worker_context& context, session& client, const request& what);

inline constexpr std::string_view wrong_pass =
    "WRONGPASS invalid username-password pair or user is disabled.";

}  // namespace dualbus::session
