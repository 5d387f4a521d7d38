#include "xreadgroup.hpp"

#include <dualbus/client/session.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::handler {

using command::bus_index;
using position = stream::read_request::position;

group_read_operation::group_read_operation(stream_services& services, session& owner, routed_request& request,
                                           stream::read_request read)
    : waiting_read(services, owner, request, std::move(read)),
      rights_(services.rights),
      group_(*request_.group),
      consumer_(request_.consumer),
      sweeps_(keys_.size()) {}

base::task<> group_read_operation::run() {
  if (!request_.error.empty()) {
    co_await answer_fault();
    co_return;
  }
  bool history = false;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    keys_[i].always = request_.keys[i].from != position::fresh;
    history |= keys_[i].always;
  }
  if (one_round_) {
    co_await read_in_exec();
    co_return;
  }
  together_ =
      keys_.size() > 1 && !history && is_whole(keys_[0]) &&
      std::all_of(keys_.begin(), keys_.end(), [this](const key_read& k) { return k.only == keys_[0].only; });
  const bool waits = may_wait() && !history;
  in_order_ = streams_.parking.reads_in_order(version_, database_);
  seen_.resize(keys_.size());
  std::vector<ask> where;
  std::vector<bool> looked(keys_.size(), false);
  bool all = !history;  // every key is looked at now
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].always) continue;
    // Readers that wait already were here first.
    if (waits && streams_.parking.has_queue(keys_[i].name, group_)) {
      all = false;
      continue;
    }
    for (const ask& a : all_of(i)) where.push_back(a);
    looked[i] = true;
  }
  if (may_be_known()) {
    views_.resize(keys_.size());
    spare(where, all);
    if (!spared_.empty() && streams_.polls.strict()) {
      co_await confirm_spared();
      where.insert(where.end(), spared_.begin(), spared_.end());
      spare(where, all);
    }
    count_spared();
    if (where.empty() && all && owner_ != nullptr && (absent_ || !waits)) {
      co_await answer_spared();
      co_return;
    }
  }
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (waits && looked[i]) seen_[i] = streams_.parking.look(keys_[i].name, true);
  }
  co_await sweep(where);
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].always) co_await read_history(i);
  }
  if (!any_found() && answer_first_error()) co_return;
  if (any_found() || !waits || owner_ == nullptr) {
    answer_found();
    co_return;
  }
  // A bus that did not answer properly has not been seen to be empty.
  for (const parking_lot::target& t : failed_) {
    if (!seen_[t.source].empty()) seen_[t.source][t.bus].armed = false;
  }
  co_await wait(park(group_, seen_, deadline()));
}

base::task<> group_read_operation::wait(bool parked) {
  for (;;) {
    if (parked) co_await suspend();
    if (last_event() == event::refused) {
      answer_event();
      co_return;
    }
    if (last_event() != event::wake) {
      answer_nothing();
      co_return;
    }
    if (client_gone()) {
      parked = stay(targets());
      continue;
    }
    absent_.reset();
    std::vector<ask> where;
    for (const parking_lot::target& t : targets()) where.push_back({t.source, t.bus});
    co_await sweep(where);
    if (any_found() || owner_ == nullptr) {
      leave(owner_ != nullptr, ended_);
      answer_found();
      co_return;
    }
    const bool failed =
        std::any_of(sweeps_.begin(), sweeps_.end(), [](const key_sweep& s) { return s.error; });
    if (failed) {
      const std::string_view words = co_await words_of_the_bus();
      leave(false);
      words.empty() ? static_cast<void>(answer_first_error()) : answer_redis_error(words);
      co_return;
    }
    parked = stay(failed_);
  }
}

// Since 7.2 Redis looks again; before, it ended a wait with words of its own (blocked.c,
// unblockDeletedStreamReadgroupClients and serveClientsBlockedOnStreamKey).
base::task<std::string_view> group_read_operation::words_of_the_bus() {
  const auto lost = std::find_if(sweeps_.begin(), sweeps_.end(), [](const key_sweep& s) { return s.error; });
  const key_read& key = keys_[static_cast<std::size_t>(lost - sweeps_.begin())];
  if (!is_whole(key) || !request_.block || !env_.buses.bus(key.only).identity().is_redis_before(7, 2))
    co_return "";
  if (is_no_group(lost->error->reply)) {
    asked_.clear();
    const std::string_view exists[] = {"EXISTS", key.name};
    send(key.only, exists);
    const parts all = co_await round();
    if (all[0].is_error()) co_return "";
    if (all[0].reply == ":1\r\n")
      co_return "NOGROUP the consumer group this client was blocked on no longer exists";
  } else if (!lost->error->reply.starts_with("-WRONGTYPE")) {
    co_return "";
  }
  co_return "UNBLOCKED the stream key no longer exists";
}

