#include "../command/arguments.hpp"

#include <dualbus/console/explanation.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::console {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

command::routing_rules two_buses() {
  command::routing_rules rules;
  rules.buses = {{"marketdata", 1}, {"engine_logic", 2}};
  rules.default_bus = 1;
  rules.json_fields = {"data"};
  rules.types = {{"market_*", 0}, {"order_request", 1}, {"market_maker", 1}};
  rules.keys = {{"md:*", 0}, {"el:*", 1}};
  rules.channels = {{"prices.*", 0}};
  return rules;
}

class ExplanationTest : public testing::Test {
 protected:
  record explained(std::vector<std::string> request, std::string denial = "") {
    const int found = command::find_command(request[0]);
    EXPECT_GE(found, 0) << request[0];
    const test::owned_arguments args(std::move(request));
    const command::command_spec& spec = command::command_table()[static_cast<std::size_t>(found)];
    return explain({spec, args, denial, router_, configuration_, {"at a:1, up", "at b:2, is loading"}});
  }
  // The values of that name.
  static std::vector<std::string> all(const record& found, std::string_view name) {
    std::vector<std::string> values;
    for (const auto& [key, value] : found) {
      if (key == name) values.push_back(value);
    }
    return values;
  }
  std::string one(std::vector<std::string> request, std::string_view name) {
    const auto values = all(explained(std::move(request)), name);
    EXPECT_EQ(values.size(), 1U) << name;
    return values.empty() ? std::string() : values[0];
  }

  command::routing_table table_{two_buses()};
  command::message_counters counters_{2, 10};
  command::router router_{table_, counters_};
  config::configuration configuration_;
};

TEST_F(ExplanationTest, ATypeAndItsRule) {
  const record found = explained({"XADD", "s", "*", "message_type", "market_data", "x", "1"});
  EXPECT_THAT(all(found, "key"),
              ElementsAre("'s': no rule of routing.keys matches, so its entries may lie on every bus"));
  EXPECT_THAT(all(found, "type"), ElementsAre("'market_data', in the field 'message_type'"));
  EXPECT_THAT(all(found, "rule"), ElementsAre("routing.types has 'market_*' for bus 'marketdata'"));
  EXPECT_THAT(all(found, "sent"), ElementsAre("to bus 'marketdata'; the entry's ID bears its id_slot, 1"));
  EXPECT_THAT(all(found, "bus"), ElementsAre("'marketdata' at a:1, up"));
  EXPECT_THAT(all(found, "permission"), ElementsAre("your user may run it"));
}

TEST_F(ExplanationTest, AnExactNameComesBeforeAGlob) {
  EXPECT_EQ(one({"XADD", "s", "*", "message_type", "market_maker"}, "rule"),
            "routing.types has 'market_maker' for bus 'engine_logic'");
}

TEST_F(ExplanationTest, ATypeInJson) {
  const std::string json = R"({"message_type":"market_data"})";
  EXPECT_EQ(one({"XADD", "s", "*", "data", json}, "type"),
            "'market_data', in the JSON of a field of routing.json_fields");
  EXPECT_EQ(one({"XADD", "s", "*", "data", json}, "rule"),
            "routing.types has 'market_*' for bus 'marketdata'");
}

TEST_F(ExplanationTest, NoTypeAndNoRule) {
  EXPECT_EQ(one({"XADD", "s", "*", "f", "v"}, "type"),
            "none: there is no field 'message_type', and no field of routing.json_fields names one");
  EXPECT_EQ(one({"XADD", "s", "*", "f", "v"}, "rule"),
            "none of routing.types matches; routing.default_bus is bus 'engine_logic'");
  EXPECT_EQ(one({"XADD", "s", "*", "message_type", "unknown"}, "rule"),
            "none of routing.types matches; routing.default_bus is bus 'engine_logic'");
}

TEST_F(ExplanationTest, APinnedKeyWhateverTheType) {
  const record found = explained({"XADD", "el:s", "*", "message_type", "market_data"});
  EXPECT_THAT(all(found, "key"), ElementsAre("'el:s': routing.keys has 'el:*' for bus 'engine_logic'"));
  EXPECT_THAT(all(found, "rule"), ElementsAre("the key's, whatever the type is"));
  EXPECT_THAT(all(found, "sent"), ElementsAre("to bus 'engine_logic' as it is"));
  EXPECT_THAT(all(found, "bus"), ElementsAre("'engine_logic' at b:2, is loading"));
}

