#include <dualbus/backend/pipeline.hpp>

#include <algorithm>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::backend {
namespace {

using std::chrono::milliseconds;

struct recording_sink final : reply_sink {
  void on_reply(std::uint32_t part, const reply_view& reply) override {
    events.push_back(std::to_string(part) + " " + std::string(reply.bytes.substr(0, reply.bytes.size() - 2)));
    bus_time = reply.bus_time;
    if (then) std::exchange(then, nullptr)();
  }
  void on_failure(std::uint32_t part, failure why) override {
    constexpr const char* names[] = {"down", "lost", "timeout"};
    events.push_back(std::to_string(part) + " " + names[static_cast<int>(why)]);
    if (then) std::exchange(then, nullptr)();
  }
  bool abandoned() const override { return gone; }
  bool needs_reply() const override { return !gone; }

  std::vector<std::string> events;
  base::duration bus_time{};
  std::function<void()> then;
  bool gone = false;
};

class PipelineTest : public testing::Test {
 protected:
  void request(std::uint32_t part, const std::string& bytes) {
    requests.begin().append(bytes);
    requests.end(sink, part, now);
  }
  /// Writes up to `limit` bytes as a socket would; returns them.
  std::string write(std::size_t limit = ~std::size_t{0}) {
    std::string text;
    iovec vectors[16];
    const int count = requests.gather(vectors, 16);
    for (int i = 0; i < count; ++i)
      text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
    text.resize(std::min(limit, text.size()));
    requests.on_written(text.size(), now);
    return text;
  }
  pipeline::verdict receive(const std::string& bytes) {
    requests.input().append(bytes);
    return requests.on_received(now);
  }
  void pass(milliseconds time) {
    now += time;
    requests.tick(now);
  }
  using events = std::vector<std::string>;

  base::time_point now{std::chrono::seconds(1)};
  base::chunk_pool pool{4096, 4};
  pipeline_settings settings{milliseconds(1000), 100, milliseconds(5000), 50};
  metrics::bus_metrics metrics;
  recording_sink sink;
  pipeline requests{pool, settings, metrics};
};

TEST_F(PipelineTest, RepliesReachTheirRequestsInOrder) {
  requests.on_connected();
  request(1, "one");
  request(2, "two");
  EXPECT_EQ(write(), "onetwo");
  now += milliseconds(3);
  EXPECT_EQ(receive("+a\r\n:2\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 +a", "2 :2"}));
  EXPECT_EQ(sink.bus_time, milliseconds(3));
  EXPECT_TRUE(requests.idle());
}

TEST_F(PipelineTest, AReplyInPiecesIsOneReply) {
  requests.on_connected();
  request(1, "x");
  write();
  for (const char c : std::string("$3\r\nabc\r"))
    EXPECT_EQ(receive(std::string(1, c)), pipeline::verdict::ok);
  EXPECT_TRUE(sink.events.empty());
  receive("\n");
  EXPECT_EQ(sink.events, (events{"1 $3\r\nabc"}));
}

TEST_F(PipelineTest, AReplyNobodyAskedForIsAFault) {
  requests.on_connected();
  EXPECT_EQ(receive("+surprise\r\n"), pipeline::verdict::unasked);
}

struct recording_observer final : pipeline_observer {
  void on_connected() override {}
  void on_disconnected() override {}
  void on_push(std::string_view push) override { seen.push_back("push " + std::string(push)); }
  bool on_unasked(std::string_view reply) override {
    seen.push_back("unasked " + std::string(reply));
    return reply[0] == '*';
  }
  std::vector<std::string> seen;
};

// Messages of RESP2 arrive so, between the replies to PING.
TEST_F(PipelineTest, AnObserverMayTakeRepliesThatNobodyAskedFor) {
  recording_observer observer;
  pipeline watched{pool, settings, metrics, &observer};
  watched.on_connected();
  watched.input().append("*1\r\n:1\r\n>1\r\n:2\r\n*1\r\n:3\r\n*1\r\n");
  EXPECT_EQ(watched.on_received(now), pipeline::verdict::ok);
  const std::vector<std::string> seen = {"unasked *1\r\n:1\r\n", "push >1\r\n:2\r\n", "unasked *1\r\n:3\r\n"};
  EXPECT_EQ(observer.seen, seen);
  EXPECT_TRUE(sink.events.empty());
  EXPECT_TRUE(watched.connected());
}

