#include <dualbus/base/numbers.hpp>
#include <dualbus/command/subcommand_table.hpp>

#include <algorithm>
#include <iterator>
#include <vector>

namespace dualbus::command {
namespace {

// The subcommands of Redis 7.0, and later ones that clients send: command, name, arity, flags, facts.
constexpr subcommand_spec subcommands[] = {
    {"acl", "cat", -2, "slt"},
    {"acl", "deluser", -3, "aslt"},
    {"acl", "dryrun", -4, "aslt", fact::names_user_and_request},
    {"acl", "genpass", -2, "slt"},
    {"acl", "getuser", 3, "aslt"},
    {"acl", "help", 2, "lt"},
    {"acl", "list", 2, "aslt"},
    {"acl", "load", 2, "aslt"},
    {"acl", "log", -2, "aslt"},
    {"acl", "save", 2, "aslt"},
    {"acl", "setuser", -3, "aslt", fact::sets_user},
    {"acl", "users", 2, "aslt"},
    {"acl", "whoami", 2, "slt"},
    {"client", "caching", 3, "slt"},
    {"client", "getname", 2, "slt"},
    {"client", "getredir", 2, "slt"},
    {"client", "help", 2, "lt"},
    {"client", "id", 2, "slt"},
    {"client", "info", 2, "slt"},
    {"client", "kill", -3, "aslt"},
    {"client", "list", -2, "aslt"},
    {"client", "maint_notifications", -3, "slt"},
    {"client", "no-evict", 3, "aslt"},
    {"client", "no-touch", 3, "slt"},
    {"client", "pause", -3, "aslt"},
    {"client", "reply", 3, "slt", fact::changes_replies},
    {"client", "setinfo", 4, "slt"},
    {"client", "setname", 3, "slt"},
    {"client", "tracking", -3, "slt"},
    {"client", "trackinginfo", 2, "slt"},
    {"client", "unblock", -3, "aslt"},
    {"client", "unpause", 2, "aslt"},
    {"cluster", "addslots", -3, "Lat"},
    {"cluster", "addslotsrange", -4, "Lat"},
    {"cluster", "bumpepoch", 2, "Lat"},
    {"cluster", "count-failure-reports", 3, "at"},
    {"cluster", "countkeysinslot", 3, "t"},
    {"cluster", "delslots", -3, "Lat"},
    {"cluster", "delslotsrange", -4, "Lat"},
    {"cluster", "failover", -2, "Lat"},
    {"cluster", "flushslots", 2, "Lat"},
    {"cluster", "forget", 3, "Lat"},
    {"cluster", "getkeysinslot", 4, "t"},
    {"cluster", "help", 2, "lt"},
    {"cluster", "info", 2, "t"},
    {"cluster", "keyslot", 3, "t"},
    {"cluster", "links", 2, "t"},
    {"cluster", "meet", -4, "Lat"},
    {"cluster", "myid", 2, "t"},
    {"cluster", "nodes", 2, "t"},
    {"cluster", "replicas", 3, "at"},
    {"cluster", "replicate", 3, "Lat"},
    {"cluster", "reset", -2, "ats"},
    {"cluster", "saveconfig", 2, "Lat"},
    {"cluster", "set-config-epoch", 3, "Lat"},
    {"cluster", "setslot", -4, "Lat"},
    {"cluster", "shards", 2, "t"},
    {"cluster", "slaves", 3, "at"},
    {"cluster", "slots", 2, "t"},
    {"command", "count", 2, "lt"},
    {"command", "docs", -2, "lt"},
    {"command", "getkeys", -4, "lt", fact::names_request},
    {"command", "getkeysandflags", -4, "lt", fact::for_any_redis | fact::names_request},
    {"command", "help", 2, "lt", fact::for_any_redis},
    {"command", "info", -2, "lt"},
    {"command", "list", -2, "lt"},
    {"config", "get", -3, "aslt"},
    {"config", "help", 2, "lt"},
    {"config", "resetstat", 2, "aslt", fact::resets_statistics},
    {"config", "rewrite", 2, "aslt"},
    {"config", "set", -4, "aslt", fact::sets_parameters},
    {"dualbus", "drain", 2, "aslt"},
    {"dualbus", "explain", -3, "aslt", fact::names_request},
    {"dualbus", "help", 2, "lt"},
    {"dualbus", "kill", 4, "aslt"},
    {"dualbus", "log", -3, "aslt"},
    {"dualbus", "reload", -2, "aslt"},
    {"dualbus", "show", 3, "aslt"},
    {"function", "delete", 3, "sw", fact::changes_functions},
    {"function", "dump", 2, "s"},
    {"function", "flush", -2, "sw", fact::changes_functions},
    {"function", "help", 2, "lt"},
    {"function", "kill", 2, "sB"},
    {"function", "list", -2, "s"},
    {"function", "load", -3, "swm", fact::changes_functions},
    {"function", "restore", -3, "swm", fact::changes_functions},
    {"function", "stats", 2, "sB"},
    {"latency", "doctor", 2, "aslt"},
    {"latency", "graph", 3, "aslt"},
    {"latency", "help", 2, "lt"},
    {"latency", "histogram", -2, "aslt"},
    {"latency", "history", 3, "aslt"},
    {"latency", "latest", 2, "aslt"},
    {"latency", "reset", -2, "aslt"},
    {"memory", "doctor", 2, ""},
    {"memory", "help", 2, "lt"},
    {"memory", "malloc-stats", 2, ""},
    {"memory", "purge", 2, ""},
    {"memory", "stats", 2, ""},
    {"memory", "usage", -3, "r"},
    {"module", "help", 2, "lt"},
    {"module", "list", 2, "as", fact::passed_on},
    {"module", "load", -3, "Las"},
    {"module", "loadex", -3, "Las"},
    {"module", "unload", 3, "Las"},
    {"object", "encoding", 3, "r"},
    {"object", "freq", 3, "r"},
    {"object", "help", 2, "lt"},
    {"object", "idletime", 3, "r"},
    {"object", "refcount", 3, "r"},
    {"pubsub", "channels", -2, "plt"},
    {"pubsub", "help", 2, "lt"},
    {"pubsub", "numpat", 2, "plt"},
    {"pubsub", "numsub", -2, "plt"},
    {"pubsub", "shardchannels", -2, "plt"},
    {"pubsub", "shardnumsub", -2, "plt"},
    {"script", "debug", 3, "s"},
    {"script", "exists", -3, "s"},
    {"script", "flush", -2, "s"},
    {"script", "help", 2, "lt"},
    {"script", "kill", 2, "sB"},
    {"script", "load", 3, "st"},
    {"slowlog", "get", -2, "alt"},
    {"slowlog", "help", 2, "lt"},
    {"slowlog", "len", 2, "alt"},
    {"slowlog", "reset", 2, "alt"},
    {"xgroup", "create", -5, "wm"},
    {"xgroup", "createconsumer", 5, "wm"},
    {"xgroup", "delconsumer", 5, "w"},
    {"xgroup", "destroy", 4, "w"},
    {"xgroup", "help", 2, "lt"},
    {"xgroup", "setid", -5, "w"},
    {"xinfo", "consumers", 4, "r"},
    {"xinfo", "groups", 3, "r"},
    {"xinfo", "help", 2, "lt"},
    {"xinfo", "stream", -3, "r"},
};

// By command: the index of its first subcommand in the table; -1 if it has none.
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

std::span<const subcommand_spec> subcommand_table() {
  return subcommands;
}

bool takes_key(const subcommand_spec& spec) {
  const int command = find_command(spec.command);
  if (command < 0 || command_table()[static_cast<std::size_t>(command)].keys != key_form::second)
    return false;
  return spec.flags.find_first_of("rw") != std::string_view::npos;
}

std::span<const subcommand_spec> subcommands_of(const command_spec& command) {
  const auto theirs = [&](const subcommand_spec& s) { return s.command == command.name; };
  const auto* const first = std::find_if(std::begin(subcommands), std::end(subcommands), theirs);
  return {first, std::find_if_not(first, std::end(subcommands), theirs)};
}

bool has_subcommands(std::size_t command) {
  return first_subcommands()[command] >= 0;
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
