// Operations of several rounds: what is sent when, how parts are put together, and what holds what back.

#include "support/course_test.hpp"

#include <string>

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;

base::task<> two_rounds(scripted_operation& op) {
  op.send(0, first_request);
  op.send(1, first_request);
  const scripted_operation::parts before = co_await op.round();
  op.send(1, second_request);
  const scripted_operation::parts after = co_await op.round();
  op.answer_integer(static_cast<std::int64_t>(10 * before.size() + after.size()));
}

base::task<> sum_of_both(scripted_operation& op) {
  op.send(0, first_request);
  op.send(1, first_request);
  const scripted_operation::parts all = co_await op.round();
  if (op.answer_error(all)) co_return;
  if (const auto sum = op.sum_of(all)) op.answer_integer(*sum);
}

class GatherTest : public CourseTest {
 protected:
  explicit GatherTest(bench_options options = {}) : CourseTest(std::move(options)) {}

  /// The answer to a sum of these two.
  std::string sum(std::string_view of_a, std::string_view of_b) {
    takes_course(false, sum_of_both);
    client_.says("XLEN s");
    EXPECT_EQ(a_.asked(), "FIRST");
    EXPECT_EQ(b_.asked(), "FIRST");
    a_.answers(of_a);
    EXPECT_EQ(client_.got(), "");
    b_.answers(of_b);
    return client_.got();
  }
};

// ---------------------------------------------------------------------------------------------------- rounds

TEST_F(GatherTest, ARoundBeginsWhenTheOneBeforeIsAnswered) {
  takes_course(true, two_rounds);
  client_.says("XLEN s");
  EXPECT_EQ(a_.asked(), "FIRST");
  EXPECT_EQ(b_.asked(), "FIRST");
  b_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "(nothing)");
  a_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "SECOND");
  EXPECT_EQ(a_.asked(), "(nothing)");
  b_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), ":21\r\n");
  EXPECT_EQ(operations(), 0);
}

TEST_F(GatherTest, LaterRequestsOfTheClientWaitForAnOperationThatHoldsThem) {
  takes_course(true, two_rounds);
  client_.says("XLEN s");
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "FIRST");
  a_.answers(":1\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "FIRST");
  b_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "SECOND");
  b_.answers(":1\r\n");
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(GatherTest, LaterRequestsOfTheClientGoOnBehindASingleRound) {
  takes_course(false, sum_of_both);
  client_.says("XLEN s");
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "FIRST");
  a_.answers(":1\r\n");
  EXPECT_EQ(a_.asked(), "GET a:k");
  a_.answers("$-1\r\n");
  EXPECT_EQ(client_.got(), "");
  EXPECT_EQ(b_.asked(), "FIRST");
  b_.answers(":2\r\n");
  EXPECT_EQ(client_.got(), ":3\r\n$-1\r\n");
}

TEST_F(GatherTest, ARoundInWhichNothingIsSentIsOverAtOnce) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    const scripted_operation::parts none = co_await op.round();
    none.empty() ? op.answer_ok() : op.answer_refusal("ERR parts");
  });
  client_.says("XLEN s");
  EXPECT_EQ(client_.got(), "+OK\r\n");
}

TEST_F(GatherTest, AReplyThatIsTakenWhereItStandsIsNotKept) {
  takes_ = [](std::uint32_t index, std::string_view reply) { return index == 1 && reply == ":2\r\n"; };
  takes_course(false, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    op.send(1, first_request);
    const scripted_operation::parts all = co_await op.round();
    op.answer(outcome::ok,
              [&](resp::encoder& out, base::chunk_queue&) { out.bulk(all[0].reply + all[1].reply); });
  });
  client_.says("XLEN s");
  a_.asked();
  b_.asked();
  a_.answers(":2\r\n");
  b_.answers(":2\r\n");
  EXPECT_EQ(client_.got(), "$4\r\n:2\r\n\r\n");
}

TEST_F(GatherTest, APartForABusThatIsAwayFailsWhenItHasWaitedForAConnection) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    const scripted_operation::parts all = co_await op.round();
    op.answer_error(all);
  });
  a_.goes_away();
  client_.says("XLEN s");
  bench_.pass(1100ms);
  EXPECT_EQ(client_.got(), "-BUSDOWN bus 'a' is unreachable: command not sent\r\n");
}

