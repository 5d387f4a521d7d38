#pragma once

#include "simulated_bus.hpp"

#include <dualbus/stream/parked_reads.hpp>

#include <deque>
#include <memory>
#include <string>

namespace dualbus::stream::simulation {

using command::bus_index;

/// The ways in which a worker may deceive its parked_reads; each leaves out one of the rules it lives by.
enum class lie : std::uint8_t {
  none,
  arms_when_asked,              ///< a key counts as watched when EXISTS is sent, not when it is answered
  arms_after_announcements,     ///< EXISTS is reported later than announcements that came behind its reply
  sights_without_arming,        ///< a first read counts as sent while the key was watched though it was not
  sights_when_parking,          ///< what is known of a key is taken when the first read is answered
  sights_failed_reads,          ///< a bus that did not answer the first read had nothing
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
  hides_refused_entries,        ///< an entry that was refused, or not answered, counts as added
  hides_failed_armings,         ///< an arming that failed counts as done
  arms_out_of_order,            ///< armings go in front of reads of another connection
  hides_lost_armings,           ///< a new connection of the reads counts as the old one
};

/// The armings of a worker's reads, and of its watcher.
constexpr std::size_t of_reads = 100;

struct world {
  event_queue& events;
  dice& chance;
  ledger& book;
  std::deque<simulated_bus>& buses;
  base::duration slowest;  // of a message, one way
  lie deceit;
  bool arms_in_front = false;
  unsigned errors = 0;  // how many requests of a hundred are refused
  entry_number entries = 0;

  void note(const std::string& text) const {
    const auto since = std::chrono::duration_cast<std::chrono::microseconds>(events.now().time_since_epoch());
    book.trace.push_back(std::to_string(since.count()) + " " + text);
  }
};

/// A worker's connections: to each bus one for requests, one for those that are not sent in order with them,
/// and one that watches keys. It tells parked_reads what it notices, and then calls `noticed`.
class simulated_links {
 public:
  simulated_links(world& around, std::size_t worker, parked_reads& told)
      : w_(around), worker_(worker), reads_(told) {
    for (std::size_t i = 0; i < w_.buses.size(); ++i) {
      links_.emplace_back(w_);
      reads_.watcher_up(static_cast<bus_index>(i), now());
      let_arm(static_cast<bus_index>(i));
    }
  }

  std::function<void()> noticed;
  std::function<bool(const std::string& key)> is_looked_at;  // by one of the worker's readers

  /// True if there is a connection; is_said_up(): true if parked_reads thinks so.
  bool is_up(bus_index bus) const { return links_[bus].up; }
  bool is_said_up(bus_index bus) const { return links_[bus].said_up; }

  // --- requests and armings, answered in the order in which they were sent

  /// `execute` on the bus, then `done` here; nullptr: refused, lost or not sent.
  void request(bus_index bus, bool in_order, std::function<reading()> execute,
               std::function<void(const reading*)> done) {
    if (w_.deceit == lie::arms_out_of_order) in_order = w_.chance.chance(50);
    auto made = std::make_shared<request_in_flight>();
    made->execute = std::move(execute);
    made->done = std::move(done);
    if (!links_[bus].up) {
      w_.events.at(now() + std::chrono::microseconds(10), [this, made] { fail(made); });
      return;
    }
    const bool refused = w_.chance.chance(w_.errors);
    link::connection& through = in_order ? links_[bus].reads : links_[bus].other;
    through.sent.push_back(made);
    through.out.send([this, &through, made, refused] {
      if (!refused) made->result = made->execute();
      through.in.send([&through, refused] {
        const auto answered = through.sent.front();
        through.sent.pop_front();
        answered->done(refused ? nullptr : &answered->result);
      });
    });
  }
  /// In front of a read.
  void arm_in_front(bus_index bus, const std::string& key, std::uint32_t number) {
    if (!links_[bus].watching) w_.book.fail("an arming goes in front though nobody hears the announcement");
    note("arms in front " + key, bus);
    request(
        bus, true,
        [this, bus, key] {
          w_.buses[bus].watch(of_reads + worker_, key);
          return reading{};
        },
        [this, bus, number](const reading* answer) {
          const bool done = answer != nullptr || w_.deceit == lie::hides_failed_armings;
          reads_.arming_answered(bus, number, done, now());
          noticed();
        });
  }
  void arm(bus_index bus, const std::string& key) {
    if (!links_[bus].watching && w_.deceit != lie::hides_lost_watchers) {
      w_.book.fail("a key is armed on a bus that is not watched");
    }
    note("arms " + key, bus);
    links_[bus].watcher_out.send([this, bus, key] {
      w_.buses[bus].watch(worker_, key);
      links_[bus].watcher_in.send([this, bus, key] {
        if (w_.deceit != lie::arms_after_announcements) return report_armed(bus, key);
        w_.events.at(now() + w_.slowest, [this, bus, key] { report_armed(bus, key); });
      });
    });
    if (w_.deceit == lie::arms_when_asked) reads_.armed(bus, key, now());
  }

  // --- accidents

