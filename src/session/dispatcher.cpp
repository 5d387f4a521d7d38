#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/command/subcommand_table.hpp>
#include <dualbus/session/authorization.hpp>
#include <dualbus/session/blocking_operation.hpp>
#include <dualbus/session/broadcast_operation.hpp>
#include <dualbus/session/database_commands.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/key_operations.hpp>
#include <dualbus/session/keyspace_operations.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/stream_operations.hpp>
#include <dualbus/session/subscription_commands.hpp>
#include <dualbus/session/traffic_gate.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/transaction_commands.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <string>

namespace dualbus::session {
namespace {

using command::command_spec;
using command::plan;
using command::route;

// Redis's words (server.c, commandCheckExistence): the name and what follows it, 128 bytes of each part at
// most, as C strings.
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

bool allowed_to_subscribers(const command_spec& spec) {
  return spec.route == route::subscribe || spec.name == "ping" || spec.name == "quit" || spec.name == "reset";
}

// Redis names the subcommand, too, where a command has some.
std::string full_name(const command_spec& spec, resp::arguments args) {
  constexpr std::string_view containers[] = {"acl",      "client",  "cluster", "command", "config",
                                             "function", "latency", "memory",  "module",  "object",
                                             "pubsub",   "script",  "slowlog", "xgroup",  "xinfo"};
  std::string name(spec.name);
  const bool has = std::find(std::begin(containers), std::end(containers), spec.name) != std::end(containers);
  if (!has || args.size() < 2) return name;
  name += '|';
  for (const char c : args[1]) name += base::to_lower(c);
  return name;
}

bool has_surplus(const command_spec& spec, resp::arguments args) {
  return spec.arity > 0 && args.size() > static_cast<std::size_t>(spec.arity);
}

// One that goes to a single bus as it is may have more arguments than Redis 7.0 takes: that bus knows what
// its version takes. Within MULTI Redis refuses it when it is queued.
bool may_have_surplus(const session& client, const command_spec& spec) {
  return spec.keys == command::key_form::range && spec.route != route::local &&
         spec.route != route::transaction && spec.route != route::subscribe &&
         spec.route != route::databases && !client.in_transaction();
}

std::string wrong_arity(const command_spec& spec) {
  return "wrong number of arguments for '" + std::string(spec.name) + "' command";
}

// Redis finds a subcommand by its whole name, but compares it as a C string (server.c,
// dictSdsKeyCaseCompare): it takes `SET\0x` for SET now and then, as its hash may have it. Here it is always
// unknown.
bool has_odd_subcommand(const command_spec& spec, const request& what) {
  return spec.first_key == 0 && what.args.size() > 1 && command::has_subcommands(what.command) &&
         what.args[1].find('\0') != std::string_view::npos;
}

std::string unknown_subcommand(const command_spec& spec, resp::arguments args) {
  std::string name(spec.name);
  for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return "unknown subcommand '" + std::string(base::as_c_string(args[1].substr(0, 128))) + "'. Try " + name +
         " HELP.";
}

// The fault that the request has before anybody looks at its keys; empty if it has none.
std::string refusal(const session& client, const command_spec& spec, const request& what) {
  if (has_odd_subcommand(spec, what)) return "ERR " + unknown_subcommand(spec, what.args);
  if (!command::arity_matches(spec, what.args.size()) &&
      !(has_surplus(spec, what.args) && may_have_surplus(client, spec)))
    return "ERR " + wrong_arity(spec);
  if (client.subscriber_mode() && !allowed_to_subscribers(spec)) {
    return "ERR Can't execute '" + full_name(spec, what.args) +
           "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
  }
  return {};
}

void note_change(worker_context& context, const command_spec& spec, resp::arguments args, plan& p) {
  stream::key_changes& changes = context.daemon.changes;
  const bool one_bus = p.what == plan::action::forward || p.what == plan::action::add;
  const command::bus_index bus = one_bus ? p.bus : command::no_bus;
  if (spec.keys == command::key_form::range && spec.first_key == 1 && spec.last_key == 1) {
    return context.changing.add(changes, args[1], bus);
  }
  const bool found = command::find_keys(spec, args, p.keys);
  // A command that names no keys (FLUSHALL, a script without keys) may change any.
  if (p.keys.empty()) return context.changing.add_all(changes);
  if (!found) return;
  for (const std::uint32_t position : p.keys) context.changing.add(changes, args[position], bus);
}

void run_spread(worker_context& context, session& client, const command_spec& spec, const request& what,
                const plan& p) {
  switch (spec.route) {
    case route::stream:
      return start_stream_operation(context, client, what, spec);
    case route::xread:
      return start_read(context, client, what);
    case route::whole:
      return start_whole_key_operation(context, client, what.command, spec, what.args);
    case route::keyspace:
      return start_keyspace_operation(context, client, what.command, spec, what.args);
    case route::scripting:
      return start_script_operation(context, client, what.command, spec, what.args);
    default:
      return start_key_operation(context, client, what.command, spec, what.args, p);
  }
}

// Entries that a consumer reads again are not consumed twice.
bool reads_own_entries(const command_spec& spec, resp::arguments args, const plan& p) {
  if (spec.name != "xreadgroup") return false;
  return std::any_of(p.keys.begin(), p.keys.end(), [&](std::uint32_t key) {
    const std::size_t id = key + p.keys.size();
    return id >= args.size() || !base::is_word(args[id], ">");
  });
}

forward_operation::messages messages_of(const command_spec& spec, resp::arguments args, const plan& p) {
  using messages = forward_operation::messages;
  if (spec.route == route::xadd) return messages::published;
  if (spec.route == route::xread && !reads_own_entries(spec, args, p)) return messages::consumed;
  return messages::none;
}

// If the bus gets CONFIG, INFO's figures about the daemon begin anew together with the bus's.
bool resets_statistics(const command_spec& spec, resp::arguments args) {
  return spec.name == "config" && base::equals_ignoring_case(args[1], "resetstat");
}

bool changes_connection(const worker_context& context, const session& client, const command_spec& spec,
                        const request& what) {
  return spec.name == "hello" || spec.name == "reset" ||
         chosen_database(context, spec, what).value_or(client.database()) != client.database();
}

// Whose messages may be for the client that sends it.
bool publishes(const command_spec& spec) {
  return spec.route == route::publish || spec.route == route::scripting || spec.name == "exec";
}

// A large request waits until the buses that it goes to take more. Reads of groups are small and wait for no
// bus.
bool await_room(worker_context& context, session& client, const command_spec& spec, const request& what) {
  bool any = false;
  for (std::size_t i = 0; i < context.bus_count(); ++i)
    any |= context.bus(static_cast<command::bus_index>(i)).holds_back();
  if (!any || spec.route == route::xread) return false;
  plan& p = context.plan;
  context.router(client.database()).foresee(spec, what.args, p);
  const bool to_one = p.what == plan::action::forward || p.what == plan::action::add;
  const bool to_any = p.what == plan::action::spread || p.what == plan::action::broadcast;
  for (std::size_t i = 0; i < context.bus_count() && (to_one || to_any); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    if ((to_any || p.bus == bus) && client.await_room(context.bus(bus), what.raw.size())) return true;
  }
  return false;
}

// A command that ends or governs the transaction itself is not queued.
bool is_queued(const command_spec& spec) {
  if (spec.route == route::transaction) return spec.name == "unwatch";
  return spec.name != "reset" && spec.name != "quit";
}

// A command that asks no bus may be answered however little memory there is.
bool asks_no_bus(const command_spec& spec) {
  return spec.route == route::local || (spec.route == route::transaction && spec.name != "exec");
}

}  // namespace

void reject(session& client, const command_spec* spec, std::uint16_t command, std::string_view error) {
  if (spec == nullptr || spec->name != "exec") {
    if (client.in_transaction()) client.current_transaction()->spoil();
    return client.refuse(command, error);
  }
  client.end_transaction();
  if (error.starts_with("ERR ")) error.remove_prefix(4);
  client.refuse(command, "EXECABORT Transaction discarded because of: " + std::string(error));
}

// Keys that it changes must not be answered from what was known before. The reads of groups change what a
// group has, which makes no other read find more; XCLAIM with LASTID does.
bool changes_keys(const command_spec& spec, resp::arguments args) {
  if (spec.name == "xgroup") return true;
  // A script may write unless it says otherwise; SCRIPT and FUNCTION run none.
  if (spec.route == route::scripting) {
    return spec.keys == command::key_form::numkeys2 && !command::has_flag(spec, 'r');
  }
  // DEBUG, where it is passed on, can do anything.
  if (!command::has_flag(spec, 'w')) return spec.route == route::refused;
  if (spec.name == "xclaim") {
    return std::any_of(args.begin() + 1, args.end(),
                       [](std::string_view a) { return base::is_word(a, "lastid"); });
  }
  return spec.name != "xreadgroup" && spec.name != "xack" && spec.name != "xautoclaim";
}

void refuse_without_memory(worker_context& context, session& client, std::uint16_t command) {
  ++context.metrics.memory_refusals;
  client.refuse(command, out_of_memory_text);
}

void forward(worker_context& context, session& client, const request& what, command::bus_index bus,
             bool translate_id, resp::arguments args) {
  backend::bus& target = context.bus(bus);
  backend::pipeline& requests = target.requests(client.protocol(), client.database(), context.now);
  const command_spec& spec = command::command_table()[what.command];
  const bool accepted = requests.accepts();
  const auto write = [&](base::chunk_queue& out) {
    if (!args.empty()) {
      resp::encoder(out).request(args);
    } else if (what.verbatim) {
      out.append(what.raw);
    } else {
      resp::encoder(out).request(what.args);
    }
  };
  if (accepted && !requests.encode(write)) [[unlikely]]
    return refuse_without_memory(context, client, what.command);
  auto* const op = context.forwards.create(context, client, what.command, bus, translate_id,
                                           messages_of(spec, what.args, context.plan));
  client.enqueue(*op);
  if (!accepted) [[unlikely]]
    return op->on_failure(0, backend::failure::bus_down);
  requests.end(*op, 0, context.now);
  if (requests.congested()) client.await_drain(target, what.raw.size());
  // Readers that wait for the stream look behind the entry, in the same write to the bus.
  if (spec.route == route::xadd && client.database() == 0) {
    const std::uint32_t key = context.parking().waited_for(what.args[1]);
    if (key == 0) return;
    if (context.transactions.playing()) {
      context.transactions.note_added(bus, what.args[1]);
    } else {
      context.parking().added(bus, key);
    }
  }
}

void spread_script(worker_context& context, session& client, const command_spec& spec, const request& what,
                   command::bus_index bus) {
  const bool brings_text = spec.name == "eval" || spec.name == "eval_ro";
  if (brings_text && context.bus_count() > 1) context.scripts.spread(client, what.args[1], bus);
}

bool dispatch(worker_context& context, session& client, request what) {
  const int index = command::find_command(what.args[0]);
  client.set_last_command(index < 0 ? session::no_command : static_cast<std::uint16_t>(index));
  if (index < 0) {
    if (is_http(what.args[0])) {
      base::warn_limited({}, "client {} {}: possible cross-protocol attack: HTTP on the RESP port; closing",
                         client.id(), client.peer_address());
      client.close(metrics::close_reason::protocol_error);
    } else {
      reject(client, nullptr, session::no_command, unknown_command(what.args));
    }
    return true;
  }
  const command_spec& spec = command::command_table()[index];
  what.command = static_cast<std::uint16_t>(index);
  // They change the protocol or the database, and so the connection that requests take: none may overtake an
  // earlier one. And subscriptions begin and end between replies.
  const bool waits = spec.route == route::subscribe ||
                     (spec.route == route::local && changes_connection(context, client, spec, what));
  if (waits && client.await_replies()) return false;
  if (const std::string fault = refusal(client, spec, what); !fault.empty()) {
    reject(client, &spec, what.command, fault);
    return true;
  }
  const bool queued = client.in_transaction() && is_queued(spec);
  if (context.memory.refuses(what.raw.size(), queued, asks_no_bus(spec))) [[unlikely]] {
    ++context.metrics.memory_refusals;
    reject(client, &spec, what.command, out_of_memory_text);
    return true;
  }
  constexpr std::size_t small = std::size_t{4} << 10;  // not worth a look
  if (what.raw.size() > small && !queued && await_room(context, client, spec, what)) return false;
  if (context.guarded) {
    const admission verdict = admit(context, client, spec, what);
    if (verdict != admission::run) return verdict == admission::refused;
  }
  if (queued) {
    queue_request(context, client, spec, what);
    return true;
  }
  const bool done = carry_out(context, client, what);
  if (client.subscribed() && done && publishes(spec)) [[unlikely]]
    client.hold_pushes_behind_newest();
  if (!done && context.gate->tapped()) context.gate->take_back();
  return done;
}

bool carry_out(worker_context& context, session& client, const request& what) {
  const command_spec& spec = command::command_table()[what.command];
  if (spec.route == route::transaction) return run_transaction_command(context, client, spec, what);
  const bool playing = context.transactions.playing();
  plan& p = context.plan;
  if (playing) {
    context.router(client.database()).foresee(spec, what.args, p);  // it was counted when it was queued
  } else {
    context.router(client.database()).make_plan(spec, what.args, p);
  }
  engine_attribution& engine = client.attribution();
  if (engine.undecided(spec)) engine.look(spec, what.args, p.xadd, context.configuration().engines.field);
  if (p.what != plan::action::forward && has_surplus(spec, what.args)) [[unlikely]] {
    client.refuse(what.command, "ERR " + wrong_arity(spec));
    return true;
  }
  bool done = true;
  const bool sent =
      p.what == plan::action::forward || p.what == plan::action::add || p.what == plan::action::spread;
  if (sent && changes_keys(spec, what.args)) {
    note_change(context, spec, what.args, p);
  }
  switch (p.what) {
    case plan::action::forward:
      if (spec.route == route::keys) [[likely]] {
        forward(context, client, what, p.bus, false);
        break;
      }
      if (spec.route == route::xread && !playing && client.database() == 0 &&
          start_whole_read(context, client, what)) {
        break;
      }
      if (spec.route == route::scripting && !playing) {
        if (context.router(client.database()).passing() && spec.keys == command::key_form::numkeys2) {
          // While it runs others must hear BUSY from the Redis, whom they cannot ask behind it.
          done = start_blocking(context, client, what, p.bus);
          break;
        }
        if (start_function_list(context, client, what, p.bus)) break;
        spread_script(context, client, spec, what, p.bus);
      }
      if (names_databases(spec)) {
        forward_between_databases(context, client, what, p.bus);
        break;
      }
      if (spec.route == route::publish && !playing) {
        start_publish(context, client, what, p);
        break;
      }
      if (spec.route == route::local && !playing && resets_statistics(spec, what.args))
        begin_counting(context);
      forward(context, client, what, p.bus, false);
      break;
    case plan::action::add:
      start_add(context, client, what, p);
      break;
    case plan::action::spread:
      run_spread(context, client, spec, what, p);
      break;
    case plan::action::local:
      if (playing && spec.name != "select") {
        context.transactions.postpone(client, spec, what);
      } else {
        run_local_command(context, client, spec, what);
      }
      break;
    case plan::action::block:
    case plan::action::park:
      if (playing) {  // in a transaction it does not wait
        forward(context, client, what, p.bus, false);
        break;
      }
      done = (p.what == plan::action::park && start_parked_read(context, client, what)) ||
             start_blocking(context, client, what, p.bus);
      break;
    case plan::action::broadcast:
      if (playing) {
        start_broadcast_in_transaction(context, client, what);
      } else {
        done = start_broadcast(context, client, what);
      }
      break;
    case plan::action::refuse:
      client.refuse(what.command, p.error);
      break;
  }
  // This is done in every case: what was sent has taken it over.
  context.changing.end();
  return done;
}

}  // namespace dualbus::session
