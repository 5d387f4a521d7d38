#include "../base/real_redis.hpp"
#include "arguments.hpp"

#include <dualbus/command/xadd_arguments.hpp>

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using strings = std::vector<std::string>;
using verdict = xadd_arguments::verdict;

xadd_arguments parse(const strings& request) {
  const test::owned_arguments args(request);
  return parse_xadd(args);
}

TEST(XaddArgumentsTest, FindsIdAndFields) {
  const xadd_arguments plain = parse({"XADD", "k", "*", "f", "v"});
  EXPECT_EQ(plain.result, verdict::ok);
  EXPECT_EQ(plain.id, 2U);
  EXPECT_EQ(plain.fields, 3U);
  EXPECT_EQ(plain.min_id, 0U);
  EXPECT_FALSE(plain.no_mkstream);
  const xadd_arguments full =
      parse({"xadd", "k", "NoMkStream", "maxlen", "~", "100", "LIMIT", "5", "1-*", "f", "v"});
  EXPECT_EQ(full.result, verdict::ok);
  EXPECT_EQ(full.id, 8U);
  EXPECT_EQ(full.fields, 9U);
  EXPECT_TRUE(full.no_mkstream);
}

TEST(XaddArgumentsTest, FindsTheThresholdOfMinid) {
  EXPECT_EQ(parse({"XADD", "k", "MINID", "5-1", "*", "f", "v"}).min_id, 3U);
  EXPECT_EQ(parse({"XADD", "k", "MINID", "~", "5-1", "*", "f", "v"}).min_id, 4U);
  EXPECT_EQ(parse({"XADD", "k", "minid", "=", "5-1", "LIMIT", "1", "*", "f", "v"}).min_id, 4U);
  EXPECT_EQ(parse({"XADD", "k", "MAXLEN", "=", "5", "*", "f", "v"}).min_id, 0U);
}

TEST(XaddArgumentsTest, OptionsBehindTheIdAreFields) {
  const xadd_arguments result = parse({"XADD", "k", "*", "MAXLEN", "5", "NOMKSTREAM", "v"});
  EXPECT_EQ(result.result, verdict::ok);
  EXPECT_EQ(result.fields, 3U);
  EXPECT_FALSE(result.no_mkstream);
}

// For Redis an option word ends at its first zero byte; read as an ID, it would move the fields.
TEST(XaddArgumentsTest, WordsEndAtTheirFirstZeroByte) {
  using namespace std::string_literals;
  const xadd_arguments result = parse({"XADD", "k", "NOMKSTREAM\0"s, "MINID\0x"s, "~\0"s, "5-1", "limit\0"s,
                                       "0", "*\0x"s, "t", "nomkstream"});
  EXPECT_EQ(result.result, verdict::ok);
  EXPECT_TRUE(result.no_mkstream);
  EXPECT_EQ(result.min_id, 5U);
  EXPECT_EQ(result.id, 8U);
  EXPECT_EQ(result.fields, 9U);
  EXPECT_EQ(parse({"XADD", "k", "keepref\0"s, "*", "f", "v"}).result, verdict::unsupported);
}

TEST(XaddArgumentsTest, NeedsPairsOfFieldsAndValues) {
  EXPECT_EQ(parse({"XADD", "k", "*", "f", "v", "g"}).result, verdict::malformed);
  EXPECT_EQ(parse({"XADD", "k", "NOMKSTREAM", "*", "f"}).result, verdict::malformed);
  EXPECT_EQ(parse({"XADD", "k", "MAXLEN", "5", "*"}).result, verdict::malformed);
  EXPECT_EQ(parse({"XADD", "k", "MAXLEN", "5", "MINID", "1", "*", "f", "v"}).result, verdict::malformed);
  EXPECT_EQ(parse({"XADD", "k", "NOMKSTREAM", "NOMKSTREAM", "NOMKSTREAM"}).result, verdict::malformed);
}

TEST(XaddArgumentsTest, NamesOptionsOfLaterVersions) {
  const xadd_arguments result = parse({"XADD", "k", "NOMKSTREAM", "KeepRef", "MAXLEN", "5", "*", "f", "v"});
  EXPECT_EQ(result.result, verdict::unsupported);
  EXPECT_EQ(result.option, 3U);
}

