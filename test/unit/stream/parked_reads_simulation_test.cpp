// Readers, writers and accidents in a small world, at random but repeatable: whatever the order of messages,
// nobody sleeps while an entry of his waits. A failure names its seed; DUALBUS_SIMULATION_SEED=<seed> repeats
// that run alone and prints what happened, DUALBUS_SIMULATION_RUNS=<number> asks for more of them.

#include "simulated_worker.hpp"

#include <cstdlib>
#include <iostream>
#include <numeric>

#include <gtest/gtest.h>

namespace dualbus::stream::simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class simulation {
 public:
  simulation(std::uint64_t seed, lie deceit, bool tracing = false)
      : chance_(seed),
        world_{.events = events_,
               .chance = chance_,
               .book = book_,
               .buses = buses_,
               .slowest = pick_slowest(),
               .deceit = deceit} {
    book_.tracing = tracing;
    world_.arms_in_front = deceit >= lie::hides_refused_entries || chance_.chance(60);
    buses_.resize(2 + chance_.below(2));
    pace_ = microseconds(chance_.chance(50) ? 200 : 2000);
    keys_.resize(1 + chance_.below(3));
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      keys_[i] = {"key" + std::to_string(i), chance_.chance(20) ? bus_index{0} : command::no_bus};
    }
    const std::size_t workers = 1 + chance_.below(2);
    may_change_groups_ = workers == 1 || chance_.chance(40);
    for (std::size_t i = 0; i < workers; ++i) workers_.emplace_back(world_, i);
    for (std::size_t b = 0; b < buses_.size(); ++b) {
      buses_[b].announce = [this, b](std::size_t worker, const std::string& name) {
        workers_[worker % of_reads].links().announce(static_cast<bus_index>(b), name, worker >= of_reads);
      };
    }
  }

  /// Says what went wrong, if anything.
  std::string run() {
    const std::size_t rounds = 3 + chance_.below(6);
    for (std::size_t i = 0; i < rounds && book_.wrong.empty(); ++i) {
      if (i == 0 || chance_.chance(50)) pick_weights();
      disturb(3 + chance_.below(30));
      // A bus that is not watched is asked every few milliseconds, so there may never be silence.
      rest(parked_reads::retry_interval + milliseconds(300) + 150 * world_.slowest);
      check();
      if (chance_.chance(70)) restore();
    }
    restore();
    for (int i = 0; i < 6; ++i) arrives(workers_[chance_.below(workers_.size())]);
    if (!rest(seconds(20))) book_.fail("it does not come to rest");
    check();
    if (book_.handed != book_.delivered + book_.lost) book_.fail("an entry was handed out and got lost");
    idle();
    end();
    return book_.wrong;
  }

  const ledger& book() const { return book_; }
  /// The readers that waited when nothing happened any more.
  std::size_t idle_readers() const { return idle_readers_; }

 private:
  struct key {
    std::string name;
    bus_index only = command::no_bus;
  };

  base::duration pick_slowest() {
    const microseconds choices[] = {microseconds(50), microseconds(1000), microseconds(10000)};
    return choices[chance_.below(3)];
  }

  // --- phases

  void disturb(std::size_t disturbances) {
    world_.errors = chance_.chance(50) ? 5 : 0;
    for (std::size_t i = 0; i < disturbances && book_.wrong.empty(); ++i) {
      const auto next = events_.now() + chance_.up_to(2 * pace_);
      while (book_.wrong.empty() && events_.step(next)) {
      }
      something_happens();
    }
    world_.errors = 0;
  }
  /// True if nothing is left to happen before the time is over.
  bool rest(base::duration most) {
    const auto limit = events_.now() + most;
    while (book_.wrong.empty() && !events_.empty() && events_.step(limit)) {
    }
    return events_.empty();
  }
  void check() {
    for (auto& w : workers_) w.check_at_rest();
  }
  void restore() {
    for (auto& w : workers_) {
      for (std::size_t b = 0; b < buses_.size(); ++b) {
        restore_one(w, static_cast<bus_index>(b));
      }
    }
  }
  /// In a quiet world nothing is done; and still it is awake.
  void idle() {
    const std::size_t actions = book_.actions;
    for (auto& w : workers_) idle_readers_ += w.reads().readers();
    for (int minute = 0; minute < 60; ++minute) {
      const auto next = events_.now() + std::chrono::minutes(1);
      while (events_.step(next)) {
      }
      for (auto& w : workers_) w.advance();
    }
    if (book_.actions != actions) book_.fail("something is done though nothing happens");
    for (const key& k : keys_) add(k.name, 0);
    rest(seconds(20));
    check();
  }
  void end() {
    for (auto& w : workers_) {
      while (!w.clients().empty()) w.disconnect(w.clients().front());
      if (w.reads().readers() != 0) book_.fail("readers are left");
    }
    rest(seconds(20));
    for (auto& w : workers_) {
      for (const key& k : keys_) {
        if (w.reads().waited_for(k.name) != 0) book_.fail("a key is waited for, and nobody waits");
      }
      if (w.reads().next_time()) book_.fail("a time is left");
    }
    events_.step(events_.now() + 2 * parked_reads::keep_key);
    for (auto& w : workers_) {
      w.advance();
      if (w.reads().keys() != 0) book_.fail("keys are left");
    }
  }

  // --- disturbances

  enum disturbance {
    reader,
    local_entry,
    foreign_entry,
    burst,
    change,
    leaving,
    groups,
    loss,
    lost_watcher,
    kinds
  };

  // Each world has more of one and less of another.
  void pick_weights() {
    weights_.clear();
    const std::size_t usual[kinds] = {35, 10, 10, 8, 8, 10, 4, 2, 2};
    for (const std::size_t most : usual) {
      weights_.push_back(chance_.below(2 * most + 1));
    }
  }
  void something_happens() {
    simulated_worker& w = workers_[chance_.below(workers_.size())];
    const key& k = any_key();
    const auto bus = k.only != command::no_bus ? k.only : any_bus();
    std::size_t kind = 0;
    for (std::size_t n = chance_.below(std::accumulate(weights_.begin(), weights_.end(), std::size_t{0}));
         n >= weights_[kind]; ++kind) {
      n -= weights_[kind];
    }
    switch (kind) {
      case reader:
        return arrives(w);
      case local_entry:
        return w.add(k.name, bus);
      case foreign_entry:
        return add(k.name, bus);
      case burst:
        return add_several(k.name, bus);
      case change:
        return change_key(k.name, bus);
      case leaving:
        return leaves(w);
      case groups:
        return may_change_groups_ ? set_back(w, k.name, bus) : void();
      case loss:
        return lose(w, any_bus(), true, chance_.chance(50));
      default:
        return lose(w, any_bus(), false, true);
    }
  }
  const key& any_key() { return keys_[chance_.below(keys_.size())]; }
  bus_index any_bus() { return static_cast<bus_index>(chance_.below(buses_.size())); }

  void arrives(simulated_worker& w) {
    if (w.clients().size() >= 8) return;
    auto c = std::make_shared<client>();
    const std::size_t places = chance_.chance(60) ? 1 : 2 + chance_.below(2);
    for (std::size_t i = 0; i < places; ++i) {
      // Now and then the same key twice.
      const key& k = any_key();
      c->places.push_back({.key = k.name, .only = k.only, .after = {}});
      for (auto& bus : buses_) c->places.back().after.push_back(chance_.chance(80) ? bus.last(k.name) : 0);
    }
    if (chance_.chance(75)) c->group = chance_.chance(70) ? "engines" : "others";
    c->in_order = world_.arms_in_front && c->group && chance_.chance(70);
    c->count = chance_.chance(50) ? 1 + chance_.below(3) : 0;
    if (chance_.chance(30)) c->deadline = events_.now() + chance_.up_to(milliseconds(200));
    w.arrive(c);
  }
  void leaves(simulated_worker& w) {
    if (w.clients().empty()) return;
    const auto c = w.clients()[chance_.below(w.clients().size())];
    chance_.chance(70) ? w.disconnect(c) : w.unblock(c);
  }
  void add(const std::string& name, bus_index bus) {
    note("foreign entry for " + name, bus);
    buses_[bus].add(name, ++world_.entries, events_.now());
  }
  // The next ones come while the worker still deals with the first.
  void add_several(const std::string& name, bus_index bus) {
    base::time_point when = events_.now();
    for (std::size_t left = 2 + chance_.below(3); left > 0; --left) {
      events_.at(when, [this, name, bus] { add(name, bus); });
      when += chance_.up_to(2 * world_.slowest);
    }
  }
  void change_key(const std::string& name, bus_index bus) {
    note("foreign change of " + name, bus);
    const std::size_t kind = chance_.below(10);
    if (kind < 5) return buses_[bus].touch(name);
    if (kind < 7) return buses_[bus].trim(name);
    if (kind < 9) return buses_[bus].remove(name);
    buses_[bus].flush(workers_.size());
  }
  void set_back(simulated_worker& w, const std::string& name, bus_index bus) {
    note("sets a group back for " + name, bus);
    w.set_back(name, chance_.chance(70) ? "engines" : "others", bus);
    // The others learn of it later, from the bus's statistics.
    if (workers_.size() == 1) return;
    events_.at(events_.now() + 2 * world_.slowest + milliseconds(5), [this, bus] {
      for (auto& other : workers_) other.links().recheck(bus);
    });
  }
  void lose(simulated_worker& w, bus_index bus, bool link, bool watcher) {
    const auto noticed_after = chance_.up_to(chance_.chance(50) ? milliseconds(250) : milliseconds(5));
    if (link) w.links().lose_bus(bus, chance_.up_to(milliseconds(10)));
    if (watcher) w.links().lose_watcher(bus, noticed_after);
    if (chance_.chance(20)) return;  // some stay away
    events_.at(events_.now() + noticed_after + chance_.up_to(milliseconds(50)), [this, &w, bus] {
      restore_one(w, bus);
      // Others come back at the same time, and write.
      const key& k = any_key();
      if (chance_.chance(50) && (k.only == command::no_bus || k.only == bus)) add_several(k.name, bus);
    });
  }
  void restore_one(simulated_worker& w, bus_index bus) {
    w.links().regain_bus(bus);
    w.links().regain_watcher(bus);
  }
  void note(const std::string& text, bus_index bus) {
    if (book_.tracing) world_.note(text + " on bus " + std::to_string(bus));
  }

  event_queue events_;
  dice chance_;
  ledger book_;
  std::deque<simulated_bus> buses_;
  world world_;
  base::duration pace_{};
  std::vector<key> keys_;
  std::vector<std::size_t> weights_;
  std::deque<simulated_worker> workers_;
  bool may_change_groups_ = false;
  std::size_t idle_readers_ = 0;
};

