#pragma once

#include "simulated_links.hpp"

#include <optional>

namespace dualbus::stream::simulation {

/// A request of a client, and the client.
struct client {
  struct place {
    std::string key;
    bus_index only = command::no_bus;
    std::vector<entry_number> after;  // by bus; without a group
  };
  enum class state : std::uint8_t { trying, parked, looking, gone };

  std::vector<place> places;
  std::optional<std::string> group;
  std::size_t count = 0;  // 0: as many as there are
  bool in_order = false;  // its reads are sent on the connection of the armings
  std::optional<base::time_point> deadline;

  state is = state::trying;
  parked_reads::reader_id reader = 0;
  std::vector<parked_reads::sightings> seen;

  std::vector<parked_reads::target> targets, failed, ended;  // of the read in flight
  std::size_t next = 0, awaited = 0, found = 0;
  std::vector<std::size_t> remaining;
  bool held = false;

  bool alive() const { return is != state::gone; }
};

/// The part of a worker around parked_reads: readers and their reads, timers. It checks every action that it
/// is told to do.
class simulated_worker {
 public:
  simulated_worker(world& around, std::size_t number)
      : w_(around), number_(number), reads_(around.buses.size()), links_(around, number, reads_) {
    links_.noticed = [this] { carry_out(); };
    links_.is_looked_at = [this](const std::string& key) { return is_looked_at(key); };
  }

  parked_reads& reads() { return reads_; }
  simulated_links& links() { return links_; }
  const std::vector<std::shared_ptr<client>>& clients() const { return clients_; }

  // --- what clients do

  void arrive(const std::shared_ptr<client>& c) {
    clients_.push_back(c);
    c->seen.assign(c->places.size(), {});
    try_first(c);
  }
  void disconnect(std::shared_ptr<client> c) {
    note("disconnects", *c);
    const bool parked = c->is != client::state::trying;
    c->is = client::state::gone;
    drop(c);
    if (!parked || w_.deceit == lie::keeps_the_departed) return;
    reads_.leave(c->reader, false, {}, now());
    carry_out();
  }
  void unblock(std::shared_ptr<client> c) {
    if (c->is == client::state::trying) return;
    const bool looks = c->is == client::state::looking;
    if (!looks) drop(c);
    if (reads_.unblock(c->reader, now()) == looks)
      w_.book.fail("a reader that looks is unblocked, or another is not");
    if (!looks) c->is = client::state::gone;
    carry_out();
  }
  void add(const std::string& key, bus_index bus) {
    const std::uint32_t waited_for = reads_.waited_for(key);
    const bool waits =
        std::any_of(parked_.begin(), parked_.end(), [&](const auto& r) { return names(*r.second, key); });
    if (waits != (waited_for != 0)) w_.book.fail("a key is waited for, or not");
    const bool in_order = w_.arms_in_front && w_.chance.chance(70);
    links_.request(
        bus, in_order,
        [this, key, bus] {
          w_.buses[bus].add(key, ++w_.entries, now());
          return reading{};
        },
        [this, bus, waited_for, in_order](const reading* answer) {
          if (waited_for == 0 || !in_order) return;
          const bool done = answer != nullptr || w_.deceit == lie::hides_refused_entries;
          reads_.added_answered(bus, waited_for, done, now());
          carry_out();
        });
    // Reads that are sent from now on arrive behind it, if they are in order.
    if (waited_for != 0) reads_.added(bus, waited_for, in_order, now());
    carry_out();
  }
  void set_back(const std::string& key, const std::string& group, bus_index bus) {
    links_.request(
        bus, true,
        [this, key, group, bus] {
          w_.buses[bus].set_back(key, group);
          return reading{};
        },
        [this, key](const reading*) {
          if (w_.deceit == lie::hides_group_changes) return;
          reads_.groups_changed(key, now());
          carry_out();
        });
  }

  void advance() {
    reads_.advance(now());
    carry_out();
    for (const auto& [id, c] : parked_) {
      if (c->is == client::state::parked && c->deadline && *c->deadline <= now()) {
        w_.book.fail("a reader waits past its deadline");
      }
    }
  }

  // --- checks

  /// Every client is as it should be when nothing has happened for a while.
  void check_at_rest() {
    if (reads_.readers() != parked_.size()) w_.book.fail("a reader is forgotten, or not");
    for (const auto& c : clients_) {
      if (c->deadline && *c->deadline + late <= now()) w_.book.fail("a reader waits past its deadline");
      for (const auto& p : c->places) {
        for (std::size_t b = 0; b < w_.buses.size(); ++b) {
          const auto bus = static_cast<bus_index>(b);
          if (!links_.is_up(bus) || (p.only != command::no_bus && p.only != bus)) continue;
          simulated_bus& there = w_.buses[b];
          if (c->group ? there.has_for(p.key, *c->group) : there.has_after(p.key, p.after[b])) {
            w_.book.fail("lost wake-up: a reader is parked and " + p.key + " has an entry on bus " +
                         std::to_string(b));
          }
        }
      }
    }
  }

