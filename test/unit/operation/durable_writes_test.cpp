// Writes that are answered when replicas have them, and the order of a client's requests around them (T5).

#include "support/worker_bench.hpp"

#include <string>
#include <vector>

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

constexpr std::string_view durable_add = "XADD a:s * message_type order";
constexpr std::string_view plain_add = "XADD a:s * message_type quote";
constexpr std::string_view wait = "WAIT 1 50";

class DurableWritesTest : public WorkerTest {
 protected:
  explicit DurableWritesTest(const std::string& types = ", types: [order, \"risk_*\"]")
      : WorkerTest({.buses = {"a, acknowledge: {replicas: 1" + types + "}", "b"}}) {}

  std::vector<std::string> asked() { return a_.asked_all(); }
  void answers(const std::vector<std::string>& replies) { a_.answers_all(replies); }
  /// The connection that a request of this client takes when nothing is under way.
  int shared_connection() {
    bench_client& other = bench_.connect();
    other.says("GET a:any");
    EXPECT_EQ(a_.asked(), "GET a:any");
    const int number = a_.last().from;
    a_.answers("$-1\r\n");
    other.got();
    return number;
  }
};

TEST_F(DurableWritesTest, T5AnEntryIsAnsweredWhenAReplicaHasIt) {
  client_.says(durable_add);
  EXPECT_THAT(asked(), ElementsAre(durable_add, wait));
  answers({bulk("5-1"), ":1\r\n"});
  EXPECT_EQ(client_.got(), bulk("5-1"));
  EXPECT_EQ(bench_.outcomes("xadd", outcome::ok), 1U);
  EXPECT_EQ(bench_.figures(0).confirmed_writes, 1U);
  EXPECT_EQ(client_.session().engine().messages_published, 1U);
}

TEST_F(DurableWritesTest, T5ItsAnswerIsHeldUntilThen) {
  client_.says(durable_add);
  EXPECT_EQ(a_.asked(), durable_add);
  a_.answers(bulk("5-1"));
  EXPECT_EQ(client_.got(), "");
  EXPECT_EQ(a_.asked(), wait);
  a_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), bulk("5-1"));
}

TEST_F(DurableWritesTest, T5AnUnconfirmedEntryIsAnErrorWithItsId) {
  client_.says(durable_add);
  asked();
  answers({bulk("5-1"), ":0\r\n"});
  EXPECT_EQ(client_.got(),
            "-UNCONFIRMED stored on bus 'a' as 5-1: 0 of 1 replicas confirmed within 50 ms\r\n");
  client_.says("XADD s * message_type risk_x");  // a stream over several buses: bus a has slot 1
  asked();
  answers({bulk("5-2"), ":0\r\n"});
  EXPECT_EQ(client_.got(),
            "-UNCONFIRMED stored on bus 'a' as 5-1000000000002: 0 of 1 replicas confirmed within 50 ms\r\n");
  EXPECT_EQ(bench_.outcomes("xadd", outcome::unconfirmed), 2U);
  EXPECT_EQ(bench_.figures(0).unconfirmed, 2U);
}

