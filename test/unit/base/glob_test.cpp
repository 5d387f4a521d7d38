#include "real_redis.hpp"

#include <dualbus/base/glob.hpp>

#include <ctime>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

TEST(GlobTest, MatchesTheFormsThatRedisDocuments) {
  EXPECT_TRUE(glob_match("h?llo", "hello"));
  EXPECT_FALSE(glob_match("h?llo", "hllo"));
  EXPECT_TRUE(glob_match("h*llo", "hllo"));
  EXPECT_TRUE(glob_match("h*llo", "heeeello"));
  EXPECT_TRUE(glob_match("h[ae]llo", "hallo"));
  EXPECT_FALSE(glob_match("h[ae]llo", "hillo"));
  EXPECT_TRUE(glob_match("h[^e]llo", "hbllo"));
  EXPECT_FALSE(glob_match("h[^e]llo", "hello"));
  EXPECT_TRUE(glob_match("h[a-b]llo", "hbllo"));
  EXPECT_FALSE(glob_match("h[a-b]llo", "hcllo"));
  EXPECT_TRUE(glob_match("\\*", "*"));
  EXPECT_FALSE(glob_match("\\*", "x"));
  EXPECT_TRUE(glob_match("risk_*", "risk_metric"));
  EXPECT_FALSE(glob_match("risk_*", "market_risk_metric"));
}

TEST(GlobTest, AStarMatchesTheEmptyText) {
  // Redis does not in stringmatchlen, but handles the pattern "*" before it gets there.
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("", ""));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_FALSE(glob_match("?", ""));
}

TEST(GlobTest, IgnoresCaseOnlyIfAsked) {
  EXPECT_FALSE(glob_match("MaxClients", "maxclients"));
  EXPECT_TRUE(glob_match("MAX*", "maxclients", true));
  EXPECT_TRUE(glob_match("[A-C]x", "bX", true));
  EXPECT_FALSE(glob_match("[A-C]x", "dX", true));
}

TEST(GlobTest, KnowsWhichTextsArePatterns) {
  for (const char* text : {"a*", "?", "[a]", "\\a"}) EXPECT_TRUE(is_glob(text)) << text;
  for (const char* text : {"", "market_data", "a-b", "]", "^a"}) EXPECT_FALSE(is_glob(text)) << text;
}

// The texts are keys, the patterns KEYS's; so Redis's own matcher says which of them match.
TEST(GlobTest, AgreesWithRedisOnGeneratedPatterns) {
  const test::real_redis redis;
  std::mt19937 random(17);
  const std::string letters = "aabbc-]^*?[\\\x80\xff";
  std::set<std::string> texts;
  while (texts.size() < 400) {
    std::string text;
    for (std::size_t n = 1 + random() % 6; n > 0; --n) text += letters[random() % letters.size()];
    texts.insert(text);
  }
  for (const std::string& text : texts) redis.command({"SET", text, "1"});

  const std::string pieces = "aabc**??[[]]^--\\\\\x80\xff";
  for (int i = 0; i < 3000; ++i) {
    std::string pattern;
    for (std::size_t n = random() % 9; n > 0; --n) pattern += pieces[random() % pieces.size()];
    std::set<std::string> expected;
    const test::reply_ptr reply = redis.command({"KEYS", pattern});
    for (std::size_t k = 0; k < reply->elements; ++k) expected.insert(test::text_of(*reply->element[k]));
    for (const std::string& text : texts) {
      ASSERT_EQ(glob_match(pattern, text), expected.contains(text))
          << "pattern " << testing::PrintToString(pattern) << " text " << testing::PrintToString(text);
    }
  }
}

TEST(GlobTest, PathologicalPatternsTakeTimeProportionalToPatternTimesText) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "a*[a-z]*";
  const std::string text(5000, 'a');
  // Exponential matchers would not end; 4,000 times 5,000 steps do within a moment, even under sanitizers.
  // What is measured is this thread's own time, whatever else the machine does.
  const auto own_seconds = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec;
  };
  const auto start = own_seconds();
  EXPECT_FALSE(glob_match(pattern + "b", text));
  EXPECT_LT(own_seconds() - start, 20);
}

}  // namespace
}  // namespace dualbus::base
