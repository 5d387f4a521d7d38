#include "base/log_format.hpp"
#include "base/log_writer.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/log_output.hpp>

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <stdlib.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

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

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder that goes away with its files.
struct scratch_folder {
  scratch_folder() : path(::testing::TempDir() + "/dualbus-log-XXXXXX") {
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
  }
  ~scratch_folder() { std::filesystem::remove_all(path); }
  std::string path;
};

// Standard error and a file, as lines.
struct both_logs {
  std::string error, file;
};
template <typename Act>
both_logs logged(const log_output& output, Act act) {
  testing::internal::CaptureStderr();
  init_log("info");
  set_log_output(output);
  act();
  flush_log(10s);
  both_logs written;
  if (!output.file.empty()) written.file = content_of(output.file);
  set_log_output({});
  written.error = testing::internal::GetCapturedStderr();
  return written;
}

TEST(LogOutputTest, JsonHasOneObjectALine) {
  const auto [text, file] = logged({.json = true, .file = {}}, [] {
    spdlog::info("bus '{}' is up: {}", "market data", 7);
    spdlog::error("\"quoted\" \\ and\nbroken \xff");
    warn_limited("marketdata", "connection {} of client '{}' is lost", 3, "a");
    log_event(spdlog::level::warn, "configuration_mistake", "f.yaml:1:2: log: wrong");
  });
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 4U) << text;
  const std::string pid = ",\"pid\":" + std::to_string(::getpid()) + "}";
  const std::regex time(R"re(^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d",)re");
  for (std::string& line : lines) {
    EXPECT_TRUE(std::regex_search(line, time)) << line;
    line = std::regex_replace(line, time, "");
  }
  EXPECT_EQ(lines[0], R"("level":"info","event":"bus_is_up","message":"bus 'market data' is up: 7")" + pid);
  EXPECT_EQ(lines[1],
            R"("level":"error","event":"other","message":"\"quoted\" \\ and\\nbroken \\xff")" + pid);
  EXPECT_EQ(
      lines[2],
      R"("level":"warning","event":"connection_of_client_is_lost","message":"connection 3 of client 'a' )"
      R"(is lost","subject":"marketdata")" +
          pid);
  EXPECT_EQ(lines[3],
            R"("level":"warning","event":"configuration_mistake","message":"f.yaml:1:2: log: wrong")" + pid);
}

TEST(LogOutputTest, ALineThatALimitHeldBackKeepsItsEventAndSubject) {
  const auto [text, file] = logged({.json = true, .file = {}}, [] {
    for (int i = 0; i < 10; ++i) info_limited("engine_logic", "one more {}", i);
  });
  const char* const line =
      R"re("event":"one_more","message":"one more 9 (and 4 more like it)","subject":"engine_logic")re";
  EXPECT_NE(text.find(line), std::string::npos) << text;
}

TEST(LogOutputTest, TheFileGetsTheLinesOfStandardError) {
  const scratch_folder folder;
  const auto [text, file] = logged({.json = false, .file = folder.path + "/log"}, [&] {
    spdlog::info("one");
    flush_log(10s);
    ASSERT_EQ(::rename((folder.path + "/log").c_str(), (folder.path + "/log.1").c_str()), 0);
    reopen_log_file();
    spdlog::info("two");
  });
  EXPECT_NE(file.find(" info two\n"), std::string::npos);
  EXPECT_EQ(content_of(folder.path + "/log.1") + file, text);
}

