#include <dualbus/base/glob.hpp>
#include <dualbus/command/routing_table.hpp>

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

routing_rules two_buses() {
  routing_rules rules;
  rules.buses = {{"marketdata", 1, false}, {"engine_logic", 2, false}};
  rules.default_bus = 1;
  return rules;
}

TEST(RoutingTableTest, PinsKeysByExactNamePrefixAndGlob) {
  routing_rules rules = two_buses();
  rules.keys = {{"md", 0}, {"md:*", 0}, {"risk:*:[0-9]", 1}, {"lit\\*eral", 0}};
  const routing_table table(rules);
  EXPECT_EQ(table.pinned_bus("md"), 0);
  EXPECT_EQ(table.pinned_bus("md:"), 0);
  EXPECT_EQ(table.pinned_bus("md:trades"), 0);
  EXPECT_EQ(table.pinned_bus("mdx"), no_bus);
  EXPECT_EQ(table.pinned_bus("md:\0binary\xff"), 0);
  EXPECT_EQ(table.pinned_bus("risk:vpin:7"), 1);
  EXPECT_EQ(table.pinned_bus("risk:vpin:x"), no_bus);
  EXPECT_EQ(table.pinned_bus("lit*eral"), 0);
  EXPECT_EQ(table.pinned_bus("literal"), no_bus);
  EXPECT_EQ(table.pinned_bus(""), no_bus);
}

TEST(RoutingTableTest, TheFirstMatchingKeyRuleWins) {
  routing_rules rules = two_buses();
  rules.keys = {{"md:special", 1}, {"md:*", 0}, {"md:later", 1}};
  const routing_table table(rules);
  EXPECT_EQ(table.pinned_bus("md:special"), 1);
  EXPECT_EQ(table.pinned_bus("md:later"), 0);
}

TEST(RoutingTableTest, AStarPinsEveryKey) {
  routing_rules rules = two_buses();
  rules.keys = {{"*", 0}};
  const routing_table table(rules);
  EXPECT_EQ(table.pinned_bus(""), 0);
  EXPECT_EQ(table.pinned_bus("anything"), 0);
}

TEST(RoutingTableTest, KeysWithoutARuleBelongToTheDefaultBus) {
  routing_rules rules = two_buses();
  rules.keys = {{"md:*", 0}};
  const routing_table table(rules);
  EXPECT_EQ(table.bus_of_key("md:1"), 0);
  EXPECT_EQ(table.bus_of_key("other"), 1);
}

TEST(RoutingTableTest, KeysWithoutARuleMayHaveABusOfTheirOwn) {
  routing_rules rules = two_buses();
  rules.buses.push_back({"main", 0, true});
  rules.keys = {{"md:*", 0}};
  rules.default_key_bus = 2;
  const routing_table table(rules);
  EXPECT_EQ(table.bus_of_key("md:1"), 0);
  EXPECT_EQ(table.bus_of_key("other"), 2);
  EXPECT_EQ(table.pinned_bus("other"), no_bus);
}

TEST(RoutingTableTest, ExactTypesComeBeforeGlobsAndEarlierGlobsBeforeLater) {
  routing_rules rules = two_buses();
  rules.types = {{"risk_*", 0}, {"risk_metric", 1}, {"*_metric", 1}, {"risk_metric", 0}};
  const routing_table table(rules);
  EXPECT_EQ(table.match_type("risk_metric").bus, 1);
  EXPECT_FALSE(table.match_type("risk_metric").by_glob);
  EXPECT_EQ(table.match_type("risk_limit").bus, 0);
  EXPECT_TRUE(table.match_type("risk_limit").by_glob);
  EXPECT_EQ(table.match_type("gpu_metric").bus, 1);
  EXPECT_EQ(table.match_type("Risk_metric").bus, 1);  // by "*_metric"
  EXPECT_EQ(table.match_type("RISK_LIMIT").bus, no_bus);
  EXPECT_EQ(table.match_type("").bus, no_bus);
}

TEST(RoutingTableTest, AgreesWithTryingEachRuleInTurn) {
  std::mt19937 random(71);
  const std::string letters = "ab*?[]^-\\";
  for (int round = 0; round < 300; ++round) {
    routing_rules rules = two_buses();
    for (int i = 0; i < 6; ++i) {
      std::string match;
      for (std::size_t n = 1 + random() % 4; n > 0; --n) match += letters[random() % letters.size()];
      rules.keys.push_back({match, static_cast<bus_index>(random() % 2)});
    }
    const routing_table table(rules);
    for (int i = 0; i < 50; ++i) {
      std::string key;
      for (std::size_t n = 1 + random() % 4; n > 0; --n) key += letters[random() % letters.size()];
      bus_index expected = no_bus;
      for (const match_rule& rule : rules.keys) {
        if (base::glob_match(rule.match, key)) {
          expected = rule.bus;
          break;
        }
      }
      ASSERT_EQ(table.pinned_bus(key), expected) << key;
    }
  }
}

}  // namespace
}  // namespace dualbus::command
