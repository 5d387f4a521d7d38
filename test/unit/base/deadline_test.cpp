#include <dualbus/base/deadline.hpp>

#include <chrono>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

using std::chrono::milliseconds;

constexpr time_point now{std::chrono::hours(24 * 365)};

TEST(DeadlineTest, IsTheSumWhileTheClockCanHoldIt) {
  EXPECT_EQ(later(now, milliseconds(0)), now);
  EXPECT_EQ(later(now, milliseconds(1500)), now + milliseconds(1500));
  EXPECT_EQ(later(now, std::chrono::seconds(1'000'000'000)), now + std::chrono::seconds(1'000'000'000));
}

TEST(DeadlineTest, IsTheEndOfTheClockForWhateverIsLonger) {
  // In nanoseconds these are 10^19 and more, which is no 64-bit number.
  EXPECT_EQ(later(now, milliseconds(10'000'000'000'000)), time_point::max());
  EXPECT_EQ(later(now, milliseconds(std::numeric_limits<std::int64_t>::max())), time_point::max());
  EXPECT_EQ(later(now, std::chrono::nanoseconds::max()), time_point::max());
  EXPECT_EQ(later(time_point::max(), milliseconds(1)), time_point::max());
}

TEST(DeadlineTest, MeetsTheEndOfTheClockWithoutAStep) {
  const auto left = std::chrono::duration_cast<milliseconds>(time_point::max() - now);
  EXPECT_EQ(later(now, left - milliseconds(1)), now + (left - milliseconds(1)));
  EXPECT_EQ(later(now, left + milliseconds(1)), time_point::max());
}

}  // namespace
}  // namespace dualbus::base
