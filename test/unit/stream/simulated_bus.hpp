#pragma once

#include <dualbus/base/clock.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

/// A small world for parked_reads: time, chance, connections and buses. Everything in it follows from a seed.
namespace dualbus::stream::simulation {

class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }
  base::duration up_to(base::duration most) {
    return base::duration(engine_() % static_cast<std::uint64_t>(most.count() + 1));
  }

 private:
  std::mt19937_64 engine_;
};

/// Events and their times; those that happen at the same time come in the order in which they were asked for.
class event_queue {
 public:
  base::time_point now() const { return now_; }
  bool empty() const { return events_.empty(); }
  void at(base::time_point when, std::function<void()> event) {
    events_.emplace(std::max(when, now_), std::move(event));
  }
  /// Lets the next thing happen. False: nothing happens until `limit`, and now it is `limit`.
  bool step(base::time_point limit) {
    if (events_.empty() || events_.begin()->first > limit) {
      now_ = limit;
      return false;
    }
    auto next = events_.extract(events_.begin());
    now_ = next.key();
    next.mapped()();
    return true;
  }

 private:
  base::time_point now_{std::chrono::hours(1)};
  std::multimap<base::time_point, std::function<void()>> events_;
};

/// One direction of a connection: what is sent arrives late, but in order, unless the connection is lost.
class channel {
 public:
  channel(event_queue& events, dice& chance, base::duration slowest)
      : events_(events), chance_(chance), slowest_(slowest) {}

  void send(std::function<void()> arrival) {
    if (cut_) return;
    last_ = std::max(last_, events_.now() + chance_.up_to(slowest_));
    events_.at(last_, [this, sent_in = connection_, arrives = std::move(arrival)] {
      if (sent_in == connection_) arrives();
    });
  }
  /// Everything sent from here on is lost; what is under way arrives, until drop().
  void cut() { cut_ = true; }
  /// Everything under way is lost.
  void drop() { ++connection_; }
  void connect() {
    drop();
    cut_ = false;
  }

 private:
  event_queue& events_;
  dice& chance_;
  base::duration slowest_;
  base::time_point last_{};
  std::uint64_t connection_ = 0;
  bool cut_ = false;
};

using entry_number = std::uint64_t;

struct reading {
  std::vector<entry_number> entries;
  std::uint64_t generation = 0;  // of the group's position; entries come once in each
  bool held = false;             // there are entries that are too young to be read
};

/// One Redis: streams, groups, and whom it tells once when a key changes.
class simulated_bus {
 public:
  /// The age from which a reader without a group may have an entry.
  static constexpr base::duration hold = std::chrono::milliseconds(1);

  /// Called for each worker that watches a key that changes; an empty key: all keys are gone.
  std::function<void(std::size_t worker, const std::string& key)> announce;

  // --- changes that are announced

  void add(const std::string& key, entry_number number, base::time_point now) {
    keys_[key].entries.emplace(number, now);
    touch(key);
  }
  void trim(const std::string& key) {
    auto& entries = keys_[key].entries;
    entries.erase(entries.begin(), std::next(entries.begin(), static_cast<long>(entries.size() / 2)));
    touch(key);
  }
  void remove(const std::string& key) {
    keys_[key].entries.clear();
    for (auto& [group, place] : keys_[key].groups) place = {0, place.generation + 1};
    touch(key);
  }
  /// A change that adds no entry.
  void touch(const std::string& key) {
    const std::set<std::size_t> told = std::exchange(keys_[key].watchers, {});
    for (const std::size_t worker : told) announce(worker, key);
  }
  void flush(std::size_t workers) {
    for (auto& [name, key] : keys_) {
      key.watchers.clear();
      remove(name);
    }
    for (std::size_t worker = 0; worker < workers; ++worker) announce(worker, {});
  }

  // --- a change that is not

  /// The group reads the key from its beginning, once more.
  void set_back(const std::string& key, const std::string& group) {
    auto& place = keys_[key].groups[group];
    place = {0, place.generation + 1};
  }

  // --- watching and reading

  void watch(std::size_t worker, const std::string& key) { keys_[key].watchers.insert(worker); }
  void forget(std::size_t worker) {
    for (auto& [name, key] : keys_) key.watchers.erase(worker);
  }

  reading read_group(const std::string& key, const std::string& group, std::size_t count) {
    auto& place = keys_[key].groups[group];
    reading result{.entries = {}, .generation = place.generation};
    auto next = keys_[key].entries.upper_bound(place.position);
    for (; next != keys_[key].entries.end() && result.entries.size() < count; ++next) {
      result.entries.push_back(place.position = next->first);
    }
    return result;
  }
  reading read_after(const std::string& key, entry_number after, std::size_t count, base::time_point now) {
    reading result;
    auto next = keys_[key].entries.upper_bound(after);
    for (; next != keys_[key].entries.end() && result.entries.size() < count; ++next) {
      if (next->second + hold > now) {
        result.held = true;
        break;
      }
      result.entries.push_back(next->first);
    }
    return result;
  }

  bool has_for(const std::string& key, const std::string& group) {
    return has_after(key, keys_[key].groups[group].position);
  }
  bool has_after(const std::string& key, entry_number after) {
    return keys_[key].entries.upper_bound(after) != keys_[key].entries.end();
  }
  entry_number last(const std::string& key) {
    return keys_[key].entries.empty() ? 0 : keys_[key].entries.rbegin()->first;
  }

 private:
  struct position_of_group {
    entry_number position = 0;
    std::uint64_t generation = 0;
  };
  struct key_state {
    std::map<entry_number, base::time_point> entries;
    std::map<std::string, position_of_group> groups;
    std::set<std::size_t> watchers;
  };
  std::map<std::string, key_state> keys_;
};

/// The fate of what the buses handed out, and the first thing that was wrong.
struct ledger {
  std::size_t handed = 0, delivered = 0, lost = 0;
  std::set<std::tuple<entry_number, std::string, std::uint64_t>> had;  // entry, group, generation
  std::size_t actions = 0, sweeps = 0;
  std::string wrong;
  bool tracing = false;
  std::vector<std::string> trace;

  void fail(const std::string& fault) {
    if (wrong.empty()) wrong = fault;
  }
};

}  // namespace dualbus::stream::simulation
