#include "support.hpp"

#include <string>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string with_endpoint(const std::string& endpoint) {
  return "buses:\n  a: {id_slot: 1, endpoint: " + endpoint + "}\n";
}

TEST(BusesTest, KeepTheOrderOfTheFile) {
  const configuration c = good(
      "buses:\n"
      "  zebra: {id_slot: 3, endpoint: \"h:3\", database: 2}\n"
      "  main: {id_slot: 0, endpoint: \"h:1\", state: draining}\n"
      "  apple: {id_slot: 7, endpoint: \"h:2\", state: active}\n"
      "routing: {default_bus: apple}\n");
  ASSERT_EQ(c.buses.size(), 3u);
  ASSERT_EQ(c.routing.buses.size(), 3u);
  EXPECT_EQ(c.routing.buses[0].name, "zebra");
  EXPECT_EQ(c.routing.buses[0].id_slot, 3);
  EXPECT_EQ(c.buses[0].port, 3);
  EXPECT_EQ(c.buses[0].database, 2);
  EXPECT_EQ(c.routing.buses[1].name, "main");
  EXPECT_TRUE(c.routing.buses[1].draining);
  EXPECT_EQ(c.buses[1].port, 1);
  EXPECT_EQ(c.routing.buses[2].name, "apple");
  EXPECT_FALSE(c.routing.buses[2].draining);
  EXPECT_EQ(c.routing.default_bus, 2);
  EXPECT_EQ(c.routing.anchor, 2);
}

TEST(BusesTest, AreRequired) {
  EXPECT_THAT(mistakes_in(""), ElementsAre("f.yaml:1:1: buses: is required"));
  EXPECT_THAT(mistakes_in("# nothing\n"), ElementsAre("f.yaml:1:1: buses: is required"));
  EXPECT_THAT(mistakes_in("workers: 1\n"), ElementsAre("f.yaml:1:1: buses: is required"));
  EXPECT_THAT(mistakes_in("workers: 1\nbuses:\n"), ElementsAre("f.yaml:2:1: buses: names no bus"));
  EXPECT_THAT(mistakes_in("buses: {}\n"), ElementsAre("f.yaml:1:1: buses: names no bus"));
  EXPECT_THAT(mistakes_in("buses: [x]\n"),
              ElementsAre("f.yaml:1:8: buses: must be a map of settings, not a list"));
}

TEST(BusesTest, NeedASlotAndAnEndpoint) {
  EXPECT_THAT(mistakes_in("buses:\n  a: {}\n"),
              ElementsAre("f.yaml:2:3: buses.a.id_slot: is required",
                          "f.yaml:2:3: buses.a.endpoint: is required, unless sentinel "
                          "stands in its place"));
  EXPECT_THAT(mistakes_in("buses:\n  a:\n"),
              ElementsAre("f.yaml:2:3: buses.a.id_slot: is required",
                          "f.yaml:2:3: buses.a.endpoint: is required, unless sentinel "
                          "stands in its place"));
}

TEST(BusesTest, ShareNoSlot) {
  EXPECT_THAT(mistakes_in("buses:\n"
                          "  a: {id_slot: 1, endpoint: \"h:1\"}\n"
                          "  b: {id_slot: 1, endpoint: \"h:2\"}\n"
                          "routing: {default_bus: a}\n"),
              ElementsAre("f.yaml:3:16: buses.b.id_slot: 1 is the slot of 'a' already"));
}

