// Requests that go to one bus and come back: the hot path, and how it ends when something is wrong.

#include "support/worker_bench.hpp"

#include <string>

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

class ForwardingTest : public WorkerTest {
 protected:
  using WorkerTest::WorkerTest;

  /// The answer to an XADD that goes to bus b, which has slot 2, and answers that.
  std::string added(std::string_view reply) {
    client_.says("XADD s * message_type b");
    EXPECT_EQ(b_.asked(), "XADD s * message_type b");
    b_.answers(reply);
    return client_.got();
  }
};

TEST_F(ForwardingTest, AReplyComesBackAsItIs) {
  client_.says("LRANGE a:k 0 -1");
  EXPECT_EQ(a_.asked(), "LRANGE a:k 0 -1");
  a_.answers("*2\r\n$1\r\nx\r\n:7\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n$1\r\nx\r\n:7\r\n");
  EXPECT_EQ(bench_.outcomes("lrange", outcome::ok), 1U);
}

TEST_F(ForwardingTest, AnInlineRequestIsSentAsAnArray) {
  client_.sends("get  a:k\r\n");
  a_.asked();
  EXPECT_EQ(a_.last().bytes, "*2\r\n$3\r\nget\r\n$3\r\na:k\r\n");
}

TEST_F(ForwardingTest, ArgumentsOfTheCallerGoInPlaceOfTheRequest) {
  bench_.handler.on("get", [this](session& client, routed_request& request) {
    const std::string_view other[] = {"GETEX", "a:other"};
    bench_.forwarder.forward(client, request, 1, false, other);
  });
  client_.says("GET a:k");
  EXPECT_EQ(b_.asked(), "GETEX a:other");
}

TEST_F(ForwardingTest, AClientOfResp3HasAConnectionThatSpeaksIt) {
  client_.session().set_protocol(resp::protocol::resp3);
  client_.says("HGETALL a:k");
  EXPECT_EQ(a_.asked(), "HGETALL a:k");
  EXPECT_EQ(a_.times("HELLO 3 SETNAME dualbusd"), 1U);
  a_.answers("%1\r\n+f\r\n_\r\n");
  EXPECT_EQ(client_.got(), "%1\r\n+f\r\n_\r\n");
}

TEST_F(ForwardingTest, AnErrorOfTheBusIsPassedOnAndCounted) {
  client_.says("INCR a:k");
  a_.asked();
  a_.answers("-WRONGTYPE Operation against a key\r\n");
  EXPECT_EQ(client_.got(), "-WRONGTYPE Operation against a key\r\n");
  EXPECT_EQ(bench_.outcomes("incr", outcome::redis_error), 1U);
}

TEST_F(ForwardingTest, AnErrorThatTellsOfTheBusHasItLookedAt) {
  client_.says("SET a:k v");
  a_.asked();
  a_.keep("SETRANGE");
  a_.answers("-READONLY You can't write against a read only replica.\r\n");
  EXPECT_EQ(client_.got(), "-READONLY You can't write against a read only replica.\r\n");
  bench_.tick();
  EXPECT_EQ(a_.asked(), "SETRANGE dualbus:probe 0 ");
}

// ---------------------------------------------------------------------------------------------- entries' IDs

TEST_F(ForwardingTest, TheIdOfAnEntryBearsTheSlotOfItsBus) {
  EXPECT_EQ(added("$15\r\n1700000000000-3\r\n"), "$27\r\n1700000000000-2000000000003\r\n");
  EXPECT_EQ(client_.session().engine().messages_published, 1U);
}

TEST_F(ForwardingTest, AnEntryThatWasNotAddedHasNoId) {
  EXPECT_EQ(added("$-1\r\n"), "$-1\r\n");
  EXPECT_EQ(added("-ERR The ID specified in XADD is equal or smaller\r\n"),
            "-ERR The ID specified in XADD is equal or smaller\r\n");
  EXPECT_EQ(client_.session().engine().messages_published, 0U);
  EXPECT_EQ(bench_.outcomes("xadd", outcome::redis_error), 1U);
}

TEST_F(ForwardingTest, AnIdWithoutAFormIsAnErrorThatSaysThatTheEntryIsStored) {
  EXPECT_EQ(
      added("$18\r\n1700-1000000000000\r\n"),
      "-ERR dualbus: the entry is stored, do not repeat it, but its ID on bus 'b', 1700-1000000000000, "
      "has no form for clients, who cannot read it: delete it on that bus and use '*' as ID, or pin the "
      "stream with routing.keys\r\n");
  EXPECT_EQ(bench_.figures(1).entries_omitted, 1U);
  EXPECT_EQ(bench_.outcomes("xadd", outcome::refused), 1U);
}

