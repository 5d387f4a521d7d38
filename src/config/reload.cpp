#include "key_table.hpp"

#include <dualbus/config/reload.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <tuple>

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
    if (running.buses[i].sentinel.password != loaded.buses[now].sentinel.password)
      changed.push_back(path + ".sentinel: another password");
  }
  for (const auto& bus : after) {
    if (index_of(running, bus.name) < before.size()) continue;
    changed.push_back("buses." + bus.name);
    same_set = false;
  }
  if (same_set && !same_order) changed.emplace_back("buses");
}

// Rows that are resolved together, or not kept as they were written, are compared in their resolved form.
bool same_rules(const std::vector<command::match_rule>& a, const std::vector<command::match_rule>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return std::tie(x.match, x.bus) == std::tie(y.match, y.bus);
  });
}

bool same_rule(const missing_group_settings::rule& a, const missing_group_settings::rule& b) {
  return std::tie(a.key, a.group, a.action, a.start) == std::tie(b.key, b.group, b.action, b.start);
}

bool same_users(const std::vector<user_settings>& a, const std::vector<user_settings>& b) {
  const auto all_of = [](const user_settings& u) {
    return std::tie(u.name, u.enabled, u.no_password, u.password_hashes, u.password_file, u.password_env,
                    u.commands, u.keys, u.channels, u.message_types);
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](const auto& x, const auto& y) { return all_of(x) == all_of(y); });
}

void add_unfetched(const configuration& running, const configuration& loaded,
                   std::vector<std::string>& changed) {
  const command::routing_rules &before = running.routing, &after = loaded.routing;
  const auto& groups_before = running.missing_group;
  const auto& groups_after = loaded.missing_group;
  const auto add = [&changed](bool same, std::string_view name) {
    if (!same) changed.emplace_back(name);
  };
  add(before.default_bus == after.default_bus, "routing.default_bus");
  add(before.default_key_bus == after.default_key_bus, "routing.default_key_bus");
  add(same_rules(before.types, after.types), "routing.types");
  add(same_rules(before.keys, after.keys), "routing.keys");
  add(same_rules(before.channels, after.channels), "routing.channels");
  add(groups_before.otherwise.action == groups_after.otherwise.action, "missing_group.action");
  add(groups_before.otherwise.start == groups_after.otherwise.start, "missing_group.start");
  add(std::equal(groups_before.rules.begin(), groups_before.rules.end(), groups_after.rules.begin(),
                 groups_after.rules.end(), same_rule),
      "missing_group.rules");
  add(same_users(running.auth.users, loaded.auth.users), "auth.users");
}

}  // namespace

std::vector<std::string> changed_keys(const configuration& running, const configuration& loaded) {
  std::vector<std::string> changed;
  for (const key_row& row : key_rows()) {
    if (row.bind.fetch == nullptr) continue;
    const bool of_bus = row.path.starts_with(bus_prefix);
    const std::size_t count = of_bus ? running.buses.size() : 1;
    for (std::size_t i = 0; i < count; ++i) {
      bool same = row.bind.fetch(running, i) == row.bind.fetch(loaded, i);
      const bool names_password = row.path == "buses.*.password_file" || row.path == "buses.*.password_env";
      if (names_password && !row.bind.fetch(loaded, i).text.empty())
        same &= running.buses[i].password == loaded.buses[i].password;
      if (same) continue;
      changed.push_back(of_bus ? "buses." + running.routing.buses[i].name +
                                     std::string(row.path.substr(bus_prefix.size()))
                               : std::string(row.path));
    }
  }
  add_unfetched(running, loaded, changed);
  return changed;
}

std::vector<std::string> side_effects(const configuration& running, const configuration& loaded) {
  const command::routing_rules &before = running.routing, &after = loaded.routing;
  const bool together =
      before.default_key_bus == before.default_bus && after.default_key_bus == after.default_bus;
  if (before.default_bus == after.default_bus || !together) return {};
  const std::string& old_name = before.buses[before.default_bus].name;
  const std::string& new_name = after.buses[after.default_bus].name;
  return {"routing.default_bus and routing.default_key_bus go from '" + old_name + "' to '" + new_name +
          "': keys that are no streams and that no rule pins are looked for, and made, on '" + new_name +
          "' from now on, and counters there begin anew; 'default_key_bus: " + old_name +
          "' leaves them where they are"};
}

std::vector<std::string> new_workers_needed(const configuration& running, const configuration& loaded) {
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
