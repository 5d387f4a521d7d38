#include "channel_rules.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/glob.hpp>
#include <dualbus/base/sha256.hpp>
#include <dualbus/client/access_control.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/command/request_facts.hpp>

#include <algorithm>

namespace dualbus::client {
namespace {

using command::command_spec;
using command::fact;
using patterns = std::vector<std::string>;

bool is_everything(const patterns& list) {
  return std::find(list.begin(), list.end(), "*") != list.end();
}

bool matches_any(const patterns& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [text](const std::string& p) { return base::glob_match(p, text); });
}

// BY and GET of SORT read keys that no argument names (sort.c, sortCommandGeneric, which looks for the star
// with strchr()). Empty: neither does.
std::string_view option_with_other_keys(resp::arguments args, std::vector<std::uint32_t>& positions) {
  command::find_sort_patterns(args, positions);
  for (const std::uint32_t at : positions) {
    if (base::is_word(args[at - 1], "get")) return "GET";
    if (base::as_c_string(args[at]).find('*') != std::string_view::npos) return "BY";
  }
  return {};
}

constexpr std::string_view type_denied =
    "NOPERM this user has no permissions to publish this type of message";

}  // namespace

user::user(const config::user_settings& settings)
    : settings_(settings),
      all_keys_(is_everything(settings.keys)),
      all_channels_(is_everything(settings.channels)),
      all_types_(is_everything(settings.message_types)),
      administers_(false) {
  for (const std::string& rule : settings_.commands) commands_.apply(rule);
  constexpr std::string_view kill[] = {"client", "kill"};
  administers_ = commands_.allows(static_cast<std::size_t>(command::find_command(kill[0])), kill);
}

bool user::may_use_keys(const command_spec& spec, resp::arguments args,
                        std::vector<std::uint32_t>& positions) const {
  // Channels stand where shards look for a key.
  if (all_keys_ || spec.group == command::group::pubsub) return true;
  if (spec.keys == command::key_form::second && args.size() == 2) return true;
  // Keys that cannot be found are none that the user may use.
  if (!command::find_keys(spec, args, positions)) return false;
  return std::all_of(positions.begin(), positions.end(),
                     [&](std::uint32_t at) { return matches_any(settings_.keys, args[at]); });
}

bool user::may_use_channels(const command_spec& spec, resp::arguments args) const {
  if (all_channels_ || spec.group != command::group::pubsub) return true;
  if (spec.route == command::route::publish) return matches_any(settings_.channels, args[1]);
  if (!spec.has(fact::subscribes)) return true;
  const bool pattern = spec.has(fact::takes_patterns);
  return std::all_of(args.begin() + 1, args.end(), [this, pattern](std::string_view name) {
    return may_receive(settings_.channels, pattern, name);
  });
}

// Empty if the user may.
std::string user::publishing_denial(const command_spec& spec, resp::arguments args,
                                    command::classifier& types) const {
  if (all_types_) return {};
  const bool publishes = spec.route == command::route::publish, adds = spec.route == command::route::xadd;
  if (!publishes && !adds) {
    // The value may be a stream with messages of any type.
    if (!spec.has(fact::brings_values)) return {};
    return std::string(type_denied) + ": '" + std::string(spec.name) + "' brings messages of any type";
  }
  const auto permits = [this](std::string_view type) { return matches_any(settings_.message_types, type); };
  command::type_judge::verdict judged;
  if (publishes) {
    judged = types.judge().of_text(args[2], permits);
  } else {
    // A form that only a later Redis knows might add an entry.
    const command::xadd_arguments where = command::parse_xadd(args);
    if (where.result != command::xadd_arguments::verdict::ok) return std::string(type_denied);
    judged = types.judge().of_entry(args, where, permits);
  }
  if (judged.permitted) return {};
  std::string denial(type_denied);
  if (judged.unclear.empty()) return denial;
  denial +=
      publishes ? ": the type in the message" : ": the type in field '" + std::string(judged.field) + "'";
  return denial + " cannot be told for certain, because it holds " + std::string(judged.unclear);
}

std::string user::denial(std::size_t index, resp::arguments args, command::classifier& types,
                         std::vector<std::uint32_t>& positions) const {
  const command_spec& spec = command::command_table()[index];
  if (!commands_.allows(index, args)) {
    return "NOPERM this user has no permissions to run the '" + command::full_command_name(index, args) +
           "' command";
  }
  if (!(all_keys_ && all_channels_ && all_types_)) {
    // The buses know one user, the daemon: they do not check what a script does.
    if (spec.keys == command::key_form::numkeys2 && spec.route == command::route::scripting) {
      return "NOPERM this user has no permissions to run scripts: they need all keys, channels and message "
             "types";
    }
    if (has_fact(command::facts_of(spec, args), fact::changes_functions)) {
      return "NOPERM this user has no permissions to change functions, which others run: that needs all "
             "keys, channels and message types";
    }
  }
  if (!may_use_keys(spec, args, positions)) {
    return "NOPERM this user has no permissions to access one of the keys used as arguments";
  }
  if (!all_keys_ && spec.route == command::route::sort) {
    if (const std::string_view option = option_with_other_keys(args, positions); !option.empty()) {
      return "ERR " + std::string(option) + " option of SORT denied due to insufficient ACL permissions.";
    }
  }
  // Such a command names any number of keys behind KEYS.
  if (!all_keys_ && spec.has(fact::names_more_keys)) {
    return "NOPERM this user has no permissions to access one of the keys used as arguments";
  }
  if (!may_use_channels(spec, args)) {
    return "NOPERM this user has no permissions to access one of the channels used as arguments";
  }
  return publishing_denial(spec, args, types);
}

access_control::access_control(const config::auth_settings& settings) {
  for (const config::user_settings& u : settings.users) users_.emplace_back(u);
}

const user* access_control::find(std::string_view name) const {
  const auto found =
      std::find_if(users_.begin(), users_.end(), [name](const user& u) { return u.name() == name; });
  return found == users_.end() ? nullptr : &*found;
}

const user* access_control::initial() const {
  const user* const found = find(default_user);
  return found != nullptr && found->settings().enabled && found->settings().no_password ? found : nullptr;
}

const user* access_control::authenticate(std::string_view name, std::string_view password) const {
  const std::string hash = base::sha256_hex(password);
  const user* const found = find(name);
  if (found == nullptr || !found->settings().enabled) return nullptr;
  if (found->settings().no_password) return found;
  bool matched = false;
  for (const std::string& known : found->settings().password_hashes) {
    matched |= base::equal_in_constant_time(known, hash);
  }
  return matched ? found : nullptr;
}

}  // namespace dualbus::client
