// Answers that are held until the bus has confirmed the writes (T5).

#include <dualbus/backend/write_group.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::backend {
namespace {

using std::chrono::milliseconds;
using events = std::vector<std::string>;

std::string line_of(std::string_view bytes) {
  return std::string(bytes.substr(0, bytes.size() - 2));
}

struct recording_sink final : reply_sink {
  void on_reply(std::uint32_t part, const reply_view& reply) override {
    happened.push_back(std::to_string(part) + " " + line_of(reply.bytes));
  }
  void on_failure(std::uint32_t part, failure why) override {
    constexpr const char* names[] = {"down", "lost", "timeout"};
    happened.push_back(std::to_string(part) + " " + names[static_cast<int>(why)]);
  }
  void on_answered(std::uint32_t part) override { happened.push_back(std::to_string(part) + " answered"); }
  void on_unconfirmed(std::uint32_t part, const reply_view& reply, std::string_view why) override {
    happened.push_back(std::to_string(part) + " " + line_of(reply.bytes) +
                       " unconfirmed: " + std::string(why));
  }
  bool abandoned() const override { return false; }

  events happened;
};

class WriteGroupTest : public testing::Test {
 protected:
  void SetUp() override { requests.on_connected(); }
  void write(std::uint32_t part, bool confirm = true) {
    requests.begin().append("w" + std::to_string(part) + " ");
    group.add(requests, sink, part, confirm, now);
  }
  void close(unsigned replicas = 1, unsigned local = 0) {
    group.close(requests, {.replicas = replicas, .local = local, .timeout = milliseconds(50)}, now);
  }
  /// Writes as a socket would, up to `limit` bytes; returns them.
  std::string send(std::size_t limit = ~std::size_t{0}) {
    std::string text;
    iovec vectors[16];
    const int count = requests.gather(vectors, 16);
    for (int i = 0; i < count; ++i)
      text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
    text.resize(std::min(limit, text.size()));
    requests.on_written(text.size(), now);
    return text;
  }
  void receive(const std::string& bytes) {
    requests.input().append(bytes);
    EXPECT_EQ(requests.on_received(now), pipeline::verdict::ok);
  }
  events happened() { return std::exchange(sink.happened, {}); }

