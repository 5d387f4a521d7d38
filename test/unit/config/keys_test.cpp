#include "support.hpp"

#include <dualbus/config/reference.hpp>

#include <chrono>
#include <cstdint>
#include <ostream>
#include <set>
#include <string>

#include <gmock/gmock.h>

// Every key by hand: its default, both ends of its range, and the first values beyond them. The key table of
// the layer itself is not asked.

namespace dualbus::config::test {
namespace {

using ::testing::HasSubstr;

std::int64_t us(microseconds duration) {
  return duration.count();
}

struct amount_key {
  std::string section, name, fallback, low, high, below, above;
  std::int64_t fallback_number, low_number, high_number;
  std::int64_t (*read)(const configuration&);
  std::string range;  // as mistakes say it

  std::string path() const { return section.empty() ? name : section + "." + name; }
  std::string yaml(const std::string& value) const {
    const std::string setting = name + ": " + value;
    if (section.starts_with("buses")) {
      const bool slot = name == "id_slot";
      return "buses: {a: {endpoint: \"h:1\", " + setting + (slot ? "" : ", id_slot: 1") + "}}\n";
    }
    // The other half of a pair that must stay in order.
    std::string other;
    if (name == "backoff_min") other = ", backoff_max: 1h";
    if (name == "backoff_max") other = ", backoff_min: 1ms";
    if (name == "health_interval") other = ", health_timeout: 1h";
    if (name == "health_timeout") other = ", health_interval: 10ms";
    return (section.empty() ? setting : section + ": {" + setting + other + "}") + "\n" + one_bus;
  }
};

void PrintTo(const amount_key& key, std::ostream* out) {
  *out << key.path();
}

constexpr std::int64_t ms = 1000, s = 1000 * ms, minute = 60 * s, hour = 60 * minute;
constexpr std::int64_t kb = 1024, mb = 1024 * kb, gb = 1024 * mb;

#define READ(expression) [](const configuration& c) { return static_cast<std::int64_t>(expression); }

const amount_key amount_keys[] = {
    {"", "workers", "1", "1", "128", "0", "129", 1, 1, 128, READ(c.workers), "1 and 128"},
    {"", "databases", "1", "1", "256", "0", "257", 1, 1, 256, READ(c.databases), "1 and 256"},
    {"listen", "port", "6379", "1", "65535", "-1", "65536", 6379, 1, 65535, READ(c.listen.port),
     "0 and 65535"},
    {"listen", "backlog", "511", "1", "65535", "0", "65536", 511, 1, 65535, READ(c.listen.backlog),
     "1 and 65535"},
    {"admin", "port", "9121", "0", "65535", "-1", "65536", 9121, 0, 65535, READ(c.admin.port), "0 and 65535"},
    {"buses.a", "id_slot", "", "0", "127", "-1", "128", 0, 0, 127, READ(c.routing.buses[0].id_slot),
     "0 and 127"},
    {"buses.a", "database", "0", "0", "65535", "-1", "65536", 0, 0, 65535, READ(c.buses[0].database),
     "0 and 65535"},
    {"buses.a", "latency_target", "0", "1us", "1m", "", "61s", 0, 1, minute,
     READ(us(c.buses[0].latency_target)), "0 and 1m"},
    {"engines", "max_names", "200", "0", "10000", "-1", "10001", 200, 0, 10000, READ(c.engines.max_names),
     "0 and 10000"},
    {"routing", "max_type_names", "200", "0", "10000", "-1", "10001", 200, 0, 10000,
     READ(c.routing.max_type_names), "0 and 10000"},
    {"backend", "connect_timeout", "1s", "1ms", "5m", "0", "301s", s, ms, 5 * minute,
     READ(us(c.backend.connect_timeout)), "1ms and 5m"},
    {"backend", "reconnect_wait", "1s", "0", "5m", "", "301s", s, 0, 5 * minute,
     READ(us(c.backend.reconnect_wait)), "0 and 5m"},
    {"backend", "reconnect_wait_bytes", "64mb", "64kb", "16gb", "65535", "17gb", 64 * mb, 64 * kb, 16 * gb,
     READ(c.backend.reconnect_wait_bytes), "64kb and 16gb"},
    {"backend", "backoff_min", "50ms", "1ms", "1m", "0", "61s", 50 * ms, ms, minute,
     READ(us(c.backend.backoff_min)), "1ms and 1m"},
    {"backend", "backoff_max", "2s", "1ms", "1h", "0", "61m", 2 * s, ms, hour,
     READ(us(c.backend.backoff_max)), "1ms and 1h"},
    {"backend", "request_timeout", "5s", "0", "1h", "", "61m", 5 * s, 0, hour,
     READ(us(c.backend.request_timeout)), "0 and 1h"},
    {"backend", "health_interval", "1s", "10ms", "59m", "9ms", "61m", s, 10 * ms, 59 * minute,
     READ(us(c.backend.health_interval)), "10ms and 1h"},
    {"backend", "health_timeout", "10s", "20ms", "1h", "19ms", "61m", 10 * s, 20 * ms, hour,
     READ(us(c.backend.health_timeout)), "20ms and 1h"},
    {"backend", "keepalive", "1m", "0", "32767s", "", "32768s", minute, 0, 32767 * s,
     READ(us(c.backend.keepalive)), "0 and 32767s"},
    {"backend", "dedicated_connections", "64", "0", "10000", "-1", "10001", 64, 0, 10000,
     READ(c.backend.dedicated_connections), "0 and 10000"},
    {"limits", "max_clients", "10000", "1", "1000000", "0", "1000001", 10000, 1, 1000000,
     READ(c.limits.max_clients), "1 and 1000000"},
    {"limits", "max_request", "64mb", "64kb", "512mb", "65535", "536870913", 64 * mb, 64 * kb, 512 * mb,
     READ(c.limits.max_request), "64kb and 512mb"},
    {"limits", "client_output_buffer", "256mb", "64kb", "64gb", "63kb", "65gb", 256 * mb, 64 * kb, 64 * gb,
     READ(c.limits.client_output_buffer), "64kb and 64gb"},
    {"limits", "pubsub_output_buffer", "32mb", "64kb", "64gb", "63kb", "65gb", 32 * mb, 64 * kb, 64 * gb,
     READ(c.limits.pubsub_output_buffer), "64kb and 64gb"},
    {"limits", "client_in_flight", "10000", "1", "1000000", "0", "1000001", 10000, 1, 1000000,
     READ(c.limits.client_in_flight), "1 and 1000000"},
    {"limits", "bus_output_buffer", "16mb", "64kb", "4gb", "0", "5gb", 16 * mb, 64 * kb, 4 * gb,
     READ(c.limits.bus_output_buffer), "64kb and 4gb"},
    {"limits", "idle_timeout", "0", "1s", "8760h", "", "8761h", 0, s, 8760 * hour,
     READ(us(c.limits.idle_timeout)), "0 and 8760h"},
    {"limits", "client_keepalive", "5m", "0", "32767s", "", "32768s", 5 * minute, 0, 32767 * s,
     READ(us(c.limits.client_keepalive)), "0 and 32767s"},
    {"limits", "shutdown_timeout", "10s", "0", "1h", "", "61m", 10 * s, 0, hour,
     READ(us(c.limits.shutdown_timeout)), "0 and 1h"},
    {"control", "handover_timeout", "10s", "0", "1h", "", "61m", 10 * s, 0, hour,
     READ(us(c.control.handover_timeout)), "0 and 1h"},
    {"draining", "interval", "5s", "100ms", "1h", "99ms", "61m", 5 * s, 100 * ms, hour,
     READ(us(c.draining.interval)), "100ms and 1h"},
    {"draining", "quiet", "10s", "100ms", "24h", "99ms", "25h", 10 * s, 100 * ms, 24 * hour,
     READ(us(c.draining.quiet)), "100ms and 24h"},
};

class AmountKeyTest : public ::testing::TestWithParam<amount_key> {};

TEST_P(AmountKeyTest, HasTheDocumentedDefault) {
  const amount_key& key = GetParam();
  const std::string reference = reference_markdown();
  const std::string path = key.section == "buses.a" ? "buses.*." + key.name : key.path();
  const std::size_t heading =
      reference.find(key.section.empty() ? "## " + path + "\n" : "### `" + path + "`\n");
  ASSERT_NE(heading, std::string::npos);
  const std::size_t facts = reference.find('*', heading + 5 + path.size());
  const std::string line = reference.substr(facts, reference.find('\n', facts) - facts);
  if (key.fallback.empty()) {
    EXPECT_THAT(line, HasSubstr("; required;"));
    return;
  }
  EXPECT_THAT(line, HasSubstr("; default: `" + key.fallback + "`;"));
  EXPECT_EQ(key.read(good(one_bus)), key.fallback_number);
  EXPECT_EQ(key.read(good(key.yaml(key.fallback))), key.fallback_number);
}

TEST_P(AmountKeyTest, TakesBothEndsOfItsRange) {
  const amount_key& key = GetParam();
  EXPECT_EQ(key.read(good(key.yaml(key.low))), key.low_number);
  EXPECT_EQ(key.read(good(key.yaml(key.high))), key.high_number);
}

TEST_P(AmountKeyTest, RefusesWhatLiesBeyond) {
  const amount_key& key = GetParam();
  for (const std::string& value : {key.below, key.above}) {
    if (value.empty()) continue;  // nothing lies below 0 in amounts that have no sign
    const lines found = mistakes_in(key.yaml(value));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_THAT(found[0],
                HasSubstr(": " + key.path() + ": must be between " + key.range + ", not '" + value + "'"));
  }
}

TEST_P(AmountKeyTest, TakesNothingThatYamlWouldReinterpret) {
  const amount_key& key = GetParam();
  for (const std::string value : {"yes", "true", "0777", "0x10", "1e3", "1.5", "1_000", "12:30", "+1", "'1 '",
                                  "''", "'-'", ".inf", "１"}) {
    const lines found = mistakes_in(key.yaml(value));
    ASSERT_EQ(found.size(), 1u) << value;
    EXPECT_THAT(found[0], HasSubstr(": " + key.path() + ": must be a")) << value;
  }
}

std::string test_name(const ::testing::TestParamInfo<amount_key>& info) {
  std::string name = info.param.path();
  for (char& c : name) {
    if (c == '.') c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Keys, AmountKeyTest, ::testing::ValuesIn(amount_keys), test_name);

TEST(KeyDefaultsTest, TextsAndChoicesHaveTheDocumentedDefaults) {
  const configuration c = good(one_bus);
  EXPECT_EQ(c.listen.address, "127.0.0.1");
  EXPECT_EQ(c.listen.unix_socket, "");
  EXPECT_EQ(c.listen.unix_socket_mode, 0700u);
  EXPECT_EQ(c.admin.address, "127.0.0.1");
  EXPECT_FALSE(c.routing.buses[0].draining);
  EXPECT_EQ(c.buses[0].username, "");
  EXPECT_EQ(c.buses[0].password, "");
  EXPECT_EQ(c.routing.field, "message_type");
  EXPECT_EQ(c.engines.field, "source_engine");
  EXPECT_TRUE(c.routing.json_fields.empty());
  EXPECT_EQ(c.routing.json_pointer, "");
  EXPECT_TRUE(c.routing.types.empty());
  EXPECT_TRUE(c.routing.keys.empty());
  EXPECT_EQ(c.missing_group.otherwise.action, missing_group_action::error);
  EXPECT_EQ(c.missing_group.otherwise.start, "0");
  EXPECT_TRUE(c.missing_group.rules.empty());
  EXPECT_EQ(c.absorb.mode, absorb_mode::relaxed);
  EXPECT_TRUE(c.draining.ignore_groups.empty());
  EXPECT_EQ(c.log_level, "info");
  EXPECT_EQ(c.log_format, "text");
  EXPECT_EQ(c.log_file, "");
}

TEST(KeyValuesTest, ReadsEveryTextAndChoice) {
  const configuration c = good(
      "listen: {address: \"::1\", port: 0, unix_socket: /run/d.sock, unix_socket_mode: 0660}\n"
      "admin: {address: 127.0.0.2}\n"
      "routing: {field: kind, json_fields: [payload, yes], json_pointer: /meta/a~1b~0c}\n"
      "engines: {field: sender}\n"
      "missing_group: {action: create, start: $}\n"
      "absorb: off\n"
      "draining: {ignore_groups: [{key: orders, group: old-group}, {key: \"t?\", group: \"test-*\"}]}\n"
      "log: {level: \"error\", format: json, file: /var/log/d.log}\n" +
      one_bus);
  EXPECT_EQ(c.listen.address, "::1");
  EXPECT_EQ(c.listen.port, 0);
  EXPECT_EQ(c.listen.unix_socket, "/run/d.sock");
  EXPECT_EQ(c.listen.unix_socket_mode, 0660u);
  EXPECT_EQ(c.admin.address, "127.0.0.2");
  EXPECT_EQ(c.routing.field, "kind");
  EXPECT_EQ(c.engines.field, "sender");
  EXPECT_EQ(c.routing.json_fields, (std::vector<std::string>{"payload", "yes"}));
  EXPECT_EQ(c.routing.json_pointer, "/meta/a~1b~0c");
  EXPECT_EQ(c.missing_group.otherwise.action, missing_group_action::create);
  EXPECT_EQ(c.missing_group.otherwise.start, "$");
  EXPECT_EQ(c.absorb.mode, absorb_mode::off);
  ASSERT_EQ(c.draining.ignore_groups.size(), 2u);
  EXPECT_TRUE(c.draining.ignores("orders", "old-group"));
  EXPECT_FALSE(c.draining.ignores("trades", "old-group")) << "a rule is for its stream alone";
  EXPECT_TRUE(c.draining.ignores("t1", "test-7"));
  EXPECT_FALSE(c.draining.ignores("orders", "test-7"));
  EXPECT_FALSE(c.draining.ignores("t1", "old-group"));
  EXPECT_EQ(c.log_level, "error");
  EXPECT_EQ(c.log_format, "json");
  EXPECT_EQ(c.log_file, "/var/log/d.log");
}

TEST(KeyValuesTest, ReadsEveryChoice) {
  EXPECT_EQ(good("absorb: strict\n" + one_bus).absorb.mode, absorb_mode::strict);
  EXPECT_EQ(good("absorb: relaxed\n" + one_bus).absorb.mode, absorb_mode::relaxed);
  EXPECT_EQ(good("missing_group: create\n" + one_bus).missing_group.otherwise.action,
            missing_group_action::create);
  EXPECT_EQ(good("missing_group: error\n" + one_bus).missing_group.otherwise.action,
            missing_group_action::error);
  for (const std::string level : {"trace", "debug", "info", "warning", "error", "off"}) {
    EXPECT_EQ(good("log: {level: " + level + "}\n" + one_bus).log_level, level);
  }
}

TEST(KeyValuesTest, TheFirstRuleThatMatchesKeyAndGroupDecidesOnAMissingGroup) {
  const missing_group_settings m = good(
                                       "missing_group:\n"
                                       "  action: create\n"
                                       "  start: \"$\"\n"
                                       "  rules:\n"
                                       "    - {key: \"md:*\", group: \"test-*\", action: error}\n"
                                       "    - {key: \"md:*\", action: create}\n"
                                       "    - {group: audit, action: error, start: \"$\"}\n" +
                                       one_bus)
                                       .missing_group;
  ASSERT_EQ(m.rules.size(), 3u);
  EXPECT_EQ(&m.of("md:1", "test-a"), &m.rules[0]);
  EXPECT_EQ(&m.of("md:1", "audit"), &m.rules[1]);
  EXPECT_EQ(&m.of("other", "audit"), &m.rules[2]);
  EXPECT_EQ(&m.of("other", "test-a"), &m.otherwise);
  EXPECT_EQ(m.rules[0].action, missing_group_action::error);
  EXPECT_EQ(m.rules[1].group, "*");
  EXPECT_EQ(m.rules[1].start, "0");
  EXPECT_EQ(m.rules[2].key, "*");
  EXPECT_EQ(m.rules[2].start, "$");
  EXPECT_EQ(m.otherwise.start, "$");
}

TEST(KeyValuesTest, ARuleForMissingGroupsSaysWhatToDo) {
  EXPECT_EQ(mistakes_in("missing_group: {rules: [{key: a}]}\n" + one_bus).size(), 1u);
  EXPECT_EQ(mistakes_in("missing_group: {rules: [{action: ignore}]}\n" + one_bus).size(), 1u);
}

TEST(KeyValuesTest, ReadsBytesAsRedisConfDoes) {
  const auto buffer = [](const std::string& text) {
    return good("limits: {client_output_buffer: " + text + "}\n" + one_bus).limits.client_output_buffer;
  };
  EXPECT_EQ(buffer("100000"), 100000u);
  EXPECT_EQ(buffer("100000b"), 100000u);
  EXPECT_EQ(buffer("100k"), 100000u);
  EXPECT_EQ(buffer("100kb"), 102400u);
  EXPECT_EQ(buffer("1m"), 1000000u);
  EXPECT_EQ(buffer("1MB"), 1048576u);
  EXPECT_EQ(buffer("1g"), 1000000000u);
  EXPECT_EQ(buffer("\"1Gb\""), 1073741824u);
}

TEST(KeyValuesTest, ReadsDurationsInEveryUnit) {
  const auto target = [](const std::string& text) {
    return good("buses: {a: {id_slot: 1, endpoint: \"h:1\", latency_target: " + text + "}}")
        .buses[0]
        .latency_target;
  };
  using namespace std::chrono_literals;
  EXPECT_EQ(target("500us"), 500us);
  EXPECT_EQ(target("1ms"), 1ms);
  EXPECT_EQ(target("2s"), 2s);
  EXPECT_EQ(target("1m"), 1min);
  EXPECT_EQ(target("0"), 0us);
  EXPECT_EQ(good("limits: {idle_timeout: 2h}\n" + one_bus).limits.idle_timeout, 2h);
}

TEST(KeyValuesTest, AnEmptySectionIsAllDefaults) {
  const configuration c = good("limits:\nrouting:\n  types:\n  keys:\nlog: {}\n" + one_bus);
  EXPECT_EQ(c.limits.max_clients, 10000u);
  EXPECT_EQ(c.log_level, "info");
}

}  // namespace
}  // namespace dualbus::config::test
