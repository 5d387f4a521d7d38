// Readers that wait for entries: what wakes them, and what ends their wait.

#include "support/reads_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

class WaitingReadTest : public ReadsTest {
 protected:
  using ReadsTest::ReadsTest;

  /// Bus b has an entry for who looks there.
  void finds_entry() {
    EXPECT_EQ(b_.asked(), read_);
    b_.answers(one_entry("s", "1700000000000-3"));
  }
};

TEST_F(WaitingReadTest, AReaderWaitsWhenNoBusHasAnythingAndTheBusesWatchTheKey) {
  waits();
  EXPECT_EQ(bench_.parking.readers(), 1U);
  EXPECT_TRUE(client_.session().blocked());
  EXPECT_NE(a_.watcher(), 0);
  EXPECT_GE(b_.times("EXISTS s"), 1U);
  bench_.pass(500ms);
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(WaitingReadTest, WhatIsThereIsAnsweredAtOnce) {
  client_.says("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
  EXPECT_EQ(a_.asked(), read_);
  a_.answers(nil);
  finds_entry();
  EXPECT_EQ(client_.got(), entry_of_b);
  EXPECT_EQ(bench_.parking.readers(), 0U);
  EXPECT_EQ(client_.session().engine().messages_consumed, 1U);
}

TEST_F(WaitingReadTest, WithoutBlockNobodyWaits) {
  client_.says("XREADGROUP GROUP g c STREAMS s >");
  settle();
  EXPECT_EQ(client_.got(), nil);
}

TEST_F(WaitingReadTest, InResp3KeysAreAMap) {
  client_.session().set_protocol(resp::protocol::resp3);
  client_.says("XREADGROUP GROUP g c STREAMS s >");
  EXPECT_EQ(a_.asked(), read_);
  a_.answers("_\r\n");
  EXPECT_EQ(b_.asked(), read_);
  b_.answers("%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n5-3\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
  EXPECT_EQ(client_.got(),
            "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$15\r\n5-2000000000003\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
}

TEST_F(WaitingReadTest, AnEntryWithoutAFormForClientsIsLeftOut) {
  client_.says("XREADGROUP GROUP g c STREAMS s >");
  EXPECT_EQ(a_.asked(), read_);
  a_.answers(nil);
  EXPECT_EQ(b_.asked(), read_);
  b_.answers(one_entry("s", "5-1000000000000"));
  EXPECT_EQ(client_.got(), nil);
  EXPECT_EQ(bench_.figures(1).entries_omitted, 1U);
}

TEST_F(WaitingReadTest, EntriesOfAPinnedKeyKeepTheirIds) {
  client_.says("XREADGROUP GROUP g c BLOCK 0 STREAMS b:s >");
  EXPECT_EQ(b_.asked(), "XREADGROUP GROUP g c STREAMS b:s >");
  b_.answers(one_entry("b:s", "5-3"));
  EXPECT_EQ(client_.got(), one_entry("b:s", "5-3"));
  EXPECT_EQ(a_.asked(), "(nothing)");
}

// ----------------------------------------------------------------------------------------------------- wakes

TEST_F(WaitingReadTest, AnEntryThatGoesThroughTheDaemonIsLookedAtRightBehindIt) {
  waits();
  bench_client& writer = bench_.connect();
  writer.says("XADD s * message_type b");
  EXPECT_EQ(b_.asked(), "XADD s * message_type b");
  const fake_bus::request add = b_.last();
  EXPECT_EQ(b_.asked(), read_);
  b_.answers(one_entry("s", "1700000000000-3"));
  b_.answer(add, bulk("1700000000000-3"));
  EXPECT_EQ(client_.got(), entry_of_b);
  EXPECT_EQ(writer.got(), bulk("1700000000000-2000000000003"));
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(bench_.figures().local_wakes.total(), 1U);
  EXPECT_EQ(bench_.figures(1).wakes, 1U + bench_.figures(0).wakes);
}

TEST_F(WaitingReadTest, AnEntryThatSomebodyElseAddsIsAnnounced) {
  waits();
  b_.announces("s");
  finds_entry();
  EXPECT_EQ(client_.got(), entry_of_b);
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(bench_.figures().notified_wakes.total(), 1U);
}

TEST_F(WaitingReadTest, AnEntryThatWasNotAddedAfterAllWakesNobodyTwice) {
  waits();
  bench_client& writer = bench_.connect();
  writer.says("XADD s * message_type b");
  EXPECT_EQ(b_.asked(), "XADD s * message_type b");
  b_.answers("-ERR no\r\n");
  EXPECT_EQ(b_.asked(), read_);
  b_.answers(nil);
  settle();
  bench_.pass(300ms);
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_EQ(bench_.parking.readers(), 1U);
}

TEST_F(WaitingReadTest, AWriterWhoseBusIsLostWakesTheReaderWhenItIsBack) {
  waits();
  bench_client& writer = bench_.connect();
  writer.says("XADD s * message_type b");
  EXPECT_EQ(b_.asked(), "XADD s * message_type b");
  b_.closes_all();
  EXPECT_THAT(writer.got(), testing::StartsWith("-BUSLOST bus 'b'"));
  bench_.pass(300ms);
  EXPECT_EQ(b_.asked(), read_);
}

TEST_F(WaitingReadTest, ATransactionThatAddsWakesTheReaderToo) {
  waits();
  bench_client& writer = bench_.connect();
  transact(writer, {"XADD s * message_type b"});
  EXPECT_THAT(b_.asked_all(), ElementsAre("MULTI", "XADD s * message_type b", "EXEC", read_));
  b_.answers_all({ok, queued, "*1\r\n" + bulk("1700000000000-3"), one_entry("s", "1700000000000-3")});
  EXPECT_EQ(client_.got(), entry_of_b);
}

TEST_F(WaitingReadTest, ATransactionOverSeveralBusesWakesTheReaderWhenItIsCarriedOut) {
  waits();
  bench_client& writer = bench_.connect();
  transact(writer, {"XADD s * message_type b", "SET a:k 1"});
  queues(a_, {"SET a:k 1"});
  queues(b_, {"XADD s * message_type b"});
  EXPECT_EQ(a_.asked(), "EXEC");
  a_.answers("*1\r\n+OK\r\n");
  EXPECT_EQ(b_.asked(), "EXEC");
  EXPECT_EQ(b_.asked(), "(nothing)");
  b_.answers("*1\r\n" + bulk("1700000000000-3"));
  EXPECT_EQ(b_.asked(), read_);
}

TEST_F(WaitingReadTest, ReadersWithoutAGroupAreAllWoken) {
  const std::string request = "XREAD BLOCK 0 STREAMS s 5-0";
  bench_client& other = bench_.connect();
  waits(client_, request);
  waits(other, request);
  b_.announces("s");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(b_.asked(), "XREAD STREAMS s 5-0");
    b_.answers(one_entry("s", "1700000000000-3"));
  }
  EXPECT_EQ(client_.got(), entry_of_b);
  EXPECT_EQ(other.got(), entry_of_b);
}

TEST_F(WaitingReadTest, ReadersOfAGroupAreServedInTheirOrder) {
  bench_client& other = bench_.connect();
  waits();
  other.says("XREADGROUP GROUP g d BLOCK 0 STREAMS s >");
  settle();
  EXPECT_EQ(bench_.parking.readers(), 2U);
  b_.announces("s");
  finds_entry();
  EXPECT_EQ(client_.got(), entry_of_b);
  EXPECT_EQ(b_.asked(), "(nothing)");  // it came to the end of the stream
  b_.announces("s");
  EXPECT_EQ(b_.asked(), "XREADGROUP GROUP g d STREAMS s >");
  b_.answers(one_entry("s", "1700000000000-3"));
  EXPECT_EQ(other.got(), entry_of_b);
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

// -------------------------------------------------------------------------------------------- ends of a wait

TEST_F(WaitingReadTest, TheWaitEndsWithItsTime) {
  waits(client_, "XREADGROUP GROUP g c BLOCK 1000 STREAMS s >");
  bench_.pass(800ms);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(200ms);
  EXPECT_EQ(client_.got(), nil);
  EXPECT_EQ(bench_.parking.readers(), 0U);
  EXPECT_FALSE(client_.session().blocked());
}

TEST_F(WaitingReadTest, ClientUnblockEndsTheWaitAsIfItsTimeWereOver) {
  waits();
  EXPECT_TRUE(client_.session().unblock(false));
  EXPECT_EQ(client_.got(), nil);
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

TEST_F(WaitingReadTest, ClientUnblockCanEndTheWaitWithAnError) {
  waits();
  EXPECT_TRUE(client_.session().unblock(true));
  EXPECT_EQ(client_.got(), "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
  EXPECT_EQ(bench_.outcomes("xreadgroup", outcome::refused), 1U);
}

TEST_F(WaitingReadTest, AReaderThatLooksIsNotUnblockedSinceWhatItFindsIsItsOwn) {
  waits();
  b_.announces("s");
  EXPECT_EQ(b_.asked(), read_);
  EXPECT_FALSE(client_.session().unblock(true));
  b_.answers(one_entry("s", "1700000000000-3"));
  EXPECT_EQ(client_.got(), entry_of_b);
}

TEST_F(WaitingReadTest, AClientThatGoesWaitsNoMore) {
  waits();
  client_.closes();
  bench_.run();
  EXPECT_EQ(bench_.parking.readers(), 0U);
  EXPECT_EQ(client_.find(), nullptr);
  b_.announces("s");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(WaitingReadTest, AClientThatIsClosedWaitsNoMore) {
  waits();
  client_.session().close(metrics::close_reason::killed);
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

TEST_F(WaitingReadTest, ALookForAClientThatGoesMeanwhileLeavesTheOthersTheirTurn) {
  bench_client& other = bench_.connect();
  waits();
  other.says("XREADGROUP GROUP g d BLOCK 0 STREAMS s >");
  settle();
  b_.announces("s");
  EXPECT_EQ(b_.asked(), read_);
  client_.session().close(metrics::close_reason::killed);
  b_.answers("-ERR not now\r\n");
  EXPECT_EQ(b_.asked(), "XREADGROUP GROUP g d STREAMS s >");
  EXPECT_EQ(bench_.parking.readers(), 1U);
}

TEST_F(WaitingReadTest, NothingIsTakenForAClientThatHasHungUp) {
  waits();
  // Both in one turn, and the news first.
  b_.announces("s");
  client_.ends_input();
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

TEST_F(WaitingReadTest, WhenTheDaemonEndsThoseThatWaitAreClosed) {
  waits();
  client_.session().drain();
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

TEST_F(WaitingReadTest, WhenTheDaemonEndsWhoLooksIsClosedBehindItsLook) {
  waits();
  b_.announces("s");
  EXPECT_EQ(b_.asked(), read_);
  client_.session().drain();
  EXPECT_EQ(client_.got(), "");
  b_.answers(nil);
  settle();
  bench_.pass(300ms);
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

class MaxBlockTest : public WaitingReadTest {
 protected:
  MaxBlockTest() : WaitingReadTest({.settings = "limits: {max_block: 1s}\n"}) {}
};

TEST_F(MaxBlockTest, NobodyWaitsLongerThanIsConfigured) {
  waits();
  bench_.pass(1s);
  EXPECT_EQ(client_.got(), nil);
}

}  // namespace
}  // namespace dualbus::operation::test
