#pragma once

#include "simulated_bus.hpp"

#include <dualbus/stream/parked_reads.hpp>

#include <deque>
#include <memory>
#include <string>

namespace dualbus::stream::simulation {

using command::bus_index;

/// How a worker may deceive its parked_reads; each leaves out one of the rules that it lives by.
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
};

struct world {
  event_queue& events;
  dice& chance;
  ledger& book;
  std::deque<simulated_bus>& buses;
  base::duration slowest;  // of a message, one way
  lie deceit;
  unsigned errors = 0;  // how many requests of a hundred are refused
  entry_number entries = 0;

  void note(const std::string& what) const {
    const auto since = std::chrono::duration_cast<std::chrono::microseconds>(events.now().time_since_epoch());
    book.trace.push_back(std::to_string(since.count()) + " " + what);
  }
};

/// A worker's connections: to each bus one for requests and one that watches keys. It tells parked_reads what
/// it notices, and then calls `noticed`.
class simulated_links {
 public:
  simulated_links(world& around, std::size_t worker, parked_reads& told)
      : w_(around), worker_(worker), reads_(told) {
    for (std::size_t i = 0; i < w_.buses.size(); ++i) {
      links_.emplace_back(w_);
      reads_.watcher_up(static_cast<bus_index>(i), now());
    }
  }

  std::function<void()> noticed;
  std::function<bool(const std::string& key)> is_looked_at;  // by one of the worker's readers

  /// Whether there is a connection, and whether parked_reads thinks so.
  bool is_up(bus_index bus) const { return links_[bus].up; }
  bool is_said_up(bus_index bus) const { return links_[bus].said_up; }

  // --- requests and armings, answered in the order in which they were sent

  /// `execute` on the bus, then `done` here; nullptr: refused, lost or not sent.
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
    l.out.drop();
    l.in.drop();
    for (auto& sent : std::exchange(l.sent, {})) fail(sent);
    w_.events.at(now() + noticed_after, [this, bus] {
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
    if (w_.deceit == lie::hides_returned_buses || std::exchange(l.said_up, true)) return;
    reads_.bus_up(bus, now());
    noticed();
  }
  void lose_watcher(bus_index bus, base::duration noticed_after) {
    link& l = links_[bus];
    if (!l.watching || l.watcher_lost) return;
    note("loses the watcher", bus);
    l.watcher_lost = true;
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
    noticed();
  }
  /// The bus writes an announcement; an empty key: all keys.
  void announce(bus_index bus, const std::string& key) {
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
    explicit link(world& w)
        : out(w.events, w.chance, w.slowest),
          in(w.events, w.chance, w.slowest),
          watcher_out(w.events, w.chance, w.slowest),
          watcher_in(w.events, w.chance, w.slowest) {}
    channel out, in, watcher_out, watcher_in;
    std::deque<std::shared_ptr<request_in_flight>> sent;
    bool up = true, said_up = true, watching = true, watcher_lost = false;
  };

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
  void note(const std::string& what, bus_index bus) const {
    if (!w_.book.tracing) return;
    w_.note("worker " + std::to_string(worker_) + " " + what + " on bus " + std::to_string(bus));
  }

  world& w_;
  const std::size_t worker_;
  parked_reads& reads_;
  std::deque<link> links_;
};

}  // namespace dualbus::stream::simulation
