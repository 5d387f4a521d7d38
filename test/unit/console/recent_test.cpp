#include <dualbus/console/recent.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::console {
namespace {

using namespace std::chrono_literals;

constexpr auto count_of = [](const sample& s) { return s.requests; };

sample sample_at(base::time_point when, std::uint64_t requests) {
  sample s;
  s.taken = when;
  s.requests = requests;
  return s;
}

TEST(RecentTest, KnowsNothingBeforeTheSecondSample) {
  history kept;
  EXPECT_EQ(kept.current().now().requests, 0U);
  EXPECT_FALSE(kept.current().rates(count_of)[0]);
  kept.add(sample_at(base::time_point(1s), 10));
  EXPECT_EQ(kept.current().now().requests, 10U);
  for (const auto& rate : kept.current().rates(count_of)) EXPECT_FALSE(rate);
}

TEST(RecentTest, EachWindowHasItsOwnRate) {
  history kept;
  std::uint64_t count = 0;
  // 1 a second, for the last ten seconds 10, for the last one 100.
  for (int second = 0; second <= 300; ++second) {
    if (second > 0) count += second > 299 ? 100 : second > 290 ? 10 : 1;
    kept.add(sample_at(base::time_point(std::chrono::seconds(second)), count));
  }
  const by_window rates = kept.current().rates(count_of);
  EXPECT_DOUBLE_EQ(*rates[0], 100);
  EXPECT_DOUBLE_EQ(*rates[1], (9 * 10 + 100) / 10.0);
  EXPECT_DOUBLE_EQ(*rates[2], (50 + 9 * 10 + 100) / 60.0);
}

TEST(RecentTest, ALongerWindowThanTheHistoryCoversTheHistory) {
  history kept;
  for (int second = 0; second <= 5; ++second)
    kept.add(
        sample_at(base::time_point(std::chrono::seconds(second)), 20 * static_cast<std::uint64_t>(second)));
  for (const auto& rate : kept.current().rates(count_of)) EXPECT_DOUBLE_EQ(*rate, 20);
}

TEST(RecentTest, LateSamplesDoNotChangeTheRate) {
  history kept;
  std::mt19937 random(11);
  auto when = base::time_point(0s);
  for (int i = 0; i < 200; ++i) {
    when += 900ms + std::chrono::milliseconds(random() % 300);
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch());
    kept.add(sample_at(when, static_cast<std::uint64_t>(milliseconds.count())));
  }
  for (const auto& rate : kept.current().rates(count_of)) EXPECT_NEAR(*rate, 1000, 0.001);
}

TEST(RecentTest, ACounterThatBeginsAnewCountsFromZero) {
  history kept;
  kept.add(sample_at(base::time_point(1s), 1'000'000));
  kept.add(sample_at(base::time_point(2s), 30));
  EXPECT_DOUBLE_EQ(*kept.current().rates(count_of)[0], 30);
}

TEST(RecentTest, ABusThatIsNewHasItsTimes) {
  history kept;
  kept.add(sample_at(base::time_point(1s), 0));
  sample now = sample_at(base::time_point(2s), 0);
  now.buses.resize(1);
  now.buses[0].bus_duration.observe(1500us);
  kept.add(std::move(now));
  EXPECT_GT(*kept.current().bus_milliseconds(0, 0.99)[0], 1.0);
  EXPECT_LE(*kept.current().bus_milliseconds(0, 0.99)[0], 2.0);
  EXPECT_FALSE(kept.current().bus_milliseconds(1, 0.99)[0]);
}

TEST(QuantileTest, ThereIsNoneWithoutValues) {
  metrics::histogram both;
  EXPECT_FALSE(quantile(both, both, 0.5));
  both.observe(1ms);
  EXPECT_FALSE(quantile(both, both, 0.5));
}

TEST(QuantileTest, LiesInTheBucketOfTheTrueOne) {
  std::mt19937 random(13);
  for (int round = 0; round < 200; ++round) {
    metrics::histogram before, now;
    for (int i = 0; i < 50; ++i) {
      const auto old = std::chrono::nanoseconds(random() % 1'000'000'000);
      before.observe(old);
      now.observe(old);
    }
    std::vector<std::int64_t> values;
    for (unsigned i = 0; i < 1 + random() % 500; ++i) {
      values.push_back(static_cast<std::int64_t>(std::exp(static_cast<double>(random() % 22000) / 1000)));
      now.observe(std::chrono::nanoseconds(values.back()));
    }
    std::sort(values.begin(), values.end());
    for (const double q : {0.5, 0.99}) {
      // The smallest value that a share of q does not exceed.
      const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
      const std::int64_t truth = values[std::max<std::size_t>(rank, 1) - 1];
      const auto& bounds = metrics::histogram::bounds_ns;
      const auto upper = std::lower_bound(bounds.begin(), bounds.end(), truth);
      const double result = *quantile(before, now, q);
      if (upper == bounds.end()) {
        EXPECT_EQ(result, static_cast<double>(bounds.back()));
        continue;
      }
      EXPECT_LE(result, static_cast<double>(*upper)) << truth;
      if (upper != bounds.begin()) {
        EXPECT_GE(result, static_cast<double>(*(upper - 1))) << truth;
      }
    }
  }
}

TEST(QuantileTest, AHistogramThatBeginsAnewCountsByItself) {
  metrics::histogram before, now;
  for (int i = 0; i < 10; ++i) before.observe(5us);
  now.observe(3ms);
  const double result = *quantile(before, now, 0.5);
  EXPECT_GT(result, 2e6);
  EXPECT_LE(result, 5e6);
}

}  // namespace
}  // namespace dualbus::console
