#include "dispatch_families.hpp"
#include "dispatch_outcome.hpp"

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::app::test {
namespace {

// ----------------------------------------------------------------------------------------------- pauses

/// Requests that a replica gets though they change no keys, or only what a group has.
const std::set<std::string> also_writing = {"pfcount", "publish",    "spublish",  "xack",
                                            "xclaim",  "xautoclaim", "xreadgroup"};
/// Commands about one server that Redis does not call writing; and XGROUP HELP, which is the example.
const std::set<std::string> not_writing = {"bgrewriteaof", "bgsave",     "debug", "hotkeys",
                                           "lastsave",     "pfselftest", "save",  "xgroup"};

bool writes(const example& e) {
  return also_writing.contains(e.name()) || (e.changes_keys && !not_writing.contains(e.name()));
}

void expect_pause(const example& e, const std::string& kind, bool held) {
  SCOPED_TRACE(e.text + ", paused: " + kind);
  bench on(layout::two_buses);
  const auto from = on.connect(), other = on.connect();
  EXPECT_EQ(on.answer(*other, "CLIENT PAUSE 100000 " + kind), "+OK\r\n");
  on.forget_deliveries();
  on.send(*from, e.request());
  EXPECT_EQ(on.replies(*from).size(), held ? 0U : 1U);
  if (held) {
    EXPECT_FALSE(on.anything_given());
  }
  EXPECT_EQ(on.answer(*other, "CLIENT UNPAUSE"), "+OK\r\n");
  EXPECT_EQ(on.replies(*from).size(), held ? 1U : 0U);
}

TEST(DispatchPause, HoldsEverythingButClient) {
  for (const example& e : all_examples()) expect_pause(e, "ALL", e.name() != "client");
}

TEST(DispatchPause, OfWritesHoldsWhatRedisCallsWriting) {
  for (const example& e : all_examples()) expect_pause(e, "WRITE", writes(e));
}

// As in Redis 7.0: a script that runs too long can be ended meanwhile.
TEST(DispatchPause, OfWritesHoldsOnlyTheSubcommandsThatWrite) {
  const auto expect = [](std::initializer_list<const char*> requests, bool held) {
    for (const char* request : requests) expect_pause({nullptr, false, request}, "WRITE", held);
  };
  expect({"FUNCTION DELETE l", "FUNCTION FLUSH", "FUNCTION LOAD code", "FUNCTION RESTORE code",
          "XGROUP CREATE md:k g $", "XGROUP CREATECONSUMER k g c", "XGROUP DELCONSUMER k g c",
          "XGROUP DESTROY k g", "XGROUP SETID k g $"},
         true);
  expect({"FUNCTION DUMP", "FUNCTION HELP", "FUNCTION KILL", "FUNCTION LIST", "FUNCTION STATS",
          "SCRIPT DEBUG YES", "SCRIPT EXISTS sha", "SCRIPT FLUSH", "SCRIPT HELP", "SCRIPT KILL",
          "SCRIPT LOAD code", "XGROUP HELP"},
         false);
}

TEST(DispatchPause, HoldsExecIfATransactionWrites) {
  for (const auto& [request, held] : {std::pair("SET k v", true), std::pair("GET k", false)}) {
    SCOPED_TRACE(request);
    bench on(layout::two_buses);
    const auto from = on.connect(), other = on.connect();
    on.answer(*from, "MULTI");
    on.answer(*from, request);
    on.answer(*other, "CLIENT PAUSE 100000 WRITE");
    EXPECT_EQ(on.ask(*from, "EXEC").size(), held ? 0U : 1U);
    on.answer(*other, "CLIENT UNPAUSE");
    EXPECT_EQ(on.replies(*from).size(), held ? 1U : 0U);
  }
}

// ---------------------------------------------------------------------------------------------- MONITOR

/// Redis shows no administration.
const std::set<std::string> hidden = {"bgrewriteaof", "bgsave",   "config",    "debug",   "failover",
                                      "latency",      "module",   "monitor",   "pfdebug", "pfselftest",
                                      "psync",        "replconf", "replicaof", "save",    "shutdown",
                                      "slaveof",      "slowlog",  "sync"};

std::string shown_form(const example& e) {
  std::string line;
  for (const std::string& word : e.name() == "auth" ? words{"AUTH", "(redacted)"} : e.request())
    line += " \"" + word + "\"";
  return line;
}

TEST(DispatchMonitor, ShowsEveryRequestButAdministration) {
  bench on(layout::two_buses);
  const auto monitor = on.connect();
  EXPECT_EQ(on.answer(*monitor, "MONITOR"), "+OK\r\n");
  std::vector<std::string> expected;
  for (const example& e : all_examples()) {
    const auto from = on.connect();
    on.send(*from, e.request());
    if (!hidden.contains(e.name())) expected.push_back(shown_form(e));
    from->fd.reset();
  }
  on.settle_with_timer();
  on.settle_with_timer();
  std::vector<std::string> shown;
  for (const std::string& line : on.replies(*monitor)) {
    const std::size_t address = line.find("] ");
    ASSERT_NE(address, std::string::npos) << line;
    EXPECT_EQ(line.substr(0, 1), "+");
    shown.push_back(line.substr(address + 1, line.size() - address - 3));
  }
  EXPECT_EQ(shown, expected);
}

// ------------------------------------------------------------------------------------------------ users

const std::string users =
    "auth:\n  users:\n"
    // of: secret
    "    everything:\n      password_hashes: "
    "[\"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"]\n"
    "      commands: [\"+@all\"]\n      keys: [\"*\"]\n      channels: [\"*\"]\n"
    "    pinned:\n      password_hashes: "
    "[\"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"]\n"
    "      commands: [\"+@all\"]\n      keys: [\"md:*\"]\n      channels: [\"*\"]\n"
    "    nothing:\n      password_hashes: "
    "[\"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"]\n";

