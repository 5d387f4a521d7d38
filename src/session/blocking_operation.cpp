#include "unblocking.hpp"

#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/blocking_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/stream_operations.hpp>
#include <dualbus/session/worker_context.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

namespace dualbus::session {

namespace {

// The time that a command waits at most: behind BLOCK in milliseconds for streams; for lists and sorted sets
// in seconds, the first argument of those that say how many keys follow, the last one of the others. 0 for
// ever, or where Redis will find fault with it.
std::chrono::milliseconds block_time(const command::command_spec& spec, resp::arguments args) {
  constexpr double longest = 1e9;
  if (spec.route == command::route::xread) {
    const auto block = stream::parse_read(args).block;
    return block.value_or(std::chrono::milliseconds(0));
  }
  const std::string_view text = spec.keys == command::key_form::numkeys2 ? args[1] : args.back();
  double seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (!(seconds > 0)) return {};
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(seconds, longest) * 1000));
}

command::route route_of(std::uint16_t command) {
  return command::command_table()[command].route;
}

}  // namespace

// A client whose script runs is busy, not blocked.
blocking_operation::blocking_operation(worker_context& context, session& owner, const request& what,
                                       command::bus_index bus, backend::link& link)
    : operation(context, owner, what.command),
      bus_(bus),
      script_(route_of(what.command) == command::route::scripting),
      reads_(route_of(what.command) == command::route::xread),
      link_(&link) {
  owner.hold();
  if (script_) return;
  owner.set_blocked(true);
  std::vector<std::uint32_t>& positions = context.plan.keys;
  if (!command::find_keys(command::command_table()[what.command], what.args, positions)) return;
  const bool of_group = base::equals_ignoring_case(what.args[0], "xreadgroup");
  for (const std::uint32_t at : positions) {
    keys_.emplace_back(what.args[at]);
    // A consumer's own entries have been counted when they were new.
    if (reads_) consumes_ &= !of_group || what.args[at + positions.size()] == ">";
  }
}

bool blocking_operation::misplaced() const {
  const command::router& router = context_.router(database_);
  return std::any_of(keys_.begin(), keys_.end(), [&](const std::string& key) {
    return (reads_ ? router.whole_bus(key) : router.table().bus_of_key(key)) != bus_;
  });
}

bool blocking_operation::unblock(bool with_error) {
  if (unblocking_ != nullptr || link_ == nullptr) return false;
  unblocking::start(context_, bus_, *link_, with_error, unblocking_);
  return true;
}

void blocking_operation::release(bool reusable) {
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (link_ == nullptr) return;
  // An order to unblock that is still on its way must not meet the next one who waits on this connection.
  reusable &= unblocking_ == nullptr;
  if (unblocking_ != nullptr) unblocking_->forget();
  context_.bus(bus_).dedicated().release(*std::exchange(link_, nullptr), reusable, context_.now);
}

// The client's later requests go on.
void blocking_operation::end_wait() {
  owner_->set_blocked(false);
  owner_->release();
}

void blocking_operation::on_reply(std::uint32_t, const backend::reply_view& answer) {
  release(true);
  if (owner_ == nullptr) return destroy();
  end_wait();
  reply().append(answer.bytes);
  if (reads_ && consumes_ && !answer.is_error())
    owner_->engine().messages_consumed += stream::entries_in(answer.bytes);
  finish(answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
}

void blocking_operation::on_failure(std::uint32_t, backend::failure why) {
  release(false);
  if (owner_ == nullptr) return destroy();
  end_wait();
  if (timed_out_) why = backend::failure::bus_timeout;
  resp::encoder(reply()).error(failure_text(context_, bus_, why));
  finish(outcome_of(why));
}

void blocking_operation::give_up_at(base::time_point when) {
  timer_ = context_.timers.add(when, [this] {
    timer_.reset();
    timed_out_ = true;
    release(false);
  });
}

// Closing the connection ends the request as a failure, which destroys this. A script is carried out, as any
// other request, whether or not somebody still wants to hear what it returns: Redis does so once it has it.
bool blocking_operation::detach() {
  if (!script_ || waits()) release(false);
  return false;
}

std::string no_connection_text(const worker_context& context, command::bus_index bus) {
  return "ERR dualbus: all " + std::to_string(context.configuration().backend.dedicated_connections) +
         " connections to bus '" + context.bus_name(bus) +
         "' for blocking requests are in use (backend.dedicated_connections)";
}

bool start_blocking(worker_context& context, session& client, const request& what, command::bus_index bus) {
  const bool script = route_of(what.command) == command::route::scripting;
  // The daemon ends: nobody begins to wait.
  if (client.draining() && !script) {
    client.refuse(what.command, failure_text(context, bus, backend::failure::bus_down));
    return true;
  }
  // Earlier requests travel on the shared connection and would be overtaken.
  if (client.await_replies()) return false;
  const std::size_t limit = context.configuration().backend.dedicated_connections;
  backend::link* const link =
      context.bus(bus).dedicated().borrow(script ? backend::purpose::moment : backend::purpose::wait,
                                          client.protocol(), client.database(), limit, context.now);
  if (link == nullptr && script) {
    forward(context, client, what, bus, false);
    return true;
  }
  if (link == nullptr) {
    const bool reads = route_of(what.command) == command::route::xread;
    if (reads && client.database() == 0 && start_parked_read(context, client, what)) return true;
    client.refuse(what.command, no_connection_text(context, bus));
    return true;
  }
  auto* const op = new blocking_operation(context, client, what, bus, *link);
  client.enqueue(*op);
  resp::encoder(link->requests.begin()).request(what.args);
  link->requests.end(*op, 0, context.now);
  if (script) return true;
  const auto answer_time = context.configuration().backend.request_timeout;
  const auto block = block_time(command::command_table()[what.command], what.args);
  if (block.count() > 0 && answer_time.count() > 0) {
    op->give_up_at(base::later(base::later(context.now, block), answer_time));
  }
  return true;
}

}  // namespace dualbus::session
