#include "real_redis.hpp"

#include <dualbus/base/glob.hpp>

#include <ctime>
#include <random>
#include <set>
#include <string>
#include <utility>
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

TEST(GlobTest, APatternCoversNarrowerOnes) {
  const std::pair<const char*, const char*> covering[] = {{"*", "a*"},          {"*", ""},
                                                          {"md:*", "md:price"}, {"md:*", "md:price:*"},
                                                          {"md:*", "md:*"},     {"m*:*", "md:x*"},
                                                          {"a?c", "abc"},       {"a?c", "a[xy]c"},
                                                          {"a[a-z]*", "ab*"},   {"a[a-z]c", "a[b-d]c"},
                                                          {"a[^x]c", "abc"},    {"*b*", "a*b*c"},
                                                          {"a*", "a\\*"},       {"a**", "a*"},
                                                          {"*?", "*a"},         {"[ab]*", "[a]?*x"},
                                                          {"a\\*b", "a\\*b"},   {"a*", "a[unclosed"}};
  for (const auto& [wide, narrow] : covering) EXPECT_TRUE(glob_covers(wide, narrow)) << wide << " " << narrow;
}

TEST(GlobTest, APatternDoesNotCoverOthers) {
  const std::pair<const char*, const char*> apart[] = {
      {"md:*", "m*"}, {"md:*", "*"},      {"a", "a*"},        {"a", "b"},
      {"a?c", "a*c"}, {"a[b-d]c", "a?c"}, {"a[b-d]c", "aec"}, {"a[^x]c", "a[wx]c"},
      {"*b*", "a*c"}, {"a\\*b", "a*b"},   {"", "?"},          {"md:?*", "md:*"}};
  for (const auto& [wide, narrow] : apart) EXPECT_FALSE(glob_covers(wide, narrow)) << wide << " " << narrow;
}

// The covering pattern matches every text that the covered one matches.
TEST(GlobTest, CoveringHoldsForRandomPatternsAndTexts) {
  std::mt19937 random(7);
  const auto pick = [&](std::string_view from, std::size_t most) {
    std::string text;
    for (std::size_t left = random() % (most + 1); left > 0; --left) text += from[random() % from.size()];
    return text;
  };
  int covering = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::string wide = pick("ab*?[]^-\\", 6), narrow = pick("ab*?[]^-\\", 6);
    if (!glob_covers(wide, narrow)) continue;
    ++covering;
    for (int i = 0; i < 20; ++i) {
      const std::string text = pick("ab[]^-\\", 5);
      if (glob_match(narrow, text)) {
        ASSERT_TRUE(glob_match(wide, text)) << wide << " " << narrow << " " << text;
      }
    }
  }
  EXPECT_GT(covering, 100);
}

TEST(GlobTest, AStarMatchesTheEmptyText) {
  // Redis's stringmatchlen does not match this, but Redis handles the pattern "*" before it gets there.
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
  // The test measures this thread's own time, whatever else the machine does.
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
