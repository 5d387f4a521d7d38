#include "reads.hpp"

#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/waiting_read.hpp>
#include <dualbus/session/worker_context.hpp>
#include <dualbus/stream/bounds.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace dualbus::session {
namespace {

using command::bus_index;
using position = stream::read_request::position;

/// XREADGROUP. New entries are swept from one bus after the other, or wait for in the parking; the consumer's
/// own pending ones come merged from all buses.
class group_read_operation final : public waiting_read {
 public:
  group_read_operation(worker_context& context, session& owner, std::uint16_t command,
                       stream::read_request what)
      : waiting_read(context, owner, command, std::move(what)),
        group_(*request_.group),
        consumer_(request_.consumer),
        sweeps_(keys_.size()) {}

 protected:
  base::task<> run() override;
  bool take_reply(std::uint32_t index, std::string_view reply) override;

 private:
  struct ask {
    std::size_t key;
    bus_index bus;
  };
  /// One key's part of a sweep.
  struct key_sweep {
    std::vector<bus_index> left;     // still to be asked
    std::vector<bus_index> missing;  // active buses without the group
    std::uint64_t taken = 0;
    bool answered = false;      // by any bus
    std::optional<part> error;  // the first
    std::optional<part> down;   // the first bus that could not be asked
  };

  base::task<> answer_fault();
  base::task<> sweep(const std::vector<ask>& where);
  base::task<> sweep_left();
  base::task<> heal_missing(std::size_t key);
  base::task<> read_history(std::size_t key);
  base::task<> wait(const std::vector<parking_lot::sightings>& seen);

  std::vector<ask> all_of(std::size_t key) const;
  void order(std::vector<bus_index>& buses) const;
  void send_read(std::size_t key, bus_index bus, std::string_view id, std::uint64_t count);
  void judge(const ask& asked, const part& answer);
  void note_error(std::size_t key, const part& answer);
  bool answer_first_error();
  bool is_draining(bus_index bus) const { return context_.router().table().bus(bus).draining; }

  std::string_view group_, consumer_;
  std::vector<key_sweep> sweeps_;  // by key
  std::vector<ask> asked_;         // by part of the present round, as far as entries are expected
  std::vector<parking_lot::target> failed_;
};

bool is_no_group(const std::string& reply) {
  return reply.starts_with("-NOGROUP");
}

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
  const bool waits = may_wait() && !history;
  std::vector<parking_lot::sightings> seen(keys_.size());
  std::vector<ask> where;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].always) continue;
    // Those who wait already were here first.
    if (waits && context_.parking().has_queue(keys_[i].name, group_)) continue;
    if (waits) seen[i] = context_.parking().look(keys_[i].name);
    for (const ask& a : all_of(i)) where.push_back(a);
  }
  co_await sweep(where);
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].always) co_await read_history(i);
  }
  const bool found = std::any_of(keys_.begin(), keys_.end(), [](const key_read& k) { return k.chosen > 0; });
  if (!found && answer_first_error()) co_return;
  if (found || !waits || owner_ == nullptr) {
    answer_entries();
    co_return;
  }
  // What did not answer properly has not been seen to be empty.
  for (const parking_lot::target& t : failed_) {
    if (!seen[t.source].empty()) seen[t.source][t.bus].armed = false;
  }
  co_await wait(seen);
}

base::task<> group_read_operation::wait(const std::vector<parking_lot::sightings>& seen) {
  park(group_, seen);
  for (;;) {
    co_await suspend();
    if (last_event() != event::wake) {
      answer_event();
      co_return;
    }
    if (client_gone()) {
      leave(false);
      answer_nil();
      co_return;
    }
    std::vector<ask> where;
    for (const parking_lot::target& t : targets()) where.push_back({t.source, t.bus});
    co_await sweep(where);
    const bool found =
        std::any_of(keys_.begin(), keys_.end(), [](const key_read& k) { return k.chosen > 0; });
    if (found || owner_ == nullptr) {
      leave(owner_ != nullptr);
      answer_entries();
      co_return;
    }
    const bool failed =
        std::any_of(sweeps_.begin(), sweeps_.end(), [](const key_sweep& s) { return s.error; });
    if (failed) {
      leave(false);
      answer_first_error();
      co_return;
    }
    stay(failed_);
  }
}

// Redis looks at the keys, one after the other, before it comes to the ID that is wrong.
base::task<> group_read_operation::answer_fault() {
  if (!request_.faulty_key) {
    answer_refusal(request_.error);
    co_return;
  }
  for (std::size_t i = 0; i <= *request_.faulty_key; ++i) {
    const std::string_view pending[] = {"XPENDING", keys_[i].name, group_};
    send(is_whole(keys_[i]) ? keys_[i].only : context_.router().table().rules().anchor, pending);
  }
  const parts all = co_await round();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].is_error()) continue;
    if (is_no_group(all[i].reply)) {
      answer_refusal("NOGROUP No such key '" + std::string(keys_[i].name) + "' or consumer group '" +
                     std::string(group_) + "' in XREADGROUP with GROUP option");
    } else {
      answer_error(all[i]);
    }
    co_return;
  }
  answer_refusal(request_.error);
}

