#pragma once

#include "simulated_bus.hpp"

#include <dualbus/stream/parked_reads.hpp>

#include <deque>
#include <memory>
#include <optional>

namespace dualbus::stream::simulation {

using command::bus_index;

/// How a worker may deceive its parked_reads; each leaves out one of the rules that it lives by.
enum class lie : std::uint8_t {
  none,
  arms_when_asked,           ///< a key counts as watched when EXISTS is sent, not when it is answered
  arms_after_announcements,  ///< EXISTS is reported later than announcements that came behind its reply
  sights_without_arming,     ///< a first read counts as sent while the key was watched though it was not
  sights_when_parking,  ///< what is known of a key is taken when the first read is answered, not when it is
                        ///< sent
  forgets_changes_in_sweeps,    ///< a change is not reported while a reader looks at the key
  hides_changes,                ///< changes are not reported at all
  hides_lost_watchers,          ///< a watcher that was lost and is back was never away
  hides_flushes,                ///< all keys of a bus are gone, and nobody says so
  hides_returned_buses,         ///< a bus that was away does not come back
  hides_failed_sweeps,          ///< an error counts as nothing found
  forgets_held_entries,         ///< something was there that was too young, and nobody looks again
  hides_group_changes,          ///< a group is set back through the worker
  hides_foreign_group_changes,  ///< a group is set back through another worker
  keeps_the_departed,           ///< a reader that is gone stays parked
  stops_the_clock,              ///< nobody calls advance()
};

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
  std::optional<base::time_point> deadline;

  state is = state::trying;
  parked_reads::reader_id reader = 0;
  std::vector<parked_reads::sightings> seen;

  std::vector<parked_reads::target> targets, failed;  // of the read in flight
  std::size_t next = 0, awaited = 0, found = 0;
  std::vector<std::size_t> remaining;
  bool held = false;

  bool alive() const { return is != state::gone; }
};

/// What a worker does around parked_reads: connections, requests, timers. It checks every action it gets.
class simulated_worker {
 public:
  struct world {
    event_queue& events;
    dice& chance;
    ledger& book;
    std::deque<simulated_bus>& buses;
    base::duration slowest;
    lie deceit;
    unsigned errors = 0;  // how many requests of a hundred are refused
    entry_number entries = 0;
  };

  simulated_worker(world& around, std::size_t number)
      : w_(around), number_(number), reads_(around.buses.size()) {
    for (std::size_t i = 0; i < w_.buses.size(); ++i) {
      links_.emplace_back(w_);
      reads_.watcher_up(static_cast<bus_index>(i), now());
    }
  }

  parked_reads& reads() { return reads_; }
  const std::vector<std::shared_ptr<client>>& clients() const { return clients_; }

  // --- what clients do