class FullBusTest : public GatherTest {
 protected:
  explicit FullBusTest(bool connected)
      : GatherTest({.settings = "backend: {reconnect_wait_bytes: 64kb}\nlimits: {bus_output_buffer: 64kb}\n",
                    .connected = connected}) {}
};
class FullBusUpTest : public FullBusTest {
 protected:
  FullBusUpTest() : FullBusTest(true) {}
};
class FullBusDownTest : public FullBusTest {
 protected:
  FullBusDownTest() : FullBusTest(false) {}
};

TEST_F(FullBusDownTest, APartForABusForWhichTooMuchWaitsAlreadyFailsAtOnce) {
  bench_client& other = bench_.connect();
  other.says("SET a:k " + std::string(70'000, 'x'));
  bench_.run();
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    const scripted_operation::parts all = co_await op.round();
    op.answer_error(all);
  });
  client_.says("XLEN s");
  EXPECT_EQ(client_.got(), "-BUSDOWN bus 'a' is unreachable: command not sent\r\n");
}

TEST_F(FullBusUpTest, AClientWhoseOperationFillsABusIsNotReadUntilTheBusHasTakenIt) {
  a_.reads(false);
  takes_course(true, [much = std::string(1'000'000, 'x')](scripted_operation& op) -> base::task<> {
    const std::string_view large[] = {"LARGE", much};
    op.send(0, large);
    co_await op.round();
    op.answer_ok();
  });
  client_.says("XLEN s");
  bench_.run();
  EXPECT_TRUE(bench_.buses.bus(0).holds_back());
  EXPECT_FALSE(bench_.buses.bus(0).drained().empty());
  a_.reads(true);
  EXPECT_THAT(a_.asked(), testing::StartsWith("LARGE xxx"));
  EXPECT_TRUE(bench_.buses.bus(0).drained().empty());
  a_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n");
}

// ---------------------------------------------------------------------------------------------------- merges

TEST_F(GatherTest, IntegersAreAddedUpAndEndAtTheLargest) {
  EXPECT_EQ(sum(":3\r\n", ":4\r\n"), ":7\r\n");
  EXPECT_EQ(sum(":9223372036854775807\r\n", ":4\r\n"), ":9223372036854775807\r\n");
}

TEST_F(GatherTest, AReplyThatIsNoIntegerIsNoAnswerOfRedis) {
  EXPECT_EQ(sum(":3\r\n", "+four\r\n"), "-ERR dualbus: bus 'b' gave an answer that Redis does not give\r\n");
  EXPECT_EQ(bench_.outcomes("xlen", outcome::refused), 1U);
}

TEST_F(GatherTest, TheFirstErrorIsAnsweredButWrongtypeBeforeOthers) {
  EXPECT_EQ(sum("-ERR one\r\n", "-ERR two\r\n"), "-ERR one\r\n");
  EXPECT_EQ(sum("-ERR one\r\n", "-WRONGTYPE two\r\n"), "-WRONGTYPE two\r\n");
  EXPECT_EQ(bench_.outcomes("xlen", outcome::redis_error), 2U);
}

TEST_F(GatherTest, AConnectionThatIsLostMakesThePartAnError) {
  takes_course(false, sum_of_both);
  client_.says("XLEN s");
  a_.asked();
  b_.asked();
  a_.answers(":1\r\n");
  b_.closes_all();
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'b': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(bench_.outcomes("xlen", outcome::bus_lost), 1U);
}

// ------------------------------------------------------------------------------------------ pauses and waits

TEST_F(GatherTest, APauseIsWaitedOut) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    co_await op.pause(300ms);
    op.send(0, second_request);
    co_await op.round();
    op.answer_ok();
  });
  client_.says("XLEN s");
  EXPECT_EQ(a_.asked(), "(nothing)");
  bench_.pass(250ms);
  EXPECT_EQ(a_.asked(), "(nothing)");
  bench_.pass(100ms);
  EXPECT_EQ(a_.asked(), "SECOND");
  a_.answers("+OK\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n");
}

TEST_F(GatherTest, AnOperationThatIsSuspendedGoesOnWhenSomebodyResumesIt) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    co_await op.suspend();
    op.answer_refusal("ERR so be it");
  });
  client_.says("XLEN s");
  EXPECT_EQ(client_.got(), "");
  op_->resume();
  EXPECT_EQ(client_.got(), "-ERR so be it\r\n");
  EXPECT_EQ(operations(), 0);
}

// ---------------------------------------------------------------------------------------- a client that goes

