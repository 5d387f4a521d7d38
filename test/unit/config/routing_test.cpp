#include "support.hpp"

#include <string>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using ::testing::ElementsAre;

const std::string draining_bus = "  old: {id_slot: 0, endpoint: \"h:1\", state: draining}\n";

TEST(DefaultBusTest, IsTheOnlyActiveOneUnlessGiven) {
  const configuration c = good(
      "buses:\n  old: {id_slot: 0, endpoint: \"h:1\", state: draining}\n  new: {id_slot: 1, endpoint: "
      "\"h:2\"}\n");
  EXPECT_EQ(c.routing.default_bus, 1);
  EXPECT_EQ(c.routing.anchor, 1);
  EXPECT_EQ(good(two_buses + "routing: {default_bus: b}\n").routing.default_bus, 1);
}

TEST(DefaultBusTest, IsRequiredWhenSeveralAreActive) {
  EXPECT_THAT(mistakes_in(two_buses),
              ElementsAre("f.yaml:1:1: routing.default_bus: is required, as several buses are active"));
  EXPECT_THAT(mistakes_in(two_buses + "routing: {field: x}\n"),
              ElementsAre("f.yaml:4:1: routing.default_bus: is required, as several buses are active"));
}

TEST(DefaultBusTest, IsKnownAndActive) {
  EXPECT_THAT(mistakes_in(one_bus + "routing: {default_bus: c}\n"),
              ElementsAre("f.yaml:3:24: routing.default_bus: unknown bus 'c', did you mean 'a'?"));
  EXPECT_THAT(
      mistakes_in(two_buses + "routing: {default_bus: nothing-like-it}\n"),
      ElementsAre("f.yaml:4:24: routing.default_bus: unknown bus 'nothing-like-it'; known here: a, b"));
  EXPECT_THAT(mistakes_in(one_bus + draining_bus + "routing: {default_bus: old}\n"),
              ElementsAre("f.yaml:4:24: routing.default_bus: 'old' is draining, this must be an active bus"));
}

TEST(DefaultKeyBusTest, IsTheDefaultBusUnlessGiven) {
  EXPECT_EQ(good(two_buses + "routing: {default_bus: b}\n").routing.default_key_bus, 1);
  EXPECT_EQ(good(two_buses + "routing: {default_bus: b, default_key_bus: a}\n").routing.default_key_bus, 0);
}

TEST(DefaultKeyBusTest, MayBeDrainingAndChangesNeitherTheDefaultBusNorTheAnchor) {
  const configuration c = good(one_bus + draining_bus + "routing: {default_key_bus: old}\n");
  EXPECT_EQ(c.routing.default_key_bus, 1);
  EXPECT_EQ(c.routing.default_bus, 0);
  EXPECT_EQ(c.routing.anchor, 0);
}

TEST(DefaultKeyBusTest, IsKnown) {
  EXPECT_THAT(mistakes_in(one_bus + draining_bus + "routing: {default_key_bus: ald}\n"),
              ElementsAre("f.yaml:4:28: routing.default_key_bus: unknown bus 'ald', did you mean 'old'?"));
}

TEST(AnchorTest, FollowsTheDefaultBusUnlessGiven) {
  EXPECT_EQ(good(two_buses + "routing: {default_bus: b}\n").routing.anchor, 1);
  EXPECT_EQ(good(two_buses + "routing: {default_bus: b}\nanchor: a\n").routing.anchor, 0);
}

TEST(AnchorTest, IsKnownAndActive) {
  EXPECT_THAT(mistakes_in("anchor: ald\n" + one_bus + draining_bus),
              ElementsAre("f.yaml:1:9: anchor: unknown bus 'ald', did you mean 'old'?"));
  EXPECT_THAT(mistakes_in("anchor: old\n" + one_bus + draining_bus),
              ElementsAre("f.yaml:1:9: anchor: 'old' is draining, this must be an active bus"));
}

TEST(TypesTest, ExactNamesComeBeforeGlobsEachInTheOrderOfTheFile) {
  const configuration c = good(two_buses +
                               "routing:\n"
                               "  default_bus: a\n"
                               "  types:\n"
                               "    b: [x, \"r*\", null_report, \"1e3\"]\n"
                               "    a: [\"*\", y, yes, 012]\n");
  const auto& types = c.routing.types;
  std::string seen;
  for (const auto& rule : types) seen += rule.match + ":" + std::to_string(rule.bus) + " ";
  EXPECT_EQ(seen, "x:1 null_report:1 1e3:1 y:0 yes:0 012:0 r*:1 *:0 ");
}

