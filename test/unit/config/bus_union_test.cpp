#include "support.hpp"

#include <dualbus/config/bus_union.hpp>

#include <string>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using ::testing::ElementsAre;

std::string bus(const std::string& name, int slot, int port, const std::string& more = {}) {
  return "  " + name + ": {id_slot: " + std::to_string(slot) + ", endpoint: \"h:" + std::to_string(port) +
         "\"" + more + "}\n";
}

std::vector<std::string> names(const configuration& c) {
  std::vector<std::string> all;
  for (const auto& each : c.routing.buses) all.push_back(each.name);
  return all;
}

const std::string before = "buses:\n" + bus("a", 1, 1) + bus("b", 2, 2) + bus("c", 3, 3) +
                           "anchor: b\nrouting: {default_bus: b, default_key_bus: c, types: {a: [x], c: "
                           "[y]}, keys: [{match: k, bus: c}], channels: [{match: n, bus: a}]}\n";

const std::string routing = "routing: {default_bus: b}\n";

TEST(BusUnionTest, TheSameBusesStayAsTheyAre) {
  const configuration one = good(before);
  const bus_union both(one, one);
  EXPECT_THAT(both.added, ElementsAre());
  EXPECT_THAT(both.removed, ElementsAre());
  EXPECT_THAT(names(both.loaded), ElementsAre("a", "b", "c"));
  EXPECT_EQ(both.loaded.routing.keys[0].bus, 2);
}

TEST(BusUnionTest, AnIndexMeansTheSameBusInBoth) {
  const configuration running = good(before);
  const configuration loaded =
      good("buses:\n" + bus("d", 4, 4) + bus("c", 3, 3) + bus("b", 2, 2) +
           "anchor: b\nrouting: {default_bus: b, types: {d: [x], c: [y]}, keys: [{match: k, bus: d}, {match: "
           "l, bus: b}], channels: [{match: n, bus: c}]}\n");
  const bus_union both(running, loaded);
  EXPECT_THAT(names(both.running), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(names(both.loaded), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(both.added, ElementsAre(3));
  EXPECT_THAT(both.removed, ElementsAre(0));
  const command::routing_rules& after = both.loaded.routing;
  EXPECT_EQ(after.anchor, 1);
  EXPECT_EQ(after.default_bus, 1);
  EXPECT_EQ(after.default_key_bus, 1);
  EXPECT_EQ(after.types[0].bus, 3);
  EXPECT_EQ(after.types[1].bus, 2);
  EXPECT_EQ(after.keys[0].bus, 3);
  EXPECT_EQ(after.keys[1].bus, 1);
  EXPECT_EQ(after.channels[0].bus, 2);
  EXPECT_EQ(both.running.routing.keys[0].bus, 2) << "the running one keeps its indexes";
  EXPECT_EQ(both.loaded.buses[3].endpoint, "h:4");
}

TEST(BusUnionTest, ABusThatOneLacksDrainsThere) {
  const configuration running =
      good("buses:\n" + bus("a", 1, 1) + bus("b", 2, 2, ", acknowledge: {replicas: 1}") + routing);
  const configuration loaded =
      good("buses:\n" + bus("a", 1, 1) + bus("c", 3, 3) + "routing: {default_bus: a}\n");
  const bus_union both(running, loaded);
  EXPECT_TRUE(both.loaded.routing.buses[1].draining);
  EXPECT_EQ(both.loaded.buses[1].endpoint, "h:2");
  EXPECT_FALSE(both.loaded.buses[1].acknowledge.wanted());
  EXPECT_FALSE(both.running.routing.buses[1].draining);
  EXPECT_TRUE(both.running.routing.buses[2].draining);
  EXPECT_EQ(both.running.buses[2].endpoint, "h:3");
}

TEST(BusUnionTest, ABusWithAnotherNameIsTheSameByItsSlotAndPlace) {
  const configuration running = good("buses:\n" + bus("a", 1, 1) + bus("b", 2, 2) + routing);
  const bus_union renamed(running, good("buses:\n" + bus("b", 2, 2) + bus("z", 1, 1) + routing));
  EXPECT_THAT(renamed.added, ElementsAre());
  EXPECT_THAT(renamed.removed, ElementsAre());
  EXPECT_THAT(names(renamed.loaded), ElementsAre("z", "b"));
  const bus_union other_place(running, good("buses:\n" + bus("b", 2, 2) + bus("z", 1, 7) + routing));
  EXPECT_THAT(other_place.removed, ElementsAre(0));
  EXPECT_THAT(other_place.added, ElementsAre(2));
  const bus_union other_slot(running, good("buses:\n" + bus("b", 2, 2) + bus("z", 5, 1) + routing));
  EXPECT_THAT(other_slot.removed, ElementsAre(0));
  // A name that stays is never taken for a renamed one.
  const bus_union moved(running, good("buses:\n" + bus("a", 1, 9) + bus("b", 2, 2) + routing));
  EXPECT_THAT(moved.added, ElementsAre());
  EXPECT_THAT(moved.removed, ElementsAre());
}

}  // namespace
}  // namespace dualbus::config::test