// Sanitizers are to see every path. That takes fewer runs, and each of those takes many times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(ParkedReadsSimulationTest, NobodySleepsWhileAnEntryOfHisWaits) {
  if (const std::uint64_t seed = number_from("DUALBUS_SIMULATION_SEED", 0); seed != 0) {
    simulation world(seed, lie::none, true);
    const std::string wrong = world.run();
    for (const std::string& line : world.book().trace) std::cout << line << '\n';
    ASSERT_EQ(wrong, "") << "seed " << seed;
    return;
  }
  const std::uint64_t runs = number_from("DUALBUS_SIMULATION_RUNS", sanitized ? 400 : 4000);
  std::size_t delivered = 0, sweeps = 0, idle_readers = 0;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    simulation world(seed, lie::none);
    const std::string wrong = world.run();
    ASSERT_EQ(wrong, "") << "seed " << seed;
    delivered += world.book().delivered;
    sweeps += world.book().sweeps;
    idle_readers += world.idle_readers();
  }
  std::cout << runs << " runs, " << delivered << " entries delivered, " << sweeps << " sweeps\n";
  // There was something to see.
  EXPECT_GT(delivered, 10 * runs);
  EXPECT_GT(idle_readers, 2 * runs);
}

class ParkedReadsLieTest : public testing::TestWithParam<std::pair<const char*, lie>> {};