TEST_F(ExplanationTest, KeysThatAreNoStreams) {
  EXPECT_EQ(one({"GET", "k"}, "key"),
            "'k': no rule of routing.keys matches; routing.default_key_bus is bus 'engine_logic'");
  EXPECT_EQ(one({"GET", "k"}, "sent"), "to bus 'engine_logic' as it is");
  EXPECT_THAT(one({"MGET", "md:1", "k"}, "sent"), StartsWith("to several buses"));
  EXPECT_THAT(one({"SINTER", "md:1", "k"}, "sent"), StartsWith("nowhere: CROSSBUS command 'SINTER'"));
}

TEST_F(ExplanationTest, ManyKeysAreCutShort) {
  std::vector<std::string> request{"DEL"};
  for (int i = 0; i < 25; ++i) request.push_back("k" + std::to_string(i));
  const auto keys = all(explained(request), "key");
  ASSERT_EQ(keys.size(), 21U);
  EXPECT_EQ(keys.back(), "and 5 more");
}

TEST_F(ExplanationTest, ReadsThatWaitAndReadsThatAreSpared) {
  EXPECT_THAT(one({"XREAD", "BLOCK", "0", "STREAMS", "md:s", "$"}, "sent"),
              AllOf(StartsWith("to bus 'marketdata'"), HasSubstr("waits in the daemon")));
  EXPECT_THAT(one({"BLPOP", "el:l", "0"}, "sent"), EndsWith("on a connection of its own while it waits"));
  const std::vector<std::string> poll{"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"};
  EXPECT_THAT(one(poll, "absorbed"), HasSubstr("no bus is asked"));
  configuration_.absorb.mode = config::absorb_mode::off;
  EXPECT_EQ(one(poll, "absorbed"), "never: absorb.mode is off");
}

TEST_F(ExplanationTest, ChannelsAndTheirMessages) {
  EXPECT_EQ(one({"PUBLISH", "prices.x", "m"}, "rule"),
            "routing.channels has 'prices.*' for bus 'marketdata'");
  EXPECT_EQ(one({"PUBLISH", "c", "m"}, "rule"),
            "none of routing.channels matches; routing.default_bus is bus 'engine_logic'");
  EXPECT_EQ(one({"PUBLISH", "c", R"({"message_type":"market_data"})"}, "rule"),
            "routing.types has 'market_*' for bus 'marketdata'");
}

TEST_F(ExplanationTest, WhatIsWrongWithTheRequest) {
  EXPECT_EQ(one({"GET"}, "sent"), "nowhere: ERR wrong number of arguments for 'get' command");
  EXPECT_THAT(all(explained({"GET", "k"}, "NOPERM no"), "permission"), ElementsAre("NOPERM no"));
  EXPECT_THAT(one({"FLUSHALL"}, "sent"), StartsWith("nowhere: NOTSUPPORTED"));
}

// A line of the answer is one line, whatever a client names its keys.
TEST_F(ExplanationTest, WordsOfClientsAreEscapedAndCut) {
  EXPECT_THAT(one({"GET", "a\r\nb'\x1b"}, "key"), StartsWith(R"('a\r\nb\'\x1b': )"));
  EXPECT_THAT(one({"GET", std::string(5000, 'k')}, "key"), StartsWith("'" + std::string(100, 'k') + "…': "));
  for (const auto& [name, value] : explained({"SORT", "el:l", "BY", "w\r\n*", "STORE", "md:x\n"}))
    EXPECT_EQ(value.find_first_of("\r\n"), std::string::npos) << name;
}

TEST_F(ExplanationTest, NothingIsCounted) {
  explained({"XADD", "s", "*", "message_type", "market_data"});
  std::size_t rows = 0;
  counters_.visit([&](std::string_view, const command::message_row& row) {
    for (const auto& bus : row)
      rows += static_cast<std::size_t>(std::count_if(bus.begin(), bus.end(), [](auto n) { return n != 0; }));
  });
  EXPECT_EQ(rows, 0U);
}

}  // namespace
}  // namespace dualbus::console
