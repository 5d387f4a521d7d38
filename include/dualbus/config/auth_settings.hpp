#pragma once

#include <string>
#include <vector>

namespace dualbus::config {

/// One user of the daemon, as in Redis's ACL. A list allows only what it names.
struct user_settings {
  std::string name;
  bool enabled = true;
  bool no_password = false;                  ///< any password fits
  std::vector<std::string> password_hashes;  ///< SHA-256 as 64 lower-case digits; also those read from below
  std::string password_file, password_env;   ///< where a password came from, as written
  std::vector<std::string> commands;         ///< rules, in their order: see command::command_permissions
  std::vector<std::string> keys, channels;   ///< globs
  std::vector<std::string> message_types = {"*"};  ///< globs: what XADD and PUBLISH may carry
};

/// Access to the daemon.
struct auth_settings {
  bool allow_unauthenticated = false;  ///< beyond loopback, although there are no users
  std::vector<user_settings> users;    ///< none: everybody may do everything
};

}  // namespace dualbus::config
