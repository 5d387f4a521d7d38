#include "../base/real_redis.hpp"
#include "arguments.hpp"

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/key_positions.hpp>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using strings = std::vector<std::string>;

// The keys in the order of their positions; nothing if the arguments do not say where they are.
std::optional<strings> keys_of(const strings& request) {
  const int found = find_command(request[0]);
  if (found < 0) return std::nullopt;
  const test::owned_arguments args(request);
  std::vector<std::uint32_t> positions = {77};  // must not survive
  if (!find_keys(command_table()[static_cast<std::size_t>(found)], args, positions)) return std::nullopt;
  strings keys;
  for (const std::uint32_t position : positions) keys.push_back(request.at(position));
  return keys;
}

TEST(KeyPositionsTest, FindsRanges) {
  EXPECT_EQ(keys_of({"GET", "a"}), strings{"a"});
  EXPECT_EQ(keys_of({"DEL", "a", "b", "c"}), (strings{"a", "b", "c"}));
  EXPECT_EQ(keys_of({"MSET", "a", "1", "b", "2"}), (strings{"a", "b"}));
  EXPECT_EQ(keys_of({"BLPOP", "a", "b", "0"}), (strings{"a", "b"}));
  EXPECT_EQ(keys_of({"BITOP", "AND", "d", "a", "b"}), (strings{"d", "a", "b"}));
  EXPECT_EQ(keys_of({"PING"}), strings{});
}

TEST(KeyPositionsTest, FindsKeysBehindSubcommands) {
  EXPECT_EQ(keys_of({"OBJECT", "ENCODING", "a"}), strings{"a"});
  EXPECT_EQ(keys_of({"XGROUP", "CREATE", "a", "g", "$"}), strings{"a"});
  EXPECT_EQ(keys_of({"XINFO", "STREAM", "a", "FULL"}), strings{"a"});
  EXPECT_EQ(keys_of({"XINFO", "HELP"}), std::nullopt);
}

TEST(KeyPositionsTest, FindsCountedKeys) {
  EXPECT_EQ(keys_of({"ZUNION", "2", "a", "b", "WITHSCORES"}), (strings{"a", "b"}));
  EXPECT_EQ(keys_of({"ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2"}), (strings{"d", "a", "b"}));
  EXPECT_EQ(keys_of({"LMPOP", "1", "a", "LEFT"}), strings{"a"});
  EXPECT_EQ(keys_of({"BLMPOP", "0", "1", "a", "LEFT"}), strings{"a"});
  EXPECT_EQ(keys_of({"MSETEX", "2", "a", "1", "b", "2", "EX", "9"}), (strings{"a", "b"}));
  EXPECT_EQ(keys_of({"MSETEX", "2", "a", "1", "b"}), std::nullopt);
  for (const char* count : {"0", "-1", "3", "x", "", "99999999999999999999"}) {
    EXPECT_EQ(keys_of({"ZUNION", count, "a", "b"}), std::nullopt) << count;
  }
}

TEST(KeyPositionsTest, AScriptMayHaveNoKeys) {
  EXPECT_EQ(keys_of({"EVAL", "return 1", "0"}), strings{});
  EXPECT_EQ(keys_of({"EVAL", "return 1", "0", "argument"}), strings{});
  EXPECT_EQ(keys_of({"FCALL", "f", "1", "a", "argument"}), strings{"a"});
  EXPECT_EQ(keys_of({"EVAL", "return 1", "-1", "a"}), std::nullopt);
  EXPECT_EQ(keys_of({"EVAL", "return 1", "2", "a"}), std::nullopt);
}

TEST(KeyPositionsTest, FindsStreams) {
  EXPECT_EQ(keys_of({"XREAD", "STREAMS", "a", "0"}), strings{"a"});
  EXPECT_EQ(keys_of({"XREAD", "COUNT", "5", "BLOCK", "0", "streams", "a", "b", "0", "$"}),
            (strings{"a", "b"}));
  EXPECT_EQ(keys_of({"XREADGROUP", "GROUP", "streams", "streams", "NOACK", "STREAMS", "streams", ">"}),
            strings{"streams"});
  EXPECT_EQ(keys_of({"XREAD", "STREAMS", "a", "b", "0"}), std::nullopt);
  EXPECT_EQ(keys_of({"XREAD", "COUNT", "5", "STREAMS"}), std::nullopt);
  EXPECT_EQ(keys_of({"XREAD", "COUNT", "STREAMS", "a"}), std::nullopt);
}

