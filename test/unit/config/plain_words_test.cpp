#include "support.hpp"

#include <string>

#include <gmock/gmock.h>

// What people often get wrong in YAML, explained without the words of its parser; and rules that do nothing.

namespace dualbus::config::test {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

const std::string tab_words =
    "a tab stands in the indentation, where YAML takes only spaces: replace it with spaces (the parser: ";
const std::string star_words =
    "a text that begins with * is an alias to YAML: write it in quotes, as in \"*_risk\"";

TEST(PlainWordsTest, ATabInTheIndentationIsShownWhereItStands) {
  EXPECT_THAT(mistakes_in(one_bus + "log:\n\tlevel: info\n"),
              ElementsAre(StartsWith("f.yaml:4:1: " + tab_words)));
  EXPECT_THAT(mistakes_in("buses:\n  a:\n\tid_slot: 1\n"),
              ElementsAre(StartsWith("f.yaml:3:1: " + tab_words)));
  EXPECT_THAT(mistakes_in(one_bus + "routing:\n  types:\n    a:\n\t- x\n\t- y\n"),
              ElementsAre(StartsWith("f.yaml:6:1: " + tab_words)));
  EXPECT_THAT(mistakes_in(one_bus + "routing:\r\n  field: x\r\n  \tdefault_bus: a\r\n"),
              ElementsAre(StartsWith("f.yaml:5:3: " + tab_words)));
  // A line without text.
  EXPECT_THAT(mistakes_in(one_bus + "workers: 1\n\t\nlog: {level: info}\n"),
              ElementsAre(StartsWith("f.yaml:4:1: " + tab_words)));
}

TEST(PlainWordsTest, ATabElsewhereIsNoMistakeAndNoExplanation) {
  EXPECT_EQ(good(one_bus + "log:\t{level:\tinfo}\t# of all\nworkers:\t2\n").workers, 2u);
  EXPECT_EQ(good(one_bus + "log: {\n\tlevel: error}\n").log_level, "error");
  EXPECT_THAT(mistakes_in(one_bus + "log: {\n\tlevel: [}\n"),
              ElementsAre("f.yaml:4:10: YAML syntax: illegal flow end"));
  EXPECT_THAT(mistakes_in("log: {\n\tlevel: info}\n" + one_bus + "workers: 1: 2\n"),
              ElementsAre("f.yaml:5:11: YAML syntax: illegal map value"));
}

TEST(PlainWordsTest, AStarWithoutQuotesIsShownWhereItStands) {
  EXPECT_THAT(mistakes_in(one_bus + "routing:\n  keys:\n    - match: *\n      bus: a\n"),
              ElementsAre("f.yaml:5:14: " + star_words));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {keys: [{match: *, bus: a}]}\n"),
              ElementsAre("f.yaml:3:26: " + star_words));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {types: {a: [risk_*, *_risk]}}\n"),
              ElementsAre("f.yaml:3:31: " + star_words));
  EXPECT_THAT(mistakes_in(one_bus + "routing:\n  types:\n    a:\n      - *\n"),
              ElementsAre("f.yaml:6:9: " + star_words));
  EXPECT_THAT(mistakes_in(one_bus + "routing:\n  keys:\n    - {match: *:old:*, bus: a}\n"),
              ElementsAre("f.yaml:5:15: " + star_words));
  EXPECT_THAT(mistakes_in("buses:\n  *: {id_slot: 1}\n"), ElementsAre("f.yaml:2:3: " + star_words));
  EXPECT_EQ(good(one_bus + "routing: {types: {a: [risk_*, \"*_risk\"]}}\n").routing.types.size(), 2u);
}

TEST(IdleRulesTest, TypesAndTheDefaultBusForKeysDoNothingWhenEveryKeyIsPinned) {
  EXPECT_THAT(warnings_in(two_buses + "routing:\n"
                                      "  default_bus: a\n"
                                      "  default_key_bus: b\n"
                                      "  types: {a: [x]}\n"
                                      "  keys: [{match: \"md:*\", bus: a}, {match: \"**\", bus: b}]\n"),
              ElementsAre("f.yaml:6:20: routing.default_key_bus: is never used: routing.keys[1], '**', pins "
                          "every key",
                          "f.yaml:7:3: routing.types: no XADD is sent by its type: routing.keys[1], '**', "
                          "pins every key"));
  EXPECT_EQ(warnings_in(two_buses + "routing: {default_bus: a, types: {a: [x]}, keys: [{match: \"?*\", bus: "
                                    "b}]}\n"),
            lines{});
}

// Two buses, of which `a` confirms what `confirmed` names.
std::string confirming(const std::string& confirmed, const std::string& routing) {
  return "buses:\n"
         "  a:\n"
         "    {id_slot: 1, endpoint: \"h:1\", acknowledge: {replicas: 1, types: " +
         confirmed +
         "}}\n"
         "  b: {id_slot: 2, endpoint: \"h:2\"}\n"
         "routing: {" +
         routing + "}\n";
}

TEST(IdleRulesTest, TypesThatGoElsewhereAreNotConfirmedHere) {
  EXPECT_THAT(
      warnings_in(confirming("[x, y, z, \"z*\"]", "default_bus: b, types: {a: [x], b: [y]}")),
      ElementsAre("f.yaml:3:73: buses.a.acknowledge.types[1]: 'y' is never on this bus: it goes to 'b'",
                  "f.yaml:3:76: buses.a.acknowledge.types[2]: 'z' is never on this bus: it goes to 'b'"));
  EXPECT_EQ(warnings_in(confirming("[x, y]", "default_bus: a, types: {a: [x]}")), lines{});
  // A stream that is pinned there holds every type.
  EXPECT_EQ(warnings_in(confirming("[y]", "default_bus: b, types: {b: [y]}, keys: [{match: s, bus: a}]")),
            lines{});
}

}  // namespace
}  // namespace dualbus::config::test