TEST(TypesTest, ATypeIsListedOnce) {
  EXPECT_THAT(mistakes_in(two_buses + "routing:\n"
                                      "  default_bus: a\n"
                                      "  types:\n"
                                      "    a: [x, y]\n"
                                      "    b:\n"
                                      "      - z\n"
                                      "      - y\n"
                                      "      - z\n"),
              ElementsAre("f.yaml:10:9: routing.types.b[1]: 'y' is listed for 'a' already, on line 7",
                          "f.yaml:11:9: routing.types.b[2]: 'z' is listed for 'b' already, on line 9"));
}

TEST(TypesTest, BelongToKnownActiveBuses) {
  EXPECT_THAT(
      mistakes_in(one_bus + draining_bus + "routing:\n  types:\n    aa: [x]\n    old: [y]\n"),
      ElementsAre("f.yaml:6:5: routing.types.aa: unknown bus 'aa', did you mean 'a'?",
                  "f.yaml:7:5: routing.types.old: 'old' is draining and gets no messages; list its types for "
                  "an active bus"));
}

TEST(TypesTest, AListWithABadElementIsStillComparedWithTheOthers) {
  EXPECT_THAT(mistakes_in(two_buses + "routing:\n  default_bus: a\n  types: {a: [x, ''], b: [x]}\n"),
              ElementsAre("f.yaml:6:18: routing.types.a[1]: must not be empty",
                          "f.yaml:6:27: routing.types.b[0]: 'x' is listed for 'a' already, on line 6"));
}

TEST(KeysTest, KeepTheirOrderAndMayNameDrainingBuses) {
  const configuration c =
      good(one_bus + draining_bus +
           "routing:\n  keys:\n    - {match: \"md:*\", bus: a}\n    - {bus: old, match: 7}\n");
  ASSERT_EQ(c.routing.keys.size(), 2u);
  EXPECT_EQ(c.routing.keys[0].match, "md:*");
  EXPECT_EQ(c.routing.keys[0].bus, 0);
  EXPECT_EQ(c.routing.keys[1].match, "7");
  EXPECT_EQ(c.routing.keys[1].bus, 1);
}

TEST(KeysTest, NeedAMatchAndAKnownBus) {
  EXPECT_THAT(mistakes_in(one_bus + "routing:\n  keys:\n    - {match: x}\n    - {bus: b}\n"),
              ElementsAre("f.yaml:5:7: routing.keys[0].bus: is required",
                          "f.yaml:6:7: routing.keys[1].match: is required",
                          "f.yaml:6:13: routing.keys[1].bus: unknown bus 'b', did you mean 'a'?"));
}

TEST(KeysTest, RulesThatAreNeverReachedAreWarnedAbout) {
  EXPECT_THAT(warnings_in(one_bus + "routing:\n"
                                    "  keys:\n"
                                    "    - {match: \"a*\", bus: a}\n"
                                    "    - {match: \"a*\", bus: a}\n"
                                    "    - {match: \"c:*\", bus: a}\n"
                                    "    - {match: \"c:old:*\", bus: a}\n"
                                    "    - {match: \"c*\", bus: a}\n"
                                    "    - {match: \"c:new\", bus: a}\n"),
              ElementsAre("f.yaml:6:15: routing.keys[1].match: 'a*' is never reached: routing.keys[0], 'a*', "
                          "matches the same keys",
                          "f.yaml:8:15: routing.keys[3].match: 'c:old:*' is never reached: routing.keys[2], "
                          "'c:*', matches the same keys",
                          "f.yaml:10:15: routing.keys[5].match: 'c:new' is never reached: routing.keys[2], "
                          "'c:*', matches the same keys"));
}

TEST(KeysTest, ChannelRulesThatAreNeverReachedAreWarnedAbout) {
  EXPECT_THAT(
      warnings_in(one_bus + "routing:\n"
                            "  channels:\n"
                            "    - {match: \"*\", bus: a}\n"
                            "    - {match: \"b\", bus: a}\n"),
      ElementsAre("f.yaml:6:15: routing.channels[1].match: 'b' is never reached: routing.channels[0], '*', "
                  "matches the same channels"));
}

TEST(TypesTest, PatternsThatAreNeverReachedAreWarnedAbout) {
  // Exact names come first wherever they stand.
  EXPECT_THAT(
      warnings_in(two_buses + "routing:\n"
                              "  default_bus: a\n"
                              "  types:\n"
                              "    a: [\"risk_*\", risk_metric]\n"
                              "    b: [risk_other, \"risk_new_*\", \"r*\"]\n"),
      ElementsAre("f.yaml:8:21: routing.types.b[1]: 'risk_new_*' is never reached: 'risk_*' stands before it "
                  "and matches the same types"));
}

