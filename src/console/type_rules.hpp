#pragma once

#include <dualbus/base/glob.hpp>
#include <dualbus/command/routing_table.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace dualbus::console {

/// The first rule that matches the word, exact name or glob; null if none does.
inline const command::match_rule* first_match(const std::vector<command::match_rule>& rules,
                                              std::string_view word) {
  const auto found = std::find_if(rules.begin(), rules.end(), [word](const command::match_rule& rule) {
    return base::is_glob(rule.match) ? base::glob_match(rule.match, word) : rule.match == word;
  });
  return found == rules.end() ? nullptr : &*found;
}

/// The rule of routing.types that decides on a type: exact names come before globs. Null if none does.
inline const command::match_rule* deciding_rule(const std::vector<command::match_rule>& rules,
                                                std::string_view type) {
  for (const command::match_rule& rule : rules) {
    if (!base::is_glob(rule.match) && rule.match == type) return &rule;
  }
  return first_match(rules, type);
}

}  // namespace dualbus::console
