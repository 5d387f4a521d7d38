#include <dualbus/stream/empty_polls.hpp>

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

using namespace std::chrono_literals;

/// Two buses, and a key that both watch; every test takes one condition away.
class EmptyPollsTest : public testing::Test {
 protected:
  static constexpr bus_set none = 0, first = 1, second = 2, both = 3;

  EmptyPollsTest() {
    seen_.buses = {{true, 10}, {true, 20}};
    seen_.changes = {{5, 0}, {7, 0}};
    seen_.at = now_;
  }

  void nothing_on(bus_set buses, const empty_polls::poll& p) {
    for (command::bus_index bus = 0; bus < 2; ++bus) {
      if ((buses >> bus & 1) == 0) continue;
      polls_.asked(p, bus, now_);
      polls_.reached_end(p, bus, seen_);
    }
  }
  bus_set empty() { return polls_.empty(poll_, seen_, limits_, now_); }
  bool no_group() { return polls_.no_group(poll_, seen_, limits_, now_); }

  base::time_point now_ = base::time_point{} + 24h;
  const empty_polls::limits limits_{1s, 200ms};
  const empty_polls::poll poll_{"k", "g", "c"};
  empty_polls polls_{2};
  empty_polls::view seen_;
};

TEST_F(EmptyPollsTest, NothingIsKnownAtFirst) {
  EXPECT_EQ(empty(), none);
  EXPECT_FALSE(no_group());
}

TEST_F(EmptyPollsTest, ABusThatHadNothingNeedNotBeAskedAgain) {
  nothing_on(first, poll_);
  EXPECT_EQ(empty(), first);
  nothing_on(second, poll_);
  EXPECT_EQ(empty(), both);
}

TEST_F(EmptyPollsTest, ItHadToBeWatchedWhenTheReadWasSent) {
  seen_.buses[0].armed = false;
  nothing_on(both, poll_);
  seen_.buses[0].armed = true;
  EXPECT_EQ(empty(), second);
}

TEST_F(EmptyPollsTest, ItHasToBeWatchedStill) {
  nothing_on(both, poll_);
  seen_.buses[1].armed = false;
  EXPECT_EQ(empty(), first);
}

TEST_F(EmptyPollsTest, ATouchOfTheKeyMakesItUnknownOnThatBus) {
  nothing_on(both, poll_);
  seen_.buses[0].mark = 11;
  EXPECT_EQ(empty(), second);
}

TEST_F(EmptyPollsTest, ARequestThatWasChangingTheKeyWhenTheReadWasSentMayComeBehindIt) {
  seen_.changes[0].unfinished = 1;
  nothing_on(both, poll_);
  seen_.changes[0].unfinished = 0;
  EXPECT_EQ(empty(), second);
}

TEST_F(EmptyPollsTest, ARequestThatHasBegunToChangeTheKeySinceMakesItUnknown) {
  nothing_on(both, poll_);
  seen_.changes[1] = {8, 1};
  EXPECT_EQ(empty(), first);
  seen_.changes[1] = {8, 0};
  EXPECT_EQ(empty(), first);
}

TEST_F(EmptyPollsTest, AnEmptyReadCountsForAWhileFromWhenItWasSent) {
  nothing_on(first, poll_);
  now_ += 600ms;
  polls_.asked(poll_, 0, now_);
  EXPECT_EQ(empty(), first);
  now_ += 400ms;
  EXPECT_EQ(empty(), none);
}

TEST_F(EmptyPollsTest, EveryConsumerIsSeenByRedisNowAndThen) {
  nothing_on(both, poll_);
  const empty_polls::poll other{"k", "g", "d"};
  EXPECT_EQ(polls_.empty(other, seen_, limits_, now_), none);
  polls_.asked(other, 1, now_);
  EXPECT_EQ(polls_.empty(other, seen_, limits_, now_), second);
  // The other consumer's reads keep the knowledge fresh, but not the first consumer in Redis's memory.
  now_ += 700ms;
  seen_.at = now_;
  nothing_on(both, other);
  EXPECT_EQ(empty(), both);
  now_ += 300ms;
  EXPECT_EQ(empty(), none);
  EXPECT_EQ(polls_.empty(other, seen_, limits_, now_), both);
}

TEST_F(EmptyPollsTest, OneGroupsReadsSayNothingAboutAnother) {
  nothing_on(both, poll_);
  EXPECT_EQ(polls_.empty({"k", "h", "c"}, seen_, limits_, now_), none);
  EXPECT_EQ(polls_.empty({"l", "g", "c"}, seen_, limits_, now_), none);
}

TEST_F(EmptyPollsTest, AMissingGroupIsKnownForAShortWhile) {
  polls_.found_no_group(poll_, both, seen_);
  EXPECT_TRUE(no_group());
  now_ += 199ms;
  EXPECT_TRUE(no_group());
  now_ += 1ms;
  EXPECT_FALSE(no_group());
}

