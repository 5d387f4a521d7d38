// Requests that wait on a connection of their own, and how their wait is ended: at the bus.

#include "support/exec_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

class BlockingTest : public ExecTest {
 protected:
  explicit BlockingTest(bench_options options = {}) : ExecTest(std::move(options)) {}

  /// The client waits for an element of a list of bus a.
  void waits() {
    client_.says("BLPOP a:k 0");
    EXPECT_EQ(a_.asked(), "BLPOP a:k 0");
    waiting_ = a_.last();
    bench_.run();
  }
  /// The bus is told to end the wait, and answers so.
  void told(const std::string& how, std::string_view reply) {
    EXPECT_EQ(a_.asked(), "CLIENT UNBLOCK " + std::to_string(waiting_.from) + " " + how);
    EXPECT_NE(a_.last().from, waiting_.from);
    a_.answers(reply);
  }
  void ends_wait(std::string_view reply) { a_.answer(waiting_, reply); }

  fake_bus::request waiting_;
  const std::string element_ = "*2\r\n$3\r\na:k\r\n$1\r\nx\r\n";
  const std::string nil_ = "*-1\r\n";
  const std::string unblocked_ = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
};

TEST_F(BlockingTest, ARequestThatWaitsHasAConnectionOfItsOwn) {
  waits();
  EXPECT_TRUE(client_.session().blocked());
  bench_client& other = bench_.connect();
  other.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
  EXPECT_NE(a_.last().from, waiting_.from);
  a_.answers("$-1\r\n");
  EXPECT_EQ(other.got(), "$-1\r\n");
  ends_wait(element_);
  EXPECT_EQ(client_.got(), element_);
  EXPECT_FALSE(client_.session().blocked());
}

TEST_F(BlockingTest, LaterRequestsOfTheClientWaitBehindIt) {
  waits();
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "(nothing)");
  ends_wait(nil_);
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(BlockingTest, TheConnectionServesTheNextOne) {
  waits();
  const int first = waiting_.from;
  ends_wait(nil_);
  EXPECT_EQ(client_.got(), nil_);
  waits();
  EXPECT_EQ(waiting_.from, first);
}

TEST_F(BlockingTest, ABusThatEndsTheConnectionHasItClosed) {
  waits();
  ends_wait("-UNBLOCKED force unblock from blocking operation, instance state changed\r\n");
  EXPECT_EQ(client_.got(), "-UNBLOCKED force unblock from blocking operation, instance state changed\r\n");
  EXPECT_FALSE(a_.has(waiting_.from));
}

TEST_F(BlockingTest, ALostConnectionEndsTheWait) {
  waits();
  a_.closes(waiting_.from);
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
}

TEST_F(BlockingTest, ABusThatHangsIsNotWaitedForForEver) {
  bench_.handler.give_up_after = 2s;
  waits();
  bench_.pass(1900ms);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(200ms);
  EXPECT_EQ(client_.got(),
            "-BUSTIMEOUT bus 'a': no answer within 5000 ms after the command was sent, outcome unknown\r\n");
  EXPECT_FALSE(a_.has(waiting_.from));
}

