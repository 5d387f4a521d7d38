#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/blocking_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/transaction.hpp>
#include <dualbus/session/watch_operation.hpp>
#include <dualbus/session/worker_context.hpp>

#include <utility>

namespace dualbus::session {

watch_operation::watch_operation(worker_context& context, session& owner, std::uint16_t command,
                                 command::bus_index bus, bool selects)
    : operation(context, owner, command), bus_(bus), selects_(selects) {
  owner.hold();
  const auto limit = context.configuration().backend.request_timeout;
  if (limit.count() == 0) return;
  timer_ = context.timers.add(context.now + limit, [this] {
    timer_.reset();
    timed_out_ = true;
    if (owner_ != nullptr) owner_->current_transaction()->lose_watch();
  });
}

watch_operation::~watch_operation() {
  stop_clock();
}

void watch_operation::stop_clock() {
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
}

void watch_operation::on_reply(std::uint32_t part, const backend::reply_view& answer) {
  if (selects_ && part == 0) {
    if (owner_ != nullptr && answer.is_error()) error_ = answer.bytes;
    return;
  }
  stop_clock();
  if (owner_ == nullptr) return destroy();
  transaction* const what = owner_->current_transaction();
  if (!error_.empty()) {
    what->lose_watch();  // it would watch keys of the database before
  } else if (!answer.is_error() && what->watches()) {
    what->watching();
  }
  owner_->release();
  const bool failed = !error_.empty() || answer.is_error();
  reply().append(error_.empty() ? answer.bytes : error_);
  finish(failed ? metrics::outcome::redis_error : metrics::outcome::ok);
}

void watch_operation::on_failure(std::uint32_t, backend::failure why) {
  stop_clock();
  if (owner_ == nullptr) return destroy();
  if (timed_out_) why = backend::failure::bus_timeout;
  owner_->current_transaction()->lose_watch();
  owner_->release();
  resp::encoder(reply()).error(failure_text(context_, bus_, why));
  finish(outcome_of(why));
}

bool start_watch(worker_context& context, session& client, const request& what) {
  // Earlier requests travel on the shared connection and would be overtaken.
  if (client.await_replies()) return false;
  const command::routing_table& table = context.router(client.database()).table();
  transaction& of = client.open_transaction();
  const command::bus_index bus = of.watches() ? of.watched_bus() : table.bus_of_key(what.args[1]);
  for (const std::string_view key : what.args.subspan(1)) {
    if (table.bus_of_key(key) == bus) continue;
    client.refuse(what.command,
                  "CROSSBUS command 'WATCH' has keys on different buses and cannot be split: pin them to one "
                  "bus with routing.keys");
    return true;
  }
  if (!of.watches()) {
    const std::size_t limit = context.configuration().backend.dedicated_connections;
    backend::link* const link = context.bus(bus).dedicated().borrow(
        backend::purpose::watch, client.protocol(), client.database(), limit, context.now);
    if (link == nullptr) {
      client.refuse(what.command, no_connection_text(context, bus));
      return true;
    }
    of.watch_over(*link, bus, client.database(), context.routing_number());
  }
  const bool selects = of.watching_database() != client.database();
  auto* const op = new watch_operation(context, client, what.command, bus, selects);
  client.enqueue(*op);
  backend::pipeline& requests = of.watching_link()->requests;
  base::chunk_queue& out = requests.begin();
  if (selects) append_select(context, bus, client.database(), out);
  of.set_watching_database(client.database());
  resp::encoder(out).request(what.args);
  requests.end_block(*op, selects ? 2 : 1, context.now);
  return true;
}

}  // namespace dualbus::session
