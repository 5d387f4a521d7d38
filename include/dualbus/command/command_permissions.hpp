#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>

namespace dualbus::command {

/// The commands that a user may run, built up from rules as in Redis's ACL SETUSER: `+get`, `-config|set`,
/// `+@read`, `-@dangerous`, `+@all` (or `allcommands`), `-@all` (or `nocommands`). Rules apply one after the
/// other; at first nothing is allowed.
class command_permissions {
 public:
  /// Applies the rule and returns nothing; or says why the rule is wrong.
  std::string apply(std::string_view rule);

  /// `args` begin with the command, `command` is its index in command_table(). Commands with the flag
  /// no_auth are always allowed. A subcommand that is not in the table is judged as its command is.
  bool allows(std::size_t command, resp::arguments args) const;
  /// The same for a command as a whole, or for one subcommand in subcommand_table().
  bool allows_command(std::size_t command) const { return allowed_[command]; }
  bool allows_subcommand(std::size_t subcommand) const;
  bool allows_everything() const { return everything_; }

 private:
  static constexpr std::size_t most_commands = 512;

  void set(std::size_t command, bool value);
  std::string apply_category(std::string_view name, bool value);
  std::string apply_command(std::string_view name, bool value);

  std::bitset<most_commands> allowed_;  // commands, then subcommands, by index
  bool everything_ = false;
};

/// The name that Redis's messages use: "get", "config|set".
std::string full_command_name(std::size_t command, resp::arguments args);

}  // namespace dualbus::command
