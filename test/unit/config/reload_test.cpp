#include "support.hpp"

#include <dualbus/config/reload.hpp>

#include <string>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

const std::string base_text =
    "listen: {address: 127.0.0.1, port: 7000, backlog: 100}\n"
    "admin: {port: 7001}\n"
    "workers: 2\n"
    "buses:\n"
    "  a: {id_slot: 1, endpoint: \"h:1\", latency_target: 1ms}\n"
    "  b: {id_slot: 2, endpoint: \"h:2\"}\n"
    "anchor: a\n"
    "routing: {default_bus: a, types: {a: [x]}}\n";

std::vector<std::string> after(const std::string& from, const std::string& to) {
  std::string text = base_text;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  return new_workers_needed(good(base_text), good(text));
}

TEST(NewWorkersNeededTest, NothingChangedNeedsNothing) {
  EXPECT_THAT(new_workers_needed(good(base_text), good(base_text)), ElementsAre());
  EXPECT_THAT(new_workers_needed(good(base_text), good("# again\n" + base_text)), ElementsAre());
  EXPECT_THAT(new_workers_needed(configuration{}, configuration{}), ElementsAre());
}

TEST(NewWorkersNeededTest, ListenersAndWorkersNeedIt) {
  EXPECT_THAT(after("address: 127.0.0.1", "address: 127.0.0.2"), ElementsAre("listen.address"));
  EXPECT_THAT(after("port: 7000", "port: 7002"), ElementsAre("listen.port"));
  EXPECT_THAT(after("backlog: 100", "backlog: 101"), ElementsAre("listen.backlog"));
  EXPECT_THAT(after("backlog: 100", "backlog: 100, unix_socket: /s, unix_socket_mode: 0770"),
              ElementsAre("listen.unix_socket", "listen.unix_socket_mode"));
  EXPECT_THAT(after("{port: 7001", "{address: \"::1\", port: 7003"),
              ElementsAre("admin.address", "admin.port"));
  EXPECT_THAT(after("workers: 2", "workers: 3"), ElementsAre("workers"));
}

TEST(NewWorkersNeededTest, ABusNeedsItForItsSlotOnly) {
  EXPECT_THAT(after("id_slot: 2", "id_slot: 3"), ElementsAre("buses.b.id_slot"));
  EXPECT_THAT(after("\"h:2\"", "\"h:3\""), ElementsAre());
  EXPECT_THAT(after("\"h:2\"", "\"h:2\", state: draining"), ElementsAre());
  EXPECT_THAT(after("\"h:2\"", "\"h:2\", database: 1"), ElementsAre());
  EXPECT_THAT(after("latency_target: 1ms", "latency_target: 2ms"), ElementsAre());
  EXPECT_THAT(after("anchor: a", "anchor: b"), ElementsAre());
}

TEST(NewWorkersNeededTest, AChangedLoginDoesNotNeedIt) {
  const temporary_directory directory;
  const std::string file = directory.write("secret", "old");
  std::string text = base_text;
  text.replace(text.find("\"h:2\""), 5, "\"h:2\", password_file: " + file);
  const configuration before = good(text);
  EXPECT_EQ(new_workers_needed(before, good(text)), lines{});
  directory.write("secret", "new");
  EXPECT_EQ(good(text).buses[1].password, "new");
  EXPECT_EQ(new_workers_needed(before, good(text)), lines{});
  EXPECT_EQ(new_workers_needed(before, good(base_text)), lines{});
  ::setenv("DUALBUS_TEST_PASSWORD", "old", 1);
  text = base_text;
  text.replace(text.find("\"h:2\""), 5, "\"h:2\", username: u, password_env: DUALBUS_TEST_PASSWORD");
  const configuration with_env = good(text);
  EXPECT_EQ(new_workers_needed(good(base_text), with_env), lines{});
  ::unsetenv("DUALBUS_TEST_PASSWORD");
}

TEST(NewWorkersNeededTest, AddedAndRemovedBusesAreNamed) {
  EXPECT_THAT(after("  b: {id_slot: 2, endpoint: \"h:2\"}\n", ""), ElementsAre("buses.b"));
  EXPECT_THAT(after("anchor: a", "  c: {id_slot: 3, endpoint: \"h:3\"}\nanchor: a"), ElementsAre("buses.c"));
  EXPECT_THAT(after("  b: {id_slot: 2", "  c: {id_slot: 2"), UnorderedElementsAre("buses.b", "buses.c"));
}

TEST(NewWorkersNeededTest, AnotherOrderOfTheBusesNeedsIt) {
  EXPECT_THAT(after("  a: {id_slot: 1, endpoint: \"h:1\", latency_target: 1ms}\n"
                    "  b: {id_slot: 2, endpoint: \"h:2\"}\n",
                    "  b: {id_slot: 2, endpoint: \"h:2\"}\n"
                    "  a: {id_slot: 1, endpoint: \"h:1\", latency_target: 1ms}\n"),
              ElementsAre("buses"));
}