  void arrive(const std::shared_ptr<client>& c) {
    clients_.push_back(c);
    c->seen.assign(c->places.size(), {});
    bool waits_for_all = c->group.has_value();
    for (const auto& p : c->places) waits_for_all = waits_for_all && reads_.has_queue(p.key, *c->group);
    waits_for_all ? park(c) : try_first(c);
  }
  void disconnect(std::shared_ptr<client> c) {
    note("disconnects", *c);
    const bool parked = c->is != client::state::trying;
    c->is = client::state::gone;
    drop(c);
    if (!parked || w_.deceit == lie::keeps_the_departed) return;
    reads_.leave(c->reader, false, now());
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
    request(
        bus,
        [this, key, bus] {
          w_.buses[bus].add(key, ++w_.entries, now());
          return reading{};
        },
        [this, waited_for, bus](const reading* done) {
          if (done == nullptr || waited_for == 0) return;
          reads_.added(bus, waited_for, now());
          carry_out();
        });
  }
  void set_back(const std::string& key, const std::string& group, bus_index bus) {
    request(
        bus,
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

  /// Groups may have been changed through another worker.
  void recheck(bus_index bus) {
    if (w_.deceit == lie::hides_foreign_group_changes) return;
    reads_.recheck(bus, now());
    carry_out();
  }

  // --- what happens to connections

  void lose_bus(bus_index bus, base::duration noticed_after) {
    link& l = links_[bus];
    if (!l.up) return;
    note("loses bus", bus);
    l.up = false;
    l.out.drop();
    l.in.drop();
    for (auto& sent : std::exchange(l.sent, {})) fail(sent);
    w_.events.at(now() + noticed_after, [this, bus] {
      if (links_[bus].up || !std::exchange(links_[bus].told_up, false)) return;
      reads_.bus_down(bus);
      carry_out();
    });
  }
  void regain_bus(bus_index bus) {
    link& l = links_[bus];
    if (l.up) return;
    note("regains bus", bus);
    l.up = true;
    if (w_.deceit == lie::hides_returned_buses || std::exchange(l.told_up, true)) return;
    reads_.bus_up(bus, now());
    carry_out();
  }
  void lose_watcher(bus_index bus, base::duration noticed_after) {
    link& l = links_[bus];
    if (!l.watching || l.watcher_lost) return;
    note("loses the watcher of bus", bus);
    l.watcher_lost = true;
    l.watcher_out.cut();
    l.watcher_in.cut();
    l.watcher_out.drop();
    if (w_.chance.chance(50)) l.watcher_in.drop();
    w_.buses[bus].forget(number_);
    w_.events.at(now() + noticed_after, [this, bus] {
      link& lost = links_[bus];
      note("notices that of bus", bus);
      lost.watcher_in.drop();
      lost.watching = false;
      if (w_.deceit == lie::hides_lost_watchers) return;
      reads_.watcher_down(bus, now());
      carry_out();
    });
  }
  void regain_watcher(bus_index bus) {
    link& l = links_[bus];
    if (l.watching) return;
    note("regains the watcher of bus", bus);
    l.watching = true;
    l.watcher_lost = false;
    l.watcher_out.connect();
    l.watcher_in.connect();
    if (w_.deceit == lie::hides_lost_watchers) return;
    reads_.watcher_up(bus, now());
    carry_out();
  }
  /// The bus writes an announcement; an empty key: all keys.
  void announce(bus_index bus, const std::string& key) {
    links_[bus].watcher_in.send([this, bus, key] {
      if (w_.deceit == lie::hides_changes) return;
      note("hears of " + key + " on bus", bus);
      if (!key.empty()) {
        if (w_.deceit == lie::forgets_changes_in_sweeps && is_looked_at(key)) return;
        reads_.changed(bus, key, now());
      } else if (w_.deceit != lie::hides_flushes) {
        reads_.watcher_down(bus, now());
        reads_.watcher_up(bus, now());
      }
      carry_out();
    });
  }

  /// Every client is as it should be when nothing has happened for a while.
  void check_at_rest() {
    for (const auto& c : clients_) {
      if (c->deadline && *c->deadline <= now()) w_.book.fail("a reader waits past its deadline");
      for (const auto& p : c->places) {
        for (std::size_t b = 0; b < w_.buses.size(); ++b) {
          const auto bus = static_cast<bus_index>(b);
          if (!links_[b].up || (p.only != command::no_bus && p.only != bus)) continue;
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
  using queue_name = std::pair<std::string, std::string>;  // key, group

  struct request_in_flight {
    std::function<reading()> execute;
    std::function<void(const reading*)> done;  // nullptr: failed
    reading result;
  };
  struct link {
    explicit link(world& w)
        : out(w.events, w.chance, w.slowest),
          in(w.events, w.chance, w.slowest),
          watcher_out(w.events, w.chance, w.slowest),
          watcher_in(w.events, w.chance, w.slowest) {}
    channel out, in, watcher_out, watcher_in;
    std::deque<std::shared_ptr<request_in_flight>> sent;
    bool up = true, told_up = true, watching = true, watcher_lost = false;
  };

  base::time_point now() const { return w_.events.now(); }

  // --- requests

  void request(bus_index bus, std::function<reading()> execute, std::function<void(const reading*)> done) {
    auto made = std::make_shared<request_in_flight>();
    made->execute = std::move(execute);
    made->done = std::move(done);
    if (!links_[bus].up) {
      w_.events.at(now(), [this, made] { fail(made); });
      return;
    }
    const bool refused = w_.chance.chance(w_.errors);
    links_[bus].sent.push_back(made);
    links_[bus].out.send([this, bus, made, refused] {
      if (!refused) made->result = made->execute();
      links_[bus].in.send([this, bus, refused] {
        const auto answered = links_[bus].sent.front();
        links_[bus].sent.pop_front();
        answered->done(refused ? nullptr : &answered->result);
      });
    });
  }
  void fail(const std::shared_ptr<request_in_flight>& sent) {
    w_.book.lost += sent->result.entries.size();
    sent->done(nullptr);
  }

  // --- reads

  void try_first(const std::shared_ptr<client>& c) {
    note("tries", *c);
    std::vector<parked_reads::target> targets;
    for (std::uint32_t i = 0; i < c->places.size(); ++i) {
      const auto& p = c->places[i];
      if (c->group && reads_.has_queue(p.key, *c->group)) continue;
      c->seen[i] = reads_.look(p.key, now());
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
    c->next = c->awaited = c->found = 0;
    c->held = false;
    c->remaining.assign(c->places.size(), c->count == 0 ? SIZE_MAX : c->count);
    do send_next(c);
    while (c->count == 0 && c->next < c->targets.size());
  }
  void send_next(const std::shared_ptr<client>& c) {
    const parked_reads::target where = c->targets[c->next++];
    ++c->awaited;
    request(
        where.bus,
        [this, c, where] {
          const auto& p = c->places[where.source];
          simulated_bus& bus = w_.buses[where.bus];
          const std::size_t count = c->remaining[where.source];
          const reading result = c->group ? bus.read_group(p.key, *c->group, count)
                                          : bus.read_after(p.key, p.after[where.bus], count, now());
          w_.book.handed += result.entries.size();
          return result;
        },
        [this, c, where](const reading* answer) { take(c, where, answer); });
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
      if (was_parked) reads_.leave(c->reader, true, now());
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
        if (w_.deceit == lie::sights_when_parking) c->seen[i] = reads_.look(c->places[i].key, now());
      }
      for (const auto& where : c->failed) c->seen[where.source][where.bus].armed = false;
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
    c->reader = reads_.park(sources, group, c->seen, c->deadline, now());
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
  bool is_looked_at(const std::string& key) const {
    return std::any_of(parked_.begin(), parked_.end(), [&](const auto& entry) {
      const client& c = *entry.second;
      return c.is == client::state::looking &&
             std::any_of(c.places.begin(), c.places.end(), [&](const auto& p) { return p.key == key; });
    });
  }

  // --- actions

  void carry_out() {
    for (auto actions = reads_.take_actions(); !actions.empty(); actions = reads_.take_actions()) {
      for (const auto& what : actions) {
        ++w_.book.actions;
        using kind = parked_reads::action::kind;
        if (what.what == kind::arm) {
          arm(what.bus, what.key);
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
  void arm(bus_index bus, const std::string& key) {
    if (!links_[bus].watching && w_.deceit != lie::hides_lost_watchers) {
      w_.book.fail("a key is armed on a bus that is not watched");
    }
    note("arms " + key + " on bus", bus);
    links_[bus].watcher_out.send([this, bus, key] {
      w_.buses[bus].watch(number_, key);
      links_[bus].watcher_in.send([this, bus, key] {
        if (w_.deceit != lie::arms_after_announcements) return report_armed(bus, key);
        w_.events.at(now() + w_.slowest, [this, bus, key] { report_armed(bus, key); });
      });
    });
    if (w_.deceit == lie::arms_when_asked) reads_.armed(bus, key, now());
  }
  void report_armed(bus_index bus, const std::string& key) {
    note("has armed " + key + " on bus", bus);
    reads_.armed(bus, key, now());
    carry_out();
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
      if (!links_[where.bus].told_up) w_.book.fail("a reader looks at a bus that is down");
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
    w_.events.at(*next, [this, set_for = *next] {
      if (timer_ != set_for) return;
      timer_.reset();
      advance();
    });
  }

 public:
  void advance() {
    reads_.advance(now());
    carry_out();
    for (const auto& [id, c] : parked_) {
      if (c->is == client::state::parked && c->deadline && *c->deadline <= now()) {
        w_.book.fail("a reader waits past its deadline");
      }
    }
  }

 private:
  void note(const std::string& what, const client& c) const {
    if (w_.book.tracing) write("client " + std::to_string(c.reader) + " " + what);
  }
  void note(const std::string& what, bus_index bus) const {
    if (w_.book.tracing) write(what + " " + std::to_string(bus));
  }
  void write(const std::string& what) const {
    const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now().time_since_epoch());
    w_.book.trace.push_back(std::to_string(since.count()) + " worker " + std::to_string(number_) + ": " +
                            what);
  }

  world& w_;
  const std::size_t number_;
  parked_reads reads_;
  std::deque<link> links_;
  std::vector<std::shared_ptr<client>> clients_;  // that have no answer yet
  std::map<parked_reads::reader_id, std::shared_ptr<client>> parked_;
  std::map<queue_name, std::vector<client*>> queues_;  // in the order of arrival
  std::optional<base::time_point> timer_;
};

}  // namespace dualbus::stream::simulation
