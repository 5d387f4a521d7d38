#include "replies.hpp"

#include <dualbus/stream/pending_merge.hpp>

#include <string>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

using namespace test;

std::string pending(const std::string& id, const std::string& consumer, int idle, int deliveries) {
  return array({bulk(id), bulk(consumer), integer(idle), integer(deliveries)});
}

std::string written(const pending_summary& merged, resp::protocol version = resp::protocol::resp2) {
  return encoded([&](resp::encoder& out, base::chunk_queue&) { merged.write(out); }, version);
}

std::string written(const pending_merge& merged) {
  return encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write(out, raw); });
}

const std::string nothing = "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n";

TEST(PendingSummaryTest, AddsUpWithConsumersInTheOrderOfTheirBytes) {
  const std::string one = array({integer(3), bulk("5-0"), bulk("7-1"),
                                 array({array({bulk("a"), bulk("1")}), array({bulk("b"), bulk("2")})})}),
                    two = array({integer(4), bulk("5-0"), bulk("6-0"),
                                 array({array({bulk("B"), bulk("1")}), array({bulk("b"), bulk("3")})})});
  pending_summary merged;
  merged.add(two, 2);
  merged.add(nothing, 3);
  merged.add(one, 1);
  EXPECT_EQ(written(merged), array({integer(7), bulk("5-1000000000000"), bulk("7-1000000000001"),
                                    array({array({bulk("B"), bulk("1")}), array({bulk("a"), bulk("1")}),
                                           array({bulk("b"), bulk("5")})})}));
}

TEST(PendingSummaryTest, OfNothingHasNullsAsRedisHasThem) {
  pending_summary merged;
  merged.add(nothing, 1);
  EXPECT_EQ(written(merged), nothing);
  merged.add("*4\r\n:0\r\n_\r\n_\r\n_\r\n", 1);
  EXPECT_EQ(written(merged, resp::protocol::resp3), "*4\r\n:0\r\n_\r\n_\r\n_\r\n");
}

TEST(PendingSummaryTest, ShowsABoundWithoutClientFormAsTheLastOfItsMillisecond) {
  const std::string reply = array(
      {integer(1), bulk("5-1000000000000"), bulk("5-1000000000000"), array({array({bulk("a"), bulk("1")})})});
  pending_summary merged;
  merged.add(reply, 1);
  EXPECT_EQ(written(merged), array({integer(1), bulk("5-1999999999999"), bulk("5-1999999999999"),
                                    array({array({bulk("a"), bulk("1")})})}));
}

TEST(PendingMergeTest, SortsByClientIdAndCuts) {
  const std::string one = array({pending("5-0", "a", 7, 1), pending("7-1", "b", 8, 2)}),
                    two = array({pending("5-0", "c", 9, 3), pending("6-0", "d", 10, 4)});
  for (std::uint64_t count = 0; count < 6; ++count) {
    pending_merge merged;
    EXPECT_EQ(merged.add(two, 2), 0U);
    EXPECT_EQ(merged.add(one, 1), 0U);
    EXPECT_EQ(merged.add("*0\r\n", 3), 0U);
    merged.merge(count);
    std::vector<std::string> expected = {
        pending("5-1000000000000", "a", 7, 1), pending("5-2000000000000", "c", 9, 3),
        pending("6-2000000000000", "d", 10, 4), pending("7-1000000000001", "b", 8, 2)};
    if (count < expected.size()) expected.resize(count);
    EXPECT_EQ(written(merged), array(expected));
  }
}

TEST(PendingMergeTest, LeavesOutWhatHasNoClientFormAndSaysSo) {
  const std::string reply =
      array({pending("5-999999999999", "a", 1, 1), pending("5-1000000000000", "a", 1, 1),
             pending("5-18446744073709551615", "a", 1, 1), pending("6-0", "a", 1, 1)});
  pending_merge merged;
  EXPECT_EQ(merged.add(reply, 7), 2U);
  merged.merge(100);
  EXPECT_EQ(written(merged),
            array({pending("5-7999999999999", "a", 1, 1), pending("6-7000000000000", "a", 1, 1)}));
}

}  // namespace
}  // namespace dualbus::stream
