#include "bus_links.hpp"
#include "drain_check.hpp"
#include "stop_signal.hpp"

#include <dualbus/admin/retirement_check.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/config/bus_union.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace dualbus::admin {
namespace {

constexpr std::size_t most_named = 3;
// A stream may have got its last entry just before the first look.
constexpr std::chrono::milliseconds most_looks_apart{1000}, grace{2000};

using names = std::vector<std::string>;

class looker {
 public:
  looker(const config::configuration& running, const stop_signal& stop)
      : configuration_(running),
        table_(running.routing),
        stop_(stop),
        links_(running.buses, stop, {.connect_timeout = running.backend.connect_timeout}) {}

  /// The reasons why the bus is not drained; none if it is.
  names look_at(command::bus_index bus) {
    const auto quiet = configuration_.draining.quiet;
    const auto deadline = base::clock::now() + quiet + grace;
    quiet_databases seen;
    for (;;) {
      links_.begin();
      drain_check one(configuration_, table_, links_, seen, bus);
      const bool complete = one.run();
      if (stop_.raised()) return {"the daemon stops"};
      if (!complete || !one.errors().empty()) return reasons_of(one);
      const drain_report& report = one.report();
      if (report.verdict() == drain_verdict::drained) return {};
      const auto now = base::clock::now();
      if (!lacks_only_time(report) || now >= deadline) return reasons_of(report);
      stop_.wait(-1, 0, now + std::clamp<base::duration>(quiet / 4, pause, most_looks_apart));
    }
  }

 private:
  static constexpr std::chrono::milliseconds pause{50};

  // True if streams have not been quiet for long enough, and nothing else holds the bus.
  static bool lacks_only_time(const drain_report& report) {
    const auto& rows = report.held().rows;
    return std::none_of(rows.begin(), rows.end(), [](const auto& row) { return row.group.has_value(); });
  }

  names reasons_of(const drain_check& check) const {
    names all;
    for (const auto& [bus, reason] : check.errors())
      all.push_back("bus '" + table_.bus(bus).name + "' could not be asked: " + base::in_log(reason, 200));
    if (all.empty()) all.emplace_back("it could not be asked");
    return all;
  }

  static names reasons_of(const drain_report& report) {
    names all;
    for (const drain_report::row& row : report.held().rows) {
      if (all.size() == most_named) break;
      const std::string stream = "stream '" + base::in_log(row.stream, 100) + "'";
      if (!row.group) {
        all.push_back(stream + " still gets entries");
      } else if (row.group->pending > 0) {
        all.push_back(stream + " has " + std::to_string(row.group->pending) + " pending entries of group '" +
                      base::in_log(row.group->name, 100) + "'");
      } else if (row.group->next) {
        all.push_back(stream + " has entries that group '" + base::in_log(row.group->name, 100) +
                      "' has not read");
      } else {
        all.push_back("group '" + base::in_log(row.group->name, 100) + "' of " + stream +
                      " is missing on other buses");
      }
    }
    if (report.held().total > all.size())
      all.push_back("… and " + std::to_string(report.held().total - all.size()) + " more");
    if (all.empty()) all.emplace_back("its state is not known");
    return all;
  }

  const config::configuration& configuration_;
  const command::routing_table table_;
  const stop_signal& stop_;
  bus_links links_;
};

}  // namespace

retirement_check::retirement_check() : stop_(std::make_unique<stop_signal>()) {}

retirement_check::~retirement_check() = default;

void retirement_check::stop() {
  stop_->raise();
}

std::vector<std::string> retirement_check::run(const config::configuration& running,
                                               const config::configuration& loaded) const {
  const config::bus_union both(running, loaded);
  names mistakes;
  std::optional<looker> looks;
  for (const command::bus_index bus : both.removed) {
    const command::bus_rules& rules = running.routing.buses[bus];
    const std::string path = "buses." + rules.name + ": is removed, but ";
    const std::string slot = std::to_string(rules.id_slot);
    if (!loaded.is_retired(rules.id_slot)) {
      mistakes.push_back(path + "its id_slot " + slot + " is not in 'retired_slots': add it there, so that " +
                         "no other bus gets the IDs that clients may still hold");
    }
    if (!rules.draining) {
      mistakes.push_back(
          path + "it is active: reload with 'state: draining' first, and remove it when it is " + "drained");
      continue;
    }
    if (!mistakes.empty()) continue;
    if (!looks) looks.emplace(running, *stop_);
    for (const std::string& reason : looks->look_at(bus))
      mistakes.push_back(path + "it is not drained: " + reason);
  }
  return mistakes;
}

}  // namespace dualbus::admin
