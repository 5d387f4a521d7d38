#include <dualbus/client/client_places.hpp>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using namespace std::chrono_literals;

TEST(ClientPlacesTest, KeepsAFewForAdmins) {
  EXPECT_EQ(client_places::reserved_for_admins(10000), 16u);
  EXPECT_EQ(client_places::reserved_for_admins(64), 4u);
  EXPECT_EQ(client_places::reserved_for_admins(15), 0u);
}

TEST(ClientPlacesTest, OnlyThoseWhoAreNoAdminsCountAgainstTheReserve) {
  client_places places;
  for (int i = 0; i < 100; ++i) {
    places.change(standing::none, standing::stranger);
    places.change(standing::none, standing::admin);
  }
  for (int i = 0; i < 60; ++i) {
    EXPECT_TRUE(places.has_room_for_ordinary(64)) << i;
    places.change(standing::stranger, standing::ordinary);
  }
  EXPECT_FALSE(places.has_room_for_ordinary(64));
  places.change(standing::ordinary, standing::none);
  EXPECT_TRUE(places.has_room_for_ordinary(64));
}

TEST(ClientPlacesTest, OtherWorkersMakeRoomForAsManyAsThereAreStrangers) {
  client_places places;
  EXPECT_EQ(places.most_in_excess(), 0u);
  for (int i = 0; i < 10; ++i) places.change(standing::none, standing::stranger);
  EXPECT_EQ(places.most_in_excess(), 10u);
  for (int i = 0; i < 1000; ++i) places.change(standing::none, standing::stranger);
  EXPECT_EQ(places.most_in_excess(), 64u) << "each takes a descriptor";
}

TEST(StrangerListTest, TheOldestComesFirst) {
  const base::time_point begin = base::clock::now();
  stranger_list strangers;
  EXPECT_FALSE(strangers.oldest());
  strangers.add({begin + 2s, 1});
  strangers.add({begin, 3});
  strangers.add({begin, 2});
  EXPECT_EQ(strangers.oldest()->client, 2u);
  strangers.remove({begin, 2});
  strangers.remove({begin, 3});
  EXPECT_EQ(strangers.oldest()->client, 1u);
  EXPECT_EQ(strangers.size(), 1u);
}

}  // namespace
}  // namespace dualbus::client
