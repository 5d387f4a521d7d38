#include <dualbus/base/glob.hpp>
#include <dualbus/config/configuration.hpp>

#include <algorithm>

namespace dualbus::config {

const missing_group_settings::rule& missing_group_settings::of(std::string_view key,
                                                               std::string_view group) const {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const rule& r) {
    return base::glob_match(r.key, key) && base::glob_match(r.group, group);
  });
  return found == rules.end() ? otherwise : *found;
}

bool draining_settings::ignores(std::string_view key, std::string_view group) const {
  return std::any_of(ignore_groups.begin(), ignore_groups.end(), [&](const ignored_group& rule) {
    return base::glob_match(rule.key, key) && base::glob_match(rule.group, group);
  });
}

bool missing_group_settings::creates() const {
  const auto creates = [](const rule& r) { return r.action == missing_group_action::create; };
  return creates(otherwise) || std::any_of(rules.begin(), rules.end(), creates);
}

}  // namespace dualbus::config