TEST_F(EmptyPollsTest, AMissingGroupIsMissingForEveryConsumerAndNoOtherGroup) {
  polls_.found_no_group(poll_, both, seen_);
  EXPECT_TRUE(polls_.no_group({"k", "g", "d"}, seen_, limits_, now_));
  EXPECT_FALSE(polls_.no_group({"k", "h", "c"}, seen_, limits_, now_));
  EXPECT_FALSE(polls_.no_group({"l", "g", "c"}, seen_, limits_, now_));
}

TEST_F(EmptyPollsTest, AGroupThatIsBeingMadeThroughTheDaemonIsNotMissing) {
  polls_.found_no_group(poll_, both, seen_);
  seen_.changes = {{6, 1}, {8, 1}};
  EXPECT_FALSE(no_group());
}

TEST_F(EmptyPollsTest, AGroupThatWasBeingMadeWhenItWasAskedForMayExist) {
  seen_.changes[1].unfinished = 1;
  polls_.found_no_group(poll_, both, seen_);
  seen_.changes[1].unfinished = 0;
  EXPECT_FALSE(no_group());
}

TEST_F(EmptyPollsTest, OnlyChangesOnABusThatDecidesMakeAMissingGroupUnknown) {
  seen_.changes[0].unfinished = 1;
  polls_.found_no_group(poll_, second, seen_);
  EXPECT_TRUE(no_group());
  seen_.changes[0] = {6, 0};
  EXPECT_TRUE(no_group());
  seen_.changes[1] = {8, 0};
  EXPECT_FALSE(no_group());
}

TEST_F(EmptyPollsTest, ATouchOnABusThatDecidesMakesAMissingGroupUnknown) {
  polls_.found_no_group(poll_, second, seen_);
  seen_.buses[0].mark = 11;
  EXPECT_TRUE(no_group());
  seen_.buses[1].mark = 21;
  EXPECT_FALSE(no_group());
}

TEST_F(EmptyPollsTest, WhatDoesNotCountAnyMoreIsFreed) {
  for (int i = 0; i < 100; ++i) {
    const std::string key = "k" + std::to_string(i), consumer = "c" + std::to_string(i);
    nothing_on(first, {key, "g", consumer});
    polls_.found_no_group({key, "h", "c"}, both, seen_);
  }
  EXPECT_EQ(polls_.groups(), 200u);
  now_ += 500ms;
  polls_.clean_up(limits_, now_);
  EXPECT_EQ(polls_.groups(), 100u);
  EXPECT_EQ(polls_.empty({"k7", "g", "c7"}, seen_, limits_, now_), first);
  now_ += 500ms;
  polls_.clean_up(limits_, now_);
  EXPECT_EQ(polls_.groups(), 0u);
}

TEST_F(EmptyPollsTest, AConsumerPollsWhatItHasAskedForLately) {
  nothing_on(first, poll_);
  EXPECT_TRUE(polls_.polls(poll_));
  EXPECT_FALSE(polls_.polls({"k", "g", "d"}));
  EXPECT_FALSE(polls_.polls({"k", "h", "c"}));
  EXPECT_FALSE(polls_.polls({"l", "g", "c"}));
  now_ += limits_.nil;
  polls_.clean_up(limits_, now_);
  EXPECT_FALSE(polls_.polls(poll_));
}

TEST_F(EmptyPollsTest, LongNamesAreNotKept) {
  const std::string name(empty_polls::max_name_bytes - 2, 'x');
  const empty_polls::poll longest{name, "g", "c"}, longer{name, "gg", "c"};
  nothing_on(first, longest);
  nothing_on(first, longer);
  polls_.found_no_group(longer, both, seen_);
  EXPECT_EQ(polls_.empty(longest, seen_, limits_, now_), first);
  EXPECT_EQ(polls_.empty(longer, seen_, limits_, now_), none);
  EXPECT_EQ(polls_.groups(), 1u);
}

TEST_F(EmptyPollsTest, ConsumersBeyondTheCapAreNotKeptUntilOthersAreForgotten) {
  nothing_on(first, poll_);
  for (std::size_t i = 0; i < empty_polls::max_consumers + 10; ++i) {
    const std::string name = std::to_string(i);
    polls_.asked({name, name, name}, 0, now_);
  }
  EXPECT_EQ(polls_.groups(), empty_polls::max_consumers);
  const empty_polls::poll late{"late", "g", "c"};
  nothing_on(first, late);
  EXPECT_EQ(polls_.empty(late, seen_, limits_, now_), none);
  EXPECT_EQ(empty(), first);
  now_ += limits_.nil;
  polls_.clean_up(limits_, now_);
  seen_.at = now_;
  nothing_on(first, late);
  EXPECT_EQ(polls_.empty(late, seen_, limits_, now_), first);
}

TEST_F(EmptyPollsTest, ItKnowsWhenAPollWasLastAnsweredFromMemory) {
  EXPECT_EQ(polls_.last_absorbed(poll_), base::time_point{});
  polls_.absorbed(poll_, now_);
  EXPECT_EQ(polls_.last_absorbed(poll_), now_);
  EXPECT_EQ(polls_.last_absorbed({"k", "g", "d"}), base::time_point{});
}

}  // namespace
}  // namespace dualbus::stream
