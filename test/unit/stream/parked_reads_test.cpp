// The looks of readers, and their order. Buses, watchers and time are in parked_reads_buses_test.cpp.

#include "parked_reads_fixture.hpp"

namespace dualbus::stream {
namespace {

// ------------------------------------------------------------------------------------ watching and looking

TEST_F(ParkedReadsTest, AnEntryUnderWayIsInFrontOfReadsOnItsOwnConnectionOnly) {
  park_settled("a", "g");
  reads_.added(0, reads_.waited_for("a"), true, now_);
  EXPECT_EQ(reads_.send("a", 0, true, now_).seen.entries, 1u);
  EXPECT_EQ(reads_.send("a", 0, false, now_).seen.entries, 0u);
  EXPECT_EQ(reads_.look("a", true, now_)[0].entries, 1u);
  EXPECT_EQ(reads_.look("a", false, now_)[0].entries, 0u);
}

TEST_F(ParkedReadsTest, AReaderThatKnowsNothingLooksWhenTheBusWatchesTheKey) {
  park({{"a"}}, "g");
  EXPECT_THAT(told(), ElementsAre("arm a/0", "arm a/1"));
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, AnArmingDuringALookIsFollowedByAnother) {
  park({{"a"}}, "g");
  armed(0, "a");
  told();
  armed(1, "a");
  EXPECT_THAT(told(), IsEmpty());
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
}

TEST_F(ParkedReadsTest, NobodyLooksAgainWhereNothingWasFoundSinceTheKeyIsWatched) {
  park_settled("a", "g");
  EXPECT_FALSE(reads_.next_time());
  for (int i = 0; i < 100; ++i) pass(std::chrono::minutes(10));
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, AnAnnouncementIsLookedIntoAtOnceAndAgainWhenTheKeyIsWatchedAgain) {
  park_settled("a", "g");
  changed(1, "a");
  EXPECT_THAT(told(), ElementsAre("arm a/1", "1 looks at a/1"));
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
  // An entry between the look and the arming was not announced.
  armed(1, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, ALookThatBeganBeforeTheArmingSettlesNothing) {
  park_settled("a", "g");
  changed(0, "a");
  told();
  armed(0, "a");
  EXPECT_THAT(told(), IsEmpty());
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, AChangeDuringALookIsFollowedByAnother) {
  park_settled("a", "g");
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  changed(0, "a");
  EXPECT_THAT(told(), IsEmpty());
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("arm a/0", "1 looks at a/0"));
}

TEST_F(ParkedReadsTest, AKeyThatIsBeingArmedIsNotArmedTwice) {
  park({{"a"}}, "g");
  told();
  changed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  park({{"a"}}, "h");
  park({{"a"}}, {});
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, AnAnnouncementBeforeTheAnswerToExistsIsOfAnEarlierArming) {
  park_settled("a", "g");
  changed(0, "a");
  told();
  changed(0, "a");
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  nothing(1);
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  nothing(1);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, WhatConcernsAnUnknownKeyIsIgnored) {
  armed(0, "a");
  changed(0, "a");
  added(0, "a");
  reads_.groups_changed("a", now_);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(reads_.keys(), 0U);
}

TEST_F(ParkedReadsTest, AChangeThatNobodyWaitsForIsRemembered) {
  reads_.leave(park_settled("a", "g"), false, {}, now_);
  EXPECT_TRUE(reads_.look("a", true, now_)[0].armed);
  changed(0, "a");
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_FALSE(reads_.look("a", true, now_)[0].armed);
  EXPECT_TRUE(reads_.look("a", true, now_)[1].armed);
}

// ------------------------------------------------------------------------------------------- local entries

TEST_F(ParkedReadsTest, AnEntryThatIsAddedHereIsLookedForAtOnce) {
  park_settled("a", "g");
  const auto when = now_;
  added(1, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
  EXPECT_EQ(because_, cause::local);
  EXPECT_EQ(since_, when);
  // Also while the key is being armed.
  park({{"b"}}, "g");
  told();
  added(0, "b");
  EXPECT_THAT(told(), ElementsAre("2 looks at b/0"));
}

TEST_F(ParkedReadsTest, AKeyIsWaitedForWhileSomebodyIsParked) {
  EXPECT_EQ(reads_.waited_for("a"), 0U);
  reads_.look("a", true, now_);
  EXPECT_EQ(reads_.waited_for("a"), 0U);
  const reader_id first = park({{"a"}, {"b"}}, "g"), second = park({{"a"}}, {});
  const std::uint32_t a = reads_.waited_for("a");
  EXPECT_NE(a, 0U);
  EXPECT_NE(reads_.waited_for("b"), 0U);
  EXPECT_NE(reads_.waited_for("b"), a);
  EXPECT_EQ(reads_.waited_for("c"), 0U);
  reads_.leave(first, false, {}, now_);
  EXPECT_EQ(reads_.waited_for("a"), a);
  EXPECT_EQ(reads_.waited_for("b"), 0U);
  reads_.leave(second, false, {}, now_);
  EXPECT_EQ(reads_.waited_for("a"), 0U);
}

TEST_F(ParkedReadsTest, AnEntryWhoseReadersHaveLeftMeanwhileConcernsNobody) {
  const reader_id reader = park_settled("a", "g");
  const std::uint32_t key = reads_.waited_for("a");
  reads_.leave(reader, false, {}, now_);
  reads_.added(0, key, false, now_);
  pass(2 * parked_reads::keep_key);
  reads_.added(0, key, false, now_);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, ALookSaysWhatCausedItFirst) {
  park({{"a"}, {"b"}}, "g");
  settle(1, "a");
  settle(1, "b");
  added(0, "a");
  told();
  pass(milliseconds(1));
  const auto first = now_;
  changed(1, "b");
  pass(milliseconds(1));
  added(0, "a");
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("arm b/1", "1 looks at a/0 b/1"));
  EXPECT_EQ(because_, cause::notified);
  EXPECT_EQ(since_, first);
}

TEST_F(ParkedReadsTest, ALookAfterAnArmingHasNoCause) {
  park({{"a"}}, "g");
  changed(0, "a");
  told();
  EXPECT_EQ(because_, cause::notified);
  nothing(1);
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  EXPECT_EQ(because_, cause::none);
}

// --------------------------------------------------------------------------------------- groups and queues

TEST_F(ParkedReadsTest, OnlyTheFirstOfAGroupLooks) {
  park_settled("a", "g");
  park({{"a"}}, "g");
  park({{"a"}}, "g");
  EXPECT_THAT(told(), IsEmpty());
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  added(1, "a");
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, AServedReaderIsFollowedByTheNextInTheOrderOfArrival) {
  park_settled("a", "g");
  park({{"a"}}, "g");
  park({{"a"}}, "g");
  added(0, "a");
  told();
  reads_.leave(1, true, {}, now_);
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
  reads_.leave(2, true, {}, now_);
  EXPECT_THAT(told(), ElementsAre("3 looks at a/0"));
  nothing(3);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, WhatTheFirstHasFoundOutHoldsForTheNext) {
  park_settled("a", "g");
  park({{"a"}}, "g");
  reads_.leave(1, false, {}, now_);
  EXPECT_THAT(told(), IsEmpty());
  added(1, "a");
  EXPECT_THAT(told(), ElementsAre("2 looks at a/1"));
}

TEST_F(ParkedReadsTest, GroupsDoNotWaitForEachOther) {
  park_settled("a", "g");
  park_settled("a", "h");
  added(0, "a");
  EXPECT_THAT(told(), testing::UnorderedElementsAre("1 looks at a/0", "2 looks at a/0"));
}

TEST_F(ParkedReadsTest, WhatOneGroupHasFoundOutDoesNotHoldForAnother) {
  park_settled("a", "g");
  park({{"a"}}, "h");
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0 a/1"));
}

TEST_F(ParkedReadsTest, ReadersWithoutAGroupLookEachForThemselves) {
  park_settled("a", {});
  park_settled("a", {});
  changed(0, "a");
  EXPECT_THAT(told(), ElementsAre("arm a/0", "1 looks at a/0", "2 looks at a/0"));
  reads_.leave(1, true, {}, now_);
  nothing(2);
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
}

TEST_F(ParkedReadsTest, AQueueExistsWhileSomebodyStandsInIt) {
  EXPECT_FALSE(reads_.has_queue("a", "g"));
  park({{"a"}}, "g");
  park({{"a"}}, "g");
  park({{"b"}}, {});
  EXPECT_TRUE(reads_.has_queue("a", "g"));
  EXPECT_FALSE(reads_.has_queue("a", "h"));
  EXPECT_FALSE(reads_.has_queue("b", "g"));
  reads_.leave(1, false, {}, now_);
  EXPECT_TRUE(reads_.has_queue("a", "g"));
  reads_.leave(2, false, {}, now_);
  EXPECT_FALSE(reads_.has_queue("a", "g"));
}

// --------------------------------------------------------------------------------------------- sightings

TEST_F(ParkedReadsTest, AFirstReadWhileTheKeyWasWatchedNeedNotBeRepeated) {
  reads_.leave(park_settled("a", "g"), true, {}, now_);
  const auto seen = reads_.look("a", true, now_);
  park({{"a"}}, "g", {}, {seen});
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ParkedReadsTest, AFirstReadBeforeTheKeyWasWatchedIsRepeatedWhenItIs) {
  const auto seen = reads_.look("a", true, now_);
  EXPECT_FALSE(seen[0].armed);
  park({{"a"}}, "g", {}, {seen});
  EXPECT_THAT(told(), ElementsAre("arm a/0", "arm a/1"));
  armed(1, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
}

TEST_F(ParkedReadsTest, AChangeBetweenTheFirstReadAndTheParkingIsLookedInto) {
  reads_.leave(park_settled("a", "g"), true, {}, now_);
  const auto seen = reads_.look("a", true, now_);
  changed(0, "a");
  park({{"a"}}, "g", {}, {seen});
  EXPECT_THAT(told(), ElementsAre("arm a/0", "2 looks at a/0"));
}

TEST_F(ParkedReadsTest, AnEntryAddedHereBetweenTheFirstReadAndTheParkingIsLookedFor) {
  park_settled("a", "h");
  const auto seen = reads_.look("a", true, now_);
  added(0, "a");
  told();
  park({{"a"}}, "g", {}, {seen});
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
}

TEST_F(ParkedReadsTest, AWatcherLostBetweenTheFirstReadAndTheParkingIsNoticed) {
  reads_.leave(park_settled("a", "g"), true, {}, now_);
  const auto seen = reads_.look("a", true, now_);
  reads_.watcher_down(0, now_);
  reads_.watcher_up(0, now_);
  park({{"a"}}, "g", {}, {seen});
  EXPECT_THAT(told(), ElementsAre("arm a/0", "2 looks at a/0"));
}

TEST_F(ParkedReadsTest, ABusThatDidNotAnswerTheFirstReadIsLookedAt) {
  reads_.leave(park_settled("a", "g"), true, {}, now_);
  auto seen = reads_.look("a", true, now_);
  seen[1].armed = false;
  park({{"a"}}, "g", {}, {seen});
  EXPECT_THAT(told(), ElementsAre("2 looks at a/1"));
}

TEST_F(ParkedReadsTest, WhoStandsInAQueueAlreadyKnowsBetterThanWhoJoinsIt) {
  park({{"a"}}, "g");
  told();
  armed(0, "a");
  armed(1, "a");
  told();
  const auto seen = reads_.look("a", true, now_);
  park({{"a"}}, "g", {}, {seen});
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
}

// ------------------------------------------------------------------------------------------- several keys

TEST_F(ParkedReadsTest, AReaderOfSeveralKeysLooksWhereItIsTheFirst) {
  park_settled("a", "g");
  park({{"a"}, {"b"}}, "g");
  EXPECT_THAT(told(), ElementsAre("arm b/0", "arm b/1"));
  settle(2, "b");
  added(0, "b");
  EXPECT_THAT(told(), ElementsAre("2 looks at b/0"));
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  // Now it is the first here, too, but it looks already.
  reads_.leave(1, true, {}, now_);
  EXPECT_THAT(told(), IsEmpty());
  nothing(2);
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
}

TEST_F(ParkedReadsTest, OneLookIsForAllKeys) {
  park({{"a"}, {"b"}}, "g");
  settle(1, "a");
  settle(1, "b");
  added(1, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
  added(0, "b");
  added(1, "b");
  EXPECT_THAT(told(), IsEmpty());
  nothing(1);
  EXPECT_THAT(told(), ElementsAre("1 looks at b/0 b/1"));
}

TEST_F(ParkedReadsTest, AServedReaderLeavesAllItsQueues) {
  park({{"a"}, {"b"}}, "g");
  settle(1, "a");
  settle(1, "b");
  park({{"a"}}, "g");
  park({{"b"}}, "g");
  added(0, "a");
  added(1, "b");
  told();
  reads_.leave(1, true, {}, now_);
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0", "3 looks at b/1"));
  EXPECT_EQ(reads_.readers(), 2U);
}

TEST_F(ParkedReadsTest, AKeyThatIsNamedTwiceIsLookedAtForBothNames) {
  park({{"a"}, {"a"}}, "g");
  park({{"a"}}, "g");
  EXPECT_THAT(told(), ElementsAre("arm a/0", "arm a/1"));
  settle(1, "a");
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0 a/0"));
  reads_.leave(1, true, {}, now_);
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
  reads_.leave(2, true, {}, now_);
  EXPECT_FALSE(reads_.has_queue("a", "g"));
}

TEST_F(ParkedReadsTest, AKeyThatIsNamedTwiceWithoutAGroupIsLookedAtForBothNames) {
  park({{"a"}, {"a"}}, {});
  told();
  settle(1, "a");
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0 a/0"));
  reads_.leave(1, true, {}, now_);
  EXPECT_EQ(reads_.waited_for("a"), 0U);
}

TEST_F(ParkedReadsTest, APinnedKeyIsWatchedAndLookedAtOnItsBusOnly) {
  park({{"a", 1}, {"b", all}}, "g");
  EXPECT_THAT(told(), ElementsAre("arm a/1", "arm b/0", "arm b/1"));
  armed(1, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
  nothing(1);
  changed(0, "a");
  reads_.groups_changed("a", now_);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/1"));
}

}  // namespace
}  // namespace dualbus::stream
