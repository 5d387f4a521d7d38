#include "poll_schedule.hpp"

#include <string>

#include <gtest/gtest.h>

namespace dualbus::fleet {
namespace {

// A pass or more as text: the streams of each poll, '.' for a pause. `found` says for each poll if it brought
// messages.
std::string run(poll_schedule schedule, const std::string& found) {
  std::string seen;
  for (const char c : found) {
    const poll_schedule::poll next = schedule.next();
    for (std::size_t i = 0; i < next.count; ++i) seen += static_cast<char>('0' + next.first + i);
    seen += schedule.finish(c == '+') ? "." : " ";
  }
  return seen;
}

TEST(PollScheduleTest, SequentialReadsOneStreamAfterTheOtherAndPausesAfterEveryPass) {
  EXPECT_EQ(run({3, reader_style::sequential}, "+++---+-+"), "0 1 2.0 1 2.0 1 2.");
}

TEST(PollScheduleTest, TogetherReadsAllAndPausesOnlyWhenThereWasNothing) {
  EXPECT_EQ(run({3, reader_style::together}, "++-+"), "012 012 012.012 ");
}

TEST(PollScheduleTest, ParallelReadsItsOneStreamAndPausesOnlyWhenThereWasNothing) {
  EXPECT_EQ(run({1, reader_style::parallel}, "+--+"), "0 0.0.0 ");
}

TEST(PollScheduleTest, KnowsWhereAPassBegins) {
  poll_schedule schedule(2, reader_style::sequential);
  EXPECT_TRUE(schedule.at_start());
  schedule.finish(true);
  EXPECT_FALSE(schedule.at_start());
  schedule.finish(true);
  EXPECT_TRUE(schedule.at_start());
}

}  // namespace
}  // namespace dualbus::fleet
