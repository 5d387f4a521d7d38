// Malformed bytes, sent to a real Redis as well: the same error text, and the same number of requests before
// it.

#include "../base/real_redis.hpp"
#include "parse_helpers.hpp"

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::resp {
namespace {

using test::encode;
using test::parse_whole;
using test::parsed_input;

std::vector<std::string> split_replies(std::string_view bytes) {
  std::vector<std::string> replies;
  reply_scanner scanner;
  while (!bytes.empty() && scanner.scan(bytes) == scan_status::complete) {
    replies.emplace_back(bytes.substr(0, scanner.consumed()));
    bytes.remove_prefix(scanner.consumed());
    scanner.reset();
  }
  EXPECT_TRUE(bytes.empty());
  return replies;
}

// An error as it goes out: line breaks in it are blanks then.
std::string encoded_error(std::string_view text) {
  base::chunk_pool pool(4096, 1);
  base::chunk_queue queue(pool);
  encoder(queue).error(text);
  iovec vector;
  queue.gather(&vector, 1);
  return {static_cast<const char*>(vector.iov_base), vector.iov_len};
}

class MalformedRequestTest : public testing::Test {
 protected:
  void compare(const std::string& bytes) {
    parser_limits limits;
    limits.max_request = 512 * 1024 * 1024;  // Redis's proto-max-bulk-len
    const parsed_input ours = parse_whole(bytes, limits);
    std::size_t answered = 0;
    for (const auto& request : ours.requests) {
      answered += request.empty() ? 0 : 1;
      // Redis closes the connection of what looks like HTTP, which is not the parser's decision.
      if (!request.empty() && (request[0] == "POST" || request[0] == "Host:")) return;
    }
    const std::vector<std::string> replies = split_replies(redis_.converse(bytes));
    const std::string shown = testing::PrintToString(bytes.substr(0, 200));
    if (ours.last == parse_status::error) {
      ASSERT_EQ(replies.size(), answered + 1) << shown;
      ASSERT_EQ(replies.back(), encoded_error("ERR " + ours.error)) << shown;
      ++errors_;
    } else {
      ASSERT_EQ(replies.size(), answered) << shown;
      for (const std::string& reply : replies)
        ASSERT_FALSE(reply.starts_with("-ERR Protocol error")) << shown << reply;
    }
  }
  test::real_redis redis_;
  int errors_ = 0;
};

TEST_F(MalformedRequestTest, KnownMistakesGetTheSameAnswer) {
  for (const char* bytes : {"*x\r\n",
                            "*\r\n",
                            "*-0\r\n",
                            "*2147483648\r\n",
                            "*99999999999999999999\r\n",
                            "*+1\r\n",
                            "*01\r\n",
                            "*1 \r\n",
                            "*1\r\n$x\r\n",
                            "*1\r\n$\r\n",
                            "*1\r\n$-1\r\n",
                            "*1\r\n$-0\r\n",
                            "*1\r\n$04\r\nPING\r\n",
                            "*1\r\n$536870913\r\n",
                            "*1\r\n$9223372036854775808\r\n",
                            "*1\r\nx\r\n",
                            "*1\r\n:4\r\nPING\r\n",
                            "*1\r\n\r\n",
                            "*2\r\n$4\r\nPING\r\n*1\r\n",
                            "*0\r\nPING\r\n",
                            "*-7\r\nPING\r\n",
                            "*1\r?$4\r?PING??PING\r\n",
                            "\"\r\n",
                            "'\r\n",
                            "PING \"a\"b\r\n",
                            "\r\nPING\r\n",
                            "*1\r\n$0\r\n\r\n",
                            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabcdPING\r\n"}) {
    compare(bytes);
  }
  compare(std::string(64 * 1024 + 1, 'x'));
  compare("*" + std::string(64 * 1024, '1'));
  compare("*1\r\n$" + std::string(64 * 1024, '1'));
  compare(std::string(64 * 1024, 'x'));
  compare("*" + std::string(64 * 1024 - 1, '1'));
}

TEST_F(MalformedRequestTest, GeneratedMistakesGetTheSameAnswer) {
  std::mt19937 random(31);
  const std::string pieces = "*$:+-0123456789\r\n\"' xPING";
  for (int i = 0; i < 3000; ++i) {
    std::string bytes;
    for (std::size_t n = 1 + random() % 3; n > 0; --n) {
      bytes += random() % 4 == 0 ? "PING\r\n" : encode({"ECHO", std::string(random() % 12, 'e')});
    }
    for (std::size_t n = 1 + random() % 3; n > 0; --n) {
      const std::size_t at = random() % bytes.size();
      const char piece = pieces[random() % pieces.size()];
      switch (random() % 3) {
        case 0:
          bytes[at] = piece;
          break;
        case 1:
          bytes.erase(at, 1 + random() % 2);
          break;
        default:
          bytes.insert(at, 1, piece);
      }
      if (bytes.empty()) bytes = "\n";
    }
    // Redis judges a line when it is complete, this parser some of them earlier: so complete the last one.
    compare(bytes + "\r\n\r\n");
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(errors_, 300);
}

}  // namespace
}  // namespace dualbus::resp
