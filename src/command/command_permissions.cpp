#include <dualbus/base/numbers.hpp>
#include <dualbus/command/acl_categories.hpp>
#include <dualbus/command/command_permissions.hpp>

#include <stdexcept>

namespace dualbus::command {
namespace {

std::size_t place_of_subcommand(std::size_t subcommand) {
  return command_table().size() + subcommand;
}

}  // namespace

std::string command_permissions::apply(std::string_view rule) {
  if (base::equals_ignoring_case(rule, "allcommands")) rule = "+@all";
  if (base::equals_ignoring_case(rule, "nocommands")) rule = "-@all";
  if (rule.size() < 2 || (rule[0] != '+' && rule[0] != '-')) {
    return "a rule is +command, -command, +command|subcommand, +@category or -@category";
  }
  const bool value = rule[0] == '+';
  rule.remove_prefix(1);
  return rule[0] == '@' ? apply_category(rule.substr(1), value) : apply_command(rule, value);
}

// A command's value becomes that of its subcommands, too (acl.c, ACLChangeSelectorPerm).
void command_permissions::set(std::size_t command, bool value) {
  allowed_[command] = value;
  const auto subcommands = subcommand_table();
  for (std::size_t i = 0; i < subcommands.size(); ++i) {
    if (subcommands[i].command == command_table()[command].name) allowed_[place_of_subcommand(i)] = value;
  }
  everything_ &= value;
}

std::string command_permissions::apply_category(std::string_view name, bool value) {
  if (command_table().size() + subcommand_table().size() > most_commands) {
    throw std::logic_error("more commands than command_permissions has room for");
  }
  if (base::equals_ignoring_case(name, "all")) {
    value ? allowed_.set() : allowed_.reset();
    everything_ = value;
    return {};
  }
  const acl_categories wanted = find_acl_category(name);
  if (wanted == 0) return "there is no category '@" + std::string(name) + "'";
  for (std::size_t i = 0; i < command_table().size(); ++i) {
    if ((categories_of(command_table()[i]) & wanted) != 0) set(i, value);
  }
  for (std::size_t i = 0; i < subcommand_table().size(); ++i) {
    if ((categories_of(subcommand_table()[i]) & wanted) != 0) allowed_[place_of_subcommand(i)] = value;
  }
  everything_ &= value;
  return {};
}

std::string command_permissions::apply_command(std::string_view name, bool value) {
  const std::size_t bar = name.find('|');
  const int command = find_command(name.substr(0, bar));
  if (command < 0) return "there is no command '" + std::string(name.substr(0, bar)) + "'";
  if (bar == std::string_view::npos) {
    set(static_cast<std::size_t>(command), value);
    return {};
  }
  const int subcommand = find_subcommand(static_cast<std::size_t>(command), name.substr(bar + 1));
  if (subcommand < 0) return "there is no subcommand '" + std::string(name) + "'";
  allowed_[place_of_subcommand(static_cast<std::size_t>(subcommand))] = value;
  everything_ &= value;
  return {};
}

bool command_permissions::allows_subcommand(std::size_t subcommand) const {
  return allowed_[place_of_subcommand(subcommand)];
}

bool command_permissions::allows(std::size_t command, resp::arguments args) const {
  if (everything_) return true;
  if (has_flag(command_table()[command], 'n')) return true;
  const int subcommand = args.size() > 1 ? find_subcommand(command, args[1]) : -1;
  return subcommand < 0 ? allowed_[command] : allows_subcommand(static_cast<std::size_t>(subcommand));
}

std::string full_command_name(std::size_t command, resp::arguments args) {
  std::string name(command_table()[command].name);
  const int subcommand = args.size() > 1 ? find_subcommand(command, args[1]) : -1;
  if (subcommand >= 0) name += "|" + std::string(subcommand_table()[subcommand].name);
  return name;
}

}  // namespace dualbus::command
