#include <dualbus/command/command_table.hpp>
#include <dualbus/session/traffic_gate.hpp>

#include <chrono>
#include <string_view>

#include <gtest/gtest.h>

namespace dualbus::session {
namespace {

using namespace std::chrono_literals;

const command::command_spec& spec(std::string_view name) {
  return command::command_table()[static_cast<std::size_t>(command::find_command(name))];
}

constexpr base::time_point start{1h};

TEST(TrafficGateTest, APauseEndsInTime) {
  traffic_gate gate;
  EXPECT_FALSE(gate.pauses(spec("set"), start));
  gate.pause(start + 10ms, false);
  EXPECT_TRUE(gate.pauses(spec("get"), start));
  EXPECT_FALSE(gate.pauses(spec("client"), start)) << "somebody must be able to end it";
  EXPECT_FALSE(gate.pauses(spec("get"), start + 10ms));
}

TEST(TrafficGateTest, APauseOfWritesLetsReadsThrough) {
  traffic_gate gate;
  gate.pause(start + 10ms, true);
  for (const char* name : {"set", "xadd", "xgroup", "publish", "eval", "pfcount"}) {
    EXPECT_TRUE(gate.pauses(spec(name), start)) << name;
  }
  for (const char* name : {"get", "xread", "eval_ro", "ping"})
    EXPECT_FALSE(gate.pauses(spec(name), start)) << name;
}

TEST(TrafficGateTest, TheLongerAndTheStricterPauseWins) {
  traffic_gate gate;
  gate.pause(start + 20ms, true);
  gate.pause(start + 10ms, false);
  EXPECT_TRUE(gate.pauses(spec("get"), start + 15ms));
  gate.pause(start + 10ms, true);
  EXPECT_TRUE(gate.pauses(spec("get"), start + 15ms)) << "writes only does not weaken it";
  gate.unpause();
  EXPECT_FALSE(gate.pauses(spec("get"), start));
  gate.pause(start + 10ms, true);
  EXPECT_FALSE(gate.pauses(spec("get"), start));
}

TEST(TrafficGateTest, ArgumentsAreQuotedAsMonitorDoes) {
  EXPECT_EQ(quoted_argument("a \"b\"\\\n\r\t\a\b\x01\xff"), R"("a \"b\"\\\n\r\t\a\b\x01\xff")");
  EXPECT_EQ(quoted_argument(""), "\"\"");
}

}  // namespace
}  // namespace dualbus::session
