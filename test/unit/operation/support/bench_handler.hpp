#pragma once

#include "test_operations.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_writes.hpp>
#include <dualbus/operation/blocking_operation.hpp>
#include <dualbus/operation/broadcast_operation.hpp>
#include <dualbus/operation/exec_operation.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/leftovers.hpp>
#include <dualbus/operation/subscription_hub.hpp>
#include <dualbus/operation/transaction_stage.hpp>
#include <dualbus/operation/watch_operation.hpp>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::operation::test {

/// Stands in for the layer above (src/handler): takes each request to the operation that a test means, by the
/// command's route. It refuses nothing, and knows MULTI, EXEC, DISCARD, WATCH, PING and SELECT.
class bench_handler final : public client::request_handler, public queued_request_handler {
 public:
  using carry_out_function = std::function<void(session&, routed_request&)>;

  bench_handler(exec_environment& environment, transaction_pool& transactions,
                operation::forwarder& forwarder, subscription_hub& hub)
      : env_(environment), transactions_(transactions), forwarder_(forwarder), hub_(hub) {}

  /// Has requests of that command, in lower case, carried out by the test.
  void on(const std::string& command, carry_out_function how) { own_[command] = std::move(how); }
  /// The answer to whoever may not do something any more; empty: everybody may.
  std::string denial;
  /// By queued command, in lower case: the error that answers it at EXEC instead.
  std::map<std::string, std::string> denied_at_exec;
  /// The rights of the transaction that was carried out last.
  bool asked_for_rights = false;
  /// Longer transactions are not queued.
  std::size_t most_queued = std::size_t{1} << 20;

  bool handle(session& client, client::request& taken) override {
    taken.command = static_cast<std::uint16_t>(command::find_command(taken.args[0]));
    const command::command_spec& spec = command::command_table()[taken.command];
    client.set_last_command(taken.command);
    routed_request request(taken, plan_, env_.buses);
    if (env_.durable.on() && !client.in_transaction() && !env_.durable.in_order(client, spec, request, plan_))
      return false;
    if (spec.name == "exec") return run_exec(client, request);
    if (spec.name == "watch") return start_watch(client, request);
    if (spec.name == "multi") {
      open_transaction_of(client, transactions_).begin(client.database(), env_.routing.number());
      client.begin_transaction();
    } else if (spec.name == "discard") {
      client.end_transaction();
    } else if (spec.name == "unwatch") {
      if (!client.in_transaction()) client.end_transaction();
    } else if (client.in_transaction()) {
      queue(client, spec, request);
      return true;
    } else if (spec.route == command::route::blocking && !own_.contains(std::string(spec.name))) {
      return start_blocking(client, request);
    } else {
      carry_out(client, spec, request);
      return true;
    }
    client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
    return true;
  }
  void drop_unfinished() override { env_.buses.drop_unannounced(); }
  void end_subscriptions(session& client) override { hub_.leave(client); }
  std::vector<std::vector<std::string>> requests_to_hear(const session&) const override { return {}; }
  void restore_subscriptions(session&, const client::session_state&) override {}
  void restore_lost_watch(session&) override {}
  std::string denial_of(const session&, const std::vector<std::string>& words) override {
    judged = words;
    return denial;
  }
  /// The request that was judged last.
  std::vector<std::string> judged;

