#include "handler/key/scan_cursor.hpp"

#include <cstdint>
#include <limits>
#include <set>
#include <string_view>

#include <gtest/gtest.h>

namespace dualbus::handler {
namespace {

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();

TEST(ScanCursorTest, ABussCursorAndItsSlotComeBack) {
  for (const std::uint64_t own : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127}, std::uint64_t{128},
                                  std::uint64_t{1} << 32, largest / 128}) {
    for (const int slot : {0, 1, 2, 127}) {
      const auto number = scan_cursor{own, slot}.for_client();
      ASSERT_TRUE(number) << own << ' ' << slot;
      const scan_cursor again = scan_cursor::of_client(*number);
      EXPECT_EQ(again.own, own) << slot;
      EXPECT_EQ(again.slot, slot) << own;
    }
  }
}

// Redis 7.0.15 was seen to accept these.
TEST(ScanCursorTest, ReadsWhatRedisTakesForACursor) {
  using namespace std::string_view_literals;
  EXPECT_EQ(scan_cursor::parse(""), 0U);
  EXPECT_EQ(scan_cursor::parse("\0x"sv), 0U);
  for (const std::string_view same : {"42"sv, "042"sv, "+42"sv, "42\0x"sv})
    EXPECT_EQ(scan_cursor::parse(same), 42U);
  EXPECT_EQ(scan_cursor::parse("-1"), largest);
  EXPECT_EQ(scan_cursor::parse("18446744073709551615"), largest);
  for (const std::string_view bad :
       {" 42", "42 ", "x", "-", "+", "4x", "18446744073709551616", "\t", "--1", "0x1"})
    EXPECT_EQ(scan_cursor::parse(bad), std::nullopt) << bad;
}

TEST(ScanCursorTest, ZeroIsTheBeginningOfSlotZeroOnly) {
  EXPECT_EQ((scan_cursor{0, 0}.for_client()), 0U);
  EXPECT_EQ(scan_cursor::of_client(0).own, 0U);
  EXPECT_EQ(scan_cursor::of_client(0).slot, 0);
  for (int slot = 1; slot < 128; ++slot) EXPECT_NE((scan_cursor{0, slot}.for_client()), 0U);
}

TEST(ScanCursorTest, CursorsOfDifferentBusesNeverMeet) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t own = 0; own < 300; ++own) {
    for (int slot = 0; slot < 128; ++slot) seen.insert(scan_cursor{own, slot}.for_client().value());
  }
  EXPECT_EQ(seen.size(), 300U * 128U);
}

TEST(ScanCursorTest, ABussCursorThatLeavesNoRoomForTheSlotIsNone) {
  EXPECT_EQ((scan_cursor{largest / 128, 127}.for_client()), largest);
  EXPECT_FALSE((scan_cursor{largest / 128 + 1, 0}.for_client()));
  EXPECT_FALSE((scan_cursor{largest, 0}.for_client()));
}

TEST(ScanCursorTest, WhateverAClientSendsIsTakenApart) {
  EXPECT_EQ(scan_cursor::of_client(largest).slot, 127);
  EXPECT_EQ(scan_cursor::of_client(largest).own, largest / 128);
  EXPECT_EQ(scan_cursor::of_client(largest).for_client(), largest);
}

}  // namespace
}  // namespace dualbus::handler