TEST_F(PipelineTest, AReplyThatTheObserverDoesNotTakeIsAFault) {
  recording_observer observer;
  pipeline watched{pool, settings, metrics, &observer};
  watched.on_connected();
  watched.input().append("*1\r\n:1\r\n+surprise\r\n");
  EXPECT_EQ(watched.on_received(now), pipeline::verdict::unasked);
  EXPECT_EQ(observer.seen.size(), 2U);
}

TEST_F(PipelineTest, TheObserverIsNotAskedAboutRepliesThatAreOwed) {
  recording_observer observer;
  pipeline watched{pool, settings, metrics, &observer};
  watched.on_connected();
  watched.begin().append("x");
  watched.end(sink, 7, now);
  iovec vectors[4];
  watched.gather(vectors, 4);
  watched.on_written(1, now);
  watched.input().append("*1\r\n:1\r\n*1\r\n:2\r\n");
  EXPECT_EQ(watched.on_received(now), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"7 *1\r\n:1"}));
  EXPECT_EQ(observer.seen, std::vector<std::string>{"unasked *1\r\n:2\r\n"});
}

TEST_F(PipelineTest, AReplyBeforeItsRequestWasSentIsAFault) {
  requests.on_connected();
  request(1, "abc");
  write(2);
  EXPECT_EQ(receive("+early\r\n"), pipeline::verdict::unasked);
  EXPECT_TRUE(sink.events.empty());
}

TEST_F(PipelineTest, ItIsStalledWhileNoneOfItsBytesAreTaken) {
  const base::time_point start = now;
  EXPECT_FALSE(requests.stalled_since());
  request(1, "abcdef");
  EXPECT_FALSE(requests.stalled_since()) << "without a connection nothing can be taken";
  requests.on_connected();
  EXPECT_EQ(requests.stalled_since(), start);
  now += milliseconds(10);
  write(2);
  EXPECT_EQ(requests.stalled_since(), now) << "some were taken";
  now += milliseconds(10);
  request(2, "x");
  EXPECT_EQ(requests.stalled_since(), now - milliseconds(10)) << "more that waits is no progress";
  EXPECT_FALSE(requests.oldest_sent());
  write();
  EXPECT_FALSE(requests.stalled_since());
  EXPECT_EQ(requests.oldest_sent(), now);
  requests.on_disconnected(now);
  EXPECT_FALSE(requests.stalled_since());
}

TEST_F(PipelineTest, GarbageIsAFault) {
  requests.on_connected();
  request(1, "abc");
  write();
  EXPECT_EQ(receive("HTTP/1.1 400\r\n"), pipeline::verdict::garbage);
}

TEST_F(PipelineTest, PushesAnswerNothing) {
  requests.on_connected();
  request(1, "abc");
  write();
  EXPECT_EQ(receive(">2\r\n+invalidate\r\n_\r\n+real\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 +real"}));
}

TEST_F(PipelineTest, WhatWasSentIsLostWithTheConnectionAndTheRestWaits) {
  requests.on_connected();
  request(1, "sent.");
  request(2, "partly");
  request(3, "unsent");
  EXPECT_EQ(write(8), "sent.par");
  requests.on_disconnected(now);
  EXPECT_EQ(sink.events, (events{"1 lost", "2 lost"}));
  requests.on_connected();
  EXPECT_EQ(write(), "unsent");
  receive("+ok\r\n");
  EXPECT_EQ(sink.events.back(), "3 +ok");
}

TEST_F(PipelineTest, NotAByteWrittenMeansNotLost) {
  requests.on_connected();
  request(1, "abc");
  requests.on_disconnected(now);
  EXPECT_TRUE(sink.events.empty());
  requests.on_connected();
  EXPECT_EQ(write(), "abc");
}

