#include "unblocking.hpp"

#include <dualbus/backend/bus_errors.hpp>
#include <dualbus/base/c_string.hpp>
#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/operation/blocking_operation.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>
#include <new>
#include <utility>

namespace dualbus::operation {

namespace {

command::route route_of(std::uint16_t command) {
  return command::command_table()[command].route;
}

bool is_nil(std::string_view reply) {
  return reply == "*-1\r\n" || reply == "$-1\r\n" || reply == "_\r\n";
}

}  // namespace

bool takes_elements(std::uint16_t command) {
  const command::command_spec& spec = command::command_table()[command];
  return spec.route == command::route::blocking && command::has_flag(spec, 'w') &&
         !command::has_flag(spec, 'm');
}

blocking_operation::blocking_operation(environment& environment, session& owner, routed_request& request,
                                       command::bus_index bus, backend::link& link)
    : request_operation(environment, owner, request),
      bus_(bus),
      script_(route_of(request.command) == command::route::scripting),
      reads_(route_of(request.command) == command::route::xread),
      takes_(takes_elements(request.command)),
      link_(&link) {
  if (script_) return;
  std::vector<std::uint32_t>& positions = request.plan.keys;
  const command::command_spec& spec = command::command_table()[request.command];
  if (!command::find_keys(spec, request.args, positions)) return;
  const bool of_group = spec.has(command::fact::reads_group);
  words_.assign(request.args.begin(), request.args.end());
  keys_ = positions;
  for (const std::uint32_t at : positions) {
    // A consumer's own entries were counted when they were new.
    if (reads_) consumes_ &= !of_group || base::is_word(request.args[at + positions.size()], ">");
  }
}

// A client whose script runs is busy, not blocked.
void blocking_operation::start() {
  owner_->hold();
  if (!script_) owner_->set_blocked(true);
  owner_->enqueue(*this);
}

bool blocking_operation::misplaced() const {
  const command::router& router = env_.routing.router(database_);
  return std::any_of(keys_.begin(), keys_.end(), [&](std::uint32_t at) {
    const std::string& key = words_[at];
    return (reads_ ? router.whole_bus(key) : router.table().bus_of_key(key)) != bus_;
  });
}

std::vector<std::string> blocking_operation::lasting_request() const {
  return words_;
}

// The bus is told, as by CLIENT UNBLOCK: elements that it has taken for the client by then are the answer.
bool blocking_operation::refuse_wait(std::string_view error) {
  if (script_ || link_ == nullptr || given_up_) return false;
  refusal_ = error;
  if (unblocking_ == nullptr) tell_bus(true);
  end_in_time();
  return true;
}

bool blocking_operation::unblock(bool with_error) {
  if (std::exchange(idle_, false)) {
    end_wait();
    with_error ? resp::encoder(reply()).error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
               : resp::encoder(reply(), owner_->protocol()).null_array();
    finish(metrics::outcome::ok);
    return true;
  }
  if (unblocking_ != nullptr || link_ == nullptr) return false;
  tell_bus(with_error);
  return true;
}

void blocking_operation::tell_bus(bool with_error) {
  unblocking::start(env_, bus_, *link_, with_error, unblocking_, [this] {
    told_to_go_ = false;
    if (given_up_ || !refusal_.empty()) release(false);
  });
}

// The error tells a wait that was ended from one that was over.
bool blocking_operation::give_up_wait() {
  if (script_ || link_ == nullptr) return false;
  if (std::exchange(given_up_, true)) return true;
  if (unblocking_ == nullptr) tell_bus(true);
  end_in_time();
  return true;
}

// The bus has been told to end the wait.
void blocking_operation::end_in_time() {
  const auto limit = env_.configuration().backend.request_timeout;
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (limit.count() > 0) give_up_at(env_.turn.now + limit);
}

void blocking_operation::release(bool answered) {
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
  unblocking::give_back(env_, bus_, link_, unblocking_, answered);
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
  if (ended && std::exchange(told_to_go_, false) && owner_ != nullptr && !given_up_ && refusal_.empty()) {
    going_ ? static_cast<void>(idle_ = true) : wait_again();
    return;
  }
  if (answer.is_error()) env_.buses.bus(bus_).note_error(answer.bytes);
  if (takes_ && !answer.is_error() && !is_nil(answer.bytes) && (owner_ == nullptr || owner_->was_reset())) {
    ++env_.metrics.buses[bus_].elements_lost;
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
    owner_->close(metrics::close_reason::memory);  // the client has a part of the reply
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
  resp::encoder(reply()).error(failure_text(env_, bus_, why));
  finish(outcome_of(why));
}

void blocking_operation::give_up_at(base::time_point when) {
  timer_ = env_.turn.timers.add(when, [this] {
    timer_.reset();
    timed_out_ = true;
    release(false);
  });
}

// ------------------------------------------------------------------------------------------- to go elsewhere

// `$` would mean something else later, and a script cannot be stopped.
bool blocking_operation::may_begin_anew() const {
  return !reads_ || std::find(words_.begin(), words_.end(), "$") == words_.end();
}

bool blocking_operation::pack_wait(client::packed_wait& out) {
  if (script_ || words_.empty() || given_up_ || !refusal_.empty() || timed_out_) return false;
  if (!may_begin_anew()) return false;
  if (idle_) {
    out.words = words_left();
    return true;
  }
  going_ = true;
  if (told_to_go_ || unblocking_ != nullptr || link_ == nullptr) return false;
  told_to_go_ = true;
  tell_bus(true);
  return false;
}

// A wait that cannot begin anew ends as if its time were over.
void blocking_operation::follow(command::bus_index bus) {
  if (bus != bus_ || script_ || words_.empty() || timed_out_ || link_ == nullptr || unblocking_ != nullptr)
    return;
  if (!env_.buses.bus(bus_).has_left(*link_)) return;
  told_to_go_ = may_begin_anew();
  tell_bus(told_to_go_);
}

void blocking_operation::unpack_wait() {
  going_ = false;
  if (std::exchange(idle_, false)) wait_again();
}

// Milliseconds behind BLOCK; else seconds, in front of the number of keys or at the end.
std::string& blocking_operation::time_limit(std::vector<std::string>& words) const {
  if (reads_) {
    for (std::size_t i = 1; i + 1 < words.size(); ++i) {
      if (base::is_word(words[i], "block")) return words[i + 1];
    }
  }
  const command::command_spec& spec =
      command::command_table()[static_cast<std::size_t>(command::find_command(words[0]))];
  return spec.keys == command::key_form::numkeys2 ? words[1] : words.back();
}

std::optional<base::duration> blocking_operation::time_left() const {
  std::vector<std::string> words = words_;
  const std::string& text = time_limit(words);
  double limit = 0;
  std::from_chars(text.data(), text.data() + text.size(), limit);
  if (!(limit > 0)) return std::nullopt;
  constexpr double longest_ms = 1e12;
  const auto whole = std::chrono::milliseconds(
      static_cast<std::int64_t>(std::min(reads_ ? limit : limit * 1000, longest_ms)));
  const base::duration left = base::later(arrived(), whole) - env_.turn.now;
  return std::max<base::duration>(left, std::chrono::milliseconds(1));
}

std::vector<std::string> blocking_operation::words_left() const {
  std::vector<std::string> words = words_;
  const auto left = time_left();
  if (!left) return words;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(*left).count();
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%lld.%03lld", static_cast<long long>(ms / 1000),
                static_cast<long long>(ms % 1000));
  time_limit(words) = reads_ ? std::to_string(ms) : seconds;
  return words;
}

void blocking_operation::wait_again() {
  const config::backend_settings& settings = env_.configuration().backend;
  // In place of the connection that it had: that one may count until the order to end the wait is answered.
  constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
  link_ = env_.buses.bus(bus_).dedicated().borrow(backend::purpose::wait, owner_->protocol(), database_,
                                                  no_limit, env_.turn.now);
  const std::vector<std::string> words = words_left();
  const std::vector<std::string_view> views(words.begin(), words.end());
  if (link_ != nullptr && link_->requests.encode([&](auto& out) { resp::encoder(out).request(views); })) {
    link_->requests.end(*this, 0, env_.turn.now);
    const auto left = time_left();
    if (left && settings.request_timeout.count() > 0)
      give_up_at(base::later(env_.turn.now + *left, settings.request_timeout));
    return;
  }
  release(true);
  end_wait();
  resp::encoder(reply()).error(no_connection_text(env_, bus_));
  finish(metrics::outcome::refused);
}

// Closing the connection ends the request as a failure, which destroys this. A script is carried out like any
// other request, even if nobody wants its result any more: so does Redis once it has the script.
bool blocking_operation::detach() {
  if (idle_) return true;
  if (script_ && waits()) release(false);
  give_up_wait();
  return false;
}

}  // namespace dualbus::operation
