#include "assembler.hpp"

#include "files.hpp"
#include "nearest.hpp"

#include <dualbus/base/glob.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <system_error>
#include <utility>
#include <vector>

namespace dualbus::config {
namespace {

std::string endpoint_text(const bus_settings& bus) {
  std::string text = bus.endpoint;
  if (bus.database != 0) text += ", database " + std::to_string(bus.database);
  return text;
}

}  // namespace

assembler::assembler(draft& from, const table_reader& places, report& findings, std::string directory)
    : draft_(from), config_(from.config), at_(places), report_(findings), directory_(std::move(directory)) {}

void assembler::run() {
  const auto& buses = config_.routing.buses;
  for (std::size_t i = 0; i < buses.size(); ++i) bus_of_name_.emplace(buses[i].name, i);
  check_listeners();
  check_auth();
  check_backend();
  check_buses();
  // Without buses every name would be unknown, which says nothing new.
  if (buses.empty()) return;
  resolve_default_buses_and_anchor();
  resolve_types();
  check_group_rules();
  resolve_rules("routing.keys", "keys", draft_.keys, config_.routing.keys);
  resolve_rules("routing.channels", "channels", draft_.channels, config_.routing.channels);
  warn_of_rules_without_effect();
}

void assembler::check_listeners() {
  const listen_settings& listen = config_.listen;
  const admin_settings& admin = config_.admin;
  if (listen.port == 0 && at_.accepted("listen.port") && listen.unix_socket.empty()) {
    mistake("listen.port", "0 opens no port, and there is no listen.unix_socket: no client could connect");
  }
  if (admin.port != 0 && !is_loopback_address(admin.address)) {
    warning("admin.address", "there is no authentication, so everybody who reaches " + admin.address +
                                 " port " + std::to_string(admin.port) + " can administer the daemon");
  }
  const bool same_address =
      admin.address == listen.address || is_any_address(admin.address) || is_any_address(listen.address);
  if (admin.port != 0 && admin.port == listen.port && same_address) {
    mistake(at_.accepted("admin.port") ? "admin.port" : "listen.port",
            "listen and admin cannot share port " + std::to_string(admin.port));
  }
}

void assembler::check_backend() {
  const backend_settings& backend = config_.backend;
  if (backend.backoff_max < backend.backoff_min) {
    mistake(at_.accepted("backend.backoff_max") ? "backend.backoff_max" : "backend.backoff_min",
            "backend.backoff_max (" + format_duration(backend.backoff_max) +
                ") must not be below backend.backoff_min (" + format_duration(backend.backoff_min) + ")");
  }
  if (backend.health_timeout <= backend.health_interval) {
    mistake(at_.accepted("backend.health_timeout") ? "backend.health_timeout" : "backend.health_interval",
            "backend.health_timeout (" + format_duration(backend.health_timeout) +
                ") must be longer than backend.health_interval (" + format_duration(backend.health_interval) +
                ")");
  }
}

std::string assembler::bus_path(std::size_t bus, std::string_view key) const {
  return "buses." + config_.routing.buses[bus].name + (key.empty() ? "" : "." + std::string(key));
}

void assembler::check_bus_name(const std::string& name) {
  const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos;
  if (name.empty() || !plain || name.size() > max_bus_name) {
    mistake("buses." + name, "the name of a bus has 1 to " + std::to_string(max_bus_name) +
                                 " characters of a-z, 0-9, _ and -, unlike " + quoted(name));
  }
}

void assembler::check_retired_slots() {
  for (std::size_t i = 0; i < config_.retired_slots.size(); ++i) {
    const std::string& text = config_.retired_slots[i];
    int slot = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slot);
    if (error == std::errc() && text == std::to_string(slot) && slot >= 0 && slot <= max_slot) continue;
    mistake("retired_slots[" + std::to_string(i) + "]",
            "must be a number between 0 and " + std::to_string(max_slot) + ", not " + quoted(text));
  }
}

