#include "arguments.hpp"

#include <dualbus/command/router.hpp>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using action = plan::action;
using strings = std::vector<std::string>;
using testing::HasSubstr;
using testing::StartsWith;

routing_rules two_buses() {
  routing_rules rules;
  rules.buses = {{"marketdata", 1, false}, {"engine_logic", 2, false}};
  rules.default_bus = 1;
  rules.types = {{"market_data", 0}, {"order_request", 1}};
  rules.keys = {{"md:*", 0}, {"el:*", 1}};
  return rules;
}

class RouterTest : public testing::Test {
 protected:
  void use(routing_rules rules, waiting_reads waiting = waiting_reads::park) {
    router_.reset();
    table_ = std::make_unique<routing_table>(std::move(rules));
    counters_ = std::make_unique<message_counters>(table_->bus_count(), 10);
    router_ = std::make_unique<router>(*table_, *counters_, waiting);
  }
  void SetUp() override { use(two_buses()); }

  // The plan object is reused, as in a worker, so that what an earlier request left in it would show.
  const plan& plan_for(const strings& request) {
    const int found = find_command(request[0]);
    EXPECT_GE(found, 0) << request[0];
    const command_spec& spec = command_table()[static_cast<std::size_t>(found)];
    EXPECT_TRUE(arity_matches(spec, request.size())) << request[0];
    const test::owned_arguments args(request);
    router_->make_plan(spec, args, plan_);
    return plan_;
  }
  void expect_forward(const strings& request, int bus) {
    const plan& p = plan_for(request);
    EXPECT_EQ(p.what, action::forward) << testing::PrintToString(request) << p.error;
    EXPECT_EQ(p.bus, bus) << testing::PrintToString(request);
  }
  void expect_spread(const strings& request) {
    EXPECT_EQ(plan_for(request).what, action::spread) << testing::PrintToString(request);
  }
  std::string refusal(const strings& request) {
    const plan& p = plan_for(request);
    EXPECT_EQ(p.what, action::refuse) << testing::PrintToString(request);
    return p.error;
  }

  std::unique_ptr<routing_table> table_;
  std::unique_ptr<message_counters> counters_;
  std::unique_ptr<router> router_;
  plan plan_;
};

TEST_F(RouterTest, SingleKeyCommandsGoToTheKeysBus) {
  expect_forward({"GET", "md:1"}, 0);
  expect_forward({"GET", "anything"}, 1);
  expect_forward({"HSET", "md:1", "f", "v"}, 0);
}

TEST_F(RouterTest, CommandsWithSeveralKeysNeedThemOnOneBus) {
  expect_forward({"RPOPLPUSH", "md:1", "md:2"}, 0);
  expect_forward({"SINTERSTORE", "el:1", "a", "b"}, 1);
  expect_forward({"ZUNIONSTORE", "md:d", "2", "md:1", "md:2"}, 0);
  EXPECT_THAT(refusal({"RPOPLPUSH", "md:1", "el:1"}), StartsWith("CROSSBUS "));
  EXPECT_THAT(refusal({"ZUNIONSTORE", "md:d", "1", "a"}), StartsWith("CROSSBUS "));
  EXPECT_THAT(refusal({"SORT", "a", "STORE", "md:d"}), StartsWith("CROSSBUS "));
  EXPECT_THAT(refusal({"SORT_RO", "a", "BY", "md:w_*"}), StartsWith("CROSSBUS "));
  EXPECT_THAT(refusal({"SORT", "md:a", "GET", "w_*", "STORE", "md:d"}), HasSubstr("the pattern 'w_*'"));
  EXPECT_THAT(refusal({"MSETNX", "a", "1", "md:1", "2"}), StartsWith("CROSSBUS "));
}

TEST_F(RouterTest, SortNeedsWhatItsPatternsStandForOnTheBusOfItsKeys) {
  expect_forward({"SORT_RO", "a", "BY", "w_*", "GET", "#", "GET", "h_*->f"}, 1);
  expect_forward({"SORT_RO", "md:a", "BY", "md:w_*", "GET", "none"}, 0);
  expect_forward({"SORT", "a", "BY", "nosort", "LIMIT", "0", "1", "STORE", "by"}, 1);
  EXPECT_THAT(refusal({"SORT_RO", "a", "BY", "m*"}), StartsWith("CROSSBUS "));  // may become "md:1"
  EXPECT_THAT(refusal({"SORT_RO", "a", "BY", "*", "GET", "#"}), HasSubstr("the pattern '*'"));
  expect_forward({"SORT_RO", "a", "BY", std::string("md:\0*", 5)}, 1);  // no pattern for strchr()
  routing_rules rules = two_buses();
  rules.keys.clear();
  use(rules);
  expect_forward({"SORT", "a", "BY", "*", "GET", "*", "STORE", "d"}, 1);
}

