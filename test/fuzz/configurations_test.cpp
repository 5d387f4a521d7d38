#include "targets.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <vector>

#include <gtest/gtest.h>

// Configurations of this project, damaged in every way that somebody at an editor, a template, or an attacker
// may find. DUALBUS_FUZZ_SEED and DUALBUS_FUZZ_SECONDS mean what they do in replay_test.cpp.
namespace dualbus::fuzz {
namespace {

using random_source = std::mt19937;

// The time of this thread alone, so that a busy machine does not count. Sanitizers are slower.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double most_seconds = 60;
constexpr std::size_t most_memory = std::size_t{8} << 30;
constexpr std::size_t large_file = std::size_t{1} << 17;
constexpr int each_round = 2'500;
#else
constexpr double most_seconds = 5;
constexpr std::size_t most_memory = std::size_t{1} << 30;
constexpr std::size_t large_file = (std::size_t{1} << 20) - 100;  // as large as one may be
constexpr int each_round = 25'000;
#endif

std::string current;  // what is being read: it is shown if that ends the process

void show_current() {
  std::fprintf(stderr, "the text, %zu bytes:\n%.*s\n", current.size(),
               static_cast<int>(std::min<std::size_t>(current.size(), 20'000)), current.c_str());
}

void run(std::string text) {
  current = std::move(text);
  const double begin = cpu_seconds();
  configurations(current);
  const double took = cpu_seconds() - begin;
  if (took > most_seconds) show_current();
  check(took <= most_seconds, "reading takes a bounded time");
}

std::vector<std::string> originals() {
  std::vector<std::string> all;
  for (const char* const folder : {DUALBUS_SOURCE_DIR "/config", DUALBUS_SOURCE_DIR "/deploy"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".yaml") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  // Keys that these files leave out.
  all.emplace_back(
      "listen: {address: 0.0.0.0, port: 0, unix_socket: /run/d.sock, unix_socket_mode: \"0777\"}\n"
      "databases: 16\n"
      "auth:\n"
      "  users:\n"
      "    default: {nopass: true, commands: [\"+@all\"], keys: [\"*\"], channels: [\"*\"]}\n"
      "    engine:\n"
      "      password_hashes: [\"#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"]\n"
      "      commands: [\"+@all\", \"-@dangerous\", \"+config|get\"]\n"
      "      message_types: [\"risk_*\"]\n"
      "    file: {password_file: no/such/file, enabled: false}\n"
      "buses:\n"
      "  a: {id_slot: 1, endpoint: \"[::1]:6380\", username: u, password_env: DUALBUS_NO_SUCH_VARIABLE}\n"
      "  b: {id_slot: 0, endpoint: \"unix:/run/redis.sock\", state: draining, database: 3}\n"
      "routing:\n"
      "  json_pointer: /meta/type\n"
      "  keys: [{match: \"md:*\", bus: a}, {match: \"md:x\", bus: b}]\n"
      "  channels: [{match: \"c*\", bus: a}]\n"
      "missing_group:\n"
      "  action: error\n"
      "  rules: [{key: \"a*\", group: \"*\", action: create, start: \"$\"}]\n"
      "backend: {request_timeout: 500ms, backoff_min: 1s, backoff_max: 10s}\n"
      "draining: {ignore_groups: [\"old-*\"]}\n"
      "slowlog: {threshold: 1ms, max_entries: 0}\n");
  return all;
}

std::string times(std::string_view piece, std::size_t count) {
  std::string all;
  all.reserve(piece.size() * count);
  for (std::size_t i = 0; i < count; ++i) all += piece;
  return all;
}

// Stands in the place of a value or a piece of text.
std::string odd_piece(random_source& random) {
  static const std::vector<std::string> pieces = {"&a ",
                                                  "*a",
                                                  "*hunter2",
                                                  "<<: *a\n",
                                                  "!!str ",
                                                  "!x ",
                                                  "!<tag:x> ",
                                                  "%YAML 9.9\n",
                                                  "---\n",
                                                  "...\n",
                                                  "? ",
                                                  "- ",
                                                  ": ",
                                                  ", ",
                                                  "[",
                                                  "]",
                                                  "{",
                                                  "}",
                                                  "|\n",
                                                  ">-\n  ",
                                                  "|+9\n",
                                                  "\"",
                                                  "'",
                                                  "\"\\u12\"",
                                                  "\"\\x\"",
                                                  "\"\\UFFFFFFFF\"",
                                                  "#",
                                                  "\t",
                                                  "\r\n",
                                                  "\n\n",
                                                  " ",
                                                  "~",
                                                  "null",
                                                  "true",
                                                  "no",
                                                  "0x7fffffffffffffff",
                                                  "0777",
                                                  "-0",
                                                  "1e308",
                                                  "9223372036854775807",
                                                  "9223372036854775808",
                                                  "99999999999999999999999999999999",
                                                  "18446744073709551616gb",
                                                  "9223372036854775807h",
                                                  "-1",
                                                  "1.5",
                                                  ".inf",
                                                  ".nan",
                                                  "+1",
                                                  "1_000",
                                                  "\xef\xbb\xbf",
                                                  "\xff\xfe",
                                                  "\xed\xa0\x80",
                                                  "\xc0\x80",
                                                  "\xf4\x90\x80\x80",
                                                  "\xe2\x80\xa8",
                                                  "\xc2\x85",
                                                  "redis://:hunter2@h:1",
                                                  "*",
                                                  "**",
                                                  "[a-",
                                                  "\\",
                                                  "+@nosuch",
                                                  "-@all",
                                                  ">x",
                                                  "0.0.0.0",
                                                  "::",
                                                  "1ms",
                                                  "64mb",
                                                  "/dev/zero",
                                                  "/proc/self/mem",
                                                  "."};
  switch (random() % 12) {
    case 0:
      return times("[", 1 + random() % 3000);
    case 1:
      return times("{a: ", 1 + random() % 3000);
    case 2:
      return times("- ", 1 + random() % 3000);
    case 3:
      return times("? ", 1 + random() % 3000);
    case 4:
      return std::string(random() % 20000, static_cast<char>('0' + random() % 10));
    case 5:
      return std::string(random() % 20000, 'x');
    case 6:
      return std::string(1, '\0');
    default:
      return pieces[random() % pieces.size()];
  }
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

// A line, or a run of them, goes, comes twice, comes elsewhere, or is indented otherwise.
std::string with_lines_changed(const std::string& text, random_source& random) {
  std::vector<std::string> lines = lines_of(text);
  if (lines.empty()) return text;
  const auto at = static_cast<std::ptrdiff_t>(random() % lines.size());
  const auto count = static_cast<std::ptrdiff_t>(
      1 + random() % std::min<std::size_t>(8, lines.size() - static_cast<std::size_t>(at)));
  const std::vector<std::string> some(lines.begin() + at, lines.begin() + at + count);
  const auto elsewhere = [&] {
    return lines.begin() + static_cast<std::ptrdiff_t>(random() % (lines.size() + 1));
  };
  switch (random() % 5) {
    case 0:
      lines.erase(lines.begin() + at, lines.begin() + at + count);
      break;
    case 1:
      lines.insert(lines.begin() + at, some.begin(), some.end());
      break;
    case 2:
      lines.erase(lines.begin() + at, lines.begin() + at + count);
      lines.insert(elsewhere(), some.begin(), some.end());
      break;
    case 3:
      for (std::ptrdiff_t i = at; i < at + count; ++i)
        lines[static_cast<std::size_t>(i)].insert(0, random() % 5, ' ');
      break;
    default:
      for (std::ptrdiff_t i = at; i < at + count; ++i) {
        std::string& line = lines[static_cast<std::size_t>(i)];
        line.erase(0, std::min<std::size_t>(
                          line.find_first_not_of(' ') == std::string::npos ? 0 : line.find_first_not_of(' '),
                          random() % 5));
      }
  }
  return joined(lines);
}

// A value behind a colon, or in a list, becomes something else: another type, too large a number.
std::string with_a_value_changed(std::string text, random_source& random) {
  if (text.empty()) return text;
  const std::size_t from = text.find_first_of(":[,-", random() % text.size());
  if (from == std::string::npos) return text;
  const std::size_t end = std::min(text.find_first_of(",]}\n", from + 1), text.size());
  static const std::vector<std::string> types = {
      " {a: b}",      " [a, b]", " 5", " text", " ~", "", " []", " {}", " \"\"", "\n      a: 1\n      a: 2",
      " {a: 1, a: 2}"};
  const std::string value = random() % 2 == 0 ? types[random() % types.size()] : " " + odd_piece(random);
  return text.replace(from + 1, end - from - 1, value);
}

std::string with_bytes_changed(std::string text, random_source& random) {
  for (std::size_t n = 1 + random() % 4; n > 0 && !text.empty(); --n) {
    const std::size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, 1 + random() % 8);
        break;
      case 2:
        text.resize(at);
        break;
      default:
        text.insert(at, odd_piece(random));
    }
  }
  return text;
}

std::string mutated(std::string text, random_source& random) {
  for (std::size_t n = 1 + random() % 3; n > 0; --n) {
    switch (random() % 3) {
      case 0:
        text = with_lines_changed(text, random);
        break;
      case 1:
        text = with_a_value_changed(std::move(text), random);
        break;
      default:
        text = with_bytes_changed(std::move(text), random);
    }
  }
  return text;
}

void expect_bounded_memory() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  EXPECT_LE(static_cast<std::size_t>(used.ru_maxrss) << 10, most_memory);
}

TEST(ConfigurationsTest, OriginalsAndAllTheirBeginningsAreJudged) {
  for (const std::string& text : originals()) {
    for (std::size_t end = 0; end <= text.size(); end += 1 + text.size() / 500) run(text.substr(0, end));
  }
}

// Each large file repeats one thing, chosen for the time or memory that it could take.
TEST(ConfigurationsTest, LargeFilesOfOneThingTakeBoundedTimeAndMemory) {
  constexpr std::size_t size = large_file;
  for (const std::string_view piece : {"[",
                                       "{",
                                       "- ",
                                       "? ",
                                       "{a: ",
                                       "[a, ",
                                       "a: 1\n",
                                       "- a\n",
                                       ",",
                                       "&a ",
                                       "*a ",
                                       "!a ",
                                       "\"",
                                       "'",
                                       "\\",
                                       "|\n ",
                                       "#",
                                       "a",
                                       "0",
                                       " ",
                                       "\n",
                                       "\t",
                                       "\r",
                                       ":",
                                       ": ",
                                       "a: &a [*a]\n",
                                       "a: {b: c, b: c}\n",
                                       "--- a\n",
                                       "...\n",
                                       "%a\n",
                                       "\xc3\xa4",
                                       "\"\\n\": 1\n"}) {
    run(times(piece, size / piece.size()));
    run("buses: " + times(piece, size / piece.size()));
    run("routing: {types: {a: [" + times(piece, size / piece.size()) + "]}}");
  }
  std::string keys, rules = "routing:\n  keys:\n", users = "auth:\n  users:\n";
  for (int i = 0; keys.size() < size; ++i) keys += "k" + std::to_string(i) + ": 1\n";
  for (int i = 0; rules.size() < size; ++i) rules += "  - {match: \"a" + std::to_string(i) + "*\", bus: a}\n";
  for (int i = 0; users.size() < size; ++i)
    users += "    u" + std::to_string(i) + ": {nopass: true, commands: [\"+@all\"]}\n";
  run(keys);
  run(rules);
  run("buses: {a: {id_slot: 1, endpoint: \"h:1\"}}\n" + rules.substr(0, size - 100));
  run(users);
  expect_bounded_memory();
}

TEST(ConfigurationsTest, DamagedFilesAreJudged) {
  using std::chrono::steady_clock;
  const char* const seconds = std::getenv("DUALBUS_FUZZ_SECONDS");
  const auto end = steady_clock::now() + std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
  const char* const first = std::getenv("DUALBUS_FUZZ_SEED");
  unsigned seed = first == nullptr ? 97U : static_cast<unsigned>(std::strtoul(first, nullptr, 10));
  const std::vector<std::string> texts = originals();
  do {
    std::fprintf(stderr, "seed %u\n", seed);  // still there when the target aborts
    random_source random(seed);
    for (int i = 0; i < each_round; ++i) run(mutated(texts[random() % texts.size()], random));
    seed = std::random_device{}();
  } while (steady_clock::now() < end);
  expect_bounded_memory();
}

}  // namespace
}  // namespace dualbus::fuzz

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::signal(SIGABRT, [](int) { dualbus::fuzz::show_current(); });
  return RUN_ALL_TESTS();
}
