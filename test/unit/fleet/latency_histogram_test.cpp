#include "latency_histogram.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::fleet {
namespace {

using std::chrono::nanoseconds;

TEST(LatencyHistogramTest, PercentilesAreThoseOfTheSortedValuesWithinOneThirtySecond) {
  std::mt19937_64 random(11);
  for (const double spread : {3.0, 10.0, 20.0, 40.0}) {
    latency_histogram histogram;
    std::vector<std::int64_t> values;
    for (int i = 0; i < 5000; ++i) {
      values.push_back(
          static_cast<std::int64_t>(std::exp2(std::uniform_real_distribution<>(0, spread)(random))));
      histogram.record(nanoseconds(values.back()));
    }
    std::sort(values.begin(), values.end());
    for (const double share : {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto exact = values[static_cast<std::size_t>(std::ceil(share * 5000)) - 1];
      const auto told = histogram.percentile(share).count();
      EXPECT_GE(told, exact) << share;
      EXPECT_LE(told, exact + exact / 32 + 1) << share;
    }
    EXPECT_EQ(histogram.max().count(), values.back());
    EXPECT_EQ(histogram.count(), 5000U);
  }
}

TEST(LatencyHistogramTest, KeepsTheExtremes) {
  latency_histogram histogram;
  histogram.record(nanoseconds::max());
  EXPECT_EQ(histogram.percentile(0.5), nanoseconds::max());
  histogram.record(nanoseconds(-5));
  EXPECT_EQ(histogram.percentile(0.5), nanoseconds(0));
  EXPECT_EQ(histogram.percentile(1), nanoseconds::max());
}

TEST(LatencyHistogramTest, HasNothingToSayWithoutValues) {
  const latency_histogram histogram;
  EXPECT_EQ(histogram.percentile(0.99), nanoseconds(0));
  EXPECT_EQ(histogram.count(), 0U);
}

TEST(LatencyHistogramTest, MergedItSaysWhatOneOfAllValuesWould) {
  latency_histogram one, other, all;
  for (int i = 1; i <= 1000; ++i) {
    const nanoseconds value(i * i * 37);
    (i % 3 == 0 ? one : other).record(value);
    all.record(value);
  }
  one.merge(other);
  EXPECT_EQ(one.count(), all.count());
  EXPECT_EQ(one.max(), all.max());
  for (const double share : {0.1, 0.5, 0.99}) EXPECT_EQ(one.percentile(share), all.percentile(share));
}

}  // namespace
}  // namespace dualbus::fleet
