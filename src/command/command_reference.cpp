#include <dualbus/command/command_reference.hpp>

#include <algorithm>
#include <iterator>

namespace dualbus::command {
namespace {

constexpr std::string_view introduction = R"(# Commands

<!-- The output of `dualbusd --command-reference`: change the command table and run it again. -->

Every command that `dualbusd` knows: those of Redis 7.0, and later ones of which it is known where their keys stand.
A bus whose Redis is older answers a later command with its own `unknown command`. With a single bus there is nothing to split
or to merge: what is said below of "every bus" is then that bus, to which the request goes as it is. *Pinned* keys are those
that a rule of `routing.keys` ties to one bus; other keys live on `routing.default_key_bus`, and streams on all
buses. [differences.md](differences.md) says what engines may notice.

With `server_commands: passed`, which needs a single bus, that bus gets as they are: `BGREWRITEAOF`, `BGSAVE`, `CLUSTER`,
`COMMAND`, `CONFIG`, `DEBUG`, `HOTKEYS`, `LASTSAVE`, `LATENCY`, `LOLWUT`, `MEMORY`, `MIGRATE`, `MODULE LIST`, `PFDEBUG`,
`PFSELFTEST`, `RESTORE-ASKING`, `ROLE`, `SAVE` and `SLOWLOG`, whatever is said of them below.

A command that is not here is answered with Redis's `ERR unknown command` and never sent to a bus, since nobody could tell which
one. That holds for:

- commands of modules (`JSON.*`, `FT.*`, `TS.*`, `BF.*` and their kin): send them to the bus that has the module. Vector sets,
  which come with Redis 8, are here;
- arrays (`AR*`), `INCREX` and `GCRA` of Redis 8.8 and later;
- what Redis servers say to each other or to Sentinel (`SENTINEL`, `SFLUSH`, `TRIMSLOTS`).
)";

// The commands for which the sentence of their route is untrue or incomplete.
struct note {
  std::string_view name, text;
};
constexpr note notes[] = {
    {"acl",
     "Answered by the daemon, from the users of its YAML file; `SETUSER`, `DELUSER`, `LOAD` and `SAVE` are "
     "refused."},
    {"asking", "Answered as by a Redis with cluster mode off."},
    {"client", "Answered by the daemon, about its own clients; `TRACKING ON` is refused."},
    {"cluster", "Answered as by a Redis with cluster mode off."},
    {"command", "Answered by the daemon, but `GETKEYSANDFLAGS` and `HELP`, which any bus can answer."},
    {"config",
     "`GET` answers the daemon's settings under Redis's names, and those of the buses about memory and disk. "
     "`SET`, `REWRITE` and `RESETSTAT` are refused."},
    {"copy",
     "To the bus of both keys; or, if no rule pins them, part by part on every bus. With `DB`, both must "
     "have one bus."},
    {"delex",
     "With a condition to the bus of the key. Without one as `DEL`: to every bus that may hold a part of the "
     "key."},
    {"dualbus",
     "Redis does not have it. Answered by the daemon, which explains what it does: see [the "
     "console](console.md)."},
    {"dump", "To the bus of the key; a stream with parts on several buses cannot be dumped."},
    {"flushall", "Refused unless `flush: allowed`; then to every bus, one after the other."},
    {"flushdb", "Refused unless `flush: allowed`; then to every bus, one after the other."},
    {"function",
     "`LOAD`, `DELETE`, `FLUSH` and `RESTORE` to every bus. `LIST`, `DUMP` and `STATS` to "
     "`routing.default_key_bus`. "
     "`KILL` to every bus."},
    {"info",
     "Answered by the daemon: clients and traffic are its own, data and memory those of all buses, and each "
     "bus has a section of its own. With `server_commands: passed` what is about the data is the bus's."},
    {"latency", "Answered by the daemon, which watches no events; `HISTOGRAM` is refused."},
    {"lolwut", "To the default bus."},
    {"memory",
     "`USAGE` is asked on every bus that may hold a part of the key, and summed up. `DOCTOR`, `MALLOC-STATS` "
     "and "
     "`PURGE` go to every bus; `STATS` is refused."},
    {"module", "`LIST` is empty; everything else is refused."},
    {"monitor", "Shows the requests of the daemon's clients."},
    {"publish",
     "To one bus: by the type in the payload, else by `routing.channels`, else the default bus. Subscribers "
     "hear all."},
    {"readonly", "Answered as by a Redis with cluster mode off."},
    {"readwrite", "Answered as by a Redis with cluster mode off."},
    {"script", "`LOAD`, `EXISTS`, `FLUSH` and `KILL` to every bus. `DEBUG` is refused."},
    {"select", "Answered by the daemon; see `databases`."},
    {"slowlog", "Answered by the daemon: its own slow log."},
    {"spublish",
     "To one bus: by the type in the payload, else by `routing.channels`, else the default bus. Subscribers "
     "hear all."},
    {"swapdb", "To the bus if there is only one; else refused."},
    {"wait", "To every bus, on connections of its own; the answer is the smallest number."},
    {"waitaof", "To every bus, on connections of its own; the answer is the smallest of each number."},
    {"watch",
     "To the bus of its keys, which must be one and the same, on a connection of its own until `EXEC`."},
    {"xinfo", "`STREAM`, `GROUPS` and `CONSUMERS` are merged over all buses."},
};

constexpr bool notes_are_sorted() {
  for (std::size_t i = 1; i < std::size(notes); ++i) {
    if (notes[i].name <= notes[i - 1].name) return false;
  }
  return true;
}
static_assert(notes_are_sorted());

std::string upper(std::string_view name) {
  std::string result(name);
  for (char& c : result) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return result;
}

}  // namespace

