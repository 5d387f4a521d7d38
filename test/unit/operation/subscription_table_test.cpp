#include "support/faults.hpp"

#include <dualbus/operation/subscription_table.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::operation {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::UnorderedElementsAre;
using kind = subscription_table::kind;

void subscribe(subscription_table& table, subscription_table::client_id client, kind k,
               std::string_view name) {
  table.hold(k, name);
  table.subscribe(client, k, name);
  table.release(k, name);
}

TEST(SubscriptionTableTest, OnlyTheFirstHolderOfANameAsksTheBuses) {
  subscription_table table;
  EXPECT_TRUE(table.hold(kind::channel, "a"));
  EXPECT_FALSE(table.hold(kind::channel, "a"));
  EXPECT_TRUE(table.hold(kind::pattern, "a"));
  EXPECT_TRUE(table.hold(kind::shard, "a"));
}

TEST(SubscriptionTableTest, ANameIsWantedUntilTheLastHolderAndSubscriberHaveGone) {
  subscription_table table;
  table.hold(kind::channel, "a");
  table.hold(kind::channel, "a");
  EXPECT_TRUE(table.subscribe(1, kind::channel, "a"));
  EXPECT_FALSE(table.release(kind::channel, "a"));
  const auto removed = table.unsubscribe(1, kind::channel, "a");
  EXPECT_TRUE(removed.was_subscribed);
  EXPECT_FALSE(removed.last);
  EXPECT_TRUE(table.release(kind::channel, "a"));
  EXPECT_TRUE(table.empty());
}

TEST(SubscriptionTableTest, AHolderGetsNoMessages) {
  subscription_table table;
  table.hold(kind::channel, "a");
  EXPECT_EQ(table.receivers(kind::channel, "a"), nullptr);
  EXPECT_EQ(table.clients(), 0U);
}

TEST(SubscriptionTableTest, AChannelGoesToItsSubscribersOnly) {
  subscription_table table;
  subscribe(table, 1, kind::channel, "a");
  subscribe(table, 2, kind::channel, "a");
  subscribe(table, 3, kind::channel, "b");
  subscribe(table, 3, kind::pattern, "a");
  EXPECT_THAT(*table.receivers(kind::channel, "a"), UnorderedElementsAre(Key(1), Key(2)));
  EXPECT_THAT(*table.receivers(kind::pattern, "a"), UnorderedElementsAre(Key(3)));
  EXPECT_EQ(table.receivers(kind::shard, "a"), nullptr);
}

TEST(SubscriptionTableTest, ASecondSubscriptionOfTheSameClientChangesNothing) {
  subscription_table table;
  subscribe(table, 1, kind::channel, "a");
  table.hold(kind::channel, "a");
  EXPECT_FALSE(table.subscribe(1, kind::channel, "a"));
  EXPECT_FALSE(table.release(kind::channel, "a"));
  EXPECT_THAT(table.names_of(1, kind::channel), ElementsAre("a"));
  EXPECT_TRUE(table.unsubscribe(1, kind::channel, "a").last);
}

TEST(SubscriptionTableTest, UnsubscribingFromWhatOneHasNotChangesNothing) {
  subscription_table table;
  subscribe(table, 1, kind::channel, "a");
  EXPECT_FALSE(table.unsubscribe(2, kind::channel, "a").was_subscribed);
  EXPECT_FALSE(table.unsubscribe(1, kind::channel, "b").was_subscribed);
  EXPECT_FALSE(table.unsubscribe(1, kind::pattern, "a").was_subscribed);
  EXPECT_THAT(*table.receivers(kind::channel, "a"), UnorderedElementsAre(Key(1)));
}

TEST(SubscriptionTableTest, NamesKeepTheOrderOfTheirSubscriptions) {
  subscription_table table;
  for (const char* name : {"c", "a", "b"}) subscribe(table, 1, kind::pattern, name);
  EXPECT_THAT(table.names_of(1, kind::pattern), ElementsAre("c", "a", "b"));
  table.unsubscribe(1, kind::pattern, "a");
  EXPECT_THAT(table.names_of(1, kind::pattern), ElementsAre("c", "b"));
  EXPECT_EQ(table.count_of(1, kind::pattern), 2U);
  EXPECT_EQ(table.count_of(9, kind::pattern), 0U);
  EXPECT_THAT(table.names_of(1, kind::channel), IsEmpty());
  EXPECT_EQ(table.clients(), 1U);
}

// Each in the time of one look-up: looking through all of them would take minutes.
TEST(SubscriptionTableTest, OneClientMayHaveVeryManyNames) {
  constexpr std::size_t count = 200'000;
  subscription_table table;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "channel:" + std::to_string(i);
    table.hold(kind::channel, name);
    table.subscribe(1, kind::channel, name);
    table.release(kind::channel, name);
  }
  EXPECT_EQ(table.count_of(1, kind::channel), count);
  for (std::size_t i = 0; i < count; ++i)
    EXPECT_TRUE(table.unsubscribe(1, kind::channel, "channel:" + std::to_string(i)).last);
  EXPECT_TRUE(table.empty());
}

TEST(SubscriptionTableTest, ASubscriptionThatThereIsNoMemoryForIsNone) {
  subscription_table table;
  const std::string name(300'000, 'x');
  table.hold(kind::channel, name);
  {
    const test::short_of_memory here(200'000);
    EXPECT_THROW(table.subscribe(1, kind::channel, name), std::bad_alloc);
  }
  EXPECT_EQ(table.receivers(kind::channel, name), nullptr);
  EXPECT_TRUE(table.release(kind::channel, name));
}

}  // namespace
}  // namespace dualbus::operation
