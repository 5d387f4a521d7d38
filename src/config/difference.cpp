#include "key_table.hpp"
#include "values.hpp"

#include <dualbus/base/sha256.hpp>
#include <dualbus/config/bus_union.hpp>
#include <dualbus/config/difference.hpp>

#include <algorithm>
#include <string_view>
#include <tuple>

namespace dualbus::config {
namespace {

using lines = std::vector<std::string>;
using rule_list = std::vector<command::match_rule>;

constexpr std::string_view bus_prefix = "buses.*";

std::string_view choice(std::string_view choices, std::int64_t which) {
  for (; which > 0 && choices.find('|') != std::string_view::npos; --which)
    choices.remove_prefix(choices.find('|') + 1);
  return choices.substr(0, choices.find('|'));
}

// As it would stand in the file.
std::string text_of(const key_row& row, const value& v) {
  switch (row.type) {
    case value_type::integer:
      return std::to_string(v.number);
    case value_type::bytes:
      return format_bytes(v.number);
    case value_type::duration:
      return format_duration(microseconds(v.number));
    case value_type::choice:
      return std::string(v.text.empty() ? choice(row.choices, v.number) : v.text);
    case value_type::text_list:
    case value_type::endpoint_list: {
      std::string all;
      for (const std::string& each : v.list) all += (all.empty() ? "" : ", ") + printable(each, 80);
      return "[" + all + "]";
    }
    default:
      return quoted(v.text);
  }
}

// Of a key of buses the one of the bus with that index.
std::string path_of(const key_row& row, const configuration& of, std::size_t bus) {
  if (!row.path.starts_with(bus_prefix)) return std::string(row.path);
  return "buses." + of.routing.buses[bus].name + std::string(row.path.substr(bus_prefix.size()));
}

void compare_values(const configuration& running, const configuration& loaded,
                    const std::vector<bool>& in_both, lines& found) {
  for (const key_row& row : key_rows()) {
    if (row.bind.fetch == nullptr) continue;
    const bool of_bus = row.path.starts_with(bus_prefix);
    const std::size_t count = of_bus ? std::min(running.buses.size(), loaded.buses.size()) : 1;
    for (std::size_t i = 0; i < count; ++i) {
      if (of_bus && !in_both[i]) continue;
      const value before = row.bind.fetch(running, i), after = row.bind.fetch(loaded, i);
      if (before == after) continue;
      found.push_back(path_of(row, running, i) + ": " + text_of(row, before) + " -> " + text_of(row, after));
    }
  }
}

void compare_lists_of_buses(const bus_union& both, lines& found) {
  const auto text_of_bus = [](const configuration& c, command::bus_index bus) {
    return c.routing.buses[bus].name + ": " + quoted(c.buses[bus].endpoint) + " with slot " +
           std::to_string(c.routing.buses[bus].id_slot);
  };
  for (const command::bus_index bus : both.removed)
    found.push_back("buses: removed " + text_of_bus(both.running, bus));
  for (const command::bus_index bus : both.added)
    found.push_back("buses: added " + text_of_bus(both.loaded, bus));
  for (std::size_t i = 0; i < both.running.buses.size(); ++i) {
    const std::string &old = both.running.routing.buses[i].name, &now = both.loaded.routing.buses[i].name;
    if (old != now) found.push_back("buses: " + quoted(old) + " is called " + quoted(now));
  }
}

void compare_passwords(const configuration& running, const configuration& loaded, lines& found) {
  for (std::size_t i = 0; i < std::min(running.buses.size(), loaded.buses.size()); ++i) {
    if (running.buses[i].password == loaded.buses[i].password) continue;
    found.push_back("buses." + running.routing.buses[i].name + ": another password");
  }
}

std::string rule_text(const command::match_rule& rule, const configuration& c) {
  return quoted(rule.match) + " -> " + quoted(c.routing.buses[rule.bus].name);
}

// By what they match: added, removed, with another bus, and those that stand elsewhere in the list.
void compare_rules(std::string_view path, const rule_list& before, const rule_list& after,
                   const configuration& running, const configuration& loaded, lines& found) {
  const std::string head = std::string(path) + ": ";
  const auto find = [](const rule_list& all, const std::string& match) {
    return std::find_if(all.begin(), all.end(), [&](const auto& rule) { return rule.match == match; });
  };
  for (const auto& rule : before)
    if (find(after, rule.match) == after.end()) found.push_back(head + "removed " + rule_text(rule, running));
  rule_list kept_before, kept_after;
  for (const auto& rule : before)
    if (find(after, rule.match) != after.end()) kept_before.push_back(rule);
  for (const auto& rule : after) {
    const auto old = find(before, rule.match);
    if (old == before.end()) {
      found.push_back(head + "added " + rule_text(rule, loaded));
      continue;
    }
    kept_after.push_back(rule);
    const std::string &from = running.routing.buses[old->bus].name, &to = loaded.routing.buses[rule.bus].name;
    if (old->bus != rule.bus)
      found.push_back(head + quoted(rule.match) + " moved from " + quoted(from) + " to " + quoted(to));
  }
  const bool same_order =
      std::equal(kept_before.begin(), kept_before.end(), kept_after.begin(), kept_after.end(),
                 [](const auto& x, const auto& y) { return x.match == y.match; });
  if (!same_order) found.push_back(head + "in another order");
}

auto parts_of(const user_settings& u) {
  return std::tie(u.enabled, u.no_password, u.password_hashes, u.password_file, u.password_env, u.commands,
                  u.keys, u.channels, u.message_types);
}

void compare_users(const auth_settings& before, const auth_settings& after, lines& found) {
  const auto find = [](const auth_settings& all, const std::string& name) {
    return std::find_if(all.users.begin(), all.users.end(),
                        [&](const auto& user) { return user.name == name; });
  };
  for (const user_settings& user : before.users)
    if (find(after, user.name) == after.users.end())
      found.push_back("auth.users: removed " + quoted(user.name));
  for (const user_settings& user : after.users) {
    const auto old = find(before, user.name);
    if (old == before.users.end()) {
      found.push_back("auth.users: added " + quoted(user.name));
    } else if (parts_of(*old) != parts_of(user)) {
      found.push_back("auth.users: changed " + quoted(user.name));
    }
  }
}

std::string group_rule_text(const missing_group_settings::rule& rule) {
  return quoted(rule.key) + ", " + quoted(rule.group) + ": " +
         (rule.action == missing_group_action::create ? "create at " + rule.start : "error");
}

void compare_missing_groups(const missing_group_settings& before, const missing_group_settings& after,
                            lines& found) {
  const auto texts = [](const missing_group_settings& all) {
    lines each;
    for (const auto& rule : all.rules) each.push_back(group_rule_text(rule));
    each.push_back("otherwise, " + group_rule_text(all.otherwise));
    return each;
  };
  const lines old = texts(before), now = texts(after);
  for (const std::string& rule : old)
    if (std::find(now.begin(), now.end(), rule) == now.end())
      found.push_back("missing_group: removed " + rule);
  for (const std::string& rule : now)
    if (std::find(old.begin(), old.end(), rule) == old.end()) found.push_back("missing_group: added " + rule);
}

}  // namespace

std::vector<std::string> differences(const configuration& was, const configuration& becomes) {
  const bus_union both(was, becomes);
  const configuration &running = both.running, &loaded = both.loaded;
  const command::routing_rules &before = running.routing, &after = loaded.routing;
  lines found;
  compare_lists_of_buses(both, found);
  std::vector<bool> in_both(running.buses.size(), true);
  for (const auto* const list : {&both.added, &both.removed})
    for (const command::bus_index bus : *list) in_both[bus] = false;
  compare_values(running, loaded, in_both, found);
  compare_passwords(running, loaded, found);
  const auto compare_bus = [&](std::string_view path, command::bus_index from, command::bus_index to) {
    const std::string &old = before.buses[from].name, &now = after.buses[to].name;
    if (from != to) found.push_back(std::string(path) + ": " + quoted(old) + " -> " + quoted(now));
  };
  compare_bus("routing.default_bus", before.default_bus, after.default_bus);
  compare_bus("routing.default_key_bus", before.default_key_bus, after.default_key_bus);
  compare_rules("routing.types", before.types, after.types, running, loaded, found);
  compare_rules("routing.keys", before.keys, after.keys, running, loaded, found);
  compare_rules("routing.channels", before.channels, after.channels, running, loaded, found);
  compare_missing_groups(running.missing_group, loaded.missing_group, found);
  compare_users(running.auth, loaded.auth, found);
  return found;
}

std::vector<std::pair<std::string, std::string>> settings(const configuration& of) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const key_row& row : key_rows()) {
    if (row.bind.fetch == nullptr) continue;
    const std::size_t count = row.path.starts_with(bus_prefix) ? of.buses.size() : 1;
    for (std::size_t i = 0; i < count; ++i)
      found.emplace_back(path_of(row, of, i), text_of(row, row.bind.fetch(of, i)));
  }
  return found;
}

