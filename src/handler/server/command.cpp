#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/acl_categories.hpp>
#include <dualbus/command/command_reference.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/command/subcommand_table.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

// COMMAND: Redis's facts about each command, from the command table.
namespace dualbus::handler {
namespace {

using command::command_spec;
using metrics::outcome;

// A command, or a subcommand by its full name ("config|get").
struct found_command {
  const command_spec* command = nullptr;
  const command::subcommand_spec* sub = nullptr;
};

found_command find(std::string_view name) {
  const std::size_t bar = std::min(name.find('|'), name.size());
  const int index = command::find_command(name.substr(0, bar));
  if (index < 0) return {};
  const command_spec* const spec = &command::command_table()[index];
  if (bar == name.size()) return {spec};
  const int sub = command::find_subcommand(static_cast<std::size_t>(index), name.substr(bar + 1));
  if (sub < 0) return {};
  return {spec, &command::subcommand_table()[sub]};
}

std::string full_name(const command::subcommand_spec& spec) {
  return std::string(spec.command) + '|' + std::string(spec.name);
}

struct key_range {
  int first, last, step;
};

// Writes all facts but the subcommands.
void write_facts(resp::encoder& out, std::string_view name, int arity, std::string_view flags, key_range keys,
                 command::acl_categories in) {
  out.array(10);
  out.bulk(name);
  out.integer(arity);
  out.set(flags.size());
  for (const char letter : flags) {
    for (const command::command_flag& flag : command::command_flags()) {
      if (flag.letter == letter) out.status(flag.name);
    }
  }
  out.integer(keys.first);
  out.integer(keys.last);
  out.integer(keys.step);
  const std::vector<std::string> categories = command::names_of(in);
  out.set(categories.size());
  for (const std::string& category : categories) out.status(category);
  out.array(0);  // tips
  out.array(0);  // key specifications
}

void write_info(resp::encoder& out, const command::subcommand_spec& spec) {
  const key_range keys = command::takes_key(spec) ? key_range{2, 2, 1} : key_range{0, 0, 0};
  write_facts(out, full_name(spec), spec.arity, spec.flags, keys, command::categories_of(spec));
  out.array(0);
}

void write_info(resp::encoder& out, const command_spec& spec) {
  write_facts(out, spec.name, spec.arity, spec.flags, {spec.first_key, spec.last_key, spec.key_step},
              command::categories_of(spec));
  const auto parts = command::subcommands_of(spec);
  out.array(parts.size());
  for (const command::subcommand_spec& sub : parts) write_info(out, sub);
}

void write_docs(resp::encoder& out, const found_command& found) {
  const command_spec& spec = *found.command;
  if (found.sub != nullptr) {
    out.bulk(full_name(*found.sub));
  } else {
    out.bulk(spec.name);
  }
  out.map(4);
  out.bulk("summary");
  out.bulk(command::what_becomes_of(spec));
  out.bulk("since");
  out.bulk(spec.since);
  out.bulk("group");
  out.bulk(command::group_name(spec.group));
  out.bulk("complexity");
  out.bulk("as in Redis");
}

void write_keys(session& client, routed_request& request) {
  const resp::arguments inner = request.args.subspan(2);
  const int index = command::find_command(inner[0]);
  if (index < 0) return client.refuse(request, "ERR Invalid command specified");
  const command_spec& spec = command::command_table()[index];
  if (!command::arity_matches(spec, inner.size())) {
    return client.refuse(request, "ERR Invalid number of arguments specified for command");
  }
  std::vector<std::uint32_t> positions;
  if (!command::find_keys(spec, inner, positions)) {
    return client.refuse(request, "ERR Invalid arguments specified for command");
  }
  // A script may have no keys.
  if (positions.empty() && spec.group != command::group::scripting) {
    return client.refuse(request, "ERR The command has no key arguments");
  }
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    out.array(positions.size());
    for (const std::uint32_t position : positions) out.bulk(inner[position]);
  });
}

std::vector<found_command> chosen(resp::arguments names) {
  std::vector<found_command> result;
  if (names.empty()) {
    for (const command_spec& spec : command::command_table()) result.push_back({&spec});
  }
  for (const std::string_view name : names) result.push_back(find(name));
  return result;
}

// The names of all commands and, as "config|get", of their subcommands that have categories of their own.
template <typename Wanted>
std::vector<std::string> names_where(Wanted&& wanted) {
  std::vector<std::string> names;
  const auto add = [&](std::string name, const auto& spec) {
    if (wanted(name, spec)) names.push_back(std::move(name));
  };
  for (const command_spec& spec : command::command_table()) add(std::string(spec.name), spec);
  for (const auto& spec : command::subcommand_table()) {
    add(full_name(spec), spec);
  }
  return names;
}

void list(session& client, routed_request& request) {
  const resp::arguments args = request.args;
  const bool filtered = args.size() == 5 && base::is_word(args[2], "filterby");
  std::vector<std::string> names;
  if (args.size() == 2) {
    names = names_where([](const std::string&, const auto&) { return true; });
  } else if (filtered && base::is_word(args[3], "pattern")) {
    names = names_where(
        [&](const std::string& name, const auto&) { return base::glob_match(args[4], name, true); });
  } else if (filtered && base::is_word(args[3], "aclcat")) {
    const command::acl_categories category = command::find_acl_category(base::as_c_string(args[4]));
    names = names_where(
        [&](const std::string&, const auto& spec) { return (command::categories_of(spec) & category) != 0; });
  } else if (!filtered || !base::is_word(args[3], "module")) {  // there are no modules
    return client.refuse(request, "ERR syntax error");
  }
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    out.array(names.size());
    for (const std::string& name : names) out.bulk(name);
  });
}

void write_infos(session& client, routed_request& request, resp::arguments names) {
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    const auto found = chosen(names);
    out.array(found.size());
    for (const found_command& one : found) {
      if (one.command == nullptr) {
        out.null();
      } else if (one.sub != nullptr) {
        write_info(out, *one.sub);
      } else {
        write_info(out, *one.command);
      }
    }
  });
}

}  // namespace

void run_command(server_services&, session& client, routed_request& request) {
  const resp::arguments args = request.args;
  if (args.size() == 1) return write_infos(client, request, {});
  if (base::equals_ignoring_case(args[1], "info")) return write_infos(client, request, args.subspan(2));
  if (base::equals_ignoring_case(args[1], "count")) {
    if (args.size() != 2) return refuse_arity(client, request, "command|count");
    return client.answer(request, outcome::ok, [](resp::encoder& out) {
      out.integer(static_cast<std::int64_t>(command::command_table().size()));
    });
  }
  if (base::equals_ignoring_case(args[1], "docs")) {
    return client.answer(request, outcome::ok, [&](resp::encoder& out) {
      auto found = chosen(args.subspan(2));
      std::erase_if(found, [](const found_command& one) { return one.command == nullptr; });
      out.map(found.size());
      for (const found_command& one : found) write_docs(out, one);
    });
  }
  if (base::equals_ignoring_case(args[1], "list")) return list(client, request);
  if (base::equals_ignoring_case(args[1], "getkeys")) {
    if (args.size() < 4) return refuse_arity(client, request, "command|getkeys");
    return write_keys(client, request);
  }
  refuse_subcommand(client, request);
}

}  // namespace dualbus::handler
