#include <dualbus/stream/key_changes.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

class KeyChangesTest : public testing::Test {
 protected:
  KeyChangesTest() : before_(changes_.of("k", 0)) {}
  bool unchanged() const { return changes_.of("k", 0) == before_ && before_.unfinished == 0; }

  key_changes changes_;
  key_changes::state before_;
};

TEST_F(KeyChangesTest, AKeyThatNobodyChangesStaysAsItIs) {
  EXPECT_TRUE(unchanged());
  key_change other;
  other.add(changes_, "another key", 0);
  other.end();
  EXPECT_TRUE(unchanged());
}

TEST_F(KeyChangesTest, AChangeOnAnotherBusLeavesTheKeyAsItIs) {
  key_change change;
  change.add(changes_, "k", 1);
  EXPECT_TRUE(unchanged());
  EXPECT_GT(changes_.of("k", 1).unfinished, 0u);
  change.end();
  EXPECT_TRUE(unchanged());
}

TEST_F(KeyChangesTest, AChangeOnAnyBusShowsOnEachOfThem) {
  const auto other = changes_.of("k", 7);
  key_change change;
  change.add(changes_, "k", command::no_bus);
  EXPECT_GT(changes_.of("k", 0).unfinished, 0u);
  EXPECT_GT(changes_.of("k", 7).unfinished, 0u);
  change.end();
  EXPECT_EQ(changes_.of("k", 7).unfinished, 0u);
  EXPECT_FALSE(unchanged());
  EXPECT_NE(changes_.of("k", 7), other);
}

TEST_F(KeyChangesTest, AllBusesAreSeenAtOnce) {
  key_change change, everywhere;
  change.add(changes_, "k", 1);
  everywhere.add(changes_, "k", command::no_bus);
  const auto seen = changes_.on_each("k", 3);
  ASSERT_EQ(seen.size(), 3u);
  for (command::bus_index bus = 0; bus < 3; ++bus) EXPECT_EQ(seen[bus], changes_.of("k", bus));
  EXPECT_EQ(seen[1].begun, seen[0].begun + 1);
}

TEST_F(KeyChangesTest, AChangeShowsFromWhenItBegins) {
  key_change change;
  change.add(changes_, "k", 0);
  EXPECT_FALSE(unchanged());
  EXPECT_GT(changes_.of("k", 0).unfinished, 0u);
}

TEST_F(KeyChangesTest, AKeyIsQuietAgainWhenTheChangeHasEndedButNotTheSame) {
  key_change change;
  change.add(changes_, "k", 0);
  change.end();
  EXPECT_EQ(changes_.of("k", 0).unfinished, 0u);
  EXPECT_NE(changes_.of("k", 0), before_);
}

TEST_F(KeyChangesTest, AChangeEndsWithItsOwner) {
  {
    key_change change;
    change.add(changes_, "k", 0);
    const key_change owner = std::move(change);
    change.end();
    EXPECT_GT(changes_.of("k", 0).unfinished, 0u);
  }
  EXPECT_EQ(changes_.of("k", 0).unfinished, 0u);
}

TEST_F(KeyChangesTest, AssigningEndsWhatWasHeld) {
  key_change change;
  change.add(changes_, "k", 0);
  change = key_change();
  EXPECT_EQ(changes_.of("k", 0).unfinished, 0u);
}

TEST_F(KeyChangesTest, OneKeyOfManyIsStillChangedWhenAnotherChangeOfItHasEnded) {
  key_change first, second;
  first.add(changes_, "k", 0);
  second.add(changes_, "k", 0);
  first.end();
  EXPECT_GT(changes_.of("k", 0).unfinished, 0u);
  second.end();
  EXPECT_EQ(changes_.of("k", 0).unfinished, 0u);
}

TEST_F(KeyChangesTest, EveryKeyOfARequestIsChangedHoweverManyItHas) {
  for (const std::size_t count : {1U, 2U, 3U, 4U, 50U}) {
    const std::string last = "key-" + std::to_string(count - 1);
    const auto before = changes_.of(last, 0);
    key_change change;
    for (std::size_t i = 0; i < count; ++i) change.add(changes_, "key-" + std::to_string(i), 0);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_GT(changes_.of("key-" + std::to_string(i), 0).unfinished, 0u) << i << " of " << count;
    }
    change.end();
    EXPECT_EQ(changes_.of(last, 0).unfinished, 0u) << count;
    EXPECT_NE(changes_.of(last, 0), before) << count;
  }
}

TEST_F(KeyChangesTest, WhatConcernsAllKeysConcernsEachOfThem) {
  key_change change;
  change.add_all(changes_);
  change.add_all(changes_);
  EXPECT_GT(changes_.of("k", 0).unfinished, 0u);
  change.end();
  EXPECT_EQ(changes_.of("k", 0).unfinished, 0u);
  EXPECT_FALSE(unchanged());
}

TEST_F(KeyChangesTest, ChangesOfSeveralThreadsAreAllSeen) {
  constexpr int threads = 4, rounds = 20'000;
  std::atomic<int> quiet_while_changing{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&] {
      for (int round = 0; round < rounds; ++round) {
        key_change change;
        change.add(changes_, "k", 0);
        quiet_while_changing += changes_.of("k", 0).unfinished == 0;
      }
    });
  }
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(quiet_while_changing, 0);
  EXPECT_EQ(changes_.of("k", 0).unfinished, 0u);
  EXPECT_EQ(changes_.of("k", 0).begun, before_.begun + threads * rounds);
}

}  // namespace
}  // namespace dualbus::stream