// ---------------------------------------------------------------------------------------------- new entries

std::vector<group_read_operation::ask> group_read_operation::all_of(std::size_t key) const {
  std::vector<ask> result;
  for (std::size_t bus = 0; bus < context_.bus_count(); ++bus) {
    const auto index = static_cast<bus_index>(bus);
    if (has(keys_[key], index)) result.push_back({key, index});
  }
  return result;
}

// Old messages first; among the others no bus is always the last to be asked.
void group_read_operation::order(std::vector<bus_index>& buses) const {
  const auto active =
      std::stable_partition(buses.begin(), buses.end(), [this](bus_index bus) { return is_draining(bus); });
  const auto count = buses.end() - active;
  if (count > 1) std::rotate(active, active + context_.next_rotation() % count, buses.end());
}

base::task<> group_read_operation::sweep(const std::vector<ask>& where) {
  failed_.clear();
  sweeps_.assign(keys_.size(), {});
  for (const ask& a : where) {
    if (context_.parking().usable(a.bus)) {
      sweeps_[a.key].left.push_back(a.bus);
    } else {
      failed_.push_back({static_cast<std::uint32_t>(a.key), a.bus});
    }
  }
  // When no bus can be counted on, they are asked all the same: the request waits for them a while.
  if (failed_.size() == where.size() && last_event() == event::wake && targets().empty()) {
    for (const ask& a : where) sweeps_[a.key].left.push_back(a.bus);
    failed_.clear();
  }
  for (key_sweep& s : sweeps_) order(s.left);
  co_await sweep_left();
  for (std::size_t key = 0; key < keys_.size(); ++key) {
    if (sweeps_[key].missing.empty()) continue;
    co_await heal_missing(key);
  }
  co_await sweep_left();
  for (std::size_t key = 0; key < keys_.size(); ++key) {
    if (!keys_[key].always) keys_[key].chosen = keys_[key].found.cut(0);
  }
}

// With COUNT one bus after the other, so that never more is taken than was asked for.
base::task<> group_read_operation::sweep_left() {
  for (;;) {
    asked_.clear();
    for (std::size_t key = 0; key < keys_.size(); ++key) {
      key_sweep& s = sweeps_[key];
      while (!s.left.empty() && (request_.count == 0 || s.taken < request_.count)) {
        const bus_index bus = s.left.front();
        s.left.erase(s.left.begin());
        asked_.push_back({key, bus});
        send_read(key, bus, ">", request_.count - s.taken);
        if (request_.count != 0) break;
      }
    }
    if (asked_.empty()) co_return;
    const parts all = co_await round();
    for (std::size_t i = 0; i < all.size(); ++i) judge(asked_[i], all[i]);
  }
}

void group_read_operation::send_read(std::size_t key, bus_index bus, std::string_view id,
                                     std::uint64_t count) {
  std::vector<std::string_view> args = {"XREADGROUP", "GROUP", group_, consumer_};
  const std::string limit = std::to_string(count);
  if (request_.count != 0) args.insert(args.end(), {"COUNT", limit});
  if (request_.no_ack) args.push_back("NOACK");
  args.insert(args.end(), {"STREAMS", keys_[key].name, id});
  send(bus, args);
}

bool group_read_operation::take_reply(std::uint32_t index, std::string_view reply) {
  if (index >= asked_.size()) return false;
  const ask& asked = asked_[index];
  sweeps_[asked.key].taken += add_entries(keys_[asked.key], asked.bus, reply);
  return true;
}

void group_read_operation::judge(const ask& asked, const part& answer) {
  key_sweep& s = sweeps_[asked.key];
  if (!answer.is_error()) {
    s.answered = true;
  } else if (answer.failed == backend::failure::bus_down || is_unavailable(answer.reply)) {
    failed_.push_back({static_cast<std::uint32_t>(asked.key), asked.bus});
    if (!s.down) s.down = answer;
  } else if (!is_no_group(answer.reply) || is_whole(keys_[asked.key])) {
    note_error(asked.key, answer);
  } else if (!is_draining(asked.bus)) {
    s.missing.push_back(asked.bus);
  }
}

void group_read_operation::note_error(std::size_t key, const part& answer) {
  if (!sweeps_[key].error) sweeps_[key].error = answer;
}

