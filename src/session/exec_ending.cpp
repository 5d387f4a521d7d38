#include "leftovers.hpp"

#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/exec_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <utility>
#include <vector>

// How EXEC ends: what the daemon itself has to do, the reply, and what is given back.
namespace dualbus::session {

void exec_operation::run_postponed() {
  running_commands_ = true;
  for (const postponed_request& p : std::exchange(postponed_, {})) {
    if (owner_ != nullptr && !owner_->closed()) context_.transactions.carry_out_postponed(*owner_, p);
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

void exec_operation::give_back(block& of, bool answered) {
  backend::link* const link = std::exchange(of.link_, nullptr);
  if (link == nullptr) return;
  backend::dedicated_pool& pool = context_.bus(of.bus_).dedicated();
  if (!answered || of.respeaks_) return pool.release(*link, false, context_.now);
  dualbus::session::give_back(
      pool, *link,
      {.watch = of.watches_, .queue = of.stage_ == block::stage::queued, .database = of.reselects_},
      context_.configuration().buses[of.bus_].database, context_.now);
}

// On a connection of its own nothing else looks at the time, which is that of all steps together. One
// that has not answered then is closed, which ends its requests as failures.
void exec_operation::set_deadline() {
  stop_clock();
  const auto limit = context_.configuration().backend.request_timeout;
  for (const auto& b : blocks_) b->answered_ = false;
  if (limit.count() == 0) return;
  timer_ = context_.timers.add(arrived() + limit, [this] {
    timer_.reset();
    if (waiting_) return give_up_waiting();
    timed_out_ = true;
    for (const auto& b : blocks_) {
      if (!b->answered_) give_back(*b, false);
    }
  });
}

void exec_operation::stop_clock() {
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
}

// Readers that wait for a stream that the transaction has added to look behind the entries.
void exec_operation::tell_added(command::bus_index bus) {
  for (const auto& [where, name] : added_) {
    if (where != bus) continue;
    if (const std::uint32_t key = context_.parking().waited_for(name); key != 0)
      context_.parking().added(bus, key);
  }
}

}  // namespace dualbus::session