/// EXEC has words of its own for what is wrong with it.
std::string denied(const example& e, const std::string& why) {
  return (e.name() == "exec" ? "refused EXECABORT Transaction discarded because of: " : "refused ") + why;
}

const std::set<std::string> before_login = {"auth", "hello", "quit", "reset"};

TEST(DispatchUsers, WhoHasNotLoggedInMayOnlyDoSo) {
  for (const example& e : all_examples()) {
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses, users, "AUTH everything secret");
    const auto from = on.connect();
    const outcome seen = run(on, *from, e.request());
    EXPECT_EQ(seen.replies, 1U);
    EXPECT_FALSE(on.anything_given());
    if (e.name() == "hello") {
      EXPECT_TRUE(fits(seen.text, "refused NOAUTH HELLO must be called")) << seen.text;
    } else if (!before_login.contains(e.name())) {
      EXPECT_EQ(seen.text, denied(e, "NOAUTH Authentication required."));
    } else {
      EXPECT_FALSE(fits(seen.text, "refused NOAUTH")) << seen.text;
    }
  }
}

TEST(DispatchUsers, WhoMayDoNothingIsRefusedEverything) {
  for (const example& e : all_examples()) {
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses, users, "AUTH everything secret");
    const auto from = on.connect();
    EXPECT_EQ(on.answer(*from, "AUTH nothing secret"), "+OK\r\n");
    const outcome seen = run(on, *from, e.request());
    EXPECT_EQ(seen.replies, 1U);
    EXPECT_FALSE(on.anything_given());
    const bool refused = fits(seen.text, denied(e, "NOPERM "));
    EXPECT_EQ(refused, !before_login.contains(e.name())) << seen.text;
  }
}

TEST(DispatchUsers, WhoMayDoEverythingIsServedAsWithoutUsers) {
  for (const example& e : all_examples()) {
    if (e.name() == "auth") continue;
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses, users, "AUTH everything secret");
    const auto from = on.connect();
    EXPECT_EQ(on.answer(*from, "AUTH everything secret"), "+OK\r\n");
    const outcome seen = run(on, *from, e.request());
    EXPECT_TRUE(fits(seen.text, e.of->free)) << seen.text;
    EXPECT_EQ(seen.replies, 1U);
  }
}

