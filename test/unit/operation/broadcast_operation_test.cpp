// Requests to every bus at once: WAIT and WAITAOF, which wait, and those that end a script.

#include "support/exec_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

class BroadcastTest : public ExecTest {
 protected:
  explicit BroadcastTest(bench_options options = {}) : ExecTest(std::move(options)) {
    for (const char* const command : {"wait", "waitaof", "script"}) {
      bench_.handler.on(command, [this](session& client, routed_request& request) {
        bench_.handler.start_broadcast(client, request);
      });
    }
  }

  /// Both buses get a PING, answered, and the request.
  void asks(const std::string& request) {
    client_.says(request);
    for (fake_bus* const bus : {&a_, &b_}) {
      EXPECT_THAT(bus->asked_all(), ElementsAre("PING", request));
      requests_.push_back(bus->last());
      fake_bus::request ping = bus->last();
      --ping.number;
      bus->answer(ping, "+PONG\r\n");
    }
  }
  std::string answered(std::string_view of_a, std::string_view of_b) {
    a_.answer(requests_[0], of_a);
    EXPECT_EQ(client_.got(), "");
    b_.answer(requests_[1], of_b);
    requests_.clear();
    return client_.got();
  }
  /// The same for the end of a script, which needs no PING.
  std::string killed(std::string_view of_a, std::string_view of_b) {
    client_.says("SCRIPT KILL");
    EXPECT_EQ(a_.asked(), "SCRIPT KILL");
    EXPECT_EQ(b_.asked(), "SCRIPT KILL");
    a_.answers(of_a);
    b_.answers(of_b);
    return client_.got();
  }

  /// While there is too little memory for it. Until the operation is freed, "k" counts as being changed.
  template <typename Shortage, typename... Args>
  void asks_without_memory(const std::string& command, const std::string& request, Args&&... args) {
    bench_.handler.on(command, [&](session& client, routed_request& taken) {
      taken.change.add(bench_.changes, "k", 0);
      const Shortage here(args...);
      bench_.handler.start_broadcast(client, taken);
    });
    client_.says(request);
    EXPECT_EQ(client_.got(), "(closed)");
  }
  std::uint64_t unfinished() const { return bench_.changes.of("k", 0).unfinished; }

  std::vector<fake_bus::request> requests_;
  const std::string unblocked_ = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
};

TEST_F(BroadcastTest, TheFewestReplicasThatEveryBusVouchesFor) {
  asks("WAIT 2 0");
  EXPECT_TRUE(client_.session().blocked());
  EXPECT_EQ(answered(":2\r\n", ":1\r\n"), ":1\r\n");
  EXPECT_FALSE(client_.session().blocked());
  asks("WAITAOF 1 2 0");
  EXPECT_EQ(answered("*2\r\n:1\r\n:0\r\n", "*2\r\n:0\r\n:2\r\n"), "*2\r\n:0\r\n:0\r\n");
}

TEST_F(BroadcastTest, RepliesThatDoNotGoTogetherAreNoAnswer) {
  const std::string refusal = "-ERR dualbus: the buses gave an answer that Redis does not give\r\n";
  asks("WAIT 2 0");
  EXPECT_EQ(answered(":2\r\n", "*2\r\n:1\r\n:1\r\n"), refusal);
  asks("WAITAOF 1 2 0");
  EXPECT_EQ(answered("*2\r\n:1\r\n:0\r\n", "*1\r\n:0\r\n"), refusal);
}

TEST_F(BroadcastTest, TheFirstErrorIsAnswered) {
  asks("WAIT 2 0");
  EXPECT_EQ(answered(":2\r\n", "-ERR no\r\n"), "-ERR no\r\n");
  EXPECT_EQ(bench_.outcomes("wait", outcome::redis_error), 1U);
}

TEST_F(BroadcastTest, ALostConnectionIsAnswered) {
  asks("WAIT 2 0");
  a_.answer(requests_[0], ":1\r\n");
  b_.closes(requests_[1].from);
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'b': connection lost after the command was sent, outcome unknown\r\n");
}

TEST_F(BroadcastTest, BusesThatHangAreNotWaitedForForEver) {
  bench_.handler.give_up_after = 2s;
  asks("WAIT 2 0");
  a_.answer(requests_[0], ":1\r\n");
  bench_.pass(2100ms);
  EXPECT_EQ(client_.got(),
            "-BUSTIMEOUT bus 'b': no answer within 5000 ms after the command was sent, outcome unknown\r\n");
  EXPECT_FALSE(b_.has(requests_[1].from));
}

// --------------------------------------------------------------------------------------------------- scripts

TEST_F(BroadcastTest, ToEndAScriptOneSuccessIsEnough) {
  EXPECT_EQ(killed("+OK\r\n", "-NOTBUSY No scripts in execution right now.\r\n"), ok);
  EXPECT_EQ(killed("-NOTBUSY No scripts.\r\n", ok), ok);
}

TEST_F(BroadcastTest, WhoHasNoScriptSaysLeast) {
  EXPECT_EQ(killed("-NOTBUSY No scripts.\r\n", "-UNKILLABLE it has written\r\n"),
            "-UNKILLABLE it has written\r\n");
  EXPECT_EQ(killed("-NOTBUSY No scripts.\r\n", "-NOTBUSY No scripts.\r\n"), "-NOTBUSY No scripts.\r\n");
}

TEST_F(BroadcastTest, ABusThatIsLostSaysMoreThanOneThatHasNoScript) {
  client_.says("SCRIPT KILL");
  EXPECT_EQ(a_.asked(), "SCRIPT KILL");
  a_.answers("-NOTBUSY No scripts.\r\n");
  EXPECT_EQ(b_.asked(), "SCRIPT KILL");
  b_.closes(b_.last().from);
  EXPECT_THAT(client_.got(), testing::StartsWith("-BUSLOST bus 'b'"));
}

