#include "support.hpp"

#include <string>

#include <gmock/gmock.h>

// Each mistake of a single setting or of the file's form, with its exact place and text.

namespace dualbus::config::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(UnknownKeyTest, NamesTheNearestValidKey) {
  EXPECT_THAT(mistakes_in(one_bus + "ruoting: {}\n"),
              ElementsAre("f.yaml:3:1: ruoting: unknown key 'ruoting', did you mean 'routing'?"));
  EXPECT_THAT(
      mistakes_in(one_bus + "limits:\n  max_client: 5\n"),
      ElementsAre("f.yaml:4:3: limits.max_client: unknown key 'max_client', did you mean 'max_clients'?"));
  EXPECT_THAT(mistakes_in("buses:\n  a: {idslot: 1, id_slot: 1, endpoint: \"h:1\"}\n"),
              ElementsAre("f.yaml:2:7: buses.a.idslot: unknown key 'idslot', did you mean 'id_slot'?"));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {keys: [{match: x, bus: a, buss: a}]}\n"),
              ElementsAre("f.yaml:3:37: routing.keys[0].buss: unknown key 'buss', did you mean 'bus'?"));
}

TEST(UnknownKeyTest, ListsTheValidKeysWhenNoneIsNear) {
  EXPECT_THAT(mistakes_in(one_bus + "log: {colour: red}\n"),
              ElementsAre("f.yaml:3:7: log.colour: unknown key 'colour'; known here: level, format, file"));
}

TEST(UnknownKeyTest, TwoLettersSwappedAreOneMistake) {
  EXPECT_THAT(mistakes_in(one_bus + "routing: {fiedl: x}\n"),
              ElementsAre("f.yaml:3:11: routing.fiedl: unknown key 'fiedl', did you mean 'field'?"));
}

TEST(UnknownKeyTest, ControlCharactersInAKeyAreEscaped) {
  EXPECT_THAT(mistakes_in(one_bus + "log: {\"le\\x1bel\": info}\n"),
              ElementsAre("f.yaml:3:7: log.le\\x1bel: unknown key 'le\\x1bel', did you mean 'level'?"));
}

TEST(UnknownKeyTest, KeysAreCaseSensitive) {
  EXPECT_THAT(mistakes_in(one_bus + "Workers: 1\n"),
              ElementsAre("f.yaml:3:1: Workers: unknown key 'Workers', did you mean 'workers'?"));
}

TEST(TypeTest, NamesWhatWasExpectedAndWhatWasFound) {
  EXPECT_THAT(mistakes_in(one_bus + "workers: many\n"),
              ElementsAre("f.yaml:3:10: workers: must be an integer, not 'many'"));
  EXPECT_THAT(mistakes_in(one_bus + "workers: [1]\n"),
              ElementsAre("f.yaml:3:10: workers: must be a single value, not a list"));
  EXPECT_THAT(mistakes_in(one_bus + "workers: {a: 1}\n"),
              ElementsAre("f.yaml:3:10: workers: must be a single value, not a map"));
  EXPECT_THAT(mistakes_in(one_bus + "workers:\n"), ElementsAre("f.yaml:3:1: workers: has no value"));
  EXPECT_THAT(mistakes_in(one_bus + "workers: null\n"), ElementsAre("f.yaml:3:1: workers: has no value"));
  EXPECT_THAT(mistakes_in(one_bus + "limits: 5\n"),
              ElementsAre("f.yaml:3:9: limits: must be a map of settings, not '5'"));
  EXPECT_THAT(mistakes_in(one_bus + "limits:\n  - 5\n"),
              ElementsAre("f.yaml:4:3: limits: must be a map of settings, not a list"));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {keys: {match: x}}\n"),
              ElementsAre("f.yaml:3:17: routing.keys: must be a list, not a map"));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {keys: [x]}\n"),
              ElementsAre("f.yaml:3:18: routing.keys[0]: must be a map of settings, not 'x'"));
  EXPECT_THAT(mistakes_in(one_bus + "draining: {ignore_groups: [old-group]}\n"),
              ElementsAre("f.yaml:3:28: draining.ignore_groups[0]: must be a map of settings such as "
                          "{key: orders, group: old-group}, not 'old-group'"));
  EXPECT_THAT(mistakes_in(one_bus + "draining: {ignore_groups: [{group: old-group}]}\n"),
              ElementsAre("f.yaml:3:28: draining.ignore_groups[0].key: is required"));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {json_fields: payload}\n"),
              ElementsAre("f.yaml:3:24: routing.json_fields: must be a list, not 'payload'"));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {json_fields: [a, [b], '', ~]}\n"),
              ElementsAre("f.yaml:3:28: routing.json_fields[1]: must be a single value, not a list",
                          "f.yaml:3:33: routing.json_fields[2]: must not be empty",
                          "f.yaml:3:37: routing.json_fields[3]: has no value"));
}

