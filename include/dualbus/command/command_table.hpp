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

/// The treatment of a command. docs/differences.md explains it to users.
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
  transaction,  ///< MULTI, WATCH and the commands that end them: the client's own
  keyspace,     ///< about all keys of all buses
  refused       ///< has no meaning behind a proxy
};

/// Facts about a command, or about one of its subcommands, that neither its flags nor its route say. Code
/// that decides something by a fact asks for the fact, never for the command's name:
/// test/check_command_names.sh checks it.
enum class fact : std::uint64_t {
  none = 0,
  // Its place among a client's requests.
  allowed_to_subscribers = 1ULL << 0,  ///< may be sent by subscribers with RESP2 (server.c, processCommand)
  not_queued = 1ULL << 1,              ///< runs at once within MULTI (server.c, processCommand)
  runs_queue = 1ULL << 2,              ///< does what the requests queued by MULTI do
  needs_rounds = 1ULL << 3,     ///< takes several rounds on a stream over several buses: not within MULTI
  changes_replies = 1ULL << 4,  ///< changes how replies are written: not within MULTI
  refused_in_exec = 1ULL << 5,  ///< is refused where a client must not block (replication.c, monitorCommand)
  waits_for_replies = 1ULL << 6,  ///< changes the connection: no earlier request may be unanswered
  ends_pause = 1ULL << 7,         ///< runs while clients are paused, so that it can end the pause
  // The client's own state.
  logs_in = 1ULL << 8,            ///< brings a user's password (acl.c, authCommand)
  may_log_in = 1ULL << 9,         ///< likewise, if it has the option AUTH (networking.c, helloCommand)
  chooses_database = 1ULL << 10,  ///< the client's later requests go to the database that it names
  // Its arguments.
  names_databases = 1ULL << 11,         ///< its arguments may be numbers of databases
  brings_script = 1ULL << 12,           ///< argument 1 is the text of a script
  reads_group = 1ULL << 13,             ///< reads streams for the consumer behind GROUP
  names_consumer = 1ULL << 14,          ///< argument 3 is a consumer
  names_more_keys = 1ULL << 15,         ///< may name keys where find_keys() does not look for them
  subscribes = 1ULL << 16,              ///< its arguments are channels, whose messages the client gets then
  takes_patterns = 1ULL << 17,          ///< its arguments are patterns for channels
  names_request = 1ULL << 18,           ///< another request begins at argument 2
  names_user_and_request = 1ULL << 19,  ///< another request begins at argument 3
  sets_user = 1ULL << 20,          ///< the arguments from 2 on may be a user's passwords (acl.c, aclCommand)
  logs_in_elsewhere = 1ULL << 21,  ///< may bring a password of another Redis (cluster.c, migrateCommand)
  // The changes that it makes.
  changes_keys = 1ULL << 22,            ///< see changes_keys() in key_writes.hpp
  changes_keys_by_lastid = 1ULL << 23,  ///< likewise, if it has the option LASTID (t_stream.c, xclaimCommand)
  changes_groups = 1ULL << 24,          ///< writes, but changes only what a group has
  may_replicate = 1ULL << 25,      ///< CLIENT PAUSE WRITE holds it (server.h, CMD_WRITE, CMD_MAY_REPLICATE)
  may_publish = 1ULL << 26,        ///< its messages may be for the client that sends it
  brings_values = 1ULL << 27,      ///< brings a key the value of another one, or of elsewhere
  changes_functions = 1ULL << 28,  ///< changes the functions that FCALL runs
  resets_statistics = 1ULL << 29,  ///< the figures of INFO begin anew
  sets_parameters = 1ULL << 30,    ///< sets parameters of a Redis
  // The server that answers it.
  asks_no_bus = 1ULL << 31,    ///< the daemon answers it alone
  for_any_redis = 1ULL << 32,  ///< any Redis gives the same answer, so one is asked
  passed_on = 1ULL << 33,      ///< the only bus may answer it: it takes no server from the daemon
  // Some subcommands have facts of their own, see facts_of() in request_facts.hpp.
  by_subcommand = 1ULL << 34
};

constexpr fact operator|(fact a, fact b) {
  return static_cast<fact>(static_cast<std::uint64_t>(a) | static_cast<std::uint64_t>(b));
}

/// True if `all` holds one of the facts in `wanted`.
constexpr bool has_fact(fact all, fact wanted) {
  return (static_cast<std::uint64_t>(all) & static_cast<std::uint64_t>(wanted)) != 0;
}

/// One command: the facts are Redis's own (7.0, and later additions where their keys are known).
struct command_spec {
  std::string_view name;   ///< lower case
  std::int16_t arity;      ///< with the name; negative: at least that many
  std::string_view flags;  ///< one letter each, see command_flags
  std::int16_t first_key, last_key, key_step;
  command::group group;
  std::string_view since;
  command::key_form keys;
  command::route route;
  fact facts = fact::none;

  constexpr bool has(fact wanted) const { return has_fact(facts, wanted); }
};

struct command_flag {
  char letter;
  std::string_view name;  ///< as COMMAND INFO shows it
};

std::span<const command_spec> command_table();
std::span<const command_flag> command_flags();
std::string_view group_name(group g);

/// True if command_flags() has a flag of that letter, and the command has the flag. A command has few: a loop
/// beats memchr().
constexpr bool has_flag(const command_spec& spec, char letter) {
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
