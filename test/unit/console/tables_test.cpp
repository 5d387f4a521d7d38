#include <dualbus/console/tables.hpp>

#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::console {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::SizeIs;

command::routing_rules fleet_rules() {
  command::routing_rules rules;
  rules.buses = {{"marketdata", 1}, {"engine_logic", 2, true}};
  rules.anchor = 1;
  rules.types = {{"market_*", 0}, {"order_request", 1}, {"market_maker", 1}};
  rules.keys = {{"md:*", 0}};
  rules.channels = {{"prices.*", 0}};
  return rules;
}

// Messages by rule on one bus.
void count(sample& s, const std::string& type, std::size_t bus, command::rule by, std::uint64_t messages) {
  s.types[type].resize(2);
  s.types[type][bus][static_cast<std::size_t>(by)] += messages;
}

recent two_samples(sample before, sample now) {
  history kept;
  before.taken = base::time_point(10s);
  now.taken = base::time_point(11s);
  kept.add(std::move(before));
  kept.add(std::move(now));
  return kept.current();
}

// A row's cells as people read them, by the names of their columns.
std::string value(const table& t, std::size_t row, const std::string& name) {
  for (std::size_t i = 0; i < t.names.size(); ++i) {
    if (t.names[i] == name) return text_of(t.rows[row][i]);
  }
  return "no column " + name;
}

void expect_whole_rows(const table& t) {
  for (const auto& row : t.rows) EXPECT_THAT(row, SizeIs(t.names.size()));
}

TEST(TablesTest, BusesHaveTheirPlaceAndTheirRates) {
  sample before, now;
  before.buses.resize(2);
  now.buses.resize(2);
  now.buses[0].requests = 40;
  now.buses[0].bus_duration.observe(300us);
  const table t =
      buses_table(fleet_rules(), {{"127.0.0.1:6380", "Redis 7.0.15", "up"}, {"127.0.0.1:6381", "", "silent"}},
                  two_samples(before, now));
  expect_whole_rows(t);
  EXPECT_EQ(value(t, 0, "bus"), "marketdata");
  EXPECT_EQ(value(t, 0, "state"), "active");
  EXPECT_EQ(value(t, 0, "requests_1s"), "40");
  EXPECT_EQ(value(t, 0, "requests_60s"), "40");
  EXPECT_EQ(value(t, 0, "p50_1s_ms"), "0.35");  // the middle of its bucket
  EXPECT_EQ(value(t, 1, "state"), "draining");
  EXPECT_EQ(value(t, 1, "anchor"), "yes");
  EXPECT_EQ(value(t, 1, "server"), "-");
  EXPECT_EQ(value(t, 1, "health"), "silent");
  EXPECT_EQ(value(t, 1, "requests_1s"), "0");
  EXPECT_EQ(value(t, 1, "p99_1s_ms"), "-");
}

TEST(TablesTest, ABusThatIsNewSinceTheSampleIsThereWithoutFigures) {
  const table t = buses_table(fleet_rules(), {}, recent());
  expect_whole_rows(t);
  EXPECT_EQ(value(t, 1, "requests_1s"), "-");
  expect_whole_rows(pools_table(fleet_rules(), recent()));
}

TEST(TablesTest, PoolsShowConnectionsByState) {
  sample now;
  now.buses.resize(2);
  now.buses[1].connections[static_cast<std::size_t>(metrics::connection_state::up)] = 3;
  now.buses[1].connections[static_cast<std::size_t>(metrics::connection_state::connecting)] = 1;
  now.buses[1].waiting = 9;
  const table t = pools_table(fleet_rules(), two_samples({}, now));
  expect_whole_rows(t);
  EXPECT_EQ(value(t, 1, "up"), "3");
  EXPECT_EQ(value(t, 1, "connecting"), "1");
  EXPECT_EQ(value(t, 1, "waiting"), "9");
  EXPECT_EQ(value(t, 0, "up"), "0");
}

TEST(TablesTest, TheNoisiestEngineComesFirst) {
  sample before, now;
  before.engines["calm"].commands = 1000;
  now.engines["calm"].commands = 1001;
  now.engines["calm"].connections = 2;
  now.engines["noisy"].commands = 50;
  now.engines["noisy"].failed_commands = 20;
  const table t = engines_table(two_samples(before, now), {{"noisy", "10.0.0.7"}});
  expect_whole_rows(t);
  ASSERT_THAT(t.rows, SizeIs(2));
  EXPECT_EQ(value(t, 0, "engine"), "noisy");
  EXPECT_EQ(value(t, 0, "requests_1s"), "50");
  EXPECT_EQ(value(t, 0, "failed_1s"), "20");
  EXPECT_EQ(value(t, 0, "address"), "10.0.0.7");
  EXPECT_EQ(value(t, 1, "engine"), "calm");
  EXPECT_EQ(value(t, 1, "requests_1s"), "1");
  EXPECT_EQ(value(t, 1, "connections"), "2");
  EXPECT_EQ(value(t, 1, "address"), "-");
}

TEST(TablesTest, ATypeHasARowForEachOfItsBuses) {
  sample before, now;
  count(before, "tick", 0, command::rule::type, 5);
  count(now, "tick", 0, command::rule::type, 15);
  count(now, "tick", 1, command::rule::key, 70);
  count(now, "never", 0, command::rule::type, 0);
  const table t = types_table(fleet_rules(), two_samples(before, now));
  expect_whole_rows(t);
  ASSERT_THAT(t.rows, SizeIs(2));
  EXPECT_EQ(value(t, 0, "bus"), "engine_logic");
  EXPECT_EQ(value(t, 0, "messages_1s"), "70");
  EXPECT_EQ(value(t, 1, "bus"), "marketdata");
  EXPECT_EQ(value(t, 1, "messages"), "15");
  EXPECT_EQ(value(t, 1, "messages_10s"), "10");
}

TEST(TablesTest, RulesHaveTheMessagesThatTheyDecidedOn) {
  sample now;
  count(now, "order_request", 1, command::rule::type, 3);
  count(now, "market_data", 0, command::rule::glob, 4);
  count(now, "market_data", 0, command::rule::json, 2);
  count(now, "market_data", 0, command::rule::key, 100);  // the key decided
  count(now, "market_maker", 1, command::rule::type, 6);
  count(now, "unheard_of", 0, command::rule::default_bus, 7);
  const table t = rules_table(command::routing_table(fleet_rules()), two_samples({}, now));
  expect_whole_rows(t);
  std::vector<std::string> lines;
  for (std::size_t row = 0; row < t.rows.size(); ++row) {
    lines.push_back(value(t, row, "matched") + " " + value(t, row, "pattern") + " " + value(t, row, "bus") +
                    " " + value(t, row, "messages"));
  }
  EXPECT_THAT(lines, ElementsAre("key 'md:*' marketdata -", "type 'order_request' engine_logic 3",
                                 "type 'market_maker' engine_logic 6", "type 'market_*' marketdata 6",
                                 "channel 'prices.*' marketdata -", "any other message  marketdata 7",
                                 "any other key  marketdata -"));
}

}  // namespace
}  // namespace dualbus::console
