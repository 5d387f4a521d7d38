#include "parse_helpers.hpp"

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

namespace dualbus::resp {
namespace {

struct free_reader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
struct free_reply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

std::string encoded(protocol version, const std::function<void(encoder&)>& write) {
  base::chunk_pool pool(512, 4);
  base::chunk_queue queue(pool);
  encoder out(queue, version);
  write(out);
  iovec vectors[64];
  const int count = queue.gather(vectors, 64);
  std::string bytes;
  for (int i = 0; i < count; ++i)
    bytes.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
  EXPECT_EQ(bytes.size(), queue.size());
  return bytes;
}

std::string resp2(const std::function<void(encoder&)>& write) {
  return encoded(protocol::resp2, write);
}
std::string resp3(const std::function<void(encoder&)>& write) {
  return encoded(protocol::resp3, write);
}

std::unique_ptr<redisReply, free_reply> read_back(const std::string& bytes) {
  const std::unique_ptr<redisReader, free_reader> reader(redisReaderCreate());
  redisReaderFeed(reader.get(), bytes.data(), bytes.size());
  void* reply = nullptr;
  EXPECT_EQ(redisReaderGetReply(reader.get(), &reply), REDIS_OK) << reader->errstr;
  return std::unique_ptr<redisReply, free_reply>(static_cast<redisReply*>(reply));
}

TEST(EncoderTest, HiredisReadsScalarsBack) {
  const auto status = read_back(resp2([](encoder& e) { e.status("OK"); }));
  ASSERT_EQ(status->type, REDIS_REPLY_STATUS);
  EXPECT_STREQ(status->str, "OK");
  const auto error = read_back(resp2([](encoder& e) { e.error("ERR no such thing"); }));
  ASSERT_EQ(error->type, REDIS_REPLY_ERROR);
  EXPECT_STREQ(error->str, "ERR no such thing");
  for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                   std::int64_t{0}, std::numeric_limits<std::int64_t>::max()}) {
    const auto integer = read_back(resp2([&](encoder& e) { e.integer(value); }));
    ASSERT_EQ(integer->type, REDIS_REPLY_INTEGER);
    EXPECT_EQ(integer->integer, value);
  }
  EXPECT_EQ(read_back(resp2([](encoder& e) { e.null(); }))->type, REDIS_REPLY_NIL);
  EXPECT_EQ(read_back(resp2([](encoder& e) { e.null_array(); }))->type, REDIS_REPLY_NIL);
  EXPECT_EQ(read_back(resp2([](encoder& e) { e.boolean(true); }))->integer, 1);
}

TEST(EncoderTest, HiredisReadsBulksOfEverySizeBack) {
  for (const std::size_t size : {0U, 1U, 255U, 256U, 257U, 511U, 512U, 513U, 100'000U}) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7);
    const auto bulk = read_back(resp2([&](encoder& e) { e.bulk(text); }));
    ASSERT_EQ(bulk->type, REDIS_REPLY_STRING);
    EXPECT_EQ(std::string(bulk->str, static_cast<std::size_t>(bulk->len)), text);
  }
}

TEST(EncoderTest, HiredisReadsNestedArraysBack) {
  const auto reply = read_back(resp2([](encoder& e) {
    e.array(3);
    e.map(2);
    for (int i = 0; i < 4; ++i) e.integer(i);
    e.set(1);
    e.bulk("member");
    e.array(0);
  }));
  ASSERT_EQ(reply->elements, 3U);
  EXPECT_EQ(reply->element[0]->elements, 4U);
  EXPECT_STREQ(reply->element[1]->element[0]->str, "member");
  EXPECT_EQ(reply->element[2]->elements, 0U);
}

TEST(EncoderTest, WritesWhatRedisWritesInResp2) {
  EXPECT_EQ(resp2([](encoder& e) { e.null(); }), "$-1\r\n");
  EXPECT_EQ(resp2([](encoder& e) { e.null_array(); }), "*-1\r\n");
  EXPECT_EQ(resp2([](encoder& e) { e.boolean(false); }), ":0\r\n");
  EXPECT_EQ(resp2([](encoder& e) { e.verbatim("text"); }), "$4\r\ntext\r\n");
  EXPECT_EQ(resp2([](encoder& e) { e.map(3); }), "*6\r\n");
  EXPECT_EQ(resp2([](encoder& e) { e.set(3); }), "*3\r\n");
}

TEST(EncoderTest, WritesWhatRedisWritesInResp3) {
  EXPECT_EQ(resp3([](encoder& e) { e.null(); }), "_\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.null_array(); }), "_\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.boolean(true); }), "#t\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.boolean(false); }), "#f\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.verbatim("text"); }), "=8\r\ntxt:text\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.map(3); }), "%3\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.set(3); }), "~3\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.array(3); }), "*3\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.status("OK"); }), "+OK\r\n");
  EXPECT_EQ(resp3([](encoder& e) { e.bulk("b"); }), "$1\r\nb\r\n");
}

TEST(EncoderTest, LineBreaksInErrorsBecomeBlanks) {
  EXPECT_EQ(resp2([](encoder& e) { e.error("ERR unknown command 'a\r\nb\nc'"); }),
            "-ERR unknown command 'a  b c'\r\n");
  EXPECT_EQ(resp2([](encoder& e) { e.error(""); }), "-\r\n");
}

TEST(EncoderTest, TheParserReadsRequestsBack) {
  const std::vector<std::string_view> args = {"XADD", "key", "*", "", std::string_view("a\0b\r\n", 5)};
  const std::string bytes = resp2([&](encoder& e) { e.request(args); });
  const test::parsed_input parsed = test::parse_whole(bytes);
  ASSERT_EQ(parsed.requests.size(), 1U);
  EXPECT_EQ(parsed.requests[0], std::vector<std::string>(args.begin(), args.end()));
  EXPECT_TRUE(parsed.verbatim[0]);
  EXPECT_EQ(parsed.consumed, bytes.size());
}

TEST(EncoderTest, TheScannerTakesEverythingItWrites) {
  for (const protocol version : {protocol::resp2, protocol::resp3}) {
    const std::string bytes = encoded(version, [](encoder& e) {
      e.array(10);
      e.status("s");
      e.error("ERR e");
      e.integer(-5);
      e.bulk("");
      e.verbatim("v");
      e.boolean(true);
      e.null();
      e.null_array();
      e.map(1);
      e.bulk("k");
      e.bulk("v");
      e.set(1);
      e.integer(1);
    });
    reply_scanner scanner;
    EXPECT_EQ(scanner.scan(bytes), scan_status::complete);
    EXPECT_EQ(scanner.consumed(), bytes.size());
  }
}

}  // namespace
}  // namespace dualbus::resp
