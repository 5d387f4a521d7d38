#include "arguments.hpp"

#include <dualbus/command/classifier.hpp>

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using strings = std::vector<std::string>;

routing_rules fleet_rules() {
  routing_rules rules;
  rules.buses = {{"marketdata", 1, false}, {"engine_logic", 2, false}};
  rules.default_bus = 1;
  rules.json_fields = {"payload", "data", "message"};
  rules.types = {
      {"market_data", 0}, {"price_update", 0}, {"trade_*", 0}, {"order_request", 1}, {"risk_*", 1}};
  rules.keys = {{"md:*", 0}};
  return rules;
}

class ClassifierTest : public testing::Test {
 protected:
  void use(routing_rules rules) {
    classifier_.reset();
    table_ = std::make_unique<routing_table>(std::move(rules));
    counters_ = std::make_unique<message_counters>(table_->bus_count(), table_->rules().max_type_names);
    classifier_ = std::make_unique<classifier>(*table_, *counters_);
  }
  void SetUp() override { use(fleet_rules()); }

  classification classify(const strings& fields, const std::string& key = "nautilus-vpin-streams") {
    strings request = {"XADD", key, "*"};
    request.insert(request.end(), fields.begin(), fields.end());
    const test::owned_arguments args(request);
    const xadd_arguments where = parse_xadd(args);
    EXPECT_EQ(where.result, xadd_arguments::verdict::ok);
    const classification explained = classifier_->explain(args, where);
    const classification counted = classifier_->classify(args, where);
    EXPECT_EQ(explained.bus, counted.bus);
    EXPECT_EQ(explained.rule, counted.rule);
    return counted;
  }
  void expect(const strings& fields, int bus, rule why) {
    const classification result = classify(fields);
    EXPECT_EQ(result.bus, bus) << testing::PrintToString(fields);
    EXPECT_EQ(rule_name(result.rule), rule_name(why)) << testing::PrintToString(fields);
  }
  void expect_json(const std::string& json, int bus, rule why) { expect({"payload", json}, bus, why); }

  // "type bus rule" → count, without the zeros.
  std::map<std::string, std::uint64_t> counted() const {
    std::map<std::string, std::uint64_t> result;
    counters_->visit([&](std::string_view type, const message_counters::row& row) {
      for (std::size_t bus = 0; bus < row.size(); ++bus) {
        for (std::size_t r = 0; r < rule_count; ++r) {
          if (row[bus][r] == 0) continue;
          const std::string name = std::string(type) + " " + table_->bus(static_cast<bus_index>(bus)).name +
                                   " " + std::string(rule_name(static_cast<rule>(r)));
          EXPECT_FALSE(result.contains(name)) << "two rows called " << type;
          result[name] = row[bus][r];
        }
      }
    });
    return result;
  }

  std::unique_ptr<routing_table> table_;
  std::unique_ptr<message_counters> counters_;
  std::unique_ptr<classifier> classifier_;
};

TEST_F(ClassifierTest, TheFieldNamesTheType) {
  expect({"message_type", "market_data"}, 0, rule::type);
  expect({"message_type", "order_request"}, 1, rule::type);
  expect({"x", "y", "message_type", "price_update"}, 0, rule::type);
  expect({"message_type", "MARKET_DATA"}, 1, rule::default_bus);
  expect({"message_type", "market_data "}, 1, rule::default_bus);
}

TEST_F(ClassifierTest, GlobsComeBehindExactNames) {
  expect({"message_type", "trade_execution"}, 0, rule::glob);
  expect({"message_type", "risk_metric"}, 1, rule::glob);
}

TEST_F(ClassifierTest, TheFirstFieldOfTheNameWins) {
  expect({"message_type", "order_request", "message_type", "market_data"}, 1, rule::type);
  expect({"message_type", "unheard_of", "message_type", "market_data"}, 1, rule::default_bus);
}

TEST_F(ClassifierTest, AnUnknownTypeIsNotLookedForInJson) {
  expect({"message_type", "unheard_of", "payload", R"({"message_type":"market_data"})"}, 1,
         rule::default_bus);
  expect({"message_type", "", "payload", R"({"message_type":"market_data"})"}, 1, rule::default_bus);
}

TEST_F(ClassifierTest, TheNameOfTheFieldCanBeConfigured) {
  routing_rules rules = fleet_rules();
  rules.field = "kind";
  use(rules);
  expect({"message_type", "market_data"}, 1, rule::default_bus);
  expect({"kind", "market_data"}, 0, rule::type);
  expect_json(R"({"kind":"market_data"})", 0, rule::json);
}