bool group_read_operation::may_be_known() const {
  const auto is_short = [this](const key_read& key) {
    return key.name.size() + group_.size() + consumer_.size() <= stream::empty_polls::max_name_bytes;
  };
  return streams_.polls.on() && std::all_of(keys_.begin(), keys_.end(), is_short);
}

bool group_read_operation::any_found() const {
  return std::any_of(keys_.begin(), keys_.end(), [](const key_read& k) { return k.chosen > 0; });
}

void group_read_operation::answer_found() {
  if (owner_ != nullptr && any_found()) owner_->pace().served = env_.turn.now;
  answer_entries();
}

// Redis looks at the keys, one after the other, before it comes to the wrong ID.
base::task<> group_read_operation::answer_fault() {
  if (!request_.faulty_key) {
    answer_refusal(request_.error);
    co_return;
  }
  for (std::size_t i = 0; i <= *request_.faulty_key; ++i) {
    const std::string_view pending[] = {"XPENDING", keys_[i].name, group_};
    send(is_whole(keys_[i]) ? keys_[i].only : anchor(), pending);
  }
  const parts all = co_await round();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].is_error()) continue;
    if (is_no_group(all[i].reply)) {
      answer_refusal(no_group_text(i));
    } else {
      answer_error(all[i]);
    }
    co_return;
  }
  answer_refusal(request_.error);
}

std::string group_read_operation::no_group_text(std::size_t key) const {
  return "NOGROUP No such key '" + in_error(keys_[key].name) + "' or consumer group '" + in_error(group_) +
         "' in XREADGROUP with GROUP option";
}

// -------------------------------------------------------------------------------------------- without a bus

void group_read_operation::spare(std::vector<ask>& where, bool all) {
  spared_.clear();
  absent_.reset();
  std::vector<stream::bus_set> empty(keys_.size(), 0);
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].always) continue;
    views_[i] = streams_.polls.look(keys_[i].name, keys_[i].only, reads_in_order());
    empty[i] = streams_.polls.empty(poll_of(i), views_[i]);
    if (!absent_ && streams_.polls.no_group(poll_of(i), views_[i]) && !makes_group(i)) absent_ = i;
  }
  const auto known = [&](const ask& a) { return absent_ == a.key || (empty[a.key] >> a.bus & 1) != 0; };
  // The entries of other streams come before the error.
  if (!all || !std::all_of(where.begin(), where.end(), known)) absent_.reset();
  for (const ask& a : where) {
    if (known(a)) spared_.push_back(a);
  }
  std::erase_if(where, known);
}

base::task<> group_read_operation::confirm_spared() {
  stream::bus_set buses = 0;
  for (const ask& a : spared_) buses |= stream::bus_set{1} << a.bus;
  streams_.polls.confirm(*this, buses);
  co_await suspend();
}

void group_read_operation::count_spared() {
  for (const ask& a : spared_) {
    const auto why = absent_ == a.key ? metrics::absorption::no_group : metrics::absorption::empty;
    ++env_.metrics.buses[a.bus].polls_absorbed[static_cast<std::size_t>(why)];
  }
}

// A client that spins is answered only after a while, in which new entries are as welcome as in any other
// wait.
base::task<> group_read_operation::answer_spared() {
  if (streams_.polls.is_spinning(*owner_, poll_of(0))) {
    std::vector<parking_lot::sightings> seen;
    for (const poll_absorber::view& v : views_) seen.push_back(v.buses);
    streams_.polls.delay(*this, poll_of(0));
    co_await wait(park(group_, seen, env_.turn.now + env_.configuration().absorb.delay));
    streams_.polls.forget(*this);
    if (last_event() == event::wake) co_return;  // a bus was asked after all
  } else {
    answer_nothing();
  }
  if (owner_ != nullptr) streams_.polls.absorbed(*owner_, poll_of(0));
}

void group_read_operation::answer_nothing() {
  if (!absent_) return answer_nil();
  answer(metrics::outcome::redis_error,
         [this](resp::encoder& out, base::chunk_queue&) { out.error(no_group_text(*absent_)); });
}

void group_read_operation::on_news() {
  if (owner_ != nullptr) owner_->pace().served = env_.turn.now;
  unblock(false);
}

void group_read_operation::on_abandoned() {
  streams_.polls.forget(*this);
  waiting_read::on_abandoned();
}

}  // namespace dualbus::handler
