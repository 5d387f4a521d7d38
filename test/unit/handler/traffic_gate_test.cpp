#include <dualbus/command/command_table.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/handler/traffic_gate.hpp>

#include <chrono>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::handler {
namespace {

using namespace std::chrono_literals;

const command::command_spec& spec(std::string_view name) {
  return command::command_table()[static_cast<std::size_t>(command::find_command(name))];
}

constexpr base::time_point start{1h};

bool pauses(const traffic_gate& gate, std::vector<std::string_view> request, base::time_point now) {
  return gate.pauses(spec(request[0]), command::may_replicate(spec(request[0]), request), now);
}

TEST(TrafficGateTest, APauseEndsInTime) {
  traffic_gate gate;
  EXPECT_FALSE(pauses(gate, {"set"}, start));
  gate.pause(start + 10ms, false);
  EXPECT_TRUE(pauses(gate, {"get"}, start));
  EXPECT_FALSE(pauses(gate, {"client"}, start)) << "somebody must be able to end it";
  EXPECT_FALSE(pauses(gate, {"get"}, start + 10ms));
}

TEST(TrafficGateTest, APauseOfWritesLetsReadsThrough) {
  traffic_gate gate;
  gate.pause(start + 10ms, true);
  for (const char* name : {"set", "xadd", "xgroup", "publish", "eval", "pfcount"}) {
    EXPECT_TRUE(pauses(gate, {name}, start)) << name;
  }
  for (const char* name : {"get", "xread", "eval_ro", "ping"})
    EXPECT_FALSE(pauses(gate, {name}, start)) << name;
}

TEST(TrafficGateTest, AScriptThatSaysSoDoesNotWrite) {
  traffic_gate gate;
  gate.pause(start + 10ms, true);
  for (const char* reads : {"#!lua flags=no-writes\nreturn 1", "#!lua flags=allow-stale,no-writes",
                            "#!lua name=x flags=no-writes,allow-oom\n"})
    EXPECT_FALSE(pauses(gate, {"eval", reads, "0"}, start)) << reads;
  for (const char* writes : {"", "return 'flags=no-writes'", "#!lua\n-- flags=no-writes", "#!lua flags=\n",
                             "#!lua flags=allow-oom,no-writes-x", "#!lua flags=allow-oom no-writes"})
    EXPECT_TRUE(pauses(gate, {"eval", writes, "0"}, start)) << writes;
}

TEST(TrafficGateTest, TheLongerAndTheStricterPauseWins) {
  traffic_gate gate;
  gate.pause(start + 20ms, true);
  gate.pause(start + 10ms, false);
  EXPECT_TRUE(pauses(gate, {"get"}, start + 15ms));
  gate.pause(start + 10ms, true);
  EXPECT_TRUE(pauses(gate, {"get"}, start + 15ms)) << "writes only does not weaken it";
  gate.unpause();
  EXPECT_FALSE(pauses(gate, {"get"}, start));
  gate.pause(start + 10ms, true);
  EXPECT_FALSE(pauses(gate, {"get"}, start));
}

TEST(TrafficGateTest, ArgumentsAreQuotedAsMonitorDoes) {
  EXPECT_EQ(quoted_argument("a \"b\"\\\n\r\t\a\b\x01\xff"), R"("a \"b\"\\\n\r\t\a\b\x01\xff")");
  EXPECT_EQ(quoted_argument(""), "\"\"");
}

}  // namespace
}  // namespace dualbus::handler
