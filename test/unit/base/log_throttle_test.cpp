#include "base/log_throttle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class LogThrottleTest : public testing::Test {
 protected:
  bool admit(std::string_view subject, const std::string& text, const void* call = nullptr) {
    log_throttle::line line{2, text};
    return throttle.admit(call, subject, 3, line, now);
  }
  std::vector<std::string> release(bool all = false) {
    std::vector<std::string> texts;
    for (const log_throttle::line& line : throttle.release(now, all)) texts.push_back(line.text);
    return texts;
  }

  log_throttle throttle{10s, 8};
  time_point now = clock::now();
};

TEST_F(LogThrottleTest, ABurstPassesAndTheRestIsCounted) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("a", "line"));
  for (int i = 0; i < 42; ++i) EXPECT_FALSE(admit("a", "line " + std::to_string(i)));
  EXPECT_TRUE(throttle.holds());
  EXPECT_THAT(release(), ElementsAre());
  now += 10s;
  EXPECT_THAT(release(), ElementsAre("line 41 (and 41 more like it)"));
  EXPECT_FALSE(throttle.holds());
  EXPECT_EQ(throttle.left_out(), 41U);
}

TEST_F(LogThrottleTest, ALineHeldAloneIsWrittenAsItIs) {
  for (int i = 0; i < 4; ++i) admit("a", "line " + std::to_string(i));
  now += 10s;
  EXPECT_THAT(release(), ElementsAre("line 3"));
  EXPECT_EQ(throttle.left_out(), 0U);
}

TEST_F(LogThrottleTest, AnEndlessFloodBecomesALinePerInterval) {
  std::size_t written = 0;
  for (int i = 0; i < 100'000; ++i, now += 1ms) {
    written += admit("a", "line");
    written += release().size();
  }
  EXPECT_LE(written, 3U + 10U);
  EXPECT_GE(written, 3U + 9U);
}

TEST_F(LogThrottleTest, ABurstPassesAgainAfterQuietTime) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("a", "line"));
  now += 30s;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("a", "line"));
  EXPECT_FALSE(admit("a", "line"));
}

TEST_F(LogThrottleTest, CallsAndSubjectsAreLimitedApart) {
  const int one = 0, other = 0;
  while (admit("a", "line", &one)) {
  }
  EXPECT_TRUE(admit("b", "line", &one));
  EXPECT_TRUE(admit("a", "line", &other));
}

TEST_F(LogThrottleTest, WhatIsHeldIsGivenOutAtTheEnd) {
  for (int i = 0; i < 5; ++i) admit("a", "line");
  EXPECT_THAT(release(true), ElementsAre("line (and 1 more like it)"));
}

TEST_F(LogThrottleTest, EverNewSubjectsShareALimitAndNoMemory) {
  std::size_t written = 0;
  for (int i = 0; i < 1000; ++i) written += admit("subject " + std::to_string(i), "line");
  EXPECT_LE(written, 8U + 3U);
  // Those that are quiet make room for others.
  now += 60s;
  release();
  now += 60s;
  EXPECT_TRUE(admit("a new one", "line"));
  EXPECT_TRUE(admit("a new one", "line"));
}

}  // namespace
}  // namespace dualbus::base
