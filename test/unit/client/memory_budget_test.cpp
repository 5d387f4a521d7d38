#include <dualbus/client/memory_budget.hpp>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using level = memory_budget::level;

class MemoryBudgetTest : public testing::Test {
 protected:
  MemoryBudgetTest() { budget.set_limit(800); }

  static void report(memory_budget::share& worker, std::size_t bytes, std::size_t largest = 0) {
    worker.bytes = bytes;
    worker.largest = largest;
  }

  memory_budget budget;
  memory_budget::share& one = budget.join();
  memory_budget::share& other = budget.join();
};

TEST_F(MemoryBudgetTest, TheSharesOfAllWorkersCountTogether) {
  EXPECT_EQ(budget.now(), level::free);
  report(one, 300);
  report(other, 299);
  EXPECT_EQ(budget.used(), 599U);
  EXPECT_EQ(budget.now(), level::free);
  report(other, 300);
  EXPECT_EQ(budget.now(), level::tight);
  report(other, 400);
  EXPECT_EQ(budget.now(), level::full);
  report(one, 400);
  EXPECT_EQ(budget.now(), level::over);
  report(one, 0);
  EXPECT_EQ(budget.now(), level::free);
}

TEST_F(MemoryBudgetTest, AReloadChangesTheLimit) {
  report(one, 700);
  EXPECT_EQ(budget.now(), level::full);
  budget.set_limit(8000);
  EXPECT_EQ(budget.now(), level::free);
}

TEST_F(MemoryBudgetTest, TheWorkerWithTheLargestClientComesFirst) {
  report(one, 300, 200);
  report(other, 500, 250);
  EXPECT_EQ(budget.largest(), 250U);
  EXPECT_FALSE(budget.is_turn_of(one));
  EXPECT_TRUE(budget.is_turn_of(other));
}

TEST_F(MemoryBudgetTest, FarAboveTheLimitNobodyWaitsForTheOthers) {
  report(one, 300, 200);
  report(other, 600, 250);
  EXPECT_TRUE(budget.is_turn_of(one));
  EXPECT_TRUE(budget.is_turn_of(other));
}

TEST(MemoryBudgetWithoutLimitTest, IsFree) {
  memory_budget budget;
  budget.join().bytes = std::size_t{1} << 40;
  EXPECT_EQ(budget.now(), level::free);
}

}  // namespace
}  // namespace dualbus::client
