// The buses as operations know them: their list, the rules that hold, and the answers of all to one question.

#include "support/exec_test.hpp"

#include <dualbus/operation/bus_survey.hpp>
#include <dualbus/operation/leftovers.hpp>

#include <optional>

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

// ------------------------------------------------------------------------------------------------- questions

class SurveyTest : public WorkerTest {
 protected:
  void ask() {
    const std::string_view question[] = {"DBSIZE"};
    bench_.turn.begin();
    bus_survey::start(bench_.environment, question, [this](const std::vector<std::string>& all) {
      ++told_;
      found_ = all;
    });
    bench_.run();
  }

  std::vector<std::string> found_;
  int told_ = 0;
};

TEST_F(SurveyTest, EveryBusIsAskedAndTheAnswersComeTogether) {
  ask();
  EXPECT_EQ(a_.asked(), "DBSIZE");
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(told_, 0);
  EXPECT_EQ(b_.asked(), "DBSIZE");
  b_.answers(":2\r\n");
  bench_.run();
  EXPECT_EQ(told_, 1);
  EXPECT_THAT(found_, ElementsAre(":1\r\n", ":2\r\n"));
  EXPECT_FALSE(bench_.turn.timers.next());
}

TEST_F(SurveyTest, AnErrorOrALostConnectionIsNoAnswer) {
  ask();
  a_.asked();
  a_.answers("-ERR no\r\n");
  b_.asked();
  b_.closes_all();
  bench_.run();
  EXPECT_THAT(found_, ElementsAre("", ""));
}

TEST_F(SurveyTest, ABusThatHangsIsNotWaitedForLongerThanASecond) {
  ask();
  a_.asked();
  a_.answers(":1\r\n");
  EXPECT_EQ(b_.asked(), "DBSIZE");
  bench_.pass(900ms);
  EXPECT_EQ(told_, 0);
  bench_.pass(150ms);
  EXPECT_EQ(told_, 1);
  EXPECT_THAT(found_, ElementsAre(":1\r\n", ""));
  b_.answers(":2\r\n");
  bench_.run();
  EXPECT_EQ(told_, 1);
}

TEST_F(SurveyTest, ABusThatIsAwayIsNotAsked) {
  b_.goes_away();
  bench_.run();
  ask();
  a_.asked();
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_THAT(found_, ElementsAre(":1\r\n", ""));
}

TEST_F(SurveyTest, ABusThatThereIsNoMemoryForIsLeftOut) {
  {
    const last_chunks here(bench_.exec.request_chunks, 1);
    ask();
  }
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_EQ(a_.asked(), "DBSIZE");
  a_.answers(":1\r\n");
  bench_.run();
  EXPECT_EQ(told_, 1);
  EXPECT_THAT(found_, ElementsAre(":1\r\n", ""));
}