TEST(BusesTest, ShareNoEndpointAndDatabase) {
  const auto two = [](const std::string& first, const std::string& second) {
    return "buses:\n  a: {id_slot: 1, endpoint: " + first + "}\n  b: {id_slot: 2, endpoint: " + second +
           "}\nrouting: {default_bus: a}\n";
  };
  EXPECT_THAT(mistakes_in(two("\"h:1\"", "\"h:1\"")),
              ElementsAre("f.yaml:3:29: buses.b.endpoint: 'h:1' is the endpoint of 'a' already"));
  EXPECT_THAT(
      mistakes_in(two("/run/r.sock, database: 3", "\"unix:/run/r.sock\", database: 3")),
      ElementsAre(
          "f.yaml:3:29: buses.b.endpoint: 'unix:/run/r.sock, database 3' is the endpoint of 'a' already"));
  EXPECT_EQ(mistakes_in(two("\"h:1\"", "\"h:1\", database: 1")), lines{});
  // Clients count their databases from there.
  EXPECT_THAT(
      mistakes_in("databases: 3\n" + two("\"h:1\", database: 4", "\"h:1\", database: 2")),
      ElementsAre("f.yaml:4:29: buses.b.endpoint: 'h:1, database 2' is the endpoint of 'a' already: with "
                  "databases: 3 they share some"));
  EXPECT_EQ(mistakes_in("databases: 3\n" + two("\"h:1\", database: 4", "\"h:1\", database: 1")), lines{});
}

TEST(BusesTest, NamesAreShortAndPlain) {
  const auto named = [](const std::string& name) {
    return "buses:\n  " + name + ": {id_slot: 1, endpoint: \"h:1\"}\n";
  };
  EXPECT_EQ(mistakes_in(named("a-b_9")), lines{});
  EXPECT_EQ(mistakes_in(named(std::string(32, 'x'))), lines{});
  EXPECT_THAT(mistakes_in(named("Main")), ElementsAre("f.yaml:2:3: buses.Main: the name of a bus has 1 to 32 "
                                                      "characters of a-z, 0-9, _ and -, unlike 'Main'"));
  EXPECT_EQ(mistakes_in(named(std::string(33, 'x'))).size(), 1u);
  EXPECT_EQ(mistakes_in(named("a.b")).size(), 1u);
  EXPECT_EQ(mistakes_in(named("\"\"")).size(), 1u);
}

TEST(BusesTest, AreAtMost16) {
  std::string text = "routing: {default_bus: b0}\nbuses:\n";
  for (int i = 0; i < 16; ++i) {
    text += "  b" + std::to_string(i) + ": {id_slot: " + std::to_string(i) +
            ", endpoint: \"h:" + std::to_string(i + 1) + "\"}\n";
  }
  EXPECT_EQ(good(text).buses.size(), 16u);
  EXPECT_THAT(mistakes_in(text + "  b16: {id_slot: 16, endpoint: \"h:17\"}\n"),
              ElementsAre("f.yaml:2:1: buses: at most 16 buses, not 17"));
}

TEST(BusesTest, OneIsActive) {
  EXPECT_THAT(mistakes_in("buses:\n  a: {id_slot: 1, endpoint: \"h:1\", state: draining}\n"),
              ElementsAre("f.yaml:1:1: buses: all buses are draining, one must be active"));
}

TEST(BusesTest, CommandsAboutOneServerArePassedToASingleBusOnly) {
  const std::string passed = "server_commands: passed\n";
  EXPECT_EQ(good(one_bus + passed).routing.server_commands, command::server_commands::passed);
  EXPECT_EQ(good(one_bus).routing.server_commands, command::server_commands::refused);
  EXPECT_THAT(mistakes_in(two_buses + "routing: {default_bus: a}\nanchor: a\n" + passed),
              ElementsAre("f.yaml:6:18: server_commands: `passed` needs a single bus, not 2: such commands "
                          "are about one server"));
}

TEST(EndpointTest, TakesHostsAddressesAndSockets) {
  const auto bus = [](const std::string& endpoint) { return good(with_endpoint(endpoint)).buses[0]; };
  EXPECT_EQ(bus("redis-1.example.org:6380").host, "redis-1.example.org");
  EXPECT_EQ(bus("redis-1.example.org:6380").port, 6380);
  EXPECT_EQ(bus("127.0.0.1:1").host, "127.0.0.1");
  EXPECT_EQ(bus("\"[2001:db8::1]:65535\"").host, "2001:db8::1");
  EXPECT_EQ(bus("\"[2001:db8::1]:65535\"").port, 65535);
  EXPECT_EQ(bus("unix:/run/redis.sock").unix_socket, "/run/redis.sock");
  EXPECT_EQ(bus("unix:/run/redis.sock").endpoint, "unix:/run/redis.sock");
  EXPECT_EQ(bus("/run/redis.sock").unix_socket, "/run/redis.sock");
  EXPECT_EQ(bus("/run/redis.sock").port, 0);
  EXPECT_EQ(bus("/run/redis.sock").host, "");
}