TEST_F(PipelineTest, UnsentRequestsOutlastAMissingConnectionForAWhile) {
  request(1, "abc");
  pass(milliseconds(600));
  request(2, "def");
  pass(milliseconds(399));
  EXPECT_TRUE(sink.events.empty());
  pass(milliseconds(1));
  EXPECT_EQ(sink.events, (events{"1 down"}));
  requests.on_connected();
  EXPECT_EQ(write(), "def");
}

TEST_F(PipelineTest, UnsentBytesAreBounded) {
  EXPECT_TRUE(requests.accepts());
  request(1, std::string(100, 'x'));
  EXPECT_FALSE(requests.accepts());
  EXPECT_FALSE(requests.holds_back()) << "it takes nothing, so nobody need wait";
  requests.on_connected();
  EXPECT_TRUE(requests.accepts()) << "the bus can be reached, and nothing else may be said";
  EXPECT_TRUE(requests.congested());
  EXPECT_TRUE(requests.holds_back());
  write(60);
  EXPECT_FALSE(requests.congested());
  EXPECT_FALSE(requests.holds_back());
}

TEST_F(PipelineTest, ARequestThatIsPartlyWrittenHasBytesLeft) {
  requests.on_connected();
  EXPECT_EQ(requests.unfinished_bytes(), 0U);
  request(1, "sent.");
  request(2, "partly");
  EXPECT_EQ(requests.unfinished_bytes(), 0U);
  write(8);
  EXPECT_EQ(requests.unfinished_bytes(), 3U);
  receive("+a\r\n");
  EXPECT_EQ(requests.unfinished_bytes(), 3U);
  write(3);
  EXPECT_EQ(requests.unfinished_bytes(), 0U);
}

TEST_F(PipelineTest, ATimeOutIsToldOnceAndTheLateReplyIsThrownAway) {
  requests.on_connected();
  request(1, "slow");
  write();
  pass(milliseconds(4999));
  EXPECT_TRUE(sink.events.empty());
  pass(milliseconds(1));
  pass(milliseconds(1000));
  EXPECT_EQ(sink.events, (events{"1 timeout"}));
  EXPECT_EQ(metrics.timeouts, 1U);
  EXPECT_EQ(requests.abandoned(), 1U);
  request(2, "next");
  write();
  EXPECT_EQ(receive("+late\r\n+right\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 timeout", "2 +right"}));
}

TEST_F(PipelineTest, ATimeOutCountsFromWhenTheRequestCameAlsoIfItWaitedForAConnection) {
  request(1, "waits");
  pass(milliseconds(900));
  requests.on_connected();
  write();
  pass(milliseconds(4099));
  EXPECT_TRUE(sink.events.empty());
  EXPECT_FALSE(requests.written_behind_expired(now));
  now += milliseconds(1);
  EXPECT_EQ(requests.written_behind_expired(now), 0);
  requests.tick(now);
  EXPECT_EQ(sink.events, (events{"1 timeout"}));
}