TEST_F(SurveyTest, AnAnswerThatThereIsNoMemoryForIsNone) {
  ask();
  a_.asked();
  a_.answers(bulk(std::string(100'000, 'x')));
  {
    const short_of_memory here(90'000);
    bench_.run();
  }
  b_.asked();
  b_.answers(":2\r\n");
  bench_.run();
  EXPECT_EQ(told_, 1);
  EXPECT_THAT(found_, ElementsAre("", ":2\r\n"));
  EXPECT_TRUE(bench_.buses.bus(0).up());
}

TEST_F(SurveyTest, TheAnswersToInfoAreRead) {
  std::optional<std::vector<bus_info>> all;
  bus_survey::start_info(bench_.environment, "memory",
                         [&all](const std::vector<bus_info>& found) { all = found; });
  EXPECT_EQ(a_.asked(), "INFO memory");
  a_.answers(bulk("# Memory\r\nused_memory:17\r\n"));
  EXPECT_EQ(b_.asked(), "INFO memory");
  b_.answers("-NOPERM no\r\n");
  bench_.run();
  ASSERT_TRUE(all);
  EXPECT_EQ((*all)[0].field("used_memory"), "17");
  EXPECT_TRUE((*all)[1].empty());
}

// ------------------------------------------------------------------------------------------------------ list

class BusListTest : public WorkerTest {
 protected:
  BusListTest() : WorkerTest({.buses = {"a, coalesce: 1ms", "b"}, .settings = {}}) {}
};

TEST_F(BusListTest, TheNextWriteIsThatOfABusThatCollectsRequests) {
  const auto ask = [this] {
    backend::pipeline& requests = bench_.buses.requests(0, resp::protocol::resp2, 0);
    requests.begin().append("*1\r\n$6\r\nDBSIZE\r\n");
    requests.end(nobody(), 0, bench_.turn.now);
    bench_.buses.flush();
  };
  bench_.turn.begin();
  const base::time_point later = bench_.turn.now + 1s;
  ask();
  EXPECT_EQ(bench_.buses.next_write(later), later);
  ask();
  EXPECT_EQ(bench_.buses.next_write(later), bench_.turn.now + 1ms);
  bench_.pass(1ms);
  EXPECT_EQ(bench_.buses.next_write(later), later);
  EXPECT_THAT(a_.asked_all(), ElementsAre("DBSIZE", "DBSIZE"));
}

TEST_F(BusListTest, RequestsAreDeliveredWhenTheBusesHaveThem) {
  EXPECT_TRUE(bench_.buses.delivered());
  b_.reads(false);
  client_.says("SET b:k " + std::string(1'000'000, 'x'));
  bench_.run();
  EXPECT_FALSE(bench_.buses.delivered());
  b_.reads(true);
  bench_.run();
  EXPECT_TRUE(bench_.buses.delivered());
}

TEST_F(BusListTest, EachBusHasItsNameAndItsSlotAndNoneIsAlwaysTheFirst) {
  EXPECT_EQ(bench_.buses.count(), 2U);
  EXPECT_EQ(bench_.buses.name(1), "b");
  EXPECT_EQ(bench_.buses.slot_of(0), 1);
  EXPECT_EQ(bench_.buses.slot_of(1), 2);
  const auto before = bench_.buses.next_rotation();
  EXPECT_EQ(bench_.buses.next_rotation(), before + 1);
  EXPECT_FALSE(bench_.buses.staged());
}

TEST_F(BusListTest, WhatIsEncodedInPartIsTakenBackEverywhere) {
  bench_.buses.requests(0, resp::protocol::resp2, 0).begin().append("*1\r\n$4\r\nPI");
  bench_.buses.drop_unannounced();
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
}

// ----------------------------------------------------------------------------------------------------- rules

class RoutingTest : public WorkerTest {};

TEST_F(RoutingTest, AReloadBringsOtherRulesUnderAnotherNumber) {
  const auto before = bench_.routing.number();
  EXPECT_EQ(bench_.routing.router().table().bus_of_key("b:k"), 1);
  EXPECT_EQ(bench_.routing.router().whole_bus("s"), command::no_bus);
  bench_.reload("routing: {default_bus: a, keys: [{match: s, bus: b}]}\n");
  EXPECT_NE(bench_.routing.number(), before);
  EXPECT_EQ(bench_.routing.router().table().bus_of_key("b:k"), 0);
  EXPECT_EQ(bench_.routing.router().whole_bus("s"), 1);
}

TEST_F(RoutingTest, InOtherDatabasesEveryKeyHasOneBus) {
  EXPECT_EQ(bench_.routing.router(1).whole_bus("s"), 0);
  EXPECT_EQ(bench_.routing.router(1).whole_bus("b:s"), 1);
}

class OneBusTest : public testing::Test {
 protected:
  static command::plan::action waiting(const std::string& settings) {
    worker_bench bench({.buses = {"a"}, .settings = settings});
    command::plan plan;
    const std::string_view read[] = {"XREAD", "BLOCK", "0", "STREAMS", "a:s", "$"};
    bench.routing.router().make_plan(
        command::command_table()[static_cast<std::size_t>(command::find_command("xread"))], read, plan);
    return plan.what;
  }
};

TEST_F(OneBusTest, ABusThatGetsCommandsPassedWaitsItselfUnlessTheDaemonWouldWaitOtherwise) {
  using action = command::plan::action;
  const std::string passed = "server_commands: passed\n";
  EXPECT_EQ(waiting(passed), action::block);
  EXPECT_EQ(waiting(passed + "missing_group: create\n"), action::park);
  EXPECT_EQ(waiting(passed + "limits: {max_block: 1s}\n"), action::park);
}

}  // namespace
}  // namespace dualbus::operation::test
