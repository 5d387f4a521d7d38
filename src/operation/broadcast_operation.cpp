#include "unblocking.hpp"

#include <dualbus/backend/bus_errors.hpp>
#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/operation/broadcast_operation.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace dualbus::operation {
namespace {

constexpr std::string_view ping = "*1\r\n$4\r\nPING\r\n";

bool kills(const command::command_spec& spec) {
  return spec.route == command::route::scripting;
}

}  // namespace

bool write_least(const std::vector<std::string_view>& replies, base::chunk_queue& out) {
  std::vector<std::int64_t> least;
  const bool array = replies[0][0] == '*';
  for (const std::string_view reply : replies) {
    resp::reply_reader reader(reply);
    const std::size_t count = array ? reader.next().elements : 1;
    if (least.empty()) least.assign(count, std::numeric_limits<std::int64_t>::max());
    if (least.size() != count) return false;
    for (std::int64_t& number : least) {
      const resp::reply_value value = reader.next();
      if (!value.is_integer()) return false;
      number = std::min(number, value.number);
    }
  }
  resp::encoder encoder(out);
  if (array) encoder.array(least.size());
  for (const std::int64_t number : least) encoder.integer(number);
  return true;
}

broadcast_operation::broadcast_operation(environment& environment, session& owner, routed_request& request,
                                         std::vector<backend::link*> links)
    : request_operation(environment, owner, request),
      kills_(kills(command::command_table()[request.command])) {
  for (backend::link* const l : links) shares_.push_back({l, nullptr, {}, {}, false});
  owner.hold();
  // A bus answers soon about the end of a script, so a client that closed its half is answered, too.
  owner.set_blocked(!kills_);
}

// Behind each command of a client, Redis sets the goal of the client's WAIT: all that the server has written
// by then, for any client (server.c, processCommand: c->woff = server.master_repl_offset).
void broadcast_operation::send(const client::request& request) {
  if (!kills_) words_.assign(request.args.begin(), request.args.end());
  for (; asked_ < shares_.size(); ++asked_) {
    backend::pipeline& requests = shares_[asked_].link->requests;
    const auto part = static_cast<std::uint32_t>(2 * asked_);
    if (!kills_) {
      requests.begin().append(ping);
      requests.end(*this, part, env_.turn.now);
      ++outstanding_;
    }
    resp::encoder(requests.begin()).request(request.args);
    requests.end(*this, part + 1, env_.turn.now);
    ++outstanding_;  // not before: a request that finds no memory has no answer
  }
}

void broadcast_operation::release(std::size_t bus, bool answered) {
  unblocking::give_back(env_, static_cast<command::bus_index>(bus), shares_[bus].link, shares_[bus].told,
                        answered);
}

bool broadcast_operation::unblock(bool with_error) {
  const auto told = [](const share& s) { return s.told != nullptr; };
  if (kills_ || unblocked_ || std::any_of(shares_.begin(), shares_.end(), told)) return false;
  tell_buses(with_error);
  return true;
}

void broadcast_operation::tell_buses(bool with_error) {
  unblocked_ = true;
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    if (shares_[i].link != nullptr && shares_[i].told == nullptr) tell_bus(i, with_error);
  }
}

void broadcast_operation::tell_bus(std::size_t bus, bool with_error) {
  share& s = shares_[bus];
  unblocking::start(env_, static_cast<command::bus_index>(bus), *s.link, with_error, s.told, [this, bus] {
    if (given_up_ || !refusal_.empty()) release(bus, false);
  });
}

void broadcast_operation::follow(command::bus_index bus) {
  share& s = shares_[bus];
  if (kills_ || unblocked_ || timed_out_ || s.link == nullptr || s.told != nullptr) return;
  if (!env_.buses.bus(bus).has_left(*s.link)) return;
  s.follows = true;
  tell_bus(bus, true);
}

std::vector<std::string> broadcast_operation::words_left() const {
  std::vector<std::string> words = words_;
  const std::int64_t limit = base::parse_int64(words.back()).value_or(0);
  if (limit <= 0) return words;
  using std::chrono::milliseconds;
  const base::duration left = base::later(arrived(), milliseconds(limit)) - env_.turn.now;
  words.back() = std::to_string(std::max<std::int64_t>(1, std::chrono::ceil<milliseconds>(left).count()));
  return words;
}

void broadcast_operation::ask_again(std::size_t bus) {
  share& s = shares_[bus];
  s.follows = false;
  s.link = env_.buses.bus(static_cast<command::bus_index>(bus))
               .dedicated()
               .borrow(backend::purpose::wait, owner_->protocol(), database_,
                       std::numeric_limits<std::size_t>::max(), env_.turn.now);
  const std::vector<std::string> words = words_left();
  const std::vector<std::string_view> views(words.begin(), words.end());
  const auto part = static_cast<std::uint32_t>(2 * bus);
  backend::pipeline& requests = s.link->requests;
  if (requests.encode([](auto& out) { out.append(ping); })) {
    requests.end(*this, part, env_.turn.now);
    ++outstanding_;
    if (requests.encode([&views](auto& out) { resp::encoder(out).request(views); })) {
      requests.end(*this, part + 1, env_.turn.now);
      ++outstanding_;
      return;
    }
  }
  s.failed = backend::failure::bus_down;
  release(bus, false);
}

