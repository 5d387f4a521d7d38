#include <dualbus/operation/bus_info.hpp>

#include <string>

#include <gtest/gtest.h>

namespace dualbus::operation {
namespace {

const bus_info info(
    "# Server\r\nredis_version:7.0.15\r\n\r\n# Modules\r\n\r\n# Errorstats\r\nerrorstat_ERR:count=3\r\n\r\n"
    "# Keyspace\r\ndb0:keys=1,expires=2,avg_ttl=30\r\n");

TEST(BusInfoTest, FindsSectionsAndFields) {
  EXPECT_EQ(info.section("server"), "redis_version:7.0.15\r\n");
  EXPECT_EQ(info.section("Server"), "redis_version:7.0.15\r\n");
  EXPECT_EQ(info.section("Modules"), "");
  EXPECT_EQ(info.section("errorstats"), "errorstat_ERR:count=3\r\n");
  EXPECT_EQ(info.section("keyspace"), "db0:keys=1,expires=2,avg_ttl=30\r\n");
  EXPECT_EQ(info.section("clients"), "");
  EXPECT_EQ(info.field("redis_version"), "7.0.15");
  EXPECT_EQ(info.field("redis"), "");
}

TEST(BusInfoTest, ReadsNumbersAmongFields) {
  EXPECT_EQ(bus_info::number("keys=1,expires=2,avg_ttl=30", "avg_ttl"), 30U);
  EXPECT_EQ(bus_info::number("usec_per_call=1.5,usec=12", "usec"), 12U);
  EXPECT_EQ(bus_info::number("keys=1", "key"), 0U);
  EXPECT_EQ(bus_info::number("keys=x", "keys"), 0U);
  EXPECT_EQ(bus_info::number("", "keys"), 0U);
}

TEST(BusInfoTest, PassesOverWhatMakesNoSense) {
  for (const char* text : {"", "\r\n", "#", "# ", "# Server", "# Server\r\n", "# Server\n", ":", "x",
                           "\r\n\r\n# Server\r\n\r\n"}) {
    const bus_info odd{std::string(text)};
    EXPECT_EQ(odd.section("server"), "") << text;
    EXPECT_EQ(odd.field("x"), "") << text;
  }
  int fields = 0;
  bus_info::for_each("a:1\r\n# b:2\r\nc\r\n:\r\n", [&](std::string_view, std::string_view) { ++fields; });
  EXPECT_EQ(fields, 2);
}

}  // namespace
}  // namespace dualbus::operation