TEST(XaddArgumentsTest, TheFirstFieldOfANameCounts) {
  const test::owned_arguments args = {"XADD", "k", "*", "a", "1", "t", "2", "t", "3", "x", "t"};
  const xadd_arguments where = parse_xadd(args);
  EXPECT_EQ(find_field(args, where, "t"), "2");
  EXPECT_EQ(find_field(args, where, "a"), "1");
  EXPECT_EQ(find_field(args, where, "T").data(), nullptr);
  EXPECT_EQ(find_field(args, where, "1").data(), nullptr);  // a value
  const test::owned_arguments empty = {"XADD", "k", "*", "t", ""};
  EXPECT_NE(find_field(empty, parse_xadd(empty), "t").data(), nullptr);
}

// Redis decides whether a generated XADD is taken, and the entry that it stores shows where it saw the
// fields.
TEST(XaddArgumentsTest, AgreesWithRedisOnGeneratedRequests) {
  const test::real_redis redis;
  std::mt19937 random(67);
  const std::vector<strings> pieces = {{"MAXLEN", "~", "100"},
                                       {"maxlen", "=", "100"},
                                       {"MAXLEN", "100"},
                                       {"MINID", "~", "1-1"},
                                       {"minid", "1"},
                                       {"LIMIT", "0"},
                                       {"LIMIT", "10"},
                                       {"NOMKSTREAM"},
                                       {"nomkstream"},
                                       {"*"},
                                       {"MAXLEN"},
                                       {"MINID"},
                                       {"LIMIT"},
                                       {"~"},
                                       {"f", "v"},
                                       {"MAXLEN", "~"},
                                       {"bogus"},
                                       {"MAXLEN", "x"},
                                       {"="}};
  int taken = 0, arity = 0;
  for (int i = 0; i < 6000; ++i) {
    strings request = {"XADD", "k" + std::to_string(i)};
    for (std::size_t n = random() % 4; n > 0; --n) {
      const strings& piece = pieces[random() % pieces.size()];
      request.insert(request.end(), piece.begin(), piece.end());
    }
    if (random() % 8 != 0) request.push_back(random() % 2 == 0 ? "*" : random() % 2 == 0 ? "7-*" : "5-5");
    for (std::size_t n = random() % 4; n > 0; --n) {
      const strings& piece = pieces[random() % pieces.size()];
      request.insert(request.end(), piece.begin(), piece.end());
    }
    if (random() % 4 != 0) request.insert(request.end(), {"field", "value"});
    if (request.size() < 5) continue;

    const xadd_arguments ours = parse(request);
    const test::reply_ptr answer = redis.command(request);
    const std::string shown = testing::PrintToString(request);
    if (answer->type == REDIS_REPLY_STRING || answer->type == REDIS_REPLY_NIL) {
      ASSERT_EQ(ours.result, verdict::ok) << shown;
      ASSERT_EQ(answer->type == REDIS_REPLY_NIL, ours.no_mkstream) << shown;
      ++taken;
      if (ours.no_mkstream) continue;
      const test::reply_ptr stored = redis.command({"XRANGE", request[1], "-", "+"});
      if (stored->elements == 0) continue;  // trimmed at once
      const redisReply& fields = *stored->element[0]->element[1];
      ASSERT_EQ(fields.elements, request.size() - ours.fields) << shown;
      for (std::size_t k = 0; k < fields.elements; ++k) {
        ASSERT_EQ(test::text_of(*fields.element[k]), request[ours.fields + k]) << shown;
      }
      ASSERT_EQ(ours.fields, ours.id + 1) << shown;
    } else if (test::text_of(*answer).find("wrong number of arguments") != std::string::npos) {
      ASSERT_EQ(ours.result, verdict::malformed) << shown;
      ++arity;
    }
    if (ours.result == verdict::malformed) {
      ASSERT_EQ(answer->type, REDIS_REPLY_ERROR) << shown;
    }
  }
  EXPECT_GT(taken, 1000);
  EXPECT_GT(arity, 100);
}

}  // namespace
}  // namespace dualbus::command
