#pragma once

#include <dualbus/command/classifier.hpp>
#include <dualbus/command/command_permissions.hpp>
#include <dualbus/config/auth_settings.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::client {

/// A user of the daemon and its rights.
class user {
 public:
  explicit user(const config::user_settings& settings);

  const std::string& name() const { return settings_.name; }
  const config::user_settings& settings() const { return settings_; }
  const command::command_permissions& commands() const { return commands_; }
  /// The user may end others' connections: some places are kept for such users (client_places.hpp).
  bool administers() const { return administers_; }

  /// The reply that refuses the request, as Redis words it, or nothing. `command` is the command's index in
  /// the table, and takes as many words as `args` has; `types` reads the type of a message, `positions` is
  /// room to work in.
  std::string denial(std::size_t command, resp::arguments args, command::classifier& types,
                     std::vector<std::uint32_t>& positions) const;

 private:
  bool may_use_keys(const command::command_spec& spec, resp::arguments args,
                    std::vector<std::uint32_t>& positions) const;
  bool may_use_channels(const command::command_spec& spec, resp::arguments args) const;
  std::string publishing_denial(const command::command_spec& spec, resp::arguments args,
                                command::classifier& types) const;

  config::user_settings settings_;
  command::command_permissions commands_;
  bool all_keys_, all_channels_, all_types_, administers_;
};

/// The users of one configuration, with Redis's rules (acl.c): a client is the user `default` until it logs
/// in, and need not log in if that user has no password. Immutable; a reload makes another one.
class access_control {
 public:
  explicit access_control(const config::auth_settings& settings);

  /// False: there are no users, and everybody may do everything.
  bool restricts() const { return !users_.empty(); }
  /// Null if there is none.
  const user* find(std::string_view name) const;
  /// The user that a client is before it logs in; null if it must log in.
  const user* initial() const;
  /// The user with that name and password; null if there is none. A name that does not exist takes as long.
  const user* authenticate(std::string_view name, std::string_view password) const;
  const std::vector<user>& users() const { return users_; }

 private:
  std::vector<user> users_;
};

inline constexpr std::string_view default_user = "default";

}  // namespace dualbus::client
