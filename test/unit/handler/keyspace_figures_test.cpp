#include "handler/key/keyspace_figures.hpp"

#include <gtest/gtest.h>

namespace dualbus::handler {
namespace {

TEST(KeyspaceFiguresTest, AddsUpBusesAndWeighsTheTimesToLive) {
  keyspace_figures figures;
  figures.add("# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=1000\r\ndb1:keys=7,expires=0,avg_ttl=0\r\n", 0, 16);
  figures.add("# Keyspace\r\ndb0:keys=5,expires=3,avg_ttl=2000,subexpiry=9\r\n", 0, 16);
  EXPECT_EQ(
      figures.section(),
      "# Keyspace\r\ndb0:keys=8,expires=4,avg_ttl=1750,subexpiry=9\r\ndb1:keys=7,expires=0,avg_ttl=0\r\n");
}

TEST(KeyspaceFiguresTest, AddsUpFieldsThatItDoesNotKnowAndAveragesAverages) {
  keyspace_figures figures;
  figures.add("db0:keys=10,expires=0,avg_ttl=0,subexpiry=2,keys_with_volatile_items=1,avg_size=100,odd=x\r\n",
              0, 1);
  figures.add("db0:keys=30,expires=0,avg_ttl=0,subexpiry=3,keys_with_volatile_items=4,avg_size=200\r\n", 0,
              1);
  EXPECT_EQ(
      figures.section(),
      "# "
      "Keyspace\r\ndb0:keys=40,expires=0,avg_ttl=0,subexpiry=5,keys_with_volatile_items=5,avg_size=175\r\n");
}

TEST(KeyspaceFiguresTest, CountsDatabasesAsClientsDoAndLeavesOthersOut) {
  keyspace_figures figures;
  figures.add(
      "db1:keys=1,expires=0,avg_ttl=0\r\ndb2:keys=2,expires=0,avg_ttl=0\r\ndb4:keys=4,expires=0,avg_ttl="
      "0\r\n",
      2, 2);
  EXPECT_EQ(figures.section(), "# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n");
}

TEST(KeyspaceFiguresTest, PassesOverWhatMakesNoSense) {
  keyspace_figures figures;
  for (const char* text :
       {"", "\r\n", "db", "db0", "db0:", "db:keys=1", "dbx:keys=1", "db-1:keys=1",
        "db99999999999999999999:keys=1", "keys=1\r\n:\r\n\n", "db0:keys=x,=,,", "db7:keys=1"}) {
    figures.add(text, 0, 1);
  }
  EXPECT_EQ(figures.section(), "# Keyspace\r\ndb0:keys=0,expires=0,avg_ttl=0\r\n");
  EXPECT_EQ(keyspace_figures().section(), "# Keyspace\r\n");
}

}  // namespace
}  // namespace dualbus::handler