void assembler::check_buses() {
  check_retired_slots();
  const auto& rules = config_.routing.buses;
  if (rules.empty()) {
    if (!at_.refused("buses")) mistake("buses", at_.accepted("buses") ? "names no bus" : "is required");
    return;
  }
  if (rules.size() > max_buses) {
    mistake("buses", "at most " + std::to_string(max_buses) + " buses, not " + std::to_string(rules.size()));
  }
  std::unordered_map<int, std::size_t> of_slot;
  std::unordered_map<std::string, std::vector<std::size_t>> of_endpoint;
  bool any_active = false;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    check_bus_name(rules[i].name);
    any_active |= !rules[i].draining;
    if (at_.accepted(bus_path(i, "id_slot"))) {
      const auto [first, is_new] = of_slot.emplace(rules[i].id_slot, i);
      if (!is_new) {
        mistake(bus_path(i, "id_slot"), std::to_string(rules[i].id_slot) + " is the slot of " +
                                            quoted(rules[first->second].name) + " already");
      }
      if (config_.is_retired(rules[i].id_slot)) {
        mistake(
            bus_path(i, "id_slot"),
            std::to_string(rules[i].id_slot) +
                " is a slot in 'retired_slots': clients may hold IDs of the bus that had it; take another");
      }
    }
    check_form(i);
    if (at_.accepted(bus_path(i, "endpoint"))) {
      const bus_settings& bus = config_.buses[i];
      const std::string where =
          bus.unix_socket.empty() ? bus.host + ":" + std::to_string(bus.port) : bus.unix_socket;
      std::vector<std::size_t>& others = of_endpoint[where];
      for (const std::size_t other : others) {
        const int apart = std::abs(bus.database - config_.buses[other].database);
        if (apart >= config_.databases) continue;
        mistake(
            bus_path(i, "endpoint"),
            quoted(endpoint_text(bus)) + " is the endpoint of " + quoted(rules[other].name) + " already" +
                (apart == 0 ? ""
                            : ": with databases: " + std::to_string(config_.databases) + " they share some"));
      }
      others.push_back(i);
      check_own_address(i);
    }
    if (at_.accepted(bus_path(i, "sentinel"))) check_sentinels(i);
    read_bus_password(i);
    check_acknowledge(i);
  }
  if (config_.routing.server_commands == command::server_commands::passed && rules.size() > 1) {
    mistake("server_commands", "`passed` needs a single bus, not " + std::to_string(rules.size()) +
                                   ": such commands are about one server");
  }
  if (!any_active) mistake("buses", "all buses are draining, one must be active");
}

void assembler::check_own_address(std::size_t bus) {
  const bus_settings& settings = config_.buses[bus];
  const bool own_socket = !settings.unix_socket.empty() && settings.unix_socket == config_.listen.unix_socket;
  const bool own_port =
      settings.port != 0 && ((settings.port == config_.listen.port && !at_.refused("listen.port") &&
                              reaches(settings.host, config_.listen.address)) ||
                             (settings.port == config_.admin.port && !at_.refused("admin.port") &&
                              reaches(settings.host, config_.admin.address)));
  if (own_socket || own_port) {
    mistake(bus_path(bus, "endpoint"), quoted(settings.endpoint) + " is where this daemon listens itself");
  }
}

void assembler::check_acknowledge(std::size_t bus) {
  const acknowledge_settings& settings = config_.buses[bus].acknowledge;
  command::bus_rules& rules = config_.routing.buses[bus];
  rules.confirms = settings.wanted();
  if (!rules.confirms) {
    if (!rules.confirmed_types.empty())
      warning(bus_path(bus, "acknowledge.types"),
              "no answer waits without acknowledge.replicas or acknowledge.local");
    return;
  }
  const milliseconds limit = config_.backend.request_timeout;
  if (limit.count() == 0 || 2 * settings.timeout <= limit) return;
  mistake(at_.accepted(bus_path(bus, "acknowledge.timeout")) ? bus_path(bus, "acknowledge.timeout")
                                                             : "backend.request_timeout",
          bus_path(bus, "acknowledge.timeout") + " (" + format_duration(settings.timeout) +
              ") must be at most half of backend.request_timeout (" + format_duration(limit) +
              "): a write may wait for the group before it, and then for its own");
}

void assembler::read_bus_password(std::size_t bus) {
  bus_settings& settings = config_.buses[bus];
  if (auto password = read_password(bus_path(bus, ""), settings.password_file, settings.password_env)) {
    settings.password = std::move(*password);
  } else if (settings.password_file.empty() && settings.password_env.empty() && !settings.username.empty() &&
             !at_.refused(bus_path(bus, "password_file")) && !at_.refused(bus_path(bus, "password_env"))) {
    mistake(bus_path(bus, "username"), "needs a password_file or password_env");
  }
}

std::optional<std::string> assembler::read_password(const std::string& path, const std::string& file,
                                                    const std::string& variable) {
  if (!file.empty() && !variable.empty()) {
    mistake(path + ".password_env", "stands beside password_file; give only one of them");
    return std::nullopt;
  }
  if (!file.empty()) return password_from_file(file, path + ".password_file");
  if (!variable.empty()) return password_from_environment(variable, path + ".password_env");
  return std::nullopt;
}

