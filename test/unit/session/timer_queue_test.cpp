#include <dualbus/session/timer_queue.hpp>

#include <string>

#include <gtest/gtest.h>

namespace dualbus::session {
namespace {

using std::chrono::milliseconds;

const base::time_point start{std::chrono::seconds(5)};

TEST(TimerQueueTest, CallsWhatIsDueInOrder) {
  timer_queue timers;
  std::string called;
  timers.add(start + milliseconds(2), [&] { called += 'b'; });
  timers.add(start + milliseconds(1), [&] { called += 'a'; });
  timers.add(start + milliseconds(2), [&] { called += 'c'; });
  timers.add(start + milliseconds(3), [&] { called += 'd'; });
  EXPECT_EQ(timers.next(), start + milliseconds(1));
  timers.run_due(start + milliseconds(2));
  EXPECT_EQ(called, "abc");
  EXPECT_EQ(timers.next(), start + milliseconds(3));
}

TEST(TimerQueueTest, ACancelledTimerIsNotCalled) {
  timer_queue timers;
  bool called = false;
  const auto id = timers.add(start, [&] { called = true; });
  timers.cancel(id);
  timers.run_due(start);
  EXPECT_FALSE(called);
  EXPECT_FALSE(timers.next());
}

TEST(TimerQueueTest, TimersMayAddAndCancelOthers) {
  timer_queue timers;
  std::string called;
  const auto victim = timers.add(start + milliseconds(1), [&] { called += 'x'; });
  timers.add(start, [&] {
    called += 'a';
    timers.cancel(victim);
    timers.add(start, [&] { called += 'b'; });
  });
  timers.run_due(start + milliseconds(1));
  EXPECT_EQ(called, "ab");
}

}  // namespace
}  // namespace dualbus::session
