#include "support.hpp"

#include <dualbus/config/difference.hpp>

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

const std::string two_buses =
    "buses:\n"
    "  a: {id_slot: 1, endpoint: \"h:1\"}\n"
    "  b: {id_slot: 2, endpoint: \"h:2\"}\n"
    "anchor: a\n";
const std::string base = two_buses +
                         "routing: {default_bus: a, types: {a: [x, \"y*\"], b: [z]}, keys: [{match: k, bus: "
                         "a}, {match: \"l*\", bus: b}]}\n";

std::vector<std::string> between(const std::string& before, const std::string& after) {
  return differences(good(before), good(after));
}

TEST(DifferenceTest, TheSameInOtherWordsIsNone) {
  EXPECT_THAT(between(base, "# again\n" + base + "limits: {max_clients: 10000}\n"), ElementsAre());
}

TEST(DifferenceTest, ValuesAreShownAsTheyStandInTheFile) {
  EXPECT_THAT(
      between(base, base + "limits: {max_clients: 5, max_request: 1mb}\nbackend: {connect_timeout: 2s}\n"
                           "absorb: strict\nlog: {level: debug}\nadmin: {hosts: [x, \"*.y\"]}\n"),
      UnorderedElementsAre("limits.max_clients: 10000 -> 5", "limits.max_request: 64mb -> 1mb",
                           "backend.connect_timeout: 1s -> 2s", "absorb: relaxed -> strict",
                           "log.level: info -> debug", "admin.hosts: [] -> [x, *.y]"));
}

TEST(DifferenceTest, ABusIsNamed) {
  std::string moved = base;
  moved.replace(moved.find("\"h:2\""), 5, "\"h:3\", state: draining, latency_target: 1ms");
  moved.replace(moved.find(", b: [z]"), 8, "");
  EXPECT_THAT(between(base, moved),
              UnorderedElementsAre("buses.b.endpoint: 'h:2' -> 'h:3'", "buses.b.state: active -> draining",
                                   "buses.b.latency_target: 0 -> 1ms", "routing.types: removed 'z' -> 'b'"));
}

TEST(DifferenceTest, BusesAreAddedRemovedAndRenamed) {
  const std::string after =
      "buses:\n  c: {id_slot: 3, endpoint: \"h:3\"}\n  z: {id_slot: 1, endpoint: \"h:1\"}\nanchor: z\n"
      "routing: {default_bus: z, types: {z: [x, \"y*\"], c: [z]}, keys: [{match: k, bus: z}, {match: \"l*\", "
      "bus: c}]}\n";
  EXPECT_THAT(between(base, after),
              UnorderedElementsAre("buses: removed b: 'h:2' with slot 2", "buses: added c: 'h:3' with slot 3",
                                   "buses: 'a' is called 'z'", "anchor: 'a' -> 'z'",
                                   "routing.types: 'z' moved from 'b' to 'c'",
                                   "routing.keys: 'l*' moved from 'b' to 'c'"));
}

TEST(DifferenceTest, RulesAreAddedRemovedMovedAndPutInAnotherOrder) {
  EXPECT_THAT(
      between(base,
              two_buses +
                  "routing: {default_bus: b, types: {b: [x, n], a: [\"y*\"]}, keys: [{match: \"l*\", bus: "
                  "b}, {match: k, bus: a}], channels: [{match: c, bus: b}]}\n"),
      UnorderedElementsAre("routing.default_bus: 'a' -> 'b'", "routing.default_key_bus: 'a' -> 'b'",
                           "routing.types: removed 'z' -> 'b'", "routing.types: 'x' moved from 'a' to 'b'",
                           "routing.types: added 'n' -> 'b'", "routing.keys: in another order",
                           "routing.channels: added 'c' -> 'b'"));
}