TEST(KeyPositionsTest, FindsDestinations) {
  EXPECT_EQ(keys_of({"SORT", "a"}), strings{"a"});
  EXPECT_EQ(keys_of({"SORT", "a", "LIMIT", "0", "5", "STORE", "d"}), (strings{"a", "d"}));
  EXPECT_EQ(keys_of({"SORT", "a", "BY", "store", "GET", "store"}), strings{"a"});
  EXPECT_EQ(keys_of({"SORT", "a", "STORE", "d", "STORE", "e"}), (strings{"a", "e"}));
  EXPECT_EQ(keys_of({"GEORADIUS", "a", "1", "1", "1", "km", "STORE", "d"}), (strings{"a", "d"}));
  EXPECT_EQ(keys_of({"GEORADIUS", "a", "1", "1", "1", "km", "STORE", "d", "STOREDIST", "e"}),
            (strings{"a", "e"}));
  EXPECT_EQ(keys_of({"GEORADIUSBYMEMBER", "a", "m", "1", "km", "STOREDIST", "store"}),
            (strings{"a", "store"}));
}

// For Redis an option word ends at its first zero byte.
TEST(KeyPositionsTest, FindsKeysBehindWordsWithZeroBytes) {
  using namespace std::string_literals;
  EXPECT_EQ(keys_of({"SORT", "a", "STORE\0"s, "d"}), (strings{"a", "d"}));
  EXPECT_EQ(keys_of({"SORT", "a", "STORE", "d", "store\0x"s, "e"}), (strings{"a", "e"}));
  EXPECT_EQ(keys_of({"SORT", "a", "GET\0STORE"s, "store", "BY\0"s, "store"}), strings{"a"});
  EXPECT_EQ(keys_of({"GEORADIUS", "a", "1", "1", "1", "km", "count\0"s, "1", "STORE\0DIST"s, "d"}),
            (strings{"a", "d"}));
  EXPECT_EQ(keys_of({"XREAD", "STREAMS\0"s, "a", "STREAMS", "0", "0"}), (strings{"a", "STREAMS"}));
  EXPECT_EQ(
      keys_of({"XREADGROUP", "GROUP\0"s, "streams", "streams", "count\0\0"s, "streams", "STREAMS", "a", ">"}),
      strings{"a"});
  EXPECT_EQ(keys_of({"SORT", "a", "STOR\0E"s, "d"}), strings{"a"});
  std::vector<std::uint32_t> patterns;
  find_sort_patterns(test::owned_arguments({"SORT", "a", "LIMIT\0"s, "by", "get", "GET\0x"s, "p"}), patterns);
  EXPECT_EQ(patterns, std::vector<std::uint32_t>{6});
}

TEST(KeyPositionsTest, FindsThePatternsOfSort) {
  const auto patterns_of = [](const strings& request) {
    std::vector<std::uint32_t> positions = {77};
    find_sort_patterns(test::owned_arguments(request), positions);
    return positions;
  };
  using positions = std::vector<std::uint32_t>;
  EXPECT_EQ(patterns_of({"SORT", "by"}), positions());
  EXPECT_EQ(patterns_of({"SORT", "by", "BY", "get", "get", "by"}), (positions{3, 5}));
  EXPECT_EQ(patterns_of({"SORT_RO", "a", "LIMIT", "by", "get", "GET", "#"}), positions{6});
  EXPECT_EQ(patterns_of({"SORT", "a", "STORE", "get", "ALPHA", "GET"}), positions());
}

TEST(KeyPositionsTest, RunsShowWhereTheResultIsStored) {
  const test::real_redis redis;
  redis.command({"RPUSH", "list", "2", "1"});
  redis.command({"GEOADD", "places", "1", "1", "m"});
  const strings sort = {"SORT", "list"}, radius = {"GEORADIUS", "places", "1", "1", "1", "km"},
                member = {"GEORADIUSBYMEMBER", "places", "m", "1", "km"};
  const std::vector<strings> sort_options = {{"STORE", "d"},
                                             {"STORE", "e"},
                                             {"BY", "store"},
                                             {"GET", "#"},
                                             {"ASC"},
                                             {"LIMIT", "0", "9"},
                                             {"store", "store"},
                                             {"ALPHA"},
                                             {"GET", "store"},
                                             {std::string("STORE\0", 6), "d"},
                                             {std::string("get\0STORE", 9), "store"},
                                             {std::string("Limit\0x", 7), "0", "9"}};
  const std::vector<strings> geo_options = {{"STORE", "d"},
                                            {"storedist", "e"},
                                            {"STORE", "storedist"},
                                            {"ASC"},
                                            {"COUNT", "5"},
                                            {"STOREDIST", "d"},
                                            {"storedist", "STORE"},
                                            {std::string("STORE\0DIST", 10), "d"},
                                            {std::string("Count\0", 6), "5"}};
  std::mt19937 random(73);
  int stored = 0;
  for (int i = 0; i < 1000; ++i) {
    strings request = i % 3 == 0 ? sort : i % 3 == 1 ? radius : member;
    const std::vector<strings>& options = i % 3 == 0 ? sort_options : geo_options;
    for (std::size_t n = random() % 4; n > 0; --n) {
      const strings& option = options[random() % options.size()];
      request.insert(request.end(), option.begin(), option.end());
    }
    if (redis.command(request)->type == REDIS_REPLY_ERROR) continue;
    const std::optional<strings> keys = keys_of(request);
    ASSERT_TRUE(keys.has_value());
    const test::reply_ptr all = redis.command({"KEYS", "*"});
    ASSERT_EQ(keys->size(), all->elements - 1) << testing::PrintToString(request);
    if (keys->size() == 1) continue;
    ASSERT_EQ(redis.command({"DEL", keys->back()})->integer, 1) << testing::PrintToString(request);
    ++stored;
  }
  EXPECT_GT(stored, 300);
}

