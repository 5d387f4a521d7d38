#include "quoted.hpp"
#include "type_rules.hpp"

#include <dualbus/config/difference.hpp>
#include <dualbus/console/tables.hpp>

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

namespace dualbus::console {
namespace {

using command::match_rule;
using command::message_row;

void add_names(table& t, std::string_view figure, std::string_view unit = "") {
  for (const std::string_view window : window_names) {
    t.names.push_back(std::string(figure) + "_" + std::string(window) + std::string(unit));
  }
}

void add_values(std::vector<cell>& row, const by_window& values) {
  for (const std::optional<double>& value : values) {
    cell& added = row.emplace_back();
    if (value) added = *value;
  }
}

cell known(const std::string& text) {
  cell result;
  if (!text.empty()) result = text;
  return result;
}

std::uint64_t sum(const std::array<std::uint64_t, command::rule_count>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t messages_on(const message_row& row, std::size_t bus) {
  return bus < row.size() ? sum(row[bus]) : 0;
}

std::uint64_t pinned_on(const message_row& row, std::size_t bus) {
  return bus < row.size() ? row[bus][static_cast<std::size_t>(command::rule::key)] : 0;
}

// The figure of a bus that may be new since the sample was taken.
template <typename Figure>
auto figure_of(const sample& s, std::size_t bus, Figure figure) {
  static const metrics::bus_metrics none;
  return figure(bus < s.buses.size() ? s.buses[bus] : none);
}

template <typename Map>
const typename Map::mapped_type& value_of(const Map& map, const std::string& name) {
  static const typename Map::mapped_type none{};
  const auto found = map.find(name);
  return found == map.end() ? none : found->second;
}

// The messages whose own type chose the bus; a pinned key may have chosen it for others.
std::uint64_t chosen_by_type(const message_row& row) {
  std::uint64_t result = 0;
  for (const auto& counts : row) {
    for (const command::rule by : {command::rule::type, command::rule::glob, command::rule::json})
      result += counts[static_cast<std::size_t>(by)];
  }
  return result;
}

std::uint64_t chosen_by_default(const sample& s) {
  std::uint64_t result = 0;
  for (const auto& [type, row] : s.types) {
    for (const auto& counts : row) result += counts[static_cast<std::size_t>(command::rule::default_bus)];
  }
  return result;
}

}  // namespace

table buses_table(const command::routing_rules& rules, const std::vector<bus_facts>& buses,
                  const recent& figures) {
  table t{{"bus", "id_slot", "state", "anchor", "endpoint", "server", "health"}, {}};
  add_names(t, "requests");
  add_names(t, "p50", "_ms");
  add_names(t, "p99", "_ms");
  for (std::size_t bus = 0; bus < rules.buses.size(); ++bus) {
    const command::bus_rules& rule = rules.buses[bus];
    const bus_facts facts = bus < buses.size() ? buses[bus] : bus_facts();
    auto& row = t.rows.emplace_back(std::vector<cell>{
        rule.name, std::to_string(rule.id_slot), rule.draining ? "draining" : "active",
        rules.anchor == bus ? "yes" : "no", known(facts.endpoint), known(facts.server), known(facts.health)});
    add_values(row, figures.rates([bus](const sample& s) {
      return figure_of(s, bus, [](const metrics::bus_metrics& m) { return m.requests; });
    }));
    for (const double q : {0.5, 0.99}) add_values(row, figures.bus_milliseconds(bus, q));
  }
  return t;
}

table config_table(const config::configuration& configuration) {
  table t{{"key", "value"}, {}};
  for (auto& [key, value] : config::settings(configuration)) t.rows.push_back({key, value});
  return t;
}

table pools_table(const command::routing_rules& rules, const recent& figures) {
  table t{{"bus", "up", "handshake", "connecting", "disconnected", "waiting", "in_flight", "abandoned",
           "connects", "connect_failures", "lost", "timeouts"},
          {}};
  using state = metrics::connection_state;
  for (std::size_t bus = 0; bus < rules.buses.size(); ++bus) {
    const auto seen = figure_of(figures.now(), bus, [](const metrics::bus_metrics& m) { return m; });
    auto& row = t.rows.emplace_back(std::vector<cell>{rules.buses[bus].name});
    for (const state s : {state::up, state::handshake, state::connecting, state::disconnected})
      row.push_back(std::uint64_t{seen.connections[static_cast<std::size_t>(s)]});
    for (const std::uint64_t count : {seen.waiting, seen.in_flight, seen.abandoned, seen.connects,
                                      seen.connect_failures, seen.connections_lost, seen.timeouts})
      row.push_back(count);
  }
  return t;
}

table engines_table(const recent& figures, const std::map<std::string, std::string>& addresses) {
  using counters = metrics::engine_counters;
  table t{{"engine", "connections", "address"}, {}};
  constexpr std::pair<std::string_view, std::uint64_t counters::*> rates[] = {
      {"requests", &counters::commands},
      {"failed", &counters::failed_commands},
      {"published", &counters::messages_published},
      {"consumed", &counters::messages_consumed},
      {"absorbed", &counters::polls_absorbed}};
  for (const auto& [name, field] : rates) add_names(t, name);
  std::vector<std::pair<double, std::vector<cell>>> rows;
  for (const auto& [engine, counted] : figures.now().engines) {
    std::vector<cell> row{engine, counted.connections, known(value_of(addresses, engine))};
    const auto rate = [&, &name = engine](std::uint64_t counters::*field) {
      return figures.rates([&](const sample& s) { return value_of(s.engines, name).*field; });
    };
    for (const auto& [name, field] : rates) add_values(row, rate(field));
    rows.emplace_back(rate(&counters::commands)[1].value_or(0), std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (auto& [rate, row] : rows) t.rows.push_back(std::move(row));
  return t;
}

table types_table(const command::routing_rules& rules, const recent& figures) {
  table t{{"type", "bus", "messages"}, {}};
  add_names(t, "messages");
  add_names(t, "pinned");
  std::vector<std::pair<double, std::vector<cell>>> rows;
  for (const auto& entry : figures.now().types) {
    for (std::size_t bus = 0; bus < std::min(rules.buses.size(), entry.second.size()); ++bus) {
      const std::uint64_t total = messages_on(entry.second, bus);
      if (total == 0) continue;
      std::vector<cell> row{entry.first, rules.buses[bus].name, total};
      const by_window rates =
          figures.rates([&](const sample& s) { return messages_on(value_of(s.types, entry.first), bus); });
      add_values(row, rates);
      add_values(row, figures.rates(
                          [&](const sample& s) { return pinned_on(value_of(s.types, entry.first), bus); }));
      rows.emplace_back(rates[1].value_or(0), std::move(row));
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (auto& [rate, row] : rows) t.rows.push_back(std::move(row));
  return t;
}

table rules_table(const command::routing_table& table_of_rules, const recent& figures) {
  const command::routing_rules& rules = table_of_rules.rules();
  table t{{"matched", "pattern", "bus", "messages"}, {}};
  add_names(t, "messages");
  const auto add = [&](std::string_view what, std::string pattern, command::bus_index bus) -> auto& {
    return t.rows.emplace_back(
        std::vector<cell>{std::string(what), std::move(pattern), rules.buses[bus].name});
  };
  const auto add_counts = [&](std::vector<cell>& row, const auto& count) {
    row.push_back(std::uint64_t{count(figures.now())});
    add_values(row, figures.rates(count));
  };
  const auto no_counts = [&](std::vector<cell>& row) { row.resize(t.names.size()); };
  for (const match_rule& rule : rules.keys) no_counts(add("key", quoted(rule.match), rule.bus));
  for (const bool glob : {false, true}) {
    for (const match_rule& rule : rules.types) {
      if (base::is_glob(rule.match) != glob) continue;
      add_counts(add("type", quoted(rule.match), rule.bus), [&](const sample& s) {
        std::uint64_t messages = 0;
        for (const auto& [type, row] : s.types) {
          if (deciding_rule(rules.types, type) == &rule) messages += chosen_by_type(row);
        }
        return messages;
      });
    }
  }
  for (const match_rule& rule : rules.channels) no_counts(add("channel", quoted(rule.match), rule.bus));
  add_counts(add("any other message", "", rules.default_bus), chosen_by_default);
  no_counts(add("any other key", "", rules.default_key_bus));
  return t;
}

}  // namespace dualbus::console
