#include <dualbus/base/log.hpp>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

using namespace std::chrono_literals;

TEST(LogLimiterTest, LetsOneEventPerIntervalThrough) {
  log_limiter limiter(1s);
  const time_point start = clock::now();
  EXPECT_TRUE(limiter.allow(start));
  EXPECT_FALSE(limiter.allow(start));
  EXPECT_FALSE(limiter.allow(start + 999ms));
  EXPECT_TRUE(limiter.allow(start + 1s));
  EXPECT_FALSE(limiter.allow(start + 1500ms));
}

TEST(LogLimiterTest, SaysHowManyItHeldBack) {
  log_limiter limiter(1s);
  const time_point start = clock::now();
  ASSERT_TRUE(limiter.allow(start));
  EXPECT_EQ(limiter.suppressed(), 0U);
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(limiter.allow(start + 10ms));
  ASSERT_TRUE(limiter.allow(start + 2s));
  EXPECT_EQ(limiter.suppressed(), 7U);
  ASSERT_TRUE(limiter.allow(start + 4s));
  EXPECT_EQ(limiter.suppressed(), 0U);
}

TEST(LogTest, TakesTheLevelsThatTheConfigurationNames) {
  const auto before = spdlog::get_level();
  set_log_level("trace");
  EXPECT_EQ(spdlog::get_level(), spdlog::level::trace);
  set_log_level("warning");
  EXPECT_EQ(spdlog::get_level(), spdlog::level::warn);
  set_log_level("error");
  EXPECT_EQ(spdlog::get_level(), spdlog::level::err);
  set_log_level("off");
  EXPECT_EQ(spdlog::get_level(), spdlog::level::off);
  spdlog::set_level(before);
}

TEST(LogTest, WritesOneLinePerEventToStandardError) {
  testing::internal::CaptureStderr();
  init_log("info");
  spdlog::debug("not this");
  spdlog::info("bus '{}' is up", "marketdata");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find(" info bus 'marketdata' is up\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("not this"), std::string::npos);
}

}  // namespace
}  // namespace dualbus::base
