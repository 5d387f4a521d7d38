#include "base/log_writer.hpp"

#include <dualbus/base/log.hpp>

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <regex>
#include <string>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

using namespace std::chrono_literals;

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
  flush_log(10s);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find(" info bus 'marketdata' is up\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("not this"), std::string::npos);
}

TEST(LogTest, NobodyCanForgeALine) {
  testing::internal::CaptureStderr();
  init_log("info");
  spdlog::warn("stream '{}'", "a\n2026-11-29T00:00:00.000+0000 error forged");
  spdlog::warn("stream '{}'", in_log("a' is gone\n\\"));
  flush_log(10s);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_NE(text.find(R"(stream 'a\n2026)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(stream 'a\' is gone\n\\')"), std::string::npos) << text;
}

TEST(LogTest, AnApostropheWithinAWordIsNoEndOfAQuotation) {
  EXPECT_EQ(in_log("l'ours and O'Brien's"), "l'ours and O'Brien's");
  EXPECT_EQ(in_log("a' is gone"), R"(a\' is gone)");
  EXPECT_EQ(in_log("a', 'b"), R"(a\', \'b)");
  EXPECT_EQ(in_log("'a'"), R"(\'a\')");
  EXPECT_EQ(in_log("a''b"), R"(a\'\'b)");
  EXPECT_EQ(in_log("a'b", 2), R"(a\'...)");
  EXPECT_EQ(in_log(R"(a\'b)"), R"(a\\\'b)");
  EXPECT_EQ(in_log("'"), R"(\')");
}

TEST(LogTest, WhatALimitHoldsBackIsSaidBeforeTheEnd) {
  testing::internal::CaptureStderr();
  init_log("info");
  const std::uint64_t before = lost_log_lines().limited;
  for (int i = 0; i < 1000; ++i) warn_limited("marketdata", "failure {}", i);
  flush_log(10s);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("failure 999 (and 994 more like it)\n"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6) << text;
  EXPECT_EQ(lost_log_lines().limited, before + 994);
}

// A pipe whose reading end the test holds.
struct pipe_pair {
  pipe_pair() { EXPECT_EQ(::pipe(ends), 0); }
  ~pipe_pair() {
    close_reader();
    ::close(ends[1]);
  }
  void close_reader() {
    if (ends[0] >= 0) ::close(std::exchange(ends[0], -1));
  }
  int ends[2] = {-1, -1};
};

TEST(LogWriterTest, APipeThatNobodyReadsHoldsNobodyUpAndTheLossIsSaid) {
  pipe_pair pipe;
  log_writer writer(pipe.ends[1]);
  const std::string line = std::string(99, 'x') + "\n";
  for (int i = 0; i < 50'000; ++i) writer.write(line);  // 5 MB
  EXPECT_FALSE(writer.flush(10ms));
  const std::uint64_t lost = writer.lost();
  EXPECT_GT(lost, 0U);
  EXPECT_GT(writer.waiting(), 0U);
  std::string text;
  const auto read_some = [&] {
    char bytes[65536];
    const ssize_t count = ::read(pipe.ends[0], bytes, sizeof bytes);
    ASSERT_GT(count, 0);
    text.append(bytes, static_cast<std::size_t>(count));
  };
  const std::regex note("([0-9]+) lines of the log are lost");
  const auto said = [&] {
    std::uint64_t sum = 0;
    for (std::sregex_iterator found(text.begin(), text.end(), note), end; found != end; ++found) {
      sum += std::stoull((*found)[1]);
    }
    return sum;
  };
  while (!writer.flush(1ms)) read_some();
  if (said() < lost) read_some();
  EXPECT_EQ(said(), lost);
  EXPECT_EQ(writer.lost(), lost);
  EXPECT_EQ(writer.waiting(), 0U);
  writer.stop();
}

TEST(LogWriterTest, APipeThatIsClosedLosesLinesAndNothingElse) {
  ::signal(SIGPIPE, SIG_IGN);
  pipe_pair pipe;
  log_writer writer(pipe.ends[1]);
  pipe.close_reader();
  for (int i = 0; i < 100; ++i) writer.write("line\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_EQ(writer.lost(), 100U);
  writer.stop();
}

TEST(LogWriterTest, AFullDiskLosesLines) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  log_writer writer(full);
  writer.write("line\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_EQ(writer.lost(), 1U);
  writer.stop();
  ::close(full);
}

}  // namespace
}  // namespace dualbus::base
