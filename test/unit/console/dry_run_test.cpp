#include <dualbus/command/classifier.hpp>
#include <dualbus/console/dry_run.hpp>

#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::console {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

command::routing_rules rules_with(std::vector<command::match_rule> types) {
  command::routing_rules rules;
  rules.buses = {{"marketdata", 1}, {"engine_logic", 2}};
  rules.default_bus = 1;
  rules.types = std::move(types);
  return rules;
}

TEST(DryRunTest, SaysWhichMessagesMove) {
  const command::routing_table rules(rules_with({{"tick", 1}, {"order_*", 1}, {"quote", 0}}));
  const forecast found = dry_run(rules, {{"tick", "marketdata", 40, 2},
                                         {"order_new", "engine_logic", 5, 0},
                                         {"none", "marketdata", 1, 0},
                                         {"pinned", "marketdata", 0, 7},
                                         {"other", "marketdata", 3, 0}});
  EXPECT_THAT(
      lines_of(found.messages),
      ElementsAre("type       bus_now       bus_then      rule       messages_60s  pinned_60s  moves",
                  "tick       marketdata    engine_logic  'tick'               40           2  yes",
                  "order_new  engine_logic  engine_logic  'order_*'             5           0  no",
                  "none       marketdata    engine_logic  default               1           0  yes",
                  "pinned     marketdata    engine_logic  default               0           7  no",
                  "other      marketdata    -             -                     3           0  unknown"));
  EXPECT_DOUBLE_EQ(found.moving, 41);
  EXPECT_THAT(found.unused, ElementsAre("'quote'"));
}

TEST(DryRunTest, AgreesWithTheTableOfRules) {
  std::mt19937 random(23);
  const std::vector<std::string> words = {"a", "ab", "abc", "b", "a*", "*b", "*", "ab*", "[ab]", "c?"};
  for (int round = 0; round < 300; ++round) {
    std::vector<command::match_rule> types;
    for (unsigned i = 0; i < random() % 5; ++i)
      types.push_back({words[random() % words.size()], static_cast<command::bus_index>(random() % 2)});
    const command::routing_table rules(rules_with(types));
    for (const char* type : {"a", "ab", "abc", "b", "cd", "x"}) {
      const auto match = rules.match_type(type);
      const std::string truth =
          rules.bus(match.bus == command::no_bus ? rules.rules().default_bus : match.bus).name;
      const forecast found = dry_run(rules, {{type, "marketdata", 1, 0}});
      EXPECT_EQ(text_of(found.messages.rows[0][2]), truth) << type;
    }
  }
}

TEST(DryRunTest, ReadsTheTableOfTypes) {
  const table types{{"type", "bus", "messages", "messages_60s", "pinned_60s"},
                    {{std::string("tick"), std::string("marketdata"), std::uint64_t{9}, 4.5, 1.5},
                     {std::string("new"), std::string("marketdata"), std::uint64_t{1}, cell(), cell()}}};
  const std::vector<message_flow> flows = flows_of(types);
  ASSERT_EQ(flows.size(), 2U);
  EXPECT_EQ(flows[0].type, "tick");
  EXPECT_DOUBLE_EQ(flows[0].by_type, 3);
  EXPECT_DOUBLE_EQ(flows[0].by_key, 1.5);
  EXPECT_DOUBLE_EQ(flows[1].by_type, 0);
  EXPECT_THAT(flows_of({}), IsEmpty());
}

}  // namespace
}  // namespace dualbus::console
