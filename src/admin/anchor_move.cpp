#include "bus_links.hpp"
#include "stop_signal.hpp"
#include "stream_replies.hpp"

#include <dualbus/admin/anchor_move.hpp>
#include <dualbus/base/log.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace dualbus::admin {
namespace {

using command::bus_index;

constexpr std::size_t most_named = 10;
constexpr std::size_t streams_at_once = 16;
// A page takes Redis less than a millisecond.
constexpr std::string_view page_keys = "1000";
constexpr std::size_t page_cost = 5;

using names = std::vector<std::string>;

bool has(const names& all, const std::string& name) {
  return std::find(all.begin(), all.end(), name) != all.end();
}

class mover {
 public:
  mover(const config::configuration& running, const config::configuration& loaded, const stop_signal& stop)
      : loaded_(loaded),
        table_(loaded.routing),
        from_(running.routing.anchor),
        to_(loaded.routing.anchor),
        drained_(running.routing.buses[to_].draining),
        links_(loaded.buses, stop, {.connect_timeout = loaded.backend.connect_timeout}) {}

  anchor_move::findings run() {
    links_.begin();
    std::set<std::string> streams;
    if (scan(from_, streams) && scan(to_, streams)) {
      std::vector<std::string> some;
      for (auto each = streams.begin(); each != streams.end() && links_.errors().empty();) {
        some.push_back(*each++);
        if (some.size() < streams_at_once && each != streams.end()) continue;
        if (!carry_over(std::exchange(some, {}))) break;
      }
    }
    for (const auto& [bus, reason] : links_.errors()) {
      found_.mistakes.push_back("anchor: bus '" + name(bus) +
                                "' could not be asked for its groups: " + base::in_log(reason, 200));
    }
    if (strange_ > most_named)
      found_.mistakes.push_back("anchor: … and " + std::to_string(strange_ - most_named) +
                                " more such groups");
    return std::move(found_);
  }

 private:
  const std::string& name(bus_index bus) const { return loaded_.routing.buses[bus].name; }

  // Adds the logical streams of the bus.
  bool scan(bus_index bus, std::set<std::string>& streams) {
    std::string cursor = "0";
    do {
      request_batch one;
      one.add({"SCAN", cursor, "COUNT", page_keys, "TYPE", "stream"});
      const bool answered = links_.exchange(bus, one, [&](std::size_t, std::string_view reply) {
        auto page = read_scan_page(reply);
        if (!page) return "SCAN: " + std::string(error_in(reply));
        cursor = std::move(page->cursor);
        for (std::string& key : page->keys)
          if (table_.pinned_bus(key) == command::no_bus) streams.insert(std::move(key));
        return std::string();
      });
      if (!answered || !links_.pace(page_cost)) return false;
    } while (cursor != "0");
    return true;
  }

  bool groups_of(bus_index bus, const std::vector<std::string>& streams, std::vector<names>& groups) {
    request_batch batch;
    for (const std::string& key : streams) batch.add({"XINFO", "GROUPS", key});
    return links_.exchange(bus, batch, [&](std::size_t, std::string_view reply) {
      const std::string_view error = error_in(reply);
      const bool none = error == "ERR no such key" || error.starts_with("WRONGTYPE");
      auto read = none ? names() : read_group_names(reply);
      if (!read) return "XINFO GROUPS: " + std::string(error);
      groups.push_back(std::move(*read));
      return std::string();
    });
  }

  bool carry_over(const std::vector<std::string>& streams) {
    std::vector<names> on_old, on_new;
    if (!groups_of(from_, streams, on_old) || !groups_of(to_, streams, on_new)) return false;
    request_batch batch;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      for (const std::string& group : on_old[i])
        if (!has(on_new[i], group)) batch.add({"XGROUP", "CREATE", streams[i], group, "0", "MKSTREAM"});
      for (const std::string& group : on_new[i])
        if (!drained_ && !has(on_old[i], group)) note_strange(streams[i], group);
    }
    if (batch.size() == 0) return links_.pace(2 * streams.size());
    found_.made += batch.size();
    const bool made = links_.exchange(to_, batch, [](std::size_t, std::string_view reply) {
      const std::string_view error = error_in(reply);  // BUSYGROUP: somebody was faster
      return error.empty() || error.starts_with("BUSYGROUP") ? std::string()
                                                             : "XGROUP CREATE: " + std::string(error);
    });
    return made && links_.pace(2 * streams.size() + batch.size());
  }

  void note_strange(const std::string& key, const std::string& group) {
    if (++strange_ > most_named) return;
    found_.mistakes.push_back("anchor: group '" + base::in_log(group) + "' of stream '" + base::in_log(key) +
                              "' is on bus '" + name(to_) + "', but not on the anchor '" + name(from_) +
                              "': clients would find a group that does not exist now; create it, or say "
                              "XGROUP DESTROY on that bus");
  }

  const config::configuration& loaded_;
  const command::routing_table table_;
  const bus_index from_, to_;
  const bool drained_;  // a group exists already that only a draining bus has
  bus_links links_;
  anchor_move::findings found_;
  std::uint64_t strange_ = 0;
};

}  // namespace

anchor_move::anchor_move() : stop_(std::make_unique<stop_signal>()) {}

anchor_move::~anchor_move() = default;

void anchor_move::stop() {
  stop_->raise();
}

anchor_move::findings anchor_move::run(const config::configuration& running,
                                       const config::configuration& loaded) const {
  if (running.routing.anchor == loaded.routing.anchor) return {};
  return mover(running, loaded, *stop_).run();
}

}  // namespace dualbus::admin
