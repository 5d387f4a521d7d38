#pragma once

#include <dualbus/client/access_control.hpp>
#include <dualbus/client/door.hpp>
#include <dualbus/client/login_delays.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/traffic_gate.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/operation/transaction_stage.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {

enum class admission : std::uint8_t {
  run,
  refused,  ///< it has been answered, with NOAUTH or NOPERM
  held      ///< it must come again: CLIENT PAUSE holds the client back
};

/// Decides what the clients of one worker may run.
class authorization {
 public:
  /// The arguments outlive it. `access` changes with a reload.
  authorization(operation::environment& environment, const client::access_control& access,
                client::login_delays& logins, client::door& door, client::client_places& places,
                traffic_gate& gate)
      : env_(environment), access_(access), logins_(logins), door_(door), places_(places), gate_(gate) {}

  /// Decides about a request while gate.guards(). Shows it to MONITOR if it may run.
  admission admit(session& client, const command::command_spec& spec, const client::request& request);

  /// The error reply, NOAUTH or NOPERM, that says why the client may not run that command with these
  /// arguments; empty if it may. The command must take as many.
  std::string denial_of(const session& client, std::uint16_t command, resp::arguments args);

  /// Whether a queued request of a transaction may run at EXEC; if not, it has been answered. Redis checks
  /// again if users have changed since MULTI, and checks the requests behind an AUTH of the same transaction
  /// for the new user (multi.c, execCommand): such a request needs the rights of both users.
  bool admit_queued(session& client, const client::request& request, operation::exec_rights& rights);

  /// Lets the client in as the user `name`, or counts and logs the failed attempt, without the password.
  /// False: the client keeps its user, and the request has been answered.
  bool log_in(session& client, const client::request& request, std::string_view name,
              std::string_view password);
  /// AUTH.
  void run_auth(session& client, const client::request& request);

  const client::access_control& access() const { return access_; }

 private:
  std::string denial(const client::user* who, std::uint16_t command, resp::arguments args);
  bool authorize(session& client, const command::command_spec& spec, const client::request& request);
  bool waits_to_log_in(session& client, const command::command_spec& spec, const client::request& request);
  void note_failure(const session& client, std::string_view name);

  operation::environment& env_;
  const client::access_control& access_;
  client::login_delays& logins_;
  client::door& door_;
  client::client_places& places_;
  traffic_gate& gate_;
  std::vector<std::uint32_t> positions_;  // memory for the positions of keys
};

}  // namespace dualbus::handler