 private:
  static constexpr base::duration late = std::chrono::milliseconds(1);  // at most, of a timer
  using queue_name = std::pair<std::string, std::string>;               // key, group

  base::time_point now() const { return w_.events.now(); }

  // --- reads

  void try_first(const std::shared_ptr<client>& c) {
    note("tries", *c);
    std::vector<parked_reads::target> targets;
    for (std::uint32_t i = 0; i < c->places.size(); ++i) {
      const auto& p = c->places[i];
      if (c->group) {
        const bool waits = reads_.has_queue(p.key, *c->group);
        if (waits == queues_[{p.key, *c->group}].empty()) w_.book.fail("a queue is not known, or not empty");
        if (waits) continue;
      }
      c->seen[i] = reads_.look(p.key, c->in_order, now());
      if (w_.deceit == lie::sights_without_arming) {
        for (auto& sighting : c->seen[i]) sighting.armed = true;
      }
      for (std::size_t b = 0; b < w_.buses.size(); ++b) {
        const auto bus = static_cast<bus_index>(b);
        if (p.only == command::no_bus || p.only == bus) targets.push_back({i, bus});
      }
    }
    targets.empty() ? park(c) : begin(c, std::move(targets));
  }
  void begin(const std::shared_ptr<client>& c, std::vector<parked_reads::target> targets) {
    c->targets = std::move(targets);
    c->failed.clear();
    c->ended.clear();
    c->next = c->awaited = c->found = 0;
    c->held = false;
    c->remaining.assign(c->places.size(), c->count == 0 ? SIZE_MAX : c->count);
    do send_next(c);
    while (c->count == 0 && c->next < c->targets.size());
  }
  void send_next(const std::shared_ptr<client>& c) {
    const parked_reads::target where = c->targets[c->next++];
    ++c->awaited;
    const std::string& key = c->places[where.source].key;
    const auto sending = reads_.send(key, where.bus, c->in_order, now());
    if (sending.arm) links_.arm_in_front(where.bus, key, sending.key);
    if (c->is == client::state::looking) {
      reads_.sent(c->reader, where, sending.seen);
    } else {
      c->seen[where.source][where.bus] = sending.seen;
      if (w_.deceit == lie::sights_without_arming) c->seen[where.source][where.bus].armed = true;
    }
    const std::size_t asked = c->remaining[where.source];
    links_.request(
        where.bus, c->in_order,
        [this, c, where] {
          const auto& p = c->places[where.source];
          simulated_bus& bus = w_.buses[where.bus];
          const std::size_t count = c->remaining[where.source];
          const reading result = c->group ? bus.read_group(p.key, *c->group, count)
                                          : bus.read_after(p.key, p.after[where.bus], count, now());
          w_.book.handed += result.entries.size();
          return result;
        },
        [this, c, where, asked](const reading* answer) {
          if (answer != nullptr && answer->entries.size() < asked && !answer->held) c->ended.push_back(where);
          take(c, where, answer);
        });
  }
  void take(const std::shared_ptr<client>& c, parked_reads::target where, const reading* answer) {
    --c->awaited;
    if (!c->alive()) {
      if (answer != nullptr) w_.book.lost += answer->entries.size();
      return;
    }
    if (answer == nullptr) {
      c->failed.push_back(where);
    } else {
      deliver(*c, where, *answer);
    }
    while (c->next < c->targets.size() && c->remaining[c->targets[c->next].source] == 0) ++c->next;
    if (c->awaited > 0) return;
    c->next < c->targets.size() ? send_next(c) : finish(c);
  }
  void deliver(client& c, parked_reads::target where, const reading& answer) {
    const std::string& key = c.places[where.source].key;
    for (const entry_number entry : answer.entries) {
      ++w_.book.delivered;
      if (!c.group) continue;
      if (!w_.book.had.emplace(entry, *c.group, answer.generation).second)
        w_.book.fail("an entry comes twice");
      if (c.is == client::state::looking && queues_[{key, *c.group}].front() != &c) {
        w_.book.fail("somebody else has waited longer");
      }
    }
    c.found += answer.entries.size();
    c.remaining[where.source] -= answer.entries.size();
    c.held = c.held || answer.held;
  }
  void finish(const std::shared_ptr<client>& c) {
    const bool was_parked = c->is == client::state::looking;
    if (c->found > 0) {
      note("is served", *c);
      c->is = client::state::gone;
      drop(c);
      if (was_parked) reads_.leave(c->reader, true, c->ended, now());
    } else if (was_parked) {
      c->is = client::state::parked;
      std::optional<base::time_point> again;
      if (c->held && w_.deceit != lie::forgets_held_entries) again = now() + simulated_bus::hold;
      if (w_.deceit == lie::hides_failed_sweeps) c->failed.clear();
      note("finds nothing", *c);
      reads_.swept(c->reader, c->failed, again, now());
    } else if (c->held) {
      w_.events.at(now() + simulated_bus::hold, [this, c] {
        if (c->alive()) try_first(c);
      });
      return;
    } else {
      for (std::size_t i = 0; i < c->places.size(); ++i) {
        if (w_.deceit == lie::sights_when_parking)
          c->seen[i] = reads_.look(c->places[i].key, c->in_order, now());
      }
      for (const auto& where : c->failed) {
        if (w_.deceit != lie::sights_failed_reads) c->seen[where.source][where.bus].armed = false;
      }
      return park(c);
    }
    carry_out();
  }
  void park(const std::shared_ptr<client>& c) {
    std::vector<parked_reads::source> sources;
    for (const auto& p : c->places) sources.push_back({p.key, p.only});
    std::optional<std::string_view> group;
    if (c->group) group = *c->group;
    c->is = client::state::parked;
    c->reader = reads_.park(sources, group, c->seen, c->deadline, c->in_order, now());
    note("parks", *c);
    parked_[c->reader] = c;
    for (const queue_name& q : queues_of(*c)) queues_[q].push_back(c.get());
    carry_out();
  }
  std::set<queue_name> queues_of(const client& c) const {
    std::set<queue_name> result;
    for (const auto& p : c.places) {
      if (c.group) result.emplace(p.key, *c.group);
    }
    return result;
  }
  void drop(const std::shared_ptr<client>& c) {
    if (c->reader != 0) {
      parked_.erase(c->reader);
      for (const queue_name& q : queues_of(*c)) std::erase(queues_[q], c.get());
    }
    std::erase(clients_, c);
  }
  static bool names(const client& c, const std::string& key) {
    return std::any_of(c.places.begin(), c.places.end(), [&](const auto& p) { return p.key == key; });
  }
  bool is_looked_at(const std::string& key) const {
    return std::any_of(parked_.begin(), parked_.end(), [&](const auto& r) {
      return r.second->is == client::state::looking && names(*r.second, key);
    });
  }

