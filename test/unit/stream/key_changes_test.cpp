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
  KeyChangesTest() : before_(changes_.of("k")) {}
  bool unchanged() const { return changes_.of("k") == before_ && before_.quiet; }

  key_changes changes_;
  key_changes::state before_;
};

TEST_F(KeyChangesTest, AKeyThatNobodyChangesStaysAsItIs) {
  EXPECT_TRUE(unchanged());
  key_change other;
  other.add(changes_, "another key");
  other.end();
  EXPECT_TRUE(unchanged());
}

TEST_F(KeyChangesTest, AChangeShowsFromWhenItBegins) {
  key_change change;
  change.add(changes_, "k");
  EXPECT_FALSE(unchanged());
  EXPECT_FALSE(changes_.of("k").quiet);
}

TEST_F(KeyChangesTest, AKeyIsQuietAgainWhenTheChangeHasEndedButNotTheSame) {
  key_change change;
  change.add(changes_, "k");
  change.end();
  EXPECT_TRUE(changes_.of("k").quiet);
  EXPECT_NE(changes_.of("k"), before_);
}

TEST_F(KeyChangesTest, AChangeEndsWithItsOwner) {
  {
    key_change change;
    change.add(changes_, "k");
    const key_change owner = std::move(change);
    change.end();
    EXPECT_FALSE(changes_.of("k").quiet);
  }
  EXPECT_TRUE(changes_.of("k").quiet);
}

TEST_F(KeyChangesTest, AssigningEndsWhatWasHeld) {
  key_change change;
  change.add(changes_, "k");
  change = key_change();
  EXPECT_TRUE(changes_.of("k").quiet);
}

TEST_F(KeyChangesTest, OneKeyOfManyIsStillChangedWhenAnotherChangeOfItHasEnded) {
  key_change first, second;
  first.add(changes_, "k");
  second.add(changes_, "k");
  first.end();
  EXPECT_FALSE(changes_.of("k").quiet);
  second.end();
  EXPECT_TRUE(changes_.of("k").quiet);
}

TEST_F(KeyChangesTest, EveryKeyOfARequestIsChangedHoweverManyItHas) {
  for (const std::size_t count : {1U, 2U, 3U, 4U, 50U}) {
    const std::string last = "key-" + std::to_string(count - 1);
    const auto before = changes_.of(last);
    key_change change;
    for (std::size_t i = 0; i < count; ++i) change.add(changes_, "key-" + std::to_string(i));
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_FALSE(changes_.of("key-" + std::to_string(i)).quiet) << i << " of " << count;
    }
    change.end();
    EXPECT_TRUE(changes_.of(last).quiet) << count;
    EXPECT_NE(changes_.of(last), before) << count;
  }
}

TEST_F(KeyChangesTest, WhatConcernsAllKeysConcernsEachOfThem) {
  key_change change;
  change.add_all(changes_);
  change.add_all(changes_);
  EXPECT_FALSE(changes_.of("k").quiet);
  change.end();
  EXPECT_TRUE(changes_.of("k").quiet);
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
        change.add(changes_, "k");
        quiet_while_changing += changes_.of("k").quiet;
      }
    });
  }
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(quiet_while_changing, 0);
  EXPECT_TRUE(changes_.of("k").quiet);
  EXPECT_EQ(changes_.of("k").begun, before_.begun + threads * rounds);
}

}  // namespace
}  // namespace dualbus::stream
