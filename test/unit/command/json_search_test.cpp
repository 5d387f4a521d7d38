// Compares the search with the parser that the classifier uses: on valid texts both find the same. For an
// invalid text the parser gets something harmless in the place of the invalid part, so that it still is the
// judge.

#include "command/json_search.hpp"

#include "arguments.hpp"

#include <dualbus/command/classifier.hpp>

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using found = std::optional<std::string>;

found search(const std::string& pointer, const std::string& text, bool sole = false) {
  json_search one(pointer);
  const std::string_view result = sole ? one.find_sole(text) : one.find(text);
  return result.data() == nullptr ? std::nullopt : found(result);
}

/// Finds the members as the classifier's parser does; it must not have refused the text.
class by_parser {
 public:
  found operator()(const std::string& pointer, const std::string& text) {
    std::unique_ptr<reader>& made = readers_[pointer];
    if (made == nullptr) made = std::make_unique<reader>(pointer);
    const test::owned_arguments args = {"PUBLISH", "c", text};
    made->types.classify_publish("c", args.view()[2]);
    EXPECT_EQ(made->counters.refused_json, json_fault_counts{}) << text;
    const std::string_view result = made->types.type_of_json(args.view()[2]);
    return result.data() == nullptr ? std::nullopt : found(result);
  }

 private:
  struct reader {
    explicit reader(const std::string& pointer)
        : table(rules(pointer)), counters(1, 1), types(table, counters) {}
    static routing_rules rules(const std::string& pointer) {
      routing_rules result;
      result.buses = {{"a", 1, false}};
      result.json_pointer = pointer;
      return result;
    }
    routing_table table;
    message_counters counters;
    classifier types;
  };
  std::map<std::string, std::unique_ptr<reader>> readers_;
};

// Writes random JSON, once for the parser and once with what it refuses.
class writer {
 public:
  explicit writer(std::uint32_t seed) : random_(seed) {}

  void value(int depth) {
    switch (random_() % (depth > 3 ? 4 : 8)) {
      case 0:
        return both(one_of({"0", "-12.5e3", "true", "null", "false"}));
      case 1:
        return odd(one_of({"7", "null"}),
                   one_of({"NaN", "-Infinity", "1e999", "123456789012345678901", "01", "nul"}));
      case 2:
      case 3:
        return string();
      case 4:
      case 5:
        return array(depth);
      default:
        return object(depth);
    }
  }
  void object(int depth) {
    both("{");
    blank();
    const std::size_t members = random_() % 5;
    for (std::size_t i = 0; i < members; ++i) {
      if (i > 0) both(",");
      blank();
      both(one_of({R"("a")", R"("b")", R"("\u0061")", R"("a/b")", R"("a\/b")", R"("~")", R"("\"a\":\"b\"")",
                   R"("")", R"("{")"}));
      blank();
      both(":");
      blank();
      value(depth + 1);
      blank();
    }
    both("}");
  }

  std::string valid, refused;

