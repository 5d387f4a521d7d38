#include "arguments.hpp"

#include <dualbus/command/classifier.hpp>
#include <dualbus/command/type_judge.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using namespace std::string_literals;
using strings = std::vector<std::string>;

// Permitted are the types that begin with "a".
class TypeJudgeTest : public testing::Test {
 protected:
  TypeJudgeTest() { use({}); }

  void use(const std::string& json_pointer) {
    routing_rules rules;
    rules.buses = {{.name = "one", .id_slot = 1, .draining = false}};
    rules.json_fields = {"payload", "data"};
    rules.json_pointer = json_pointer;
    table_ = std::make_unique<routing_table>(rules);
    classifier_ = std::make_unique<classifier>(*table_, counters_);
  }

  static std::string shown(const type_judge::verdict& v) {
    if (v.permitted) return "yes";
    return v.unclear.empty() ? "no" : std::string(v.field) + ": " + std::string(v.unclear);
  }
  static bool permits(std::string_view type) { return type.starts_with('a'); }

  std::string entry(const strings& fields, const type_judge::test& permits = TypeJudgeTest::permits) {
    strings request = {"XADD", "s", "*"};
    request.insert(request.end(), fields.begin(), fields.end());
    const test::owned_arguments args(request);
    return shown(classifier_->judge().of_entry(args, parse_xadd(args), permits));
  }
  std::string text(const std::string& message) {
    const test::owned_arguments args({"PUBLISH", "c", message});
    const resp::arguments words = args;
    return shown(classifier_->judge().of_text(words[2], permits));
  }

  message_counters counters_{1, 10};
  std::unique_ptr<routing_table> table_;
  std::unique_ptr<classifier> classifier_;
};

constexpr std::string_view permitted = R"({"message_type": "a"})", forbidden = R"({"message_type": "b"})";

TEST_F(TypeJudgeTest, TheFieldDecidesBeforeJson) {
  EXPECT_EQ(entry({"message_type", "a", "payload", std::string(forbidden)}), "yes");
  EXPECT_EQ(entry({"message_type", "b", "payload", std::string(permitted)}), "no");
  EXPECT_EQ(entry({"payload", "{broken", "message_type", "a"}), "yes");
}

TEST_F(TypeJudgeTest, EveryTypeThatSomebodyMayFindMustBePermitted) {
  const std::string a(permitted), b(forbidden);
  EXPECT_EQ(entry({"message_type", "a", "message_type", "ab"}), "yes");
  EXPECT_EQ(entry({"message_type", "a", "message_type", "b"}), "no");
  EXPECT_EQ(entry({"payload", a, "payload", b}), "no");
  EXPECT_EQ(entry({"data", a, "payload", b}), "no");
  EXPECT_EQ(entry({"payload", a, "data", a}), "yes");
  EXPECT_EQ(entry({"payload", a, "other", b}), "yes");
}

TEST_F(TypeJudgeTest, AMessageWithoutATypeIsOneOfTheTypeThatIsEmpty) {
  EXPECT_EQ(entry({"x", "y"}), "no");
  EXPECT_EQ(entry({"payload", R"({"x": "y"})", "data", "text"}), "no");
  const auto anything = [](std::string_view type) { return type.empty() || type == "a"; };
  EXPECT_EQ(entry({"x", "y"}, anything), "yes");
  // An empty type is none to many programs, which look into JSON then.
  EXPECT_EQ(entry({"message_type", "", "payload", std::string(forbidden)}, anything), "no");
  EXPECT_EQ(entry({"message_type", "", "payload", std::string(permitted)}, anything), "yes");
}

TEST_F(TypeJudgeTest, AFieldThatCertainlyHasNoTypeIsPassedOver) {
  const std::string a(permitted);
  for (const std::string& text : {"text"s, ""s, "12"s, "\"quoted\""s, "[1, 2]"s, "null"s, "\xff\xfe"s,
                                  R"({"x": {"message_type": "b"}})"s, "{}"s, R"({"message_typ": 1})"s}) {
    EXPECT_EQ(entry({"payload", text, "data", a}), "yes") << text;
    EXPECT_EQ(entry({"data", a, "payload", text}), "yes") << text;
  }
}

