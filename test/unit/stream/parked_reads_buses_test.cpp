// The ends of readers, and the part that buses, watchers, errors and time have in them.

#include "parked_reads_fixture.hpp"

namespace dualbus::stream {
namespace {

// --------------------------------------------------------------------------------------------- deadlines

TEST_F(ParkedReadsTest, AReaderWhoseTimeIsOverExpires) {
  park_settled("a", "g", milliseconds(10));
  EXPECT_EQ(reads_.next_time(), now_ + milliseconds(10));
  pass(milliseconds(9));
  EXPECT_THAT(told(), IsEmpty());
  pass(milliseconds(1));
  EXPECT_THAT(told(), ElementsAre("1 expires"));
  EXPECT_EQ(reads_.readers(), 0U);
  EXPECT_FALSE(reads_.next_time());
  EXPECT_FALSE(reads_.has_queue("a", "g"));
}

TEST_F(ParkedReadsTest, AReaderThatLooksDoesNotExpireBeforeItHasFoundNothing) {
  park_settled("a", "g", milliseconds(10));
  added(0, "a");
  told();
  pass(milliseconds(20));
  EXPECT_THAT(told(), IsEmpty());
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 expires"));
  EXPECT_EQ(reads_.readers(), 0U);
}

TEST_F(ParkedReadsTest, AReaderThatLookedUntilItsTimeWasOverExpiresEvenIfNobodyTookNotice) {
  park_settled("a", "g", milliseconds(10));
  added(0, "a");
  added(1, "a");
  told();
  now_ += milliseconds(10);
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 expires"));
  EXPECT_FALSE(reads_.next_time());
}

TEST_F(ParkedReadsTest, WhatALookFindsAfterTheDeadlineIsTheReaders) {
  park_settled("a", "g", milliseconds(10));
  added(0, "a");
  told();
  pass(milliseconds(20));
  reads_.leave(1, true, {}, now_);
  pass(milliseconds(20));
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(reads_.readers(), 0U);
}

TEST_F(ParkedReadsTest, AfterAReaderThatExpiresTheNextLooks) {
  park({{"a"}}, "g", milliseconds(10));
  park({{"a"}}, "g");
  told();
  armed(0, "a");
  told();
  pass(milliseconds(10));
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 expires"));
  armed(1, "a");
  EXPECT_THAT(told(), ElementsAre("2 looks at a/1"));
}

TEST_F(ParkedReadsTest, ReadersThatExpireTogetherDoNotLookOneAfterTheOther) {
  reads_.watcher_down(0, now_);
  pass(parked_reads::settling);
  for (int i = 0; i < 3; ++i) park({{"a"}}, "g", milliseconds(10));
  park({{"a"}}, "g");
  EXPECT_THAT(told(), ElementsAre("arm a/1", "1 looks at a/0"));
  nothing(1);
  pass(milliseconds(10));
  EXPECT_THAT(told(), ElementsAre("1 expires", "2 expires", "3 expires", "4 looks at a/0"));
}

TEST_F(ParkedReadsTest, AReaderWhoseTimeIsOverIsNotSentToLook) {
  park_settled("a", "g", milliseconds(10));
  now_ += milliseconds(10);
  changed(0, "a");
  EXPECT_THAT(told(), IsEmpty());
  reads_.advance(now_);
  EXPECT_THAT(told(), ElementsAre("1 expires"));
}

TEST_F(ParkedReadsTest, TheEarliestDeadlineIsTheNextTime) {
  park_settled("a", "g", milliseconds(30));
  park_settled("a", "h", milliseconds(10));
  park_settled("a", "i");
  EXPECT_EQ(reads_.next_time(), now_ + milliseconds(10));
  reads_.leave(2, false, {}, now_);
  EXPECT_EQ(reads_.next_time(), now_ + milliseconds(30));
}

// ------------------------------------------------------------------------------------- unblock and leave

TEST_F(ParkedReadsTest, AParkedReaderCanBeUnblocked) {
  park_settled("a", "g", milliseconds(10));
  park({{"a"}}, "g");
  EXPECT_TRUE(reads_.unblock(1, now_));
  EXPECT_FALSE(reads_.unblock(1, now_));
  EXPECT_EQ(reads_.readers(), 1U);
  EXPECT_FALSE(reads_.next_time());
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
}

TEST_F(ParkedReadsTest, AReaderThatLooksCannotBeUnblocked) {
  park_settled("a", "g");
  added(0, "a");
  told();
  EXPECT_FALSE(reads_.unblock(1, now_));
  nothing(1);
  EXPECT_TRUE(reads_.unblock(1, now_));
}

// Whoever ends readers asks between the decision and the action: a reader that cannot be unblocked looks.
TEST_F(ParkedReadsTest, AReaderLooksFromTheDecisionOnNotOnlyFromTheAction) {
  park_settled("a", "g");
  EXPECT_FALSE(reads_.looks(1));
  added(0, "a");
  EXPECT_TRUE(reads_.looks(1));
  EXPECT_FALSE(reads_.unblock(1, now_));
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  EXPECT_TRUE(reads_.looks(1));
  nothing(1);
  EXPECT_FALSE(reads_.looks(1));
  EXPECT_FALSE(reads_.looks(2));
}

TEST_F(ParkedReadsTest, WhoStandsBehindAnotherCanLeave) {
  park_settled("a", "g");
  park({{"a"}}, "g", milliseconds(10));
  park({{"a"}}, "g");
  reads_.leave(2, false, {}, now_);
  EXPECT_FALSE(reads_.next_time());
  added(0, "a");
  told();
  reads_.leave(1, true, {}, now_);
  EXPECT_THAT(told(), ElementsAre("3 looks at a/0"));
}

TEST_F(ParkedReadsTest, WhoLeavesWhileItLooksLeavesTheLookToTheNext) {
  park_settled("a", "g");
  park({{"a"}}, "g");
  added(0, "a");
  told();
  reads_.leave(1, false, {}, now_);
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
  // The answer to the first comes all the same, and says nothing about the second.
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_FALSE(reads_.unblock(2, now_));
}

TEST_F(ParkedReadsTest, WhoLeavesWhileTheKeyIsBeingArmedLeavesThatToTheNext) {
  park({{"a"}}, "g");
  park({{"a"}}, "g");
  told();
  reads_.leave(1, false, {}, now_);
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
}

TEST_F(ParkedReadsTest, WhoLeavesWhileItWaitsForARetryLeavesThatToTheNext) {
  park_settled("a", "g");
  park({{"a"}}, "g");
  added(0, "a");
  told();
  reads_.swept(1, {{0, 0}}, {}, now_);
  const auto retry = reads_.next_time();
  reads_.leave(1, false, {}, now_);
  EXPECT_EQ(reads_.next_time(), retry);
  pass(parked_reads::retry_interval);
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
}

TEST_F(ParkedReadsTest, LeavingTwiceIsLeavingOnce) {
  park_settled("a", "g");
  reads_.leave(1, false, {}, now_);
  reads_.leave(1, true, {}, now_);
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(reads_.readers(), 0U);
}

TEST_F(ParkedReadsTest, AServedReaderLeavesItsKeysArmedForItsNextRead) {
  park_settled("a", "g");
  changed(0, "a");
  told();
  armed(0, "a");
  changed(0, "a");
  reads_.leave(1, true, {}, now_);
  EXPECT_THAT(told(), ElementsAre("arm a/0"));
  park_settled("b", "g");
  changed(0, "b");
  told();
  armed(0, "b");
  changed(0, "b");
  reads_.leave(2, false, {}, now_);
  EXPECT_THAT(told(), IsEmpty());
}

// ------------------------------------------------------------------------------------------------- buses

TEST_F(ParkedReadsTest, ABusThatIsDownIsNeitherArmedNorLookedAt) {
  reads_.bus_down(1);
  park({{"a"}}, "g");
  EXPECT_THAT(told(), ElementsAre("arm a/0"));
  changed(1, "a");
  added(1, "a");
  EXPECT_THAT(told(), IsEmpty());
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  reads_.bus_up(1, now_);
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("arm a/1", "1 looks at a/1"));
}

TEST_F(ParkedReadsTest, ABusThatIsBackIsLookedAtEvenIfNothingWasThereBefore) {
  park_settled("a", "g");
  reads_.bus_down(0);
  EXPECT_THAT(told(), IsEmpty());
  reads_.bus_up(0, now_);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, ABusThatFailsIsAskedAgainLater) {
  park_settled("a", "g");
  added(0, "a");
  added(1, "a");
  told();
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
  reads_.swept(1, {{0, 1}}, {}, now_);
  EXPECT_EQ(reads_.next_time(), now_ + parked_reads::retry_interval);
  // Whatever happens there meanwhile; other buses do not wait.
  added(1, "a");
  EXPECT_THAT(told(), IsEmpty());
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  nothing(1);
  pass(parked_reads::retry_interval - milliseconds(1));
  EXPECT_THAT(told(), IsEmpty());
  pass(milliseconds(1));
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
  nothing(1);
  EXPECT_FALSE(reads_.next_time());
}

TEST_F(ParkedReadsTest, ABusThatFailedBecauseItIsDownIsAskedWhenItIsBack) {
  park_settled("a", "g");
  added(0, "a");
  told();
  reads_.bus_down(0);
  reads_.swept(1, {{0, 0}}, {}, now_);
  pass(seconds(10));
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_FALSE(reads_.next_time());
  reads_.bus_up(0, now_);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, WhatCouldNotBeDeliveredYetIsLookedForAgainAtItsTime) {
  park_settled("a", {});
  added(0, "a");
  told();
  reads_.swept(1, {}, now_ + milliseconds(3), now_);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(reads_.next_time(), now_ + milliseconds(3));
  pass(milliseconds(3));
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_FALSE(reads_.next_time());
}

// ----------------------------------------------------------------------------------------------- watchers

TEST_F(ParkedReadsTest, ABusThatIsNotWatchedIsAskedEveryFewMilliseconds) {
  park_settled("a", "g");
  reads_.watcher_down(0, now_);
  pass(parked_reads::settling);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  for (int i = 0; i < 3; ++i) {
    nothing(1);
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_EQ(reads_.next_time(), now_ + parked_reads::unwatched_interval);
    pass(parked_reads::unwatched_interval);
    EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  }
}

TEST_F(ParkedReadsTest, AWatcherThatIsBackHasEveryKeyArmedAnew) {
  park_settled("a", "g");
  reads_.watcher_down(0, now_);
  told();
  nothing(1);
  reads_.watcher_up(0, now_);
  EXPECT_THAT(told(), ElementsAre("arm a/0"));
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  nothing(1);
  pass(parked_reads::settling);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_FALSE(reads_.next_time());
}

TEST_F(ParkedReadsTest, AWatcherThatIsBackDuringALookDoesNotMakeItCount) {
  park_settled("a", "g");
  added(0, "a");
  told();
  reads_.watcher_down(0, now_);
  reads_.watcher_up(0, now_);
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("arm a/0"));
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, KeysOfNobodyAreNotArmedWhenAWatcherIsBack) {
  reads_.leave(park_settled("a", "g"), false, {}, now_);
  reads_.watcher_down(0, now_);
  reads_.watcher_up(0, now_);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_FALSE(reads_.look("a", true, now_)[0].armed);
}

