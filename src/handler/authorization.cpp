#include "refusals.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/handler/authorization.hpp>
#include <dualbus/operation/transaction.hpp>

#include <string>

// A client's user, and the commands it may run. The texts are Redis's (server.c, processCommand; acl.c,
// authCommand).
namespace dualbus::handler {
namespace {

bool writes(const session& client, const command::command_spec& spec, const client::request& request) {
  if (!spec.has(command::fact::runs_queue)) return command::may_replicate(spec, request.args);
  return client.in_transaction() && operation::transaction_of(client)->writes();
}

std::string_view name_of_auth(resp::arguments args) {
  return args.size() == 2 ? client::default_user : args[1];
}

}  // namespace

void authorization::note_failure(const session& client, std::string_view name) {
  ++env_.metrics.authentication_failures;
  logins_.note_failure(client.peer_address(), env_.turn.now);
  // A name that no user has may be a password in the wrong place.
  const bool known = name == client::default_user || access_.find(name) != nullptr;
  base::warn_limited({}, "client {} {}: log-in as {} failed", client.id(), client.peer_address(),
                     known ? "'" + base::in_log(name) + "'" : "an unknown user");
}

std::string authorization::denial(const client::user* who, std::uint16_t command, resp::arguments args) {
  if (!access_.restricts()) return {};
  if (who == nullptr) return "NOAUTH Authentication required.";
  return who->denial(command, args, env_.routing.router().types(), positions_);
}

// False: the request has been refused.
bool authorization::authorize(session& client, const command::command_spec& spec,
                              const client::request& request) {
  const client::user* const who = client.current_user();
  if (who == nullptr && command::has_flag(spec, 'n')) return true;
  const std::string fault = denial(who, request.command, request.args);
  if (fault.empty()) return true;
  if (who != nullptr) ++env_.metrics.permission_denials;
  reject(client, &spec, request, fault);
  return false;
}

// Wrong log-ins from the client's address make it wait. The request comes again then.
bool authorization::waits_to_log_in(session& client, const command::command_spec& spec,
                                    const client::request& request) {
  if (!command::logs_in(spec, request.args)) return false;
  if (client.take_login_permit()) return false;
  const base::duration delay =
      logins_.delay(client.peer_address(), env_.turn.now, env_.configuration().limits.login_delay);
  if (delay.count() == 0) return false;
  ++env_.metrics.logins_delayed;
  client.delay_login(delay);
  return true;
}

std::string authorization::denial_of(const session& client, std::uint16_t command, resp::arguments args) {
  return denial(client.current_user(), command, args);
}

bool authorization::admit_queued(session& client, const client::request& request,
                                 operation::exec_rights& rights) {
  const std::string fault = rights.asks ? denial(rights.who, request.command, request.args) : std::string();
  if (fault.empty()) {
    if (!command::command_table()[request.command].has(command::fact::logs_in) || request.args.size() > 3)
      return true;
    const client::user* const made = access_.authenticate(name_of_auth(request.args), request.args.back());
    if (made == nullptr) return true;
    rights = {made, true};
    return true;
  }
  ++env_.metrics.permission_denials;
  client.refuse(
      request,
      "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This "
      "command is no longer allowed for the following reason: " +
          fault);
  return false;
}

admission authorization::admit(session& client, const command::command_spec& spec,
                               const client::request& request) {
  if (access_.restricts()) {
    if (!authorize(client, spec, request)) return admission::refused;
    if (waits_to_log_in(client, spec, request)) return admission::held;
  }
  if (gate_.paused(env_.turn.now) && gate_.pauses(spec, writes(client, spec, request), env_.turn.now)) {
    client.await_unpause();
    return admission::held;
  }
  if (gate_.tapped()) gate_.note(client, request);
  return admission::run;
}

bool authorization::log_in(session& client, const client::request& request, std::string_view name,
                           std::string_view password) {
  // Without configured users there is the one that Redis has then: "default", which any password fits.
  if (!access_.restricts() && name == client::default_user) return true;
  const client::user* const who = access_.authenticate(name, password);
  if (who == nullptr) {
    note_failure(client, name);
    client.refuse(request, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
  }
  const std::uint64_t most = door_.most_clients();
  if (client.stranger() && !who->administers() && !places_.has_room_for_ordinary(most)) {
    ++env_.metrics.clients_rejected;
    base::warn_limited({},
                       "a client was refused: {} clients are the most, and {} of the places are kept for "
                       "users that may run CLIENT KILL",
                       most, client::client_places::reserved_for_admins(most));
    client.refuse(request, "ERR max number of clients reached");
    client.close_after_replies(metrics::close_reason::displaced);
    return false;
  }
  client.set_user(*who);
  return true;
}

void authorization::run_auth(session& client, const client::request& request) {
  const resp::arguments args = request.args;
  if (args.size() > 3) return client.refuse(request, "ERR syntax error");
  if (args.size() == 2) {
    const client::user* const initial = access_.find(client::default_user);
    if (!access_.restricts() || (initial != nullptr && initial->settings().no_password)) {
      return client.refuse(
          request,
          "ERR AUTH <password> called without any password configured for the default user. Are you "
          "sure your configuration is correct?");
    }
  }
  if (!log_in(client, request, name_of_auth(args), args.back())) return;
  client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

}  // namespace dualbus::handler
