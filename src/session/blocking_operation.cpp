#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/blocking_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace dualbus::session {

namespace {

// What follows BLOCK; 0 for ever, or where Redis will find fault with it.
std::chrono::milliseconds block_time(resp::arguments args) {
  constexpr std::int64_t longest = std::int64_t{1} << 40;
  for (std::size_t i = 1; i + 1 < args.size() && !base::equals_ignoring_case(args[i], "streams"); ++i) {
    if (base::equals_ignoring_case(args[i], "group")) {
      i += 2;
    } else if (base::equals_ignoring_case(args[i], "block")) {
      return std::chrono::milliseconds(
          std::clamp<std::int64_t>(base::parse_int64(args[i + 1]).value_or(0), 0, longest));
    }
  }
  return {};
}

}  // namespace

blocking_operation::blocking_operation(worker_context& context, session& owner, std::uint16_t command,
                                       command::bus_index bus, backend::link& link)
    : operation(context, owner, command), bus_(bus), link_(&link) {
  owner.hold();
  owner.set_blocked(true);
}

void blocking_operation::release(bool reusable) {
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (link_ == nullptr) return;
  context_.bus(bus_).dedicated().release(*std::exchange(link_, nullptr), reusable, context_.now);
}

// The client's later requests go on.
void blocking_operation::unblock() {
  owner_->set_blocked(false);
  owner_->release();
}

void blocking_operation::on_reply(std::uint32_t, const backend::reply_view& answer) {
  release(true);
  if (owner_ == nullptr) return destroy();
  unblock();
  reply().append(answer.bytes);
  finish(answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
}

void blocking_operation::on_failure(std::uint32_t, backend::failure why) {
  release(false);
  if (owner_ == nullptr) return destroy();
  unblock();
  if (timed_out_) why = backend::failure::bus_timeout;
  resp::encoder(reply()).error(failure_text(context_, bus_, why));
  finish(outcome_of(why));
}

void blocking_operation::give_up_at(base::time_point when) {
  timer_ = context_.timers.add(when, [this] {
    timer_.reset();
    timed_out_ = true;
    context_.bus(bus_).dedicated().release(*std::exchange(link_, nullptr), false, context_.now);
  });
}

// Closing the connection ends the request as a failure, which destroys this.
bool blocking_operation::detach() {
  release(false);
  return false;
}

bool start_blocking(worker_context& context, session& client, const request& what, command::bus_index bus) {
  // The daemon ends: nobody begins to wait.
  if (client.draining()) {
    client.refuse(what.command, failure_text(context, bus, backend::failure::bus_down));
    return true;
  }
  // Earlier requests travel on the shared connection and would be overtaken.
  if (client.await_replies()) return false;
  const std::size_t limit = context.configuration().backend.dedicated_connections;
  backend::link* const link = context.bus(bus).dedicated().borrow(client.protocol(), limit, context.now);
  if (link == nullptr) {
    client.refuse(what.command, "ERR dualbus: all " + std::to_string(limit) + " connections to bus '" +
                                    context.bus_name(bus) +
                                    "' for blocking requests are in use (backend.dedicated_connections)");
    return true;
  }
  auto* const op = new blocking_operation(context, client, what.command, bus, *link);
  client.enqueue(*op);
  resp::encoder(link->requests.begin()).request(what.args);
  link->requests.end(*op, 0, context.now);
  const auto answer_time = context.configuration().backend.request_timeout;
  if (const auto block = block_time(what.args); block.count() > 0 && answer_time.count() > 0) {
    op->give_up_at(context.now + block + answer_time);
  }
  return true;
}

}  // namespace dualbus::session
