// Polls that are answered without a bus: the knowledge for it, its confirmation, and the delay of those who
// spin.

#include "support/reads_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

/// Notes what it is told.
class told_poll final : public spared_poll {
 public:
  int confirmed = 0, news = 0;

 private:
  void on_confirmed() override { ++confirmed; }
  void on_news() override { ++news; }
};

class AbsorberTest : public ReadsTest {
 protected:
  explicit AbsorberTest(bench_options options = {}) : ReadsTest(std::move(options)) {}

  poll_absorber::view look() { return bench_.polls.look("s", command::no_bus, false); }
  /// Has the buses watch the key.
  void watch() {
    look();
    bench_.pass(100ms);
    look();
    bench_.run();
  }
  /// A read of the poll comes to the end on both buses.
  void read_to_the_end() {
    const poll_absorber::view seen = look();
    for (const command::bus_index bus : {command::bus_index{0}, command::bus_index{1}}) {
      bench_.polls.asked(poll_, bus);
      bench_.polls.reached_end(poll_, bus, seen);
    }
  }
  stream::bus_set empty() { return bench_.polls.empty(poll_, look()); }

  const poll_absorber::poll poll_{"s", "g", "c"};
  told_poll who_;
};

// --------------------------------------------------------------------------------------------- what is known

TEST_F(AbsorberTest, ABusThatHadNothingNeedNotBeAskedWhileNothingChanges) {
  watch();
  EXPECT_EQ(empty(), 0U);
  read_to_the_end();
  EXPECT_EQ(empty(), 3U);
}

TEST_F(AbsorberTest, AnAnnouncementEndsWhatIsKnownOfItsBus) {
  watch();
  read_to_the_end();
  b_.announces("s");
  bench_.run();
  EXPECT_EQ(empty(), 1U);
}

TEST_F(AbsorberTest, AWriteThroughTheDaemonEndsWhatIsKnown) {
  watch();
  read_to_the_end();
  stream::key_change change;
  change.add(bench_.changes, "s", 0);
  EXPECT_EQ(empty(), 2U);
}

TEST_F(AbsorberTest, WhatIsKnownCountsForAWhile) {
  watch();
  read_to_the_end();
  bench_.pass(900ms);
  EXPECT_EQ(empty(), 3U);
  bench_.pass(200ms);
  EXPECT_EQ(empty(), 0U);
}

TEST_F(AbsorberTest, OfABusWhoseWatcherIsLostNothingIsKnown) {
  watch();
  read_to_the_end();
  b_.closes(b_.watcher());
  bench_.run();
  EXPECT_EQ(empty(), 1U);
}

TEST_F(AbsorberTest, AReadThatIsSentLaterIsSeenFromThen) {
  watch();
  poll_absorber::view seen = look();
  b_.announces("s");
  bench_.run();
  look();
  bench_.run();
  const auto there = bench_.parking.send("s", 1, false);
  bench_.polls.see_again(seen, "s", 1, there);
  bench_.polls.asked(poll_, 1);
  bench_.polls.reached_end(poll_, 1, seen);
  EXPECT_EQ(empty(), 2U);
}

TEST_F(AbsorberTest, AGroupThatDidNotExistIsKnownForAWhile) {
  watch();
  bench_.polls.found_no_group(poll_, 3, look());
  EXPECT_TRUE(bench_.polls.no_group(poll_, look()));
  EXPECT_FALSE(bench_.polls.no_group({"s", "other", "c"}, look()));
  bench_.pass(300ms);
  EXPECT_FALSE(bench_.polls.no_group(poll_, look()));
}

TEST_F(AbsorberTest, TheModeIsThatOfTheConfiguration) {
  EXPECT_TRUE(bench_.polls.on());
  EXPECT_FALSE(bench_.polls.strict());
  bench_.reload("absorb: strict\n");
  EXPECT_TRUE(bench_.polls.on());
  EXPECT_TRUE(bench_.polls.strict());
  bench_.reload("absorb: off\n");
  EXPECT_FALSE(bench_.polls.on());
}

// --------------------------------------------------------------------------------------------- confirmations