 private:
  void array(int depth) {
    both("[");
    const std::size_t elements = random_() % 4;
    for (std::size_t i = 0; i < elements; ++i) {
      if (i > 0) both(",");
      blank();
      value(depth + 1);
      blank();
    }
    both("]");
  }
  void string() {
    switch (random_() % 4) {
      case 0:
        return odd(R"("x")", one_of({"\"\\ud800\"", "\"\n\"", "\"\xff\"", R"("\x")", R"("\udc00\ud800\\")"}));
      case 1:
        return both(one_of({R"("\\")", R"("\"")", R"("\\\"")", R"("]},")", R"("a\u00e9\ud83d\ude00\n")"}));
      default:
        return both(one_of({R"("t1")", R"("t2")", R"("")"}));
    }
  }
  void blank() {
    if (random_() % 4 == 0) both(one_of({" ", "\n", "\t\r "}));
  }
  void both(const std::string& text) {
    valid += text;
    refused += text;
  }
  void odd(const std::string& harmless, const std::string& text) {
    valid += harmless;
    refused += random_() % 2 == 0 ? text : harmless;
  }
  std::string one_of(const std::vector<std::string>& list) { return list[random_() % list.size()]; }

  std::mt19937 random_;
};

const std::vector<std::string> pointers = {"/a",   "/b",     "/a~1b", "/~0",  "/",    "/a/b",
                                           "/a/0", "/b/1/a", "/0",    "/1/a", "/a/00"};

TEST(JsonSearchTest, FindsInValidTextsWhatTheParserFinds) {
  int hits = 0;
  by_parser parsed;
  for (std::uint32_t seed = 0; seed < 4000; ++seed) {
    writer json(seed);
    seed % 5 == 0 ? json.value(0) : json.object(0);
    for (const std::string& pointer : pointers) {
      const found expected = parsed(pointer, json.valid);
      ASSERT_EQ(search(pointer, json.valid), expected) << json.valid << "\n" << pointer;
      hits += expected ? 1 : 0;
    }
  }
  EXPECT_GT(hits, 1000);
}

TEST(JsonSearchTest, FindsTheSameBesideWhatTheParserRefuses) {
  int hits = 0;
  by_parser parsed;
  for (std::uint32_t seed = 0; seed < 4000; ++seed) {
    writer json(seed);
    json.object(0);
    if (json.valid == json.refused) continue;
    for (const std::string& pointer : pointers) {
      const found expected = parsed(pointer, json.valid);
      const found got = search(pointer, json.refused);
      // The string looked for may itself be one that only the search reads.
      if (expected == "x") {
        ASSERT_TRUE(got) << json.refused << "\n" << pointer;
        continue;
      }
      ASSERT_EQ(got, expected) << json.refused << "\n" << pointer;
      if (!expected) continue;
      ++hits;
    }
  }
  EXPECT_GT(hits, 300);
}

TEST(JsonSearchTest, EveryTextBehindTheStringLeavesItFound) {
  std::mt19937 random(5);
  const std::string alphabet = "{}[]\",:\\ nut019.\n'/*";
  for (int i = 0; i < 20'000; ++i) {
    std::string rest;
    for (std::size_t n = random() % 12; n > 0; --n) rest += alphabet[random() % alphabet.size()];
    EXPECT_EQ(search("/a", "{\"a\":\"x\"" + rest), "x") << rest;
    // With any text in front, the search comes to an end and invents nothing.
    const found got = search("/a", "{" + rest + ",\"a\":\"x\"}");
    EXPECT_TRUE(!got || *got == "x" || rest.find('"') != std::string::npos) << rest;
    const found sole = search("/a", "{" + rest + ",\"a\":\"x\"}", true);
    EXPECT_TRUE(!sole || sole == got) << rest;
  }
}

TEST(JsonSearchTest, TheSoleStringIsThatOfAWholeTextWithoutAnotherOne) {
  for (std::uint32_t seed = 0; seed < 4000; ++seed) {
    writer json(seed);
    json.object(0);
    for (const std::string pointer : {"/a", "/a/b", "/b/1/a"}) {
      const found expected = search(pointer, json.valid), sole = search(pointer, json.valid, true);
      ASSERT_TRUE(!sole || sole == expected) << json.valid;
      const std::string open = json.valid.substr(0, json.valid.find_last_of('}'));
      ASSERT_EQ(search(pointer, open, true), std::nullopt) << open;
      if (!expected || pointer != "/a") continue;
      // The name comes once more, anywhere behind.
      const std::string twice = open + ",\"a\":\"z\"}";
      ASSERT_EQ(search(pointer, twice, true), std::nullopt) << twice;
    }
  }
}

TEST(JsonSearchTest, EscapesAreUndoneInNamesAndInTheString) {
  EXPECT_EQ(search("/a/b", R"({"\u0061\/b":1,"a":{"\u0062":"\u00e4\ud83d\ude00\ud800x\n\q"}})"),
            "\xc3\xa4\xf0\x9f\x98\x80\xef\xbf\xbdx\nq");
  EXPECT_EQ(search("/a", R"({"a":"\u12g4"})"), "u12g4");
  EXPECT_EQ(search("/a", R"({"a":"\\"})"), "\\");
  EXPECT_EQ(search("/a", R"({"a":"\"})"), std::nullopt);
}

// Time that grows with the square of the length would take minutes here.
TEST(JsonSearchTest, LongTextsTakeLinearTime) {
  const std::size_t size = std::size_t{8} << 20;
  for (const std::string& piece :
       {std::string("["), std::string("\\\""), std::string("\\"), std::string(","), std::string(" "),
        std::string("1,"), std::string("\"\","), std::string("{\"b\":")}) {
    std::string text = piece[0] == '\\' ? "{\"b\":\"" : "{\"b\":";
    while (text.size() < size) text += piece;
    EXPECT_EQ(search("/a", text), std::nullopt);
    EXPECT_EQ(search("/b/1", text, true), std::nullopt);
  }
}

}  // namespace
}  // namespace dualbus::command
