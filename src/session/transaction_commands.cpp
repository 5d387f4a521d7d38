#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/session/blocking_operation.hpp>
#include <dualbus/session/database_commands.hpp>
#include <dualbus/session/login_delays.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/stream_operations.hpp>
#include <dualbus/session/traffic_gate.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/transaction_commands.hpp>
#include <dualbus/session/watch_operation.hpp>
#include <dualbus/session/worker_context.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::session {
namespace {

using base::equals_ignoring_case;
using command::command_spec;
using command::plan;
using command::route;

constexpr std::string_view outside = ": send it before MULTI or after EXEC";

void answer_ok(session& client, std::uint16_t command) {
  client.answer(command, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

std::string not_here(std::string_view what) {
  return "NOTSUPPORTED " + std::string(what) + " is not available inside MULTI" + std::string(outside);
}

std::string upper(std::string_view name) {
  std::string result(name);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  return result;
}

/// Reads of logical streams that take several rounds; empty if this one takes one.
std::string read_fault(const request& what) {
  const stream::read_request read = stream::parse_read(what.args);
  if (!read.error.empty() || !read.unsupported.empty()) return {};  // EXEC says so
  for (const stream::read_request::key& key : read.keys) {
    if (key.from == stream::read_request::position::last) return not_here("XREAD with '+'");
    if (!read.group || key.from == stream::read_request::position::fresh) continue;
    if (read.count != 0) return not_here("XREADGROUP of a consumer's own entries with COUNT");
  }
  return {};
}

/// A command that needs several rounds cannot be part of a transaction; empty if it needs one.
std::string rounds_fault(const command_spec& spec, const request& what, const plan& p) {
  switch (spec.route) {
    case route::local:
      if (spec.name == "hello" ||
          (spec.name == "client" && what.args.size() > 1 && equals_ignoring_case(what.args[1], "reply"))) {
        return not_here(spec.name == "hello" ? "HELLO" : "CLIENT REPLY");
      }
      return {};
    case route::xadd:
      if (p.what != plan::action::add || !p.xadd.no_mkstream) return {};
      return not_here("XADD with NOMKSTREAM to a stream over several buses");
    case route::stream:
      if (p.what != plan::action::spread || (spec.name != "xgroup" && spec.name != "xautoclaim")) return {};
      return not_here(upper(spec.name) + " of a stream over several buses");
    case route::xread:
      return p.what == plan::action::spread ? read_fault(what) : std::string();
    case route::subscribe:
    case route::pubsub:
    case route::whole:
    case route::scripting:
    case route::keyspace:
      return p.what == plan::action::forward ? std::string() : not_here(upper(spec.name));
    default:
      return {};
  }
}

/// Why the request cannot be queued; empty if it can.
std::string queue_fault(worker_context& context, const session& client, const command_spec& spec,
                        const request& what) {
  if (command::has_flag(spec, 'X')) return "ERR Command not allowed inside a transaction";
  // Guesses are delayed when they are queued, so that EXEC must not try many at once.
  if (spec.name == "auth" && client.current_transaction()->logins() == login_delays::free_failures) {
    return "ERR dualbus: a transaction holds " + std::to_string(login_delays::free_failures) +
           " AUTH at most: log in before MULTI";
  }
  plan& p = context.plan;
  context.router(client.current_transaction()->database()).make_plan(spec, what.args, p);
  if (p.what == plan::action::refuse) return p.error;
  return rounds_fault(spec, what, p);
}

/// Most transactions need not be played: all their requests go to one bus, and nothing about them is special.
void note_plain(worker_context& context, session& client, const command_spec& spec, const request& what) {
  const plan& p = context.plan;
  engine_attribution& engine = client.attribution();
  if (engine.undecided(spec)) engine.look(spec, what.args, p.xadd, context.configuration().engines.field);
  const bool forwards =
      p.what == plan::action::forward && spec.route != route::xread && !names_databases(spec);
  const bool adds = p.what == plan::action::add && adds_as_is(what, p);
  const bool changes = changes_keys(spec, what.args);
  const bool one_key = spec.keys == command::key_form::range && spec.first_key == 1 && spec.last_key == 1;
  if (!what.verbatim || (!forwards && !adds) || (changes && !one_key)) return;
  client.current_transaction()->note_plain({what.command, spec.route == route::xadd, adds}, what.raw,
                                           changes ? what.args[1] : std::string_view(),
                                           context.routing_number());
}

bool run_exec(worker_context& context, session& client, std::uint16_t command) {
  transaction* const what = client.current_transaction();
  if (!client.in_transaction()) {
    client.refuse(command, "ERR EXEC without MULTI");
    return true;
  }
  if (what->spoiled()) {
    client.end_transaction();
    client.refuse(command, "EXECABORT Transaction discarded because of previous errors.");
    return true;
  }
  // On connections of its own it would overtake earlier requests.
  const bool own = what->may_cross() || what->watches() || what->selects();
  if (own && client.await_replies()) return false;
  if (what->is_plain(context.routing_number()) && client.await_room(context.bus(what->bus()), what->bytes()))
    return false;
  std::unique_ptr<transaction> taken = client.take_transaction();
  exec_operation* const op = context.transactions.operations.create(context, client, command);
  client.enqueue(*op);
  op->start(std::move(taken));
  return true;
}

}  // namespace

void queue_request(worker_context& context, session& client, const command_spec& spec, const request& what) {
  transaction& queue = *client.current_transaction();
  std::string fault = queue_fault(context, client, spec, what);
  if (fault.empty() && !queue.spoiled()) {
    const std::size_t limit = context.configuration().limits.max_request;
    if (queue.add(what.args, what.raw, what.verbatim, limit)) {
      const plan& p = context.plan;
      const bool one_bus = p.what == plan::action::forward || p.what == plan::action::add ||
                           p.what == plan::action::block || p.what == plan::action::park;
      if (p.what != plan::action::local) queue.note_bus(one_bus ? p.bus : command::no_bus);
      note_plain(context, client, spec, what);
      if (!queue.writes() && may_write(spec, what.args)) queue.note_write();
      if (spec.name == "auth") queue.note_login();
      if (const auto database = chosen_database(context, spec, what)) queue.select(*database);
      if (spec.route == route::scripting) spread_script(context, client, spec, what, p.bus);
    } else {
      fault = "ERR dualbus: the transaction takes more memory than limits.max_request: send it in parts";
    }
  }
  if (!fault.empty()) {
    queue.spoil();
    return client.refuse(what.command, fault);
  }
  client.acknowledge(what.command, "+QUEUED\r\n");
}

bool run_transaction_command(worker_context& context, session& client, const command_spec& spec,
                             const request& what) {
  const bool inside = client.in_transaction();
  if (spec.name == "exec") return run_exec(context, client, what.command);
  if (spec.name == "watch") {
    if (!inside) return start_watch(context, client, what);
    client.refuse(what.command, "ERR WATCH inside MULTI is not allowed");
  } else if (spec.name == "multi") {
    if (inside) {
      client.refuse(what.command, "ERR MULTI calls can not be nested");
    } else {
      client.begin_transaction();
      answer_ok(client, what.command);
    }
  } else if (spec.name == "discard") {
    if (!inside) {
      client.refuse(what.command, "ERR DISCARD without MULTI");
    } else {
      client.end_transaction();
      answer_ok(client, what.command);
    }
  } else {  // UNWATCH
    if (!inside) client.end_transaction();
    answer_ok(client, what.command);
  }
  return true;
}

}  // namespace dualbus::session
