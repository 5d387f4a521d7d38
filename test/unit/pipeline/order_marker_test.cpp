#include <dualbus/backend/order_marker.hpp>
#include <dualbus/backend/pipeline.hpp>

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::backend {
namespace {

using std::chrono::milliseconds;

struct noting_sink final : reply_sink {
  void on_reply(std::uint32_t part, const reply_view& reply) override {
    events.push_back(std::to_string(part) + " " + std::string(reply.bytes.substr(0, reply.bytes.size() - 2)));
  }
  void on_failure(std::uint32_t part, failure why) override {
    events.push_back(std::to_string(part) + (why == failure::bus_lost ? " lost" : " failed"));
  }
  bool abandoned() const override { return false; }
  std::vector<std::string> events;
};

TEST(JudgeEchoTest, TellsTheWordFromErrorsAndFromOtherReplies) {
  EXPECT_EQ(judge_echo("$3\r\nabc\r\n", "abc"), echo::right);
  EXPECT_EQ(judge_echo("-LOADING Redis is loading\r\n", "abc"), echo::unclear);
  EXPECT_EQ(judge_echo("!3\r\nERR\r\n", "abc"), echo::unclear);
  for (const char* other : {"+abc\r\n", "+PONG\r\n", "$3\r\nabd\r\n", "$-1\r\n", "_\r\n", ":3\r\n",
                            "*1\r\n$3\r\nabc\r\n", "$0\r\n\r\n"})
    EXPECT_EQ(judge_echo(other, "abc"), echo::wrong) << other;
}

class OrderMarkerTest : public testing::Test {
 protected:
  OrderMarkerTest() { requests.on_connected(); }
  void request(std::uint32_t part) {
    requests.begin().append("x");
    requests.end(sink, part, now);
  }
  /// Sends a marker and all that waits; returns the reply that the marker is to get.
  std::string mark() {
    write();
    requests.mark(now);
    const std::string sent = write();
    const std::string head = "*2\r\n$4\r\nECHO\r\n";
    EXPECT_EQ(sent.substr(0, head.size()), head);
    return sent.substr(head.size());
  }
  std::string write() {
    std::string text;
    iovec vectors[16];
    const int count = requests.gather(vectors, 16);
    for (int i = 0; i < count; ++i)
      text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
    requests.on_written(text.size(), now);
    return text;
  }
  pipeline::verdict receive(const std::string& bytes) {
    requests.input().append(bytes);
    return requests.on_received(now);
  }
  using events = std::vector<std::string>;

  base::time_point now{std::chrono::seconds(1)};
  base::chunk_pool pool{4096, 4};
  pipeline_settings settings;
  metrics::bus_metrics metrics;
  noting_sink sink;
  pipeline requests{pool, settings, metrics};
};

TEST_F(OrderMarkerTest, InOrderItIsNotNoticedAndNotCounted) {
  request(1);
  const std::string word = mark();
  request(2);
  write();
  EXPECT_EQ(receive("+a\r\n" + word + "+b\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 +a", "2 +b"}));
  EXPECT_EQ(metrics.requests, 2U);
  EXPECT_EQ(metrics.bus_duration.total(), 2U);
  EXPECT_TRUE(requests.idle());
}

TEST_F(OrderMarkerTest, AMissingReplyIsFoundBeforeTheMarkersOwnReachesSomebody) {
  request(1);
  request(2);
  const std::string word = mark();
  EXPECT_EQ(receive("+b\r\n" + word), pipeline::verdict::disordered);
  EXPECT_EQ(sink.events, (events{"1 +b"}));
  requests.on_disconnected(now);
  EXPECT_EQ(sink.events, (events{"1 +b", "2 lost"}));
}

TEST_F(OrderMarkerTest, AReplyTooManyIsFound) {
  request(1);
  mark();
  request(2);
  write();
  EXPECT_EQ(receive("+a\r\n+surplus\r\n"), pipeline::verdict::disordered);
  EXPECT_EQ(sink.events, (events{"1 +a"}));
}

TEST_F(OrderMarkerTest, AReplyTooManyIsFoundAlsoIfItIsAnError) {
  request(1);
  const std::string word = mark();
  request(2);
  request(3);
  write();
  EXPECT_EQ(receive("+a\r\n-ERR surplus\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(receive(word), pipeline::verdict::disordered);
  EXPECT_EQ(sink.events, (events{"1 +a"}));
}

TEST_F(OrderMarkerTest, ItIsFoundAmongTheRepliesToABlock) {
  requests.begin().append("MULTI SET EXEC");
  requests.end_block(sink, 3, now);
  const std::string word = mark();
  EXPECT_EQ(receive("+OK\r\n+QUEUED\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(receive(word), pipeline::verdict::disordered);
}

TEST_F(OrderMarkerTest, ServersThatRefuseItAreTrusted) {
  for (const std::string reply : {"-NOPERM no permission\r\n", "-BUSY Redis is busy running a script.\r\n"}) {
    mark();
    request(1);
    write();
    EXPECT_EQ(receive(reply + "+a\r\n"), pipeline::verdict::ok);
  }
  EXPECT_EQ(receive(mark()), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 +a", "1 +a"}));
}

TEST_F(OrderMarkerTest, OneIsUnderWayAtATimeAndEachHasItsOwnWord) {
  std::set<std::string> words;
  for (int i = 0; i < 3; ++i) {
    const std::string word = mark();
    words.insert(word);
    requests.mark(now);
    EXPECT_EQ(write(), "");
    EXPECT_EQ(receive(word), pipeline::verdict::ok);
  }
  EXPECT_EQ(words.size(), 3U);
}

TEST_F(OrderMarkerTest, ItDoesNotTimeOut) {
  const std::string word = mark();
  now += std::chrono::hours(1);
  requests.tick(now);
  EXPECT_EQ(metrics.timeouts, 0U);
  EXPECT_EQ(receive(word), pipeline::verdict::ok);
  EXPECT_TRUE(requests.idle());
}

TEST_F(OrderMarkerTest, ItEndsWithTheConnection) {
  mark();
  requests.on_disconnected(now);
  requests.on_connected();
  const std::string word = mark();
  ASSERT_NE(word, "");
  EXPECT_EQ(receive(word), pipeline::verdict::ok);
}

TEST_F(OrderMarkerTest, UnsentItGoesOverTheNextConnection) {
  requests.mark(now);
  requests.on_disconnected(now);
  requests.on_connected();
  const std::string sent = write();
  EXPECT_EQ(receive(sent.substr(sent.find("$", sent.find("ECHO")))), pipeline::verdict::ok);
  EXPECT_TRUE(requests.idle());
}

using ExpiredRequestsTest = OrderMarkerTest;

TEST_F(ExpiredRequestsTest, TheBytesBehindAnExpiredRequestAreCounted) {
  settings.request_timeout = milliseconds(100);
  EXPECT_FALSE(requests.written_behind_expired(now));
  request(1);
  write();
  now += milliseconds(60);
  requests.begin().append("four");
  requests.end(sink, 2, now);
  write();
  EXPECT_FALSE(requests.written_behind_expired(now));
  now += milliseconds(60);
  EXPECT_EQ(requests.written_behind_expired(now), 4U);
  requests.tick(now);
  EXPECT_FALSE(requests.written_behind_expired(now)) << "it has been told";
  now += milliseconds(60);
  EXPECT_EQ(requests.written_behind_expired(now), 0U);
}

TEST_F(OrderMarkerTest, AReplyThatSwallowsItIsFound) {
  for (const std::string head : {"*1000000\r\n", "$1000000\r\n", ">1000000\r\n", "%7\r\n:1\r\n"}) {
    for (const bool owed : {false, true}) {
      SCOPED_TRACE(head + (owed ? " in place of a reply" : " in place of the marker's"));
      pipeline fresh(pool, settings, metrics);
      fresh.on_connected();
      const auto send = [&] { fresh.on_written(fresh.unsent_bytes(), now); };
      if (owed) {
        fresh.begin().append("x");
        fresh.end(sink, 1, now);
        send();
      }
      fresh.mark(now);
      iovec vectors[4];
      std::string word;
      for (int i = 0, count = fresh.gather(vectors, 4); i < count; ++i)
        word.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
      word.erase(0, std::string("*2\r\n$4\r\nECHO\r\n").size());
      send();
      fresh.input().append(head);
      EXPECT_EQ(fresh.on_received(now), pipeline::verdict::ok);
      if (owed) {
        EXPECT_FALSE(fresh.swallows_marker()) << "it may be a large reply";
      }
      // In two pieces, between which somebody looks.
      fresh.input().append(word.substr(0, 20));
      fresh.on_received(now);
      if (owed) {
        EXPECT_FALSE(fresh.swallows_marker());
      }
      fresh.input().append(word.substr(20));
      EXPECT_EQ(fresh.on_received(now), pipeline::verdict::ok);
      EXPECT_TRUE(fresh.swallows_marker());
    }
  }
}

TEST_F(OrderMarkerTest, LargeRepliesAndPartsOfItsOwnDoNotSwallowIt) {
  request(1);
  const std::string word = mark();
  const std::string large = "$100000\r\n" + std::string(100000, 'x') + "\r\n";
  for (const char byte : large + word.substr(0, word.size() - 1)) {
    receive(std::string(1, byte));
    ASSERT_FALSE(requests.swallows_marker());
  }
  receive("\n");
  EXPECT_EQ(sink.events.size(), 1U);
  mark();
  receive("-LOADING Redis is load");
  EXPECT_FALSE(requests.swallows_marker());
}

}  // namespace
}  // namespace dualbus::backend