TEST_F(DurableWritesTest, OtherTypesAndOtherBusesDoNotWait) {
  const int shared = shared_connection();
  for (const std::string_view request : {plain_add, std::string_view("SET a:k v")}) {
    client_.says(request);
    EXPECT_THAT(asked(), ElementsAre(request));
    EXPECT_EQ(a_.last().from, shared);
    answers({"+OK\r\n"});
    EXPECT_EQ(client_.got(), "+OK\r\n");
  }
  client_.says("XADD b:s * message_type order");
  EXPECT_EQ(b_.asked(), "XADD b:s * message_type order");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(DurableWritesTest, AnErrorIsPassedOnAtOnce) {
  client_.says(durable_add);
  EXPECT_EQ(a_.asked(), durable_add);
  a_.answers("-WRONGTYPE no stream\r\n");
  EXPECT_EQ(client_.got(), "-WRONGTYPE no stream\r\n");
}

TEST_F(DurableWritesTest, TheNextGroupGoesWhenTheOneBeforeItIsConfirmed) {
  bench_client& other = bench_.connect();
  client_.says(durable_add);
  asked();
  other.says(durable_add);
  client_.says(durable_add);
  bench_.run();
  answers({bulk("1-1"), ":1\r\n"});
  EXPECT_EQ(client_.got(), bulk("1-1"));
  EXPECT_THAT(asked(), ElementsAre(durable_add, durable_add, wait));
  answers({bulk("1-2"), bulk("1-3"), ":0\r\n"});
  EXPECT_TRUE(other.got().starts_with("-UNCONFIRMED "));
  EXPECT_TRUE(client_.got().starts_with("-UNCONFIRMED "));
  EXPECT_EQ(bench_.figures(0).confirmations, 1U);
}

TEST_F(DurableWritesTest, T5AWriteWhoseConnectionIsLostIsLost) {
  client_.says(durable_add);
  asked();
  const int connection = a_.last().from;
  a_.answer({connection, a_.last().number - 1, {}, {}}, bulk("5-1"));
  EXPECT_EQ(client_.got(), "");
  a_.closes(connection);
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(DurableWritesTest, AClientThatGoesLeavesNothingBehind) {
  client_.says(durable_add);
  asked();
  client_.closes();
  bench_.run();
  answers({bulk("5-1"), ":0\r\n"});
  bench_.run();
  EXPECT_EQ(bench_.forwarder.used_bytes(), 0U);
}

// ------------------------------------------------------------------------------------------------ the order

TEST_F(DurableWritesTest, T5ARequestBehindADurableWriteGoesOverTheSameConnection) {
  client_.says(durable_add);
  client_.says("XLEN a:s");
  client_.says(plain_add);
  EXPECT_THAT(asked(), ElementsAre(durable_add, "XLEN a:s", plain_add, wait));
  answers({bulk("5-1"), ":1\r\n", bulk("5-2"), ":1\r\n"});
  EXPECT_EQ(client_.got(), bulk("5-1") + ":1\r\n" + bulk("5-2"));
}

TEST_F(DurableWritesTest, T5OnceTheBusHasAnsweredRequestsGoTheirUsualWay) {
  const int shared = shared_connection();
  client_.says(durable_add);
  EXPECT_EQ(a_.asked(), durable_add);
  a_.answers(bulk("5-1"));
  EXPECT_EQ(a_.asked(), wait);
  const fake_bus::request asked_to_wait = a_.last();
  client_.says("XLEN a:s");
  EXPECT_EQ(a_.asked(), "XLEN a:s");
  EXPECT_EQ(a_.last().from, shared);
  a_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), "") << "replies keep their order";
  a_.answer(asked_to_wait, ":1\r\n");
  EXPECT_EQ(client_.got(), bulk("5-1") + ":1\r\n");
}

TEST_F(DurableWritesTest, T5ADurableWriteWaitsForWhatWasSentBeforeIt) {
  client_.says("DEL a:s");
  client_.says("GET a:k");
  client_.says(durable_add);
  EXPECT_THAT(asked(), ElementsAre("DEL a:s", "GET a:k"));
  answers({":1\r\n", "$-1\r\n"});
  EXPECT_EQ(client_.got(), ":1\r\n$-1\r\n");
  EXPECT_THAT(asked(), ElementsAre(durable_add, wait));
  answers({bulk("5-1"), ":1\r\n"});
  EXPECT_EQ(client_.got(), bulk("5-1"));
}

TEST_F(DurableWritesTest, T5RequestsForOtherBusesNeedNotWait) {
  client_.says("GET b:k");
  client_.says(durable_add);
  EXPECT_THAT(asked(), ElementsAre(durable_add, wait));
  client_.says("GET b:k2");
  EXPECT_THAT(b_.asked_all(), ElementsAre("GET b:k", "GET b:k2"));
}

TEST_F(DurableWritesTest, T5ARequestOverSeveralBusesWaitsUntilTheBusHasAnswered) {
  client_.says(durable_add);
  client_.says("DEL s t");
  EXPECT_THAT(asked(), ElementsAre(durable_add, wait));
  const fake_bus::request asked_to_wait = a_.last();
  EXPECT_EQ(b_.asked(), "(nothing)");
  a_.answer({asked_to_wait.from, asked_to_wait.number - 1, {}, {}}, bulk("5-1"));
  EXPECT_EQ(a_.asked().substr(0, 3), "DEL") << "it need not wait for the confirmation";
  a_.answer(asked_to_wait, ":1\r\n");
  EXPECT_EQ(client_.got(), bulk("5-1"));
}

TEST_F(DurableWritesTest, T5AFailedWriteHoldsNobodyBack) {
  client_.says(durable_add);
  asked();
  client_.says("DEL s t");
  bench_.run();
  a_.closes(a_.last().from);
  bench_.run();
  EXPECT_TRUE(client_.got().starts_with("-BUSLOST "));
  EXPECT_EQ(a_.asked().substr(0, 3), "DEL");
}