TEST_F(ParkedReadsTest, AReaderThatParksBeforeItsBusesAreWatchedLooksAtOnce) {
  parked_reads reads(1);
  reads.park({{"a"}}, "g", {}, {}, false, now_);
  const auto actions = reads.take_actions();
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(actions[0].what, parked_reads::action::kind::sweep);
}

// ------------------------------------------------------------------------------------------ group changes

TEST_F(ParkedReadsTest, WhenGroupsMayHaveChangedEverybodyLooksAtThatBusOnce) {
  park_settled("a", "g");
  park({{"a"}}, "g");
  park_settled("b", "g");
  reads_.recheck(1, now_);
  EXPECT_THAT(told(), testing::UnorderedElementsAre("1 looks at a/1", "3 looks at b/1"));
  nothing(1);
  nothing(3);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, WhenAKeysGroupsWereChangedItsReadersLookOnce) {
  park_settled("a", "g");
  park_settled("b", "g");
  reads_.groups_changed("a", now_);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0 a/1"));
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, WhatIsToBeDoneIsToldOnce) {
  EXPECT_TRUE(reads_.settled());
  park({{"a"}}, "g");
  EXPECT_FALSE(reads_.settled());
  EXPECT_THAT(told(), ElementsAre("arm a/0", "arm a/1"));
  EXPECT_TRUE(reads_.settled());
  EXPECT_THAT(told(), IsEmpty());
}

