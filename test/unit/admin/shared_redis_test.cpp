#include "admin/shared_redis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SharedRedisTest : public testing::Test {
 protected:
  SharedRedisTest() {
    for (const char* name : {"a", "b", "c"}) {
      configuration.routing.buses.push_back({name, 0, false});
      configuration.buses.emplace_back();
      bus_status status;
      status.up = true;
      status.info.emplace().run_id = std::string("run of ") + name;
      buses.push_back(std::move(status));
    }
  }
  std::vector<shared_redis> find() const { return find_shared_redis(buses, configuration); }

  config::configuration configuration;
  std::vector<bus_status> buses;
};

TEST_F(SharedRedisTest, BusesOfTheirOwnShareNothing) {
  EXPECT_THAT(find(), IsEmpty());
}

TEST_F(SharedRedisTest, OneRedisUnderTwoNamesIsFound) {
  buses[2].info->run_id = buses[0].info->run_id;
  ASSERT_THAT(find(), ElementsAre(shared_redis{0, 2, "run of a"}));
  EXPECT_EQ(describe(find()[0], configuration), "buses 'a' and 'c' are the same Redis");
}

TEST_F(SharedRedisTest, DatabasesOfItsOwnAreEnough) {
  buses[1].info->run_id = buses[0].info->run_id;
  configuration.buses[1].database = 1;
  EXPECT_THAT(find(), IsEmpty());
  configuration.databases = 2;  // clients select 1 of the first bus, which is 0 of the second one
  EXPECT_THAT(find(), ElementsAre(shared_redis{0, 1, "run of a"}));
}

TEST_F(SharedRedisTest, OnlyWhatIsKnownNowCounts) {
  buses[1].info->run_id = buses[0].info->run_id;
  buses[1].up = false;
  EXPECT_THAT(find(), IsEmpty());
  buses[1].up = true;
  buses[0].info->run_id = buses[1].info->run_id = "";  // a server that does not tell
  EXPECT_THAT(find(), IsEmpty());
  buses[1].info.reset();
  EXPECT_THAT(find(), IsEmpty());
}

}  // namespace
}  // namespace dualbus::admin
