#include "dispatch_outcome.hpp"

#include <dualbus/command/subcommand_table.hpp>

#include <map>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace dualbus::app::test {
namespace {

/// The promises of docs/commands.md and docs/differences.md about subcommands, in the words that
/// dispatch_outcome.hpp explains. Each request is the shortest one, and one on each line.
struct subfamily {
  std::string_view two_buses, plain, examples;
};

constexpr subfamily subfamilies[] = {
    {"daemon", "daemon",
     "MODULE HELP\nDUALBUS DRAIN\nDUALBUS EXPLAIN PING\nDUALBUS HELP\nDUALBUS KILL ENGINE e\nDUALBUS LOG "
     "LEVEL\nDUALBUS "
     "RELOAD\nDUALBUS SHOW BUSES\n"
     "ACL CAT\nACL DRYRUN default PING\nACL GENPASS\nACL GETUSER default\nACL HELP\nACL LIST\nACL USERS\n"
     "ACL WHOAMI\nCLIENT GETNAME\nCLIENT GETREDIR\nCLIENT HELP\nCLIENT ID\nCLIENT INFO\nCLIENT LIST\n"
     "CLIENT NO-EVICT on\nCLIENT NO-TOUCH on\nCLIENT PAUSE 0\nCLIENT REPLY ON\nCLIENT SETINFO lib-name n\n"
     "CLIENT SETNAME n\nCLIENT TRACKING off\nCLIENT TRACKINGINFO\nCLIENT UNBLOCK 99\nCLIENT UNPAUSE\n"},
    {"refused NOTSUPPORTED users stand in auth.users", "refused NOTSUPPORTED users stand in auth.users",
     "ACL DELUSER u\nACL LOAD\nACL SAVE\nACL SETUSER u\n"},
    {"refused NOTSUPPORTED failed attempts stand in the daemon's log", "refused NOTSUPPORTED failed attempts",
     "ACL LOG\n"},
    {"refused ERR CLIENT CACHING can be called only when", "refused ERR CLIENT CACHING can",
     "CLIENT CACHING yes\n"},
    {"refused ERR No such client", "refused ERR No such client", "CLIENT KILL 1.2.3.4:5\n"},
    {"refused ERR", "refused ERR", "CLIENT MAINT_NOTIFICATIONS on\n"},
    {"refused ERR This instance has cluster support disabled", "main",
     "CLUSTER ADDSLOTS 1\nCLUSTER ADDSLOTSRANGE 1 2\nCLUSTER BUMPEPOCH\nCLUSTER COUNT-FAILURE-REPORTS n\n"
     "CLUSTER COUNTKEYSINSLOT 1\nCLUSTER DELSLOTS 1\nCLUSTER DELSLOTSRANGE 1 2\nCLUSTER FAILOVER\n"
     "CLUSTER FLUSHSLOTS\nCLUSTER FORGET n\nCLUSTER GETKEYSINSLOT 1 1\nCLUSTER HELP\nCLUSTER INFO\n"
     "CLUSTER KEYSLOT k\nCLUSTER LINKS\nCLUSTER MEET h 1\nCLUSTER MYID\nCLUSTER NODES\nCLUSTER REPLICAS n\n"
     "CLUSTER REPLICATE n\nCLUSTER RESET\nCLUSTER SAVECONFIG\nCLUSTER SET-CONFIG-EPOCH 1\n"
     "CLUSTER SETSLOT 1 STABLE\nCLUSTER SHARDS\nCLUSTER SLAVES n\nCLUSTER SLOTS\n"},
    {"daemon", "main",
     "COMMAND COUNT\nCOMMAND DOCS\nCOMMAND GETKEYS GET k\nCOMMAND INFO\nCOMMAND LIST\nCONFIG HELP\n"
     "LATENCY DOCTOR\nLATENCY HELP\nLATENCY HISTORY command\nLATENCY LATEST\nLATENCY RESET\nMODULE LIST\n"
     "SLOWLOG GET\nSLOWLOG HELP\nSLOWLOG LEN\nSLOWLOG RESET\n"},
    {"b", "main", "COMMAND GETKEYSANDFLAGS GET k\nCOMMAND HELP\n"},
    {"a+b", "main", "CONFIG GET maxmemory\n"},
    {"refused NOTSUPPORTED", "main", "CONFIG RESETSTAT\nCONFIG REWRITE\nCONFIG SET maxmemory 1\n"},
    {"a+b", "main", "FUNCTION DELETE l\nFUNCTION FLUSH\nFUNCTION LOAD code\nFUNCTION RESTORE code\n"},
    {"b", "main", "FUNCTION DUMP\nFUNCTION HELP\nFUNCTION LIST\nFUNCTION STATS\n"},
    {"own a+b", "own main", "FUNCTION KILL\nSCRIPT KILL\n"},
    {"refused ERR", "main", "LATENCY GRAPH command\n"},
    {"refused NOTSUPPORTED", "main", "LATENCY HISTOGRAM\n"},
    {"a+b", "main", "MEMORY DOCTOR\nMEMORY MALLOC-STATS\nMEMORY PURGE\nMEMORY USAGE k\n"},
    {"b", "main", "MEMORY HELP\nOBJECT HELP\nPUBSUB HELP\nSCRIPT HELP\nXGROUP HELP\nXINFO HELP\n"},
    {"refused NOTSUPPORTED", "main", "MEMORY STATS\n"},
    {"refused NOTSUPPORTED", "refused NOTSUPPORTED",
     "MODULE LOAD path\nMODULE LOADEX path\nMODULE UNLOAD m\nSCRIPT DEBUG YES\n"},
    {"a+b", "main", "OBJECT ENCODING k\nOBJECT FREQ k\nOBJECT IDLETIME k\nOBJECT REFCOUNT k\n"},
    {"a+b*", "main*",
     "PUBSUB CHANNELS\nPUBSUB NUMPAT\nPUBSUB NUMSUB\nPUBSUB SHARDCHANNELS\nPUBSUB SHARDNUMSUB\n"},
    {"a+b", "main", "SCRIPT EXISTS sha\nSCRIPT FLUSH\nSCRIPT LOAD code\n"},
    {"a+b", "main",
     "XGROUP CREATECONSUMER k g c\nXGROUP DELCONSUMER k g c\nXGROUP DESTROY k g\nXGROUP SETID k g $\n"
     "XINFO CONSUMERS k g\nXINFO STREAM k\n"},
    {"a+b*", "main", "XINFO GROUPS k\n"},
    // The buses of the tests have every group already.
    {"a+b* -BUSYGROUP", "main", "XGROUP CREATE stream g $\n"},
};

template <typename Visit>
void each_example(Visit&& visit) {
  for (const subfamily& f : subfamilies) {
    for (std::string_view rest = f.examples; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1))
      visit(f, split(rest.substr(0, rest.find('\n'))));
  }
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

TEST(DispatchSubcommands, EachIsNamedOnceWithItsLeastArguments) {
  std::map<std::string, std::size_t, std::less<>> sizes;
  each_example([&](const subfamily&, const words& request) {
    const std::string name = lower(request[0]) + " " + lower(request[1]);
    EXPECT_FALSE(sizes.contains(name)) << name << " is named twice";
    sizes[name] = request.size();
  });
  for (const command::subcommand_spec& spec : command::subcommand_table()) {
    const std::string name = std::string(spec.command) + " " + std::string(spec.name);
    ASSERT_TRUE(sizes.contains(name)) << name;
    EXPECT_EQ(sizes[name], static_cast<std::size_t>(std::abs(spec.arity))) << name;
    sizes.erase(name);
  }
  for (const auto& [name, size] : sizes) ADD_FAILURE() << name << " is no subcommand of the table";
}

void expect_outcome(layout which, const words& request, std::string_view expected) {
  SCOPED_TRACE(joined(request) + (which == layout::plain ? ", one bus" : ", two buses"));
  bench on(which);
  const auto from = on.connect();
  const outcome seen = run(on, *from, request);
  EXPECT_TRUE(fits(seen.text, expected)) << "expected: " << expected << "\nseen:     " << seen.text;
  EXPECT_EQ(seen.replies, 1U);
  EXPECT_FALSE(seen.answered_early);
}

TEST(DispatchSubcommands, GoWhereTheDocumentsSay) {
  each_example([](const subfamily& f, const words& request) {
    expect_outcome(layout::two_buses, request, f.two_buses);
    expect_outcome(layout::plain, request, f.plain);
  });
}

// The daemon refuses one that it would have to answer; the bus finds fault with one that it is given.
TEST(DispatchSubcommands, UnknownOnesAreRefusedByWhoeverAnswersTheCommand) {
  const auto unknown = [](const std::string& command) {
    return "refused ERR unknown subcommand 'nosuch'. Try " + command + " HELP.";
  };
  for (const char* command : {"ACL", "CLIENT", "DUALBUS"}) {
    expect_outcome(layout::two_buses, {command, "nosuch"}, unknown(command));
    expect_outcome(layout::plain, {command, "nosuch"}, unknown(command));
  }
  for (const char* command : {"COMMAND", "CONFIG", "LATENCY", "SLOWLOG"}) {
    expect_outcome(layout::two_buses, {command, "nosuch"}, unknown(command));
    expect_outcome(layout::plain, {command, "nosuch"}, "main");
  }
  for (const char* command : {"FUNCTION", "MEMORY", "OBJECT", "PUBSUB", "SCRIPT", "XGROUP", "XINFO"}) {
    expect_outcome(layout::two_buses, {command, "nosuch"}, "b");
    expect_outcome(layout::plain, {command, "nosuch"}, "main");
  }
  expect_outcome(layout::two_buses, {"CLUSTER", "nosuch"},
                 "refused ERR This instance has cluster support disabled");
  expect_outcome(layout::plain, {"CLUSTER", "nosuch"}, "main");
  for (const layout which : {layout::two_buses, layout::plain})
    expect_outcome(which, {"MODULE", "nosuch"}, "refused ");
}

TEST(DispatchSubcommands, OneWithAZeroByteIsAlwaysUnknown) {
  for (const char* command : {"ACL", "CLIENT", "CONFIG", "FUNCTION", "SCRIPT"}) {
    for (const layout which : {layout::two_buses, layout::plain}) {
      expect_outcome(which, {command, std::string("GET\0x", 5)},
                     "refused ERR unknown subcommand 'GET'. Try " + std::string(command) + " HELP.");
    }
  }
}

TEST(DispatchSubcommands, TheBusKeepsWhatTheDaemonsConnectionsNeed) {
  for (const char* parameter : {"requirepass", "port", "bind"}) {
    expect_outcome(layout::plain, {"CONFIG", "SET", parameter, "1"}, "refused NOTSUPPORTED");
    expect_outcome(layout::plain, {"CONFIG", "SET", "maxmemory", "1", parameter, "1"},
                   "refused NOTSUPPORTED");
  }
}

}  // namespace
}  // namespace dualbus::app::test