std::optional<std::string> assembler::password_from_file(const std::string& name, const std::string& key) {
  const bool relative = name.front() != '/' && !directory_.empty();
  file_content content = read_file(relative ? directory_ + "/" + name : name, max_password_bytes);
  if (!content.problem.empty()) {
    // A name that no file has may be the password itself.
    mistake(key, content.absent
                     ? "names a file that does not exist; a relative path starts from the folder of this file"
                     : quoted(name) + " " + content.problem);
    return std::nullopt;
  }
  while (content.text.ends_with('\n') || content.text.ends_with('\r')) content.text.pop_back();
  if (content.text.empty()) {
    mistake(key, quoted(name) + " is empty");
    return std::nullopt;
  }
  if (content.world_readable) warning(key, quoted(name) + " can be read by everybody on this machine");
  return std::move(content.text);
}

std::optional<std::string> assembler::password_from_environment(const std::string& name,
                                                                const std::string& key) {
  const char* password = std::getenv(name.c_str());
  if (password == nullptr || *password == '\0') {
    mistake(key, password == nullptr ? "names an environment variable that is not set"
                                     : "the environment variable " + quoted(name) + " is empty");
    return std::nullopt;
  }
  return std::string(password);
}

std::optional<command::bus_index> assembler::bus_called(const std::string& name, std::string_view path,
                                                        position at) {
  const auto& buses = config_.routing.buses;
  if (const auto found = bus_of_name_.find(name); found != bus_of_name_.end()) {
    return static_cast<command::bus_index>(found->second);
  }
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < std::min(buses.size(), max_buses); ++i) names.push_back(buses[i].name);
  report_.mistake(at, path, unknown_name("bus", name, names));
  return std::nullopt;
}

std::optional<command::bus_index> assembler::active_bus_called(const std::string& name,
                                                               const std::string& path) {
  const auto bus = bus_called(name, path, at_.where(path));
  if (!bus || !config_.routing.buses[*bus].draining) return bus;
  mistake(path, quoted(name) + " is draining, this must be an active bus");
  return std::nullopt;
}

void assembler::resolve_default_buses_and_anchor() {
  command::routing_rules& routing = config_.routing;
  if (at_.accepted("routing.default_bus")) {
    if (const auto bus = active_bus_called(draft_.default_bus, "routing.default_bus"))
      routing.default_bus = *bus;
  } else if (!at_.refused("routing.default_bus")) {
    const auto active = [](const command::bus_rules& bus) { return !bus.draining; };
    const auto count = std::count_if(routing.buses.begin(), routing.buses.end(), active);
    const auto first = std::find_if(routing.buses.begin(), routing.buses.end(), active);
    if (count > 0) routing.default_bus = static_cast<command::bus_index>(first - routing.buses.begin());
    bool state_unclear = false;
    for (std::size_t i = 0; i < routing.buses.size(); ++i) state_unclear |= at_.refused(bus_path(i, "state"));
    if (count > 1 && !state_unclear)
      mistake("routing.default_bus", "is required, as several buses are active");
  }
  routing.default_key_bus = routing.default_bus;
  if (at_.accepted("routing.default_key_bus")) {
    const auto bus =
        bus_called(draft_.default_key_bus, "routing.default_key_bus", at_.where("routing.default_key_bus"));
    if (bus) routing.default_key_bus = *bus;
  }
  routing.anchor = routing.default_bus;
  if (at_.accepted("anchor")) {
    if (const auto bus = active_bus_called(draft_.anchor, "anchor")) routing.anchor = *bus;
  }
}

void assembler::resolve_types() {
  struct place_of_name {
    std::string_view bus;
    position at;
  };
  std::unordered_map<std::string, place_of_name> known;
  std::vector<command::match_rule> globs;
  const auto before = [&globs](const std::string& name) {  // a pattern that leaves nothing for this one
    return std::find_if(globs.begin(), globs.end(),
                        [&](const command::match_rule& glob) { return base::glob_covers(glob.match, name); });
  };
  for (const draft::type_list& list : draft_.types) {
    const std::string path = "routing.types." + list.bus;
    const auto bus = bus_called(list.bus, path, at_.where(path));
    if (bus && config_.routing.buses[*bus].draining) {
      mistake(path, quoted(list.bus) + " is draining and gets no messages; list its types for an active bus");
    }
    for (std::size_t i = 0; i < list.names.size(); ++i) {
      const std::string element = path + "[" + std::to_string(i) + "]";
      const std::string& name = list.names[i];
      if (name.empty()) continue;  // refused by the reader
      const auto [first, is_new] = known.emplace(name, place_of_name{list.bus, at_.where(element)});
      if (!is_new) {
        mistake(element, quoted(name) + " is listed for " + quoted(first->second.bus) + " already, on line " +
                             std::to_string(first->second.at.line));
      } else if (bus) {
        if (const auto wider = before(name); base::is_glob(name) && wider != globs.end()) {
          warning(element, quoted(name) + " is never reached: " + quoted(wider->match) +
                               " stands before it and matches the same types");
        }
        (base::is_glob(name) ? globs : config_.routing.types).push_back({name, *bus});
      }
    }
  }
  config_.routing.types.insert(config_.routing.types.end(), globs.begin(), globs.end());
}

