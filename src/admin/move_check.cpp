#include "bus_links.hpp"
#include "stop_signal.hpp"
#include "stream_replies.hpp"

#include <dualbus/admin/move_check.hpp>
#include <dualbus/base/log.hpp>

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

namespace dualbus::admin {
namespace {

using command::bus_index;
using command::no_bus;
using command::routing_table;

constexpr std::size_t most_named = 10;
constexpr std::size_t streams_at_once = 16;
// A page takes Redis less than a millisecond.
constexpr std::string_view page_keys = "1000";
constexpr std::size_t page_cost = 5;

/// The rules of one database, before and after.
struct rules {
  routing_table before, after;

  bool stream_moves(std::string_view key) const { return before.pinned_bus(key) != after.pinned_bus(key); }
  /// True if commands of other types than streams find the key on the bus before, and not after.
  bool loses(std::string_view key, bus_index bus) const {
    return before.bus_of_key(key) == bus && after.bus_of_key(key) != bus;
  }
};

bool same_placement(const command::routing_rules& a, const command::routing_rules& b) {
  const bus_index key_bus_a = a.default_key_bus == no_bus ? a.default_bus : a.default_key_bus;
  const bus_index key_bus_b = b.default_key_bus == no_bus ? b.default_bus : b.default_key_bus;
  return key_bus_a == key_bus_b &&
         std::equal(a.keys.begin(), a.keys.end(), b.keys.begin(), b.keys.end(),
                    [](const auto& x, const auto& y) { return x.match == y.match && x.bus == y.bus; });
}

std::string quoted(std::string_view name) {
  return "'" + base::in_log(name) + "'";
}

std::string counted(std::uint64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

class mover {
 public:
  mover(const config::configuration& running, const config::configuration& loaded, const stop_signal& stop)
      : loaded_(loaded),
        buses_(running.routing.buses),
        anchor_(running.routing.anchor),
        links_(loaded.buses, stop, {.connect_timeout = running.backend.connect_timeout}),
        databases_(running.databases) {
    tables_.push_back({routing_table(running.routing), routing_table(loaded.routing)});
    if (databases_ == 1) return;
    tables_.push_back({routing_table(command::with_every_key_pinned(running.routing)),
                       routing_table(command::with_every_key_pinned(loaded.routing))});
  }

  move_report run(const config::configuration& running) {
    links_.begin();
    for (std::size_t i = 0; i < buses_.size(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      others_ = 0;
      for (int d = 0; d < databases_ && !links_.errors().contains(bus); ++d) {
        const rules& which = tables_[d == 0 ? 0 : 1];
        if (select(bus, running.buses[i].database + d)) look_at(bus, which, d);
      }
      if (others_ > 0) {
        report_.others.push_back(
            "bus " + quoted(name(bus)) + " has " +
            counted(others_, "key that is no stream and gets", "keys that are no streams and get") +
            " out of reach, such as " + quoted(example_) + ": nothing is moved");
      }
    }
    for (const auto& [bus, reason] : links_.errors())
      report_.unchecked.push_back("bus " + quoted(name(bus)) +
                                  " could not be asked what its keys are: " + base::in_log(reason));
    return std::move(report_);
  }

 private:
  const std::string& name(bus_index bus) const { return buses_[bus].name; }
  std::string place(bus_index bus) const { return bus == no_bus ? "all buses" : "bus " + quoted(name(bus)); }

  bool select(bus_index bus, int database) {
    if (databases_ == 1) return true;  // the connection has selected it
    request_batch one;
    one.add({"SELECT", std::to_string(database)});
    return links_.exchange(bus, one,
                           [](std::size_t, std::string_view reply) { return std::string(error_in(reply)); });
  }

  // Streams come first: they are left out of the count of other keys.
  void look_at(bus_index bus, const rules& which, int database) {
    std::vector<std::string> waiting;
    std::unordered_set<std::string> streams;
    bool good = scan(bus, true, [&](std::string&& key) {
      if (which.loses(key, bus)) streams.insert(key);
      if (which.stream_moves(key)) waiting.push_back(std::move(key));
    });
    std::sort(waiting.begin(), waiting.end());
    waiting.erase(std::unique(waiting.begin(), waiting.end()), waiting.end());
    for (std::size_t at = 0; good && at < waiting.size(); at += streams_at_once) {
      const auto end = std::min(waiting.size(), at + streams_at_once);
      good = inspect(bus, which,
                     {waiting.begin() + static_cast<std::ptrdiff_t>(at),
                      waiting.begin() + static_cast<std::ptrdiff_t>(end)},
                     database);
    }
    if (!good) return;
    scan(bus, false, [&](std::string&& key) {
      if (!which.loses(key, bus) || streams.contains(key)) return;
      if (others_++ == 0) example_ = std::move(key);
    });
  }

  template <typename Take>
  bool scan(bus_index bus, bool streams, Take&& take) {
    std::string cursor = "0";
    do {
      request_batch one;
      if (streams) {
        one.add({"SCAN", cursor, "COUNT", page_keys, "TYPE", "stream"});
      } else {
        one.add({"SCAN", cursor, "COUNT", page_keys});
      }
      const bool answered = links_.exchange(bus, one, [&](std::size_t, std::string_view reply) {
        auto page = read_scan_page(reply);
        if (!page) return "SCAN: " + std::string(error_in(reply));
        cursor = std::move(page->cursor);
        for (std::string& key : page->keys) take(std::move(key));
        return std::string();
      });
      if (!answered || !links_.pace(page_cost)) return false;
    } while (cursor != "0");
    return true;
  }

  bool inspect(bus_index bus, const rules& which, const std::vector<std::string>& keys, int database) {
    request_batch batch;
    for (const std::string& key : keys) batch.add({"XINFO", "STREAM", key, "FULL", "COUNT", "1"});
    const bool answered = links_.exchange(bus, batch, [&](std::size_t index, std::string_view reply) {
      const std::string_view error = error_in(reply);
      if (error == "ERR no such key" || error.starts_with("WRONGTYPE")) return std::string();
      auto found = read_stream(reply, 0);
      if (!found) return "XINFO STREAM: " + std::string(error);
      found->key = keys[index];
      judge(bus, which, *found, database);
      return std::string();
    });
    return answered && links_.pace(2 * keys.size()) && look_for_hidden_groups();
  }

  // A stream that is no longer pinned has the groups that the anchor has.
  bool look_for_hidden_groups() {
    const std::vector<pinned_groups> asked = std::exchange(may_hide_, {});
    request_batch batch;
    for (const pinned_groups& one : asked) batch.add({"XINFO", "GROUPS", one.key});
    if (asked.empty() || !select(anchor_, loaded_.buses[anchor_].database)) return true;
    links_.exchange(anchor_, batch, [&](std::size_t index, std::string_view reply) {
      const std::string_view error = error_in(reply);
      auto names = error.empty() ? read_group_names(reply) : std::vector<std::string>();
      if (!names || (!error.empty() && error != "ERR no such key" && !error.starts_with("WRONGTYPE")))
        return "XINFO GROUPS: " + std::string(error);
      for (const std::string& group : asked[index].groups) {
        if (std::find(names->begin(), names->end(), group) != names->end()) continue;
        if (++hidden_groups_ > most_named) continue;
        report_.others.push_back("group " + quoted(group) + " of stream " + quoted(asked[index].key) +
                                 " is on bus " + quoted(name(asked[index].bus)) + ", but not on the anchor " +
                                 quoted(name(anchor_)) +
                                 ": its readers get NOGROUP once that bus has nothing for them; XGROUP "
                                 "CREATE makes it there, and leaves its position on the other bus as it is");
      }
      return std::string();
    });
    return true;
  }

  void judge(bus_index bus, const rules& which, const drain_stream& stream, int database) {
    const bus_index before = which.before.pinned_bus(stream.key), after = which.after.pinned_bus(stream.key);
    if (before != no_bus && before != bus) return;  // out of sight already
    std::uint64_t pending = 0;
    std::string behind;
    for (const drain_group& group : stream.groups) {
      pending += group.pending;
      if (stream.length == 0 || !(group.position < stream.last_generated)) continue;
      behind += (behind.empty() ? "" : ", ") + quoted(group.name);
    }
    const bool hidden = after != no_bus && after != bus;
    if (before == bus && after == no_bus && bus != anchor_) note_groups(bus, stream);
    // The bus with slot 0 has IDs that are the same in both forms.
    if (hidden ? stream.length == 0 && pending == 0 : pending == 0 || buses_[bus].id_slot == 0) return;
    if (report_.streams.size() >= most_named) {
      ++report_.more_streams;
      return;
    }
    std::string text = "stream " + quoted(stream.key);
    if (database != 0) text += " of database " + std::to_string(database);
    text += " goes from " + place(before) + " to " + place(after) + ": ";
    if (hidden) {
      text += counted(stream.length, "entry", "entries") + " on bus " + quoted(name(bus)) +
              " would get out of sight, and " + std::to_string(pending) + " pending there";
      if (!behind.empty())
        text += "; not read to the end by " + (behind.size() > 300 ? behind.substr(0, 300) + "…" : behind);
    } else {
      text += counted(pending, "entry is", "entries are") + " pending on bus " + quoted(name(bus)) +
              ", and the IDs that consumers hold of them would not be known any more";
    }
    report_.streams.push_back(std::move(text));
  }

  void note_groups(bus_index bus, const drain_stream& stream) {
    pinned_groups one{bus, stream.key, {}};
    for (const drain_group& group : stream.groups) {
      const auto action = loaded_.missing_group.of(stream.key, group.name).action;
      if (action == config::missing_group_action::error) one.groups.push_back(group.name);
    }
    if (!one.groups.empty()) may_hide_.push_back(std::move(one));
  }

  struct pinned_groups {
    bus_index bus;
    std::string key;
    std::vector<std::string> groups;
  };

  const config::configuration& loaded_;
  const std::vector<command::bus_rules>& buses_;
  const bus_index anchor_;
  bus_links links_;
  const int databases_;
  std::vector<rules> tables_;  // of database 0, and of the others
  move_report report_;
  std::vector<pinned_groups> may_hide_;
  std::uint64_t others_ = 0, hidden_groups_ = 0;
  std::string example_;
};

}  // namespace

move_check::move_check() : stop_(std::make_unique<stop_signal>()) {}

move_check::~move_check() = default;

move_report move_check::run(const config::configuration& running, const config::configuration& loaded) const {
  if (same_placement(running.routing, loaded.routing)) return {};
  return mover(running, loaded, *stop_).run(running);
}

void move_check::stop() {
  stop_->raise();
}

bool move_check::stopped() const {
  return stop_->raised();
}

}  // namespace dualbus::admin