TEST_F(RouterTest, WhatRedisWouldRefuseIsLeftToRedis) {
  expect_forward({"ZUNION", "x", "a"}, 1);
  expect_forward({"XADD", "s", "*", "a", "b", "c"}, 1);
  expect_forward({"XADD", "md:s", "*", "a", "b", "c"}, 0);
  expect_forward({"XINFO", "HELP"}, 1);
}

TEST_F(RouterTest, MgetAndMsetAreSplitOnlyIfTheirKeysAreApart) {
  expect_forward({"MGET", "a", "b"}, 1);
  expect_forward({"MGET", "md:1", "md:2"}, 0);
  expect_forward({"MGET", "a", "el:b"}, 1);
  expect_spread({"MGET", "md:1", "b"});
  EXPECT_EQ(plan_.keys, (std::vector<std::uint32_t>{1, 2}));
  expect_spread({"MSET", "md:1", "1", "b", "2"});
  EXPECT_EQ(plan_.keys, (std::vector<std::uint32_t>{1, 3}));
}

TEST_F(RouterTest, KeysThatMayHavePartsOnEveryBusAreAskedForEverywhere) {
  expect_spread({"DEL", "a"});
  expect_spread({"EXISTS", "a", "md:1"});
  expect_spread({"EXPIRE", "a", "5"});
  expect_spread({"TYPE", "a"});
  expect_spread({"TTL", "a"});
  expect_forward({"DEL", "md:1", "md:2"}, 0);
  expect_spread({"DELEX", "a"});
  expect_forward({"DELEX", "a", "IFEQ", "v"}, 1);
  expect_forward({"TTL", "el:1"}, 1);
}

TEST_F(RouterTest, XaddOfALogicalStreamGoesWhereItsTypeBelongs) {
  const plan& market = plan_for({"XADD", "s", "MAXLEN", "~", "100", "*", "message_type", "market_data"});
  EXPECT_EQ(market.what, action::add);
  EXPECT_EQ(market.bus, 0);
  EXPECT_EQ(market.rule, rule::type);
  EXPECT_EQ(market.xadd.id, 5U);
  EXPECT_EQ(plan_for({"XADD", "s", "*", "message_type", "order_request"}).bus, 1);
  EXPECT_EQ(plan_for({"XADD", "s", "*", "message_type", "new"}).rule, rule::default_bus);
}

TEST_F(RouterTest, XaddOfAPinnedStreamIsForwardedAsItIs) {
  expect_forward({"XADD", "md:s", "*", "message_type", "order_request"}, 0);
  EXPECT_EQ(plan_.rule, rule::key);
  expect_forward({"XADD", "md:s", "KEEPREF", "*", "a", "b"}, 0);
}

TEST_F(RouterTest, NoXaddGoesToADrainingBusWhateverPinsItsKeyThere) {
  routing_rules rules = two_buses();
  rules.buses.push_back({"main", 0, true});
  rules.keys.push_back({"old:*", 2});
  use(rules);
  const std::string error =
      "ERR dualbus: bus 'main' is draining and takes no XADD: pin key 'old:s' to an active bus with "
      "routing.keys, or to none";
  EXPECT_EQ(refusal({"XADD", "old:s", "*", "message_type", "market_data"}), error);
  EXPECT_EQ(refusal({"XADD", "old:s", "NOMKSTREAM", "5-1", "a", "b"}), error);
  EXPECT_EQ(refusal({"XADD", "old:s", "KEEPREF", "*", "a", "b"}), error) << "Redis 8.2 takes it";
  EXPECT_EQ(refusal({"XADD", "old:s", "*", "a", "b", "c"}), error);
  counters_->visit([](std::string_view type, const message_counters::row& row) {
    for (const auto& bus : row) EXPECT_EQ(bus, decltype(bus){}) << "counted as routed: " << type;
  });
  // Everything else reaches what has not been moved yet.
  expect_forward({"GET", "old:k"}, 2);
  expect_forward({"SET", "old:k", "v"}, 2);
  expect_forward({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "old:s", ">"}, 2);
  expect_forward({"XACK", "old:s", "g", "1-1"}, 2);
  expect_forward({"DEL", "old:s"}, 2);
}

