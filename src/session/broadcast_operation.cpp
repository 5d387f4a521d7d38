#include "everywhere_operation.hpp"
#include "unblocking.hpp"

#include <dualbus/backend/bus_errors.hpp>
#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/blocking_operation.hpp>
#include <dualbus/session/broadcast_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace dualbus::session {
namespace {

constexpr std::string_view ping = "*1\r\n$4\r\nPING\r\n";

bool kills(const command::command_spec& spec) {
  return spec.route == command::route::scripting;
}

// How long WAIT or WAITAOF waits: its last argument, in milliseconds; 0 for ever, or where Redis will find
// fault with it.
std::chrono::milliseconds wait_time(resp::arguments args) {
  const auto limit = base::parse_int64(args.back());
  return std::chrono::milliseconds(std::max<std::int64_t>(limit.value_or(0), 0));
}

// The fewest replicas (WAITAOF: the fewest of each of its two numbers) that every bus can vouch for. False,
// and nothing is written, if the replies do not go together.
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

}  // namespace

broadcast_operation::broadcast_operation(worker_context& context, session& owner, std::uint16_t command,
                                         std::vector<backend::link*> links)
    : operation(context, owner, command), kills_(kills(command::command_table()[command])) {
  for (backend::link* const l : links) shares_.push_back({l, nullptr, {}, {}});
  owner.hold();
  // The end of a script is answered soon, also to who has closed its half of the connection.
  owner.set_blocked(!kills_);
}

// Redis sets what a client's WAIT waits for behind each of its commands: to everything that its server has
// written by then, whoever wrote it (server.c, processCommand: c->woff = server.master_repl_offset).
void broadcast_operation::send(const request& what) {
  outstanding_ = shares_.size() * (kills_ ? 1 : 2);
  if (!kills_) words_.assign(what.args.begin(), what.args.end());
  for (std::size_t bus = 0; bus < shares_.size(); ++bus) {
    backend::pipeline& requests = shares_[bus].link->requests;
    const auto part = static_cast<std::uint32_t>(2 * bus);
    if (!kills_) {
      requests.begin().append(ping);
      requests.end(*this, part, context_.now);
    }
    resp::encoder(requests.begin()).request(what.args);
    requests.end(*this, part + 1, context_.now);
  }
}

void broadcast_operation::release(std::size_t bus, bool answered) {
  unblocking::give_back(context_, static_cast<command::bus_index>(bus), shares_[bus].link, shares_[bus].told,
                        answered);
}

bool broadcast_operation::unblock(bool with_error) {
  if (kills_ || unblocked_) return false;
  tell_buses(with_error);
  return true;
}

void broadcast_operation::tell_buses(bool with_error) {
  unblocked_ = true;
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    share& s = shares_[i];
    const auto bus = static_cast<command::bus_index>(i);
    if (s.link == nullptr) continue;
    unblocking::start(context_, bus, *s.link, with_error, s.told, [this, i] {
      if (given_up_ || !refusal_.empty()) release(i, false);
    });
  }
}

// With an error, which tells a wait that was ended from one that was over.
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

// The buses have been told.
void broadcast_operation::end_in_time() {
  const auto limit = context_.configuration().backend.request_timeout;
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (limit.count() > 0) give_up_at(context_.now + limit);
}

// Closing a connection ends its requests as failures.
void broadcast_operation::release_all() {
  for (std::size_t bus = 0; bus < shares_.size(); ++bus) release(bus, false);
}

void broadcast_operation::on_reply(std::uint32_t part, const backend::reply_view& answer) {
  if (part % 2 == 1) {
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
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
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
  // Of those that say no, who had no script to end says least.
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
    resp::encoder(reply()).error(failure_text(context_, bus, *decisive->failed));
    return finish(outcome_of(*decisive->failed));
  }
  reply().append(decisive->reply);
  finish(is_error(*decisive) ? metrics::outcome::redis_error : metrics::outcome::ok);
}

void broadcast_operation::give_up_at(base::time_point when) {
  timer_ = context_.timers.add(when, [this] {
    timer_.reset();
    timed_out_ = true;
    release_all();
  });
}

// A command that ends a script is carried out, as any other request. Closing a connection ends its requests
// as failures.
bool broadcast_operation::detach() {
  give_up_wait();
  for (std::size_t bus = 0; bus < shares_.size() && !timer_; ++bus) {
    const backend::link* const link = shares_[bus].link;
    if (kills_ && link != nullptr && link->requests.unsent_bytes() == 0) release(bus, false);
  }
  return false;
}

bool start_broadcast(worker_context& context, session& client, const request& what) {
  if (client.draining()) {
    client.refuse(what.command, failure_text(context, 0, backend::failure::bus_down));
    return true;
  }
  const command::command_spec& spec = command::command_table()[what.command];
  // Earlier requests are to be waited for, or may be the script itself, whose client does not end it.
  if (client.await_replies()) return false;
  // To end a script the database does not matter, and choosing one is what a busy Redis refuses.
  const int database = kills(spec) ? 0 : client.database();
  const std::size_t limit = context.configuration().backend.dedicated_connections;
  std::vector<backend::link*> links;
  for (std::size_t i = 0; i < context.bus_count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    links.push_back(
        context.bus(bus).dedicated().borrow(kills(spec) ? backend::purpose::moment : backend::purpose::wait,
                                            client.protocol(), database, limit, context.now));
    if (links.back() != nullptr) continue;
    for (std::size_t taken = 0; taken < i; ++taken) {
      context.bus(static_cast<command::bus_index>(taken))
          .dedicated()
          .release(*links[taken], true, context.now);
    }
    client.refuse(what.command, no_connection_text(context, bus));
    return true;
  }
  auto* const op = new broadcast_operation(context, client, what.command, std::move(links));
  client.enqueue(*op);
  op->send(what);
  const auto answer_time = context.configuration().backend.request_timeout;
  // Redis hears nothing while a script runs, until busy-reply-threshold; a later repetition is heard.
  const auto own_time = kills(spec) ? std::chrono::milliseconds(0) : wait_time(what.args);
  if ((kills(spec) || own_time.count() > 0) && answer_time.count() > 0)
    op->give_up_at(base::later(base::later(context.now, own_time), answer_time));
  return true;
}

// ------------------------------------------------------------------------------- in a transaction

namespace {

class broadcast_in_transaction final : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    answer(metrics::outcome::ok, [&all](resp::encoder& out, base::chunk_queue& raw) {
      std::vector<std::string_view> replies;
      for (const part& p : all) replies.push_back(p.reply);
      if (!write_least(replies, raw)) out.error(nonsense_text("the buses"));
    });
  }
};

}  // namespace

void start_broadcast_in_transaction(worker_context& context, session& client, const request& what) {
  (new broadcast_in_transaction(context, client, what.command, what.args))->start();
}

}  // namespace dualbus::session
