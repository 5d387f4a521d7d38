#include "call_counters.hpp"

#include <gtest/gtest.h>

namespace dualbus::fleet {
namespace {

TEST(CallCountersTest, CountFailuresByTheirFirstWord) {
  call_counters calls;
  EXPECT_EQ(calls.availability(), 1);
  for (int i = 0; i < 8; ++i) calls.call();
  calls.fail("NOGROUP No such key");
  calls.fail("NOGROUP another");
  calls.fail("ERR");
  calls.lose(1);
  calls.lose(0);
  EXPECT_EQ(calls.failed(), 4U);
  EXPECT_EQ(calls.availability(), 0.5);
  EXPECT_EQ(calls.by_code("NOGROUP"), 2U);
  EXPECT_EQ(calls.by_code("ERR"), 1U);
  EXPECT_EQ(calls.by_code(connection_lost), 1U);
  EXPECT_EQ(calls.by_code("BUSDOWN"), 0U);
}

}  // namespace
}  // namespace dualbus::fleet
