// WATCH, and the transactions of clients who watch keys.

#include "support/exec_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

class WatchTest : public ExecTest {
 protected:
  explicit WatchTest(bench_options options = {.settings = "databases: 4\n"}) : ExecTest(std::move(options)) {}

  void watches(const std::string& key = "a:k") {
    client_.says("WATCH " + key);
    EXPECT_EQ(a_.asked(), "WATCH " + key);
    watching_ = a_.last().from;
    a_.answers(ok);
    EXPECT_EQ(client_.got(), ok);
  }

  int watching_ = 0;  // the connection
};

TEST_F(WatchTest, KeysAreWatchedOnAConnectionOfItsOwnOnWhichTheTransactionIsCarriedOut) {
  watches();
  watches("a:other");
  EXPECT_EQ(a_.connections(), 2U);
  transact({"SET a:k 1"});
  carries_out(a_, {"SET a:k 1"}, "*1\r\n+OK\r\n");
  EXPECT_EQ(a_.last().from, watching_);
  EXPECT_EQ(client_.got(), "*1\r\n+OK\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");  // EXEC has ended the watch
}

TEST_F(WatchTest, AKeyThatHasChangedEndsTheTransaction) {
  watches();
  transact({"SET a:k 1"});
  carries_out(a_, {"SET a:k 1"}, "*-1\r\n");
  EXPECT_EQ(client_.got(), "*-1\r\n");
  EXPECT_EQ(bench_.outcomes("exec", outcome::ok), 1U);
}

TEST_F(WatchTest, TheBusThatWatchesDecidesAndTheOthersFollow) {
  watches();
  transact({"SET a:k 1", "SET b:k 2"});
  queues(a_, {"SET a:k 1"});
  queues(b_, {"SET b:k 2"});
  EXPECT_EQ(b_.asked(), "(nothing)");
  executes(a_, "*1\r\n+OK\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n+OK\r\n");
}

TEST_F(WatchTest, IfTheBusThatWatchesSaysNoTheOthersForgetTheirPart) {
  watches();
  transact({"SET b:k 2"});
  queues(a_, {});
  queues(b_, {"SET b:k 2"});
  executes(a_, "*-1\r\n");
  EXPECT_EQ(client_.got(), "*-1\r\n");
  EXPECT_EQ(b_.asked(), "DISCARD");
}

TEST_F(WatchTest, ABusThatIsLostWhileTheOtherOneDecidesAnswersItsRequestsWithThat) {
  watches();
  transact({"SET a:k 1", "SET b:k 2"});
  queues(a_, {"SET a:k 1"});
  queues(b_, {"SET b:k 2"});
  EXPECT_EQ(a_.asked(), "EXEC");
  b_.closes(b_.last().from);
  bench_.run();
  a_.answers("*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n-BUSDOWN bus 'b' is unreachable: command not sent\r\n");
}

TEST_F(WatchTest, ABusThatThereIsNoMemoryForWhenTheOtherOneHasDecidedAnswersItsRequestsWithThat) {
  watches();
  transact({"SET a:k 1", "SET b:k 2"});
  queues(a_, {"SET a:k 1"});
  queues(b_, {"SET b:k 2"});
  executes(a_, "*1\r\n+OK\r\n");
  {
    const last_chunks here(bench_.exec.request_chunks, 0);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n-BUSDOWN bus 'b' is unreachable: command not sent\r\n");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(WatchTest, AConnectionThatThereIsNoMemoryToTidyUpIsClosed) {
  watches();
  client_.says("UNWATCH");
  {
    const last_chunks here(bench_.exec.request_chunks, 0);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), ok);
  EXPECT_FALSE(a_.has(watching_));
}

TEST_F(WatchTest, IfTheBusThatDecidesIsLostTheOutcomeIsUnknown) {
  watches();
  transact({"SET a:k 1", "SET b:k 2"});
  queues(a_, {"SET a:k 1"});
  queues(b_, {"SET b:k 2"});
  EXPECT_EQ(a_.asked(), "EXEC");
  a_.closes(watching_);
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(b_.asked(), "DISCARD");
}