TEST_F(RouterTest, KeysThatAreNoStreamsMayHaveADefaultBusOfTheirOwn) {
  routing_rules rules = two_buses();
  rules.buses.push_back({"main", 0, true});
  rules.default_key_bus = 2;
  use(rules);
  for (const auto& request : std::vector<strings>{{"SET", "k", "v"},
                                                  {"HSET", "k", "f", "v"},
                                                  {"MGET", "a", "b"},
                                                  {"MSET", "a", "1", "b", "2"},
                                                  {"SUNION", "a", "b"}}) {
    expect_forward(request, 2);
  }
  expect_spread({"MGET", "a", "el:b"});
  expect_spread({"TYPE", "k"});
  EXPECT_THAT(refusal({"SUNION", "a", "el:b"}), StartsWith("CROSSBUS "));
  // Messages go where they went.
  EXPECT_EQ(plan_for({"XADD", "s", "*", "message_type", "new"}).bus, 1);
  EXPECT_EQ(plan_for({"XADD", "s", "*", "message_type", "market_data"}).bus, 0);
  expect_forward({"XADD", "s", "*", "a", "b", "c"}, 1);
}

TEST_F(RouterTest, LaterXaddOptionsAreRefusedOnLogicalStreams) {
  EXPECT_EQ(refusal({"XADD", "s", "keepref", "*", "a", "b"}),
            "ERR dualbus: option 'KEEPREF' not supported on logical stream 's'");
}