  base::time_point now{std::chrono::seconds(1)};
  base::chunk_pool pool{4096, 4};
  pipeline_settings settings;
  metrics::bus_metrics counted, metrics;
  recording_sink sink;
  pipeline requests{pool, settings, counted};
  write_group group{metrics};
};

TEST_F(WriteGroupTest, T5AnAnswerIsHeldUntilTheReplicasHaveTheWrite) {
  write(1);
  write(2);
  close();
  EXPECT_EQ(send(), "w1 w2 *3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$2\r\n50\r\n");
  receive("$3\r\n5-1\r\n+OK\r\n");
  EXPECT_EQ(happened(), (events{"1 answered", "2 answered"}));
  EXPECT_TRUE(group.holds_answers());
  receive(":1\r\n");
  EXPECT_EQ(happened(), (events{"1 $3\r\n5-1", "2 +OK"}));
  EXPECT_FALSE(group.holds_answers());
  EXPECT_FALSE(group.wants_confirmation());
  EXPECT_TRUE(group.open());
  EXPECT_EQ(metrics.confirmations, 1U);
  EXPECT_EQ(metrics.confirmed_writes, 2U);
}

TEST_F(WriteGroupTest, R1OnceTheBusHasAnsweredTheWritesOthersCanWaitForTheConfirmation) {
  pipeline heir{pool, settings, counted};
  requests.release();
  write(1);
  close();
  requests.release();
  write_group next{metrics};
  requests.begin().append("w2");
  next.add(requests, sink, 2, true, now);
  send(requests.released_bytes());
  EXPECT_FALSE(group.owed_only_confirmation(requests));
  receive("+OK\r\n:");
  EXPECT_FALSE(group.owed_only_confirmation(requests)) << "a byte of the confirmation has come";
  receive("1\r\n");
  happened();
  write(3);
  close();
  requests.release();
  send();
  receive("+OK\r\n+OK\r\n");
  EXPECT_TRUE(group.owed_only_confirmation(requests));
  requests.begin().append("later");
  next.add(requests, sink, 4, true, now);
  heir.on_connected();
  requests.pass_on(heir);
  EXPECT_EQ(requests.in_flight(), 0U);
  EXPECT_EQ(requests.waiting(), 1U);
  happened();
  requests.on_disconnected(now);
  heir.input().append(":1\r\n");
  EXPECT_EQ(heir.on_received(now), pipeline::verdict::ok);
  EXPECT_EQ(happened(), (events{"3 +OK"}));
  EXPECT_TRUE(heir.idle());
  requests.on_connected();
  EXPECT_EQ(requests.released_bytes(), 0U);
  requests.release();
  EXPECT_EQ(send(), "later");
}

TEST_F(WriteGroupTest, T5TooFewReplicasAreSaid) {
  write(1);
  close(2);
  send();
  receive("+OK\r\n:1\r\n");
  EXPECT_EQ(happened(), (events{"1 answered", "1 +OK unconfirmed: 1 of 2 replicas confirmed within 50 ms"}));
  EXPECT_EQ(metrics.unconfirmed, 1U);
  EXPECT_EQ(metrics.confirmations, 0U);
}

TEST_F(WriteGroupTest, TheAofIsAskedForTogetherWithReplicas) {
  write(1);
  close(1, 1);
  EXPECT_EQ(send(), "w1 *4\r\n$7\r\nWAITAOF\r\n$1\r\n1\r\n$1\r\n1\r\n$2\r\n50\r\n");
  receive("+OK\r\n*2\r\n:1\r\n:0\r\n");
  EXPECT_EQ(happened().back(), "1 +OK unconfirmed: 1 of 1 AOF and 0 of 1 replicas confirmed within 50 ms");
  write(2);
  close(0, 1);
  send();
  receive("+OK\r\n*2\r\n:1\r\n:0\r\n");
  EXPECT_EQ(happened().back(), "2 +OK");
  write(3);
  close(0, 1);
  send();
  receive("+OK\r\n-ERR unknown command 'WAITAOF'\r\n");
  EXPECT_EQ(happened().back(),
            "3 +OK unconfirmed: the bus does not say who has it: ERR unknown command 'WAITAOF'");
}

TEST_F(WriteGroupTest, AnErrorNeedsNoConfirmation) {
  write(1);
  write(2);
  close();
  send();
  receive("-ERR no\r\n+OK\r\n");
  EXPECT_EQ(happened(), (events{"1 answered", "1 -ERR no", "2 answered"}));
  receive(":1\r\n");
  EXPECT_EQ(happened(), (events{"2 +OK"}));
  EXPECT_EQ(metrics.confirmed_writes, 1U);
}

TEST_F(WriteGroupTest, ARequestThatOnlyKeepsItsPlaceIsAnsweredAtOnce) {
  write(1);
  write(2, false);
  close();
  send();
  receive("+OK\r\n:7\r\n");
  EXPECT_EQ(happened(), (events{"1 answered", "2 answered", "2 :7"}));
  receive(":1\r\n");
  EXPECT_EQ(happened(), (events{"1 +OK"}));
  write(3, false);
  EXPECT_FALSE(group.wants_confirmation());
}

TEST_F(WriteGroupTest, OfABlockOnlyTheLastAnswerIsHeld) {
  requests.begin().append("MULTI w EXEC");
  group.add_block(requests, sink, 3, true, now);
  close();
  send();
  receive("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  EXPECT_EQ(happened(), (events{"0 +OK", "1 +QUEUED", "2 answered"}));
  receive(":1\r\n");
  EXPECT_EQ(happened(), (events{"2 *1\r\n+OK"}));
}

TEST_F(WriteGroupTest, T5AWriteWhoseWaitIsLostIsLost) {
  write(1);
  close();
  send();
  receive("+OK\r\n");
  happened();
  requests.on_disconnected(now);
  EXPECT_EQ(happened(), (events{"1 lost"}));
  EXPECT_TRUE(group.open());
  EXPECT_FALSE(group.wants_confirmation());
}

TEST_F(WriteGroupTest, T5AWaitOnTheNextConnectionConfirmsNothingOfTheLastOne) {
  write(1);
  write(2);
  close();
  EXPECT_EQ(send(3), "w1 ");
  receive("+OK\r\n");
  EXPECT_EQ(happened(), (events{"1 answered"}));
  requests.on_disconnected(now);
  group.lose_held();
  EXPECT_EQ(happened(), (events{"1 lost"}));
  requests.on_connected();
  EXPECT_EQ(send().substr(0, 3), "w2 ");
  receive("+OK\r\n:1\r\n");
  EXPECT_EQ(happened(), (events{"2 answered", "2 +OK"}));
  EXPECT_EQ(metrics.confirmed_writes, 1U);
}

TEST_F(WriteGroupTest, AWaitWithoutAnAnswerEndsItsWritesInTime) {
  write(1);
  close();
  send();
  receive("+OK\r\n");
  happened();
  now += settings.request_timeout;
  requests.tick(now);
  EXPECT_EQ(happened(), (events{"1 timeout"}));
  receive(":1\r\n");
  EXPECT_EQ(happened(), events{});
}

TEST_F(WriteGroupTest, WritesThatNobodyWaitsForAnyLongerEndWhereTheyAre) {
  recording_sink other;
  write(1);
  requests.begin().append("x ");
  group.add(requests, other, 9, true, now);
  send();
  receive("+OK\r\n");
  happened();
  write(2);
  EXPECT_EQ(sink.happened, events{});
  requests.give_up(sink);
  group.give_up(sink);
  EXPECT_EQ(happened(), (events{"2 answered", "2 down", "1 timeout"}));
  close();
  EXPECT_EQ(send().substr(0, 3), "*3\r");
  receive("+OK\r\n:1\r\n");
  EXPECT_EQ(other.happened, (events{"9 answered", "9 +OK"}));
}

TEST_F(WriteGroupTest, TheTimeBeforeAndBehindTheBusIsTold) {
  struct timing_sink final : reply_sink {
    void on_reply(std::uint32_t, const reply_view& reply) override { held = reply.held; }
    void on_failure(std::uint32_t, failure) override {}
    bool abandoned() const override { return false; }
    base::duration held{-1};
  } timed;
  const base::time_point begin = base::clock::now();
  requests.begin().append("w");
  group.add(requests, timed, 0, true, begin);
  close();
  now = begin;
  send();
  receive("+OK\r\n:1\r\n");
  EXPECT_GE(timed.held, base::duration::zero());
  EXPECT_LE(timed.held, base::clock::now() - begin);
}

// An EXEC owns the group of its write, and ends when it is told.
struct owning_sink final : reply_sink {
  void on_reply(std::uint32_t, const reply_view&) override { end(); }
  void on_failure(std::uint32_t, failure) override { end(); }
  void on_unconfirmed(std::uint32_t, const reply_view&, std::string_view) override { end(); }
  bool abandoned() const override { return false; }
  void end() {
    ++told;
    group.reset();
  }

  std::unique_ptr<write_group> group;
  int told = 0;
};

TEST_F(WriteGroupTest, AGroupMayEndWithTheSinkThatIsTold) {
  for (const std::string end : {":1\r\n", ":0\r\n", "lost", "held"}) {
    owning_sink owner;
    owner.group = std::make_unique<write_group>(metrics);
    requests.begin().append("w ");
    owner.group->add(requests, owner, 0, true, now);
    if (end != "held")
      owner.group->close(requests, {.replicas = 1, .local = 0, .timeout = milliseconds(50)}, now);
    send();
    receive("+OK\r\n");
    EXPECT_EQ(owner.told, 0);
    if (end == "lost") {
      requests.on_disconnected(now);
      requests.on_connected();
    } else if (end == "held") {
      owner.group->lose_held();
    } else {
      receive(end);
    }
    EXPECT_EQ(owner.told, 1) << end;
  }
}

}  // namespace
}  // namespace dualbus::backend