  // --- actions

  void carry_out() {
    for (auto actions = reads_.take_actions(); !actions.empty(); actions = reads_.take_actions()) {
      for (const auto& what : actions) {
        ++w_.book.actions;
        using kind = parked_reads::action::kind;
        if (what.what == kind::arm) {
          links_.arm(what.bus, what.key);
        } else if (const auto found = parked_.find(what.reader); found == parked_.end()) {
          w_.book.fail("an action for a reader that is not parked");
        } else if (what.what == kind::expire) {
          expire(found->second);
        } else {
          sweep(found->second, what.targets);
        }
      }
    }
    set_timer();
  }
  void expire(const std::shared_ptr<client> c) {
    note("expires", *c);
    if (c->is == client::state::looking) w_.book.fail("a reader expires while it looks");
    if (!c->deadline || *c->deadline > now()) w_.book.fail("a reader expires too early");
    c->is = client::state::gone;
    drop(c);
  }
  void sweep(const std::shared_ptr<client> c, const std::vector<parked_reads::target>& targets) {
    ++w_.book.sweeps;
    note("looks at " + std::to_string(targets.size()), *c);
    if (c->is != client::state::parked) w_.book.fail("a reader looks twice at a time");
    if (c->deadline && *c->deadline <= now()) w_.book.fail("a reader looks after its deadline");
    for (const auto& where : targets) {
      const auto& p = c->places.at(where.source);
      if (!links_.is_said_up(where.bus)) w_.book.fail("a reader looks at a bus that is down");
      if (p.only != command::no_bus && p.only != where.bus) w_.book.fail("a reader looks at a bus of others");
      if (!c->group) continue;
      for (const client* const other : queues_[{p.key, *c->group}]) {
        if (other == c.get()) break;
        w_.book.fail("a reader looks though somebody has waited longer");
      }
      for (const client* const other : queues_[{p.key, *c->group}]) {
        if (other == c.get() || other->is != client::state::looking) continue;
        for (const auto& theirs : other->targets) {
          if (other->places[theirs.source].key == p.key)
            w_.book.fail("two readers of a queue look at a time");
        }
      }
    }
    c->is = client::state::looking;
    begin(c, targets);
  }

  // --- time

  void set_timer() {
    const auto next = reads_.next_time();
    for (const auto& [id, c] : parked_) {
      if (c->is == client::state::parked && c->deadline && (!next || *next > *c->deadline)) {
        w_.book.fail("nobody wakes up for a deadline");
      }
    }
    if (!next || w_.deceit == lie::stops_the_clock || (timer_ && *timer_ <= *next)) return;
    timer_ = *next;
    w_.events.at(*next + w_.chance.up_to(late), [this, set_for = *next] {
      if (timer_ != set_for) return;
      timer_.reset();
      advance();
    });
  }

  void note(const std::string& text, const client& c) const {
    if (!w_.book.tracing) return;
    w_.note("worker " + std::to_string(number_) + " client " + std::to_string(c.reader) + " " + text);
  }

  world& w_;
  const std::size_t number_;
  parked_reads reads_;
  simulated_links links_;
  std::vector<std::shared_ptr<client>> clients_;  // that have no answer yet
  std::map<parked_reads::reader_id, std::shared_ptr<client>> parked_;
  std::map<queue_name, std::vector<client*>> queues_;  // in the order of arrival
  std::optional<base::time_point> timer_;
};

}  // namespace dualbus::stream::simulation