std::string_view what_becomes_of(route way) {
  switch (way) {
    case route::local:
      return "Answered by the daemon.";
    case route::keys:
      return "To the bus of its keys, which must be one and the same.";
    case route::sort:
      return "To the bus of its keys and of all keys that its `BY` and `GET` patterns may stand for, which "
             "must "
             "be one and the same.";
    case route::mget:
    case route::mset:
      return "Split by the keys' buses; the answers are merged.";
    case route::remove:
      return "To every bus that may hold a part of the key, draining ones first; a key counts once.";
    case route::count:
      return "Asked on every bus that may hold a part of the key; a key counts once.";
    case route::type:
      return "Asked on every bus that may hold a part of the key; a part of a stream decides.";
    case route::expire:
      return "To every bus that may hold a part of the key.";
    case route::ttl:
    case route::object:
      return "Asked on every bus that may hold a part of the key; the answers are merged.";
    case route::memory:
      return "Asked on every bus that may hold a part of the key, and summed up.";
    case route::whole:
      return "To the bus of its keys; or, if no rule pins them, part by part on every bus.";
    case route::databases:
      return "To the bus of a pinned key, or the only bus; else refused.";
    case route::xadd:
      return "To the bus of a pinned key, else of the message's type.";
    case route::xread:
    case route::stream:
      return "Over all buses, answers merged; of a pinned key on its bus.";
    case route::xother:
      return "For streams that are pinned to one bus.";
    case route::blocking:
      return "To the bus of its keys, which must be one and the same, on a connection of its own while it "
             "waits.";
    case route::subscribe:
      return "Kept by the daemon, which subscribes at every bus.";
    case route::publish:
      return "To one bus, of which all subscribers hear.";
    case route::pubsub:
      return "Answered by the daemon, with what the buses say.";
    case route::scripting:
      return "To the bus of its keys, which must be one and the same; without keys to "
             "`routing.default_key_bus`.";
    case route::transaction:
      return "The daemon keeps the transaction, and sends it at `EXEC`.";
    case route::keyspace:
      return "To every bus; the answers are merged.";
    case route::refused:
      return "Refused: it is about one server. Send it to the bus it is meant for.";
  }
  return {};
}

std::string_view what_becomes_of(const command_spec& spec) {
  const auto* const found =
      std::find_if(std::begin(notes), std::end(notes), [&](const note& n) { return n.name == spec.name; });
  return found == std::end(notes) ? what_becomes_of(spec.route) : found->text;
}

std::string command_reference_markdown() {
  std::string text(introduction);
  for (std::size_t g = 0; g <= static_cast<std::size_t>(group::transactions); ++g) {
    text += "\n## " + std::string(group_name(static_cast<group>(g))) + "\n\n";
    text += "| command | since | what becomes of it |\n|---|---|---|\n";
    for (const command_spec& spec : command_table()) {
      if (static_cast<std::size_t>(spec.group) != g) continue;
      text += "| `" + upper(spec.name) + "` | " + std::string(spec.since) + " | " +
              std::string(what_becomes_of(spec)) + " |\n";
    }
  }
  return text;
}

}  // namespace dualbus::command
