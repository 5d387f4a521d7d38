#include "values.hpp"

#include <dualbus/base/glob.hpp>
#include <dualbus/config/configuration.hpp>

#include <algorithm>
#include <tuple>

namespace dualbus::config {

void bus_settings::set_address(const server_address& address) {
  host = address.host;
  port = address.port;
  unix_socket = address.unix_socket;
  endpoint = address.endpoint;
}

bool is_own_address(const configuration& c, const server_address& address) {
  return address.port != 0 && address.port == c.listen.port && reaches(address.host, c.listen.address);
}

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

bool same_place(const bus_settings& a, const bus_settings& b) {
  const auto place = [](const bus_settings& s) {
    return std::tie(s.host, s.port, s.unix_socket, s.database);
  };
  return place(a) == place(b);
}

bool configuration::is_retired(int slot) const {
  return std::find(retired_slots.begin(), retired_slots.end(), std::to_string(slot)) != retired_slots.end();
}

bool missing_group_settings::creates() const {
  const auto creates = [](const rule& r) { return r.action == missing_group_action::create; };
  return creates(otherwise) || std::any_of(rules.begin(), rules.end(), creates);
}

}  // namespace dualbus::config