base::task<> group_read_operation::heal_missing(std::size_t key) {
  std::vector<bus_index> missing = std::exchange(sweeps_[key].missing, {});
  const healing healed = co_await heal(keys_[key].name, group_, missing);
  if (healed.problem) {
    note_error(key, *healed.problem);
  } else if (healed.exists) {
    sweeps_[key].left = missing;
  } else {
    part absent{missing.front(), {}, {}};
    absent.reply = "-NOGROUP No such key '" + std::string(keys_[key].name) + "' or consumer group '" +
                   std::string(group_) + "' in XREADGROUP with GROUP option\r\n";
    note_error(key, absent);
  }
}

bool group_read_operation::answer_first_error() {
  for (const key_sweep& s : sweeps_) {
    if (s.error) {
      answer_error(*s.error);
      return true;
    }
    if (s.down && !s.answered) {
      answer_error(*s.down);
      return true;
    }
  }
  return false;
}

// ---------------------------------------------------------------------------------------------- own entries

base::task<> group_read_operation::read_history(std::size_t key) {
  key_read& read = keys_[key];
  const stream::client_id after = request_.keys[key].id;
  std::vector<ask> buses = all_of(key);
  std::vector<std::uint64_t> counts(buses.size(), 0);  // 0 here: not to be asked
  std::optional<stream::client_id> last;
  if (request_.count != 0 && !is_whole(read) && buses.size() > 1) {
    // Which entries will be read is known before any is, so that each read counts as one delivery.
    asked_.clear();
    const stream::bound<stream::client_id> from{after, true};
    const std::string count = std::to_string(request_.count);
    std::vector<std::size_t> asked;
    for (std::size_t i = 0; i < buses.size(); ++i) {
      const auto start = stream::start_on(context_.slot_of(buses[i].bus), from);
      if (!start) continue;
      const std::string first = stream::to_string(*start);
      const std::string_view pending[] = {"XPENDING", read.name, group_, first, "+", count, consumer_};
      send(buses[i].bus, pending);
      asked.push_back(i);
    }
    const parts all = co_await round();
    std::vector<std::pair<stream::client_id, std::size_t>> candidates;
    for (std::size_t j = 0; j < all.size(); ++j) {
      const bus_index bus = buses[asked[j]].bus;
      const bool absent = is_no_group(all[j].reply);
      if (all[j].is_error() && !(absent && bus != context_.router().table().rules().anchor)) {
        // Nobody but the anchor can say that there is no group; it does so below, in the words of a read.
        if (!absent) {
          note_error(key, all[j]);
          co_return;
        }
        continue;
      }
      if (absent) continue;
      resp::reply_reader reader(all[j].reply);
      for (std::int64_t left = reader.next().number; left > 0; --left) {
        resp::reply_reader entry(reader.skip());
        entry.next();
        if (const auto id = stream::parse_id(entry.next().text, 0)) {
          candidates.push_back({stream::to_client({id->ms, id->seq}, context_.slot_of(bus)), asked[j]});
        }
      }
    }
    std::sort(candidates.begin(), candidates.end());
    if (candidates.size() > request_.count) candidates.resize(request_.count);
    for (const auto& [id, bus] : candidates) ++counts[bus];
    if (!candidates.empty()) last = candidates.back().first;
  } else {
    std::fill(counts.begin(), counts.end(), std::max<std::uint64_t>(request_.count, 1));
  }
  if (std::all_of(counts.begin(), counts.end(), [](std::uint64_t n) { return n == 0; })) {
    const bus_index anchor = context_.router().table().rules().anchor;
    for (std::size_t i = 0; i < buses.size(); ++i) {
      if (buses[i].bus == anchor) counts[i] = request_.count;
    }
  }
  asked_.clear();
  for (std::size_t i = 0; i < buses.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::string id =
        stream::to_string(is_whole(read) ? stream::bus_id{after.ms, after.seq}
                                         : stream::after_on(context_.slot_of(buses[i].bus), after));
    asked_.push_back(buses[i]);
    send_read(key, buses[i].bus, id, counts[i]);
  }
  const parts all = co_await round();
  const bus_index anchor = context_.router().table().rules().anchor;
  const bool elsewhere =
      std::any_of(all.begin(), all.end(), [&](const part& p) { return is_draining(p.bus) && !p.is_error(); });
  for (const part& p : all) {
    if (!p.is_error()) continue;
    const bool absent = is_no_group(p.reply) && !is_whole(read);
    if (!absent || (p.bus == anchor && !elsewhere)) note_error(key, p);
  }
  asked_.clear();
  const bool down = std::any_of(all.begin(), all.end(), [](const part& p) {
    return p.failed == backend::failure::bus_down || is_unavailable(p.reply);
  });
  if (sweeps_[key].error && (down || read.found.empty())) {
    read.always = false;
    co_return;
  }
  read.chosen = read.found.cut(request_.count, last);
}

}  // namespace

void start_group_read(worker_context& context, session& client, const request& what,
                      stream::read_request parsed) {
  (new group_read_operation(context, client, what.command, std::move(parsed)))->start();
}

}  // namespace dualbus::session