// Were one of these not noticed, the simulation would not look where it matters.
TEST_P(ParkedReadsLieTest, IsNoticed) {
  if (sanitized) GTEST_SKIP() << "tests the simulation, not what it simulates";
  constexpr std::uint64_t most = 4000;
  std::string wrong;
  std::uint64_t seed = 0;
  while (wrong.empty() && seed < most) wrong = simulation(++seed, GetParam().second).run();
  EXPECT_NE(wrong, "") << "in " << most << " runs";
  std::cout << "run " << seed << ": " << wrong << '\n';
}

INSTANTIATE_TEST_SUITE_P(EveryRuleLeftOut, ParkedReadsLieTest,
                         testing::Values(std::pair{"ArmsWhenAsked", lie::arms_when_asked},
                                         std::pair{"ArmsAfterAnnouncements", lie::arms_after_announcements},
                                         std::pair{"SightsWithoutArming", lie::sights_without_arming},
                                         std::pair{"SightsWhenParking", lie::sights_when_parking},
                                         std::pair{"SightsFailedReads", lie::sights_failed_reads},
                                         std::pair{"ForgetsChangesInSweeps", lie::forgets_changes_in_sweeps},
                                         std::pair{"HidesChanges", lie::hides_changes},
                                         std::pair{"HidesLostWatchers", lie::hides_lost_watchers},
                                         std::pair{"HidesFlushes", lie::hides_flushes},
                                         std::pair{"HidesReturnedBuses", lie::hides_returned_buses},
                                         std::pair{"HidesFailedSweeps", lie::hides_failed_sweeps},
                                         std::pair{"ForgetsHeldEntries", lie::forgets_held_entries},
                                         std::pair{"HidesGroupChanges", lie::hides_group_changes},
                                         std::pair{"HidesForeignGroupChanges",
                                                   lie::hides_foreign_group_changes},
                                         std::pair{"KeepsTheDeparted", lie::keeps_the_departed},
                                         std::pair{"StopsTheClock", lie::stops_the_clock},
                                         std::pair{"HidesRefusedEntries", lie::hides_refused_entries},
                                         std::pair{"HidesFailedArmings", lie::hides_failed_armings},
                                         std::pair{"ArmsOutOfOrder", lie::arms_out_of_order},
                                         std::pair{"HidesLostArmings", lie::hides_lost_armings}),
                         [](const auto& tried) { return std::string(tried.param.first); });

}  // namespace
}  // namespace dualbus::stream::simulation