TEST_F(PipelineTest, WhatIsGivenUpEndsAndIsNotSentAnyMore) {
  recording_sink other;
  const auto another = [&](std::uint32_t part, const std::string& bytes) {
    requests.begin().append(bytes);
    requests.end(other, part, now);
  };
  requests.on_connected();
  request(1, "sent.");
  another(2, "sent too.");
  request(3, "unsent");
  another(4, "kept.");
  request(5, "unsent");
  request(6, "unsent");
  another(7, "kept too.");
  write(14);
  EXPECT_FALSE(requests.written_behind_expired(now));
  requests.give_up(sink);
  EXPECT_EQ(sink.events, (events{"1 timeout", "3 down", "5 down", "6 down"}));
  EXPECT_EQ(requests.written_behind_expired(now), 9) << "the peer may lack the first one";
  EXPECT_EQ(requests.waiting(), 2U);
  EXPECT_EQ(write(), "kept.kept too.");
  EXPECT_EQ(requests.written_behind_expired(now), 23);
  requests.note_expired_delivered();
  EXPECT_FALSE(requests.written_behind_expired(now));
  EXPECT_EQ(receive("+late\r\n+b\r\n+d\r\n+g\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(other.events, (events{"2 +b", "4 +d", "7 +g"}));
  EXPECT_TRUE(requests.idle());
}

TEST_F(PipelineTest, OfWhatIsGivenUpWhenAPartIsWrittenTheRestMayNotFollow) {
  requests.on_connected();
  request(1, "partly");
  write(2);
  requests.give_up(sink);
  EXPECT_EQ(sink.events, (events{"1 timeout"}));
  EXPECT_EQ(requests.written_behind_expired(now), -4);
  requests.on_disconnected(now);
  EXPECT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(requests.unsent_bytes(), 0U);
  EXPECT_FALSE(requests.written_behind_expired(now));
}

TEST_F(PipelineTest, WhatIsGivenUpBeforeThereIsAConnectionIsNotSent) {
  request(1, "one");
  sink.then = [this] { request(2, "two"); };
  requests.give_up(sink);
  EXPECT_EQ(sink.events, (events{"1 down"}));
  requests.on_connected();
  EXPECT_EQ(write(), "two");
}

TEST_F(PipelineTest, WhatGoesOutInPortionsIsCountedRightlyWhenSomeIsGivenUp) {
  requests.on_connected();
  EXPECT_EQ(requests.released_bytes(), 0U);
  request(1, "1234");
  EXPECT_EQ(requests.released_bytes(), 4U) << "without portions all may go out";
  recording_sink other;
  requests.begin().append("kept");
  requests.end(other, 2, now);
  requests.release();
  request(3, "behind");
  EXPECT_EQ(requests.released_bytes(), 8U);
  requests.give_up(sink);
  EXPECT_EQ(requests.released_bytes(), 4U);
  requests.begin().append("next");
  requests.end(other, 4, now);
  EXPECT_EQ(requests.released_bytes(), 4U);
  EXPECT_EQ(write(requests.released_bytes()), "kept");
  EXPECT_EQ(requests.released_bytes(), 0U);
  requests.release();
  EXPECT_EQ(write(requests.released_bytes()), "next");
}

TEST_F(PipelineTest, OfARequestThatCouldNotBeEncodedNothingIsLeft) {
  requests.on_connected();
  const auto fails = [](base::chunk_queue& out) {
    out.append("half of a ");
    throw std::bad_alloc();
  };
  EXPECT_FALSE(requests.encode(fails));
  EXPECT_EQ(requests.unsent_bytes(), 0U);
  request(1, "first.");
  write(2);
  EXPECT_FALSE(requests.encode(fails));
  EXPECT_EQ(write(), "rst.");
  EXPECT_FALSE(requests.encode(fails));
  EXPECT_TRUE(requests.encode([](base::chunk_queue& out) { out.append("second"); }));
  requests.end(sink, 2, now);
  EXPECT_EQ(write(), "second");
  EXPECT_EQ(receive("+1\r\n+2\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 +1", "2 +2"}));
}

TEST_F(PipelineTest, WhenMemoryRunsOutWhileASinkIsToldTheConnectionIsOver) {
  requests.on_connected();
  request(1, "a");
  request(2, "b");
  write();
  sink.then = [] { throw std::bad_alloc(); };
  EXPECT_EQ(receive("+1\r\n+2\r\n"), pipeline::verdict::no_memory);
  requests.on_disconnected(now);
  EXPECT_EQ(sink.events, (events{"1 +1", "2 lost"})) << "each was told once";
}

TEST_F(PipelineTest, ALargeReplyThatNobodyNeedsTakesNoMemory) {
  constexpr std::size_t mb = std::size_t{1} << 20;
  requests.on_connected();
  recording_sink other;
  request(1, "large");
  requests.begin().append("small");
  requests.end(other, 2, now);
  write();
  EXPECT_EQ(receive("$" + std::to_string(64 * mb) + "\r\n" + std::string(3 * mb, 'x')),
            pipeline::verdict::ok);
  EXPECT_GT(requests.receiving().bytes, 3 * mb);
  sink.gone = true;
  requests.drop_large_unneeded();  // whether or not more comes
  EXPECT_TRUE(requests.input().empty());
  EXPECT_TRUE(requests.input_for_more().empty());
  for (int i = 3; i < 64; ++i) {
    EXPECT_EQ(receive(std::string(mb, 'x')), pipeline::verdict::ok);
    EXPECT_LT(requests.receiving().bytes, 2 * mb);
  }
  EXPECT_EQ(receive("\r\n+small\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(other.events, (events{"2 +small"}));
  EXPECT_TRUE(requests.idle());
}

TEST_F(PipelineTest, ALargeReplyThatIsNeededIsKept) {
  constexpr std::size_t mb = std::size_t{1} << 20;
  requests.on_connected();
  request(1, "large");
  write();
  const std::string reply = "$" + std::to_string(2 * mb) + "\r\n" + std::string(2 * mb, 'x') + "\r\n";
  EXPECT_EQ(receive(reply.substr(0, mb + mb / 2)), pipeline::verdict::ok);
  EXPECT_FALSE(requests.input_for_more().empty());
  EXPECT_EQ(receive(reply.substr(mb + mb / 2)), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 " + reply.substr(0, reply.size() - 2)}));
}

TEST_F(PipelineTest, AnAbandonedRequestKeepsItsReplySlot) {
  requests.on_connected();
  request(1, "a");
  sink.gone = true;
  write();
  EXPECT_EQ(requests.abandoned(), 1U);
  EXPECT_EQ(requests.in_flight(), 1U);
  receive("+ok\r\n");
  EXPECT_EQ(requests.in_flight(), 0U);
}

TEST_F(PipelineTest, SinksMayAppendFromWithinTheirCallbacks) {
  requests.on_connected();
  request(1, "first");
  request(2, "second");
  sink.then = [this] {
    for (std::uint32_t part = 10; part < 200; ++part) request(part, "more");
  };
  write();
  EXPECT_EQ(receive("+1\r\n+2\r\n"), pipeline::verdict::ok);
  EXPECT_EQ(sink.events, (events{"1 +1", "2 +2"}));
  EXPECT_EQ(requests.waiting(), 190U);
}

TEST_F(PipelineTest, WhatIsAppendedWhileLossIsToldWaitsForTheNextConnection) {
  requests.on_connected();
  request(1, "first");
  write();
  sink.then = [this] { request(2, "retry"); };
  requests.on_disconnected(now);
  EXPECT_EQ(sink.events, (events{"1 lost"}));
  requests.on_connected();
  EXPECT_EQ(write(), "retry");
}

TEST_F(PipelineTest, GivingUpEndsEverything) {
  request(1, "a");
  request(2, "b");
  requests.give_up();
  EXPECT_EQ(sink.events, (events{"1 down", "2 down"}));
  EXPECT_TRUE(requests.idle());
  EXPECT_EQ(requests.unsent_bytes(), 0U);
}

// Any interleaving: each request ends exactly once; not a byte goes out twice; replies match.
TEST_F(PipelineTest, I7_NothingIsSentTwiceAndEveryRequestEndsOnce) {
  settings.reconnect_wait_bytes = settings.congestion_bytes = 1 << 20;
  std::mt19937 random(31337);
  std::string on_wire;                 // of the connection that is up
  std::vector<std::string> sent_once;  // whole requests that reached a bus
  std::uint32_t next = 0;
  bool up = false;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 6) {
      case 0:
        request(next, "<" + std::to_string(next) + ">");
        ++next;
        break;
      case 1:
        if (up) on_wire += write(random() % 12);
        break;
      case 2: {  // the bus answers one whole request
        const std::size_t end = on_wire.find('>');
        if (!up || end == std::string::npos) break;
        const std::string number = on_wire.substr(1, end - 1);
        sent_once.push_back(number);
        on_wire.erase(0, end + 1);
        ASSERT_EQ(receive("+" + number + "\r\n"), pipeline::verdict::ok);
        ASSERT_EQ(sink.events.back(), number + " +" + number);
        break;
      }
      case 3:
        if (up && random() % 4 == 0) {
          up = false;
          requests.on_disconnected(now);
          for (std::size_t end; (end = on_wire.find('>')) != std::string::npos; on_wire.erase(0, end + 1)) {
            sent_once.push_back(on_wire.substr(1, end - 1));
          }
          on_wire.clear();
        }
        break;
      case 4:
        if (!up) requests.on_connected();
        up = true;
        break;
      default:
        pass(milliseconds(random() % 300));
    }
  }
  if (up) requests.on_disconnected(now);
  requests.give_up();
  EXPECT_EQ(sink.events.size(), next);
  std::sort(sent_once.begin(), sent_once.end());
  EXPECT_EQ(std::adjacent_find(sent_once.begin(), sent_once.end()), sent_once.end());
}

// ------------------------------------------------------------------------------------- blocks of requests

TEST_F(PipelineTest, ABlockGetsAsManyRepliesAsItSays) {
  requests.on_connected();
  request(7, "before");
  requests.begin().append("MULTI SET EXEC");
  requests.end_block(sink, 3, now);
  request(8, "behind");
  write();
  EXPECT_EQ(requests.in_flight(), 3U);
  receive("+a\r\n+OK\r\n+QUEUED\r\n");
  EXPECT_EQ(requests.in_flight(), 2U);
  receive("*1\r\n+OK\r\n+b\r\n");
  EXPECT_EQ(sink.events, (events{"7 +a", "0 +OK", "1 +QUEUED", "2 *1\r\n+OK", "8 +b"}));
  EXPECT_TRUE(requests.idle());
}

TEST_F(PipelineTest, WhatIsLeftOfABlockEndsOnce) {
  requests.on_connected();
  requests.begin().append("MULTI SET EXEC");
  requests.end_block(sink, 3, now);
  request(8, "behind");
  write(20);
  receive("+OK\r\n");
  requests.on_disconnected(now);
  EXPECT_EQ(sink.events, (events{"0 +OK", "1 lost", "8 lost"}));
}

TEST_F(PipelineTest, ABlockThatIsTooLateKeepsItsRepliesFromOthers) {
  requests.on_connected();
  requests.begin().append("MULTI EXEC");
  requests.end_block(sink, 2, now);
  write();
  pass(milliseconds(5000));
  request(8, "behind");
  write();
  receive("+OK\r\n*0\r\n+b\r\n");
  EXPECT_EQ(sink.events, (events{"0 timeout", "8 +b"}));
}

TEST_F(PipelineTest, CollectedRequestsCanBeTaken) {
  request(1, "one");
  request(2, "two");
  base::chunk_queue bytes(pool);
  std::vector<pipeline::collected> who;
  requests.take(bytes, who);
  EXPECT_EQ(bytes.size(), 6U);
  ASSERT_EQ(who.size(), 2U);
  EXPECT_EQ(who[1].part, 2U);
  EXPECT_TRUE(requests.idle());
  EXPECT_EQ(requests.unsent_bytes(), 0U);
  request(3, "three");
  requests.on_connected();
  EXPECT_EQ(write(), "three");
  receive("+c\r\n");
  EXPECT_EQ(sink.events, (events{"3 +c"}));
}

TEST_F(PipelineTest, UnsentRequestsNeedNotOutlastTheConnection) {
  EXPECT_EQ(requests.connection_number(), 0U);
  requests.on_connected();
  requests.set_outlasting(false);
  request(1, "one");
  requests.on_disconnected(now);
  EXPECT_EQ(sink.events, (events{"1 down"}));
  requests.on_connected();
  EXPECT_EQ(requests.connection_number(), 2U);
}

}  // namespace
}  // namespace dualbus::backend
