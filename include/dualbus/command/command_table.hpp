#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace dualbus::command {

/// Redis's command groups, as COMMAND DOCS names them.
enum class group : std::uint8_t {
  bitmap,
  cluster,
  connection,
  generic,
  geo,
  hash,
  hyperloglog,
  list,
  module,  ///< vector sets
  pubsub,
  scripting,
  server,
  set,
  sorted_set,
  stream,
  string,
  transactions
};

/// The places of a command's keys.
enum class key_form : std::uint8_t {
  range,           ///< first_key … last_key, every key_step-th; a negative last_key counts from the end
  second,          ///< behind a subcommand that takes a key (OBJECT, MEMORY, XGROUP, XINFO)
  numkeys1,        ///< argument 1 says how many follow it
  numkeys1_pairs,  ///< likewise, each followed by its value
  numkeys2,        ///< argument 2 says how many follow it
  dest_numkeys,    ///< argument 1 is a key, argument 2 says how many follow it
  sort,            ///< argument 1, and the one behind STORE
  georadius,       ///< argument 1, and the one behind STORE or STOREDIST
  streams          ///< the first half of what follows STREAMS
};

/// How a command is treated. docs/differences.md says what that means to users.
enum class route : std::uint8_t {
  local,  ///< answered by the daemon
  keys,   ///< to the bus of its keys, which must be one and the same
  sort,   ///< likewise, with keys that patterns stand for
  mget,
  mset,    ///< split by the keys' buses, merged
  remove,  ///< DEL, UNLINK: each key on every bus that may hold a part of it, in the order that keeps groups
  count,   ///< EXISTS, TOUCH: a key counts once, wherever it was found
  type,
  expire,
  ttl,
  object,
  memory,     ///< asked on every bus that may hold a part of the key
  whole,      ///< RENAME, COPY, DUMP: keys of one bus; or, if no rule pins them, their parts on all
  databases,  ///< MOVE, SWAPDB: from one database of a bus to another
  xadd,
  xread,   ///< XREAD, XREADGROUP
  stream,  ///< every other command of logical streams, over all buses
  xother,  ///< stream commands that only pinned keys have
  blocking,
  subscribe,    ///< (P|S)SUBSCRIBE, (P|S)UNSUBSCRIBE
  publish,      ///< PUBLISH, SPUBLISH
  pubsub,       ///< PUBSUB: answered by the daemon, with what the buses say
  scripting,    ///< a script to the bus of its keys; SCRIPT and FUNCTION to all
  transaction,  ///< MULTI, WATCH and what ends them: the session's own
  keyspace,     ///< about all keys of all buses
  refused       ///< has no meaning behind a proxy
};

/// One command: facts are Redis's own (7.0, and later additions where their keys are known).
struct command_spec {
  std::string_view name;   ///< lower case
  std::int16_t arity;      ///< with the name; negative: at least that many
  std::string_view flags;  ///< one letter each, see command_flags
  std::int16_t first_key, last_key, key_step;
  command::group group;
  std::string_view since;
  command::key_form keys;
  command::route route;
};

struct command_flag {
  char letter;
  std::string_view name;  ///< as COMMAND INFO shows it
};

std::span<const command_spec> command_table();
std::span<const command_flag> command_flags();
std::string_view group_name(group g);

/// True if command_flags() has a flag of that letter, and the command has it. There are few: a loop beats
/// memchr().
inline bool has_flag(const command_spec& spec, char letter) {
  for (const char flag : spec.flags) {
    if (flag == letter) return true;
  }
  return false;
}

/// Index of a command in command_table(), whatever the case of `name`; -1 if there is none.
int find_command(std::string_view name);

/// True if the number of arguments, the name included, is one that the command takes.
inline bool arity_matches(const command_spec& spec, std::size_t count) {
  return spec.arity >= 0 ? count == static_cast<std::size_t>(spec.arity)
                         : count >= static_cast<std::size_t>(-spec.arity);
}

}  // namespace dualbus::command