// The error tells a wait that was ended from one that was over.
bool broadcast_operation::give_up_wait() {
  if (kills_) return false;
  if (std::exchange(given_up_, true)) return true;
  if (!unblocked_) tell_buses(true);
  end_in_time();
  return true;
}

std::vector<std::string> broadcast_operation::lasting_request() const {
  return words_;
}

bool broadcast_operation::refuse_wait(std::string_view error) {
  if (kills_ || given_up_) return false;
  refusal_ = error;
  if (!unblocked_) tell_buses(true);
  end_in_time();
  return true;
}

// The buses have been told to end the wait.
void broadcast_operation::end_in_time() {
  const auto limit = env_.configuration().backend.request_timeout;
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (limit.count() > 0) give_up_at(env_.turn.now + limit);
}

// Closing a connection ends its requests as failures.
void broadcast_operation::release_all() {
  for (std::size_t bus = 0; bus < shares_.size(); ++bus) release(bus, false);
}

void broadcast_operation::on_reply(std::uint32_t part, const backend::reply_view& answer) {
  if (part % 2 == 1) {
    const bool follows = shares_[part / 2].follows && owner_ != nullptr && !given_up_ && refusal_.empty();
    if (follows && answer.bytes.starts_with("-UNBLOCKED ")) {
      release(part / 2, true);
      ask_again(part / 2);
      return count_down();
    }
    shares_[part / 2].reply.assign(answer.bytes);
    release(part / 2, !backend::ends_connection(answer.bytes));
  }
  count_down();
}

void broadcast_operation::on_failure(std::uint32_t part, backend::failure why) {
  shares_[part / 2].failed = timed_out_ ? backend::failure::bus_timeout : why;
  release(part / 2, false);
  count_down();
}

void broadcast_operation::count_down() {
  if (--outstanding_ > 0) return;
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (owner_ == nullptr) return destroy();
  owner_->set_blocked(false);
  owner_->release();
  const bool ended = std::any_of(shares_.begin(), shares_.end(), [](const share& s) {
    return s.failed || s.reply.starts_with("-UNBLOCKED ");
  });
  if (ended && given_up_) {
    owner_->drop_wait(*this);
    return finish(metrics::outcome::ok);
  }
  if (!ended || refusal_.empty()) return conclude();
  resp::encoder(reply()).error(refusal_);
  finish(metrics::outcome::refused);
}

void broadcast_operation::conclude() {
  const auto is_error = [](const share& p) { return p.failed || p.reply[0] == '-'; };
  // The error of a bus without a script to end says least.
  const auto rank = [&](const share& p) {
    if (!is_error(p)) return 3;
    return p.failed ? 1 : p.reply.starts_with("-NOTBUSY") ? 0 : 2;
  };
  const auto best = std::max_element(shares_.begin(), shares_.end(),
                                     [&](const share& a, const share& b) { return rank(a) < rank(b); });
  const auto worst = std::find_if(shares_.begin(), shares_.end(), is_error);
  const auto decisive = kills_ ? best : worst;
  if (decisive == shares_.end()) {
    std::vector<std::string_view> replies;
    for (const share& p : shares_) replies.push_back(p.reply);
    if (write_least(replies, reply())) return finish(metrics::outcome::ok);
    resp::encoder(reply()).error(nonsense_text("the buses"));
    return finish(metrics::outcome::refused);
  }
  if (decisive->failed) {
    const auto bus = static_cast<command::bus_index>(decisive - shares_.begin());
    resp::encoder(reply()).error(failure_text(env_, bus, *decisive->failed));
    return finish(outcome_of(*decisive->failed));
  }
  reply().append(decisive->reply);
  finish(is_error(*decisive) ? metrics::outcome::redis_error : metrics::outcome::ok);
}

void broadcast_operation::give_up_at(base::time_point when) {
  timer_ = env_.turn.timers.add(when, [this] {
    timer_.reset();
    timed_out_ = true;
    release_all();
  });
}

// A command that ends a script is carried out like any other request. Closing a connection ends its requests
// as failures. When memory ran out while the request was sent, the buses behind have not got it.
bool broadcast_operation::detach() {
  for (; asked_ < shares_.size(); ++asked_) release(asked_, false);
  if (outstanding_ == 0) return true;
  give_up_wait();
  for (std::size_t bus = 0; bus < shares_.size() && !timer_; ++bus) {
    const backend::link* const link = shares_[bus].link;
    if (kills_ && link != nullptr && link->requests.unsent_bytes() == 0) release(bus, false);
  }
  return false;
}

}  // namespace dualbus::operation