  void carry_out_queued(session& client, const client::request& queued, exec_rights& rights,
                        outlet& stage) override {
    asked_for_rights = rights.asks;
    const command::command_spec& spec = command::command_table()[queued.command];
    if (const auto found = denied_at_exec.find(std::string(spec.name)); found != denied_at_exec.end())
      return client.refuse(queued, found->second);
    routed_request request(queued, plan_, stage);
    carry_out(client, spec, request);
  }
  void carry_out_postponed(session& client, const client::request& postponed, outlet& stage) override {
    const command::command_spec& spec = command::command_table()[postponed.command];
    routed_request request(postponed, plan_, stage);
    if (const auto found = own_.find(std::string(spec.name)); found != own_.end())
      return found->second(client, request);
    client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("PONG"); });
  }

  /// Begins a request that waits on a connection of its own; false if it must come again.
  bool start_blocking(session& client, routed_request& request) {
    if (client.await_replies()) return false;
    env_.routing.router(client.database())
        .make_plan(command::command_table()[request.command], request.args, request.plan);
    const command::bus_index bus = request.plan.bus;
    backend::link* const link = env_.buses.bus(bus).dedicated().borrow(
        backend::purpose::wait, client.protocol(), client.database(), most_links(), env_.turn.now);
    if (link == nullptr) {
      client.refuse(request, no_connection_text(env_, bus));
      return true;
    }
    resp::encoder(link->requests.begin()).request(request.args);
    auto* const op = new blocking_operation(env_, client, request, bus, *link);
    op->start();
    link->requests.end(*op, 0, env_.turn.now);
    if (give_up_after.count() > 0) op->give_up_at(env_.turn.now + give_up_after);
    return true;
  }
  /// Begins one that goes to every bus on connections of its own.
  void start_broadcast(session& client, routed_request& request) {
    std::vector<backend::link*> links;
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      links.push_back(env_.buses.bus(static_cast<command::bus_index>(i))
                          .dedicated()
                          .borrow(backend::purpose::wait, client.protocol(), client.database(), most_links(),
                                  env_.turn.now));
    }
    auto* const op = new broadcast_operation(env_, client, request, std::move(links));
    client.enqueue(*op);
    op->send(request);
    if (give_up_after.count() > 0) op->give_up_at(env_.turn.now + give_up_after);
  }
  /// When those two give up; 0: never.
  std::chrono::milliseconds give_up_after{0};

 private:
  std::size_t most_links() const { return env_.configuration().backend.dedicated_connections; }

  void carry_out(session& client, const command::command_spec& spec, routed_request& request) {
    if (const auto found = own_.find(std::string(spec.name));
        found != own_.end() && !(request.out.staged() && spec.route == command::route::local))
      return found->second(client, request);
    command::plan& p = request.plan;
    command::router& router = env_.routing.router(client.database());
    request.out.staged() ? router.foresee(spec, request.args, p) : router.make_plan(spec, request.args, p);
    using action = command::plan::action;
    if (p.what == action::forward || p.what == action::add || p.what == action::block) {
      if (command::changes_keys(spec, request.args)) request.change.add(env_.changes, request.args[1], p.bus);
      forwarder_.forward(client, request, p.bus, p.what == action::add);
    } else if (p.what == action::spread) {
      (new sum_operation(env_, client, request))->start();
    } else if (p.what == action::refuse) {
      client.refuse(request, p.error);
    } else if (spec.name == "select") {
      client.set_database(static_cast<std::uint8_t>(*base::parse_uint64(request.args[1])));
      client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
    } else if (request.out.staged()) {
      env_.stage.postpone(client, request);
    } else {
      client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("PONG"); });
    }
  }

  void queue(session& client, const command::command_spec& spec, routed_request& request) {
    transaction& queue = *transaction_of(client);
    command::plan& p = request.plan;
    env_.routing.router(queue.database()).make_plan(spec, request.args, p);
    if (p.what == command::plan::action::refuse || queue.spoiled() ||
        !queue.add(request.args, request.raw, request.verbatim, most_queued)) {
      queue.spoil();
      return client.refuse(request, p.error.empty() ? "ERR refused" : p.error);
    }
    using action = command::plan::action;
    const bool adds = p.what == action::add;
    const bool forwards =
        p.what == action::forward && spec.name != "move" && !own_.contains(std::string(spec.name));
    if (p.what != action::local)
      queue.note_bus(forwards || adds || p.what == action::block ? p.bus : command::no_bus);
    const bool changes = command::changes_keys(spec, request.args);
    const bool confirm = (forwards || adds) && env_.durable.confirms(client, spec, request.args, p.bus, p);
    if (confirm) queue.note_confirm();
    if ((forwards || adds) && request.verbatim) {
      queue.note_plain({request.command, adds || spec.name == "xadd", adds, confirm}, request.raw,
                       changes ? request.args[1] : std::string_view(), env_.routing.number());
    }
    if (changes) queue.note_write();
    if (spec.name == "auth") queue.note_login();
    if (spec.name == "select") queue.select(static_cast<std::uint8_t>(*base::parse_uint64(request.args[1])));
    client.acknowledge(request, "+QUEUED\r\n");
  }

  bool run_exec(session& client, routed_request& request) {
    transaction* const queued = transaction_of(client);
    if (queued->spoiled()) {
      client.end_transaction();
      client.refuse(request, "EXECABORT Transaction discarded because of previous errors.");
      return true;
    }
    if ((queued->may_cross() || queued->watches() || queued->selects()) && client.await_replies())
      return false;
    const command::bus_index plain =
        queued->is_plain(env_.routing.number()) ? queued->bus() : command::no_bus;
    if (env_.durable.on() && !env_.durable.exec_in_order(client, plain, queued->confirms())) return false;
    transaction_pointer taken(static_cast<transaction*>(client.take_transaction().release()));
    exec_operation* const op = env_.pools.operations.create(env_, client, request);
    client.enqueue(*op);
    op->start(std::move(taken));
    return true;
  }

  bool start_watch(session& client, routed_request& request) {
    if (client.await_replies()) return false;
    transaction& of = open_transaction_of(client, transactions_);
    const command::bus_index bus =
        of.watches() ? of.watched_bus()
                     : env_.routing.router(client.database()).table().bus_of_key(request.args[1]);
    if (!of.watches()) {
      backend::link* const link = env_.buses.bus(bus).dedicated().borrow(
          backend::purpose::watch, client.protocol(), client.database(), most_links(), env_.turn.now);
      if (link == nullptr) {
        client.refuse(request, no_connection_text(env_, bus));
        return true;
      }
      of.watch_over(*link, bus, client.database(), env_.routing.number());
    }
    const bool selects = of.watching_database() != client.database();
    auto* const op = new watch_operation(env_, client, request, bus, selects);
    client.enqueue(*op);
    backend::pipeline& requests = of.watching_link()->requests;
    base::chunk_queue& out = requests.begin();
    if (selects) append_select(env_, bus, client.database(), out);
    of.set_watching_database(client.database());
    resp::encoder(out).request(request.args);
    requests.end_block(*op, selects ? 2 : 1, env_.turn.now);
    return true;
  }

  exec_environment& env_;
  transaction_pool& transactions_;
  operation::forwarder& forwarder_;
  subscription_hub& hub_;
  command::plan plan_;
  std::map<std::string, carry_out_function> own_;
};

}  // namespace dualbus::operation::test
