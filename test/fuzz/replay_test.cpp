#include "../unit/resp/parse_helpers.hpp"
#include "targets.hpp"

#include <dualbus/resp/reply_scanner.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::fuzz {
namespace {

struct transcript {
  std::string name, bytes;
};

std::vector<transcript> transcripts() {
  std::vector<transcript> all;
  for (const auto& entry : std::filesystem::directory_iterator(DUALBUS_SOURCE_DIR "/test/golden")) {
    if (entry.path().extension() != ".resp") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    all.push_back({entry.path().filename(), {std::istreambuf_iterator<char>(file), {}}});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

void run_all(std::string_view bytes) {
  requests(bytes);
  replies(bytes);
  routes(bytes);
  merges(bytes);
}

TEST(ReplayTest, ThereAreTranscripts) {
  EXPECT_GE(transcripts().size(), 8U);
}

TEST(ReplayTest, TranscriptsMeanWhatTheirNamesSay) {
  for (const transcript& t : transcripts()) {
    const bool malformed = t.name.find("malformed") != std::string::npos;
    if (t.name.starts_with("requests")) {
      const test::parsed_input parsed = test::parse_whole(t.bytes);
      EXPECT_EQ(parsed.last == resp::parse_status::error, malformed) << t.name << " " << parsed.error;
      if (!malformed) {
        EXPECT_EQ(parsed.consumed, t.bytes.size()) << t.name;
      }
    } else {
      std::string_view rest = t.bytes;
      resp::scan_status status = resp::scan_status::complete;
      while (!rest.empty() && status == resp::scan_status::complete) {
        resp::reply_scanner scanner;
        status = scanner.scan(rest);
        rest.remove_prefix(std::min(scanner.consumed(), rest.size()));
      }
      EXPECT_EQ(status, malformed ? resp::scan_status::error : resp::scan_status::complete) << t.name;
    }
  }
}

TEST(ReplayTest, TranscriptsAndAllTheirBeginningsHoldTheInvariants) {
  for (const transcript& t : transcripts()) {
    run_all(t.bytes);
    const std::size_t step = 1 + t.bytes.size() / 300;
    for (std::size_t end = 1; end < t.bytes.size(); end += step)
      run_all(std::string_view(t.bytes).substr(0, end));
  }
}

std::string mutated(std::string bytes, std::mt19937& random) {
  constexpr std::string_view pieces = "*$:+-_#,(!=%~>|0123456789\r\n\"'\\ {}";
  for (std::size_t n = 1 + random() % 4; n > 0 && !bytes.empty(); --n) {
    const std::size_t at = random() % bytes.size();
    switch (random() % 4) {
      case 0:
        bytes[at] = pieces[random() % pieces.size()];
        break;
      case 1:
        bytes[at] = static_cast<char>(random());
        break;
      case 2:
        bytes.erase(at, 1 + random() % 4);
        break;
      default:
        bytes.insert(at, 1, pieces[random() % pieces.size()]);
    }
  }
  return bytes;
}

// The first round is the same every time, with the seed DUALBUS_FUZZ_SEED if that is set. For
// DUALBUS_FUZZ_SECONDS, if set, rounds with other seeds follow.
TEST(ReplayTest, MutatedTranscriptsHoldTheInvariants) {
  using std::chrono::steady_clock;
  const char* const seconds = std::getenv("DUALBUS_FUZZ_SECONDS");
  const auto end = steady_clock::now() + std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
  const char* const first = std::getenv("DUALBUS_FUZZ_SEED");
  unsigned seed = first == nullptr ? 97U : static_cast<unsigned>(std::strtoul(first, nullptr, 10));
  do {
    std::fprintf(stderr, "seed %u\n", seed);  // still there when a target aborts
    std::mt19937 random(seed);
    for (const transcript& t : transcripts()) {
      for (int i = 0; i < 150; ++i) run_all(mutated(t.bytes.substr(0, 1500), random));
    }
    seed = std::random_device{}();
  } while (steady_clock::now() < end);
}

}  // namespace
}  // namespace dualbus::fuzz