// --------------------------------------------------------------------------------------------- transactions

TEST_F(DurableWritesTest, T5ExecWaitsForTheConfirmationOfWhatItAdds) {
  client_.says("MULTI");
  client_.says(durable_add);
  client_.says("GET a:k");
  client_.says("EXEC");
  EXPECT_THAT(asked(), ElementsAre("MULTI", durable_add, "GET a:k", "EXEC", wait));
  answers({"+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n" + bulk("5-1") + "$-1\r\n", ":0\r\n"});
  EXPECT_EQ(client_.got(),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n"
            "*2\r\n-UNCONFIRMED stored on bus 'a' as 5-1: 0 of 1 replicas confirmed within 50 ms\r\n$-1\r\n");
  EXPECT_EQ(bench_.outcomes("xadd", outcome::unconfirmed), 1U);
  EXPECT_EQ(bench_.outcomes("get", outcome::ok), 1U);
}

TEST_F(DurableWritesTest, ATransactionWithoutSuchWritesDoesNotWait) {
  client_.says("MULTI");
  client_.says(plain_add);
  client_.says("EXEC");
  EXPECT_THAT(asked(), ElementsAre("MULTI", plain_add, "EXEC"));
}

TEST_F(DurableWritesTest, T5PartsOfATransactionOverSeveralBusesAreConfirmedOnTheirConnections) {
  client_.says("MULTI");
  client_.says(durable_add);
  client_.says("SET b:k v");
  client_.says("EXEC");
  EXPECT_THAT(asked(), ElementsAre("MULTI", durable_add));
  answers({"+OK\r\n", "+QUEUED\r\n"});
  EXPECT_THAT(b_.asked_all(), ElementsAre("MULTI", "SET b:k v"));
  b_.answers_all({"+OK\r\n", "+QUEUED\r\n"});
  client_.got();
  EXPECT_THAT(asked(), ElementsAre("EXEC", wait));
  EXPECT_THAT(b_.asked_all(), ElementsAre("EXEC"));
  b_.answers("*1\r\n+OK\r\n");
  answers({"*1\r\n" + bulk("5-1"), ":0\r\n"});
  EXPECT_EQ(client_.got(),
            "*2\r\n-UNCONFIRMED stored on bus 'a' as 5-1: 0 of 1 replicas confirmed within 50 ms\r\n+OK\r\n");
}

// --------------------------------------------------------------------------------------------- every write

class EveryWriteTest : public DurableWritesTest {
 protected:
  EveryWriteTest() : DurableWritesTest("") {}
};

TEST_F(EveryWriteTest, T5WithoutTypesEveryWriteWaits) {
  client_.says("SET a:k v");
  EXPECT_THAT(asked(), ElementsAre("SET a:k v", wait));
  answers({"+OK\r\n", ":0\r\n"});
  EXPECT_EQ(client_.got(),
            "-UNCONFIRMED stored on bus 'a', answer OK: 0 of 1 replicas confirmed within 50 ms\r\n");
  client_.says("INCR a:n");
  asked();
  answers({":7\r\n", ":0\r\n"});
  EXPECT_EQ(client_.got(),
            "-UNCONFIRMED stored on bus 'a', answer 7: 0 of 1 replicas confirmed within 50 ms\r\n");
  client_.says("LPOP a:l");
  asked();
  answers({bulk(std::string(100, 'x')), ":0\r\n"});
  EXPECT_EQ(client_.got(), "-UNCONFIRMED stored on bus 'a': 0 of 1 replicas confirmed within 50 ms\r\n");
}

TEST_F(EveryWriteTest, ReadsDoNotWait) {
  for (const std::string request : {"GET a:k", "XREADGROUP GROUP g c STREAMS a:s >", "PUBLISH c m"}) {
    client_.says(request);
    EXPECT_THAT(asked(), ElementsAre(request));
    answers({"$-1\r\n"});
    EXPECT_EQ(client_.got(), "$-1\r\n");
  }
}

TEST_F(EveryWriteTest, T5AScriptMayWrite) {
  client_.says("EVAL script 1 a:k");
  EXPECT_THAT(asked(), ElementsAre("EVAL script 1 a:k", wait));
  answers({":1\r\n", ":1\r\n"});
  EXPECT_EQ(client_.got(), ":1\r\n");
}

}  // namespace
}  // namespace dualbus::operation::test