TEST(DifferenceTest, MissingGroupsAndUsersAreCompared) {
  const std::string users =
      "auth: {users: {default: {nopass: true}, u: {commands: [\"+@all\"], nopass: true}}}\n";
  EXPECT_THAT(
      between(base + users, base + "auth: {users: {default: {nopass: true}, u: {commands: [\"+get\"], "
                                   "nopass: true}, v: {nopass: true}}}\n"
                                   "missing_group: {action: create, rules: [{key: a, action: error}]}\n"),
      UnorderedElementsAre("auth.users: changed 'u'", "auth.users: added 'v'",
                           "missing_group: removed otherwise, '*', '*': error",
                           "missing_group: added otherwise, '*', '*': create at 0",
                           "missing_group: added 'a', '*': error"));
}

TEST(DifferenceTest, APasswordIsNotShown) {
  const temporary_directory directory;
  const std::string file = directory.write("secret", "old-one");
  std::string text = base;
  text.replace(text.find("\"h:2\""), 5, "\"h:2\", password_file: " + file);
  const configuration before = good(text);
  directory.write("secret", "new-one");
  EXPECT_THAT(differences(before, good(text)), ElementsAre("buses.b: another password"));
}

TEST(RulesHashTest, ItNamesTheRulesAndNothingElse) {
  const std::string of = rules_hash(good(base));
  EXPECT_EQ(of.size(), 12U);
  EXPECT_EQ(rules_hash(good("# again\n" + base)), of);
  EXPECT_EQ(rules_hash(good(base + "limits: {max_clients: 5}\nlisten: {port: 7000}\nlog: {level: debug}\n")),
            of);
  std::string other_order = base;
  other_order.replace(other_order.find("  a: {"), std::string::npos,
                      "  b: {id_slot: 2, endpoint: \"other:2\"}\n  a: {id_slot: 1, endpoint: \"h:1\"}\n" +
                          base.substr(base.find("anchor")));
  EXPECT_EQ(rules_hash(good(other_order)), of);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = base;
    text.replace(text.find(from), from.size(), to);
    return rules_hash(good(text));
  };
  EXPECT_NE(with("id_slot: 2", "id_slot: 3"), of);
  EXPECT_NE(with("anchor: a", "anchor: b"), of);
  EXPECT_NE(with("default_bus: a", "default_bus: b"), of);
  EXPECT_NE(with("[z]", "[z, n]"), of);
  EXPECT_NE(with("match: k, bus: a", "match: k, bus: b"), of);
  EXPECT_NE(with("\"h:2\"", "\"h:2\", database: 1"), of);
  EXPECT_NE(rules_hash(good(base + "missing_group: create\n")), of);
}

TEST(SettingsTest, EveryValueIsShownAsItStandsInTheFile) {
  const configuration read = good(base + "limits: {max_clients: 5, max_request: 1mb}\nlog: {level: debug}\n");
  std::map<std::string, std::string> found;
  for (const auto& [key, value] : settings(read)) EXPECT_TRUE(found.emplace(key, value).second) << key;
  EXPECT_EQ(found["limits.max_clients"], "5");
  EXPECT_EQ(found["limits.max_request"], "1mb");
  EXPECT_EQ(found["log.level"], "debug");
  EXPECT_EQ(found["buses.a.endpoint"], "'h:1'");
  EXPECT_EQ(found["buses.b.endpoint"], "'h:2'");
  EXPECT_EQ(found["backend.connect_timeout"], "1s");
}

TEST(SettingsTest, ADifferenceIsADifferenceOfTwoValues) {
  const configuration before = good(base), after = good(base + "limits: {max_clients: 5}\nabsorb: strict\n");
  std::vector<std::string> lines;
  const auto was = settings(before), is = settings(after);
  ASSERT_EQ(was.size(), is.size());
  for (std::size_t i = 0; i < was.size(); ++i) {
    ASSERT_EQ(was[i].first, is[i].first);
    if (was[i].second != is[i].second)
      lines.push_back(was[i].first + ": " + was[i].second + " -> " + is[i].second);
  }
  EXPECT_THAT(differences(before, after), UnorderedElementsAreArray(lines));
}

}  // namespace
}  // namespace dualbus::config::test
