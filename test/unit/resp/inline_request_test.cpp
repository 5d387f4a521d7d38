#include "../base/real_redis.hpp"
#include "parse_helpers.hpp"

#include <dualbus/resp/request_parser.hpp>

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::resp {
namespace {

using test::parse_whole;
using test::parsed_input;
using strings = std::vector<std::string>;

strings split(const std::string& line) {
  const parsed_input result = parse_whole(line + "\r\n");
  EXPECT_EQ(result.requests.size(), 1U) << result.error;
  return result.requests.empty() ? strings{"<none>"} : result.requests[0];
}

TEST(InlineRequestTest, BlanksSeparateArguments) {
  EXPECT_EQ(split("SET key value"), (strings{"SET", "key", "value"}));
  EXPECT_EQ(split("  \t SET\tkey   value \t "), (strings{"SET", "key", "value"}));
  EXPECT_EQ(parse_whole("PING\n").requests, std::vector<strings>{{"PING"}});
}

TEST(InlineRequestTest, DoubleQuotesKnowEscapes) {
  EXPECT_EQ(split(R"(ECHO "a b\n\r\t\b\a\"\\\q")"), (strings{"ECHO", "a b\n\r\t\b\a\"\\q"}));
  EXPECT_EQ(split(R"(ECHO "\x00\x41\xfF\xg1")"), (strings{"ECHO", std::string("\0A\xffxg1", 6)}));
  EXPECT_EQ(split(R"(ECHO "")"), (strings{"ECHO", ""}));
}

TEST(InlineRequestTest, SingleQuotesKnowOnlyTheirOwnEscape) {
  EXPECT_EQ(split(R"(ECHO 'a\n\'b')"), (strings{"ECHO", R"(a\n'b)"}));
}

TEST(InlineRequestTest, AQuoteMayBeginInsideAnArgument) {
  EXPECT_EQ(split(R"(ECHO a"b c")"), (strings{"ECHO", "ab c"}));
}

TEST(InlineRequestTest, VerticalTabsAndFormFeedsAreSkippedBetweenArgumentsButDoNotEndThem) {
  EXPECT_EQ(split("ECHO \v\fa\vb\fc"), (strings{"ECHO", "a\vb\fc"}));
}

// EVAL's reply is the list of its arguments, so it shows how Redis has split the line.
TEST(InlineRequestTest, SplitsGeneratedLinesAsRedisDoes) {
  const test::real_redis redis;
  std::mt19937 random(23);
  const std::string letters = "aabx041 \t\v\f\r  \"\"''\\\\\\nrtq\x01\x80\xff";
  int unbalanced = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string line = "EVAL 'return ARGV' 0 ";
    for (std::size_t n = random() % 20; n > 0; --n) line += letters[random() % letters.size()];
    line += random() % 2 == 0 ? "\r\n" : "\n";
    const std::string answer = redis.converse(line);
    const parsed_input ours = parse_whole(line);
    if (ours.last == parse_status::error) {
      ++unbalanced;
      ASSERT_EQ(answer, "-ERR " + ours.error + "\r\n") << testing::PrintToString(line);
      continue;
    }
    ASSERT_EQ(ours.requests.size(), 1U);
    const strings& request = ours.requests[0];
    std::string expected = "*" + std::to_string(request.size() - 3) + "\r\n";
    for (std::size_t k = 3; k < request.size(); ++k) {
      expected += "$" + std::to_string(request[k].size()) + "\r\n" + request[k] + "\r\n";
    }
    ASSERT_EQ(answer, expected) << testing::PrintToString(line);
  }
  EXPECT_GT(unbalanced, 100);
  EXPECT_LT(unbalanced, 1400);
}

TEST(InlineRequestTest, ANulByteKeepsRedisFromSeeingTheEndOfTheLine) {
  const test::real_redis redis;
  const std::string line = std::string("PING\0PONG", 9) + "\r\n";
  // Redis answers nothing until the line is too long, so the daemon must not run anything either.
  EXPECT_EQ(redis.converse(line), "");
  EXPECT_TRUE(parse_whole(line).requests.empty());
  const std::string flood = line + std::string(64 * 1024, 'x') + "\r\n";
  EXPECT_EQ(redis.converse(flood), "-ERR Protocol error: too big inline request\r\n");
  EXPECT_EQ(parse_whole(flood).error, "Protocol error: too big inline request");
}

}  // namespace
}  // namespace dualbus::resp
