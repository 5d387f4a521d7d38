#include "admin/stream_replies.hpp"

#include "../base/real_redis.hpp"

#include <dualbus/resp/reply_scanner.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;
using stream::bus_id;
using testing::ElementsAre;
using testing::StartsWith;
using testing::UnorderedElementsAre;

// The bytes of one reply, as Redis sends them.
class StreamRepliesTest : public testing::Test {
 protected:
  std::string ask(const std::string& words) const {
    const base::unique_fd fd = redis_.connect();
    const std::string line = words + "\r\n";
    [[maybe_unused]] const auto sent = ::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
    std::string reply;
    for (char block[4096];;) {
      resp::reply_scanner scanner;
      if (scanner.scan(reply) != resp::scan_status::incomplete) return reply;
      const auto got = ::recv(fd.get(), block, sizeof block, 0);
      if (got <= 0) return reply;
      reply.append(block, static_cast<std::size_t>(got));
    }
  }
  std::uint64_t now() const { return *read_time_ms(ask("TIME")); }

  test::real_redis redis_;
};

TEST_F(StreamRepliesTest, ReadsTheNamesOfLibraries) {
  EXPECT_THAT(*read_library_names(ask("FUNCTION LIST")), ElementsAre());
  ask("FUNCTION LOAD \"#!lua name=one\\nredis.register_function('f', function() end)\"");
  EXPECT_THAT(*read_library_names(ask("FUNCTION LIST WITHCODE")), ElementsAre("one"));
  EXPECT_FALSE(read_library_names(ask("FUNCTION LIST NOSUCH")));
}

TEST_F(StreamRepliesTest, ReadsWhatRedisSaysOfAStreamAndItsGroups) {
  for (int i = 1; i <= 4; ++i) ask("XADD s 5-" + std::to_string(i) + " field value");
  ask("XGROUP CREATE s g 0");
  ask("XGROUP CREATE s fresh 5-1");
  ask("XREADGROUP GROUP g c1 COUNT 2 STREAMS s >");
  ask("XREADGROUP GROUP g c2 COUNT 1 STREAMS s >");
  ask("XACK s g 5-1");
  const std::uint64_t time = now();
  const auto found = read_stream(ask("XINFO STREAM s FULL COUNT 1"), time + 1000);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->length, 4u);
  EXPECT_EQ(found->last_generated, (bus_id{5, 4}));
  ASSERT_EQ(found->groups.size(), 2u);
  const drain_group& fresh = found->groups[0];
  EXPECT_EQ(fresh.name, "fresh");
  EXPECT_EQ(fresh.position, (bus_id{5, 1}));
  EXPECT_EQ(fresh.pending, 0u);
  EXPECT_FALSE(fresh.first_pending);
  EXPECT_FALSE(fresh.consumer_idle);
  const drain_group& group = found->groups[1];
  EXPECT_EQ(group.name, "g");
  EXPECT_EQ(group.position, (bus_id{5, 3}));
  EXPECT_EQ(group.lag, 1u);
  EXPECT_EQ(group.pending, 2u);
  ASSERT_TRUE(group.first_pending);
  EXPECT_EQ(group.first_pending->id, (bus_id{5, 2}));
  EXPECT_EQ(group.first_pending->consumer, "c1");
  EXPECT_EQ(group.first_pending->deliveries, 1u);
  EXPECT_GE(group.first_pending->idle, 1000ms);
  EXPECT_LT(group.first_pending->idle, 20s);
  ASSERT_TRUE(group.consumer_idle);
  EXPECT_GE(*group.consumer_idle, 1000ms);
  EXPECT_LE(*group.consumer_idle, group.first_pending->idle) << "c2 came later";
}

TEST_F(StreamRepliesTest, ALagThatRedisDoesNotKnowIsNone) {
  for (int i = 1; i <= 3; ++i) ask("XADD s 5-" + std::to_string(i) + " f v");
  ask("XGROUP CREATE s g 0");
  ask("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
  ask("XDEL s 5-2");
  const auto found = read_stream(ask("XINFO STREAM s FULL COUNT 1"), now());
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->groups[0].lag);
}

TEST_F(StreamRepliesTest, ReadsNamesOfGroups) {
  ask("XGROUP CREATE s a 0 MKSTREAM");
  ask("XGROUP CREATE s b 0");
  EXPECT_THAT(*read_group_names(ask("XINFO GROUPS s")), UnorderedElementsAre("a", "b"));
  ask("XADD t * f v");
  EXPECT_THAT(*read_group_names(ask("XINFO GROUPS t")), ElementsAre());
}

TEST_F(StreamRepliesTest, ReadsHowManyEntriesArePending) {
  ask("XADD s 5-1 f v");
  ask("XGROUP CREATE s g 0");
  EXPECT_EQ(read_pending_total(ask("XPENDING s g")), 0u);
  ask("XREADGROUP GROUP g c STREAMS s >");
  EXPECT_EQ(read_pending_total(ask("XPENDING s g")), 1u);
}

TEST_F(StreamRepliesTest, ReadsWhereARangeStarts) {
  ask("XADD s 5-1 f v");
  EXPECT_EQ(read_range_start(ask("XRANGE s (5-0 + COUNT 1"))->first, (bus_id{5, 1}));
  EXPECT_FALSE(read_range_start(ask("XRANGE s (5-1 + COUNT 1"))->first);
  EXPECT_FALSE(read_range_start(ask("XRANGE none - + COUNT 1"))->first);
}

