#include "quoted.hpp"
#include "type_rules.hpp"

#include <dualbus/console/dry_run.hpp>

#include <algorithm>
#include <set>

namespace dualbus::console {
namespace {

constexpr std::string_view no_type = "none", other_types = "other";

std::size_t column_of(const table& t, std::string_view name) {
  return static_cast<std::size_t>(std::find(t.names.begin(), t.names.end(), name) - t.names.begin());
}

double number_in(const std::vector<cell>& row, std::size_t column) {
  const auto* const value = column < row.size() ? std::get_if<double>(&row[column]) : nullptr;
  return value == nullptr ? 0 : *value;
}

}  // namespace

forecast dry_run(const command::routing_table& table_of_rules, const std::vector<message_flow>& messages) {
  const command::routing_rules& rules = table_of_rules.rules();
  forecast result;
  result.messages.names = {"type", "bus_now", "bus_then", "rule", "messages_60s", "pinned_60s", "moves"};
  std::set<const command::match_rule*> used;
  for (const message_flow& flow : messages) {
    const bool named = flow.type != no_type && flow.type != other_types;
    const command::match_rule* const rule = named ? deciding_rule(rules.types, flow.type) : nullptr;
    if (rule != nullptr) used.insert(rule);
    // Nobody knows which types "other" stands for.
    const bool unknown = flow.type == other_types;
    const std::string then = rules.buses[rule == nullptr ? rules.default_bus : rule->bus].name;
    const bool moves = !unknown && flow.by_type > 0 && then != flow.bus;
    if (moves) result.moving += flow.by_type;
    cell by_rule, bus_then;
    if (!unknown) {
      by_rule = rule == nullptr ? std::string("default") : quoted(rule->match);
      bus_then = then;
    }
    result.messages.rows.push_back({flow.type, flow.bus, bus_then, by_rule, flow.by_type, flow.by_key,
                                    std::string(unknown ? "unknown"
                                                : moves ? "yes"
                                                        : "no")});
  }
  for (const command::match_rule& rule : rules.types) {
    if (!used.contains(&rule)) result.unused.push_back(quoted(rule.match));
  }
  return result;
}

std::vector<message_flow> flows_of(const table& types) {
  const std::size_t type = column_of(types, "type"), bus = column_of(types, "bus"),
                    all = column_of(types, "messages_60s"), pinned = column_of(types, "pinned_60s");
  std::vector<message_flow> result;
  for (const auto& row : types.rows) {
    if (type >= row.size() || bus >= row.size()) continue;
    const double by_key = number_in(row, pinned);
    result.push_back(
        {text_of(row[type]), text_of(row[bus]), std::max(0.0, number_in(row, all) - by_key), by_key});
  }
  return result;
}

}  // namespace dualbus::console