TEST(EndpointTest, RefusesEverythingElse) {
  for (const std::string bad :
       {"localhost", "6380", ":6380", "host:", "host:x", "host:06380", "host:1e3", "ho st:1", "[::1]",
        "[::1]6380", "[host]:1", "127.0.0.256:1", "1.2.3:1", "unix:", "unix:redis.sock", "/", "a:b:1", ""}) {
    EXPECT_THAT(
        mistakes_in(with_endpoint("\"" + bad + "\"")),
        ElementsAre(
            "f.yaml:2:29: buses.a.endpoint: must be host:port, [v6]:port, unix:/path or /path, not '" + bad +
            "'"));
  }
  EXPECT_THAT(mistakes_in(with_endpoint("\"::1:6380\"")),
              ElementsAre("f.yaml:2:29: buses.a.endpoint: an IPv6 address stands in brackets: [v6]:port, not "
                          "'::1:6380'"));
  EXPECT_THAT(mistakes_in(with_endpoint("\"h:0\"")),
              ElementsAre("f.yaml:2:29: buses.a.endpoint: the port must be between 1 and 65535, not 0"));
  EXPECT_THAT(mistakes_in(with_endpoint("\"h:65536\"")),
              ElementsAre("f.yaml:2:29: buses.a.endpoint: the port must be between 1 and 65535, not 65536"));
  EXPECT_THAT(mistakes_in(with_endpoint("/" + std::string(107, 'x'))),
              ElementsAre("f.yaml:2:29: buses.a.endpoint: the path of a Unix socket has at most 107 bytes"));
}

TEST(EndpointTest, IsNotTheDaemonItself) {
  for (const std::string own : {"127.0.0.1:6379", "localhost:6379", "127.0.0.1:9121"}) {
    EXPECT_THAT(mistakes_in(with_endpoint(own)), ElementsAre("f.yaml:2:29: buses.a.endpoint: '" + own +
                                                             "' is where this daemon listens itself"));
  }
  EXPECT_EQ(mistakes_in("listen: {unix_socket: /run/d}\n" + with_endpoint("unix:/run/d")).size(), 1u);
  EXPECT_EQ(mistakes_in("listen: {address: \"::\"}\nauth: {allow_unauthenticated: true}\n" +
                        with_endpoint("\"127.0.0.1:6379\""))
                .size(),
            1u);
  EXPECT_EQ(mistakes_in(with_endpoint("10.0.0.1:6379")), lines{});
}

TEST(PasswordTest, ComesFromAFileBesideTheConfiguration) {
  const temporary_directory directory;
  directory.write("secret", "s3cret word\r\n");
  const std::string file = directory.write(
      "d.yaml", "buses: {a: {id_slot: 1, endpoint: \"h:1\", username: u, password_file: secret}}\n");
  const load_result result = load(file);
  ASSERT_EQ(result.mistakes, lines{});
  EXPECT_EQ(result.warnings, lines{});
  EXPECT_EQ(result.value->buses[0].password, "s3cret word");
  EXPECT_EQ(result.value->buses[0].username, "u");
  EXPECT_EQ(result.value->buses[0].password_file, "secret");
}

TEST(PasswordTest, AFileThatEverybodyMayReadIsWarnedAbout) {
  const temporary_directory directory;
  const std::string secret = directory.write("secret", "x", 0644);
  EXPECT_THAT(warnings_in(with_endpoint("\"h:1\", password_file: " + secret)),
              ElementsAre("f.yaml:2:51: buses.a.password_file: '" + secret +
                          "' can be read by everybody on this machine"));
}