TEST(TypeTest, NumbersHaveOneNotation) {
  EXPECT_THAT(mistakes_in(one_bus + "listen: {port: 06379}\n"),
              ElementsAre("f.yaml:3:16: listen.port: must be an integer without leading zeros, not '06379'"));
  EXPECT_THAT(mistakes_in(one_bus + "listen: {port: 1e3}\n"),
              ElementsAre("f.yaml:3:16: listen.port: must be an integer, not '1e3'"));
  EXPECT_THAT(
      mistakes_in(one_bus + "listen: {port: 99999999999999999999}\n"),
      ElementsAre("f.yaml:3:16: listen.port: must be between 0 and 65535, not '99999999999999999999'"));
  EXPECT_THAT(mistakes_in(one_bus + "limits: {max_request: 9223372036854775807gb}\n"),
              ElementsAre("f.yaml:3:23: limits.max_request: must be between 64kb and 512mb, not "
                          "'9223372036854775807gb'"));
  EXPECT_THAT(
      mistakes_in(one_bus + "limits: {max_request: 64mib}\n"),
      ElementsAre("f.yaml:3:23: limits.max_request: must be a number of bytes such as 10000, 64kb, 64mb or "
                  "1gb, not '64mib'"));
}

TEST(TypeTest, DurationsNeedAUnitAndTheirResolution) {
  EXPECT_THAT(
      mistakes_in(one_bus + "backend: {connect_timeout: 100}\n"),
      ElementsAre("f.yaml:3:28: backend.connect_timeout: must be a duration such as 500us, 1ms, 1s or 5m, "
                  "not '100'"));
  EXPECT_THAT(
      mistakes_in(one_bus + "backend: {connect_timeout: 1S}\n"),
      ElementsAre("f.yaml:3:28: backend.connect_timeout: must be a duration such as 500us, 1ms, 1s or 5m, "
                  "not '1S'"));
  EXPECT_THAT(mistakes_in(one_bus + "backend: {connect_timeout: 1500us}\n"),
              ElementsAre("f.yaml:3:28: backend.connect_timeout: must be a multiple of 1ms, not '1500us'"));
  EXPECT_THAT(mistakes_in(one_bus + "limits: {idle_timeout: 1500ms}\n"),
              ElementsAre("f.yaml:3:24: limits.idle_timeout: must be a multiple of 1s, not '1500ms'"));
}

TEST(TypeTest, ChoicesAreListed) {
  EXPECT_THAT(mistakes_in(one_bus + "absorb: no\n"),
              ElementsAre("f.yaml:3:9: absorb: must be one of relaxed, strict, off, not 'no'"));
  EXPECT_THAT(mistakes_in(one_bus + "missing_group: heal\n"),
              ElementsAre("f.yaml:3:16: missing_group: must be one of error, create, not 'heal'"));
  EXPECT_THAT(mistakes_in(one_bus + "missing_group: {action: heal, start: 1-0}\n"),
              ElementsAre("f.yaml:3:25: missing_group.action: must be one of error, create, not 'heal'",
                          "f.yaml:3:38: missing_group.start: must be one of 0, $, not '1-0'"));
  EXPECT_THAT(
      mistakes_in(one_bus + "log: {level: INFO}\n"),
      ElementsAre("f.yaml:3:14: log.level: must be one of trace, debug, info, warning, error, off, not "
                  "'INFO'"));
}