TEST(LogOutputTest, AFileThatCannotBeOpenedIsSaidOnStandardError) {
  const auto [text, file] = logged({.json = false, .file = "/nowhere/log"}, [] {
    spdlog::info("all the same");
    flush_log(10s);
  });
  EXPECT_NE(text.find(" info all the same\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" error log.file '/nowhere/log' cannot be opened: No such file or directory\n"),
            std::string::npos)
      << text;
}

TEST(LogOutputTest, OnlyTheJournalGetsPriorities) {
  struct stat status {};
  ASSERT_EQ(::fstat(STDIN_FILENO, &status), 0);
  const std::string own = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  EXPECT_TRUE(is_journal(STDIN_FILENO, own.c_str()));
  EXPECT_FALSE(is_journal(STDIN_FILENO, (own + "0").c_str()));
  EXPECT_FALSE(is_journal(STDIN_FILENO, nullptr));
  EXPECT_FALSE(is_journal(STDIN_FILENO, ""));
  EXPECT_FALSE(is_journal(STDIN_FILENO, "5"));
  EXPECT_FALSE(is_journal(-1, own.c_str()));
  std::string all;
  using namespace spdlog::level;
  for (const auto level : {trace, debug, info, warn, err, critical}) all += journal_priority(level);
  EXPECT_EQ(all, "<7><7><6><4><3><2>");
}

TEST(LogOutputTest, EventsAreNamedByTheWordsThatDoNotChange) {
  EXPECT_EQ(event_of("bus '{}' is up: {}"), "bus_is_up");
  EXPECT_EQ(event_of("bus 'a b' is up: version 7"), "bus_is_up");
  EXPECT_EQ(event_of("serving on 127.0.0.1:6379 and /run/x with 2 worker(s)"), "serving_on");
  EXPECT_EQ(event_of("connection {} of client '{}' is lost"), "connection_of_client_is_lost");
  EXPECT_EQ(event_of("configuration not reloaded: nothing was changed"), "configuration_not_reloaded");
  EXPECT_EQ(event_of("admin: listening on 127.0.0.1:9121"), "admin_listening_on");
  EXPECT_EQ(event_of("SIGUSR2: no hand-over: it failed"), "no_hand_over");
  EXPECT_EQ(event_of("stopped"), "stopped");
  EXPECT_EQ(event_of("one two three four five six seven"), "one_two_three_four_five_six");
  EXPECT_EQ(event_of(R"(stream 'x\' is gone' did not exist)"), "stream_did_not_exist");
  EXPECT_EQ(event_of("{}"), no_event);
  EXPECT_EQ(event_of(""), no_event);
  EXPECT_EQ(event_of("  '"), no_event);
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

TEST(LogWriterTest, AFileIsLeftForAnotherOfTheSameNameWhenItIsOpenedAnew) {
  const scratch_folder folder;
  const std::string path = folder.path + "/log";
  log_writer writer(-1);
  writer.write("before there is a file\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_EQ(writer.lost(), 1U);
  writer.open(path);
  writer.write("one\n");
  EXPECT_TRUE(writer.flush(10s));
  ASSERT_EQ(::rename(path.c_str(), (path + ".1").c_str()), 0);
  writer.write("two\n");
  EXPECT_TRUE(writer.flush(10s));
  writer.open(path);
  writer.write("three\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_EQ(content_of(path + ".1"), "1 lines of the log are lost\none\ntwo\n");
  EXPECT_EQ(content_of(path), "three\n");
  // Appended, not written over.
  writer.open(path);
  writer.write("four\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_EQ(content_of(path), "three\nfour\n");
  writer.open("");
  writer.write("five\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_EQ(content_of(path), "three\nfour\n");
  EXPECT_EQ(writer.lost(), 2U);
  writer.stop();
}

TEST(LogWriterTest, AFileThatCannotBeOpenedIsSaid) {
  std::string why;
  log_writer writer(-1,
                    {.idle = {}, .about_losses = {}, .cannot_open = [&](const auto& text) { why = text; }});
  writer.open("/nowhere/at/all");
  writer.write("line\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_EQ(why, "No such file or directory");
  EXPECT_EQ(writer.lost(), 1U);
  writer.stop();
}

TEST(LogWriterTest, APipeInThePlaceOfAFileHoldsNeitherAnotherFileNorTheEndUp) {
  const scratch_folder folder;
  const std::string pipe = folder.path + "/pipe", path = folder.path + "/log";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  log_writer writer(-1);
  writer.open(pipe);  // without a reader
  EXPECT_TRUE(writer.flush(10s));
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  writer.open(pipe);
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 200; ++i) writer.write(line);  // more than a pipe holds
  EXPECT_FALSE(writer.flush(10ms));
  writer.open(path);
  EXPECT_TRUE(writer.flush(10s));
  writer.write("line\n");
  EXPECT_TRUE(writer.flush(10s));
  EXPECT_TRUE(content_of(path).ends_with("\nline\n"));
  writer.stop();
  ::close(reader);
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
