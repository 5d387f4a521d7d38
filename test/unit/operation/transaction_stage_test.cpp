// Transactions that are played: what each bus gets of them, and what the daemon does itself.

#include "support/exec_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

class StageTest : public ExecTest {
 protected:
  explicit StageTest(bench_options options = {.settings = "databases: 4\n"}) : ExecTest(std::move(options)) {}

  /// Begins a transaction with requests that cannot be plain.
  void begin() {
    client_.says("MULTI");
    EXPECT_EQ(client_.got(), ok);
  }
};

TEST_F(StageTest, ARequestThatIsNotPlainIsPlayedAndSentInOnePieceAllTheSame) {
  begin();
  client_.sends("set a:k 1\r\n");
  client_.says("EXEC");
  EXPECT_EQ(a_.asked_bytes(),
            "*1\r\n$5\r\nMULTI\r\n"
            "*3\r\n$3\r\nset\r\n$3\r\na:k\r\n$1\r\n1\r\n"
            "*1\r\n$4\r\nEXEC\r\n");
  EXPECT_EQ(a_.connections(), 1U);
  a_.answers_all({ok, queued, "*1\r\n+OK\r\n"});
  EXPECT_EQ(client_.got(), "+QUEUED\r\n*1\r\n+OK\r\n");
}

TEST_F(StageTest, EachReplyOfTheArrayGoesToItsRequest) {
  begin();
  client_.sends("set a:k 1\r\n");
  client_.sends("xadd a:s * f v\r\n");
  client_.says("EXEC");
  carries_out(a_, {"set a:k 1", "xadd a:s * f v"}, "*2\r\n-ERR one\r\n$3\r\n1-0\r\n");
  EXPECT_EQ(client_.got(), "+QUEUED\r\n+QUEUED\r\n*2\r\n-ERR one\r\n$3\r\n1-0\r\n");
  EXPECT_EQ(bench_.outcomes("set", outcome::redis_error), 1U);
}

TEST_F(StageTest, TheFirstRoundOfAnOperationIsAPartOfItAndLaterOnesGoToTheBuses) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    EXPECT_TRUE(op.one_round_);
    op.send(0, first_request);
    const scripted_operation::parts one = co_await op.round();
    op.send(1, second_request);
    const scripted_operation::parts two = co_await op.round();
    op.answer(outcome::ok,
              [&](resp::encoder& out, base::chunk_queue&) { out.bulk(one[0].reply + two[0].reply); });
  });
  transact({"XLEN s"});
  carries_out(a_, {"FIRST"}, "*1\r\n:1\r\n");
  EXPECT_EQ(b_.asked(), "SECOND");
  b_.answers(":2\r\n");
  EXPECT_EQ(client_.got(), "*1\r\n$8\r\n:1\r\n:2\r\n\r\n");
}

TEST_F(StageTest, NothingOfATransactionThatWasNotCarriedOutIsAnsweredButExec) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    const scripted_operation::parts one = co_await op.round();
    EXPECT_EQ(one[0].reply, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    op.answer_error(one);
  });
  transact({"XLEN s", "SET a:k 1"});
  carries_out(a_, {"FIRST", "SET a:k 1"}, "-EXECABORT no\r\n");
  EXPECT_EQ(client_.got(), "-EXECABORT no\r\n");
  EXPECT_EQ(operations(), 0);
}

// ------------------------------------------------------------------------------- what the daemon does itself

