#include <dualbus/client/session.hpp>
#include <dualbus/operation/exec_operation.hpp>
#include <dualbus/operation/forwarding.hpp>
#include <dualbus/operation/leftovers.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <new>
#include <string>
#include <utility>
#include <vector>

// The end of EXEC: the requests that the daemon answers itself, the reply, and the links given back; and what
// is confirmed before.
namespace dualbus::operation {

void exec_operation::run_postponed() {
  running_commands_ = true;
  for (const postponed_request& p : std::exchange(postponed_, {})) {
    if (owner_ != nullptr && !owner_->closed()) exec_.stage.carry_out_postponed(*owner_, p);
  }
  running_commands_ = false;
}

void exec_operation::conclude() {
  stop_clock();
  if (owner_ != nullptr) run_postponed();
  const std::vector<absent_request> absent = std::move(absent_);
  if (owner_ == nullptr) {
    destroy();
  } else {
    resp::encoder(reply()).array(count_);
    owner_->release_behind_exec();
    finish(metrics::outcome::ok);
  }
  for (const absent_request& a : absent) a.request.sink->on_reply(a.request.part, {a.reply, a.reply[0], {}});
}

void exec_operation::answer_plain(const backend::reply_view& answer, std::string_view doubt) {
  if (owner_ == nullptr) return destroy();
  try {
    write_plain(answer, doubt);
  } catch (const std::bad_alloc&) {
    owner_->close(metrics::close_reason::memory);  // the client has a part of the reply
    return destroy();
  }
  finish(metrics::outcome::ok);
}

void exec_operation::write_plain(const backend::reply_view& answer, std::string_view doubt) {
  const command::bus_index bus = plain_->bus();
  metrics::engine_counters& engine = owner_->engine();
  engine.bus_time += answer.bus_time;
  env_.times.add(bus, arrived() + answer.held, answer.bus_time);
  base::chunk_queue& out = reply();
  resp::encoder(out).array(count_);
  resp::reply_reader reader(answer.bytes);
  bool translated = reader.next().elements != count_;  // no more than was asked for
  const std::string_view elements = reader.rest();
  translated |= !doubt.empty();
  for (const transaction::plain_request& p : plain_->plain()) translated |= p.translates;
  if (!translated) out.append(elements);
  for (const transaction::plain_request& p : plain_->plain()) {
    const std::string_view element = reader.skip();
    const bool failed = element[0] == '-' || element[0] == '!';
    metrics::outcome result = failed ? metrics::outcome::redis_error : metrics::outcome::ok;
    if (p.adds && element[0] == '$' && element[1] != '-') ++engine.messages_published;
    if (!doubt.empty() && p.confirm && !failed) {
      const std::string id = p.adds ? added_id(env_, bus, element, p.translates) : std::string();
      resp::encoder(out).error(unconfirmed_text(env_.buses.name(bus), element, id, doubt));
      result = metrics::outcome::unconfirmed;
    } else if (translated && p.translates) {
      result = append_added(env_, bus, element, out);
    } else if (translated) {
      out.append(element);
    }
    owner_->count(p.command, result);
  }
}

void exec_operation::give_back(block& of, bool answered) {
  backend::link* const link = std::exchange(of.link_, nullptr);
  if (link == nullptr) return;
  backend::dedicated_pool& pool = env_.buses.bus(of.bus_).dedicated();
  if (!answered || of.respeaks_) return pool.release(*link, false, env_.turn.now);
  operation::give_back(
      pool, *link,
      {.watch = of.watches_, .queue = of.stage_ == block::stage::queued, .database = of.reselects_},
      env_.configuration().buses[of.bus_].database, env_.turn.now);
}

// Nothing else watches the time on borrowed connections; it covers all steps together. A connection that has
// not answered by then is closed, which ends its requests as failures.
void exec_operation::set_deadline() {
  stop_clock();
  const auto limit = env_.configuration().backend.request_timeout;
  for (const auto& b : blocks_) b->answered_ = false;
  if (limit.count() == 0) return;
  timer_ = env_.turn.timers.add(arrived() + limit, [this] {
    timer_.reset();
    if (waiting_) return give_up_waiting();
    timed_out_ = true;
    for (const auto& b : blocks_) {
      if (!b->answered_) give_back(*b, false);
    }
  });
}

void exec_operation::stop_clock() {
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
}

// If the transaction has added to a stream, readers that wait for the stream look again behind the entries.
void exec_operation::tell_added(command::bus_index bus) {
  for (const auto& [where, name] : added_) {
    if (where != bus) continue;
    if (const std::uint32_t key = exec_.parking.waited_for(name); key != 0)
      exec_.parking.added(bus, key, false);
  }
}

// ------------------------------------------------------------------------- writes that are to be confirmed

backend::write_group& exec_operation::writes_of(block& part) {
  part.writes_ = std::make_unique<backend::write_group>(env_.metrics.buses[part.bus_]);
  return *part.writes_;
}

bool exec_operation::confirms_all(command::bus_index bus) const {
  return env_.routing.router(database_).table().confirms_all(bus);
}

bool exec_operation::may_be_overtaken(command::bus_index) const {
  return !durably_;
}

void exec_operation::block::on_answered(std::uint32_t) {
  if (std::exchange(on_durable_link_, false)) durable_writes::answered(exec_.owner_, bus_);
}

void exec_operation::block::on_unconfirmed(std::uint32_t, const backend::reply_view& reply,
                                           std::string_view why) {
  exec_.executed(*this, reply, why);
}

}  // namespace dualbus::operation
