#include <dualbus/config/bus_union.hpp>

#include <algorithm>
#include <cstddef>

namespace dualbus::config {
namespace {

using command::bus_index;
using command::no_bus;

bus_index find_name(const configuration& c, const std::string& name) {
  for (std::size_t i = 0; i < c.buses.size(); ++i)
    if (c.routing.buses[i].name == name) return static_cast<bus_index>(i);
  return no_bus;
}

// The bus of `c` that has another name there.
bus_index find_renamed(const configuration& c, const configuration& of, std::size_t bus) {
  for (std::size_t i = 0; i < c.buses.size(); ++i) {
    if (c.buses[i].has_address() && c.routing.buses[i].id_slot == of.routing.buses[bus].id_slot &&
        same_place(c.buses[i], of.buses[bus]) && find_name(of, c.routing.buses[i].name) == no_bus)
      return static_cast<bus_index>(i);
  }
  return no_bus;
}

// Changes the index of every bus; `to` has one for each.
void renumber(configuration& c, const std::vector<bus_index>& to) {
  command::routing_rules& rules = c.routing;
  for (bus_index* const each : {&rules.default_bus, &rules.default_key_bus, &rules.anchor})
    if (*each != no_bus && *each < to.size()) *each = to[*each];
  for (auto* const list : {&rules.types, &rules.keys, &rules.channels})
    for (command::match_rule& rule : *list) rule.bus = to[rule.bus];
  const std::vector<bus_settings> settings = c.buses;
  const std::vector<command::bus_rules> names = rules.buses;
  const std::size_t count = to.empty() ? 0 : std::size_t{*std::max_element(to.begin(), to.end())} + 1;
  c.buses.assign(std::max(count, settings.size()), {});
  rules.buses.assign(c.buses.size(), {});
  for (std::size_t i = 0; i < to.size(); ++i) {
    c.buses[to[i]] = settings[i];
    rules.buses[to[i]] = names[i];
  }
}

// Makes room for the bus in `c`, with what `other` says of it.
void put(configuration& c, const configuration& other, std::size_t bus) {
  if (c.buses.size() <= bus) {
    c.buses.resize(bus + 1);
    c.routing.buses.resize(bus + 1);
  }
  c.buses[bus] = other.buses[bus];
  c.buses[bus].acknowledge = {};
  c.routing.buses[bus] = other.routing.buses[bus];
  c.routing.buses[bus].draining = true;
}

}  // namespace

bus_union::bus_union(const configuration& running_one, const configuration& loaded_one)
    : running(running_one), loaded(loaded_one) {
  std::vector<bus_index> to(loaded_one.buses.size(), no_bus);
  std::vector<bool> there(running_one.buses.size(), false);
  std::size_t next = running_one.buses.size();
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i] = find_name(running_one, loaded_one.routing.buses[i].name);
    if (to[i] == no_bus) to[i] = find_renamed(running_one, loaded_one, i);
    if (to[i] == no_bus) {
      to[i] = static_cast<bus_index>(next++);
      added.push_back(to[i]);
    } else {
      there[to[i]] = true;
    }
  }
  renumber(loaded, to);
  for (std::size_t i = 0; i < there.size(); ++i) {
    if (there[i]) continue;
    removed.push_back(static_cast<bus_index>(i));
    put(loaded, running, i);
  }
  for (const bus_index bus : added) put(running, loaded, bus);
}

}  // namespace dualbus::config