TEST_F(AbsorberTest, AConfirmationComesWhenEachBusHasAnswered) {
  watch();
  a_.keep("PING");
  b_.keep("PING");
  bench_.run();
  bench_.polls.confirm(who_, 3);
  EXPECT_THAT(a_.asked(), testing::StartsWith("PING "));
  EXPECT_THAT(b_.asked(), testing::StartsWith("PING "));
  a_.answers(bulk(a_.last().text.substr(5)));
  bench_.run();
  EXPECT_EQ(who_.confirmed, 0);
  b_.answers(bulk(b_.last().text.substr(5)));
  bench_.run();
  EXPECT_EQ(who_.confirmed, 1);
  EXPECT_TRUE(bench_.polls.settled());
}

TEST_F(AbsorberTest, OnlyTheBusesThatCountAreAsked) {
  watch();
  const std::size_t before = b_.times("PING 1") + b_.times("PING 2") + b_.times("PING 3");
  bench_.polls.confirm(who_, 1);
  bench_.run();
  EXPECT_EQ(who_.confirmed, 1);
  EXPECT_EQ(b_.times("PING 1") + b_.times("PING 2") + b_.times("PING 3"), before);
}

TEST_F(AbsorberTest, ABusThatCannotConfirmIsNotWaitedFor) {
  bench_.polls.confirm(who_, 3);  // nobody watches
  bench_.run();
  EXPECT_EQ(who_.confirmed, 1);
  watch();
  b_.keep("PING");
  bench_.polls.confirm(who_, 2);
  EXPECT_THAT(b_.asked(), testing::StartsWith("PING "));
  EXPECT_EQ(who_.confirmed, 1);
  b_.closes(b_.watcher());
  bench_.run();
  EXPECT_EQ(who_.confirmed, 2);
}

TEST_F(AbsorberTest, WhoIsForgottenIsNotTold) {
  watch();
  bench_.polls.confirm(who_, 3);
  bench_.polls.forget(who_);
  bench_.run();
  EXPECT_EQ(who_.confirmed, 0);
}

// ---------------------------------------------------------------------------------------------------- delays

class DelayTest : public AbsorberTest {
 protected:
  DelayTest() : AbsorberTest({.settings = "absorb_delay: 100ms\n"}) {}
};

TEST_F(DelayTest, AClientSpinsIfItAsksAgainRightBehindSuchAnAnswer) {
  watch();
  read_to_the_end();
  bench_.run();
  EXPECT_FALSE(bench_.polls.is_spinning(client_.session(), poll_));
  bench_.polls.absorbed(client_.session(), poll_);
  EXPECT_TRUE(bench_.polls.is_spinning(client_.session(), poll_));
  EXPECT_EQ(client_.session().engine().polls_absorbed, 1U);
  bench_.pass(150ms);
  EXPECT_FALSE(bench_.polls.is_spinning(client_.session(), poll_));
}

TEST_F(DelayTest, AClientThatHasJustBeenServedDoesNotSpin) {
  watch();
  read_to_the_end();
  bench_.run();
  bench_.polls.absorbed(client_.session(), poll_);
  client_.session().pace().served = bench_.turn.now;
  EXPECT_FALSE(bench_.polls.is_spinning(client_.session(), poll_));
}

TEST_F(DelayTest, WhoIsDelayedHearsOfChangesOfWhatItPolls) {
  const poll_absorber::poll other{"t", "g", "c"};
  watch();
  bench_.polls.look("t", command::no_bus, false);
  bench_.run();
  read_to_the_end();
  bench_.polls.asked(other, 1);
  bench_.polls.delay(who_, poll_);
  b_.announces("t");
  bench_.run();
  EXPECT_EQ(who_.news, 1);
  b_.announces("s");
  bench_.run();
  EXPECT_EQ(who_.news, 1);  // once is enough
}

TEST_F(DelayTest, WhoIsDelayedDoesNotHearOfOtherStreams) {
  watch();
  bench_.polls.look("t", command::no_bus, false);
  bench_.run();
  bench_.polls.asked({"t", "g", "somebody"}, 1);
  bench_.polls.delay(who_, poll_);
  b_.announces("t");
  bench_.run();
  EXPECT_EQ(who_.news, 0);
  bench_.polls.forget(who_);
  read_to_the_end();
  b_.announces("s");
  bench_.run();
  EXPECT_EQ(who_.news, 0);
}

}  // namespace
}  // namespace dualbus::operation::test