TEST(ChangedKeysTest, AnAnchorThatFollowsTheDefaultBusMovesWithIt) {
  std::string text = base_text;
  text.erase(text.find("anchor: a\n"), 10);
  std::string moved = text;
  moved.replace(moved.find("default_bus: a"), 14, "default_bus: b");
  EXPECT_THAT(new_workers_needed(good(text), good(moved)), ElementsAre());
  EXPECT_THAT(changed_keys(good(text), good(moved)),
              UnorderedElementsAre("anchor", "routing.default_bus", "routing.default_key_bus"));
}

TEST(NewWorkersNeededTest, RoutingLimitsTimingsAndLoggingDoNotNeedIt) {
  EXPECT_THAT(
      after(
          "routing: {default_bus: a, types: {a: [x]}}\n",
          "routing: {default_bus: b, default_key_bus: a, field: f, json_fields: [j], json_pointer: /p, "
          "max_type_names: 3,\n"
          "          types: {b: [x, \"y*\"]}, keys: [{match: k, bus: b}], "
          "channels: [{match: c, bus: b}], explicit_ids: remap}\n"
          "backend: {connect_timeout: 2s, reconnect_wait: 2s, reconnect_wait_bytes: 1mb, backoff_min: 1ms,\n"
          "          backoff_max: 1s, request_timeout: 1s, dedicated_connections: 1, health_interval: 2s, "
          "health_timeout: 3s,\n"
          "          keepalive: 2s}\n"
          "limits: {max_clients: 5, max_request: 1mb, client_output_buffer: 1mb, pubsub_output_buffer: 1mb, "
          "client_in_flight: 5,\n"
          "         bus_output_buffer: 1mb, idle_timeout: 5s, client_keepalive: 5s, shutdown_timeout: 5s}\n"
          "missing_group: {action: create, start: $, rules: [{key: a, group: b, action: error, start: $}]}\n"
          "absorb: strict\n"
          "absorb_ttl: 2s\n"
          "nogroup_ttl: 2s\n"
          "absorb_delay: 2ms\n"
          "engines: {field: from, max_names: 3}\n"
          "draining: {interval: 1s, quiet: 1s, ignore_groups: [{key: s, group: g}]}\n"
          "log: {level: debug}\n"),
      ElementsAre());
}

std::vector<std::string> changed(const std::string& from, const std::string& to) {
  std::string text = base_text;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  return changed_keys(good(base_text), good(text));
}

TEST(ChangedKeysTest, NothingIsNamedWhenTheFileSaysTheSameInOtherWords) {
  EXPECT_THAT(changed_keys(good(base_text), good("# again\n" + base_text + "absorb: relaxed\n")),
              ElementsAre());
}

TEST(ChangedKeysTest, EveryKeyThatCanChangeIsNamed) {
  const std::string routing = "routing: {default_bus: a, types: {a: [x]}}\n";
  EXPECT_THAT(
      changed(routing,
              "routing: {default_bus: b, default_key_bus: a, field: f, types: {b: [x]}, keys: [{match: k, "
              "bus: b}], channels: [{match: c, bus: b}], moved_streams: allowed}\n"
              "missing_group: {action: create, start: $, rules: [{key: a, action: error}]}\n"
              "auth: {users: {u: {commands: [\"+@all\"], nopass: true}}}\n"
              "limits: {max_clients: 5}\n"),
      UnorderedElementsAre("routing.default_bus", "routing.field", "routing.types", "routing.keys",
                           "routing.channels", "routing.moved_streams", "missing_group.action",
                           "missing_group.start", "missing_group.rules", "auth.users", "limits.max_clients"));
  EXPECT_THAT(changed("latency_target: 1ms", "latency_target: 2ms"), ElementsAre("buses.a.latency_target"));
}

TEST(ChangedKeysTest, APasswordThatChangedInItsFileIsNamedAndNotShown) {
  const temporary_directory directory;
  const std::string file = directory.write("secret", "old");
  std::string text = base_text;
  text.replace(text.find("\"h:2\""), 5, "\"h:2\", password_file: " + file);
  const configuration before = good(text);
  directory.write("secret", "new");
  EXPECT_THAT(changed_keys(before, good(text)), ElementsAre("buses.b.password_file"));
}

TEST(SideEffectsTest, ADefaultBusThatTakesTheBusOfOtherKeysAlongIsToldOf) {
  const auto effects = [](const std::string& before, const std::string& after) {
    const std::string head = base_text.substr(0, base_text.find("routing:"));
    return side_effects(good(head + "routing: {" + before + "}\n"), good(head + "routing: {" + after + "}\n"))
        .size();
  };
  EXPECT_EQ(effects("default_bus: a", "default_bus: b"), 1U);
  EXPECT_EQ(effects("default_bus: a", "default_bus: a, field: f"), 0U);
  EXPECT_EQ(effects("default_bus: a", "default_bus: b, default_key_bus: a"), 0U);
  EXPECT_EQ(effects("default_bus: a, default_key_bus: a", "default_bus: b, default_key_bus: a"), 0U);
}

}  // namespace
}  // namespace dualbus::config::test
