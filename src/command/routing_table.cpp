#include <dualbus/base/glob.hpp>
#include <dualbus/command/routing_table.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::command {

routing_rules with_every_key_pinned(routing_rules rules) {
  if (rules.default_key_bus == no_bus) rules.default_key_bus = rules.default_bus;
  rules.keys.push_back({"*", rules.default_key_bus});
  return rules;
}

routing_table::routing_table(routing_rules rules) : rules_(std::move(rules)) {
  if (rules_.default_key_bus == no_bus) rules_.default_key_bus = rules_.default_bus;
  for (const match_rule& rule : rules_.keys) {
    if (!base::is_glob(rule.match)) {
      keys_.push_back({rule.match, rule.bus, key_pattern::kind::exact});
    } else if (rule.match.find_first_of("*?[\\") == rule.match.size() - 1 && rule.match.back() == '*') {
      keys_.push_back({rule.match.substr(0, rule.match.size() - 1), rule.bus, key_pattern::kind::prefix});
    } else {
      keys_.push_back({rule.match, rule.bus, key_pattern::kind::glob});
    }
  }
  for (const match_rule& rule : rules_.types) {
    if (base::is_glob(rule.match)) {
      type_globs_.push_back(rule);
    } else {
      exact_types_.emplace(rule.match, rule.bus);
    }
  }
}

bus_index routing_table::pinned_bus(std::string_view key) const {
  for (const key_pattern& pattern : keys_) {
    bool matches = false;
    switch (pattern.form) {
      case key_pattern::kind::exact:
        matches = key == pattern.text;
        break;
      case key_pattern::kind::prefix:
        matches = key.starts_with(pattern.text);
        break;
      case key_pattern::kind::glob:
        matches = base::glob_match(pattern.text, key);
        break;
    }
    if (matches) return pattern.bus;
  }
  return no_bus;
}

bus_index routing_table::bus_of_prefix(std::string_view prefix) const {
  bus_index found = no_bus;
  const auto join = [&found](bus_index bus) {
    const bool first = found == no_bus;
    if (first) found = bus;
    return first || found == bus;
  };
  for (const key_pattern& pattern : keys_) {
    std::string_view head = pattern.text;
    if (pattern.form == key_pattern::kind::glob) head = head.substr(0, head.find_first_of("*?[\\"));
    const bool matches_all = pattern.form == key_pattern::kind::prefix && prefix.starts_with(head);
    const bool may_match = matches_all || head.starts_with(prefix) ||
                           (pattern.form == key_pattern::kind::glob && prefix.starts_with(head));
    if (may_match && !join(pattern.bus)) return no_bus;
    if (matches_all) return found;
  }
  return join(rules_.default_key_bus) ? found : no_bus;
}

bus_index routing_table::channel_bus(std::string_view channel) const {
  for (const match_rule& rule : rules_.channels) {
    if (base::glob_match(rule.match, channel)) return rule.bus;
  }
  return no_bus;
}

routing_table::type_match routing_table::match_type(std::string_view type) const {
  if (const auto found = exact_types_.find(type); found != exact_types_.end()) return {found->second, false};
  for (const match_rule& rule : type_globs_) {
    if (base::glob_match(rule.match, type)) return {rule.bus, true};
  }
  return {};
}

std::uint32_t routing_table::confirming_buses(std::string_view type) const {
  static_assert(sizeof(std::uint32_t) * 8 >= 16, "a bit for each bus");
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < rules_.buses.size(); ++i) {
    const bus_rules& bus = rules_.buses[i];
    const bool listed =
        bus.confirmed_types.empty() ||
        std::any_of(bus.confirmed_types.begin(), bus.confirmed_types.end(),
                    [type](const std::string& pattern) { return base::glob_match(pattern, type); });
    if (bus.confirms && listed) found |= std::uint32_t{1} << i;
  }
  return found;
}

}  // namespace dualbus::command