TEST_F(BlockingTest, AReplyThatThereIsNoMemoryForClosesTheClient) {
  waits();
  ends_wait("*2\r\n$3\r\na:k\r\n" + bulk(std::string(100'000, 'x')));
  {
    const short_of_memory here(90'000);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "(closed)");
}

// --------------------------------------------------------------------------------------------------- unblock

TEST_F(BlockingTest, ClientUnblockIsLeftToTheBusWhichAloneKnowsWhatItHasGiven) {
  waits();
  EXPECT_TRUE(client_.session().unblock(false));
  EXPECT_FALSE(client_.session().unblock(false));  // it is being told
  told("TIMEOUT", ":1\r\n");
  ends_wait(nil_);
  EXPECT_EQ(client_.got(), nil_);
  waits();
  EXPECT_TRUE(client_.session().unblock(true));
  told("ERROR", ":1\r\n");
  ends_wait(unblocked_);
  EXPECT_EQ(client_.got(), unblocked_);
}

TEST_F(BlockingTest, ABusIsToldAgainIfThereWasNoMemoryForIt) {
  waits();
  client_.session().unblock(false);
  {
    const last_chunks here(bench_.exec.request_chunks, 0);
    bench_.run();
  }
  EXPECT_EQ(a_.asked(), "(nothing)");
  bench_.pass(10ms);
  told("TIMEOUT", ":1\r\n");
  ends_wait(nil_);
  EXPECT_EQ(client_.got(), nil_);
}

TEST_F(BlockingTest, ABusThatTheWaitHasNotReachedYetIsToldAgain) {
  waits();
  client_.session().unblock(false);
  told("TIMEOUT", ":0\r\n");
  bench_.pass(10ms);
  told("TIMEOUT", ":0\r\n");
  bench_.pass(10ms);
  told("TIMEOUT", ":1\r\n");
  ends_wait(nil_);
  EXPECT_EQ(client_.got(), nil_);
  bench_.pass(10s);
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(BlockingTest, AnOrderThatIsStillOnItsWayDoesNotMeetTheNextOneWhoWaits) {
  waits();
  const int first = waiting_.from;
  client_.session().unblock(false);
  EXPECT_THAT(a_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  const fake_bus::request order = a_.last();
  ends_wait(element_);
  EXPECT_EQ(client_.got(), element_);
  waits();
  EXPECT_NE(waiting_.from, first);
  ends_wait(nil_);
  EXPECT_EQ(client_.got(), nil_);
  a_.answer(order, ":0\r\n");
  bench_.run();
  bench_client& other = bench_.connect();
  other.says("BLPOP a:k 0");
  EXPECT_EQ(a_.asked(), "BLPOP a:k 0");
  EXPECT_EQ(a_.last().from, first);
}

TEST_F(BlockingTest, AnOrderThatWasNotSentYetIsDroppedWithTheWait) {
  waits();
  client_.session().unblock(false);
  ends_wait(element_);  // in the same turn
  EXPECT_EQ(client_.got(), element_);
  EXPECT_EQ(a_.asked(), "(nothing)");
  const int first = waiting_.from;
  waits();
  EXPECT_EQ(waiting_.from, first);
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(BlockingTest, AnOrderThatIsLostLeavesTheWaitAsItWasAndCanBeGivenAgain) {
  waits();
  EXPECT_TRUE(client_.session().unblock(false));
  EXPECT_THAT(a_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  a_.closes(a_.last().from);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(200ms);
  EXPECT_TRUE(client_.session().unblock(true));
  told("ERROR", ":1\r\n");
  ends_wait(unblocked_);
  EXPECT_EQ(client_.got(), unblocked_);
}

TEST_F(BlockingTest, ABusThatIsAwayIsToldWhenItIsBack) {
  waits();
  a_.listens(false);
  a_.closes(1);  // the shared connection
  bench_.run();
  client_.session().unblock(false);
  bench_.pass(1200ms);  // longer than a request waits
  EXPECT_EQ(client_.got(), "");
  a_.listens(true);
  bench_.pass(2500ms);
  told("TIMEOUT", ":1\r\n");
  ends_wait(nil_);
  EXPECT_EQ(client_.got(), nil_);
}

// -------------------------------------------------------------------------------- clients that go or may not

TEST_F(BlockingTest, TheBusIsToldWhenTheClientGoesAndWhatItHasGivenIsNotLostUnseen) {
  waits();
  client_.closes();
  told("ERROR", ":0\r\n");  // it was too late
  ends_wait(element_);
  bench_.run();
  EXPECT_EQ(bench_.figures(0).elements_lost, 1U);
  EXPECT_EQ(client_.find(), nullptr);
}

TEST_F(BlockingTest, AWaitThatEndsWithItsClientIsNotAnswered) {
  waits();
  client_.ends_input();
  told("ERROR", ":1\r\n");
  ends_wait(unblocked_);
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.figures(0).elements_lost, 0U);
}

TEST_F(BlockingTest, AClientThatIsClosedHasTheBusToldToo) {
  waits();
  client_.session().close(metrics::close_reason::killed);
  told("ERROR", ":1\r\n");
  ends_wait(unblocked_);
  bench_.run();
  bench_client& other = bench_.connect();
  other.says("BLPOP a:k 0");
  EXPECT_EQ(a_.asked(), "BLPOP a:k 0");
  EXPECT_EQ(a_.last().from, waiting_.from);
}

TEST_F(BlockingTest, ABusThatCannotBeToldHasItsConnectionClosed) {
  waits();
  client_.ends_input();
  told("ERROR", "-NOPERM no\r\n");
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_FALSE(a_.has(waiting_.from));
}

TEST_F(BlockingTest, ABusThatMayNotHaveBeenToldHasItsConnectionClosed) {
  waits();
  client_.ends_input();
  EXPECT_THAT(a_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  a_.closes(a_.last().from);
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_FALSE(a_.has(waiting_.from));
}

TEST_F(BlockingTest, ABusThatDoesNotEndTheWaitInTimeHasItsConnectionClosed) {
  waits();
  client_.ends_input();
  told("ERROR", ":1\r\n");
  bench_.pass(5100ms);
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_FALSE(a_.has(waiting_.from));
}

TEST_F(BlockingTest, AReaderThatMayNotWaitAnyMoreIsToldSoWhenTheBusHasEndedItsWait) {
  waits();
  bench_.handler.denial = "NOPERM no";
  bench_.reload("");
  EXPECT_THAT(bench_.handler.judged, ElementsAre("BLPOP", "a:k", "0"));
  told("ERROR", ":1\r\n");
  EXPECT_EQ(client_.got(), "");
  ends_wait(unblocked_);
  EXPECT_EQ(client_.got(), "-NOPERM no\r\n");
  EXPECT_EQ(bench_.outcomes("blpop", outcome::refused), 1U);
}

TEST_F(BlockingTest, WhatTheBusHasGivenByThenIsAnsweredThoughTheRightIsLost) {
  waits();
  bench_.handler.denial = "NOPERM no";
  bench_.reload("");
  told("ERROR", ":0\r\n");
  ends_wait(element_);
  EXPECT_EQ(client_.got(), element_);
}

TEST_F(BlockingTest, AWaitForAKeyThatHasMovedEndsAsIfItsTimeWereOver) {
  waits();
  bench_.reload("routing: {default_bus: a, keys: [{match: \"a:*\", bus: b}]}\n");
  told("TIMEOUT", ":1\r\n");
  ends_wait(nil_);
  EXPECT_EQ(client_.got(), nil_);
}

TEST_F(BlockingTest, EntriesThatAreReadSoCountAsConsumed) {
  bench_.handler.on("xreadgroup", [this](session& client, routed_request& request) {
    bench_.handler.start_blocking(client, request);
  });
  const std::string entries =
      "*1\r\n*2\r\n$3\r\na:s\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
  client_.says("XREADGROUP GROUP g c BLOCK 0 STREAMS a:s >");
  EXPECT_EQ(a_.asked(), "XREADGROUP GROUP g c BLOCK 0 STREAMS a:s >");
  a_.answers(entries);
  EXPECT_EQ(client_.got(), entries);
  EXPECT_EQ(client_.session().engine().messages_consumed, 1U);
  client_.says("XREADGROUP GROUP g c BLOCK 0 STREAMS a:s 0");
  a_.asked();
  a_.answers(entries);
  EXPECT_EQ(client_.got(), entries);
  EXPECT_EQ(client_.session().engine().messages_consumed, 1U);
}

// --------------------------------------------------------------------------------------------------- scripts

TEST_F(BlockingTest, AScriptIsNotCalledOffAndItsConnectionIsClosedWhenItsClientGoes) {
  bench_.handler.on("eval", [this](session& client, routed_request& request) {
    bench_.handler.start_blocking(client, request);
  });
  client_.says("EVAL script 1 a:k");
  EXPECT_EQ(a_.asked(), "EVAL script 1 a:k");
  EXPECT_FALSE(client_.session().blocked());
  const int connection = a_.last().from;
  client_.session().close(metrics::close_reason::killed);
  bench_.run();
  EXPECT_FALSE(a_.has(connection));
  EXPECT_EQ(a_.asked(), "(nothing)");
}

}  // namespace
}  // namespace dualbus::operation::test
