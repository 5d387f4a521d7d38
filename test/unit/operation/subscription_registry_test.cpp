#include "support/faults.hpp"

#include <dualbus/operation/subscription_registry.hpp>

#include <gtest/gtest.h>

namespace dualbus::operation {
namespace {

using kind = subscription_registry::kind;

constexpr command::bus_index both_buses[] = {0, 1};

TEST(SubscriptionRegistryTest, WithoutSubscriptionsTheCountOfTheBusStands) {
  const subscription_registry registry;
  EXPECT_TRUE(registry.empty());
  EXPECT_EQ(registry.receivers(false, "a", 0, 3), 3);
  EXPECT_EQ(registry.subscribers(kind::channel, "a", 3), 3);
  EXPECT_EQ(registry.patterns(3), 3);
}

TEST(SubscriptionRegistryTest, ClientsTakeThePlaceOfTheConnectionsThatServeThem) {
  subscription_registry registry;
  for (const command::bus_index bus : both_buses) registry.count_connection(kind::channel, "a", bus, 1);
  for (int i = 0; i < 5; ++i) registry.count_client(kind::channel, "a", 1);
  // One of our connections and two others.
  EXPECT_EQ(registry.receivers(false, "a", 1, 3), 7);
  // Two of our connections and one other, over both buses.
  EXPECT_EQ(registry.subscribers(kind::channel, "a", 3), 6);
  EXPECT_EQ(registry.names(kind::channel), 1U);
}

TEST(SubscriptionRegistryTest, EveryPatternThatMatchesCountsAsRedisCountsIt) {
  subscription_registry registry;
  for (const char* pattern : {"a*", "*b", "x*"}) {
    registry.count_connection(kind::pattern, pattern, 0, 1);
    registry.count_client(kind::pattern, pattern, 1);
    registry.count_client(kind::pattern, pattern, 1);
  }
  EXPECT_EQ(registry.receivers(false, "ab", 0, 2), 4);
  EXPECT_EQ(registry.receivers(false, "xy", 0, 1), 2);
  EXPECT_EQ(registry.receivers(true, "ab", 0, 0), 0) << "patterns are not for shard channels";
}

TEST(SubscriptionRegistryTest, ClientsWhoseConnectionIsAwayReceiveNothing) {
  subscription_registry registry;
  registry.count_client(kind::channel, "a", 1);
  registry.count_connection(kind::channel, "a", 1, 1);
  EXPECT_EQ(registry.receivers(false, "a", 0, 0), 0);
  EXPECT_EQ(registry.receivers(false, "a", 1, 1), 1);
}

TEST(SubscriptionRegistryTest, APatternOfOursOnBothBusesIsOnePattern) {
  subscription_registry registry;
  for (const command::bus_index bus : both_buses) registry.count_connection(kind::pattern, "a*", bus, 1);
  registry.count_client(kind::pattern, "a*", 1);
  EXPECT_EQ(registry.patterns(2), 1);
  EXPECT_EQ(registry.patterns(3), 2) << "and one of somebody else";
}

TEST(SubscriptionRegistryTest, IsEmptyAgainWhenAllHaveGone) {
  subscription_registry registry;
  registry.count_client(kind::channel, "a", 1);
  registry.count_connection(kind::channel, "a", 0, 1);
  registry.count_client(kind::channel, "a", -1);
  EXPECT_FALSE(registry.empty());
  EXPECT_EQ(registry.names(kind::channel), 0U);
  registry.count_connection(kind::channel, "a", 0, -1);
  EXPECT_TRUE(registry.empty());
}

TEST(SubscriptionRegistryTest, ANameThatThereIsNoMemoryForIsNotCounted) {
  subscription_registry registry;
  const std::string name(300'000, 'x');
  {
    const test::short_of_memory here(200'000);
    EXPECT_THROW(registry.count_client(kind::channel, name, 1), std::bad_alloc);
  }
  EXPECT_TRUE(registry.empty());
}

}  // namespace
}  // namespace dualbus::operation