// --------------------------------------------------------------------------------------------------- keys

TEST_F(ParkedReadsTest, AKeyThatNobodyUsesIsForgotten) {
  reads_.leave(park_settled("a", "g"), true, {}, now_);
  park_settled("b", "g");
  pass(parked_reads::keep_key / 2);
  EXPECT_EQ(reads_.keys(), 2U);
  EXPECT_TRUE(reads_.look("a", true, now_)[0].armed);
  pass(parked_reads::keep_key - milliseconds(1));
  EXPECT_EQ(reads_.keys(), 2U);
  pass(parked_reads::keep_key / 4);
  EXPECT_EQ(reads_.keys(), 1U);
  EXPECT_FALSE(reads_.look("a", true, now_)[0].armed);
  // A reader that waits is not forgotten.
  added(0, "b");
  EXPECT_THAT(told(), ElementsAre("2 looks at b/0"));
}

TEST_F(ParkedReadsTest, WhatWasKnownOfAForgottenKeyDoesNotHoldForANewOne) {
  reads_.leave(park_settled("a", "g"), true, {}, now_);
  const auto seen = reads_.look("a", true, now_);
  pass(2 * parked_reads::keep_key);
  ASSERT_EQ(reads_.keys(), 0U);
  park({{"a"}}, "g", {}, {seen});
  EXPECT_THAT(told(), ElementsAre("arm a/0", "arm a/1", "2 looks at a/0 a/1"));
}

}  // namespace
TEST_F(ParkedReadsTest, KeysThatNobodyWaitsForTakeABoundedAmountOfMemory) {
  park({{"waited", all}}, "g");
  const std::string long_name(1 << 20, 'x');
  for (int i = 0; i < 500; ++i) reads_.look(long_name + std::to_string(i), true, now_);
  EXPECT_LE(reads_.keys() << 20, parked_reads::keep_bytes);
  EXPECT_TRUE(reads_.has_queue("waited", "g"));
  // A sighting of a key from before it was forgotten says nothing about it any more.
  reads_.take_actions();
  const auto seen = reads_.look("k", true, now_);
  for (int i = 0; i < 500; ++i) reads_.look(long_name + std::to_string(i), true, now_);
  const auto again = reads_.look("k", true, now_);
  EXPECT_NE(seen[0].mark, again[0].mark);
}

TEST_F(ParkedReadsTest, KeysThatAreWaitedForAreKeptHoweverManyTheyAre) {
  const std::string long_name(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) park({{long_name + std::to_string(i), 0}}, "g");
  EXPECT_EQ(reads_.keys(), 100U);
}

}  // namespace dualbus::stream