TEST(DispatchUsers, KeysThatAUserMayNotUseReachNoBus) {
  std::size_t tried = 0;
  for (const example& e : all_examples()) {
    // MIGRATE may name keys that nobody looks for, so it needs the right to all of them.
    if (e.request() == e.request("md:") || e.name() == "migrate") continue;
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses, users, "AUTH everything secret");
    const auto from = on.connect();
    EXPECT_EQ(on.answer(*from, "AUTH pinned secret"), "+OK\r\n");
    const outcome foreign = run(on, *from, e.request());
    EXPECT_TRUE(fits(foreign.text, "refused NOPERM ")) << foreign.text;
    const outcome seen = run(on, *from, e.request("md:"));
    EXPECT_TRUE(fits(seen.text, e.of->pinned)) << seen.text;
    EXPECT_EQ(foreign.replies + seen.replies, 2U);
    ++tried;
  }
  EXPECT_GT(tried, 200U);
}

TEST(DispatchUsers, WhatAUserMayNotDoIsNotQueuedEither) {
  std::size_t tried = 0;
  for (const example& e : all_examples()) {
    if (e.request() == e.request("md:") || e.of->in_multi != "queued") continue;
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses, users, "AUTH everything secret");
    const auto from = on.connect();
    on.answer(*from, "AUTH pinned secret");
    on.answer(*from, "MULTI");
    EXPECT_EQ(on.answer(*from, joined(e.request("md:"))), "+QUEUED\r\n");
    const outcome foreign = run(on, *from, e.request());
    EXPECT_TRUE(fits(foreign.text, "refused NOPERM ")) << foreign.text;
    EXPECT_TRUE(fits(run(on, *from, {"EXEC"}).text, "refused EXECABORT"));
    ++tried;
  }
  EXPECT_GT(tried, 180U);
}

// ----------------------------------------------------------------------------------------------- memory

void use_memory(bench& on, std::size_t percent) {
  client::memory_budget& budget = on.daemon.memory;
  budget.set_limit(std::size_t{100} << 20);
  budget.join().bytes = percent << 20;
  on.tick();
}

TEST(DispatchMemory, WithoutAnyLeftNoBusGetsAnything) {
  // Small, and needed to find out what the matter is or to undo something; WATCH is as small.
  const std::set<std::string> served = {"info", "lolwut", "watch"};
  for (const example& e : all_examples()) {
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses);
    const auto from = on.connect();
    use_memory(on, 200);
    const outcome seen = run(on, *from, e.request());
    EXPECT_EQ(seen.replies, 1U);
    const bool goes_to_a_bus = e.of->free != "daemon" && !e.of->free.starts_with("refused");
    if (goes_to_a_bus && !served.contains(e.name())) {
      EXPECT_TRUE(fits(seen.text, "refused OOM ")) << seen.text;
      EXPECT_NE(seen.text.find("'limits.memory' of dualbusd"), std::string::npos);
    } else if (served.contains(e.name())) {
      EXPECT_EQ(seen.text, e.of->free);
    } else {
      EXPECT_FALSE(on.anything_given());
    }
  }
}

TEST(DispatchMemory, AlmostFullRefusesWhatIsQueuedAndWhatIsLarge) {
  bench on(layout::two_buses);
  const auto from = on.connect();
  use_memory(on, 90);
  EXPECT_EQ(run(on, *from, split("SET k v")).text, "b");
  EXPECT_TRUE(fits(run(on, *from, {"SET", "k", std::string(20000, 'v')}).text, "refused OOM "));
  on.answer(*from, "MULTI");
  EXPECT_TRUE(fits(run(on, *from, split("SET k v")).text, "refused OOM "));
  EXPECT_TRUE(fits(run(on, *from, {"EXEC"}).text, "refused EXECABORT"));
}

}  // namespace
}  // namespace dualbus::app::test