TEST(MissingGroupTest, RulesThatAreNeverReachedAreWarnedAbout) {
  EXPECT_THAT(warnings_in(one_bus + "missing_group:\n"
                                    "  rules:\n"
                                    "    - {key: \"a*\", group: \"g*\", action: create}\n"
                                    "    - {key: \"ab*\", group: \"h\", action: error}\n"
                                    "    - {key: \"ab*\", group: \"g1\", action: error}\n"),
              ElementsAre(testing::HasSubstr("missing_group.rules[2]: is never reached: "
                                             "missing_group.rules[0] matches the same streams and groups")));
}

TEST(ChannelsTest, KeepTheirOrderAndAreCheckedLikeKeys) {
  const configuration c = good(two_buses +
                               "routing:\n  default_bus: a\n  channels:\n    - {match: \"p.*\", bus: b}\n"
                               "    - {match: q, bus: a}\n");
  ASSERT_EQ(c.routing.channels.size(), 2u);
  EXPECT_EQ(c.routing.channels[0].match, "p.*");
  EXPECT_EQ(c.routing.channels[0].bus, 1);
  EXPECT_EQ(c.routing.channels[1].bus, 0);
  EXPECT_TRUE(c.routing.keys.empty());
  EXPECT_THAT(mistakes_in(one_bus + "routing:\n  channels:\n    - {match: x}\n"),
              ElementsAre("f.yaml:5:7: routing.channels[0].bus: is required"));
}

TEST(BackendTest, PairsStandInOrder) {
  EXPECT_THAT(mistakes_in(one_bus + "backend: {backoff_min: 3s}\n"),
              ElementsAre("f.yaml:3:24: backend.backoff_min: backend.backoff_max (2s) must not be below "
                          "backend.backoff_min (3s)"));
  EXPECT_THAT(mistakes_in(one_bus + "backend: {backoff_min: 20ms, backoff_max: 19ms}\n"),
              ElementsAre("f.yaml:3:43: backend.backoff_max: backend.backoff_max (19ms) must not be below "
                          "backend.backoff_min (20ms)"));
  EXPECT_EQ(mistakes_in(one_bus + "backend: {backoff_min: 2s}\n"), lines{});
  EXPECT_THAT(
      mistakes_in(one_bus + "backend: {health_timeout: 1s}\n"),
      ElementsAre("f.yaml:3:27: backend.health_timeout: backend.health_timeout (1s) must be longer than "
                  "backend.health_interval (1s)"));
}

TEST(ListenTest, SomeListenerIsOpen) {
  EXPECT_THAT(
      mistakes_in(one_bus + "listen: {port: 0}\n"),
      ElementsAre("f.yaml:3:16: listen.port: 0 opens no port, and there is no listen.unix_socket: no client "
                  "could connect"));
  EXPECT_EQ(mistakes_in(one_bus + "listen: {port: 0, unix_socket: /run/d}\n"), lines{});
}

TEST(ListenTest, ListenAndAdminShareNoPort) {
  EXPECT_THAT(mistakes_in(one_bus + "admin: {port: 6379}\n"),
              ElementsAre("f.yaml:3:15: admin.port: listen and admin cannot share port 6379"));
  EXPECT_THAT(mistakes_in(one_bus + "listen: {port: 9121}\n"),
              ElementsAre("f.yaml:3:16: listen.port: listen and admin cannot share port 9121"));
  EXPECT_EQ(mistakes_in(one_bus + "admin: {port: 6379, address: 127.0.0.2}\n"), lines{});
}

TEST(ListenTest, AnAdminAddressBeyondLoopbackIsWarnedAbout) {
  EXPECT_THAT(
      warnings_in(one_bus + "admin: {address: \"::\"}\n"),
      ElementsAre("f.yaml:3:18: admin.address: there is no authentication, so everybody who reaches :: port "
                  "9121 can administer the daemon"));
  EXPECT_EQ(warnings_in(one_bus + "listen: {address: 127.9.9.9}\nadmin: {address: \"::1\"}\n"), lines{});
  EXPECT_EQ(warnings_in(one_bus + "listen: {address: 10.0.0.1, port: 0, unix_socket: /run/d}\n"), lines{});
}

}  // namespace
}  // namespace dualbus::config::test
