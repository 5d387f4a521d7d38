#include "../base/real_redis.hpp"
#include "arguments.hpp"

#include <dualbus/command/absent_key.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using words = std::vector<std::string>;

std::string encoded(const words& request) {
  std::string bytes = "*" + std::to_string(request.size()) + "\r\n";
  for (const std::string& word : request) bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return bytes;
}

TEST(AbsentKeyTest, SaysWhatRedisAnswersWithoutTheKey) {
  const std::vector<words> requests = {{"DEL", "k"},
                                       {"unlink", "k"},
                                       {"Exists", "k"},
                                       {"TOUCH", "k"},
                                       {"PERSIST", "k"},
                                       {"TYPE", "k"},
                                       {"TTL", "k"},
                                       {"PTTL", "k"},
                                       {"EXPIRETIME", "k"},
                                       {"PEXPIRETIME", "k"},
                                       {"EXPIRE", "k", "10"},
                                       {"PEXPIRE", "k", "-1000000000000", "NX"},
                                       {"EXPIREAT", "k", "1000000000000", "gt"},
                                       {"PEXPIREAT", "k", "0", "xx"},
                                       {"EXPIRE", "k", "1000000000000", "LT"},
                                       {"OBJECT", "ENCODING", "k"},
                                       {"OBJECT", "refcount", "k"},
                                       {"OBJECT", "IDLETIME", "k"},
                                       {"OBJECT", "FREQ", "k"},
                                       {"MEMORY", "USAGE", "k"}};
  const test::real_redis redis;
  for (const words& request : requests) {
    const test::owned_arguments arguments(request);
    const auto absent = answer_without_key(arguments, resp::protocol::resp2);
    ASSERT_TRUE(absent) << request[0];
    EXPECT_EQ(absent->key, "k");
    EXPECT_EQ(absent->reply, redis.converse(encoded(request))) << request[0];
    const std::string hello = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";
    const std::string in_resp3 = redis.converse(hello + encoded(request));
    EXPECT_TRUE(in_resp3.ends_with(answer_without_key(arguments, resp::protocol::resp3)->reply))
        << request[0];
  }
}

TEST(AbsentKeyTest, KnowsNothingOfRequestsThatRedisMayFindFaultWith) {
  const std::vector<words> requests = {{"EXPIRE", "k", "ten"},
                                       {"EXPIRE", "k", "9223372036854775807"},
                                       {"EXPIRE", "k", "1", "NX", "GT"},
                                       {"EXPIRE", "k", "1", "soon"},
                                       {"EXPIRE", "k"},
                                       {"OBJECT", "NOSUCH", "k"},
                                       {"MEMORY", "USAGE", "k", "SAMPLES", "0"}};
  for (const words& request : requests) {
    EXPECT_FALSE(answer_without_key(test::owned_arguments(request), resp::protocol::resp2)) << request[0];
  }
}

TEST(AbsentKeyTest, KnowsNothingOfOtherRequests) {
  for (const words& request : std::vector<words>{{"GET", "k"},
                                                 {"DEL", "k", "l"},
                                                 {"EXISTS"},
                                                 {"SET", "k", "v"},
                                                 {"XADD", "k", "*", "a", "b"},
                                                 {}}) {
    EXPECT_FALSE(answer_without_key(test::owned_arguments(request), resp::protocol::resp2));
  }
}

}  // namespace
}  // namespace dualbus::command
