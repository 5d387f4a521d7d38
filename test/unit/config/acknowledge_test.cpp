#include "support.hpp"

#include <dualbus/config/reload.hpp>

#include <string>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using testing::ElementsAre;

std::string with(const std::string& acknowledge, const std::string& rest = "") {
  return "buses:\n  a: {id_slot: 1, endpoint: \"h:1\", acknowledge: {" + acknowledge + "}}\n" + rest;
}

TEST(AcknowledgeTest, NoAnswerWaitsUnlessItIsSaid) {
  const configuration c = good(one_bus);
  EXPECT_FALSE(c.buses[0].acknowledge.wanted());
  EXPECT_FALSE(c.routing.buses[0].confirms);
  EXPECT_FALSE(good(with("replicas: 0, local: 0")).routing.buses[0].confirms);
}

TEST(AcknowledgeTest, SaysWhoMustHaveWhatAndForHowLongItIsWaited) {
  const configuration c =
      good(with("replicas: 2, local: 1, timeout: 20ms, types: [order_request, \"risk_*\"]"));
  EXPECT_EQ(c.buses[0].acknowledge.replicas, 2u);
  EXPECT_EQ(c.buses[0].acknowledge.local, 1u);
  EXPECT_EQ(c.buses[0].acknowledge.timeout, milliseconds(20));
  EXPECT_TRUE(c.routing.buses[0].confirms);
  EXPECT_THAT(c.routing.buses[0].confirmed_types, ElementsAre("order_request", "risk_*"));
  EXPECT_EQ(good(with("replicas: 1")).buses[0].acknowledge.timeout, milliseconds(50));
}

TEST(AcknowledgeTest, MayNotTakeMoreThanHalfOfARequestsTime) {
  EXPECT_THAT(
      mistakes_in(with("replicas: 1, timeout: 3s")),
      ElementsAre("f.yaml:2:72: buses.a.acknowledge.timeout: buses.a.acknowledge.timeout (3s) must be at "
                  "most half of backend.request_timeout (5s): a write may wait for the group before it, "
                  "and then for its own"));
  EXPECT_EQ(mistakes_in(with("replicas: 1, timeout: 3s", "backend: {request_timeout: 6s}\n")), lines{});
  EXPECT_EQ(mistakes_in(with("replicas: 1, timeout: 3s", "backend: {request_timeout: 0}\n")), lines{});
  EXPECT_EQ(mistakes_in(with("timeout: 3s")), lines{});
}

TEST(AcknowledgeTest, TypesAloneDoNothing) {
  EXPECT_THAT(
      warnings_in(with("types: [order_request]")),
      ElementsAre("f.yaml:2:50: buses.a.acknowledge.types: no answer waits without acknowledge.replicas "
                  "or acknowledge.local"));
}

TEST(AcknowledgeTest, ChangesAtRunTime) {
  const configuration before = good(with("replicas: 1")), after = good(with("replicas: 2, types: [a]"));
  EXPECT_EQ(new_workers_needed(before, after), lines{});
  EXPECT_THAT(changed_keys(before, after),
              ElementsAre("buses.a.acknowledge.replicas", "buses.a.acknowledge.types"));
}

}  // namespace
}  // namespace dualbus::config::test
