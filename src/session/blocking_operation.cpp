#include "unblocking.hpp"

#include <dualbus/backend/bus_errors.hpp>
#include <dualbus/base/c_string.hpp>
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
#include <new>
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

// The pops, which write and take no memory. Those that move an element do, and reads of streams only read, or
// leave entries pending.
bool takes_elements(std::uint16_t command) {
  const command::command_spec& spec = command::command_table()[command];
  return spec.route == command::route::blocking && command::has_flag(spec, 'w') &&
         !command::has_flag(spec, 'm');
}

bool is_nil(std::string_view reply) {
  return reply == "*-1\r\n" || reply == "$-1\r\n" || reply == "_\r\n";
}

}  // namespace

// A client whose script runs is busy, not blocked.
blocking_operation::blocking_operation(worker_context& context, session& owner, const request& what,
                                       command::bus_index bus, backend::link& link)
    : operation(context, owner, what.command),
      bus_(bus),
      script_(route_of(what.command) == command::route::scripting),
      reads_(route_of(what.command) == command::route::xread),
      takes_(takes_elements(what.command)),
      link_(&link) {
  owner.hold();
  if (script_) return;
  owner.set_blocked(true);
  std::vector<std::uint32_t>& positions = context.plan.keys;
  if (!command::find_keys(command::command_table()[what.command], what.args, positions)) return;
  const bool of_group = base::equals_ignoring_case(what.args[0], "xreadgroup");
  words_.assign(what.args.begin(), what.args.end());
  keys_ = positions;
  for (const std::uint32_t at : positions) {
    // A consumer's own entries have been counted when they were new.
    if (reads_) consumes_ &= !of_group || base::is_word(what.args[at + positions.size()], ">");
  }
}

bool blocking_operation::misplaced() const {
  const command::router& router = context_.router(database_);
  return std::any_of(keys_.begin(), keys_.end(), [&](std::uint32_t at) {
    const std::string& key = words_[at];
    return (reads_ ? router.whole_bus(key) : router.table().bus_of_key(key)) != bus_;
  });
}

std::vector<std::string> blocking_operation::lasting_request() const {
  return words_;
}

// The bus is asked, as by CLIENT UNBLOCK: what it has taken for the client by then is answered.
bool blocking_operation::refuse_wait(std::string_view error) {
  if (script_ || link_ == nullptr || given_up_) return false;
  refusal_ = error;
  if (unblocking_ == nullptr) tell_bus(true);
  end_in_time();
  return true;
}

bool blocking_operation::unblock(bool with_error) {
  if (unblocking_ != nullptr || link_ == nullptr) return false;
  tell_bus(with_error);
  return true;
}

void blocking_operation::tell_bus(bool with_error) {
  unblocking::start(context_, bus_, *link_, with_error, unblocking_, [this] {
    if (given_up_ || !refusal_.empty()) release(false);
  });
}

// With an error, which tells a wait that was ended from one that was over.
bool blocking_operation::give_up_wait() {
  if (script_ || link_ == nullptr) return false;
  if (std::exchange(given_up_, true)) return true;
  if (unblocking_ == nullptr) tell_bus(true);
  end_in_time();
  return true;
}

// The bus has been told.
void blocking_operation::end_in_time() {
  const auto limit = context_.configuration().backend.request_timeout;
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (limit.count() > 0) give_up_at(context_.now + limit);
}

void blocking_operation::release(bool answered) {
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
  unblocking::give_back(context_, bus_, link_, unblocking_, answered);
}

// The bus has nothing for a client that has gone.
void blocking_operation::drop_wait() {
  owner_->drop_wait(*this);
  finish(metrics::outcome::ok);
}

// The client's later requests go on.
void blocking_operation::end_wait() {
  owner_->set_blocked(false);
  owner_->release();
}

void blocking_operation::on_reply(std::uint32_t, const backend::reply_view& answer) {
  const bool ended = answer.bytes.starts_with("-UNBLOCKED ");
  release(!backend::ends_connection(answer.bytes));
  if (answer.is_error()) context_.bus(bus_).note_error(answer.bytes);
  if (takes_ && !answer.is_error() && !is_nil(answer.bytes) && (owner_ == nullptr || owner_->was_reset())) {
    ++context_.metrics.buses[bus_].elements_lost;
  }
  if (owner_ == nullptr) return destroy();
  end_wait();
  if (ended && given_up_) return drop_wait();
  if (ended && !refusal_.empty()) {
    resp::encoder(reply()).error(refusal_);
    return finish(metrics::outcome::refused);
  }
  try {
    reply().append(answer.bytes);
  } catch (const std::bad_alloc&) {
    owner_->close(metrics::close_reason::memory);  // it has a part of the reply
    return destroy();
  }
  if (reads_ && consumes_ && !answer.is_error())
    owner_->engine().messages_consumed += stream::entries_in(answer.bytes);
  finish(answer.is_error() ? metrics::outcome::redis_error : metrics::outcome::ok);
}

void blocking_operation::on_failure(std::uint32_t, backend::failure why) {
  release(false);
  if (owner_ == nullptr) return destroy();
  end_wait();
  if (given_up_) return drop_wait();
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
  if (script_ && waits()) release(false);
  give_up_wait();
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
  // Nobody would get the element. As if there were none: the client has gone while it waited.
  if (takes_elements(what.command) && client.was_reset()) {
    client.end_input(metrics::close_reason::client);
    return true;
  }
  const std::size_t limit = context.configuration().backend.dedicated_connections;
  backend::link* const link = context.bus(bus).dedicated().borrow(backend::purpose::wait, client.protocol(),
                                                                  client.database(), limit, context.now);
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
  if (!link->requests.encode([&](auto& out) { resp::encoder(out).request(what.args); })) {
    context.bus(bus).dedicated().release(*link, true, context.now);
    refuse_without_memory(context, client, what.command);
    return true;
  }
  auto* const op = new blocking_operation(context, client, what, bus, *link);
  client.enqueue(*op);
  link->requests.end(*op, 0, context.now);
  const auto answer_time = context.configuration().backend.request_timeout;
  const auto block =
      script ? std::chrono::milliseconds(0) : block_time(command::command_table()[what.command], what.args);
  if ((script || block.count() > 0) && answer_time.count() > 0) {
    op->give_up_at(base::later(base::later(context.now, block), answer_time));
  }
  return true;
}

}  // namespace dualbus::session