TEST_F(ClassifierTest, AJsonFieldNamesTheTypeIfNoFieldDoes) {
  expect_json(R"({"message_type":"market_data"})", 0, rule::json);
  expect_json(R"(  {"a":[1,{"message_type":"order_request"}],"message_type":"trade_execution"} )", 0,
              rule::json);
  expect_json(R"({"message_type":"order_request"})", 1, rule::json);
  expect_json(R"({"message_type":"unheard_of"})", 1, rule::default_bus);
  expect_json(R"({"other":1})", 1, rule::default_bus);
}

TEST_F(ClassifierTest, JsonFieldsAreTriedInTheConfiguredOrderAndTheFirstTypeWins) {
  const std::string market = R"({"message_type":"market_data"})",
                    order = R"({"message_type":"order_request"})",
                    unknown = R"({"message_type":"unheard_of"})";
  expect({"message", market, "data", order}, 1, rule::json);
  expect({"message", order, "payload", market}, 0, rule::json);
  expect({"message", market, "payload", unknown}, 1, rule::default_bus);
  expect({"message", market, "payload", "not json", "data", "{}"}, 0, rule::json);
  expect({"payload", order, "payload", market}, 1, rule::json);
  expect({"unlisted", market}, 1, rule::default_bus);
}

TEST_F(ClassifierTest, WhatIsNoJsonIsNoMatchAndNoError) {
  for (const char* json : {"", " ", "{", "[", "}", "null", "\"market_data\"", "market_data",
                           "{'message_type':'market_data'}", "{\"message_type\":\"market_data}",
                           "{\"message_type\":\"market_\xff\"}", "[\"message_type\",\"market_data\"]",
                           "{\"message_type\":market_data}", "{\"message_type\" \"market_data\"}"}) {
    expect_json(json, 1, rule::default_bus);
  }
  // The parser is as good as new behind each.
  expect_json(R"({"message_type":"market_data"})", 0, rule::json);
}

TEST_F(ClassifierTest, AMemberThatIsThereIsFoundWhateverElseIsWrong) {
  for (const char* json :
       {"{\"message_type\":\"market_data\"}}", "{\"message_type\":\"market_data\",}",
        "\xef\xbb\xbf{\"message_type\":\"market_data\"}", "{\"message_type\":\"market_data\"",
        "{\"x\":NaN,\"message_type\":\"market_data\"}",
        "{\"x\":[-Infinity,1],\"message_type\":\"market_data\"}",
        "{\"x\":20000000000000000000,\"message_type\":\"market_data\"}",
        "{\"x\":1e400,\"message_type\":\"market_data\"}",
        "{\"x\":\"\\ud800\",\"message_type\":\"market_data\"}",
        "{\"x\":\"\xff\",\"message_type\":\"market_data\"}",
        "{\"x\":\"\n\",\"message_type\":\"market_data\"}",
        "{\"x\":\"\\\"message_type\\\":\\\"order_request\\\"\",\"y\":NaN,\"message_type\":\"market_data\"}",
        "{\"x\":{\"message_type\":\"order_request\"},\"y\":NaN,\"message_type\":\"market_data\"}",
        "{\"y\":NaN,\"message\\u005ftype\":\"market\\u005fdata\",\"message_type\":\"order_request\"}"}) {
    expect_json(json, 0, rule::json);
  }
}

TEST_F(ClassifierTest, RefusedJsonIsCountedByWhatIsWrongAndByWhetherTheTypeWasFound) {
  const auto deep = std::string(2000, '[') + std::string(2000, ']');
  classify({"payload", R"({"message_type":"market_data","x":1e400})"});
  classify({"payload", R"({"x":"\udc00"})"});
  classify({"payload", R"({"message_type":"market_data","x":)" + deep + "}"});
  classify({"payload", R"({"message_type":"market_data","x":")" + std::string(5 << 20, 'x') + "\"}"});
  classify({"payload", "{", "data", R"({"message_type":"market_data","x":NaN})"});
  classify({"payload", R"({"message_type":"market_data"})", "data", "{"});
  classify({"payload", "text"});
  const test::owned_arguments publish = {"PUBLISH", "c", R"({"message_type":"market_data","x":NaN})"};
  EXPECT_EQ(classifier_->classify_publish(publish.view()[1], publish.view()[2]).rule, rule::json);
  classifier_->classify_publish(publish.view()[1], publish.view()[2], false);
  const auto refused = [this](json_fault f) { return counters_->refused_json[static_cast<std::size_t>(f)]; };
  using counts = std::array<std::uint64_t, 2>;
  EXPECT_EQ(refused(json_fault::number), (counts{0, 1}));
  EXPECT_EQ(refused(json_fault::string), (counts{1, 0}));
  EXPECT_EQ(refused(json_fault::depth), (counts{0, 1}));
  EXPECT_EQ(refused(json_fault::size), (counts{0, 1}));
  EXPECT_EQ(refused(json_fault::syntax), (counts{1, 2}));
}

