#include <dualbus/base/sha256.hpp>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

// FIPS 180-4 examples, as `printf %s abc | sha256sum` prints them.
TEST(Sha256Test, TextsHaveTheirPublishedDigests) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256Test, OnlySixtyFourLowerCaseDigitsAreAHash) {
  EXPECT_TRUE(is_sha256_hex(sha256_hex("x")));
  EXPECT_FALSE(is_sha256_hex(sha256_hex("x").substr(1)));
  EXPECT_FALSE(is_sha256_hex("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
  EXPECT_FALSE(is_sha256_hex(""));
}

TEST(Sha256Test, EqualTextsAreEqualAndOthersAreNot) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
}

TEST(Sha256Test, RandomDigitsHaveTheWantedLengthAndDiffer) {
  EXPECT_EQ(random_hex(5).size(), 5U);
  EXPECT_EQ(random_hex(64).size(), 64U);
  EXPECT_NE(random_hex(64), random_hex(64));
}

}  // namespace
}  // namespace dualbus::base