TEST(TypeTest, AddressesPathsModesAndPointersAreChecked) {
  EXPECT_THAT(
      mistakes_in(one_bus + "listen: {address: localhost}\n"),
      ElementsAre("f.yaml:3:19: listen.address: must be a numeric IPv4 or IPv6 address, not 'localhost'"));
  EXPECT_THAT(mistakes_in(one_bus + "listen: {unix_socket: d.sock}\n"),
              ElementsAre("f.yaml:3:23: listen.unix_socket: must be an absolute path, not 'd.sock'"));
  EXPECT_THAT(mistakes_in(one_bus + "listen: {unix_socket: /" + std::string(107, 'x') + "}\n"),
              ElementsAre("f.yaml:3:23: listen.unix_socket: must have at most 107 bytes, not 108"));
  EXPECT_THAT(
      mistakes_in(one_bus + "listen: {unix_socket_mode: 0888}\n"),
      ElementsAre("f.yaml:3:28: listen.unix_socket_mode: must be octal permissions such as \"0700\", not "
                  "'0888'"));
  EXPECT_THAT(
      mistakes_in(one_bus + "listen: {unix_socket_mode: 7}\n"),
      ElementsAre("f.yaml:3:28: listen.unix_socket_mode: must be octal permissions such as \"0700\", not "
                  "'7'"));
  EXPECT_THAT(
      mistakes_in(one_bus + "routing: {json_pointer: a/b}\n"),
      ElementsAre("f.yaml:3:25: routing.json_pointer: must be a JSON pointer such as /meta/type, not 'a/b'"));
  EXPECT_THAT(
      mistakes_in(one_bus + "routing: {json_pointer: /a~2}\n"),
      ElementsAre(
          "f.yaml:3:25: routing.json_pointer: must be a JSON pointer such as /meta/type, not '/a~2'"));
  EXPECT_THAT(mistakes_in(one_bus + "routing: {field: ''}\n"),
              ElementsAre("f.yaml:3:18: routing.field: must not be empty"));
}

TEST(DuplicateKeyTest, IsFoundInEveryMap) {
  EXPECT_THAT(mistakes_in(one_bus + "workers: 1\nworkers: 2\n"),
              ElementsAre("f.yaml:4:1: workers: duplicate key 'workers', first on line 3"));
  EXPECT_THAT(mistakes_in(one_bus + one_bus),
              ElementsAre("f.yaml:3:1: buses: duplicate key 'buses', first on line 1"));
  EXPECT_THAT(
      mistakes_in(two_buses + "  \"a\": {id_slot: 3, endpoint: \"h:1\"}\nrouting: {default_bus: a}\n"),
      ElementsAre("f.yaml:4:3: buses.a: duplicate key 'a', first on line 2"));
  EXPECT_THAT(
      mistakes_in(one_bus +
                  "routing:\n  keys:\n    - {match: x, bus: a}\n    - {match: y, match: z, bus: a}\n"),
      ElementsAre("f.yaml:6:18: routing.keys[1].match: duplicate key 'match', first on line 6"));
}

TEST(YamlFormTest, SyntaxErrorsHaveAPlace) {
  EXPECT_THAT(mistakes_in(one_bus + "limits: {max_clients: 1\nworkers: 1\n"),
              ElementsAre(HasSubstr("f.yaml:4:8: YAML syntax: end of map flow not found")));
  EXPECT_THAT(mistakes_in("workers: 1\n  admin: 2\n"),
              ElementsAre("f.yaml:2:8: YAML syntax: illegal map value"));
  EXPECT_THAT(mistakes_in(one_bus + "log: {level: \"info\", }}\n"),
              ElementsAre(HasSubstr("f.yaml:3:23: YAML syntax: ")));
}

TEST(YamlFormTest, QuotesThatDoNotCloseAreRefused) {
  EXPECT_THAT(mistakes_in(one_bus + "absorb: \"off\n"),
              ElementsAre("f.yaml:3:9: YAML syntax: the quote is not closed"));
  EXPECT_THAT(mistakes_in(one_bus + "absorb: 'off''\n"),
              ElementsAre("f.yaml:3:9: YAML syntax: the quote is not closed"));
  EXPECT_THAT(mistakes_in(one_bus + "absorb: \"off\\\"\n"),
              ElementsAre("f.yaml:3:9: YAML syntax: the quote is not closed"));
  EXPECT_THAT(mistakes_in("# ä\r\nlog: {level: 'ü\r\n"), ElementsAre(HasSubstr("YAML syntax: ")));
  EXPECT_EQ(mistakes_in("# ä\r\n" + one_bus + "absorb: 'off'\r\n"), lines{});
  EXPECT_EQ(mistakes_in(one_bus + "absorb: \"o\\x66\\u0066\""), lines{});
  EXPECT_EQ(mistakes_in(one_bus + "routing: {field: 'it''s \"'}\n"), lines{});
  EXPECT_EQ(mistakes_in(one_bus + "routing:\n  field: |-\n    \"text\n"), lines{});
}

