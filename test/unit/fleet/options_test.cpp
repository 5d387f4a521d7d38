#include "options.hpp"

#include <initializer_list>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::fleet {
namespace {

std::optional<options> parse(std::initializer_list<const char*> arguments, int* status = nullptr) {
  std::vector<const char*> argv = {"dualbus-fleet"};
  argv.insert(argv.end(), arguments);
  int exit_status = 0;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  auto result = parse_options(static_cast<int>(argv.size()), argv.data(), exit_status);
  testing::internal::GetCapturedStderr();
  testing::internal::GetCapturedStdout();
  if (status != nullptr) *status = exit_status;
  return result;
}

TEST(FleetOptionsTest, WithoutArgumentsItIsTheLegacyFleet) {
  const auto o = parse({});
  ASSERT_TRUE(o);
  EXPECT_FALSE(o->migrated);
  EXPECT_EQ(o->engines, 7U);
  EXPECT_EQ(o->streams, 18U);
  EXPECT_EQ(o->targets, 18U);
  EXPECT_EQ(o->rate, 50);
  EXPECT_EQ(o->count, 50U);
  EXPECT_EQ(to_string(o->poll), "block:1000");
  EXPECT_EQ(o->readers, reader_style::sequential);
  EXPECT_EQ(o->pause, std::chrono::milliseconds(1));
  EXPECT_TRUE(o->check);
}

TEST(FleetOptionsTest, PollStylesAreBlockWithATimeAndSpin) {
  EXPECT_FALSE(parse({"--poll", "spin"})->poll.blocks);
  EXPECT_EQ(parse({"--poll", "block:250"})->poll.block, std::chrono::milliseconds(250));
  for (const char* bad : {"block", "block:", "block:-1", "block:x", "block:1s", "nothing"}) {
    int status = 0;
    EXPECT_FALSE(parse({"--poll", bad}, &status)) << bad;
    EXPECT_EQ(status, 2);
  }
}

TEST(FleetOptionsTest, WaitingForEverNeedsAConnectionPerStreamOrOnePollForAll) {
  EXPECT_EQ(parse({"--poll", "block:0"})->readers, reader_style::parallel);
  EXPECT_EQ(parse({"--poll", "block:0", "--readers", "together"})->readers, reader_style::together);
  EXPECT_FALSE(parse({"--poll", "block:0", "--readers", "sequential"}));
  EXPECT_TRUE(parse({"--poll", "block:0", "--readers", "sequential", "--subscriptions", "1"}));
}

TEST(FleetOptionsTest, AddressesAreHostAndPort) {
  const auto o = parse({"--migrated", "--marketdata", "[::1]:6390"});
  ASSERT_TRUE(o);
  EXPECT_EQ(o->marketdata.host, "::1");
  EXPECT_EQ(o->marketdata.port, 6390);
  EXPECT_EQ(to_string(o->marketdata), "[::1]:6390");
  for (const char* bad : {"", "host", ":1", "host:", "host:0", "host:65536", "::1:6390", "host:1x"}) {
    EXPECT_EQ(parse_address(bad), std::nullopt) << bad;
  }
}

TEST(FleetOptionsTest, RefusesWhatContradictsItself) {
  EXPECT_FALSE(parse({"--legacy", "--migrated"}));
  EXPECT_FALSE(parse({"--flood", "everything"}));
  EXPECT_FALSE(parse({"--streams", "19"}));
  EXPECT_FALSE(parse({"--engines", "0"}));
  EXPECT_EQ(parse({"--streams", "4"})->targets, 4U);
}

}  // namespace
}  // namespace dualbus::fleet
