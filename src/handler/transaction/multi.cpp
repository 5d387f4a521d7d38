#include "handler/key/key_commands.hpp"
#include "handler/script/script_commands.hpp"
#include "handler/stream/stream_commands.hpp"
#include "transaction_commands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/login_delays.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_writes.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/transaction.hpp>
#include <dualbus/operation/watch_operation.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::handler {
namespace {

using command::command_spec;
using command::fact;
using command::plan;
using command::route;

constexpr std::string_view outside = ": send it before MULTI or after EXEC";

void answer_ok(session& client, const client::request& request) {
  client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

std::string not_here(std::string_view feature) {
  return "NOTSUPPORTED " + std::string(feature) + " is not available inside MULTI" + std::string(outside);
}

std::string upper(std::string_view name) {
  std::string result(name);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  return result;
}

/// The fault of a read of logical streams that takes several rounds; empty if it takes one.
std::string read_fault(const command_spec& spec, const client::request& request) {
  const stream::read_request read = stream::parse_read(spec, request.args);
  if (!read.error.empty() || !read.unsupported.empty()) return {};  // EXEC says so
  for (const stream::read_request::key& key : read.keys) {
    if (key.from == stream::read_request::position::last) return not_here("XREAD with '+'");
    if (!read.group || key.from == stream::read_request::position::fresh) continue;
    if (read.count != 0) return not_here("XREADGROUP of a consumer's own entries with COUNT");
  }
  return {};
}

/// The fault of a command that needs several rounds, and so cannot be part of a transaction; empty if it
/// needs one.
std::string rounds_fault(const command_spec& spec, routed_request& request, const plan& p) {
  switch (spec.route) {
    case route::local:
      if (!command::has_fact(command::facts_of(spec, request.args), fact::changes_replies)) return {};
      return not_here(command::name_in_texts(spec, request.args));
    case route::xadd:
      if (p.what != plan::action::add || !p.xadd.no_mkstream) return {};
      return not_here("XADD with NOMKSTREAM to a stream over several buses");
    case route::stream:
      if (p.what != plan::action::spread || !spec.has(fact::needs_rounds)) return {};
      return not_here(upper(spec.name) + " of a stream over several buses");
    case route::xread:
      return p.what == plan::action::spread ? read_fault(spec, request) : std::string();
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
std::string queue_fault(transaction_services& services, const session& client, const command_spec& spec,
                        routed_request& request) {
  if (command::has_flag(spec, 'X')) return "ERR Command not allowed inside a transaction";
  // Guesses of passwords are delayed when they are queued, so EXEC must not try many at once.
  if (spec.has(fact::logs_in) && transaction_of(client)->logins() == client::login_delays::free_failures) {
    return "ERR dualbus: a transaction holds " + std::to_string(client::login_delays::free_failures) +
           " AUTH at most: log in before MULTI";
  }
  plan& p = request.plan;
  services.routing.router(transaction_of(client)->database()).make_plan(spec, request.args, p);
  if (p.what == plan::action::refuse) return p.error;
  return rounds_fault(spec, request, p);
}

/// Most transactions are plain: all their requests go to one bus unchanged, and need not be carried out one
/// by one.
void note_plain(transaction_services& services, session& client, const command_spec& spec,
                routed_request& request, bool confirm) {
  const plan& p = request.plan;
  client::engine_attribution& engine = client.attribution();
  if (engine.undecided(spec)) engine.look(spec, request.args, p.xadd, services.configuration().engines.field);
  const bool forwards =
      p.what == plan::action::forward && spec.route != route::xread && !names_databases(spec);
  const bool adds = p.what == plan::action::add && adds_as_is(request);
  const bool changes = command::changes_keys(spec, request.args);
  const bool one_key = spec.keys == command::key_form::range && spec.first_key == 1 && spec.last_key == 1;
  if (!request.verbatim || (!forwards && !adds) || (changes && !one_key)) return;
  transaction_of(client)->note_plain({request.command, spec.route == route::xadd, adds, confirm}, request.raw,
                                     changes ? request.args[1] : std::string_view(),
                                     services.routing.number());
}

bool run_exec(transaction_services& services, session& client, routed_request& request) {
  const transaction* const queue = transaction_of(client);
  if (!client.in_transaction()) {
    client.refuse(request, "ERR EXEC without MULTI");
    return true;
  }
  if (queue->spoiled()) {
    client.end_transaction();
    client.refuse(request, "EXECABORT Transaction discarded because of previous errors.");
    return true;
  }
  // On connections of its own the transaction would overtake earlier requests.
  const bool own = queue->may_cross() || queue->watches() || queue->selects();
  if (own && client.await_replies()) return false;
  const bool plain = queue->is_plain(services.routing.number());
  if (services.durable.on() &&
      !services.durable.exec_in_order(client, plain ? queue->bus() : command::no_bus, queue->confirms()))
    return false;
  if (plain && client.await_room(services.buses.bus(queue->bus()), queue->bytes())) return false;
  transaction_pointer taken(static_cast<transaction*>(client.take_transaction().release()));
  exec_operation* const op = services.pools.operations.create(services, client, request);
  client.enqueue(*op);
  op->start(std::move(taken));
  return true;
}

}  // namespace

void queue_request(transaction_services& services, session& client, const command_spec& spec,
                   routed_request& request) {
  transaction& queue = *transaction_of(client);
  std::string fault = queue_fault(services, client, spec, request);
  if (fault.empty() && !queue.spoiled()) {
    const std::size_t limit = services.configuration().limits.max_request;
    if (queue.add(request.args, request.raw, request.verbatim, limit)) {
      const plan& p = request.plan;
      const bool one_bus = p.what == plan::action::forward || p.what == plan::action::add ||
                           p.what == plan::action::block || p.what == plan::action::park;
      if (p.what != plan::action::local) queue.note_bus(one_bus ? p.bus : command::no_bus);
      const bool confirm = one_bus && services.durable.confirms(client, spec, request.args, p.bus, p);
      if (confirm) queue.note_confirm();
      note_plain(services, client, spec, request, confirm);
      if (!queue.writes() && command::may_replicate(spec, request.args)) queue.note_write();
      if (spec.has(fact::logs_in)) queue.note_login();
      if (const auto database = chosen_database(services.configuration(), spec, request))
        queue.select(*database);
      if (spec.route == route::scripting) spread_script(services.scripts, client, spec, request, p.bus);
    } else {
      fault = "ERR dualbus: the transaction takes more memory than limits.max_request: send it in parts";
    }
  }
  if (!fault.empty()) {
    queue.spoil();
    return client.refuse(request, fault);
  }
  client.acknowledge(request, "+QUEUED\r\n");
}

bool run_transaction_command(transaction_services& services, session& client, const command_spec& spec,
                             routed_request& request) {
  const bool inside = client.in_transaction();
  if (spec.name == "exec") return run_exec(services, client, request);
  if (spec.name == "watch") {
    if (!inside) return start_watch(services, client, request);
    client.refuse(request, "ERR WATCH inside MULTI is not allowed");
  } else if (spec.name == "multi") {
    if (inside) {
      client.refuse(request, "ERR MULTI calls can not be nested");
    } else {
      open_transaction_of(client, services.transactions).begin(client.database(), services.routing.number());
      client.begin_transaction();
      answer_ok(client, request);
    }
  } else if (spec.name == "discard") {
    if (!inside) {
      client.refuse(request, "ERR DISCARD without MULTI");
    } else {
      client.end_transaction();
      answer_ok(client, request);
    }
  } else {  // UNWATCH
    if (!inside) client.end_transaction();
    answer_ok(client, request);
  }
  return true;
}

}  // namespace dualbus::handler