std::string rules_hash(const configuration& of) {
  const command::routing_rules& rules = of.routing;
  std::string text;
  const auto add = [&text](std::string_view part) {
    text += std::to_string(part.size()) + ":";
    text += part;
  };
  const auto add_number = [&add](auto number) { add(std::to_string(static_cast<long long>(number))); };
  const auto add_bus = [&](command::bus_index bus) { add(rules.buses[bus].name); };
  const auto add_rules = [&](const rule_list& all) {
    add_number(all.size());
    for (const auto& rule : all) {
      add(rule.match);
      add_bus(rule.bus);
    }
  };
  std::vector<std::size_t> order(rules.buses.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return rules.buses[a].name < rules.buses[b].name; });
  for (const std::size_t i : order) {
    add(rules.buses[i].name);
    add_number(rules.buses[i].id_slot);
    add_number(rules.buses[i].draining);
    add_number(of.buses[i].database);
  }
  add_bus(rules.default_bus);
  add_bus(rules.default_key_bus == command::no_bus ? rules.default_bus : rules.default_key_bus);
  add_bus(rules.anchor);
  add(rules.field);
  for (const std::string& field : rules.json_fields) add(field);
  add(rules.json_pointer);
  add_rules(rules.types);
  add_rules(rules.keys);
  add_rules(rules.channels);
  add_number(rules.ids);
  add_number(of.databases);
  for (const auto& rule : of.missing_group.rules) add(group_rule_text(rule));
  add(group_rule_text(of.missing_group.otherwise));
  constexpr std::size_t digits = 12;
  return base::sha256_hex(text).substr(0, digits);
}

}  // namespace dualbus::config
