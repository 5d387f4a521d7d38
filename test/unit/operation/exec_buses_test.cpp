// Transactions over several buses: queued everywhere, then carried out everywhere, or nowhere.

#include "support/exec_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

const std::string because = "-EXECABORT Transaction discarded because of: ";

class ExecBusesTest : public ExecTest {
 protected:
  explicit ExecBusesTest(bench_options options = {}) : ExecTest(std::move(options)) {}

  /// One part for each bus, of which nothing is queued yet.
  void transact_over_both() { transact({"SET a:k 1", "SET b:k 2"}); }
  void queued_by_both() {
    transact_over_both();
    queues(a_, {"SET a:k 1"});
    queues(b_, {"SET b:k 2"});
  }
};

TEST_F(ExecBusesTest, ExecIsSentWhenEveryBusHasQueuedItsPart) {
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  EXPECT_EQ(a_.asked(), "(nothing)");
  queues(b_, {"SET b:k 2"});
  executes(a_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "");
  executes(b_, "*1\r\n$1\r\n2\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n$1\r\n2\r\n");
  EXPECT_EQ(a_.connections(), 2U);
  EXPECT_EQ(bench_.outcomes("exec", outcome::ok), 1U);
}

TEST_F(ExecBusesTest, ItsConnectionsServeTheNextOne) {
  queued_by_both();
  executes(a_, "*1\r\n+OK\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n+OK\r\n");
  queued_by_both();
  executes(a_, "*1\r\n+OK\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(a_.connections(), 2U);
}

TEST_F(ExecBusesTest, EarlierRequestsAreAnsweredFirstAndLaterOnesWait) {
  client_.says("GET a:k");
  client_.says("MULTI");
  client_.says("SET a:k 1");
  client_.says("SET b:k 2");
  client_.says("EXEC");
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
  EXPECT_EQ(a_.asked(), "(nothing)");
  a_.answers("$-1\r\n");
  queues(a_, {"SET a:k 1"});
  queues(b_, {"SET b:k 2"});
  executes(a_, "*1\r\n+OK\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(ExecBusesTest, IfOneBusDoesNotQueueEverythingNoneGetsExec) {
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  EXPECT_EQ(b_.asked_all().size(), 2U);
  b_.answers_all({ok, "-OOM command not allowed\r\n"});
  EXPECT_EQ(client_.got(), because + "OOM command not allowed\r\n");
  EXPECT_EQ(a_.asked(), "DISCARD");
  EXPECT_EQ(b_.asked(), "DISCARD");
  EXPECT_EQ(bench_.outcomes("exec", outcome::refused), 1U);
  EXPECT_EQ(bench_.outcomes("set", outcome::ok), 0U);
  EXPECT_EQ(client_.got(), "");
}

TEST_F(ExecBusesTest, ABusThatIsLostWhileItQueuesEndsTheTransaction) {
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  b_.asked_all();
  b_.closes(b_.last().from);
  EXPECT_EQ(client_.got(), because + "BUSLOST bus 'b': connection lost after the command was sent\r\n");
}

TEST_F(ExecBusesTest, ABusThatWasLostSinceItQueuedEndsTheTransaction) {
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  bench_.run();
  a_.closes(a_.last().from);
  bench_.run();
  queues(b_, {"SET b:k 2"});
  EXPECT_EQ(client_.got(), because + "BUSDOWN bus 'a' is unreachable: command not sent\r\n");
  EXPECT_EQ(b_.asked(), "DISCARD");
}

TEST_F(ExecBusesTest, ABusThatDoesNotQueueInTimeEndsTheTransaction) {
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  b_.asked_all();
  bench_.pass(5100ms);
  EXPECT_EQ(client_.got(),
            because + "BUSTIMEOUT bus 'b': no answer within 5000 ms after the command was sent\r\n");
  EXPECT_EQ(b_.connections(), 1U);
}

TEST_F(ExecBusesTest, ABusThatIsAwayEndsTheTransaction) {
  b_.goes_away();
  bench_.run();
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  bench_.pass(1100ms);
  EXPECT_EQ(client_.got(), because + "BUSDOWN bus 'b' is unreachable: command not sent\r\n");
}

TEST_F(ExecBusesTest, ABusThatIsLostWithExecAnswersItsRequestsWithThat) {
  queued_by_both();
  executes(a_, "*1\r\n+OK\r\n");
  EXPECT_EQ(b_.asked(), "EXEC");
  b_.closes(b_.last().from);
  EXPECT_EQ(client_.got(),
            "*2\r\n+OK\r\n-BUSLOST bus 'b': connection lost after the command was sent, outcome unknown\r\n");
}

TEST_F(ExecBusesTest, ABusThatDoesNotCarryOutInTimeAnswersItsRequestsWithThat) {
  queued_by_both();
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(a_.asked(), "EXEC");
  bench_.pass(5100ms);
  EXPECT_EQ(
      client_.got(),
      "*2\r\n-BUSTIMEOUT bus 'a': no answer within 5000 ms after the command was sent, outcome unknown\r\n"
      "+OK\r\n");
}

// --- without memory

const std::string oom =
    "OOM command not allowed when used memory is near 'limits.memory' of dualbusd: it was not sent\r\n";

TEST_F(ExecBusesTest, ATransactionThatCannotBeReadForLackOfMemoryClosesItsClient) {
  std::string keys;
  for (int i = 0; i < 20'000; ++i) keys += " k";
  transact({"DEL" + keys});
  {
    const short_of_memory here(200'000);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(ExecBusesTest, RequestsThatThereIsNoMemoryToCollectEndWithTheirClient) {
  constexpr std::size_t count = 5000;
  const auto transacts = [&](bench_client& client) {
    std::string all = encoded("MULTI") + encoded("SET b:k 1");
    for (std::size_t i = 0; i < count; ++i) all += encoded("SET a:k 1");
    client.sends(all);
    EXPECT_THAT(client.got(), testing::EndsWith(queued));
    client.says("EXEC");
  };
  bench_.handler.most_queued = std::size_t{1} << 30;
  bench_client& other = bench_.connect();
  transacts(other);  // after that, the stage has the memory that it needs
  EXPECT_EQ(a_.asked_all().size(), count + 1);
  a_.closes(a_.last().from);
  b_.asked_all();
  b_.closes(b_.last().from);
  EXPECT_THAT(other.got(), testing::StartsWith(because));
  transacts(client_);
  {
    const short_of_memory here(70'000);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
  EXPECT_EQ(bench_.forwarder.used_bytes(), 0U);
  transact(other, {"SET a:k 2", "SET b:k 2"});  // and nothing of it gets into the next one
  queues(a_, {"SET a:k 2"});
  queues(b_, {"SET b:k 2"});
}

TEST_F(ExecBusesTest, APartThatThereIsNoMemoryToAskAboutEndsTheTransaction) {
  transact({"SET a:k 1", "DEL k"});
  {
    const last_chunks here(bench_.exec.request_chunks, 2);  // for the parts themselves
    bench_.run();
  }
  EXPECT_EQ(client_.got(), because + oom);
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(ExecBusesTest, APartThatThereIsNoMemoryForEndsTheTransaction) {
  const std::string value(1000, 'x');
  transact({"SET a:k " + value, "SET b:k 2"});
  {
    const last_chunks here(bench_.exec.request_chunks, 3);  // for the parts, and for one more MULTI
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "");
  EXPECT_EQ(b_.asked(), "(nothing)");
  queues(a_, {"SET a:k " + value});
  EXPECT_EQ(client_.got(), because + oom);
  EXPECT_EQ(a_.asked(), "DISCARD");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(ExecBusesTest, IfThereIsNoMemoryForExecOnOneBusNoneGetsIt) {
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  EXPECT_THAT(b_.asked_all(), ElementsAre("MULTI", "SET b:k 2"));
  const int of_b = b_.last().from;
  b_.answers_all({ok, queued});
  {
    const last_chunks here(bench_.exec.request_chunks, 1);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), because + oom);
  EXPECT_EQ(a_.asked(), "DISCARD");
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_FALSE(b_.has(of_b));  // for which there was no memory to discard
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(ExecBusesTest, AnErrorOfExecOnOneBusIsTheAnswerToItsRequests) {
  queued_by_both();
  executes(a_, "-EXECABORT Transaction discarded\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n-EXECABORT Transaction discarded\r\n+OK\r\n");
}

TEST_F(ExecBusesTest, ABusThatCarriesNothingOutAnswersItsRequestsWithAnError) {
  queued_by_both();
  executes(a_, "*-1\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n-EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n");
}

TEST_F(ExecBusesTest, ATransactionGoesOnThoughItsClientHasGone) {
  transact_over_both();
  queues(a_, {"SET a:k 1"});
  b_.asked_all();
  client_.session().close(metrics::close_reason::killed);
  b_.answers_all({ok, queued});
  executes(a_, "*1\r\n+OK\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  bench_.run();
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(ExecBusesTest, ATransactionThatEndsWithoutItsClientIsFreed) {
  transact_over_both();
  a_.asked_all();
  b_.asked_all();
  client_.session().close(metrics::close_reason::killed);
  a_.closes_all();
  b_.closes_all();
  bench_.run();
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
  EXPECT_EQ(bench_.pools.blocks.in_use(), 0U);
}

// --------------------------------------------------------------------------------------- too few connections

class OneLinkTest : public ExecBusesTest {
 protected:
  OneLinkTest() : ExecBusesTest({.settings = "backend: {dedicated_connections: 1}\ndatabases: 4\n"}) {}

  bench_client& second_ = bench_.connect();
};

TEST_F(OneLinkTest, ATransactionThatLacksConnectionsWaitsItsTurn) {
  queued_by_both();
  transact(second_, {"SET a:k 3", "SET b:k 4"});
  EXPECT_EQ(a_.asked(), "EXEC");
  a_.answers("*1\r\n+OK\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n+OK\r\n");
  queues(a_, {"SET a:k 3"});
  queues(b_, {"SET b:k 4"});
  executes(a_, "*1\r\n+OK\r\n");
  executes(b_, "*1\r\n+OK\r\n");
  EXPECT_EQ(second_.got(), "*2\r\n+OK\r\n+OK\r\n");
}

TEST_F(OneLinkTest, WhatItHasOfItsConnectionsIsGivenBackWhileItWaits) {
  transact({"SELECT 1", "SET b:k 2"});  // on a connection of b alone
  EXPECT_THAT(b_.asked_all(), ElementsAre("SELECT 1", "SELECT 0", "MULTI", "SELECT 1", "SET b:k 2"));
  transact(second_, {"SET a:k 3", "SET b:k 4"});
  bench_.run();
  bench_client& third = bench_.connect();
  transact(third, {"SELECT 1", "SET a:k 5"});
  EXPECT_EQ(a_.asked(), "(nothing)");  // behind the second one
  bench_.pass(5100ms);
  const std::string in_use =
      "ERR dualbus: all 1 connections to bus 'b' for blocking requests are in use "
      "(backend.dedicated_connections)\r\n";
  EXPECT_THAT(client_.got(), testing::StartsWith(because + "BUSTIMEOUT bus 'b'"));
  EXPECT_EQ(second_.got(), because + in_use);
}

TEST_F(OneLinkTest, AtTheEndOfTheWorkerThoseThatWaitAreEnded) {
  queued_by_both();
  transact(second_, {"SET a:k 3", "SET b:k 4"});
  bench_.run();
  EXPECT_TRUE(bench_.links.anybody_waits());
  bench_.links.stop();
  EXPECT_FALSE(bench_.links.anybody_waits());
  EXPECT_THAT(second_.got(), testing::StartsWith(because + "ERR dualbus: all 1 connections to bus 'a'"));
}

class NoLinkTest : public ExecBusesTest {
 protected:
  NoLinkTest() : ExecBusesTest({.settings = "backend: {dedicated_connections: 0}\n"}) {}
};

TEST_F(NoLinkTest, WithoutConnectionsATransactionOverSeveralBusesIsRefused) {
  transact_over_both();
  EXPECT_EQ(client_.got(), because +
                               "ERR dualbus: all 0 connections to bus 'a' for blocking requests are in use "
                               "(backend.dedicated_connections)\r\n");
}

// ----------------------------------------------------------------------------------- what does nothing there

class ExecSurveyTest : public ExecBusesTest {
 protected:
  using ExecBusesTest::ExecBusesTest;
  explicit ExecSurveyTest(bench_options options = {}) : ExecBusesTest(std::move(options)) {}

  /// Both are asked whether they have the keys, and answer so.
  void asked_for_keys(const std::string& request, std::string_view of_a, std::string_view of_b) {
    EXPECT_EQ(a_.asked(), request);
    EXPECT_EQ(b_.asked(), request);
    a_.answers(of_a);
    b_.answers(of_b);
  }
};

TEST_F(ExecSurveyTest, ABusWithoutTheKeysHasNoPartInATransactionAboutWholeKeys) {
  transact({"DEL s", "EXPIRE s 10"});
  asked_for_keys("EXISTS s s", ":2\r\n", ":0\r\n");
  carries_out(a_, {"DEL s", "EXPIRE s 10"}, "*2\r\n:1\r\n:0\r\n");
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_EQ(client_.got(), "*2\r\n:1\r\n:0\r\n");
  EXPECT_EQ(a_.connections(), 1U);
}

TEST_F(ExecSurveyTest, IfNoBusHasTheKeysNoneIsAskedForMore) {
  transact({"DEL s"});
  asked_for_keys("EXISTS s", ":0\r\n", ":0\r\n");
  EXPECT_EQ(client_.got(), "*1\r\n:0\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(ExecSurveyTest, IfSeveralBusesHaveTheKeysTheyCarryItOutTogether) {
  transact({"DEL s"});
  asked_for_keys("EXISTS s", ":1\r\n", "-LOADING error\r\n");
  queues(a_, {"DEL s"});
  queues(b_, {"DEL s"});
  executes(a_, "*1\r\n:1\r\n");
  executes(b_, "*1\r\n:1\r\n");
  EXPECT_EQ(client_.got(), "*1\r\n:2\r\n");
}

TEST_F(ExecSurveyTest, APartThatDoesMoreIsSureToDoSomething) {
  transact({"SET a:k 1", "DEL s"});
  EXPECT_EQ(b_.asked(), "EXISTS s");
  EXPECT_EQ(a_.asked(), "(nothing)");
  b_.answers(":0\r\n");
  carries_out(a_, {"SET a:k 1", "DEL s"}, "*2\r\n+OK\r\n:1\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n:1\r\n");
}

TEST_F(ExecSurveyTest, APartAboutSeveralKeysAtOnceIsCarriedOut) {
  transact({"DEL s t"});
  queues(a_, {"DEL s t"});
  queues(b_, {"DEL s t"});
}

TEST_F(ExecSurveyTest, ABusThatIsLostWhileItIsAskedEndsTheTransaction) {
  transact({"DEL s"});
  EXPECT_EQ(a_.asked(), "EXISTS s");
  EXPECT_EQ(b_.asked(), "EXISTS s");
  a_.answers(":0\r\n");
  b_.closes_all();
  EXPECT_EQ(client_.got(), because + "BUSLOST bus 'b': connection lost after the command was sent\r\n");
}

TEST_F(ExecSurveyTest, APartThatTheDaemonAnswersIsNotAnsweredIfTheRestFails) {
  transact({"DEL s"});
  asked_for_keys("EXISTS s", ":1\r\n", ":0\r\n");
  EXPECT_EQ(a_.asked_all().size(), 3U);
  a_.closes_all();
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
}

TEST_F(ExecSurveyTest, ASurveyOfAClientThatHasGoneIsFollowedByTheRest) {
  transact({"DEL s"});
  EXPECT_EQ(a_.asked(), "EXISTS s");
  EXPECT_EQ(b_.asked(), "EXISTS s");
  client_.session().close(metrics::close_reason::killed);
  a_.answers(":1\r\n");
  b_.answers(":0\r\n");
  carries_out(a_, {"DEL s"}, "*1\r\n:1\r\n");
  bench_.run();
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

class ThreeBusesSurveyTest : public ExecSurveyTest {
 protected:
  ThreeBusesSurveyTest() : ExecSurveyTest({.buses = {"a", "b", "c"}, .settings = {}}) {}
};

TEST_F(ThreeBusesSurveyTest, NobodyIsAskedIfTwoPartsAreSureToDoSomething) {
  transact({"SET a:k 1", "SET b:k 2", "DEL s"});
  queues(a_, {"SET a:k 1", "DEL s"});
  queues(b_, {"SET b:k 2", "DEL s"});
  queues(bench_.c(), {"DEL s"});
}

class SurveyWithoutBusTest : public ExecSurveyTest {
 protected:
  SurveyWithoutBusTest()
      : ExecSurveyTest({.settings = "backend: {reconnect_wait_bytes: 64kb}\n", .connected = false}) {}
};

TEST_F(SurveyWithoutBusTest, ABusThatCannotBeAskedEndsTheTransaction) {
  bench_client& other = bench_.connect();
  other.says("SET a:k " + std::string(70'000, 'x'));
  other.says("SET b:k " + std::string(70'000, 'x'));
  bench_.run();
  transact({"DEL s"});
  EXPECT_EQ(client_.got(), because + "BUSDOWN bus 'a' is unreachable: command not sent\r\n");
}

}  // namespace
}  // namespace dualbus::operation::test
