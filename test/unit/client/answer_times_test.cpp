#include <dualbus/client/answer_times.hpp>

#include <vector>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using std::chrono::milliseconds;

class AnswerTimesTest : public testing::Test {
 protected:
  AnswerTimesTest() {
    metrics_.buses.resize(2);
    buses_.resize(2);
    buses_[1].latency_target = milliseconds(2);
  }

  metrics::worker_metrics metrics_;
  std::vector<config::bus_settings> buses_;
  answer_times times_{metrics_, buses_};
  const base::time_point now_ = base::clock::now();
};

TEST_F(AnswerTimesTest, OnlyBusesWithATargetMissIt) {
  times_.add(0, now_, milliseconds(100));
  times_.add(1, now_, milliseconds(2));
  EXPECT_EQ(metrics_.buses[1].latency_target_missed, 0U);
  times_.add(1, now_, milliseconds(3));
  EXPECT_EQ(metrics_.buses[0].latency_target_missed, 0U);
  EXPECT_EQ(metrics_.buses[1].latency_target_missed, 1U);
}

TEST_F(AnswerTimesTest, TheDaemonsShareIsMeasuredAtTheEndOfTheTurn) {
  times_.end_turn();
  EXPECT_EQ(metrics_.buses[0].daemon_duration.total(), 0U);
  times_.add(0, now_ - milliseconds(50), milliseconds(20));
  times_.add(1, now_, milliseconds(60'000));  // more than the time since, by another clock's reading
  EXPECT_EQ(metrics_.buses[0].daemon_duration.total(), 0U);
  times_.end_turn();
  EXPECT_EQ(metrics_.buses[0].daemon_duration.total(), 1U);
  EXPECT_GE(metrics_.buses[0].daemon_duration.sum_ns(), 30'000'000);
  EXPECT_EQ(metrics_.buses[1].daemon_duration.sum_ns(), 0) << "never less than nothing";
  times_.end_turn();
  EXPECT_EQ(metrics_.buses[0].daemon_duration.total(), 1U) << "each is counted once";
}

TEST_F(AnswerTimesTest, TheLastBusTimeIsAPartOfTheTimeOfTheRequest) {
  const base::time_point arrived = now_ - milliseconds(50);
  EXPECT_EQ(times_.last_bus_time(arrived, now_), base::duration::zero());
  times_.add(0, arrived, milliseconds(10));
  times_.add(0, arrived, milliseconds(30));
  EXPECT_EQ(times_.last_bus_time(arrived, now_), milliseconds(30));
  EXPECT_EQ(times_.last_bus_time(arrived + milliseconds(10), now_), milliseconds(20));
  EXPECT_EQ(times_.last_bus_time(now_, now_), base::duration::zero());
  EXPECT_EQ(times_.last_bus_time(arrived, arrived + milliseconds(5)), milliseconds(5));
}

}  // namespace
}  // namespace dualbus::client
