// Transactions whose requests go to one bus as they are, in one piece, and whose array comes back as it is.

#include "support/exec_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;

class ExecPlainTest : public ExecTest {
 protected:
  using ExecTest::ExecTest;
};

TEST_F(ExecPlainTest, TheBusGetsEverythingInOnePieceOnTheSharedConnection) {
  transact({"SET a:k 1", "GET a:k"});
  EXPECT_EQ(a_.asked_bytes(),
            "*1\r\n$5\r\nMULTI\r\n"
            "*3\r\n$3\r\nSET\r\n$3\r\na:k\r\n$1\r\n1\r\n"
            "*2\r\n$3\r\nGET\r\n$3\r\na:k\r\n"
            "*1\r\n$4\r\nEXEC\r\n");
  EXPECT_EQ(a_.connections(), 1U);
  a_.answers_all({ok, queued, queued, "*2\r\n+OK\r\n$1\r\n1\r\n"});
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(bench_.outcomes("set", outcome::ok), 1U);
  EXPECT_EQ(bench_.outcomes("get", outcome::ok), 1U);
  EXPECT_EQ(bench_.outcomes("exec", outcome::ok), 1U);
}

TEST_F(ExecPlainTest, AcknowledgementsWaitForTheReplyThatIsNear) {
  client_.says("MULTI");
  client_.says("SET a:k 1");
  client_.says("EXEC");
  EXPECT_EQ(client_.got(), "");
  carries_out(a_, {"SET a:k 1"}, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
}

TEST_F(ExecPlainTest, LaterRequestsOfTheClientGoOnBehindIt) {
  transact({"SET a:k 1"});
  client_.says("GET a:k");
  EXPECT_THAT(a_.asked_all(), testing::ElementsAre("MULTI", "SET a:k 1", "EXEC", "GET a:k"));
  a_.answers_all({ok, queued, "*1\r\n+OK\r\n", "$1\r\n1\r\n"});
  EXPECT_EQ(client_.got(), "*1\r\n+OK\r\n$1\r\n1\r\n");
}

TEST_F(ExecPlainTest, IdsOfEntriesBearTheSlotOfTheBus) {
  transact({"XADD s * message_type b", "GET b:k", "XADD s * message_type b"});
  carries_out(b_, {"XADD s * message_type b", "GET b:k", "XADD s * message_type b"},
              "*3\r\n$15\r\n1700000000000-3\r\n$-1\r\n-ERR full\r\n");
  EXPECT_EQ(client_.got(), "*3\r\n$27\r\n1700000000000-2000000000003\r\n$-1\r\n-ERR full\r\n");
  EXPECT_EQ(client_.session().engine().messages_published, 1U);
  EXPECT_EQ(bench_.outcomes("xadd", outcome::ok), 1U);
  EXPECT_EQ(bench_.outcomes("xadd", outcome::redis_error), 1U);
}

TEST_F(ExecPlainTest, AnErrorOfOneRequestIsItsOwn) {
  transact({"INCR a:k", "GET a:k"});
  carries_out(a_, {"INCR a:k", "GET a:k"}, "*2\r\n-ERR value is not an integer\r\n$1\r\nx\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n-ERR value is not an integer\r\n$1\r\nx\r\n");
  EXPECT_EQ(bench_.outcomes("incr", outcome::redis_error), 1U);
}

TEST_F(ExecPlainTest, AHealthCheckThatWasQueuedByTheBusIsNotPassedOn) {
  transact({"GET a:k"});
  carries_out(a_, {"GET a:k"}, "*2\r\n$1\r\nx\r\n+PONG\r\n");
  EXPECT_EQ(client_.got(), "*1\r\n$1\r\nx\r\n");
}

TEST_F(ExecPlainTest, WhatTheBusDoesNotQueueEndsTheTransactionWithItsReason) {
  transact({"SET a:k 1", "GET a:k"});
  EXPECT_EQ(a_.asked_all().size(), 4U);
  a_.answers_all({ok, "-OOM command not allowed\r\n", queued, "-EXECABORT Transaction discarded.\r\n"});
  EXPECT_EQ(client_.got(), "-EXECABORT Transaction discarded because of: OOM command not allowed\r\n");
  EXPECT_EQ(bench_.outcomes("exec", outcome::redis_error), 1U);
}

TEST_F(ExecPlainTest, AnErrorOfExecAloneIsPassedOn) {
  transact({"GET a:k"});
  carries_out(a_, {"GET a:k"}, "-LOADING Redis is loading\r\n");
  EXPECT_EQ(client_.got(), "-LOADING Redis is loading\r\n");
}

TEST_F(ExecPlainTest, TheOutcomeIsUnknownIfTheConnectionIsLost) {
  transact({"SET a:k 1"});
  a_.asked_all();
  a_.closes_all();
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(bench_.outcomes("exec", outcome::bus_lost), 1U);
}

TEST_F(ExecPlainTest, ABusThatDoesNotAnswerIsNotWaitedForForEver) {
  transact({"SET a:k 1"});
  a_.asked_all();
  bench_.pass(5100ms);
  EXPECT_EQ(client_.got(),
            "-BUSTIMEOUT bus 'a': no answer within 5000 ms after the command was sent, outcome unknown\r\n");
}

TEST_F(ExecPlainTest, WithoutABusNothingIsSent) {
  a_.goes_away();
  bench_.run();
  transact({"SET a:k 1"});
  bench_.pass(1100ms);
  EXPECT_EQ(client_.got(), "-BUSDOWN bus 'a' is unreachable: command not sent\r\n");
  EXPECT_EQ(bench_.outcomes("exec", outcome::bus_down), 1U);
}

class FewBytesWaitTest : public ExecPlainTest {
 protected:
  FewBytesWaitTest()
      : ExecPlainTest({.settings = "backend: {reconnect_wait_bytes: 64kb}\n", .connected = false}) {}
};

TEST_F(FewBytesWaitTest, ATransactionForWhichTooMuchWaitsAlreadyIsRefusedAtOnce) {
  bench_client& other = bench_.connect();
  other.says("SET a:k " + std::string(70'000, 'x'));
  bench_.run();
  transact({"SET a:k 1"});
  EXPECT_EQ(client_.got(), "-BUSDOWN bus 'a' is unreachable: command not sent\r\n");
}

TEST_F(ExecPlainTest, ATransactionIsCarriedOutThoughItsClientHasGone) {
  transact({"SET a:k 1"});
  EXPECT_EQ(a_.asked_all().size(), 3U);
  client_.session().close(metrics::close_reason::killed);
  a_.answers_all({ok, queued, "*1\r\n+OK\r\n"});
  bench_.run();
  EXPECT_EQ(client_.find(), nullptr);
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
  EXPECT_EQ(bench_.pools.blocks.in_use(), 0U);
}

TEST_F(ExecPlainTest, ATransactionThatThereIsNoMemoryForIsNotSent) {
  transact({"SET a:k " + std::string(300'000, 'x')});
  {
    const short_of_memory here(200'000);
    bench_.run();
  }
  EXPECT_EQ(
      client_.got(),
      "-OOM command not allowed when used memory is near 'limits.memory' of dualbusd: it was not sent\r\n");
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(ExecPlainTest, AClientWhoseReplyThereIsNoMemoryForIsClosed) {
  transact({"GET a:k"});
  carries_out(a_, {"GET a:k"}, "*1\r\n" + bulk(std::string(100'000, 'x')));
  {
    const short_of_memory here(90'000);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(ExecPlainTest, AnEmptyTransactionAsksNoBus) {
  transact({});
  EXPECT_EQ(client_.got(), "*0\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(ExecPlainTest, ARequestThatWasRefusedSpoilsTheTransaction) {
  client_.says("MULTI");
  client_.says("SET a:k 1");
  client_.says("SINTER a:k b:k");
  EXPECT_THAT(client_.got(), testing::StartsWith("+OK\r\n+QUEUED\r\n-CROSSBUS "));
  client_.says("EXEC");
  EXPECT_EQ(client_.got(), "-EXECABORT Transaction discarded because of previous errors.\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(ExecPlainTest, ATransactionThatTakesTooMuchMemoryIsRefused) {
  bench_.handler.most_queued = 1000;
  client_.says("MULTI");
  client_.says("SET a:k " + std::string(1000, 'x'));
  EXPECT_EQ(client_.got(), "+OK\r\n-ERR refused\r\n");
  client_.says("DISCARD");
  EXPECT_EQ(client_.got(), ok);
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(ExecPlainTest, WhatItChangesIsUnderWayUntilItIsAnswered) {
  EXPECT_EQ(bench_.changes.of("a:k", 0).unfinished, 0U);
  transact({"SET a:k 1", "APPEND a:k 2"});
  bench_.run();
  EXPECT_EQ(bench_.changes.of("a:k", 0).unfinished, 1U);
  carries_out(a_, {"SET a:k 1", "APPEND a:k 2"}, "*2\r\n+OK\r\n:2\r\n");
  bench_.run();
  EXPECT_EQ(bench_.changes.of("a:k", 0).unfinished, 0U);
}

}  // namespace
}  // namespace dualbus::operation::test
