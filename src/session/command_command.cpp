#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/acl_categories.hpp>
#include <dualbus/command/command_reference.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

// COMMAND: Redis's facts about each command, from the command table.
namespace dualbus::session {
namespace {

using command::command_spec;
using metrics::outcome;

void write_info(resp::encoder& out, const command_spec& spec) {
  out.array(10);
  out.bulk(spec.name);
  out.integer(spec.arity);
  out.set(spec.flags.size());
  for (const char letter : spec.flags) {
    for (const command::command_flag& flag : command::command_flags()) {
      if (flag.letter == letter) out.status(flag.name);
    }
  }
  out.integer(spec.first_key);
  out.integer(spec.last_key);
  out.integer(spec.key_step);
  const std::vector<std::string> categories = command::names_of(command::categories_of(spec));
  out.set(categories.size());
  for (const std::string& category : categories) out.status(category);
  out.array(0);  // tips
  out.array(0);  // key specifications
  out.array(0);  // subcommands
}

void write_docs(resp::encoder& out, const command_spec& spec) {
  out.bulk(spec.name);
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

void write_keys(session& client, const request& what) {
  const resp::arguments inner = what.args.subspan(2);
  const int index = command::find_command(inner[0]);
  if (index < 0) return client.refuse(what.command, "ERR Invalid command specified");
  const command_spec& spec = command::command_table()[index];
  if (!command::arity_matches(spec, inner.size())) {
    return client.refuse(what.command, "ERR Invalid number of arguments specified for command");
  }
  std::vector<std::uint32_t> positions;
  if (!command::find_keys(spec, inner, positions)) {
    return client.refuse(what.command, "ERR Invalid arguments specified for command");
  }
  // A script may have none.
  if (positions.empty() && spec.group != command::group::scripting) {
    return client.refuse(what.command, "ERR The command has no key arguments");
  }
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    out.array(positions.size());
    for (const std::uint32_t position : positions) out.bulk(inner[position]);
  });
}

std::vector<const command_spec*> chosen(resp::arguments names) {
  std::vector<const command_spec*> result;
  if (names.empty()) {
    for (const command_spec& spec : command::command_table()) result.push_back(&spec);
  }
  for (const std::string_view name : names) {
    const int index = command::find_command(name);
    result.push_back(index < 0 ? nullptr : &command::command_table()[index]);
  }
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
    add(std::string(spec.command) + '|' + std::string(spec.name), spec);
  }
  return names;
}

void list(session& client, const request& what) {
  const resp::arguments args = what.args;
  const bool filtered = args.size() == 5 && base::equals_ignoring_case(args[2], "filterby");
  std::vector<std::string> names;
  if (args.size() == 2) {
    names = names_where([](const std::string&, const auto&) { return true; });
  } else if (filtered && base::equals_ignoring_case(args[3], "pattern")) {
    names = names_where(
        [&](const std::string& name, const auto&) { return base::glob_match(args[4], name, true); });
  } else if (filtered && base::equals_ignoring_case(args[3], "aclcat")) {
    const command::acl_categories category = command::find_acl_category(args[4]);
    names = names_where(
        [&](const std::string&, const auto& spec) { return (command::categories_of(spec) & category) != 0; });
  } else if (!filtered || !base::equals_ignoring_case(args[3], "module")) {  // there are no modules
    return client.refuse(what.command, "ERR syntax error");
  }
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    out.array(names.size());
    for (const std::string& name : names) out.bulk(name);
  });
}

void write_infos(session& client, const request& what, resp::arguments names) {
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    const auto specs = chosen(names);
    out.array(specs.size());
    for (const command_spec* spec : specs) {
      if (spec == nullptr) {
        out.null();
      } else {
        write_info(out, *spec);
      }
    }
  });
}

}  // namespace

void run_command(worker_context&, session& client, const request& what) {
  const resp::arguments args = what.args;
  if (args.size() == 1) return write_infos(client, what, {});
  if (base::equals_ignoring_case(args[1], "info")) return write_infos(client, what, args.subspan(2));
  if (base::equals_ignoring_case(args[1], "count")) {
    if (args.size() != 2) return refuse_arity(client, what, "command|count");
    return client.answer(what.command, outcome::ok, [](resp::encoder& out) {
      out.integer(static_cast<std::int64_t>(command::command_table().size()));
    });
  }
  if (base::equals_ignoring_case(args[1], "docs")) {
    return client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
      auto specs = chosen(args.subspan(2));
      std::erase(specs, nullptr);  // unknown ones are left out
      out.map(specs.size());
      for (const command_spec* spec : specs) write_docs(out, *spec);
    });
  }
  if (base::equals_ignoring_case(args[1], "list")) return list(client, what);
  if (base::equals_ignoring_case(args[1], "getkeys")) {
    if (args.size() < 4) return refuse_arity(client, what, "command|getkeys");
    return write_keys(client, what);
  }
  refuse_subcommand(client, what);
}

}  // namespace dualbus::session