// Rules that are right by themselves, but that another setting leaves nothing to do.
void assembler::warn_of_rules_without_effect() {
  if (report_.failed()) return;  // rules may be missing
  const command::routing_rules& routing = config_.routing;
  const auto pins_all = std::find_if(draft_.keys.begin(), draft_.keys.end(), [](const draft::key_rule& rule) {
    return !rule.match.empty() && base::glob_covers(rule.match, "*");
  });
  if (pins_all != draft_.keys.end()) {
    const std::string because = "routing.keys[" + std::to_string(pins_all - draft_.keys.begin()) + "], " +
                                quoted(pins_all->match) + ", pins every key";
    if (!routing.types.empty()) warning("routing.types", "no XADD is sent by its type: " + because);
    if (at_.accepted("routing.default_key_bus"))
      warning("routing.default_key_bus", "is never used: " + because);
    return;
  }
  // A stream that a rule pins is on its bus whatever the types of its messages.
  const command::routing_table table(routing);
  for (std::size_t bus = 0; bus < routing.buses.size(); ++bus) {
    const auto on_this = [bus](const command::match_rule& rule) { return rule.bus == bus; };
    if (std::any_of(routing.keys.begin(), routing.keys.end(), on_this)) continue;
    const std::vector<std::string>& types = routing.buses[bus].confirmed_types;
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i].empty() || base::is_glob(types[i])) continue;
      const command::bus_index goes_to = table.match_type(types[i]).bus;
      const std::size_t other = goes_to == command::no_bus ? routing.default_bus : goes_to;
      if (other == bus) continue;
      warning(bus_path(bus, "acknowledge.types") + "[" + std::to_string(i) + "]",
              quoted(types[i]) + " is never on this bus: it goes to " + quoted(routing.buses[other].name));
    }
  }
}

void assembler::check_group_rules() {
  const auto& rules = config_.missing_group.rules;
  for (auto rule = rules.begin(); rule != rules.end(); ++rule) {
    const auto wider = std::find_if(rules.begin(), rule, [&](const missing_group_settings::rule& earlier) {
      return base::glob_covers(earlier.key, rule->key) && base::glob_covers(earlier.group, rule->group);
    });
    if (wider == rule) continue;
    warning("missing_group.rules[" + std::to_string(rule - rules.begin()) + "]",
            "is never reached: missing_group.rules[" + std::to_string(wider - rules.begin()) +
                "] matches the same streams and groups");
  }
}

void assembler::resolve_rules(const std::string& list, const std::string& names,
                              const std::vector<draft::key_rule>& rules,
                              std::vector<command::match_rule>& resolved) {
  const auto wider_than = [&](std::size_t i) {  // the first rule that leaves nothing for this one
    const auto end = rules.begin() + static_cast<std::ptrdiff_t>(i);
    return std::find_if(rules.begin(), end, [&](const draft::key_rule& earlier) {
      return !earlier.match.empty() && base::glob_covers(earlier.match, rules[i].match);
    });
  };
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const draft::key_rule& rule = rules[i];
    const std::string path = list + "[" + std::to_string(i) + "]";
    if (at_.accepted(path + ".match")) {
      const auto wider = static_cast<std::size_t>(wider_than(i) - rules.begin());
      if (wider < i) {
        warning(path + ".match", quoted(rule.match) + " is never reached: " + list + "[" +
                                     std::to_string(wider) + "], " + quoted(rules[wider].match) +
                                     ", matches the same " + names);
      }
    }
    if (!at_.accepted(path + ".bus")) continue;
    if (const auto bus = bus_called(rule.bus, path + ".bus", at_.where(path + ".bus"))) {
      resolved.push_back({rule.match, *bus});
    }
  }
}

}  // namespace dualbus::config