TEST_F(BroadcastTest, TheEndOfAScriptIsNoWait) {
  client_.says("SCRIPT KILL");
  EXPECT_EQ(a_.asked(), "SCRIPT KILL");
  EXPECT_FALSE(client_.session().blocked());
  EXPECT_FALSE(client_.session().newest()->unblock(false));
  EXPECT_FALSE(client_.session().newest()->refuse_wait("NOPERM no"));
}

TEST_F(BroadcastTest, ItsConnectionsAreClosedWhenTheClientGoes) {
  client_.says("SCRIPT KILL");
  EXPECT_EQ(a_.asked(), "SCRIPT KILL");
  const int connection = a_.last().from;
  client_.session().close(metrics::close_reason::killed);
  bench_.run();
  EXPECT_FALSE(a_.has(connection));
}

// ------------------------------------------------------------------------------------------------------ ends

TEST_F(BroadcastTest, ClientUnblockGoesToEveryBus) {
  asks("WAIT 2 0");
  EXPECT_TRUE(client_.session().unblock(false));
  EXPECT_FALSE(client_.session().unblock(false));
  EXPECT_EQ(a_.asked(), "CLIENT UNBLOCK " + std::to_string(requests_[0].from) + " TIMEOUT");
  EXPECT_EQ(b_.asked(), "CLIENT UNBLOCK " + std::to_string(requests_[1].from) + " TIMEOUT");
  a_.answers(":1\r\n");
  b_.answers(":1\r\n");
  EXPECT_EQ(answered(":0\r\n", ":1\r\n"), ":0\r\n");
}

TEST_F(BroadcastTest, TheBusesAreToldWhenTheClientGoes) {
  asks("WAIT 2 0");
  client_.ends_input();
  EXPECT_EQ(a_.asked(), "CLIENT UNBLOCK " + std::to_string(requests_[0].from) + " ERROR");
  EXPECT_EQ(b_.asked(), "CLIENT UNBLOCK " + std::to_string(requests_[1].from) + " ERROR");
  a_.answers(":1\r\n");
  b_.answers(":1\r\n");
  EXPECT_EQ(answered(unblocked_, unblocked_), "(closed)");
}

TEST_F(BroadcastTest, ABusThatCannotBeToldHasItsConnectionClosed) {
  asks("WAIT 2 0");
  client_.ends_input();
  EXPECT_THAT(a_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  EXPECT_THAT(b_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  a_.answers("-ERR no\r\n");
  b_.answers("-ERR no\r\n");
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_FALSE(a_.has(requests_[0].from));
}

TEST_F(BroadcastTest, AClientThatIsClosedHasTheBusesToldAndIsForgotten) {
  asks("WAIT 2 0");
  client_.session().close(metrics::close_reason::killed);
  EXPECT_THAT(a_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  EXPECT_THAT(b_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  a_.answers(":1\r\n");
  b_.answers(":1\r\n");
  a_.answer(requests_[0], unblocked_);
  b_.answer(requests_[1], unblocked_);
  bench_.pass(5100ms);
  EXPECT_EQ(client_.find(), nullptr);
  EXPECT_TRUE(a_.has(requests_[0].from));  // for the next one
}

TEST_F(BroadcastTest, AReaderThatMayNotWaitAnyMoreIsToldSo) {
  asks("WAIT 2 0");
  bench_.handler.denial = "NOPERM no";
  bench_.reload("");
  EXPECT_THAT(bench_.handler.judged, ElementsAre("WAIT", "2", "0"));
  EXPECT_THAT(a_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  EXPECT_THAT(b_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  a_.answers(":1\r\n");
  b_.answers(":1\r\n");
  EXPECT_EQ(answered(unblocked_, unblocked_), "-NOPERM no\r\n");
}

// ---------------------------------------------------------------------------------------------------- memory

TEST_F(BroadcastTest, ARequestThatThereIsNoMemoryForIsOwedNoAnswer) {
  asks_without_memory<short_of_memory>("wait", "WAIT 2 " + std::string(300'000, 'x'), 200'000);
  EXPECT_EQ(unfinished(), 0U);
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(a_.connections(), 1U);  // the others are not kept for it
  EXPECT_EQ(b_.connections(), 1U);
}

TEST_F(BroadcastTest, BusesThatThereWasNoMemoryForAreNotWaitedFor) {
  asks_without_memory<last_chunks>("script", "SCRIPT KILL", bench_.exec.request_chunks, 1U);
  EXPECT_EQ(a_.asked(), "SCRIPT KILL");
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_EQ(b_.connections(), 1U);
  EXPECT_EQ(unfinished(), 1U);
  a_.answers(ok);
  bench_.run();
  EXPECT_EQ(unfinished(), 0U);
}

TEST_F(BroadcastTest, AWaitThatNotAllBusesGotIsEndedWhereOneGotIt) {
  asks_without_memory<last_chunks>("wait", "WAIT 2 0", bench_.exec.request_chunks, 1U);
  EXPECT_THAT(a_.asked_all(), ElementsAre("PING", "WAIT 2 0"));
  const fake_bus::request waiting = a_.last();
  fake_bus::request ping = waiting;
  --ping.number;
  a_.answer(ping, "+PONG\r\n");
  bench_.pass(10ms);
  EXPECT_THAT(a_.asked(), testing::StartsWith("CLIENT UNBLOCK"));
  a_.answers(":1\r\n");
  a_.answer(waiting, unblocked_);
  bench_.run();
  EXPECT_EQ(unfinished(), 0U);
}

}  // namespace
}  // namespace dualbus::operation::test
