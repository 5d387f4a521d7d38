#include <dualbus/base/log.hpp>
#include <dualbus/session/authorization.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/traffic_gate.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/worker_context.hpp>

#include <string>

// A client's user and what it may run. Texts are Redis's (server.c, processCommand; acl.c, authCommand).
namespace dualbus::session {
namespace {

void note_failure(worker_context& context, const session& client, std::string_view name) {
  ++context.metrics.authentication_failures;
  context.logins.note_failure(client.peer_address(), context.now);
  // A name of no user may be a password in the wrong place.
  const bool known = name == default_user || context.access().find(name) != nullptr;
  base::warn_limited({}, "client {} {}: log-in as {} failed", client.id(), client.peer_address(),
                     known ? "'" + base::in_log(name) + "'" : "an unknown user");
}

std::string denial_of(worker_context& context, const user* who, std::uint16_t command, resp::arguments args) {
  if (!context.access().restricts()) return {};
  if (who == nullptr) return "NOAUTH Authentication required.";
  return who->denial(command, args, context.router().types(), context.plan.keys);
}

// False: it has been refused.
bool authorize(worker_context& context, session& client, const command::command_spec& spec,
               const request& what) {
  const user* const who = client.current_user();
  if (who == nullptr && command::has_flag(spec, 'n')) return true;
  const std::string denial = denial_of(context, who, what.command, what.args);
  if (denial.empty()) return true;
  if (who != nullptr) ++context.metrics.permission_denials;
  reject(client, &spec, what.command, denial);
  return false;
}

// Wrong log-ins from its address make it wait. The request comes again then.
bool waits_to_log_in(worker_context& context, session& client, const command::command_spec& spec,
                     const request& what) {
  if (spec.route != command::route::local) return false;
  if (spec.name != "auth" && !(spec.name == "hello" && what.args.size() > 4)) return false;
  if (client.take_login_permit()) return false;
  const base::duration delay =
      context.logins.delay(client.peer_address(), context.now, context.configuration().limits.login_delay);
  if (delay.count() == 0) return false;
  ++context.metrics.logins_delayed;
  client.delay_login(delay);
  return true;
}

bool writes(const session& client, const command::command_spec& spec, const request& what) {
  if (spec.name != "exec") return may_write(spec, what.args);
  return client.in_transaction() && client.current_transaction()->writes();
}

std::string_view name_of_auth(resp::arguments args) {
  return args.size() == 2 ? default_user : args[1];
}

}  // namespace

std::string denial_of(worker_context& context, const session& client, std::uint16_t command,
                      resp::arguments args) {
  return denial_of(context, client.current_user(), command, args);
}

exec_permissions::exec_permissions(worker_context& context, session& client, bool users_changed)
    : context_(context), client_(client), who_(client.current_user()), asks_(users_changed) {}

bool exec_permissions::admit(const request& what) {
  const std::string denial = asks_ ? denial_of(context_, who_, what.command, what.args) : std::string();
  if (denial.empty()) {
    if (command::command_table()[what.command].name != "auth" || what.args.size() > 3) return true;
    const user* const made = context_.access().authenticate(name_of_auth(what.args), what.args.back());
    if (made == nullptr) return true;
    who_ = made;
    asks_ = true;
    return true;
  }
  ++context_.metrics.permission_denials;
  client_.refuse(
      what.command,
      "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This "
      "command is no longer allowed for the following reason: " +
          denial);
  return false;
}

admission admit(worker_context& context, session& client, const command::command_spec& spec,
                const request& what) {
  if (context.access().restricts()) {
    if (!authorize(context, client, spec, what)) return admission::refused;
    if (waits_to_log_in(context, client, spec, what)) return admission::held;
  }
  traffic_gate& gate = *context.gate;
  if (gate.paused(context.now) && gate.pauses(spec, writes(client, spec, what), context.now)) {
    client.await_unpause();
    return admission::held;
  }
  if (gate.tapped()) gate.note(client, what);
  if (context.keeps_arguments) context.arguments = what.args;
  return admission::run;
}

bool log_in(worker_context& context, session& client, const request& what, std::string_view name,
            std::string_view password) {
  const access_control& access = context.access();
  // Without users there is the one that Redis has then: "default", whom every password fits.
  if (!access.restricts() && name == default_user) return true;
  const user* const who = access.authenticate(name, password);
  if (who == nullptr) {
    note_failure(context, client, name);
    client.refuse(what.command, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
  }
  const std::uint64_t most = context.most_clients();
  if (client.stranger() && !who->administers() && !context.daemon.places.has_room_for_ordinary(most)) {
    ++context.metrics.clients_rejected;
    base::warn_limited({},
                       "a client was refused: {} clients are the most, and {} of the places are kept for "
                       "users that may run CLIENT KILL",
                       most, client_places::reserved_for_admins(most));
    client.refuse(what.command, "ERR max number of clients reached");
    client.close_after_replies(metrics::close_reason::displaced);
    return false;
  }
  client.set_user(*who);
  return true;
}

void run_auth(worker_context& context, session& client, const request& what) {
  const resp::arguments args = what.args;
  if (args.size() > 3) return client.refuse(what.command, "ERR syntax error");
  const access_control& access = context.access();
  if (args.size() == 2) {
    const user* const user = access.find(default_user);
    if (!access.restricts() || (user != nullptr && user->settings().no_password)) {
      return client.refuse(
          what.command,
          "ERR AUTH <password> called without any password configured for the default user. Are you "
          "sure your configuration is correct?");
    }
  }
  if (!log_in(context, client, what, name_of_auth(args), args.back())) return;
  client.answer(what.command, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

}  // namespace dualbus::session
