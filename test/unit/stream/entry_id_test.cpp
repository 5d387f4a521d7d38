#include <dualbus/stream/entry_id.hpp>

#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

constexpr std::uint64_t max_number = std::numeric_limits<std::uint64_t>::max();

TEST(EntryIdTest, TheSlotCanBeReadOffAnId) {
  EXPECT_EQ(to_string(position_to_client({1692629576966, 3}, 1)), "1692629576966-1000000000003");
  EXPECT_EQ(to_string(position_to_client({1692629576966, 3}, 0)), "1692629576966-3");
  EXPECT_EQ(to_string(position_to_client({7, 0}, 127)), "7-127000000000000");
}

TEST(EntryIdTest, TheLargestClientSequenceIsExactInADouble) {
  const std::uint64_t largest = position_to_client({1, slot_span - 1}, slot_count - 1).seq;
  EXPECT_LT(largest, std::uint64_t{1} << 53);
  EXPECT_EQ(static_cast<std::uint64_t>(static_cast<double>(largest)), largest);
}

TEST(EntryIdTest, TranslationThereAndBackIsTheIdentity) {
  std::mt19937_64 random(20240611);
  for (int i = 0; i < 100'000; ++i) {
    const bus_id id{random() >> (random() % 64), (random() >> (random() % 64)) % slot_span};
    const int slot = static_cast<int>(random() % slot_count);
    if (id == bus_id{}) continue;
    const client_id shown = position_to_client(id, slot);
    EXPECT_EQ(slot_of(shown), static_cast<std::uint64_t>(slot));
    EXPECT_EQ(to_bus(shown), id);
  }
}

TEST(EntryIdTest, OrderOnOneBusIsKept) {
  EXPECT_LT(position_to_client({5, 1}, 3), position_to_client({5, 2}, 3));
  EXPECT_LT(position_to_client({5, slot_span - 1}, 3), position_to_client({6, 0}, 3));
  EXPECT_LT(position_to_client({5, slot_span - 1}, 3), position_to_client({5, 0}, 4));
}

TEST(EntryIdTest, ZeroMeansNoneOnEveryBus) {
  EXPECT_EQ(position_to_client({0, 0}, 5), (client_id{0, 0}));
}

TEST(EntryIdTest, ForeignSequencesHaveNoFormAndPositionsTheLargestOneOfTheirMillisecond) {
  EXPECT_EQ(entry_to_client({9, slot_span}, 2), std::nullopt);
  EXPECT_EQ(entry_to_client({9, slot_span - 1}, 2), (client_id{9, 3 * slot_span - 1}));
  EXPECT_EQ(position_to_client({9, slot_span}, 2), (client_id{9, 3 * slot_span - 1}));
  EXPECT_EQ(position_to_client({9, max_number}, 2), (client_id{9, 3 * slot_span - 1}));
}

TEST(EntryIdTest, ParsesWhatRedisWritesAndNothingElse) {
  EXPECT_EQ(parse_id("12-34", 0)->seq, 34U);
  EXPECT_EQ(parse_id("12", 7)->seq, 7U);
  EXPECT_EQ(parse_id("18446744073709551615-18446744073709551615", 0)->ms, max_number);
  for (const char* bad :
       {"", "-", "+", "1-", "-1", "a", "1-b", "1-2-3", "1 -2", "1--2", "18446744073709551616", "*", "5-*"}) {
    EXPECT_FALSE(parse_id(bad, 0)) << bad;
  }
  EXPECT_FALSE(parse_id(std::string(128, '0'), 0));
  for (const char* odd : {"0012-034", " 12-34", "+12-+34", "\t12- 034"}) {
    ASSERT_TRUE(parse_id(odd, 0)) << odd;
    EXPECT_EQ(parse_id(odd, 0)->ms, 12U) << odd;
    EXPECT_EQ(parse_id(odd, 0)->seq, 34U) << odd;
  }
}

// Redis reads IDs as C strings (t_stream.c, streamGenericParseIDOrReply).
TEST(EntryIdTest, WhatStandsBehindAZeroByteDoesNotCount) {
  using namespace std::string_view_literals;
  EXPECT_EQ(parse_id("5-3\0-9"sv, 0)->seq, 3U);
  EXPECT_EQ(parse_id("5\0-9"sv, 7)->seq, 7U);
  EXPECT_FALSE(parse_id("\0005-3"sv, 0));
  EXPECT_FALSE(parse_id("5-\0003"sv, 0));
}

// The quick path and the one that converts numbers write the same.
TEST(EntryIdTest, WritingFromTextEqualsConvertingNumbers) {
  std::mt19937_64 random(77);
  for (int i = 0; i < 200'000; ++i) {
    const bus_id id{random() >> (random() % 64), random() >> (random() % 64)};
    const int slot = static_cast<int>(random() % slot_count);
    char text[max_id_chars];
    char* const end = write_client_id(text, to_string(id), slot);
    const auto shown = entry_to_client(id, slot);
    ASSERT_EQ(end != nullptr, shown.has_value()) << to_string(id) << " on slot " << slot;
    if (!shown) continue;
    ASSERT_EQ(std::string(text, end), to_string(*shown)) << to_string(id) << " on slot " << slot;
  }
}

TEST(EntryIdTest, WritingFromTextRefusesWhatIsNoId) {
  char text[max_id_chars];
  const std::string long_head(40, '1');
  for (const std::string& bad :
       {std::string("x"), std::string(), long_head + "-", long_head.substr(0, 30) + "-1"}) {
    EXPECT_EQ(write_client_id(text, bad, 3), nullptr) << bad;
  }
}

}  // namespace
}  // namespace dualbus::stream
