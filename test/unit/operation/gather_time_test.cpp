// The time that an operation of several rounds may take, all rounds together.

#include "support/course_test.hpp"

#include <string>

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;

const std::string not_asked =
    "-BUSDOWN bus 'b' was not asked any more: backend.request_timeout was over, command not sent\r\n";
const std::string no_answer =
    "-BUSTIMEOUT bus 'b': no answer within 5000 ms after the command was sent, outcome unknown\r\n";

/// One round to a, then one to b; the answer is what became of that.
base::task<> a_then_b(scripted_operation& op) {
  op.send(0, first_request);
  co_await op.round();
  op.send(1, second_request);
  const scripted_operation::parts all = co_await op.round();
  if (!op.answer_error(all)) op.answer_ok();
}

class GatherTimeTest : public CourseTest {};

TEST_F(GatherTimeTest, ARoundThatIsNotAnsweredEndsWithTheTimeOfARequest) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(1, first_request);
    const scripted_operation::parts all = co_await op.round();
    if (!op.answer_error(all)) op.answer_ok();
  });
  client_.says("XLEN s");
  EXPECT_EQ(b_.asked(), "FIRST");
  bench_.pass(4900ms);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(200ms);
  EXPECT_EQ(client_.got(), no_answer);
  EXPECT_EQ(bench_.outcomes("xlen", outcome::bus_timeout), 1U);
}

TEST_F(GatherTimeTest, ALaterRoundHasOnlyTheTimeThatIsLeft) {
  takes_course(true, a_then_b);
  client_.says("XLEN s");
  a_.asked();
  bench_.pass(4s);
  a_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "SECOND");
  bench_.pass(900ms);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(200ms);
  EXPECT_EQ(client_.got(), no_answer);
  // Its answer comes after all, and is nobody's.
  b_.answers(":1\r\n");
  client_.says("GET b:k");
  EXPECT_EQ(b_.asked(), "GET b:k");
  b_.answers("$1\r\nv\r\n");
  EXPECT_EQ(client_.got(), "$1\r\nv\r\n");
}

TEST_F(GatherTimeTest, ACommandThatWasNotSentInTimeIsNeverSent) {
  takes_course(true, a_then_b);
  client_.says("XLEN s");
  a_.asked();
  bench_.pass(4500ms);
  b_.goes_away();
  bench_.pass(100ms);
  a_.answers(":1\r\n");
  bench_.pass(500ms);
  EXPECT_EQ(client_.got(), not_asked);
  EXPECT_EQ(bench_.outcomes("xlen", outcome::bus_down), 1U);
  b_.listens(true);
  bench_.pass(3s);
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(GatherTimeTest, WhatIsSentWhenTheTimeIsOverFailsAtOnce) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(0, first_request);
    co_await op.round();  // fails
    op.send(1, second_request);
    const scripted_operation::parts all = co_await op.round();
    EXPECT_TRUE(op.time_is_over());
    op.answer_error(all[0]);
  });
  client_.says("XLEN s");
  a_.asked();
  bench_.pass(5100ms);
  EXPECT_EQ(client_.got(), not_asked);
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(GatherTimeTest, TheTimeBeginsAnewWhenTheOperationSaysSo) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    co_await op.suspend();
    op.restart_clock();
    op.send(1, second_request);
    const scripted_operation::parts all = co_await op.round();
    if (!op.answer_error(all)) op.answer_ok();
  });
  client_.says("XLEN s");
  bench_.pass(10s);
  op_->resume();
  EXPECT_EQ(b_.asked(), "SECOND");
  bench_.pass(4500ms);
  b_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n");
}

TEST_F(GatherTimeTest, PausesDoNotCount) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    co_await op.pause(10s);
    op.send(1, second_request);
    const scripted_operation::parts all = co_await op.round();
    if (!op.answer_error(all)) op.answer_ok();
  });
  client_.says("XLEN s");
  bench_.pass(10050ms);
  EXPECT_EQ(b_.asked(), "SECOND");
  bench_.pass(4500ms);
  EXPECT_EQ(client_.got(), "");
  b_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n");
}

TEST_F(GatherTimeTest, ATwentiethOfTheTimeMoreIsEnoughForWhatIsAnsweredAtOnce) {
  takes_course(true, [](scripted_operation& op) -> base::task<> {
    op.send(1, first_request);
    co_await op.round();  // fails
    op.extend_clock();
    op.send(0, second_request);
    const scripted_operation::parts second_one = co_await op.round();
    op.extend_clock();
    op.send(0, third_request);
    const scripted_operation::parts third_one = co_await op.round();
    if (!op.answer_error(second_one) && !op.answer_error(third_one)) op.answer_ok();
  });
  client_.says("XLEN s");
  b_.asked();
  bench_.pass(5100ms);
  EXPECT_EQ(a_.asked(), "SECOND");
  a_.answers(":1\r\n");
  EXPECT_EQ(a_.asked(), "THIRD");
  bench_.pass(400ms);
  EXPECT_EQ(client_.got(),
            "-BUSTIMEOUT bus 'a': no answer within 5000 ms after the command was sent, outcome unknown\r\n");
}

TEST_F(GatherTimeTest, AClientThatGoesDoesNotEndTheTimeOfARoundThatIsOut) {
  takes_course(true, a_then_b);
  client_.says("XLEN s");
  a_.asked();
  bench_.pass(4s);
  a_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "SECOND");
  client_.session().close(metrics::close_reason::killed);
  EXPECT_EQ(operations(), 1);
  bench_.pass(1100ms);
  EXPECT_EQ(operations(), 0);
}

class NoTimeLimitTest : public CourseTest {
 protected:
  NoTimeLimitTest() : CourseTest({.settings = "backend: {request_timeout: 0s, health_timeout: 1h}\n"}) {}
};

TEST_F(NoTimeLimitTest, WithoutALimitARoundMayTakeAnyTime) {
  takes_course(true, a_then_b);
  client_.says("XLEN s");
  a_.asked();
  bench_.pass(20s);
  a_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "SECOND");
  bench_.pass(20s);
  b_.answers(":1\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n");
}

}  // namespace
}  // namespace dualbus::operation::test