TEST_F(ClassifierTest, ATruncatedTextHasTheTypeThatIsWholeInIt) {
  const std::string json =
      R"({"source":"x","nested":{"a":[1,2.5,null,true]},"message_type":"market_data","z":"\u00e4"})";
  expect_json(json, 0, rule::json);
  const std::size_t whole = json.find(",\"z\"");
  for (std::size_t end = 0; end < json.size(); ++end) {
    const bool there = end >= whole;
    expect_json(json.substr(0, end), there ? 0 : 1, there ? rule::json : rule::default_bus);
  }
}

TEST_F(ClassifierTest, EscapesInJsonAreUndone) {
  expect_json(R"({"message_type":"market\u005fdata"})", 0, rule::json);
  expect_json(R"({"message\u005ftype":"market_data"})", 0, rule::json);
}

TEST_F(ClassifierTest, TheFirstOfDuplicateMembersWins) {
  expect_json(R"({"message_type":"market_data","message_type":"order_request"})", 0, rule::json);
}

TEST_F(ClassifierTest, ATypeThatIsNoStringIsNone) {
  for (const char* value : {"1", "null", "true", "[\"market_data\"]", "{\"x\":\"market_data\"}"}) {
    expect_json("{\"message_type\":" + std::string(value) + "}", 1, rule::default_bus);
    expect({"payload", "{\"message_type\":" + std::string(value) + "}", "data",
            R"({"message_type":"market_data"})"},
           0, rule::json);
  }
}

TEST_F(ClassifierTest, AJsonPointerReachesIntoNestedObjects) {
  routing_rules rules = fleet_rules();
  rules.json_pointer = "/header/types/1/na~1me";
  use(rules);
  expect_json(R"({"header":{"types":[0,{"na/me":"market_data"}]}})", 0, rule::json);
  expect_json(R"({"header":{"types":[0,1]}})", 1, rule::default_bus);
  expect_json(R"({"header":{"types":[0]}})", 1, rule::default_bus);
  expect_json(R"({"header":"types"})", 1, rule::default_bus);
  expect_json(R"([{"header":1}])", 1, rule::default_bus);
  expect_json(R"({"message_type":"market_data"})", 1, rule::default_bus);
}

TEST_F(ClassifierTest, AFieldNameWithSlashesAndTildesIsFoundInJson) {
  routing_rules rules = fleet_rules();
  rules.field = "a/b~c~1";
  use(rules);
  expect_json(R"({"a/b~c~1":"market_data"})", 0, rule::json);
}