TEST_F(ForwardingTest, AnIdThatIsNoneIsNoAnswerOfRedis) {
  const std::string refusal = "-ERR dualbus: bus 'b' gave an answer that Redis does not give\r\n";
  EXPECT_EQ(added("$3\r\nabc\r\n"), refusal);
  EXPECT_EQ(added("$50\r\n" + std::string(50, '1') + "\r\n"), refusal);
  EXPECT_EQ(bench_.figures(1).entries_omitted, 0U);
}

TEST_F(ForwardingTest, EntriesThatAGroupReadsAreConsumedOnce) {
  const std::string entries =
      "*1\r\n*2\r\n$3\r\na:s\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
  client_.says("XREADGROUP GROUP g c STREAMS a:s >");
  EXPECT_EQ(a_.asked(), "XREADGROUP GROUP g c STREAMS a:s >");
  a_.answers(entries);
  EXPECT_EQ(client_.got(), entries);
  client_.says("XREADGROUP GROUP g c STREAMS a:s 0");
  a_.asked();
  a_.answers(entries);
  EXPECT_EQ(client_.got(), entries);
  EXPECT_EQ(client_.session().engine().messages_consumed, 1U);
}

// ----------------------------------------------------------------------------------- a bus that is not there

class WithoutABusTest : public ForwardingTest {
 protected:
  WithoutABusTest()
      : ForwardingTest({.settings = "backend: {reconnect_wait_bytes: 64kb}\n", .connected = false}) {}
};

TEST_F(WithoutABusTest, ARequestWaitsAWhileForAConnection) {
  client_.says("GET a:k");
  bench_.pass(900ms);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(200ms);
  EXPECT_EQ(client_.got(), "-BUSDOWN bus 'a' is unreachable: command not sent\r\n");
  EXPECT_EQ(bench_.outcomes("get", outcome::bus_down), 1U);
}

