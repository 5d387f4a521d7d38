#include "handler/server/figure_merge.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::handler {
namespace {

std::string merged(merging how, std::vector<std::string_view> values) {
  return merge(how, values).value_or("nothing");
}

TEST(FigureMergeTest, NumbersAreAddedUpOrTheExtremeOneIsTaken) {
  EXPECT_EQ(merged(merging::sum, {"3", "4"}), "7");
  EXPECT_EQ(merged(merging::largest, {"3", "4", "1"}), "4");
  EXPECT_EQ(merged(merging::smallest, {"3", "4", "1"}), "1");
}

TEST(FigureMergeTest, OfNothingThereIsNothing) {
  for (const merging how : {merging::sum, merging::limit, merging::policy, merging::worst, merging::same})
    EXPECT_EQ(merged(how, {}), "nothing");
}

TEST(FigureMergeTest, WhatIsNoNumberIsPassedOver) {
  EXPECT_EQ(merged(merging::sum, {"x", "4"}), "4");
  EXPECT_EQ(merged(merging::largest, {"-1", "1.5"}), "nothing");
}

TEST(FigureMergeTest, ALimitIsTheSumOnlyIfEveryBusHasOne) {
  EXPECT_EQ(merged(merging::limit, {"100", "200"}), "300");
  EXPECT_EQ(merged(merging::limit, {"0", "0"}), "0");
  EXPECT_EQ(merged(merging::limit, {"100", "0"}), "nothing") << "0 would say that nothing is ever evicted";
}

TEST(FigureMergeTest, ThePolicyIsTheOneThatEvictsMost) {
  EXPECT_EQ(merged(merging::policy, {"noeviction", "noeviction"}), "noeviction");
  EXPECT_EQ(merged(merging::policy, {"noeviction", "volatile-ttl"}), "volatile-ttl");
  EXPECT_EQ(merged(merging::policy, {"volatile-lru", "allkeys-lfu", "noeviction"}), "allkeys-lfu");
  EXPECT_EQ(merged(merging::policy, {"allkeys-lru", "allkeys-lfu"}), "allkeys-lru");
}

TEST(FigureMergeTest, OneThatIsNotWellDecides) {
  EXPECT_EQ(merged(merging::worst, {"ok", "ok"}), "ok");
  EXPECT_EQ(merged(merging::worst, {"ok", "err"}), "err");
  EXPECT_EQ(merged(merging::worst, {"yes", "no"}), "no");
  EXPECT_EQ(merged(merging::role, {"master", "slave"}), "slave");
  EXPECT_EQ(merged(merging::role, {"master", "master"}), "master");
}

TEST(FigureMergeTest, WhatBusesDisagreeOnIsNothing) {
  EXPECT_EQ(merged(merging::same, {"3600 1", "3600 1"}), "3600 1");
  EXPECT_EQ(merged(merging::same, {"3600 1", "60 1"}), "nothing");
  EXPECT_EQ(merged(merging::same, {"", ""}), "");
  EXPECT_EQ(merged(merging::same, {"", "60 1"}), "nothing");
}

}  // namespace
}  // namespace dualbus::handler
