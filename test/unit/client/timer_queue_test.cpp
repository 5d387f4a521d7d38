#include <dualbus/client/timer_queue.hpp>

#include <string>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using std::chrono::milliseconds;

const base::time_point time_zero{std::chrono::seconds(5)};

TEST(TimerQueueTest, CallsWhatIsDueInOrder) {
  timer_queue timers;
  std::string called;
  timers.add(time_zero + milliseconds(2), [&] { called += 'b'; });
  timers.add(time_zero + milliseconds(1), [&] { called += 'a'; });
  timers.add(time_zero + milliseconds(2), [&] { called += 'c'; });
  timers.add(time_zero + milliseconds(3), [&] { called += 'd'; });
  EXPECT_EQ(timers.next(), time_zero + milliseconds(1));
  timers.run_due(time_zero + milliseconds(2));
  EXPECT_EQ(called, "abc");
  EXPECT_EQ(timers.next(), time_zero + milliseconds(3));
}

TEST(TimerQueueTest, ACancelledTimerIsNotCalled) {
  timer_queue timers;
  bool called = false;
  const auto id = timers.add(time_zero, [&] { called = true; });
  timers.cancel(id);
  timers.run_due(time_zero);
  EXPECT_FALSE(called);
  EXPECT_FALSE(timers.next());
}

TEST(TimerQueueTest, TimersMayAddAndCancelOthers) {
  timer_queue timers;
  std::string called;
  const auto victim = timers.add(time_zero + milliseconds(1), [&] { called += 'x'; });
  timers.add(time_zero, [&] {
    called += 'a';
    timers.cancel(victim);
    timers.add(time_zero, [&] { called += 'b'; });
  });
  timers.run_due(time_zero + milliseconds(1));
  EXPECT_EQ(called, "ab");
}

}  // namespace
}  // namespace dualbus::client
