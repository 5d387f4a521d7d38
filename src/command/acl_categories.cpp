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

// Redis 7.0's, and the later ones that its clients send.
constexpr subcommand_spec subcommands[] = {
    {"acl", "cat", ""},
    {"acl", "deluser", "a"},
    {"acl", "dryrun", "a"},
    {"acl", "genpass", ""},
    {"acl", "getuser", "a"},
    {"acl", "help", ""},
    {"acl", "list", "a"},
    {"acl", "load", "a"},
    {"acl", "log", "a"},
    {"acl", "save", "a"},
    {"acl", "setuser", "a"},
    {"acl", "users", "a"},
    {"acl", "whoami", ""},
    {"client", "caching", ""},
    {"client", "getname", ""},
    {"client", "getredir", ""},
    {"client", "help", ""},
    {"client", "id", ""},
    {"client", "info", ""},
    {"client", "kill", "a"},
    {"client", "list", "a"},
    {"client", "maint_notifications", ""},
    {"client", "no-evict", "a"},
    {"client", "no-touch", ""},
    {"client", "pause", "a"},
    {"client", "reply", ""},
    {"client", "setinfo", ""},
    {"client", "setname", ""},
    {"client", "tracking", ""},
    {"client", "trackinginfo", ""},
    {"client", "unblock", "a"},
    {"client", "unpause", "a"},
    {"cluster", "addslots", "a"},
    {"cluster", "addslotsrange", "a"},
    {"cluster", "bumpepoch", "a"},
    {"cluster", "count-failure-reports", "a"},
    {"cluster", "countkeysinslot", ""},
    {"cluster", "delslots", "a"},
    {"cluster", "delslotsrange", "a"},
    {"cluster", "failover", "a"},
    {"cluster", "flushslots", "a"},
    {"cluster", "forget", "a"},
    {"cluster", "getkeysinslot", ""},
    {"cluster", "help", ""},
    {"cluster", "info", ""},
    {"cluster", "keyslot", ""},
    {"cluster", "links", ""},
    {"cluster", "meet", "a"},
    {"cluster", "myid", ""},
    {"cluster", "nodes", ""},
    {"cluster", "replicas", "a"},
    {"cluster", "replicate", "a"},
    {"cluster", "reset", "a"},
    {"cluster", "saveconfig", "a"},
    {"cluster", "set-config-epoch", "a"},
    {"cluster", "setslot", "a"},
    {"cluster", "shards", ""},
    {"cluster", "slaves", "a"},
    {"cluster", "slots", ""},
    {"command", "count", ""},
    {"command", "docs", ""},
    {"command", "getkeys", ""},
    {"command", "getkeysandflags", ""},
    {"command", "help", ""},
    {"command", "info", ""},
    {"command", "list", ""},
    {"config", "get", "a"},
    {"config", "help", ""},
    {"config", "resetstat", "a"},
    {"config", "rewrite", "a"},
    {"config", "set", "a"},
    {"function", "delete", "w"},
    {"function", "dump", ""},
    {"function", "flush", "w"},
    {"function", "help", ""},
    {"function", "kill", ""},
    {"function", "list", ""},
    {"function", "load", "w"},
    {"function", "restore", "w"},
    {"function", "stats", ""},
    {"latency", "doctor", "a"},
    {"latency", "graph", "a"},
    {"latency", "help", ""},
    {"latency", "histogram", "a"},
    {"latency", "history", "a"},
    {"latency", "latest", "a"},
    {"latency", "reset", "a"},
    {"memory", "doctor", ""},
    {"memory", "help", ""},
    {"memory", "malloc-stats", ""},
    {"memory", "purge", ""},
    {"memory", "stats", ""},
    {"memory", "usage", "r"},
    {"module", "help", ""},
    {"module", "list", "a"},
    {"module", "load", "a"},
    {"module", "loadex", "a"},
    {"module", "unload", "a"},
    {"object", "encoding", "r"},
    {"object", "freq", "r"},
    {"object", "help", ""},
    {"object", "idletime", "r"},
    {"object", "refcount", "r"},
    {"pubsub", "channels", "p"},
    {"pubsub", "help", ""},
    {"pubsub", "numpat", "p"},
    {"pubsub", "numsub", "p"},
    {"pubsub", "shardchannels", "p"},
    {"pubsub", "shardnumsub", "p"},
    {"script", "debug", ""},
    {"script", "exists", ""},
    {"script", "flush", ""},
    {"script", "help", ""},
    {"script", "kill", ""},
    {"script", "load", ""},
    {"slowlog", "get", "a"},
    {"slowlog", "help", ""},
    {"slowlog", "len", "a"},
    {"slowlog", "reset", "a"},
    {"xgroup", "create", "w"},
    {"xgroup", "createconsumer", "w"},
    {"xgroup", "delconsumer", "w"},
    {"xgroup", "destroy", "w"},
    {"xgroup", "help", ""},
    {"xgroup", "setid", "w"},
    {"xinfo", "consumers", "r"},
    {"xinfo", "groups", "r"},
    {"xinfo", "help", ""},
    {"xinfo", "stream", "r"},
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

// Per command, where its subcommands begin in the table; -1 if it has none.
const std::vector<int>& first_subcommands() {
  static const std::vector<int> first = [] {
    std::vector<int> result(command_table().size(), -1);
    for (std::size_t i = std::size(subcommands); i-- > 0;) {
      const int command = find_command(subcommands[i].command);
      if (command >= 0) result[static_cast<std::size_t>(command)] = static_cast<int>(i);
    }
    return result;
  }();
  return first;
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
  if (spec.flags.empty()) return category("slow");  // it has subcommands, which have the rest
  return of_flags(spec.flags) | of_group(spec.group);
}

std::span<const subcommand_spec> subcommand_table() {
  return subcommands;
}

acl_categories categories_of(const subcommand_spec& spec) {
  const acl_categories own = of_flags(spec.flags);
  if (spec.command == "pubsub") return own;
  if (spec.command == "command") return own | category("connection");
  const int command = find_command(spec.command);
  return command < 0 ? own : own | of_group(command_table()[static_cast<std::size_t>(command)].group);
}

int find_subcommand(std::size_t command, std::string_view name) {
  const int first = first_subcommands()[command];
  if (first < 0) return -1;
  for (auto i = static_cast<std::size_t>(first);
       i < std::size(subcommands) && subcommands[i].command == subcommands[first].command; ++i) {
    if (base::equals_ignoring_case(name, subcommands[i].name)) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace dualbus::command