TEST_F(StageTest, WhatTheDaemonAnswersItselfHasItsPlaceInTheArray) {
  transact({"SET a:k 1", "PING", "GET a:k"});
  EXPECT_EQ(client_.got(), "");
  carries_out(a_, {"SET a:k 1", "GET a:k"}, "*2\r\n+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(client_.got(), "*3\r\n+OK\r\n+PONG\r\n$1\r\n1\r\n");
}

TEST_F(StageTest, WhatTheDaemonAnswersItselfIsDoneOnlyWhenTheBusHasDoneItsPart) {
  int done = 0;
  bench_.handler.on("ping", [&done](session& client, routed_request& request) {
    ++done;
    client.answer(request, outcome::ok, [](resp::encoder& out) { out.status("DONE"); });
  });
  transact({"SET a:k 1", "PING"});
  bench_.run();
  EXPECT_EQ(done, 0);
  carries_out(a_, {"SET a:k 1"}, "*-1\r\n");
  EXPECT_EQ(client_.got(), "*-1\r\n");
  EXPECT_EQ(done, 0);
  transact({"PING"});
  EXPECT_EQ(client_.got(), "*1\r\n+DONE\r\n");
}

TEST_F(StageTest, LaterRequestsWaitForWhatTheDaemonDoesItself) {
  transact({"SET a:k 1", "PING"});
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked_all().size(), 3U);
  a_.answers_all({ok, queued, "*1\r\n+OK\r\n"});
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(StageTest, AClientThatEndsItselfInATransactionIsGone) {
  bench_.handler.on("ping",
                    [](session& client, routed_request&) { client.close(metrics::close_reason::killed); });
  transact({"SET a:k 1", "PING", "PING"});
  carries_out(a_, {"SET a:k 1"}, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
}

TEST_F(StageTest, WhatTheDaemonFindsNoMemoryForEndsTheClient) {
  bench_.handler.on("ping", [](session&, routed_request&) { throw std::bad_alloc(); });
  transact({"SET a:k 1", "PING"});
  carries_out(a_, {"SET a:k 1"}, "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "(closed)");
}

// ------------------------------------------------------------------------------------------------- databases

TEST_F(StageTest, ASelectGoesInFrontOfTheRequestsOfAnotherDatabaseAndTheBusShowsFirstThatItHasIt) {
  transact({"SET a:k 1", "SELECT 2", "SET a:k 2", "SELECT 0", "GET a:k"});
  EXPECT_THAT(a_.asked_all(), ElementsAre("SELECT 2", "SELECT 0", "MULTI", "SET a:k 1", "SELECT 2",
                                          "SET a:k 2", "SELECT 0", "GET a:k"));
  a_.answers_all({ok, ok, ok, queued, queued, queued, queued, queued});
  EXPECT_EQ(a_.asked(), "EXEC");
  a_.answers("*5\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(client_.got(), "*5\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n");
  // The connection goes back in the database that it says.
  EXPECT_EQ(a_.asked(), "SELECT 0");
  EXPECT_EQ(client_.session().database(), 0);
}

TEST_F(StageTest, TheClientStaysInTheDatabaseThatItHasChosen) {
  transact({"SELECT 3"});
  EXPECT_EQ(client_.got(), "*1\r\n+OK\r\n");
  EXPECT_EQ(client_.session().database(), 3);
}

TEST_F(StageTest, ABusThatLacksADatabaseIsNotSentExecAndTheClientStaysWhereItWas) {
  transact({"SELECT 2", "SET a:k 2"});
  EXPECT_THAT(a_.asked_all(), ElementsAre("SELECT 2", "SELECT 0", "MULTI", "SELECT 2", "SET a:k 2"));
  a_.answers_all({"-ERR DB index is out of range\r\n", ok, ok, queued, queued});
  EXPECT_EQ(client_.got(), "-EXECABORT Transaction discarded because of: ERR DB index is out of range\r\n");
  EXPECT_EQ(client_.session().database(), 0);
  EXPECT_THAT(a_.asked_all(), ElementsAre("DISCARD", "SELECT 0"));
}

class OtherDatabaseTest : public StageTest {
 protected:
  OtherDatabaseTest() : StageTest({.buses = {"a, database: 5", "b"}, .settings = "databases: 4\n"}) {}
};

TEST_F(OtherDatabaseTest, DatabasesAreCountedFromTheFirstOneOfTheBus) {
  transact({"SELECT 2", "SET a:k 2"});
  EXPECT_THAT(a_.asked_all(), ElementsAre("SELECT 7", "SELECT 5", "MULTI", "SELECT 7", "SET a:k 2"));
}

TEST_F(OtherDatabaseTest, ARequestOfAnotherDatabaseHasAConnectionForIt) {
  client_.says("SELECT 2");
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
  EXPECT_EQ(a_.times("SELECT 5"), 1U);
  EXPECT_EQ(a_.times("SELECT 7"), 1U);
}

// ---------------------------------------------------------------------------------------- rights and routing

TEST_F(StageTest, ARightThatWasLostIsAnsweredInTheArray) {
  client_.says("MULTI");
  client_.says("SET a:k 1");
  client_.sends("get a:k\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
  bench_.reload("");
  bench_.handler.denied_at_exec["set"] = "NOPERM no SET for you";
  client_.says("EXEC");
  carries_out(a_, {"get a:k"}, "*1\r\n$-1\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n-NOPERM no SET for you\r\n$-1\r\n");
  EXPECT_TRUE(bench_.handler.asked_for_rights);
}

TEST_F(StageTest, RightsAreNotAskedForAgainIfNothingHasChanged) {
  begin();
  client_.sends("get a:k\r\n");
  client_.says("EXEC");
  bench_.run();
  EXPECT_FALSE(bench_.handler.asked_for_rights);
}

TEST_F(StageTest, AReloadThatMovesAKeyAwayFromTheOthersEndsTheTransaction) {
  client_.says("MULTI");
  client_.says("SET x 1");
  client_.says("SET y 1");
  EXPECT_EQ(client_.got(), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
  bench_.reload("routing: {default_bus: a, keys: [{match: y, bus: b}]}\n");
  client_.says("EXEC");
  EXPECT_EQ(client_.got(),
            "-EXECABORT Transaction discarded because of: ERR dualbus: the routing was changed\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(StageTest, AReloadThatMovesNothingDoesNotEndTheTransaction) {
  client_.says("MULTI");
  client_.says("SET x 1");
  bench_.run();
  bench_.reload("");
  client_.says("SET y 1");
  client_.says("EXEC");
  carries_out(a_, {"SET x 1", "SET y 1"}, "*2\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n");
}

TEST_F(StageTest, ARequestThatThereIsNoMemoryToPlayEndsTheClientAndSendsNothing) {
  bench_.handler.on("xlen", [](session&, routed_request& request) {
    request.out.requests(0, resp::protocol::resp2, 0).begin().append("*1\r\n$4\r\nHA");
    throw std::bad_alloc();
  });
  transact({"SET a:k 1", "XLEN s", "SET a:k 2"});
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(bench_.pools.operations.in_use(), 0U);
  bench_client& other = bench_.connect();
  transact(other, {"XLEN s"});
  other.got();
  bench_client& third = bench_.connect();
  third.says("MULTI");
  third.sends("get a:k\r\n");
  third.says("EXEC");
  carries_out(a_, {"get a:k"}, "*1\r\n$-1\r\n");  // none of the pieces is in front
}

}  // namespace
}  // namespace dualbus::operation::test