TEST(YamlFormTest, WhatWasFoundBeforeASyntaxErrorIsReportedToo) {
  EXPECT_THAT(mistakes_in("workers: 1\nworkers: 2\nadmin: {\n"),
              ElementsAre("f.yaml:2:1: workers: duplicate key 'workers', first on line 1",
                          HasSubstr("f.yaml:4:1: YAML syntax: ")));
}

TEST(YamlFormTest, AliasesAreRefusedAndNotExpanded) {
  EXPECT_THAT(
      mistakes_in(one_bus + "workers: &n 1\nlisten: {backlog: *n}\n"),
      ElementsAre("f.yaml:4:19: listen.backlog: YAML aliases are not supported, write the value out"));
  std::string bomb = one_bus + "x0: &x0 [a, a]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "*x" + std::to_string(i - 1);
    bomb += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [" + before + ", " + before + "]\n";
  }
  EXPECT_EQ(mistakes_in(bomb).size(), 40u + 2 * 39u);  // 40 unknown keys and every alias
}

TEST(YamlFormTest, MergeKeysAreUnknownKeys) {
  EXPECT_THAT(mistakes_in(one_bus + "limits: {<<: {max_clients: 1}}\n"),
              ElementsAre(HasSubstr("f.yaml:3:10: limits.<<: unknown key '<<'")));
}

TEST(YamlFormTest, TagsAreRefused) {
  EXPECT_THAT(mistakes_in(one_bus + "workers: !!int 2\n"),
              ElementsAre("f.yaml:3:10: workers: YAML tags are not supported"));
}

TEST(YamlFormTest, KeysAreScalars) {
  EXPECT_THAT(mistakes_in(one_bus + "? [a, b]\n: 1\n"), ElementsAre("f.yaml:3:3: a key must be a scalar"));
  EXPECT_THAT(mistakes_in(one_bus + "limits: {~: 1}\n"),
              ElementsAre("f.yaml:3:10: limits: a key is missing"));
}

TEST(YamlFormTest, ASecondDocumentIsRefused) {
  EXPECT_THAT(mistakes_in(one_bus + "---\nworkers: 1\n"),
              ElementsAre("f.yaml:3:1: the file must hold one YAML document, here starts another"));
}

TEST(YamlFormTest, DepthIsLimited) {
  EXPECT_THAT(mistakes_in(one_bus + "x: " + std::string(40, '[') + std::string(40, ']') + "\n"),
              ElementsAre("f.yaml:3:19: nested deeper than 16 levels"));
}

TEST(YamlFormTest, OnlyUtf8TextIsRead) {
  EXPECT_THAT(mistakes_in(one_bus + "# caf\xe9\n"), ElementsAre("f.yaml:3:6: not UTF-8 text: byte 233"));
  EXPECT_THAT(mistakes_in(one_bus + std::string("a\0b", 3)),
              ElementsAre("f.yaml:3:2: not UTF-8 text: byte 0"));
  EXPECT_THAT(mistakes_in("\xff\xfe"
                          "b"),
              ElementsAre("f.yaml:1:1: not UTF-8 text: byte 255"));
  EXPECT_THAT(mistakes_in("# \xed\xa0\x80\n" + one_bus), ElementsAre("f.yaml:1:3: not UTF-8 text: byte 237"));
  EXPECT_EQ(mistakes_in("# größer 日本 😀\n" + one_bus), lines{});
  EXPECT_EQ(mistakes_in("\xef\xbb\xbf" + one_bus), lines{});
}

TEST(YamlFormTest, CarriageReturnsDoNotMatter) {
  EXPECT_EQ(mistakes_in("workers: 2\r\nbuses:\r\n  a: {id_slot: 1, endpoint: \"h:1\"}\r\n"), lines{});
}