TEST_F(GatherTest, ASingleRoundOfAClientThatHasGoneIsAwaitedAndDropped) {
  bool went_on = false;
  takes_course(false, [&went_on](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    op.send(1, first_request);
    const scripted_operation::parts all = co_await op.round();
    went_on = all[0].failed && all[1].failed && !op.client_is_there();
    op.answer_ok();
  });
  client_.says("XLEN s");
  a_.asked();
  b_.asked();
  a_.answers(":1\r\n");
  bench_.run();
  client_.session().close(metrics::close_reason::killed);
  EXPECT_EQ(operations(), 1);
  b_.answers(":1\r\n");
  bench_.run();
  EXPECT_TRUE(went_on);
  EXPECT_EQ(operations(), 0);
}

TEST_F(GatherTest, SeveralStepsGoOnThoughTheClientHasGone) {
  takes_course(true, two_rounds);
  client_.says("XLEN s");
  a_.asked();
  b_.asked();
  client_.session().close(metrics::close_reason::killed);
  a_.answers(":1\r\n");
  b_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "SECOND");
  EXPECT_EQ(operations(), 1);
  b_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(operations(), 0);
}

TEST_F(GatherTest, APauseEndsWithTheClient) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    co_await op.pause(1h);
    op.answer_ok();
  });
  client_.says("XLEN s");
  bench_.run();
  EXPECT_EQ(operations(), 1);
  client_.session().close(metrics::close_reason::killed);
  bench_.run();
  EXPECT_EQ(operations(), 0);
  EXPECT_EQ(abandoned_, 1);
  EXPECT_FALSE(bench_.turn.timers.next());
}

TEST_F(GatherTest, APauseIsNotBegunForAClientThatHasGone) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    co_await op.round();
    co_await op.suspend();
    op.answer_ok();
  });
  client_.says("XLEN s");
  a_.asked();
  client_.session().close(metrics::close_reason::killed);
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(operations(), 0);
  EXPECT_EQ(abandoned_, 1);
}

TEST_F(GatherTest, ALargeReplyThatNobodyNeedsIsNotCollected) {
  takes_course(false, sum_of_both);
  client_.says("XLEN s");
  a_.asked();
  b_.asked();
  client_.session().close(metrics::close_reason::killed);
  // Ten of its eleven megabytes.
  const std::string megabyte(std::size_t{1} << 20, 'x');
  const int connection = a_.last().from;
  a_.says(connection, "$11534336\r\n");
  for (int i = 0; i < 10 * 16; ++i) {
    a_.says(connection, std::string_view(megabyte).substr(0, megabyte.size() / 16));
    bench_.run();
  }
  for (const auto& incoming : bench_.buses.bus(0).receiving())
    EXPECT_LT(incoming.bytes, std::size_t{3} << 20);
}

// ------------------------------------------------------------------------------------------------- no memory

TEST_F(GatherTest, AnOperationThatFindsNoMemoryEndsWithItsClient) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    co_await op.round();
    op.send(0, second_request);
    op.send(1, second_request);
    throw std::bad_alloc();
  });
  client_.says("XLEN s");
  a_.asked();
  a_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(operations(), 1);  // two answers are owed to it
  EXPECT_EQ(a_.asked(), "SECOND");
  EXPECT_EQ(b_.asked(), "SECOND");
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(operations(), 1);
  b_.closes_all();
  bench_.run();
  EXPECT_EQ(operations(), 0);
}

TEST_F(GatherTest, ACommandThatThereIsNoMemoryForIsOwedNoAnswer) {
  takes_course(true, [much = std::string(300'000, 'x')](scripted_operation& op) -> base::task<> {
    const std::string_view large[] = {"LARGE", much};
    op.send(0, first_request);
    const short_of_memory here(200'000);
    op.send(1, large);
    co_await op.round();
  });
  client_.says("XLEN s");
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(a_.asked(), "FIRST");
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_EQ(operations(), 1);
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(operations(), 0);
}

TEST_F(GatherTest, AnOperationWithoutAClientThatFindsNoMemoryIsFreed) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    co_await op.round();
    throw std::bad_alloc();
  });
  client_.says("XLEN s");
  a_.asked();
  client_.session().close(metrics::close_reason::killed);
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(operations(), 0);
}

TEST_F(GatherTest, AReplyThatThereIsNoMemoryForClosesTheClient) {
  takes_course(true, sum_of_both);
  client_.says("XLEN s");
  a_.asked();
  b_.asked();
  a_.answers(bulk(std::string(100'000, 'x')));
  {
    const short_of_memory here(90'000);
    bench_.run();
  }
  EXPECT_EQ(client_.got(), "(closed)");
  b_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(operations(), 0);
}

}  // namespace
}  // namespace dualbus::operation::test
