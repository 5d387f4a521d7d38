// A bus's errors, what they say about it, and when it is asked whether it does its job.

#include <dualbus/backend/bus_health.hpp>

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::backend {
namespace {

using metrics::bus_state;
using std::chrono::milliseconds;

constexpr std::string_view readonly = "-READONLY You can't write against a read only replica.\r\n";
constexpr std::string_view misconf = "-MISCONF Redis is configured to save RDB snapshots, but ...\r\n";

TEST(BusErrorsTest, ARowIsFoundByTheWholeFirstWord) {
  for (const bus_error& e : bus_error_table()) {
    const std::string code(e.code);
    EXPECT_EQ(find_bus_error("-" + code + " because\r\n"), &e);
    EXPECT_EQ(find_bus_error("-" + code + "\r\n"), &e);
    EXPECT_EQ(find_bus_error("-" + code + "X because\r\n"), nullptr);
    EXPECT_EQ(find_bus_error("+" + code + "\r\n"), nullptr);
  }
  for (const char* other :
       {"-BUSYGROUP Consumer Group name already exists\r\n", "-BUSYKEY x\r\n", "-ERR OOM\r\n", "-\r\n", "-",
        "", "$4\r\nBUSY\r\n", "-NOGROUP No such key\r\n", "-WRONGTYPE x\r\n"}) {
    EXPECT_EQ(find_bus_error(other), nullptr) << other;
  }
}

TEST(BusErrorsTest, NoCodeStandsThereTwiceAndEveryStateHasAName) {
  std::set<std::string_view> codes, names;
  for (const bus_error& e : bus_error_table()) {
    EXPECT_TRUE(codes.insert(e.code).second) << e.code;
    // A bus that answers no reads answers no reads of groups either, and only whole buses stop anything.
    EXPECT_LE(e.stops_reads, e.stops_group_reads) << e.code;
    if (e.state == bus_state::up) {
      EXPECT_FALSE(e.stops_group_reads || e.needs_other_server) << e.code;
    }
  }
  for (std::size_t i = 0; i < metrics::bus_state_count; ++i) {
    const auto state = static_cast<bus_state>(i);
    EXPECT_TRUE(names.insert(bus_state_name(state)).second);
    EXPECT_FALSE(bus_state_text(state).empty());
  }
}

struct BusHealthTest : testing::Test {
  /// Sends the probe, if one is due, and answers it. True if it was due.
  bool probe(std::string_view answer) {
    if (!health_.probe_due(now_)) return false;
    health_.probe_sent(now_);
    EXPECT_FALSE(health_.probe_due(now_ + std::chrono::hours(1))) << "one at a time";
    changed_ = health_.on_probe(answer);
    return true;
  }
  void pass(milliseconds time) { now_ += time; }

  bus_health health_;
  base::time_point now_{std::chrono::hours(1)};
  bool changed_ = false;
};

TEST_F(BusHealthTest, IsNotAskedWithoutDoubt) {
  EXPECT_FALSE(health_.probe_due(now_));
  pass(std::chrono::hours(1));
  EXPECT_FALSE(health_.probe_due(now_));
  EXPECT_EQ(health_.state(), bus_state::up);
}

TEST_F(BusHealthTest, DoubtAsksOnceAndTheAnswerDecides) {
  health_.doubt();
  EXPECT_EQ(health_.state(), bus_state::up) << "a script can make any error";
  ASSERT_TRUE(probe(":0\r\n"));
  EXPECT_FALSE(changed_);
  pass(std::chrono::hours(1));
  EXPECT_FALSE(probe(":0\r\n"));
}

TEST_F(BusHealthTest, WhatRefusesIsAskedOnceASecondUntilItDoesItsJob) {
  health_.doubt();
  ASSERT_TRUE(probe(readonly));
  EXPECT_TRUE(changed_);
  EXPECT_EQ(health_.state(), bus_state::replica);
  EXPECT_TRUE(health_.serves_reads());
  EXPECT_FALSE(health_.serves_group_reads());
  EXPECT_TRUE(health_.needs_other_server());
  pass(bus_health::probe_interval - milliseconds(1));
  health_.doubt();
  EXPECT_FALSE(probe(readonly));
  pass(milliseconds(1));
  ASSERT_TRUE(probe(readonly));
  EXPECT_FALSE(changed_);
  pass(bus_health::probe_interval);
  ASSERT_TRUE(probe(misconf));
  EXPECT_TRUE(changed_);
  EXPECT_EQ(health_.state(), bus_state::misconf);
  EXPECT_FALSE(health_.needs_other_server());
  pass(bus_health::probe_interval);
  ASSERT_TRUE(probe(":0\r\n"));
  EXPECT_TRUE(changed_);
  EXPECT_EQ(health_.state(), bus_state::up);
  EXPECT_TRUE(health_.serves_group_reads());
  pass(std::chrono::hours(1));
  EXPECT_FALSE(probe(readonly));
}

TEST_F(BusHealthTest, AFullMemoryStopsNoReadsAndABusyBusStopsAll) {
  health_.doubt();
  ASSERT_TRUE(probe("-OOM command not allowed when used memory > 'maxmemory'.\r\n"));
  EXPECT_EQ(health_.state(), bus_state::oom);
  EXPECT_TRUE(health_.serves_reads() && health_.serves_group_reads());
  pass(bus_health::probe_interval);
  ASSERT_TRUE(probe("-BUSY Redis is busy running a script.\r\n"));
  EXPECT_FALSE(health_.serves_reads() || health_.serves_group_reads());
}

TEST_F(BusHealthTest, AProbeThatMayNotBeMadeTellsNothing) {
  for (const char* answer :
       {"-NOPERM this user has no permissions to run the 'setrange' command\r\n", "-MOVED 1 127.0.0.1:1\r\n",
        "-ERR unknown command 'SETRANGE'\r\n", "-WRONGTYPE x\r\n"}) {
    health_.doubt();
    ASSERT_TRUE(probe(answer)) << answer;
    EXPECT_EQ(health_.state(), bus_state::up) << answer;
    pass(bus_health::probe_interval);
    EXPECT_FALSE(probe(answer)) << answer;
  }
}

TEST_F(BusHealthTest, OfAnotherConnectionNothingIsKnown) {
  health_.doubt();
  ASSERT_TRUE(probe(readonly));
  health_.forget();
  EXPECT_EQ(health_.state(), bus_state::up);
  pass(std::chrono::hours(1));
  EXPECT_FALSE(health_.probe_due(now_));
}

TEST_F(BusHealthTest, AProbeWithoutAnAnswerIsRepeatedWhileTheBusIsKnownToRefuse) {
  health_.doubt();
  ASSERT_TRUE(probe(readonly));
  pass(bus_health::probe_interval);
  health_.probe_sent(now_);
  health_.on_probe_lost();
  EXPECT_EQ(health_.state(), bus_state::replica);
  pass(bus_health::probe_interval);
  EXPECT_TRUE(probe(":0\r\n"));
}

}  // namespace
}  // namespace dualbus::backend
