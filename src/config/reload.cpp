#include "key_table.hpp"

#include <dualbus/config/reload.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace dualbus::config {
namespace {

constexpr std::string_view bus_prefix = "buses.*";

std::size_t index_of(const configuration& c, const std::string& name) {
  const auto& buses = c.routing.buses;
  const auto found =
      std::find_if(buses.begin(), buses.end(), [&](const auto& bus) { return bus.name == name; });
  return static_cast<std::size_t>(found - buses.begin());
}

void compare_buses(const configuration& running, const configuration& loaded,
                   std::vector<std::string>& changed) {
  const auto& before = running.routing.buses;
  const auto& after = loaded.routing.buses;
  bool same_set = before.size() == after.size(), same_order = true;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::string path = "buses." + before[i].name;
    const std::size_t now = index_of(loaded, before[i].name);
    if (now == after.size()) {
      changed.push_back(path);
      same_set = false;
      continue;
    }
    same_order &= now == i;
    for (const key_row& row : key_rows()) {
      if (row.reload || !row.path.starts_with(bus_prefix)) continue;
      if (row.bind.fetch(running, i) == row.bind.fetch(loaded, now)) continue;
      changed.push_back(path + std::string(row.path.substr(bus_prefix.size())));
    }
  }
  for (const auto& bus : after) {
    if (index_of(running, bus.name) < before.size()) continue;
    changed.push_back("buses." + bus.name);
    same_set = false;
  }
  if (same_set && !same_order) changed.emplace_back("buses");
}

}  // namespace

std::vector<std::string> restart_needed(const configuration& running, const configuration& loaded) {
  std::vector<std::string> changed;
  bool buses_done = false;
  for (const key_row& row : key_rows()) {
    if (row.path.starts_with(bus_prefix)) {
      if (!buses_done) compare_buses(running, loaded, changed);
      buses_done = true;
    } else if (!row.reload && row.bind.fetch(running, 0) != row.bind.fetch(loaded, 0)) {
      changed.emplace_back(row.path);
    }
  }
  return changed;
}

}  // namespace dualbus::config