// Generated requests of every command of Redis; COMMAND GETKEYS says where Redis sees the keys.
TEST(KeyPositionsTest, AgreesWithCommandGetkeys) {
  const test::real_redis redis;
  std::mt19937 random(61);
  const strings words = {"0",         "1",       "2",        "3",     "a",      "b",       "c", "STORE",
                         "storedist", "STREAMS", "streams",  "COUNT", "BLOCK",  "GROUP",   "g", "BY",
                         "GET",       "LIMIT",   "NOACK",    "km",    "*",      ">",       "$", "LEFT",
                         "MATCH",     "CREATE",  "ENCODING", "USAGE", "STREAM", "WEIGHTS", "-1"};
  int compared = 0, with_keys = 0;
  for (const command_spec& spec : command_table()) {
    if (spec.since > "7.0.9") continue;
    // These have no keys, or channels in their place, which Redis does not count as keys.
    if (spec.route == route::refused || spec.group == group::pubsub ||
        (spec.key_step == 0 && spec.keys == key_form::range))
      continue;
    for (int round = 0; round < 150; ++round) {
      strings request = {std::string(spec.name)};
      std::size_t count = static_cast<std::size_t>(std::abs(spec.arity));
      if (spec.arity < 0) count += random() % 8;
      while (request.size() < count) request.push_back(words[random() % words.size()]);
      switch (spec.keys) {
        case key_form::second: {
          const std::string name = request[0];
          request[1] = name == "object"   ? "ENCODING"
                       : name == "memory" ? "USAGE"
                       : name == "xgroup" ? "DESTROY"
                                          : "GROUPS";
          request.resize(name == "xgroup" ? 4 : 3, "x");
          break;
        }
        case key_form::streams:
          // COMMAND GETKEYS does not read the options: it takes the first word STREAMS of what would be
          // refused.
          if (round % 2 != 0) continue;
          {
            request = {request[0]};
            if (spec.name == "xreadgroup")
              request.insert(request.end(), {"GROUP", words[random() % words.size()], "c"});
            if (random() % 2 == 0) request.insert(request.end(), {"COUNT", "1"});
            if (random() % 2 == 0) request.insert(request.end(), {"block", "1"});
            request.push_back(random() % 2 == 0 ? "STREAMS" : std::string("Streams\0", 8));
            for (std::size_t n = 2 + random() % 3 * 2; n > 0; --n)
              request.push_back(words[random() % words.size()]);
            if (!arity_matches(spec, request.size())) continue;
          }
          break;
        case key_form::sort:
        case key_form::georadius:
          // COMMAND GETKEYS is no oracle for repeated options; RunsShowWhereTheResultIsStored is.
          request.resize(1);
          request.resize(static_cast<std::size_t>(std::abs(spec.arity)), "a");
          if (round % 2 == 0)
            request.insert(request.end(),
                           {"ASC", round % 4 == 0 ? std::string("Store\0x", 7) : "STORE", "d"});
          break;
        default:
          break;
      }
      strings question = {"COMMAND", "GETKEYS"};
      question.insert(question.end(), request.begin(), request.end());
      const test::reply_ptr answer = redis.command(question);
      const std::optional<strings> ours = keys_of(request);
      const std::string shown = testing::PrintToString(request);
      if (answer->type == REDIS_REPLY_ARRAY) {
        strings theirs;
        for (std::size_t i = 0; i < answer->elements; ++i)
          theirs.push_back(test::text_of(*answer->element[i]));
        // COMMAND GETKEYS takes the first word STREAMS, wherever it stands; the command itself would be
        // refused.
        if (!ours.has_value() && spec.keys == key_form::streams) continue;
        ASSERT_TRUE(ours.has_value() || theirs.empty()) << shown << " " << testing::PrintToString(theirs);
        ASSERT_EQ(ours.value_or(strings{}), theirs) << shown;
        ++with_keys;
      } else if (ours.has_value() && !ours->empty()) {
        // Redis's own walk over XREAD's options gives up at what it does not know, where a later Redis has
        // options. It also wants sources for PFMERGE, which works without; and later versions take more
        // arguments of ZRANK.
        const bool later = spec.name == "zrank" || spec.name == "zrevrank";
        ASSERT_TRUE(spec.keys == key_form::streams || spec.name == "pfmerge" || later)
            << shown << " " << test::text_of(*answer);
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 15'000);
  EXPECT_GT(with_keys, 12'000);
}

}  // namespace
}  // namespace dualbus::command
