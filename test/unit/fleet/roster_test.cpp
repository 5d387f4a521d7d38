#include "roster.hpp"

#include <algorithm>
#include <bit>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::fleet {
namespace {

using testing::ElementsAre;

std::vector<std::string> keys(const roster& who, const engine& e) {
  std::vector<std::string> result;
  for (const std::size_t stream : e.reads) result.push_back(who.streams()[stream]);
  return result;
}

TEST(RosterTest, AnEngineReadsTheStreamsOfThoseNamedAfterIt) {
  const roster who(7, 18, 5);
  EXPECT_EQ(who.streams().size(), 18U);
  const engine& features = who.engines()[6];
  EXPECT_EQ(features.name, "features");
  EXPECT_EQ(features.consumer, "features-engine-features-6");
  EXPECT_EQ(who.groups()[features.group], "features-group");
  EXPECT_THAT(keys(who, features),
              ElementsAre("nautilus-portfolio-streams", "nautilus-collateral-streams", "nautilus-ml-streams",
                          "nautilus-factor-streams", "nautilus-strategy-streams"));
}

TEST(RosterTest, WhoReadsMoreThanTheOthersHaveGoesOnWithTheRestAndNeverReadsItsOwn) {
  const roster who(7, 18, 17);
  for (const engine& e : who.engines()) {
    EXPECT_EQ(std::set<std::size_t>(e.reads.begin(), e.reads.end()).size(), 17U);
    EXPECT_THAT(keys(who, e), testing::Not(testing::Contains("nautilus-" + e.name + "-streams")));
  }
  EXPECT_THAT(keys(who, who.engines()[0]), testing::Contains("nautilus-backtesting-streams"));
}

TEST(RosterTest, InstancesOfOneNameShareItsGroupAsConsumersOfTheirOwn) {
  const roster who(200, 18, 5);
  EXPECT_EQ(who.groups().size(), 7U);
  std::set<std::string> consumers;
  for (const engine& e : who.engines()) {
    consumers.insert(e.consumer);
    EXPECT_EQ(who.groups()[e.group], e.name + "-group");
  }
  EXPECT_EQ(consumers.size(), 200U);
}

TEST(RosterTest, ReadersOfAStreamAreTheGroupsOfThoseThatReadIt) {
  const roster who(7, 18, 5);
  std::vector<std::uint32_t> expected(18);
  for (const engine& e : who.engines()) {
    for (const std::size_t stream : e.reads) expected[stream] |= 1U << e.group;
  }
  for (std::size_t stream = 0; stream < 18; ++stream) EXPECT_EQ(who.readers(stream), expected[stream]);
  EXPECT_EQ(std::popcount(who.readers(0)), 5);
  EXPECT_EQ(who.readers(17), 0U);
  EXPECT_EQ(who.own_group(17), "backtesting-group");
}

TEST(RosterTest, NobodyReadsAStreamThatIsNotThere) {
  const roster who(7, 3, 5);
  for (const engine& e : who.engines()) {
    for (const std::size_t stream : e.reads) EXPECT_LT(stream, 3U);
  }
}

}  // namespace
}  // namespace dualbus::fleet
