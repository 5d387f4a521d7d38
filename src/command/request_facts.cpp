#include <dualbus/base/c_string.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/command/subcommand_table.hpp>

#include <algorithm>
#include <string_view>

namespace dualbus::command {
namespace {

// Now and then Redis finds a subcommand that a zero byte ends (handler/dispatcher.cpp refuses those).
const subcommand_spec* subcommand_of(const command_spec& spec, resp::arguments args) {
  if (args.size() < 2) return nullptr;
  const auto index = static_cast<std::size_t>(&spec - command_table().data());
  const int found = find_subcommand(index, base::as_c_string(args[1]));
  return found < 0 ? nullptr : &subcommand_table()[static_cast<std::size_t>(found)];
}

// A script's first line may name flags: #!lua flags=no-writes,allow-stale
bool says_no_writes(std::string_view script) {
  if (!script.starts_with("#!")) return false;
  std::string_view rest = script.substr(0, script.find('\n'));
  const std::size_t flags = rest.find(" flags=");
  if (flags == std::string_view::npos) return false;
  rest.remove_prefix(flags + 7);
  rest = rest.substr(0, rest.find(' '));
  while (!rest.empty()) {
    const std::string_view flag = rest.substr(0, rest.find(','));
    if (flag == "no-writes") return true;
    rest.remove_prefix(std::min(rest.size(), flag.size() + 1));
  }
  return false;
}

}  // namespace

fact facts_of_subcommand(const command_spec& spec, resp::arguments args) {
  const subcommand_spec* const subcommand = subcommand_of(spec, args);
  return subcommand == nullptr ? spec.facts : spec.facts | subcommand->facts;
}

bool may_replicate(const command_spec& spec, resp::arguments args) {
  if (!spec.has(fact::may_replicate)) return false;
  // Commands that consist of subcommands have no flags of their own.
  if (spec.flags.empty()) {
    const subcommand_spec* const subcommand = subcommand_of(spec, args);
    return subcommand == nullptr || subcommand->flags.find('w') != std::string_view::npos;
  }
  return !spec.has(fact::brings_script) || args.size() < 2 || !says_no_writes(args[1]);
}

std::string name_in_texts(const command_spec& spec, resp::arguments args) {
  std::string name(spec.name);
  if (const subcommand_spec* const subcommand = subcommand_of(spec, args); subcommand != nullptr) {
    name += ' ';
    name += subcommand->name;
  }
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return name;
}

}  // namespace dualbus::command
