#include <dualbus/client/session_state.hpp>

#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <variant>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

session_state full() {
  session_state state;
  state.id = 4711;
  state.tcp = true;
  state.protocol = resp::protocol::resp3;
  state.database = 2;
  state.logged_in = true;
  state.user = "trader";
  state.name = "engine-7";
  state.library = "redis-py";
  state.library_version = "5.0.1";
  state.evictable = false;
  state.replies = reply_queue::mode::skip_next;
  state.age = std::chrono::hours(24);
  state.idle = std::chrono::milliseconds(1500);
  state.last_command = "xreadgroup";
  state.engine_source = 3;
  state.engine_searches = 97;
  state.engine = "engine";
  state.in_transaction = state.spoiled = state.watch_lost = true;
  state.queue = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
  state.subscriptions = {{"SUBSCRIBE", "news", ""}, {"PSUBSCRIBE", "n*"}};
  state.round = std::uint64_t{3} << 32 | 9;
  state.input = "*2\r\n$4\r\nECHO\r\n$5\r\nhe";
  state.output = "+OK\r\n";
  state.cursors = {{1, "marketdata", "1692629576966-3"}};
  return state;
}

std::string reason(const std::variant<session_state, std::string>& decoded) {
  const std::string* const text = std::get_if<std::string>(&decoded);
  return text == nullptr ? "" : *text;
}

TEST(SessionStateTest, ComesBackAsItWas) {
  EXPECT_EQ(std::get<session_state>(decode(encode(full()))), full());
  session_state little;
  little.id = 1;
  little.tcp = false;
  EXPECT_EQ(std::get<session_state>(decode(encode(little))), little);
}

// H7: recorded when version 1 was the newest. Never change the file; a later version gets one of its own.
TEST(SessionStateTest, AStateOfVersion1IsUnderstood) {
  std::ifstream file(DUALBUS_SOURCE_DIR "/test/golden/client-state-1.bin", std::ios::binary);
  const std::string recorded{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  ASSERT_FALSE(recorded.empty());
  const auto decoded = decode(recorded);
  ASSERT_EQ(reason(decoded), "");
  EXPECT_EQ(std::get<session_state>(decoded), full());
}

// H7
TEST(SessionStateTest, AStateOfALaterVersionIsRefusedInWords) {
  std::string later = encode(full());
  later[0] = static_cast<char>(session_state::version + 1);
  EXPECT_EQ(reason(decode(later)), "the state has version 2, and this daemon knows versions up to 1");
  later[0] = 0;
  EXPECT_EQ(reason(decode(later)), "this is no state of a client");
}

TEST(SessionStateTest, APartOfAStateIsNoState) {
  const std::string whole = encode(full());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto decoded = decode(std::string(whole.substr(0, length)));
    // Where a field ends, the rest has its defaults.
    if (const auto* state = std::get_if<session_state>(&decoded)) {
      EXPECT_EQ(state->id, 4711U);
    } else {
      EXPECT_NE(reason(decoded), "");
    }
  }
}

TEST(SessionStateTest, NoBytesAreTooOddForTheDecoder) {
  std::mt19937 random(1);
  const std::string whole = encode(full());
  for (int i = 0; i < 50'000; ++i) {
    std::string bytes = whole;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + random() % 9);
          if (bytes.empty()) bytes = whole;
          break;
        case 2:
          bytes.insert(at, 1 + random() % 9, static_cast<char>(random()));
          break;
        default:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      }
    }
    const auto decoded = decode(bytes);
    if (const auto* state = std::get_if<session_state>(&decoded)) {
      // Whatever it has understood, it can say again.
      EXPECT_EQ(std::get<session_state>(decode(encode(*state))), *state);
    } else {
      EXPECT_NE(reason(decoded), "");
    }
  }
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (bytes.size() > 1) bytes[0] = 1, bytes[1] = 0;
    decode(bytes);
  }
}

}  // namespace
}  // namespace dualbus::client