TEST_F(WatchTest, ATransactionOnTheConnectionThatWatchesIsNotWaitedForForEver) {
  watches();
  transact({"SET a:k 1"});
  EXPECT_EQ(a_.asked_all().size(), 3U);
  bench_.pass(5100ms);
  EXPECT_EQ(client_.got(),
            "-BUSTIMEOUT bus 'a': no answer within 5000 ms after the command was sent, outcome unknown\r\n");
  EXPECT_FALSE(a_.has(watching_));
}

// ---------------------------------------------------------------------------------------------- a lost watch

TEST_F(WatchTest, WhatMayHaveChangedUnseenCountsAsChanged) {
  watches();
  a_.closes(watching_);
  bench_.run();
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "*-1\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(WatchTest, InResp3ThatIsTheNullOfResp3) {
  watches();
  client_.session().set_protocol(resp::protocol::resp3);
  a_.closes(watching_);
  bench_.run();
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "_\r\n");
}

TEST_F(WatchTest, AnotherWatchOnANewConnectionDoesNotBringTheFirstOneBack) {
  watches();
  a_.closes(watching_);
  bench_.pass(200ms);
  watches("a:other");
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "*-1\r\n");
}

TEST_F(WatchTest, KeysThatAReloadMayHaveMovedCountAsChanged) {
  watches();
  bench_.reload("databases: 4\n");
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "*-1\r\n");
}

TEST_F(WatchTest, AfterALostWatchTheNextTransactionIsAsNew) {
  watches();
  a_.closes(watching_);
  bench_.run();
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "*-1\r\n");
  transact({"SET a:k 1"});
  carries_out(a_, {"SET a:k 1"}, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*1\r\n+OK\r\n");
}

// --------------------------------------------------------------------------------------------- the end of it

TEST_F(WatchTest, TheBusIsToldThatNobodyWatchesAnyMore) {
  watches();
  client_.says("UNWATCH");
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(a_.asked(), "UNWATCH");
  EXPECT_EQ(a_.last().from, watching_);
  a_.answers(ok);
  watches();
  EXPECT_EQ(a_.last().from, watching_);
}

TEST_F(WatchTest, AConnectionThatCouldNotBeTidiedUpIsClosed) {
  watches();
  client_.says("UNWATCH");
  EXPECT_EQ(a_.asked(), "UNWATCH");
  a_.answers("-ERR no\r\n");
  bench_.run();
  EXPECT_FALSE(a_.has(watching_));
}

TEST_F(WatchTest, DiscardAndTheEndOfTheClientEndTheWatchToo) {
  watches();
  client_.says("MULTI");
  client_.says("DISCARD");
  EXPECT_EQ(client_.got(), ok + ok);
  EXPECT_EQ(a_.asked(), "UNWATCH");
  a_.answers(ok);
  watches();
  client_.closes();
  EXPECT_EQ(a_.asked(), "UNWATCH");
}

// ------------------------------------------------------------------------------------------------ other ways