TEST_F(ClassifierTest, JsonTooDeepOrTooLargeForTheParserIsSearched) {
  expect_json(std::string(100'000, '['), 1, rule::default_bus);
  expect_json(R"({"message_type":"market_data","x":)" + std::string(5000, '[') + std::string(5000, ']') + "}",
              0, rule::json);
  expect_json(R"({"message_type":"market_data","x":)" + std::string(900, '[') + std::string(900, ']') + "}",
              0, rule::json);
  // The parser would keep many times the size of what it has read: 4 MiB are the most.
  expect_json("{\"x\":\"" + std::string(4'000'000, 'x') + "\",\"message_type\":\"market_data\"}", 0,
              rule::json);
  expect_json("{\"x\":\"" + std::string(5'000'000, 'x') + "\",\"message_type\":\"market_data\"}", 0,
              rule::json);
  expect_json(R"({"message_type":"market_data"})", 0, rule::json);
}

TEST_F(ClassifierTest, WithoutJsonFieldsNoJsonIsLookedInto) {
  routing_rules rules = fleet_rules();
  rules.json_fields.clear();
  use(rules);
  expect_json(R"({"message_type":"market_data"})", 1, rule::default_bus);
}

TEST_F(ClassifierTest, APinnedKeyDecidesBeforeAnyType) {
  const classification result = classify({"message_type", "order_request"}, "md:orders");
  EXPECT_EQ(result.bus, 0);
  EXPECT_EQ(result.rule, rule::key);
  EXPECT_EQ(classify({"message_type", "order_request"}, "orders").bus, 1);
}

TEST_F(ClassifierTest, CountsByTypeBusAndRule) {
  for (int i = 0; i < 3; ++i) classify({"message_type", "market_data"});
  classify({"payload", R"({"message_type":"market_data"})"});
  classify({"message_type", "market_data"}, "md:x");
  classify({"message_type", "unheard_of"});
  classify({"a", "b"});
  EXPECT_EQ(counted(), (std::map<std::string, std::uint64_t>{{"market_data marketdata type", 3},
                                                             {"market_data marketdata json", 1},
                                                             {"market_data marketdata key", 1},
                                                             {"unheard_of engine_logic default", 1},
                                                             {" engine_logic default", 1}}));
}

TEST_F(ClassifierTest, ExplainingCountsNothingAndTakesNoName) {
  const test::owned_arguments args = {"XADD", "k", "*", "message_type", "unheard_of"};
  classifier_->explain(args, parse_xadd(args));
  EXPECT_TRUE(counted().empty());
  EXPECT_FALSE(counters_->knows("unheard_of"));
}

TEST_F(ClassifierTest, TypesBeyondTheCapCountAsOtherAndAreStillRouted) {
  routing_rules rules = fleet_rules();
  rules.max_type_names = 3;
  use(rules);
  for (int i = 0; i < 10; ++i) classify({"message_type", "unknown-" + std::to_string(i)});
  expect({"message_type", "market_data"}, 0, rule::type);
  expect({"message_type", "market_data"}, 0, rule::type);
  const auto counts = counted();
  EXPECT_EQ(counts.at("other marketdata type"), 2U);
  EXPECT_EQ(counts.at("other engine_logic default"), 7U);
  EXPECT_EQ(counts.at("unknown-2 engine_logic default"), 1U);
  EXPECT_EQ(counts.size(), 5U);
}

TEST_F(ClassifierTest, ATypeCalledOtherHasNoRowOfItsOwn) {
  classify({"message_type", "other"});
  classify({"message_type", "other"});
  EXPECT_EQ(counted(), (std::map<std::string, std::uint64_t>{{"other engine_logic default", 2}}));
}

TEST_F(ClassifierTest, TypesTooLongToBeNamesCountAsOther) {
  expect({"message_type", "risk_" + std::string(1'000'000, 'x')}, 1, rule::glob);
  EXPECT_EQ(counted(), (std::map<std::string, std::uint64_t>{{"other engine_logic glob", 1}}));
  expect({"message_type", std::string(message_counters::max_name_bytes, 'x')}, 1, rule::default_bus);
  EXPECT_TRUE(counters_->knows(std::string(message_counters::max_name_bytes, 'x')));
}

TEST_F(ClassifierTest, ANewClassifierGoesOnCountingInTheSameRows) {
  classify({"message_type", "market_data"});
  classifier_ = std::make_unique<classifier>(*table_, *counters_);
  classify({"message_type", "market_data"});
  EXPECT_EQ(counted().at("market_data marketdata type"), 2U);
}

TEST_F(ClassifierTest, APublishGoesByItsPayloadsTypeThenByItsChannelThenToTheDefaultBus) {
  routing_rules rules = fleet_rules();
  rules.channels = {{"prices.*", 0}, {"prices.x", 1}};
  use(rules);
  const auto publish = [this](const std::string& channel, const std::string& payload) {
    const test::owned_arguments args({"PUBLISH", channel, payload});
    const resp::arguments words = args;
    const classification result = classifier_->classify_publish(words[1], words[2]);
    return std::to_string(result.bus) + " " + std::string(rule_name(result.rule));
  };
  EXPECT_EQ(publish("any", R"({"message_type": "market_data"})"), "0 json");
  EXPECT_EQ(publish("prices.x", R"({"message_type": "risk_metric"})"), "1 json");
  EXPECT_EQ(publish("prices.x", R"({"message_type": "nobody_knows"})"), "0 channel");
  EXPECT_EQ(publish("prices.x", R"({"message_type": 7})"), "0 channel");
  EXPECT_EQ(publish("prices.x", "text"), "0 channel");
  EXPECT_EQ(publish("prices", ""), "1 default");
  EXPECT_EQ(publish("any", "{broken"), "1 default");
  EXPECT_TRUE(counted().empty());
}

}  // namespace
}  // namespace dualbus::command