TEST_F(WithoutABusTest, ARequestThatHasWaitedIsSentWhenTheBusIsThere) {
  client_.says("GET a:k");
  bench_.run();
  a_.listens(true);
  bench_.pass(200ms);
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(WithoutABusTest, MoreThanMayWaitIsRefusedAtOnce) {
  const std::string much(70'000, 'x');
  client_.says("SET a:k " + much);
  client_.says("SET a:k " + much);
  EXPECT_EQ(client_.got(), "");  // in order
  bench_.pass(1100ms);
  const std::string down = "-BUSDOWN bus 'a' is unreachable: command not sent\r\n";
  EXPECT_EQ(client_.got(), down + down);
  a_.listens(true);
  bench_.pass(3s);
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(ForwardingTest, TheOutcomeOfARequestIsUnknownIfItsConnectionIsLost) {
  client_.says("INCR a:k");
  EXPECT_EQ(a_.asked(), "INCR a:k");
  a_.closes_all();
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(bench_.outcomes("incr", outcome::bus_lost), 1U);
}

TEST_F(ForwardingTest, ABusThatDoesNotAnswerIsNotWaitedForForEver) {
  client_.says("INCR a:k");
  EXPECT_EQ(a_.asked(), "INCR a:k");
  bench_.pass(4900ms);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(200ms);
  EXPECT_EQ(client_.got(),
            "-BUSTIMEOUT bus 'a': no answer within 5000 ms after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(bench_.outcomes("incr", outcome::bus_timeout), 1U);
}

// ------------------------------------------------------------------------------------- clients, and the rest

TEST_F(ForwardingTest, ARequestIsKeptUntilItsReplyComesThoughItsClientHasGone) {
  client_.says("INCR a:k");
  EXPECT_EQ(a_.asked(), "INCR a:k");
  EXPECT_GT(bench_.forwarder.used_bytes(), 0U);
  client_.session().close(metrics::close_reason::killed);
  bench_.run();
  EXPECT_GT(bench_.forwarder.used_bytes(), 0U);
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(bench_.forwarder.used_bytes(), 0U);
}

TEST_F(ForwardingTest, ARequestWithoutAClientAlsoEndsWithTheConnection) {
  client_.says("INCR a:k");
  EXPECT_EQ(a_.asked(), "INCR a:k");
  client_.session().close(metrics::close_reason::killed);
  bench_.run();
  a_.closes_all();
  bench_.run();
  EXPECT_EQ(bench_.forwarder.used_bytes(), 0U);
}

TEST_F(ForwardingTest, ARequestThatThereIsNoMemoryForIsRefused) {
  bench_.handler.on("set", [this](session& client, routed_request& request) {
    const short_of_memory here(100'000);
    bench_.forwarder.forward(client, request, 0);
  });
  client_.says("SET a:k " + std::string(300'000, 'x'));
  EXPECT_EQ(
      client_.got(),
      "-OOM command not allowed when used memory is near 'limits.memory' of dualbusd: it was not sent\r\n");
  EXPECT_EQ(bench_.figures().memory_refusals, 1U);
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");  // nothing of the other one is in front of it
}

TEST_F(ForwardingTest, ARequestWhoseAnswerThereIsNoMemoryToAwaitIsRefused) {
  constexpr int count = 5000;
  bench_.handler.on("incr", [this](session& client, routed_request& request) {
    const short_of_memory here(150'000);
    for (int i = 0; i < count; ++i) bench_.forwarder.forward(client, request, 0);
  });
  client_.says("INCR a:k");
  const std::size_t sent = a_.asked_all().size();
  EXPECT_GT(bench_.figures().memory_refusals, 0U);
  EXPECT_EQ(sent + bench_.figures().memory_refusals, std::size_t{count});
  a_.closes_all();
  EXPECT_THAT(client_.got(), testing::StartsWith("-BUSLOST"));
  EXPECT_EQ(bench_.forwarder.used_bytes(), 0U);
}

TEST_F(ForwardingTest, AClientWhoseReplyThereIsNoMemoryForIsClosed) {
  client_.says("GET a:k");
  a_.asked();
  a_.answers(bulk(std::string(100'000, 'x')));
  {
    const short_of_memory here(90'000);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.figures().clients_closed[static_cast<std::size_t>(metrics::close_reason::memory)], 1U);
  EXPECT_TRUE(bench_.buses.bus(0).up());
}

class CongestionTest : public ForwardingTest {
 protected:
  CongestionTest() : ForwardingTest({.settings = "limits: {bus_output_buffer: 64kb}\n"}) {}
};

TEST_F(CongestionTest, AClientThatWritesTooMuchToABusIsNotReadUntilTheBusHasTakenIt) {
  a_.reads(false);
  client_.says("SET a:k " + std::string(1'000'000, 'x'));
  bench_.run();
  client_.says("GET b:k");
  EXPECT_EQ(b_.asked(), "(nothing)");
  a_.reads(true);
  EXPECT_EQ(b_.asked(), "GET b:k");
}

// --------------------------------------------------------------------------------------------------- scripts

class ScriptTest : public ForwardingTest {
 protected:
  /// The requests to the other bus when the client evaluates that.
  std::vector<std::string> spread(std::string_view text, command::bus_index bus = 0) {
    bench_.scripts.spread(client_.session(), text, bus);
    bench_.run();
    return bus == 0 ? b_.asked_all() : a_.asked_all();
  }
};

TEST_F(ScriptTest, AScriptIsLoadedOnceOnEachOfTheOtherBuses) {
  EXPECT_THAT(spread("return 1"), ElementsAre("SCRIPT LOAD return 1"));
  b_.answers("$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_THAT(spread("return 1"), ElementsAre());
  EXPECT_THAT(spread("return 2"), ElementsAre("SCRIPT LOAD return 2"));
}

TEST_F(ScriptTest, AfterNoscriptOfABusScriptsAreLoadedAgain) {
  spread("return 1");
  client_.says("EVALSHA e0e1 1 a:k");
  EXPECT_EQ(a_.asked(), "EVALSHA e0e1 1 a:k");
  a_.answers("-NOSCRIPT No matching script.\r\n");
  EXPECT_EQ(client_.got(), "-NOSCRIPT No matching script.\r\n");
  EXPECT_THAT(spread("return 1"), ElementsAre("SCRIPT LOAD return 1"));
}

TEST_F(ScriptTest, AfterAFlushAndOnAnotherConnectionScriptsAreLoadedAgain) {
  spread("return 1");
  ++bench_.script_flushes;
  EXPECT_THAT(spread("return 1"), ElementsAre("SCRIPT LOAD return 1"));
  b_.closes_all();
  bench_.pass(200ms);
  EXPECT_THAT(spread("return 1"), ElementsAre("SCRIPT LOAD return 1"));
}

TEST_F(ScriptTest, EachProtocolHasItsOwnConnectionsAndLoadsForItself) {
  spread("return 1");
  client_.session().set_protocol(resp::protocol::resp3);
  EXPECT_THAT(spread("return 1", 1), ElementsAre("SCRIPT LOAD return 1"));
}

TEST_F(ScriptTest, AScriptThatThereWasNoMemoryForIsLoadedTheNextTime) {
  {
    const last_chunks here(bench_.exec.request_chunks, 0);
    EXPECT_THROW(bench_.scripts.spread(client_.session(), "return 1", 0), std::bad_alloc);
  }
  bench_.buses.drop_unannounced();
  EXPECT_THAT(spread("return 1"), ElementsAre("SCRIPT LOAD return 1"));
}

}  // namespace
}  // namespace dualbus::operation::test
