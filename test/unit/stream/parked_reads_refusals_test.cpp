// Buses that are there and do not do their job, and watchers that are lost with their bus.

#include "parked_reads_fixture.hpp"

namespace dualbus::stream {
namespace {

/// The readers' last look was told of each target so: whether an entry may be there.
std::vector<bool> expectations(parked_reads& reads) {
  std::vector<bool> result;
  for (const auto& what : reads.take_actions()) {
    for (const auto& where : what.targets) result.push_back(where.expected);
  }
  return result;
}

TEST_F(ParkedReadsTest, ABusThatRefusesGroupReadsIsLookedAtByReadersWithoutAGroupOnly) {
  park_settled("a", "g");
  park_settled("a", {});
  reads_.serves_groups(0, false, now_);
  EXPECT_THAT(told(), IsEmpty());
  added(0, "a");
  changed(0, "a");
  EXPECT_THAT(told(), ElementsAre("2 looks at a/0"));
  pass(std::chrono::hours(1));
  EXPECT_THAT(told(), IsEmpty());
  reads_.serves_groups(0, true, now_);
  EXPECT_THAT(told(), ElementsAre("arm a/0", "1 looks at a/0"));
}

TEST_F(ParkedReadsTest, WhoWasRefusedLooksAgainAsSoonAsTheBusServesGroups) {
  park_settled("a", "g");
  added(0, "a");
  told();
  reads_.swept(1, {{0, 0}}, {}, now_);
  reads_.serves_groups(0, false, now_);
  pass(parked_reads::retry_interval * 3);
  EXPECT_THAT(told(), IsEmpty());
  reads_.serves_groups(0, true, now_);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  reads_.swept(1, {{0, 0}}, {}, now_);
  reads_.bus_up(0, now_);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
  reads_.swept(1, {{0, 0}}, {}, now_);
  reads_.watcher_down(0, now_);
  reads_.watcher_up(0, now_);
  EXPECT_THAT(told(), ElementsAre("arm a/0"));
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, ARefusingBusIsAskedOnceASecond) {
  park_settled("a", "g");
  added(0, "a");
  int looks = 0;
  for (int i = 0; i < 500; ++i) {
    if (!told().empty()) {
      ++looks;
      reads_.swept(1, {{0, 0}}, {}, now_);
    }
    pass(milliseconds(10));
  }
  EXPECT_LE(looks, 6);
  EXPECT_GE(looks, 5);
}

TEST_F(ParkedReadsTest, KeysAreNotArmedOnABusThatIsDown) {
  reads_.bus_down(1);
  reads_.watch({"a"}, false, now_);
  EXPECT_THAT(told(), ElementsAre("arm a/0"));
}

TEST_F(ParkedReadsTest, WhenAWatcherIsLostNobodyLooksBeforeItIsKnownWhatBecomesOfTheBus) {
  park_settled("a", "g");
  reads_.watcher_down(0, now_);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(reads_.next_time(), now_ + parked_reads::settling);
  reads_.bus_down(0);
  pass(std::chrono::hours(1));
  EXPECT_THAT(told(), IsEmpty());

  reads_.bus_up(0, now_);
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, WhenAWatcherIsBackAtOnceItsKeysAreArmedBeforeAnybodyLooks) {
  park_settled("a", "g");
  reads_.watcher_down(0, now_);
  pass(milliseconds(50));
  reads_.watcher_up(0, now_);
  EXPECT_THAT(told(), ElementsAre("arm a/0"));
  armed(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, AnEntryThatGoesThroughThisWorkerIsLookedForAlsoWithoutAWatcher) {
  park_settled("a", "g");
  reads_.watcher_down(0, now_);
  added(0, "a");
  EXPECT_THAT(told(), ElementsAre("1 looks at a/0"));
}

TEST_F(ParkedReadsTest, ALookKnowsWhetherAnEntryMayBeThere) {
  park_settled("a", "g");
  reads_.recheck(0, now_);
  EXPECT_THAT(expectations(reads_), ElementsAre(false)) << "it was empty, and only groups may have changed";
  nothing(1);
  reads_.recheck(0, now_);
  EXPECT_THAT(expectations(reads_), ElementsAre(false));
  nothing(1);
  added(0, "a");
  EXPECT_THAT(expectations(reads_), ElementsAre(true));
  reads_.recheck(0, now_);
  nothing(1);
  EXPECT_THAT(expectations(reads_), ElementsAre(false));
  nothing(1);
  changed(0, "a");
  EXPECT_THAT(expectations(reads_), ElementsAre(true));
  nothing(1);
  armed(0, "a");
  EXPECT_THAT(expectations(reads_), ElementsAre(true)) << "an entry that came in between was not announced";
  nothing(1);
  reads_.groups_changed("a", now_);
  EXPECT_THAT(expectations(reads_), ElementsAre(true, true));
  nothing(1);
  reads_.bus_up(0, now_);
  EXPECT_THAT(expectations(reads_), ElementsAre(true));
}

TEST_F(ParkedReadsTest, WhatAFailedLookWasToFindIsStillExpected) {
  park_settled("a", "g");
  added(0, "a");
  told();
  reads_.swept(1, {{0, 0}}, {}, now_);
  reads_.recheck(0, now_);
  pass(parked_reads::retry_interval);
  EXPECT_THAT(expectations(reads_), ElementsAre(true));
}

}  // namespace
}  // namespace dualbus::stream