TEST_F(StreamRepliesTest, ReadsPagesOfScan) {
  ask("XADD s 5-1 f v");
  ask("XADD t 5-1 f v");
  ask("SET other 1");
  const auto page = read_scan_page(ask("SCAN 0 COUNT 500 TYPE stream"));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->cursor, "0");
  EXPECT_THAT(page->keys, UnorderedElementsAre("s", "t"));
}

TEST_F(StreamRepliesTest, ErrorsAreNoAnswers) {
  const std::string none = ask("XINFO STREAM none FULL COUNT 1");
  EXPECT_EQ(error_in(none), "ERR no such key");
  EXPECT_FALSE(read_stream(none, 0));
  EXPECT_FALSE(read_group_names(ask("XINFO GROUPS none")));
  EXPECT_FALSE(read_pending_total(ask("XPENDING none g")));
  EXPECT_THAT(error_in(ask("XPENDING none g")), StartsWith("NOGROUP "));
  ask("SET k v");
  EXPECT_FALSE(read_range_start(ask("XRANGE k - + COUNT 1")));
  EXPECT_FALSE(read_scan_page(ask("SCAN x")));
  EXPECT_EQ(error_in(ask("PING")), "");
}

TEST(StreamRepliesShapeTest, WhatRedisWouldNotSayIsNoAnswer) {
  const std::string good =
      "*6\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n5-1\r\n$6\r\ngroups\r\n*0\r\n";
  ASSERT_TRUE(read_stream(good, 0));
  const auto with = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    return read_stream(text.replace(text.find(from), from.size(), to), 0).has_value();
  };
  EXPECT_TRUE(with("$6\r\ngroups\r\n*0\r\n", "$3\r\nnew\r\n*2\r\n*0\r\n:1\r\n")) << "fields yet to come";
  EXPECT_FALSE(with(":1\r\n", ":-1\r\n"));
  EXPECT_FALSE(with("5-1", "xyz"));
  EXPECT_FALSE(with("$17\r\nlast-generated-id", "$17\r\nlast-generated-xx")) << "it must be there";
  EXPECT_FALSE(with("*6", "*5"));
  EXPECT_FALSE(with("*0\r\n", "*1\r\n:3\r\n"));
  EXPECT_FALSE(with("*0\r\n", "*-1\r\n"));
  EXPECT_FALSE(with("*0\r\n", "*1\r\n*2\r\n$9\r\npel-count\r\n$1\r\n3\r\n"));
  for (const std::string_view bytes :
       {"+OK\r\n", ":1\r\n", "*0\r\n", "*-1\r\n", "$-1\r\n", "*2\r\n:1\r\n:2\r\n"}) {
    EXPECT_FALSE(read_stream(bytes, 0)) << bytes;
    EXPECT_FALSE(read_scan_page(bytes)) << bytes;
    if (bytes != "*0\r\n") {
      EXPECT_FALSE(read_group_names(bytes)) << bytes;
      EXPECT_FALSE(read_range_start(bytes)) << bytes;
    }
    EXPECT_FALSE(read_time_ms(bytes)) << bytes;
  }
}

TEST(StreamRepliesShapeTest, DatabasesWithKeysAndTheRunIdAreReadFromInfo) {
  const auto bulk = [](const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  };
  EXPECT_EQ(read_databases(bulk("# Keyspace\r\ndb0:keys=1,expires=0\r\ndb300:keys=2\r\n")),
            (std::vector{0, 300}));
  EXPECT_EQ(read_databases(bulk("# Keyspace\r\n")), std::vector<int>());
  EXPECT_EQ(read_databases(bulk("dbx:keys=1\r\ndb-1:\r\ndb99999999999:\r\ndb5\r\ndb7:")), std::vector{7});
  EXPECT_FALSE(read_databases("-NOPERM no\r\n"));
  EXPECT_FALSE(read_databases("*0\r\n"));
  EXPECT_EQ(read_run_id(bulk("# Server\r\nrun_id:abc\r\n")), "abc");
  EXPECT_EQ(read_run_id("-NOPERM no\r\n"), "");
}

TEST(StreamRepliesShapeTest, LaterNamesOfFieldsAreUnderstood) {
  // Redis 7.2 calls the list of a group's pending entries "pel" and adds "active-time".
  const std::string reply =
      "*4\r\n$17\r\nlast-generated-id\r\n$3\r\n5-1\r\n$6\r\ngroups\r\n*1\r\n*8\r\n$4\r\nname\r\n$1\r\ng\r\n"
      "$9\r\npel-count\r\n:1\r\n$3\r\npel\r\n*1\r\n*4\r\n$3\r\n5-1\r\n$1\r\nc\r\n:400\r\n:2\r\n"
      "$9\r\nconsumers\r\n*1\r\n*8\r\n$4\r\nname\r\n$1\r\nc\r\n$9\r\nseen-time\r\n:700\r\n"
      "$11\r\nactive-time\r\n:-1\r\n$9\r\npel-count\r\n:1\r\n";
  const auto found = read_stream(reply, 1000);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->groups.size(), 1u);
  EXPECT_EQ(found->groups[0].first_pending->idle, 600ms);
  EXPECT_EQ(found->groups[0].consumer_idle, 300ms);
  EXPECT_EQ(read_stream(reply, 500)->groups[0].consumer_idle, 0ms) << "clocks that were set back";
}

}  // namespace
}  // namespace dualbus::admin
