#include "support.hpp"

#include <dualbus/config/reload.hpp>

#include <cstdlib>

#include <gmock/gmock.h>

// Buses whose Redis is found through Sentinels.
namespace dualbus::config::test {
namespace {

using testing::ElementsAre;

std::string bus(const std::string& settings) {
  return "buses:\n  a: {id_slot: 1, " + settings + "}\n";
}

std::string sentinel(const std::string& more = "") {
  return "sentinel: {master: engines, sentinels: [\"10.0.0.1:26379\", \"s2:26380\"]" + more + "}";
}

TEST(SentinelTest, NamesAMasterAndSentinels) {
  const bus_settings read = good(bus(sentinel())).buses[0];
  EXPECT_TRUE(read.has_sentinels());
  EXPECT_EQ(read.sentinel.master, "engines");
  ASSERT_EQ(read.sentinel.sentinels.size(), 2u);
  EXPECT_EQ(read.sentinel.sentinels[0].endpoint, "10.0.0.1:26379");
  EXPECT_EQ(read.sentinel.sentinels[1].host, "s2");
  EXPECT_EQ(read.sentinel.sentinels[1].port, 26380);
  EXPECT_EQ(read.sentinel.password, "");
}

TEST(SentinelTest, TheAddressIsNotKnownFromTheFile) {
  bus_settings read = good(bus(sentinel())).buses[0];
  EXPECT_FALSE(read.has_address());
  EXPECT_EQ(read.endpoint, "master 'engines'");  // what messages say until then
  read.set_address({"10.0.0.7", 6379, "", "10.0.0.7:6379"});
  EXPECT_TRUE(read.has_address());
  EXPECT_EQ(read.endpoint, "10.0.0.7:6379");
  EXPECT_TRUE(good(one_bus).buses[0].has_address());
  EXPECT_FALSE(good(one_bus).buses[0].has_sentinels());
}

TEST(SentinelTest, ABusHasExactlyOneForm) {
  EXPECT_THAT(
      mistakes_in(bus("endpoint: \"h:1\", " + sentinel())),
      ElementsAre("f.yaml:2:36: buses.a.sentinel: stands beside endpoint; give only one of them: either "
                  "the address of the Redis, or the Sentinels that know it"));
  EXPECT_THAT(mistakes_in(bus("database: 0")),
              ElementsAre("f.yaml:2:3: buses.a.endpoint: is required, unless "
                          "sentinel stands in its place"));
  // A form that is wrong is a form.
  EXPECT_THAT(mistakes_in(bus("sentinel: engines")),
              ElementsAre("f.yaml:2:29: buses.a.sentinel: must be a map of settings, not a single value"));
}

TEST(SentinelTest, NeedsBothParts) {
  EXPECT_THAT(mistakes_in(bus("sentinel: {}")),
              ElementsAre("f.yaml:2:19: buses.a.sentinel.master: is required",
                          "f.yaml:2:19: buses.a.sentinel.sentinels: is required"));
  EXPECT_THAT(mistakes_in(bus("sentinel: {master: \"\", sentinels: [\"h:1\"]}")),
              ElementsAre("f.yaml:2:38: buses.a.sentinel.master: must not be empty"));
  EXPECT_THAT(
      mistakes_in(bus("sentinel: {master: m, sentinels: []}")),
      ElementsAre("f.yaml:2:41: buses.a.sentinel.sentinels: names no Sentinel; give the address of each, "
                  "such as [\"10.0.0.1:26379\"]"));
  EXPECT_THAT(mistakes_in(bus("sentinel: {master: m, sentinels: \"h:1\"}")),
              ElementsAre("f.yaml:2:52: buses.a.sentinel.sentinels: must be a list, not 'h:1'"));
}

TEST(SentinelTest, EachSentinelIsAnEndpoint) {
  EXPECT_THAT(
      mistakes_in(bus("sentinel: {master: m, sentinels: [\"h:1\", h2, \"h:0\"]}")),
      ElementsAre("f.yaml:2:60: buses.a.sentinel.sentinels[1]: must be host:port, [v6]:port, unix:/path "
                  "or /path, not 'h2'",
                  "f.yaml:2:64: buses.a.sentinel.sentinels[2]: the port must be between 1 and 65535, "
                  "not 0"));
  EXPECT_THAT(mistakes_in(bus("sentinel: {master: m, sentinels: [\"h:1\", \"g:1\", \"h:1\"]}")),
              ElementsAre("f.yaml:2:67: buses.a.sentinel.sentinels[2]: 'h:1' stands there twice"));
}

TEST(SentinelTest, TheSentinelsHaveALoginOfTheirOwn) {
  ::setenv("DUALBUS_TEST_PASSWORD", "of-redis", 1);
  ::setenv("DUALBUS_TEST_SENTINELS", "of-sentinels", 1);
  const bus_settings read = good(bus("password_env: DUALBUS_TEST_PASSWORD, " +
                                     sentinel(", username: u, password_env: DUALBUS_TEST_SENTINELS")))
                                .buses[0];
  EXPECT_EQ(read.password, "of-redis");
  EXPECT_EQ(read.sentinel.password, "of-sentinels");
  EXPECT_EQ(read.sentinel.username, "u");
  ::unsetenv("DUALBUS_TEST_PASSWORD");
  ::unsetenv("DUALBUS_TEST_SENTINELS");
  EXPECT_EQ(good(bus(sentinel())).buses[0].sentinel.password, "");
  EXPECT_THAT(mistakes_in(bus(sentinel(", username: u"))),
              ElementsAre("f.yaml:2:100: buses.a.sentinel.username: needs a password_file or password_env"));
  EXPECT_THAT(
      mistakes_in(bus(sentinel(", password_file: /x, password_env: X"))),
      ElementsAre("f.yaml:2:123: buses.a.sentinel.password_env: stands beside password_file; give only "
                  "one of them"));
  EXPECT_THAT(
      mistakes_in(bus(sentinel(", password: hunter2"))),
      ElementsAre("f.yaml:2:90: buses.a.sentinel.password: a password does not belong in this file; put "
                  "it into a file and name that in password_file, or into an environment variable and "
                  "name that in password_env"));
}

TEST(SentinelTest, TwoBusesShareNoMasterAndDatabase) {
  const auto two = [](const std::string& first, const std::string& second) {
    return "buses:\n  a: {id_slot: 1, sentinel: {" + first + "}\n  b: {id_slot: 2, sentinel: {" + second +
           "}\nrouting: {default_bus: a}\n";
  };
  EXPECT_THAT(
      mistakes_in(two("master: m, sentinels: [\"h:1\", \"g:1\"]}", "master: m, sentinels: [\"g:1\"]}")),
      ElementsAre("f.yaml:3:38: buses.b.sentinel.master: 'm' is the master of 'a' already"));
  EXPECT_EQ(mistakes_in(two("master: m, sentinels: [\"h:1\"]}", "master: n, sentinels: [\"h:1\"]}")),
            lines{});
  // Others may have a master of that name.
  EXPECT_EQ(mistakes_in(two("master: m, sentinels: [\"h:1\"]}", "master: m, sentinels: [\"h:2\"]}")),
            lines{});
  EXPECT_EQ(
      mistakes_in(two("master: m, sentinels: [\"h:1\"]}", "master: m, sentinels: [\"h:1\"]}, database: 1")),
      lines{});
}

TEST(SentinelTest, TheAddressOfTheMasterIsNoChangeOfTheFile) {
  const std::string file = bus(sentinel());
  configuration running = good(file);
  running.buses[0].set_address({"10.0.0.7", 6379, "", "10.0.0.7:6379"});
  EXPECT_EQ(new_workers_needed(running, good(file)), lines{});
  EXPECT_THAT(new_workers_needed(running, good(bus("endpoint: \"10.0.0.7:6379\""))),
              ElementsAre("buses.a.sentinel.master", "buses.a.sentinel.sentinels"));
}

}  // namespace
}  // namespace dualbus::config::test
