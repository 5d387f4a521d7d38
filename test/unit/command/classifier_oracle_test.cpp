// A slow and simple classifier, written from the description alone, against the real one on generated
// messages.

#include "arguments.hpp"

#include <dualbus/base/glob.hpp>
#include <dualbus/command/classifier.hpp>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using strings = std::vector<std::string>;

// Generated JSON is kept beside what it means, so that the reference needs no JSON parser.
struct field {
  std::string name, text;
  std::optional<std::string> type_inside;
};

struct expected {
  bus_index bus;
  rule why;
  std::string type;
};

expected reference(const routing_rules& rules, const std::string& key, const std::vector<field>& fields) {
  std::optional<std::string> type;
  bool json = false;
  for (auto f = fields.rbegin(); f != fields.rend(); ++f) {
    if (f->name == rules.field) type = f->text;
  }
  bus_index pinned = no_bus;
  for (auto r = rules.keys.rbegin(); r != rules.keys.rend(); ++r) {
    if (base::glob_match(r->match, key)) pinned = r->bus;
  }
  if (pinned != no_bus) return {pinned, rule::key, type.value_or("")};
  if (!type) {
    for (const std::string& name : rules.json_fields) {
      const auto first =
          std::find_if(fields.begin(), fields.end(), [&](const field& f) { return f.name == name; });
      if (first != fields.end() && first->type_inside) {
        type = first->type_inside;
        json = true;
        break;
      }
    }
  }
  if (!type) return {rules.default_bus, rule::default_bus, ""};
  for (const match_rule& r : rules.types) {
    if (r.match == *type && !base::is_glob(r.match)) return {r.bus, json ? rule::json : rule::type, *type};
  }
  for (const match_rule& r : rules.types) {
    if (base::is_glob(r.match) && base::glob_match(r.match, *type))
      return {r.bus, json ? rule::json : rule::glob, *type};
  }
  return {rules.default_bus, rule::default_bus, *type};
}

TEST(ClassifierOracleTest, AgreesWithTheSimpleOne) {
  std::mt19937 random(79);
  const auto one_of = [&](const auto& list) { return list[random() % list.size()]; };
  const strings types = {"market_data", "price_update", "trade_x", "trade_execution",
                         "risk_a",      "order",        "new",     ""};
  const strings patterns = {"market_data", "trade_*", "*_update",        "order",
                            "risk_[ab]",   "*x*",     "trade_execution", "?"};
  const strings keys = {"md:1", "md", "risk:1", "nautilus-a-streams", "x"};
  const strings key_patterns = {"md:*", "md", "*:1", "nautilus-?-streams", "risk:1"};
  const strings names = {"message_type", "payload", "data", "extra"};

  for (int round = 0; round < 300; ++round) {
    routing_rules rules;
    rules.buses = {{"a", 1, false}, {"b", 2, false}, {"c", 3, false}};
    rules.default_bus = static_cast<bus_index>(random() % 3);
    if (random() % 4 != 0) rules.json_fields = {"payload", "data"};
    if (random() % 2 != 0) std::reverse(rules.json_fields.begin(), rules.json_fields.end());
    for (std::size_t n = random() % 6; n > 0; --n) {
      rules.types.push_back({one_of(patterns), static_cast<bus_index>(random() % 3)});
    }
    for (std::size_t n = random() % 3; n > 0; --n) {
      rules.keys.push_back({one_of(key_patterns), static_cast<bus_index>(random() % 3)});
    }
    const routing_table table(rules);
    message_counters counters(3, 5);
    classifier real(table, counters);
    std::uint64_t messages = 0;
    for (int i = 0; i < 60; ++i) {
      std::vector<field> fields;
      for (std::size_t n = 1 + random() % 4; n > 0; --n) {
        field f{one_of(names), one_of(types), std::nullopt};
        switch (random() % 4) {
          case 0:
            f.type_inside = f.text;
            f.text = R"({"a":{"message_type":"order"},"message_type":")" + *f.type_inside + "\"}";
            break;
          case 1:
            f.text = R"({"type":"market_data"})";
            break;
          case 2:
            f.type_inside = "market_data";
            f.text = R"({"x":NaN,"message_type":"market_data")";  // which is no JSON, but has a type
            break;
          default:
            break;
        }
        fields.push_back(f);
      }
      strings request = {"XADD", one_of(keys), "*"};
      for (const field& f : fields) request.insert(request.end(), {f.name, f.text});
      const test::owned_arguments args(request);
      const expected wanted = reference(rules, request[1], fields);
      const classification got = real.classify(args, parse_xadd(args));
      ASSERT_EQ(got.bus, wanted.bus) << testing::PrintToString(request);
      ASSERT_EQ(rule_name(got.rule), rule_name(wanted.why)) << testing::PrintToString(request);
      ++messages;
    }
    std::uint64_t counted = 0;
    std::size_t rows = 0;
    counters.visit([&](std::string_view, const message_counters::row& row) {
      ++rows;
      for (const auto& by_rule : row) {
        for (const std::uint64_t count : by_rule) counted += count;
      }
    });
    ASSERT_EQ(counted, messages);
    ASSERT_LE(rows, 6U);
  }
}

}  // namespace
}  // namespace dualbus::command
