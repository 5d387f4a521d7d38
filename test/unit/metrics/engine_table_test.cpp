#include <dualbus/metrics/engine_table.hpp>

#include <chrono>
#include <map>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace dualbus::metrics {
namespace {

TEST(EngineTableTest, KeepsTheUnknownApartAndThoseBeyondTheCapTogether) {
  engine_table table(1);
  ++table.unknown().commands;
  for (const char* name : {"risk", "vpin", "ml", "risk"}) ++table.of(name).commands;
  std::map<std::string, std::uint64_t> commands;
  table.visit([&](std::string_view name, const engine_counters& counters) {
    commands[std::string(name)] = counters.commands;
  });
  EXPECT_EQ(commands, (std::map<std::string, std::uint64_t>{{"unknown", 1}, {"risk", 2}, {"other", 2}}));
}

TEST(EngineTableTest, AddsUpEveryFigure) {
  using std::chrono::nanoseconds;
  engine_counters sum{1, 2, 3, 4, 5, 6, nanoseconds(7)};
  sum += engine_counters{10, 20, 30, 40, 50, 60, nanoseconds(70)};
  EXPECT_EQ(sum, (engine_counters{11, 22, 33, 44, 55, 66, nanoseconds(77)}));
}

TEST(EngineNameTest, IsWhatStandsBeforeTheMarkOfItsConsumers) {
  const std::pair<std::string, std::string> names[] = {
      {"risk", "risk"},
      {"risk-engine-risk-3", "risk"},
      {"risk-engine-", "risk"},
      {"risk-engine-a-engine-b", "risk"},
      {"neural_sde-engine-0", "neural_sde"},
      {"risk-engine", "risk-engine"},
      {"-engine-3", "-engine-3"},
      {"risk-3", "risk-3"},  // a name is a name
      {"", ""},
  };
  for (const auto& [name, engine] : names) EXPECT_EQ(engine_of_name(name), engine) << name;
}

TEST(EngineNameTest, IsAConsumersNameWithoutTheIdAtItsEnd) {
  const std::pair<std::string, std::string> consumers[] = {
      {"risk-engine-risk-3", "risk"},
      {"risk-engine-9f3a", "risk"},
      {"risk-3", "risk"},
      {"risk-9f3a", "risk"},
      {"risk-9F3A", "risk"},
      {"risk-550e8400-e29b-41d4-a716-446655440000", "risk"},
      {"risk-550e8400-e29b-41d4-a716-44665544000", "risk-550e8400-e29b-41d4-a716"},  // none: a digit short
      {"desk-7-3", "desk-7"},
      {"neural_sde", "neural_sde"},
      {"price-feed", "price-feed"},  // hexadecimal, but a word
      {"risk-a1z", "risk-a1z"},
      {"risk-", "risk-"},
      {"-3", "-3"},
      {"3", "3"},
      {"-550e8400-e29b-41d4-a716-446655440000", "-550e8400-e29b-41d4-a716"},
      {"", ""},
  };
  for (const auto& [consumer, engine] : consumers)
    EXPECT_EQ(engine_of_consumer(consumer), engine) << consumer;
}

}  // namespace
}  // namespace dualbus::metrics
