#include <dualbus/base/numbers.hpp>
#include <dualbus/command/acl_categories.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace dualbus::command {
namespace {

constexpr std::string_view names[] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting"};

constexpr acl_categories category(std::string_view name) {
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (names[i] == name) return acl_categories{1} << i;
  }
  return 0;
}

// Commands whose categories do not follow from their group and flags, with all that they have.
struct exception {
  std::string_view name;
  acl_categories categories;
};
constexpr acl_categories dangerous_write = category("write") | category("slow") | category("dangerous");
constexpr acl_categories script = category("slow") | category("scripting");
constexpr acl_categories fast_connection = category("fast") | category("connection");
constexpr acl_categories sorting =
    category("set") | category("sortedset") | category("list") | category("slow") | category("dangerous");
constexpr exception exceptions[] = {
    {"asking", fast_connection},
    {"command", category("slow") | category("connection")},
    {"dbsize", category("keyspace") | category("read") | category("fast")},
    {"eval_ro", script},
    {"evalsha_ro", script},
    {"fcall_ro", script},
    {"flushall", category("keyspace") | dangerous_write},
    {"flushdb", category("keyspace") | dangerous_write},
    {"info", category("slow") | category("dangerous")},
    {"keys", category("keyspace") | category("read") | category("slow") | category("dangerous")},
    {"lastsave", category("admin") | category("fast") | category("dangerous")},
    {"migrate", category("keyspace") | dangerous_write},
    {"readonly", fast_connection},
    {"readwrite", fast_connection},
    {"restore", category("keyspace") | dangerous_write},
    {"restore-asking", category("keyspace") | dangerous_write},
    {"role", category("admin") | category("fast") | category("dangerous")},
    {"sort", category("write") | sorting},
    {"sort_ro", category("read") | sorting},
    {"swapdb", category("keyspace") | category("write") | category("fast") | category("dangerous")},
    {"wait", category("slow") | category("connection")},
    {"waitaof", category("slow") | category("connection")},
};

acl_categories of_flags(std::string_view flags) {
  const auto has = [flags](char flag) { return flags.find(flag) != std::string_view::npos; };
  acl_categories set = has('F') ? category("fast") : category("slow");
  if (has('w')) set |= category("write");
  if (has('r')) set |= category("read");
  if (has('a')) set |= category("admin") | category("dangerous");
  if (has('p')) set |= category("pubsub");
  if (has('b')) set |= category("blocking");
  return set;
}

acl_categories of_group(group g) {
  switch (g) {
    case group::generic:
      return category("keyspace");
    case group::transactions:
      return category("transaction");
    case group::sorted_set:
      return category("sortedset");
    case group::server:
    case group::cluster:
      return 0;
    default:
      return category(group_name(g));
  }
}

}  // namespace

std::span<const std::string_view> acl_category_names() {
  return names;
}

acl_categories find_acl_category(std::string_view name) {
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (base::equals_ignoring_case(name, names[i])) return acl_categories{1} << i;
  }
  return 0;
}

std::vector<std::string> names_of(acl_categories set) {
  std::vector<std::string> result;
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if ((set >> i & 1) != 0) result.push_back("@" + std::string(names[i]));
  }
  return result;
}

acl_categories categories_of(const command_spec& spec) {
  for (const exception& e : exceptions) {
    if (e.name == spec.name) return e.categories;
  }
  if (spec.flags.empty()) return category("slow");  // it has subcommands, which have the other categories
  return of_flags(spec.flags) | of_group(spec.group);
}

acl_categories categories_of(const subcommand_spec& spec) {
  const acl_categories own = of_flags(spec.flags);
  if (spec.command == "pubsub") return own;
  if (spec.command == "command") return own | category("connection");
  const int command = find_command(spec.command);
  return command < 0 ? own : own | of_group(command_table()[static_cast<std::size_t>(command)].group);
}

}  // namespace dualbus::command
