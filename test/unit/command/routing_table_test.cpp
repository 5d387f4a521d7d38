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

TEST(RoutingTableTest, AllKeysWithAPrefixHaveABusIfNoRuleTearsThemApart) {
  routing_rules rules = two_buses();
  rules.keys = {{"md:*", 0}, {"el:x", 0}, {"q?:*", 0}, {"one:*", 1}};
  const routing_table table(rules);
  EXPECT_EQ(table.bus_of_prefix("md:"), 0);
  EXPECT_EQ(table.bus_of_prefix("md:weight_"), 0);
  EXPECT_EQ(table.bus_of_prefix("weight_"), 1);
  EXPECT_EQ(table.bus_of_prefix("one"), 1);       // by the rule or by none
  EXPECT_EQ(table.bus_of_prefix("md"), no_bus);   // "md:1", "mdx"
  EXPECT_EQ(table.bus_of_prefix("el:"), no_bus);  // "el:x", "el:y"
  EXPECT_EQ(table.bus_of_prefix("el:xy"), 1);
  EXPECT_EQ(table.bus_of_prefix("q"), no_bus);
  EXPECT_EQ(table.bus_of_prefix("q1:"), no_bus);  // it is not known whether the glob takes all of them
  EXPECT_EQ(table.bus_of_prefix(""), no_bus);
}

TEST(RoutingTableTest, WithoutRulesEveryPrefixHasTheBusOfKeys) {
  EXPECT_EQ(routing_table(two_buses()).bus_of_prefix(""), 1);
  EXPECT_EQ(routing_table(with_every_key_pinned(two_buses())).bus_of_prefix("a"), 1);
}

TEST(RoutingTableTest, NoKeyWithAPrefixIsOnAnotherBusThanThePrefix) {
  std::mt19937 random(83);
  const std::string letters = "ab*?[]^-\\";
  const auto text = [&](std::size_t shortest, const std::string& from) {
    std::string result;
    for (std::size_t n = shortest + random() % 4; n > 0; --n) result += from[random() % from.size()];
    return result;
  };
  int decided = 0;
  for (int round = 0; round < 1000; ++round) {
    routing_rules rules = two_buses();
    for (int i = 0; i < 3; ++i)
      rules.keys.push_back({text(1, letters), static_cast<bus_index>(random() % 2)});
    const routing_table table(rules);
    const std::string prefix = text(0, "ab*");
    const bus_index bus = table.bus_of_prefix(prefix);
    if (bus == no_bus) continue;
    ++decided;
    for (int i = 0; i < 50; ++i) {
      const std::string key = prefix + text(0, letters);
      ASSERT_EQ(table.bus_of_key(key), bus) << key << testing::PrintToString(prefix);
    }
  }
  EXPECT_GT(decided, 200);
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