TEST_F(WatchTest, KeysOfAnotherDatabaseAreWatchedOnTheSameConnection) {
  watches();
  client_.says("SELECT 2");
  client_.says("WATCH a:other");
  EXPECT_THAT(a_.asked_all(), ElementsAre("SELECT 2", "WATCH a:other"));
  a_.answers_all({ok, ok});
  EXPECT_EQ(client_.got(), ok + ok);
  client_.says("SELECT 0");
  EXPECT_EQ(client_.got(), ok);
  transact({"SET a:k 1"});
  EXPECT_THAT(a_.asked_all(), ElementsAre("SELECT 0", "MULTI", "SET a:k 1"));
  a_.answers_all({ok, ok, queued});
  executes(a_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*1\r\n+OK\r\n");
  EXPECT_EQ(a_.asked(), "SELECT 0");
}

TEST_F(WatchTest, AConnectionThatIsInAnotherDatabaseIsTakenBackToItsOwn) {
  watches();
  client_.says("SELECT 2");
  client_.says("WATCH a:other");
  EXPECT_EQ(a_.asked_all().size(), 2U);
  a_.answers_all({ok, ok});
  bench_.run();
  client_.closes();
  EXPECT_THAT(a_.asked_all(), ElementsAre("UNWATCH", "SELECT 0"));
}

TEST_F(WatchTest, ADatabaseThatTheBusLacksEndsTheWatch) {
  watches();
  client_.says("SELECT 2");
  client_.says("WATCH a:other");
  EXPECT_EQ(a_.asked_all().size(), 2U);
  a_.answers_all({"-ERR DB index is out of range\r\n", ok});
  EXPECT_EQ(client_.got(), "+OK\r\n-ERR DB index is out of range\r\n");
  EXPECT_EQ(bench_.outcomes("watch", outcome::redis_error), 1U);
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "*-1\r\n");
}

TEST_F(WatchTest, AClientThatSpeaksAnotherProtocolByNowIsAnsweredInThat) {
  watches();
  client_.session().set_protocol(resp::protocol::resp3);
  transact({"HGETALL a:k"});
  carries_out(a_, {"HGETALL a:k"}, "*1\r\n%0\r\n");
  EXPECT_EQ(a_.times("HELLO 3"), 1U);
  EXPECT_EQ(client_.got(), "*1\r\n%0\r\n");
  EXPECT_FALSE(a_.has(watching_));  // it is not what it says any more
}

TEST_F(WatchTest, AnErrorIsPassedOnAndNothingIsWatched) {
  client_.says("WATCH a:k");
  EXPECT_EQ(a_.asked(), "WATCH a:k");
  a_.answers("-LOADING Redis is loading\r\n");
  EXPECT_EQ(client_.got(), "-LOADING Redis is loading\r\n");
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "*-1\r\n");
}

TEST_F(WatchTest, LaterRequestsWaitUntilTheKeysAreWatched) {
  client_.says("WATCH a:k");
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "WATCH a:k");
  EXPECT_EQ(a_.asked(), "(nothing)");
  a_.answers(ok);
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(WatchTest, ABusThatIsLostOrDoesNotAnswerFailsTheWatch) {
  client_.says("WATCH a:k");
  EXPECT_EQ(a_.asked(), "WATCH a:k");
  a_.closes(a_.last().from);
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  client_.says("WATCH a:k");
  EXPECT_EQ(a_.asked(), "WATCH a:k");
  const int connection = a_.last().from;
  bench_.pass(5100ms);
  EXPECT_EQ(client_.got(),
            "-BUSTIMEOUT bus 'a': no answer within 5000 ms after the command was sent, outcome unknown\r\n");
  EXPECT_FALSE(a_.has(connection));
}

TEST_F(WatchTest, AWatchOfAClientThatGoesEnds) {
  client_.says("WATCH a:k");
  EXPECT_EQ(a_.asked(), "WATCH a:k");
  const int connection = a_.last().from;
  client_.session().close(metrics::close_reason::killed);
  a_.answers(ok);
  EXPECT_EQ(a_.asked(), "UNWATCH");
  EXPECT_EQ(a_.last().from, connection);
}

class NoWatchTest : public WatchTest {
 protected:
  NoWatchTest() : WatchTest({.settings = "backend: {dedicated_connections: 1}\n"}) {}
};

TEST_F(NoWatchTest, WithoutAConnectionNothingCanBeWatched) {
  watches();
  bench_client& other = bench_.connect();
  other.says("WATCH a:k");
  EXPECT_EQ(other.got(),
            "-ERR dualbus: all 1 connections to bus 'a' for blocking requests are in use "
            "(backend.dedicated_connections)\r\n");
}

}  // namespace
}  // namespace dualbus::operation::test
