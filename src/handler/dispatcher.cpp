#include "key/key_commands.hpp"
#include "local_commands.hpp"
#include "pubsub/pubsub_commands.hpp"
#include "refusals.hpp"
#include "script/script_commands.hpp"
#include "server/server_commands.hpp"
#include "stream/stream_commands.hpp"
#include "transaction/transaction_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/command/key_writes.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/command/subcommand_table.hpp>
#include <dualbus/handler/dispatcher.hpp>

#include <algorithm>
#include <string>

namespace dualbus::handler {
namespace {

using command::command_spec;
using command::fact;
using command::plan;
using command::route;

// Redis's words (server.c, commandCheckExistence): the name and the arguments behind it, at most 128 bytes of
// each part, as C strings.
std::string unknown_command(resp::arguments args) {
  constexpr std::size_t longest = 128;
  std::string rest;
  for (std::size_t i = 1; i < args.size() && rest.size() < longest; ++i) {
    rest += "'" + std::string(base::as_c_string(args[i].substr(0, longest - rest.size()))) + "' ";
  }
  return "ERR unknown command '" + std::string(base::as_c_string(args[0].substr(0, longest))) +
         "', with args beginning with: " + rest;
}

// Somebody speaks HTTP: Redis hangs up without a word, so that a browser cannot be made to issue commands.
bool is_http(std::string_view name) {
  return base::is_word(name, "post") || base::is_word(name, "host:");
}

// Redis also names the subcommand where a command has some.
std::string full_name(const command_spec& spec, const client::request& request) {
  std::string name(spec.name);
  if (!command::has_subcommands(request.command) || request.args.size() < 2) return name;
  name += '|';
  for (const char c : request.args[1]) name += base::to_lower(c);
  return name;
}

bool has_surplus(const command_spec& spec, resp::arguments args) {
  return spec.arity > 0 && args.size() > static_cast<std::size_t>(spec.arity);
}

// A request that goes to a single bus unchanged may have more arguments than Redis 7.0 takes: the bus knows
// what its version takes. Within MULTI, Redis refuses such a request when it is queued.
bool may_have_surplus(const session& client, const command_spec& spec) {
  return spec.keys == command::key_form::range && spec.route != route::local &&
         spec.route != route::transaction && spec.route != route::subscribe &&
         spec.route != route::databases && !client.in_transaction();
}

std::string wrong_arity(const command_spec& spec) {
  return "wrong number of arguments for '" + std::string(spec.name) + "' command";
}

// Redis finds a subcommand by its whole name, but compares it as a C string (server.c,
// dictSdsKeyCaseCompare): it takes `SET\0x` for SET when their hashes happen to meet. Here it is always
// unknown.
bool has_odd_subcommand(const command_spec& spec, const client::request& request) {
  return spec.first_key == 0 && request.args.size() > 1 && command::has_subcommands(request.command) &&
         request.args[1].find('\0') != std::string_view::npos;
}

std::string unknown_subcommand(const command_spec& spec, resp::arguments args) {
  std::string name(spec.name);
  for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return "unknown subcommand '" + std::string(base::as_c_string(args[1].substr(0, 128))) + "'. Try " + name +
         " HELP.";
}

// The fault that the request has before anybody looks at its keys; empty if it has none.
std::string refusal(const session& client, const command_spec& spec, const client::request& request) {
  if (has_odd_subcommand(spec, request)) return "ERR " + unknown_subcommand(spec, request.args);
  if (!command::arity_matches(spec, request.args.size()) &&
      !(has_surplus(spec, request.args) && may_have_surplus(client, spec)))
    return "ERR " + wrong_arity(spec);
  if (client.subscriber_mode() && !spec.has(fact::allowed_to_subscribers)) {
    return "ERR Can't execute '" + full_name(spec, request) +
           "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
  }
  return {};
}

// False for nearly every request: then it has no such fault.
bool may_be_refused(const session& client, const command_spec& spec, const client::request& request) {
  return !command::arity_matches(spec, request.args.size()) || spec.first_key == 0 ||
         client.subscriber_mode();
}

// True if the request changes the protocol or the database, and so the connection that requests take.
bool changes_connection(const config::configuration& configuration, const session& client,
                        const command_spec& spec, const client::request& request) {
  if (!spec.has(fact::waits_for_replies | fact::chooses_database)) [[likely]]
    return false;
  return spec.has(fact::waits_for_replies) ||
         (chosen_database(configuration, spec, request).value_or(client.database()) != client.database());
}

}  // namespace

// A large request waits until the buses that it goes to take more. Reads of groups are small and wait for no
// bus.
bool dispatcher::await_room(session& client, const command_spec& spec, routed_request& request) {
  bus_list& buses = env_.buses;
  const bool any = std::any_of(buses.begin(), buses.end(), [](const auto& bus) { return bus->holds_back(); });
  if (!any || spec.route == route::xread) return false;
  plan& p = request.plan;
  env_.routing.router(client.database()).foresee(spec, request.args, p);
  const bool to_one = p.what == plan::action::forward || p.what == plan::action::add;
  const bool to_any = p.what == plan::action::spread || p.what == plan::action::broadcast;
  for (std::size_t i = 0; i < buses.count() && (to_one || to_any); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    if ((to_any || p.bus == bus) && client.await_room(buses.bus(bus), request.raw.size())) return true;
  }
  return false;
}

bool dispatcher::handle(session& client, client::request& taken) {
  const int index = command::find_command(taken.args[0]);
  client.set_last_command(index < 0 ? client::no_command : static_cast<std::uint16_t>(index));
  if (index < 0) {
    if (is_http(taken.args[0])) {
      base::warn_limited({}, "client {} {}: possible cross-protocol attack: HTTP on the RESP port; closing",
                         client.id(), client.peer_address());
      client.close(metrics::close_reason::protocol_error);
    } else {
      reject(client, nullptr, taken, unknown_command(taken.args));
    }
    return true;
  }
  const command_spec& spec = command::command_table()[index];
  taken.command = static_cast<std::uint16_t>(index);
  routed_request request(taken, plan_room_, env_.buses);
  // Such a request must not overtake an earlier one; and subscriptions begin and end between replies.
  if (changes_connection(env_.configuration(), client, spec, request) && client.await_replies()) return false;
  if (may_be_refused(client, spec, request)) [[unlikely]] {
    if (const std::string fault = refusal(client, spec, request); !fault.empty()) {
      reject(client, &spec, request, fault);
      return true;
    }
  }
  const bool queued = client.in_transaction() && !spec.has(fact::not_queued);
  if (memory_.refuses(request.raw.size(), queued, spec.has(fact::asks_no_bus))) [[unlikely]] {
    ++env_.metrics.memory_refusals;
    reject(client, &spec, request, out_of_memory_text);
    return true;
  }
  constexpr std::size_t small = std::size_t{4} << 10;  // not worth a look
  if (request.raw.size() > small && !queued && await_room(client, spec, request)) return false;
  if (gate_.guards()) {
    if (env_.durable.on() && !queued && !env_.durable.in_order(client, spec, request, request.plan))
      return false;
    const admission verdict = rights_.admit(client, spec, request);
    if (verdict != admission::run) return verdict == admission::refused;
  }
  if (queued) {
    queue_request(families_.transactions, client, spec, request);
    return true;
  }
  const bool done = carry_out(client, spec, request);
  if (client.subscribed() && done && spec.has(fact::may_publish)) [[unlikely]]
    client.replies().hold_pushes_behind_newest();
  if (!done && gate_.tapped()) gate_.take_back();
  return done;
}

// `bus`: the one that the request goes to; no_bus for several.
inline void dispatcher::note_change(const command_spec& spec, routed_request& request,
                                    command::bus_index bus) {
  if (spec.keys == command::key_form::range && spec.first_key == 1 && spec.last_key == 1) {
    request.change.add(changes_, request.args[1], bus);
  } else {
    note_changes(spec, request, bus);
  }
}

void dispatcher::note_changes(const command_spec& spec, routed_request& request, command::bus_index bus) {
  plan& p = request.plan;
  const bool found = command::find_keys(spec, request.args, p.keys);
  // A command that names no keys (FLUSHALL, a script without keys) may change any.
  if (p.keys.empty()) return request.change.add_all(changes_);
  if (!found) return;
  for (const std::uint32_t position : p.keys) request.change.add(changes_, request.args[position], bus);
}

bool dispatcher::carry_out(session& client, const command_spec& spec, routed_request& request) {
  if (spec.route == route::transaction)
    return run_transaction_command(families_.transactions, client, spec, request);
  plan& p = request.plan;
  command::router& router = env_.routing.router(client.database());
  if (request.out.staged()) {
    router.foresee(spec, request.args, p);  // it was counted when it was queued
  } else {
    router.make_plan(spec, request.args, p);
  }
  client::engine_attribution& engine = client.attribution();
  if (engine.undecided(spec)) engine.look(spec, request.args, p.xadd, env_.configuration().engines.field);
  if (p.what != plan::action::forward && has_surplus(spec, request.args)) [[unlikely]] {
    client.refuse(request, "ERR " + wrong_arity(spec));
    return true;
  }
  const bool sent =
      p.what == plan::action::forward || p.what == plan::action::add || p.what == plan::action::spread;
  if (sent && command::changes_keys(spec, request.args)) {
    const bool one_bus = p.what != plan::action::spread;
    note_change(spec, request, one_bus ? p.bus : command::no_bus);
  }
  switch (p.what) {
    case plan::action::forward:
      if (spec.route != route::keys && spec.route != route::xadd) [[unlikely]]
        return forward_specially(client, spec, request);
      families_.keys.forwarder.forward(client, request, p.bus);
      return true;
    case plan::action::add:
      start_add(families_.streams, client, request);
      return true;
    case plan::action::spread:
      run_spread(client, spec, request);
      return true;
    case plan::action::local:
      run_local(client, spec, request);
      return true;
    case plan::action::block:
    case plan::action::park:
      if (request.out.staged()) {  // a read in a transaction does not wait
        families_.keys.forwarder.forward(client, request, p.bus);
        return true;
      }
      return (p.what == plan::action::park && start_parked_read(families_.streams, client, request)) ||
             start_blocking(families_.keys, client, request, p.bus);
    case plan::action::broadcast:
      if (!request.out.staged()) return start_broadcast(env_, client, request);
      start_broadcast_in_transaction(env_, client, request);
      return true;
    case plan::action::refuse:
      client.refuse(request, p.error);
      return true;
  }
  return true;
}

bool dispatcher::forward_specially(session& client, const command_spec& spec, routed_request& request) {
  forwarder& forwarder = families_.keys.forwarder;
  const command::bus_index bus = request.plan.bus;
  const bool staged = request.out.staged();
  if (spec.route == route::xread && !staged && client.database() == 0 &&
      start_whole_read(families_.streams, client, request)) {
    return true;
  }
  if (spec.route == route::scripting && !staged) {
    // While the script runs, other clients must hear BUSY from Redis, which they could not ask on the same
    // connection.
    if (env_.routing.router(client.database()).passing() && spec.keys == command::key_form::numkeys2)
      return start_blocking(families_.keys, client, request, bus);
    if (start_function_list(families_.scripts, client, request, bus)) return true;
    spread_script(families_.transactions.scripts, client, spec, request, bus);
  }
  if (names_databases(spec)) {
    forward_between_databases(families_.keys, client, request, bus);
  } else if (spec.route == route::publish && !staged) {
    start_publish(families_.pubsub, client, request);
  } else {
    // If the bus gets CONFIG RESETSTAT, INFO's figures about the daemon begin anew together with the bus's.
    if (!staged && command::restarts_statistics(spec, request.args))
      begin_counting(families_.server.workers(), families_.server.daemon.counted_from);
    forwarder.forward(client, request, bus);
  }
  return true;
}

void dispatcher::run_spread(session& client, const command_spec& spec, routed_request& request) {
  switch (spec.route) {
    case route::stream:
      return start_stream_operation(families_.streams, client, request, spec);
    case route::xread:
      return start_read(families_.streams, client, request);
    case route::whole:
      return start_whole_key_operation(families_.keys, client, request, spec);
    case route::keyspace:
      return start_keyspace_operation(families_.keys, client, request, spec);
    case route::scripting:
      return start_script_operation(families_.scripts, client, request, spec);
    default:
      return start_split_keys(families_.keys, client, request, spec);
  }
}

void dispatcher::run_local(session& client, const command_spec& spec, routed_request& request) {
  if (!request.out.staged() || spec.has(fact::chooses_database))
    return run_local_command(families_, client, spec, request);
  // The client would have to hear of other clients' requests between the replies of EXEC.
  if (spec.has(fact::refused_in_exec))
    return client.refuse(request, "ERR " + command::name_in_texts(spec, request.args) +
                                      " isn't allowed for DENY BLOCKING client");
  families_.transactions.stage.postpone(client, request);
}

// --- for the operation layer

void dispatcher::carry_out_queued(session& client, const client::request& queued, exec_rights& rights,
                                  outlet& stage) {
  if (!rights_.admit_queued(client, queued, rights)) return;
  routed_request request(queued, plan_room_, stage);
  carry_out(client, command::command_table()[request.command], request);
}

void dispatcher::carry_out_postponed(session& client, const client::request& postponed, outlet& stage) {
  routed_request request(postponed, plan_room_, stage);
  run_local_command(families_, client, command::command_table()[request.command], request);
}

// --- for the client layer

void dispatcher::drop_unfinished() {
  env_.buses.drop_unannounced();
}

void dispatcher::end_subscriptions(session& client) {
  families_.pubsub.hub.leave(client);
}

std::vector<std::vector<std::string>> dispatcher::requests_to_hear(const session& client) const {
  std::vector<std::vector<std::string>> requests;
  if (client.monitoring()) requests.push_back({"MONITOR"});
  using kind = backend::subscription;
  for (const kind k : {kind::channel, kind::pattern, kind::shard}) {
    if (!client.subscribed()) break;
    std::vector<std::string> words = families_.pubsub.hub.table().names_of(client.id(), k);
    if (words.empty()) continue;
    words.emplace(words.begin(), subscribing_command(k));
    requests.push_back(std::move(words));
  }
  return requests;
}

void dispatcher::restore_subscriptions(session& client, const client::session_state& state) {
  operation::subscription_hub& hub = families_.pubsub.hub;
  using kind = backend::subscription;
  for (const std::vector<std::string>& words : state.subscriptions) {
    for (const kind k : {kind::channel, kind::pattern, kind::shard}) {
      if (words[0] != subscribing_command(k)) continue;
      for (std::size_t i = 1; i < words.size(); ++i) {
        hub.hold(k, words[i]);
        hub.subscribe(client, k, words[i]);
        hub.release(k, words[i]);
      }
    }
  }
  if (hub.current_tap() != nullptr) hub.current_tap()->on_arrival(client, state.round);
}

void dispatcher::restore_lost_watch(session& client) {
  operation::open_transaction_of(client, families_.transactions.transactions).note_lost_watch();
}

std::string dispatcher::denial_of(const session& client, const std::vector<std::string>& words) {
  const std::vector<std::string_view> args(words.begin(), words.end());
  const int index = command::find_command(args[0]);
  return rights_.denial_of(client, static_cast<std::uint16_t>(index), args);
}

}  // namespace dualbus::handler
