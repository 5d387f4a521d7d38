#include <dualbus/base/numbers.hpp>

#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

__extension__ using wide = __int128;

// The same rules written down naively: one spelling per number, in range.
std::optional<wide> naive(const std::string& text, wide lowest, wide highest) {
  std::size_t i = 0;
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) ++i;
  if (i == text.size() || text.size() > 25) return std::nullopt;
  wide value = 0;
  for (std::size_t k = i; k < text.size(); ++k) {
    if (text[k] < '0' || text[k] > '9') return std::nullopt;
    value = value * 10 + (text[k] - '0');
  }
  if (text[i] == '0' && (text.size() > i + 1 || negative)) return std::nullopt;
  if (negative) value = -value;
  if (value < lowest || value > highest) return std::nullopt;
  return value;
}

void compare(const std::string& text) {
  const auto expected =
      naive(text, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
  const auto actual = parse_int64(text);
  ASSERT_EQ(actual.has_value(), expected.has_value()) << '"' << text << '"';
  if (expected) {
    ASSERT_EQ(*actual, static_cast<std::int64_t>(*expected)) << text;
  }
  const auto expected_unsigned = naive(text, 0, std::numeric_limits<std::uint64_t>::max());
  const auto actual_unsigned = parse_uint64(text);
  ASSERT_EQ(actual_unsigned.has_value(), expected_unsigned.has_value()) << '"' << text << '"';
  if (expected_unsigned) {
    ASSERT_EQ(*actual_unsigned, static_cast<std::uint64_t>(*expected_unsigned)) << text;
  }
}

TEST(NumbersTest, ReadsTheEdgesOfTheRange) {
  for (const char* text : {"0", "1", "-1", "9223372036854775807", "9223372036854775808",
                           "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
                           "18446744073709551616", "99999999999999999999999", "10", "-10"}) {
    compare(text);
  }
  EXPECT_EQ(parse_int64("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parse_uint64("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
}

TEST(NumbersTest, TakesOneSpellingOnly) {
  for (const char* text :
       {"", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1.0", "1e3", "0x10", "--1", "1-", "a"}) {
    EXPECT_FALSE(parse_int64(text)) << text;
    EXPECT_FALSE(parse_uint64(text)) << text;
  }
  EXPECT_FALSE(parse_int64(std::string_view("1\0", 2)));
}

TEST(NumbersTest, AgreesWithANaiveReader) {
  std::mt19937_64 random(3);
  const std::string alphabet = "0123456789-+ x";
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    if (i % 3 == 0) {
      text = std::to_string(static_cast<std::int64_t>(random() >> (random() % 64)));
    } else if (i % 3 == 1) {
      text = std::to_string(random());
    } else {
      for (std::size_t n = random() % 22; n > 0; --n) text += alphabet[random() % alphabet.size()];
    }
    if (random() % 8 == 0 && !text.empty())
      text[random() % text.size()] = alphabet[random() % alphabet.size()];
    compare(text);
  }
}

TEST(NumbersTest, WritesWhatItReads) {
  for (const std::int64_t value :
       {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0}, std::int64_t{42},
        std::numeric_limits<std::int64_t>::max()}) {
    char text[max_int_chars];
    const std::string_view written(text, static_cast<std::size_t>(write_int(text, value) - text));
    EXPECT_EQ(written, std::to_string(value));
    EXPECT_EQ(parse_int64(written), value);
  }
  char text[max_int_chars];
  EXPECT_EQ(write_int(text, std::numeric_limits<std::uint64_t>::max()), text + max_int_chars);
}

TEST(NumbersTest, FoldsAsciiLettersOnly) {
  for (int c = 0; c < 256; ++c) {
    const char ch = static_cast<char>(c);
    EXPECT_EQ(to_lower(ch), c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : ch);
  }
  EXPECT_TRUE(equals_ignoring_case("MaxLen", "maxlen"));
  EXPECT_FALSE(equals_ignoring_case("maxle", "maxlen"));
  EXPECT_FALSE(equals_ignoring_case("maxlem", "maxlen"));
  EXPECT_FALSE(equals_ignoring_case("[", "{"));
  EXPECT_TRUE(equals_ignoring_case("", ""));
}

}  // namespace
}  // namespace dualbus::base