  void lose_bus(bus_index bus, base::duration noticed_after) {
    link& l = links_[bus];
    if (!l.up) return;
    note("loses the connection", bus);
    l.up = false;
    for (link::connection* const lost : {&l.reads, &l.other}) {
      lost->out.drop();
      lost->in.drop();
      for (auto& sent : std::exchange(lost->sent, {})) fail(sent);
    }
    w_.buses[bus].forget(of_reads + worker_);
    l.redirected = false;
    ++l.redirection;
    w_.events.at(now() + noticed_after, [this, bus] {
      stop_arming(bus);
      noticed();
      if (links_[bus].up || !std::exchange(links_[bus].said_up, false)) return;
      reads_.bus_down(bus);
      noticed();
    });
  }
  void regain_bus(bus_index bus) {
    link& l = links_[bus];
    if (l.up) return;
    note("regains the connection", bus);
    l.up = true;
    stop_arming(bus);
    noticed();
    if (l.watching) let_arm(bus);
    if (w_.deceit == lie::hides_returned_buses || std::exchange(l.said_up, true)) return;
    reads_.bus_up(bus, now());
    noticed();
  }
  void lose_watcher(bus_index bus, base::duration noticed_after) {
    link& l = links_[bus];
    if (!l.watching || l.watcher_lost) return;
    note("loses the watcher", bus);
    l.watcher_lost = true;
    l.redirected = false;
    ++l.redirection;
    l.watcher_out.cut();
    l.watcher_in.cut();
    l.watcher_out.drop();
    if (w_.chance.chance(50)) l.watcher_in.drop();
    w_.buses[bus].forget(worker_);
    w_.events.at(now() + noticed_after, [this, bus] {
      link& lost = links_[bus];
      note("notices that the watcher is lost", bus);
      lost.watcher_in.drop();
      lost.watching = false;
      if (w_.deceit == lie::hides_lost_watchers) return;
      reads_.watcher_down(bus, now());
      stop_arming(bus);
      noticed();
    });
  }
  void regain_watcher(bus_index bus) {
    link& l = links_[bus];
    if (l.watching) return;
    note("regains the watcher", bus);
    l.watching = true;
    l.watcher_lost = false;
    l.watcher_out.connect();
    l.watcher_in.connect();
    if (w_.deceit == lie::hides_lost_watchers) return;
    reads_.watcher_up(bus, now());
    if (l.up) let_arm(bus);
    noticed();
  }
  /// The bus writes an announcement; an empty key: all keys.
  void announce(bus_index bus, const std::string& key, bool armed_by_reads = false) {
    if (armed_by_reads && !links_[bus].redirected) return;
    links_[bus].watcher_in.send([this, bus, key] {
      if (w_.deceit == lie::hides_changes) return;
      note("hears of " + key, bus);
      if (!key.empty()) {
        if (w_.deceit == lie::forgets_changes_in_sweeps && is_looked_at(key)) return;
        reads_.changed(bus, key, now());
      } else if (w_.deceit != lie::hides_flushes) {
        reads_.watcher_down(bus, now());
        reads_.watcher_up(bus, now());
      }
      noticed();
    });
  }

  /// Groups may have been changed through another worker.
  void recheck(bus_index bus) {
    if (w_.deceit == lie::hides_foreign_group_changes) return;
    reads_.recheck(bus, now());
    noticed();
  }

 private:
  struct request_in_flight {
    std::function<reading()> execute;
    std::function<void(const reading*)> done;  // nullptr: failed
    reading result;
  };
  struct link {
    struct connection {
      explicit connection(world& w) : out(w.events, w.chance, w.slowest), in(w.events, w.chance, w.slowest) {}
      channel out, in;
      std::deque<std::shared_ptr<request_in_flight>> sent;
    };
    explicit link(world& w)
        : reads(w),
          other(w),
          watcher_out(w.events, w.chance, w.slowest),
          watcher_in(w.events, w.chance, w.slowest) {}
    connection reads, other;
    channel watcher_out, watcher_in;
    bool up = true, said_up = true, watching = true, watcher_lost = false;
    bool redirected = false;      // the bus announces what the reads have armed
    std::size_t redirection = 0;  // another one for every pair of connections
  };

  // Keys that the reads arm are announced to the watcher, once the bus knows both.
  void let_arm(bus_index bus) {
    if (!w_.arms_in_front) return;
    request(
        bus, true,
        [this, bus, of = links_[bus].redirection] {
          links_[bus].redirected = of == links_[bus].redirection;
          return reading{};
        },
        [this, bus, of = links_[bus].redirection](const reading* answer) {
          if (answer == nullptr || of != links_[bus].redirection) return;
          reads_.arms_in_front(bus, true, now());
          noticed();
        });
  }
  void stop_arming(bus_index bus) {
    if (w_.deceit != lie::hides_lost_armings) reads_.arms_in_front(bus, false, now());
  }

  base::time_point now() const { return w_.events.now(); }
  void fail(const std::shared_ptr<request_in_flight>& sent) {
    w_.book.lost += sent->result.entries.size();
    sent->done(nullptr);
  }
  void report_armed(bus_index bus, const std::string& key) {
    note("has armed " + key, bus);
    reads_.armed(bus, key, now());
    noticed();
  }
  void note(const std::string& text, bus_index bus) const {
    if (!w_.book.tracing) return;
    w_.note("worker " + std::to_string(worker_) + " " + text + " on bus " + std::to_string(bus));
  }

  world& w_;
  const std::size_t worker_;
  parked_reads& reads_;
  std::deque<link> links_;
};

}  // namespace dualbus::stream::simulation
