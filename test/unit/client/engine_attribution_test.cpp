#include <dualbus/client/engine_attribution.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

const command::command_spec& spec_of(std::string_view name) {
  return command::command_table()[static_cast<std::size_t>(command::find_command(name))];
}

class EngineAttributionTest : public testing::Test {
 protected:
  // Shows one request, as a session does.
  void look(const std::vector<std::string_view>& args, std::string_view field = "source_engine") {
    const command::command_spec& spec = spec_of(args[0]);
    if (!connection_.undecided(spec)) return;
    command::xadd_arguments xadd;
    if (spec.route == command::route::xadd) xadd = command::parse_xadd(args);
    connection_.look(spec, args, xadd, field);
  }
  // Connections by engine, without those that have none.
  std::map<std::string, std::uint64_t> connections() const {
    std::map<std::string, std::uint64_t> result;
    table_.visit([&](std::string_view name, const metrics::engine_counters& counters) {
      if (counters.connections != 0) result[std::string(name)] = counters.connections;
    });
    return result;
  }
  using expected = std::map<std::string, std::uint64_t>;

  metrics::engine_table table_{10};
  engine_attribution connection_{table_};
};

TEST_F(EngineAttributionTest, AConnectionBeginsAsUnknownAndLeavesNothingBehind) {
  EXPECT_EQ(connections(), (expected{{"unknown", 1}}));
  look({"GET", "k"});
  look({"XLEN", "s"});
  look({"XREAD", "STREAMS", "group", "risk-1"});
  EXPECT_EQ(connections(), (expected{{"unknown", 1}}));
  connection_.disconnect();
  EXPECT_EQ(connections(), expected{});
}

TEST_F(EngineAttributionTest, AConsumerTellsWhateverTheCommand) {
  const std::vector<std::vector<std::string_view>> requests = {
      {"XREADGROUP", "GROUP", "g", "risk-engine-1", "COUNT", "5", "STREAMS", "s", ">"},
      {"xreadgroup", "count", "5", "BLOCK", "0", "NOACK", "group", "g", "risk-1", "STREAMS", "s", ">"},
      {"XCLAIM", "s", "g", "risk-2", "0", "1-1"},
      {"XAUTOCLAIM", "s", "g", "risk-3", "0", "0-0"},
  };
  for (const auto& request : requests) {
    metrics::engine_table table(10);
    engine_attribution connection(table);
    connection.look(spec_of(request[0]), request, {}, "source_engine");
    EXPECT_EQ(&connection.counters(), &table.of("risk")) << request[0];
  }
}

TEST_F(EngineAttributionTest, AMessageTellsBetterThanAConsumerAndANameBest) {
  look({"XREADGROUP", "GROUP", "g", "consumer-1", "STREAMS", "s", ">"});
  EXPECT_EQ(connections(), (expected{{"consumer", 1}}));
  look({"XADD", "s", "*", "source_engine", "risk"});
  EXPECT_EQ(connections(), (expected{{"risk", 1}}));
  look({"XREADGROUP", "GROUP", "g", "consumer-1", "STREAMS", "s", ">"});
  look({"XADD", "s", "*", "source_engine", "vpin"});
  EXPECT_EQ(connections(), (expected{{"risk", 1}}));
  connection_.set_name("ml");
  EXPECT_EQ(connections(), (expected{{"ml", 1}}));
  look({"XADD", "s", "*", "source_engine", "risk"});
  EXPECT_EQ(connections(), (expected{{"ml", 1}}));
  connection_.set_name("factor");
  EXPECT_EQ(connections(), (expected{{"factor", 1}}));
}

TEST_F(EngineAttributionTest, NothingIsLookedForOnceItIsDecided) {
  look({"XADD", "s", "*", "source_engine", "risk"});
  EXPECT_FALSE(connection_.undecided(spec_of("xadd")));
  engine_attribution named(table_);
  named.set_name("vpin");
  EXPECT_FALSE(named.undecided(spec_of("xreadgroup")));
}

TEST_F(EngineAttributionTest, TheFieldIsSearchedInOnlySoManyMessages) {
  look({"XREADGROUP", "GROUP", "g", "risk-1", "STREAMS", "s", ">"});
  for (int i = 0; i < engine_attribution::max_searches; ++i) {
    ASSERT_TRUE(connection_.undecided(spec_of("xadd"))) << i;
    look({"XADD", "s", "*", "a", "b"});
  }
  EXPECT_FALSE(connection_.undecided(spec_of("xadd")));
  EXPECT_EQ(connections(), (expected{{"risk", 1}}));
}

TEST_F(EngineAttributionTest, APublisherWithoutTheFieldCanStillBecomeAConsumer) {
  for (int i = 0; i < engine_attribution::max_searches; ++i) look({"XADD", "s", "*", "a", "b"});
  look({"XADD", "s", "*", "source_engine", "late"});
  EXPECT_EQ(connections(), (expected{{"unknown", 1}}));
  look({"XCLAIM", "s", "g", "risk-1", "0", "1-1"});
  EXPECT_EQ(connections(), (expected{{"risk", 1}}));
}

TEST_F(EngineAttributionTest, MalformedAndEmptyOnesTellNothing) {
  look({"XADD", "s", "*", "source_engine", "risk", "odd"});
  look({"XADD", "s", "*", "source_engine", ""});
  look({"XADD", "s", "*", "other", "source_engine"});
  look({"XREADGROUP", "GROUP", "g", "", "STREAMS", "s", ">"});
  look({"XREADGROUP", "STREAMS", "GROUP", "g", "risk", "s", ">"});
  EXPECT_EQ(connections(), (expected{{"unknown", 1}}));
  look({"XADD", "s", "*", "from", "risk"}, "from");
  EXPECT_EQ(connections(), (expected{{"risk", 1}}));
}

TEST_F(EngineAttributionTest, ANameCanBeTakenBackAndTheSearchBeginsAgain) {
  connection_.set_name("");
  look({"XADD", "s", "*", "source_engine", "vpin"});
  connection_.set_name("");  // it had none to take back
  EXPECT_EQ(connections(), (expected{{"vpin", 1}}));
  connection_.set_name("risk");
  connection_.set_name("");
  EXPECT_EQ(connections(), (expected{{"unknown", 1}}));
  look({"XADD", "s", "*", "source_engine", "ml"});
  EXPECT_EQ(connections(), (expected{{"ml", 1}}));
}

TEST_F(EngineAttributionTest, WhatWasCountedStaysWhereItWas) {
  ++connection_.counters().commands;
  connection_.set_name("risk");
  ++connection_.counters().commands;
  EXPECT_EQ(table_.unknown().commands, 1U);
  EXPECT_EQ(table_.of("risk").commands, 1U);
}

}  // namespace
}  // namespace dualbus::client