TEST(YamlFormTest, TheTopMustBeAMap) {
  EXPECT_THAT(mistakes_in("hello\n"), ElementsAre("f.yaml:1:1: must be a map of settings, not a single value",
                                                  "f.yaml:1:1: buses: is required"));
  EXPECT_THAT(mistakes_in("- a\n").front(), "f.yaml:1:1: must be a map of settings, not a list");
}

TEST(ReportTest, AllMistakesComeAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(
      mistakes_in("routing:\n"
                  "  default_bus: engine_logik\n"
                  "  types: {marketdata: [x, y], engine_logic: [y]}\n"
                  "workers: 0\n"
                  "buses:\n"
                  "  marketdata: {id_slot: 128, endpoint: \"127.0.0.1:6380\"}\n"
                  "  engine_logic: {id_slot: 2, endpoint: nowhere, latency: 1ms}\n"
                  "lisen: {port: 1}\n"),
      ElementsAre(
          "f.yaml:2:16: routing.default_bus: unknown bus 'engine_logik', did you mean 'engine_logic'?",
          "f.yaml:3:46: routing.types.engine_logic[0]: 'y' is listed for 'marketdata' already, on line 3",
          "f.yaml:4:10: workers: must be between 1 and 128, not '0'",
          "f.yaml:6:25: buses.marketdata.id_slot: must be between 0 and 127, not '128'",
          "f.yaml:7:40: buses.engine_logic.endpoint: must be host:port, [v6]:port, unix:/path or "
          "/path, not 'nowhere'",
          "f.yaml:7:49: buses.engine_logic.latency: unknown key 'latency'; known here: id_slot, "
          "endpoint, sentinel, state, username, password_file, password_env, database, latency_target, "
          "coalesce, acknowledge",
          "f.yaml:8:1: lisen: unknown key 'lisen', did you mean 'listen'?"));
}

TEST(ReportTest, AMistakeIsReportedOnce) {
  // A bad default bus must not also count as a missing one, nor a bad endpoint as one that is taken.
  EXPECT_EQ(mistakes_in(two_buses + "routing: {default_bus: [a]}\n").size(), 1u);
  EXPECT_EQ(mistakes_in("buses: [a, b]\nrouting: {default_bus: a}\n").size(), 1u);
  EXPECT_EQ(mistakes_in("buses:\n  a: {id_slot: x, endpoint: y}\n  b: {id_slot: 0, endpoint: \"h:1\"}\n"
                        "routing: {default_bus: a}\n")
                .size(),
            2u);
  EXPECT_EQ(mistakes_in("buses:\n  a: {id_slot: 1, endpoint: \"h:1\", state: drain}\n"
                        "  b: {id_slot: 0, endpoint: \"h:2\"}\n")
                .size(),
            1u);
}

TEST(ReportTest, CountsMistakesBeyondTheLimit) {
  std::string text = one_bus;
  for (int i = 0; i < 1500; ++i) text += "k" + std::to_string(i) + ": 1\n";
  const lines found = mistakes_in(text);
  ASSERT_EQ(found.size(), max_mistakes + 1);
  EXPECT_EQ(found.back(), "f.yaml: and 500 more mistakes");
}

TEST(ReportTest, ControlCharactersAndLongTextsDoNotReachTheTerminal) {
  EXPECT_THAT(mistakes_in(one_bus + "workers: \"\\x1b[31m\\n\"\n"),
              ElementsAre("f.yaml:3:10: workers: must be an integer, not '\\x1b[31m\\n'"));
  EXPECT_THAT(mistakes_in(one_bus + "workers: " + std::string(1000, 'x') + "\n"),
              ElementsAre("f.yaml:3:10: workers: must be an integer, not '" + std::string(80, 'x') + "…'"));
}

TEST(ReportTest, ControlCharactersInTheNameOfABusDoNotReachTheTerminalThroughAHint) {
  const std::string file =
      "buses:\n  \"engine\\r\": {id_slot: 1, endpoint: \"h:1\"}\nrouting: {default_bus: ";
  for (const std::string name : {"engin", "nothing_like_it"}) {
    for (const std::string& line : mistakes_in(file + name + "}\n"))
      EXPECT_EQ(line.find('\r'), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace dualbus::config::test
