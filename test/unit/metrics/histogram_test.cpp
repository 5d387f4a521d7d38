#include <dualbus/metrics/histogram.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::metrics {
namespace {

using std::chrono::nanoseconds;

TEST(HistogramTest, BoundsAscendAndHoldTheLatencyTargets) {
  EXPECT_TRUE(std::is_sorted(histogram::bounds_ns.begin(), histogram::bounds_ns.end()));
  for (const std::int64_t target : {500'000, 1'000'000, 2'000'000}) {
    EXPECT_NE(std::find(histogram::bounds_ns.begin(), histogram::bounds_ns.end(), target),
              histogram::bounds_ns.end());
  }
}

TEST(HistogramTest, ABoundBelongsToItsBucketAsPrometheusCounts) {
  for (std::size_t i = 0; i < histogram::bounds_ns.size(); ++i) {
    histogram h;
    h.observe(nanoseconds(histogram::bounds_ns[i]));
    EXPECT_EQ(h.count(i), 1U);
    h.observe(nanoseconds(histogram::bounds_ns[i] + 1));
    EXPECT_EQ(h.count(i + 1), 1U);
  }
}

TEST(HistogramTest, AgreesWithCountingOneByOne) {
  std::mt19937_64 random(83);
  histogram a, b;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 10'000; ++i) {
    values.push_back(static_cast<std::int64_t>(random() >> (28 + random() % 36)));
    (i % 2 == 0 ? a : b).observe(nanoseconds(values.back()));
  }
  a.merge(b);
  EXPECT_EQ(a.total(), values.size());
  std::int64_t sum = 0, below = -1;
  for (const std::int64_t value : values) sum += value;
  EXPECT_EQ(a.sum_ns(), sum);
  for (std::size_t i = 0; i <= histogram::bounds_ns.size(); ++i) {
    const std::int64_t bound = i < histogram::bounds_ns.size() ? histogram::bounds_ns[i] : INT64_MAX;
    const auto expected =
        std::count_if(values.begin(), values.end(), [&](std::int64_t v) { return v > below && v <= bound; });
    EXPECT_EQ(a.count(i), static_cast<std::uint64_t>(expected)) << i;
    below = bound;
  }
}

TEST(WorkerMetricsTest, CountsRequestsOfAllOutcomesAndUnknownCommands) {
  worker_metrics metrics;
  EXPECT_EQ(metrics.requests(), 0U);
  metrics.commands.front()[static_cast<std::size_t>(outcome::ok)] = 3;
  metrics.commands.back()[static_cast<std::size_t>(outcome::bus_timeout)] = 4;
  metrics.unknown_commands = 5;
  EXPECT_EQ(metrics.requests(), 12U);
  EXPECT_EQ(metrics.commands.size(), command::command_table().size());
}

TEST(WorkerMetricsTest, EachLabelValueHasANameOfItsOwn) {
  std::set<std::string> outcomes, reasons, states;
  for (std::size_t i = 0; i < outcome_count; ++i) outcomes.emplace(outcome_name(static_cast<outcome>(i)));
  for (std::size_t i = 0; i < close_reason_count; ++i)
    reasons.emplace(close_reason_name(static_cast<close_reason>(i)));
  for (std::size_t i = 0; i < connection_state_count; ++i) {
    states.emplace(connection_state_name(static_cast<connection_state>(i)));
  }
  EXPECT_EQ(outcomes.size(), outcome_count);
  EXPECT_EQ(reasons.size(), close_reason_count);
  EXPECT_EQ(states.size(), connection_state_count);
  EXPECT_EQ(outcome_name(outcome::bus_timeout), "bus_timeout");
  EXPECT_EQ(close_reason_name(close_reason::shutdown), "shutdown");
  EXPECT_EQ(connection_state_name(connection_state::up), "up");
}

}  // namespace
}  // namespace dualbus::metrics
