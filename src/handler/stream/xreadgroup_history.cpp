#include "xreadgroup.hpp"

#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/bounds.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::handler {

using command::bus_index;

base::task<> group_read_operation::read_history(std::size_t key) {
  key_read& read = keys_[key];
  const stream::client_id after = request_.keys[key].id;
  std::vector<ask> buses = all_of(key);
  std::vector<std::uint64_t> counts(buses.size(), 0);  // 0 here: not to be asked
  std::optional<stream::client_id> last;
  if (request_.count != 0 && !is_whole(read) && buses.size() > 1) {
    // The entries that will be read are determined before any is read, so that each read counts as one
    // delivery. Each bus counts those that will be left out because their IDs have no form for clients, and
    // is asked for as many more.
    struct candidate {
      stream::client_id id;
      std::size_t bus;
      bool shown;
    };
    std::vector<candidate> candidates;
    std::uint64_t more = 0, most_left_out = 0;
    do {
      more = most_left_out;
      candidates.clear();
      asked_.clear();
      const stream::bound<stream::client_id> from{after, true};
      const std::string count = std::to_string(request_.count + more);
      std::vector<std::size_t> asked;
      for (std::size_t i = 0; i < buses.size(); ++i) {
        const auto start = stream::start_on(env_.buses.slot_of(buses[i].bus), from);
        if (!start) continue;
        const std::string first = stream::to_string(*start);
        const std::string_view pending[] = {"XPENDING", read.name, group_, first, "+", count, consumer_};
        send(buses[i].bus, pending);
        asked.push_back(i);
      }
      const parts all = co_await round();
      for (std::size_t j = 0; j < all.size(); ++j) {
        const bus_index bus = buses[asked[j]].bus;
        const bool absent = is_no_group(all[j].reply);
        if (all[j].is_error() && !(absent && bus != anchor())) {
          // Only the anchor can say that there is no group; it does so below, in the words of a read.
          if (!absent) {
            note_error(key, all[j]);
            co_return;
          }
          continue;
        }
        if (absent) continue;
        std::uint64_t left_out = 0;
        resp::reply_reader reader(all[j].reply);
        for (std::size_t left = reader.next().elements; left > 0; --left) {
          resp::reply_reader entry(reader.skip());
          entry.next();
          const auto id = stream::parse_id(entry.next().text, 0);
          if (!id) continue;
          const stream::bus_id there{id->ms, id->seq};
          const int slot = env_.buses.slot_of(bus);
          const bool shown = stream::entry_to_client(there, slot).has_value();
          left_out += shown ? 0 : 1;
          candidates.push_back({stream::position_to_client(there, slot), asked[j], shown});
        }
        most_left_out = std::max(most_left_out, left_out);
      }
    } while (most_left_out > more);
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const candidate& a, const candidate& b) { return a.id < b.id; });
    std::uint64_t chosen = 0;
    for (const candidate& c : candidates) {
      if (chosen == request_.count) break;
      ++counts[c.bus];
      if (!c.shown) continue;
      last = c.id;
      ++chosen;
    }
  } else {
    std::fill(counts.begin(), counts.end(), std::max<std::uint64_t>(request_.count, 1));
  }
  if (std::all_of(counts.begin(), counts.end(), [](std::uint64_t n) { return n == 0; })) {
    for (std::size_t i = 0; i < buses.size(); ++i) {
      if (buses[i].bus == anchor()) counts[i] = request_.count;
    }
  }
  asked_.clear();
  for (std::size_t i = 0; i < buses.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::string id =
        stream::to_string(is_whole(read) ? stream::bus_id{after.ms, after.seq}
                                         : stream::after_on(env_.buses.slot_of(buses[i].bus), after));
    asked_.push_back(buses[i]);
    send_read(key, buses[i].bus, id, counts[i]);
  }
  const parts all = co_await round();
  finish_history(key, all, last);
}

void group_read_operation::finish_history(std::size_t key, const parts& all,
                                          std::optional<stream::client_id> last) {
  key_read& read = keys_[key];
  const bool elsewhere =
      std::any_of(all.begin(), all.end(), [&](const part& p) { return is_draining(p.bus) && !p.is_error(); });
  for (const part& p : all) {
    if (!p.is_error()) continue;
    const bool absent = is_no_group(p.reply) && !is_whole(read);
    if (!absent || (p.bus == anchor() && !elsewhere)) note_error(key, p);
  }
  asked_.clear();
  const bool down = std::any_of(all.begin(), all.end(), [](const part& p) {
    return p.failed == backend::failure::bus_down || is_unavailable(p.reply);
  });
  if (sweeps_[key].error && (down || read.found.empty())) {
    read.always = false;
    return;
  }
  read.chosen = read.found.cut(request_.count, last);
}

// ------------------------------------------------------------------------------------------ in a transaction

// With COUNT, one bus only is read, so that never more is taken than was asked for.
base::task<> group_read_operation::read_in_exec() {
  sweeps_.assign(keys_.size(), {});
  asked_.clear();
  for (std::size_t key = 0; key < keys_.size(); ++key) {
    std::vector<bus_index> buses;
    for (const ask& a : all_of(key)) buses.push_back(a.bus);
    const bool fresh = !keys_[key].always;
    if (fresh && request_.count != 0) {
      const auto chosen = env_.buses.next_rotation() % static_cast<std::ptrdiff_t>(buses.size());
      buses = {buses[static_cast<std::size_t>(chosen)]};
    }
    const stream::client_id after = request_.keys[key].id;
    for (const bus_index bus : buses) {
      const stream::bus_id there = is_whole(keys_[key]) ? stream::bus_id{after.ms, after.seq}
                                                        : stream::after_on(env_.buses.slot_of(bus), after);
      asked_.push_back({key, bus, request_.count});
      send_read(key, bus, fresh ? ">" : stream::to_string(there), request_.count);
    }
  }
  parts all = co_await round();
  const std::vector<ask> asked = asked_;
  for (std::size_t key = 0; key < keys_.size(); ++key) {
    parts of_key;
    for (std::size_t i = 0; i < asked.size(); ++i) {
      if (asked[i].key != key) continue;
      if (!keys_[key].always) judge(asked[i], all[i]);
      of_key.push_back(std::move(all[i]));
    }
    if (keys_[key].always) {
      finish_history(key, of_key, std::nullopt);
      continue;
    }
    key_sweep& s = sweeps_[key];
    const bool decided = is_whole(keys_[key]) || std::count(s.missing.begin(), s.missing.end(), anchor()) > 0;
    if (decided && !s.missing.empty() && !s.answered) note_absence(key);
    keys_[key].chosen = keys_[key].found.cut(0);
  }
  if (any_found() || !answer_first_error()) answer_found();
}

}  // namespace dualbus::handler
