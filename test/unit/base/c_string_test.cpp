#include <dualbus/base/c_string.hpp>

#include <random>
#include <string>
#include <string_view>
#include <strings.h>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

using namespace std::string_view_literals;

TEST(CStringTest, AWordEndsAtItsFirstZeroByte) {
  EXPECT_TRUE(is_word("STORE", "store"));
  EXPECT_TRUE(is_word("Store\0"sv, "store"));
  EXPECT_TRUE(is_word("store\0dist"sv, "store"));
  EXPECT_TRUE(is_word("*\0x"sv, "*"));
  EXPECT_FALSE(is_word("stor", "store"));
  EXPECT_FALSE(is_word("stor\0e"sv, "store"));
  EXPECT_FALSE(is_word("\0store"sv, "store"));
  EXPECT_FALSE(is_word("storedist", "store"));
  EXPECT_FALSE(is_word("", "store"));
  EXPECT_EQ(as_c_string("ab\0c\0d"sv), "ab");
  EXPECT_EQ(as_c_string("\0"sv), "");
  EXPECT_EQ(as_c_string("ab"), "ab");
}

TEST(CStringTest, WordsAreThoseOfStrcasecmp) {
  std::mt19937 random(13);
  const std::string_view alphabet("\0aAbB*", 6);
  int equal = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text, word;
    for (std::size_t n = random() % 5; n > 0; --n) text += alphabet[random() % alphabet.size()];
    for (std::size_t n = random() % 3; n > 0; --n) word += "ab*"[random() % 3];
    const bool same = ::strcasecmp(text.c_str(), word.c_str()) == 0;
    EXPECT_EQ(is_word(text, word), same) << testing::PrintToString(text) << " " << word;
    equal += same ? 1 : 0;
  }
  EXPECT_GT(equal, 1000);
}

}  // namespace
}  // namespace dualbus::base