// Text that one program cannot read another one may: it is refused, whatever stands in the next field.
TEST_F(TypeJudgeTest, AFieldThatCannotBeReadWithCertaintyIsRefusedAndNamed) {
  const std::string b(forbidden);
  std::string utf16 = "\xff\xfe"s, utf16_plain, utf32 = "\xff\xfe\0\0"s;
  for (const char c : b) {
    utf16 += c + "\0"s;
    utf16_plain += c + "\0"s;
    utf32 += c + "\0\0\0"s;
  }
  const std::string form = "something that may be JSON in another form than plain UTF-8",
                    syntax = "NaN or something else that JSON does not have",
                    number = "a number that is malformed or too large",
                    unicode = "a string that is not closed or no valid Unicode";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {utf16, form},
      {utf32, form},
      {utf16_plain, unicode},
      {"\xef\xbb\xbf\xef\xbb\xbf" + b, form},
      {"\f" + b, form},
      {"/* */" + b, form},
      {R"("{\"message_type\": \"b\"}")", form},
      {R"("\u007b\"message_type\": \"b\"}")", form},
      {"[" + b + "]", "a list"},
      {R"({"message_type": ["b"]})", "a type that is no string"},
      {R"({"message_type": 7})", "a type that is no string"},
      {R"({"message_type": null})", "a type that is no string"},
      {R"({"message_type": "a", "message_type": "b"})", "the type twice"},
      {R"({"message_type": "a", "message\u005ftype": "a"})", "the type twice"},
      {R"({"x": NaN})", syntax},
      {R"({'message_type': "b"})", syntax},
      {R"({"message_type": "b")", syntax},
      {b + b, syntax},
      {R"({"x": 1e999, "message_type": 1})", number},
      {R"({"x": "\ud800", "message_type": "a", "message_type": "b"})", unicode},
      {R"({"message_type": "a\ud800"})", unicode},
      {"{\"message_type\": \"a\xff\"}", unicode},
  };
  for (const auto& [content, reason] : cases) {
    EXPECT_EQ(entry({"payload", content, "data", std::string(permitted)}), "payload: " + reason) << content;
    EXPECT_EQ(entry({"data", std::string(permitted), "payload", content}), "payload: " + reason) << content;
    EXPECT_EQ(text(content), ": " + reason) << content;
  }
  const std::string large =
      R"({"x": ")" + std::string(std::size_t{4} << 20, 'x') + R"(", "message_type": 1})";
  EXPECT_EQ(entry({"payload", large, "data", std::string(permitted)}), "payload: more than 4 MiB");
}

TEST_F(TypeJudgeTest, WhatOnlyTheSearchReadsCountsIfAllReadersAgreeAboutIt) {
  EXPECT_EQ(text(R"({"x": [NaN, -Infinity, 1e400, "\ud800"], "message_type": "a"})"), "yes");
  EXPECT_EQ(text(R"({"x": [NaN, -Infinity, 1e400, "\ud800"], "message_type": "b"})"), "no");
  EXPECT_EQ(text("\xef\xbb\xbf" + std::string(permitted)), "yes");
  EXPECT_EQ(text("\xef\xbb\xbf" + std::string(forbidden)), "no");
  const std::string filler =
      R"({"x": ")" + std::string(std::size_t{4} << 20, 'x') + R"(", "message_type": ")";
  EXPECT_EQ(text(filler + "a\"}"), "yes");
  EXPECT_EQ(text(filler + "b\"}"), "no");
  const std::string syntax = ": NaN or something else that JSON does not have";
  for (const char* const odd :
       {R"({"x": NaN, "message_type": "a", "message_type": "b"})",
        R"({"x": NaN, "message_type": "a", "message\u005ftype": "b"})",
        R"({"x": NaN, "message_type": "a", 'message_type': "b"})", R"({"x": NaN, "message_type": "a")",
        R"({"x": NaN, "message_type": "a", "y": [/*"*/], "message_type": "b", "z": [/*"*/]})",
        R"({"x": NaN, "message_type": "a", "y": {})",
        R"({"x": NaN, "message_type": "a"} {"message_type": "b"})",
        R"({"x": NaN, "message_type": "a" "b"})"}) {
    EXPECT_EQ(text(odd), syntax) << odd;
  }
  EXPECT_NE(text(R"({"x": NaN, "message_type": "a", "message\_type": "b"})"), "yes");
  EXPECT_NE(text("{\"message_type\": \"a\", \"message_\xfftype\": \"b\"}"), "yes");
}

TEST_F(TypeJudgeTest, APointerMayLeadThroughObjectsAndArrays) {
  use("/meta/0/the~1type");
  EXPECT_EQ(text(R"({"meta": [{"the/type": "a"}]})"), "yes");
  EXPECT_EQ(text(R"({"meta": [{"the/type": "b"}]})"), "no");
  EXPECT_EQ(text(R"({"meta": [{"the/type": "a", "the/type": "b"}]})"), ": the type twice");
  EXPECT_EQ(text(R"({"meta": [{"the/type": "a"}], "meta": [{"the/type": "b"}]})"), ": the type twice");
  EXPECT_EQ(text(R"({"meta": [{"x": NaN, "the/type": "a"}, 1], "x": {}})"), "yes");
  EXPECT_NE(text(R"({"meta": [{"x": NaN, "the/type": "a"}], "meta": [{"the/type": "b"}]})"), "yes");
  EXPECT_NE(text(R"({"meta": [{"x": NaN, "the/type": "a", "the\/type": "b"}]})"), "yes");
  use("/0");
  EXPECT_EQ(text(R"(["a", "b"])"), "yes");
  EXPECT_EQ(text(R"(["b", "a"])"), "no");
  EXPECT_EQ(text(" [NaN]"), ": NaN or something else that JSON does not have");
}

}  // namespace
}  // namespace dualbus::command