TEST_F(RouterTest, StreamCommandsFollowTheKeysForm) {
  expect_spread({"XLEN", "s"});
  expect_spread({"XRANGE", "s", "-", "+"});
  expect_spread({"XREVRANGE", "s", "+", "-"});
  expect_spread({"XDEL", "s", "1-1"});
  expect_forward({"XLEN", "md:s"}, 0);
  expect_forward({"XGROUP", "CREATE", "md:s", "g", "$"}, 0);
  expect_forward({"XREAD", "STREAMS", "md:a", "md:b", "0", "0"}, 0);
  expect_spread({"XTRIM", "s", "MAXLEN", "5"});
  expect_spread({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  expect_spread({"XREAD", "STREAMS", "md:a", "b", "0", "0"});
  EXPECT_EQ(
      refusal({"XSETID", "s", "1-1"}),
      "ERR dualbus: command 'XSETID' is not supported on logical stream 's': pin the key with routing.keys");
  expect_spread({"XREAD", "STREAMS", "md:a", "el:b", "0", "0"});
}

TEST_F(RouterTest, ReadsThatMayWaitNeedNoConnectionOfTheirOwn) {
  expect_spread({"XREAD", "BLOCK", "0", "STREAMS", "a", "$"});
  expect_spread({"XREAD", "BLOCK", "0", "STREAMS", "md:a", "el:b", "$", "$"});
  for (const strings& options : std::vector<strings>{{"BLOCK", "0"}, {"CLAIM", "9", "BLOCK", "0"}}) {
    strings request = {"XREADGROUP", "GROUP", "g", "c"};
    request.insert(request.end(), options.begin(), options.end());
    request.insert(request.end(), {"STREAMS", "md:a", "md:b", ">", ">"});
    EXPECT_EQ(plan_for(request).what, action::park);
    EXPECT_EQ(plan_.bus, 0);
  }
  EXPECT_EQ(plan_for({"XREAD", "BLOCK", "0", "STREAMS", "md:a", "0", "more"}).what, action::block)
      << "where are its keys?";
  EXPECT_EQ(plan_for({"XREADGROUP", "GROUP", "block", "block", "STREAMS", "md:a", ">"}).what,
            action::forward);
  EXPECT_EQ(plan_for({"XREAD", "COUNT", "1", "STREAMS", "md:block", "0"}).what, action::forward);
}

TEST_F(RouterTest, OtherCommandsThatWaitDo) {
  EXPECT_EQ(plan_for({"BLPOP", "md:a", "md:b", "0"}).what, action::block);
  EXPECT_EQ(plan_.bus, 0);
  EXPECT_EQ(plan_for({"BLMPOP", "0", "1", "el:a", "LEFT"}).what, action::block);
  EXPECT_THAT(refusal({"BLMOVE", "md:a", "el:b", "LEFT", "LEFT", "0"}), StartsWith("CROSSBUS "));
  EXPECT_EQ(plan_for({"WAIT", "0", "0"}).what, action::broadcast);
  EXPECT_EQ(plan_for({"WAITAOF", "0", "0", "0"}).what, action::broadcast);
}

TEST_F(RouterTest, RefusalsNameTheCommandAndAnAlternative) {
  for (const strings& request :
       std::vector<strings>{{"FLUSHALL"}, {"SHUTDOWN"}, {"MIGRATE", "h", "1", "k", "0", "0"}}) {
    const std::string error = refusal(request);
    EXPECT_THAT(error, StartsWith("NOTSUPPORTED command '" + request[0] + "' "));
  }
}

TEST_F(RouterTest, CommandsAboutOneServerArePassedToTheOnlyBusIfPermitted) {
  const std::vector<strings> requests = {
      {"SAVE"},           {"CONFIG", "SET", "a", "b"}, {"LATENCY", "LATEST"}, {"ROLE"},
      {"MODULE", "LIST"}, {"DEBUG", "SLEEP", "0"},     {"SLOWLOG", "GET"},    {"COMMAND", "COUNT"}};
  routing_rules rules;
  rules.buses = {{"main", 0, false}};
  rules.server_commands = server_commands::passed;
  use(rules);
  for (const strings& request : requests) expect_forward(request, 0);
  for (const strings& request :
       std::vector<strings>{{"SHUTDOWN"}, {"REPLICAOF", "h", "1"}, {"SYNC"}, {"PSYNC", "?", "-1"}}) {
    EXPECT_THAT(refusal(request), StartsWith("NOTSUPPORTED "));
  }
  for (const strings& request : std::vector<strings>{{"INFO"},
                                                     {"CLIENT", "LIST"},
                                                     {"ACL", "LIST"},
                                                     {"MODULE", "LOAD", "x"},
                                                     {"CONFIG", "SET", "hz", "1", "RequirePass", "x"},
                                                     {"CONFIG", "SET", "port", "1"}}) {
    EXPECT_EQ(plan_for(request).what, action::local);
  }
  rules.server_commands = server_commands::refused;
  use(rules);
  for (const strings& request : requests) EXPECT_NE(plan_for(request).what, action::forward);
}

TEST_F(RouterTest, MemoryIsAskedOfEachBus) {
  for (const char* report : {"DOCTOR", "malloc-stats", "PURGE"})
    EXPECT_EQ(plan_for({"MEMORY", report}).what, action::spread);
  EXPECT_THAT(refusal({"MEMORY", "STATS"}), HasSubstr("ask each bus directly"));
  for (const strings& request :
       std::vector<strings>{{"MEMORY", "HELP"}, {"MEMORY", "NOSUCH"}, {"MEMORY", "PURGE", "x"}})
    EXPECT_EQ(plan_for(request).what, action::forward);
}

TEST_F(RouterTest, WhatAKeyIsUsedForARedisIsAsked) {
  EXPECT_EQ(plan_for({"COMMAND", "GETKEYS", "GET", "md:k"}).what, action::local);
  EXPECT_EQ(plan_for({"COMMAND", "GetKeysAndFlags", "GET", "md:k"}).what, action::forward);
  EXPECT_EQ(plan_for({"COMMAND", "HELP"}).what, action::forward);
  EXPECT_EQ(plan_for({"COMMAND"}).what, action::local);
}

TEST_F(RouterTest, CommandsAboutAllKeysGoToEveryBus) {
  for (const strings& request :
       std::vector<strings>{{"KEYS", "*"}, {"SCAN", "0"}, {"DBSIZE"}, {"RANDOMKEY"}}) {
    expect_spread(request);
  }
}

TEST_F(RouterTest, WholeKeysAreMovedOnTheirBusOrOnAll) {
  expect_spread({"RENAME", "a", "b"});
  expect_spread({"DUMP", "a"});
  expect_forward({"RENAME", "md:a", "md:b"}, 0);
  EXPECT_THAT(refusal({"RENAME", "md:a", "b"}), StartsWith("CROSSBUS "));
  EXPECT_THAT(refusal({"COPY", "a", "md:b"}), StartsWith("CROSSBUS "));
}

TEST_F(RouterTest, ScriptsRunOnTheBusOfTheirKeysAndAreLoadedOnEveryBus) {
  expect_forward({"EVAL", "return 1", "1", "md:a"}, 0);
  EXPECT_THAT(refusal({"EVALSHA", "x", "2", "md:a", "el:b"}), StartsWith("CROSSBUS "));
  expect_spread({"SCRIPT", "LOAD", "return 1"});
  expect_spread({"function", "load", "x"});
  EXPECT_EQ(plan_for({"SCRIPT", "KILL"}).what, action::broadcast);
  EXPECT_EQ(plan_for({"function", "kill"}).what, action::broadcast);
  EXPECT_THAT(refusal({"SCRIPT", "DEBUG", "YES"}), StartsWith("NOTSUPPORTED command 'SCRIPT DEBUG' "));
}

TEST_F(RouterTest, InOtherDatabasesEveryKeyHasOneBus) {
  use(with_every_key_pinned(two_buses()), waiting_reads::block);
  expect_forward({"XADD", "md:s", "*", "message_type", "order_request"}, 0);
  expect_forward({"XADD", "s", "*", "message_type", "market_data"}, 1);
  expect_forward({"DEL", "a", "b"}, 1);
  expect_spread({"DEL", "a", "md:b"});
  expect_forward({"RENAME", "a", "b"}, 1);
  expect_forward({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}, 1);
  EXPECT_EQ(plan_for({"XREAD", "BLOCK", "0", "STREAMS", "md:s", "$"}).what, action::block);
  EXPECT_EQ(plan_for({"XREAD", "BLOCK", "0", "STREAMS", "md:s", "$"}).bus, 0);
  EXPECT_THAT(refusal({"XREAD", "BLOCK", "0", "STREAMS", "md:s", "s", "$", "$"}), StartsWith("CROSSBUS "));
  expect_spread({"KEYS", "*"});
  EXPECT_TRUE(router_->is_whole("s"));
}

TEST_F(RouterTest, InOtherDatabasesKeysThatNoRuleKnowsAreWhereKeysAre) {
  routing_rules rules = two_buses();
  rules.default_key_bus = 0;
  use(with_every_key_pinned(rules));
  expect_forward({"XADD", "s", "*", "message_type", "order_request"}, 0);
  expect_forward({"GET", "el:k"}, 1);
}

TEST_F(RouterTest, BetweenDatabasesKeysMoveOnTheirBus) {
  expect_forward({"MOVE", "md:a", "1"}, 0);
  EXPECT_THAT(refusal({"MOVE", "a", "1"}), StartsWith("NOTSUPPORTED command 'MOVE' "));
  EXPECT_THAT(refusal({"SWAPDB", "0", "1"}), StartsWith("NOTSUPPORTED command 'SWAPDB' "));
}

TEST_F(RouterTest, OneBusWithSlotZeroIsTransparent) {
  routing_rules rules;
  rules.buses = {{"main", 0, false}};
  use(rules);
  expect_forward({"XADD", "s", "*", "a", "b"}, 0);
  expect_forward({"XADD", "s", "KEEPREF", "*", "a", "b"}, 0);
  expect_forward({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}, 0);
  expect_forward({"DEL", "a", "b"}, 0);
  expect_forward({"RENAME", "a", "b"}, 0);
  expect_forward({"MOVE", "a", "1"}, 0);
  expect_forward({"SWAPDB", "0", "1"}, 0);
  EXPECT_TRUE(router_->is_whole("s"));
}

TEST_F(RouterTest, OneBusWithAnotherSlotStillTranslatesIds) {
  routing_rules rules;
  rules.buses = {{"main", 3, false}};
  use(rules);
  EXPECT_EQ(plan_for({"XADD", "s", "*", "a", "b"}).what, action::add);
  expect_spread({"XRANGE", "s", "-", "+"});
  EXPECT_FALSE(router_->is_whole("s"));
}

}  // namespace
}  // namespace dualbus::command
