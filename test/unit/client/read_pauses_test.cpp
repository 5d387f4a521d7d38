#include <dualbus/client/read_pauses.hpp>

#include <vector>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

class ReadPausesTest : public testing::Test {
 protected:
  using enum read_pauses::reason;
  const std::vector<read_pauses::reason> all_{held,         congestion, in_flight, closing, barrier, exec,
                                              client_pause, deferred,   memory,    turn,    login};
};

TEST_F(ReadPausesTest, ReadsWhileThereIsNoReason) {
  read_pauses pauses;
  EXPECT_FALSE(pauses.any());
  for (const auto reason : all_) EXPECT_FALSE(pauses.has(reason) || pauses.only(reason));
}

TEST_F(ReadPausesTest, EachReasonIsThereOrNot) {
  for (const auto reason : all_) {
    read_pauses pauses;
    pauses.add(reason);
    pauses.add(reason);
    EXPECT_TRUE(pauses.any());
    for (const auto other : all_) {
      EXPECT_EQ(pauses.has(other), other == reason);
      EXPECT_EQ(pauses.only(other), other == reason);
    }
    pauses.remove(reason);
    pauses.remove(reason);
    EXPECT_FALSE(pauses.any());
  }
}

TEST_F(ReadPausesTest, GoesOnOnlyWhenTheLastReasonHasGone) {
  read_pauses pauses;
  for (const auto reason : all_) pauses.add(reason);
  for (const auto reason : all_) {
    EXPECT_TRUE(pauses.has(reason));
    EXPECT_TRUE(pauses.any());
    pauses.remove(reason);
    EXPECT_FALSE(pauses.has(reason));
  }
  EXPECT_FALSE(pauses.any());
}

}  // namespace
}  // namespace dualbus::client
