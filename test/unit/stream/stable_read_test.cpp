#include <dualbus/stream/stable_read.hpp>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

using std::chrono::milliseconds;

const base::time_point start{std::chrono::seconds(1000)};

TEST(StableReadTest, AnswersAtOnceWhenEveryEntryIsOlderThanEveryClock) {
  stable_read read(start);
  EXPECT_TRUE(read.judge(1000, 999, start).reply);
  EXPECT_FALSE(read.gave_up());
}

TEST(StableReadTest, AnswersAtOnceWhenThereIsNothing) {
  stable_read read(start);
  EXPECT_TRUE(read.judge(1000, std::nullopt, start).reply);
}

TEST(StableReadTest, WaitsUntilTheSlowestClockHasPassedTheLastEntry) {
  stable_read read(start);
  const auto first = read.judge(1000, 1003, start);
  EXPECT_FALSE(first.reply);
  EXPECT_EQ(first.wait, milliseconds(4));
  EXPECT_EQ(read.limit_ms(), 1003U);
  EXPECT_FALSE(read.judge(1003, 1003, start + milliseconds(3)).reply);
  EXPECT_TRUE(read.judge(1004, 1003, start + milliseconds(5)).reply);
  EXPECT_FALSE(read.gave_up());
}

TEST(StableReadTest, TheLimitStaysThatOfTheFirstRoundThatFoundSomething) {
  stable_read read(start);
  read.judge(1000, 1000, start);
  // The entry may have been deleted since: what matters is that its millisecond is over.
  EXPECT_FALSE(read.judge(1000, std::nullopt, start + milliseconds(1)).reply);
  EXPECT_EQ(read.limit_ms(), 1000U);
  EXPECT_TRUE(read.judge(1001, std::nullopt, start + milliseconds(2)).reply);
}

TEST(StableReadTest, GivesUpAtOnceWhenIdsAreNoClockTimes) {
  stable_read read(start);
  EXPECT_TRUE(read.judge(1000, 1000 + 101, start).reply);
  EXPECT_TRUE(read.gave_up());
}

TEST(StableReadTest, GivesUpWhenAClockStands) {
  stable_read read(start);
  EXPECT_FALSE(read.judge(1000, 1000, start).reply);
  EXPECT_FALSE(read.judge(1000, 1000, start + milliseconds(99)).reply);
  EXPECT_TRUE(read.judge(1000, 1000, start + milliseconds(100)).reply);
  EXPECT_TRUE(read.gave_up());
}

}  // namespace
}  // namespace dualbus::stream