TEST(PasswordTest, FilesThatCannotServeAreMistakes) {
  const temporary_directory directory;
  const auto found = [&](const std::string& name) {
    return mistakes_in(with_endpoint("\"h:1\", password_file: " + directory.path() + "/" + name));
  };
  directory.write("empty", "\n");
  directory.write("large", std::string(5000, 'x'));
  ASSERT_EQ(::mkfifo((directory.path() + "/pipe").c_str(), 0600), 0);
  const std::string place = "f.yaml:2:51: buses.a.password_file: '" + directory.path() + "/";
  EXPECT_THAT(found("none"),
              ElementsAre("f.yaml:2:51: buses.a.password_file: names a file that does not exist; a "
                          "relative path starts from the folder of this file"));
  EXPECT_THAT(found("empty"), ElementsAre(place + "empty' is empty"));
  EXPECT_THAT(found("large"), ElementsAre(place + "large' is larger than 4kb"));
  EXPECT_THAT(found("pipe"), ElementsAre(place + "pipe' is not a regular file"));
  EXPECT_THAT(found("."), ElementsAre(place + ".' is a directory"));
}

TEST(PasswordTest, ComesFromTheEnvironment) {
  ::setenv("DUALBUS_TEST_PASSWORD", "from outside", 1);
  EXPECT_EQ(good(with_endpoint("\"h:1\", password_env: DUALBUS_TEST_PASSWORD")).buses[0].password,
            "from outside");
  ::setenv("DUALBUS_TEST_PASSWORD", "", 1);
  EXPECT_THAT(
      mistakes_in(with_endpoint("\"h:1\", password_env: DUALBUS_TEST_PASSWORD")),
      ElementsAre(
          "f.yaml:2:50: buses.a.password_env: the environment variable 'DUALBUS_TEST_PASSWORD' is empty"));
  ::unsetenv("DUALBUS_TEST_PASSWORD");
  EXPECT_THAT(
      mistakes_in(with_endpoint("\"h:1\", password_env: DUALBUS_TEST_PASSWORD")),
      ElementsAre("f.yaml:2:50: buses.a.password_env: names an environment variable that is not set"));
}

TEST(PasswordTest, DoesNotStandInTheConfiguration) {
  const lines found = mistakes_in(with_endpoint("\"h:1\", password: hunter2"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0], HasSubstr("f.yaml:2:36: buses.a.password: "));
  EXPECT_THAT(found[0], HasSubstr("password_file"));
  EXPECT_THAT(found[0], HasSubstr("password_env"));
  EXPECT_THAT(found[0], ::testing::Not(HasSubstr("hunter2")));
}

TEST(PasswordTest, HasOneSourceAndAUserNeedsOne) {
  EXPECT_THAT(
      mistakes_in(with_endpoint("\"h:1\", password_file: /x, password_env: X")),
      ElementsAre("f.yaml:2:69: buses.a.password_env: stands beside password_file; give only one of them"));
  EXPECT_THAT(mistakes_in(with_endpoint("\"h:1\", username: u")),
              ElementsAre("f.yaml:2:46: buses.a.username: needs a password_file or password_env"));
}

TEST(RetiredSlotsTest, NoBusMayHaveOne) {
  EXPECT_TRUE(good(one_bus + "retired_slots: [0, 127]\n").is_retired(127));
  EXPECT_FALSE(good(one_bus + "retired_slots: [12]\n").is_retired(2));
  EXPECT_THAT(
      mistakes_in(one_bus + "retired_slots: [1]\n"),
      ElementsAre("f.yaml:2:16: buses.a.id_slot: 1 is a slot in 'retired_slots': clients may hold IDs of "
                  "the bus that had it; take another"));
}

TEST(RetiredSlotsTest, OnlySlotsStandThere) {
  for (const std::string text : {"128", "-1", "x", "01", "1.0"})
    EXPECT_EQ(mistakes_in(one_bus + "retired_slots: [" + text + "]\n").size(), 1U) << text;
}

}  // namespace
}  // namespace dualbus::config::test
