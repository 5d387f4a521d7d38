#include "admin/readiness.hpp"

#include "sample_state.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;
using metrics::bus_state;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

class ReadinessTest : public testing::Test {
 protected:
  ReadinessTest() {
    state_.configuration = configuration_;
    state_.buses.resize(2);
    set(0, bus_state::up);
    set(1, bus_state::up);
  }
  // One worker sees the bus so.
  void set(std::size_t bus, bus_state now, base::time_point since = {}) {
    state_.totals.metrics.buses.resize(2);
    metrics::bus_metrics& counted = state_.totals.metrics.buses[bus];
    counted.states = {};
    counted.states[static_cast<std::size_t>(now)] = 1;
    counted.down_since = since;
  }
  void drain(std::size_t bus) { configuration_->routing.buses[bus].draining = true; }
  unsigned status(std::string_view query = {}) const { return render_ready_page(state_, query).status; }
  std::string body(std::string_view query = {}) const { return render_ready_page(state_, query).body; }

  const base::time_point now_ = base::clock::now();
  std::shared_ptr<config::configuration> configuration_ = test::sample_configuration();
  daemon_snapshot state_;
};

TEST_F(ReadinessTest, OneActiveBusThatDoesItsJobIsEnough) {
  EXPECT_EQ(status(), 200u);
  set(0, bus_state::disconnected);
  EXPECT_EQ(status(), 200u);
  EXPECT_EQ(body(),
            "ready\nbus marketdata (127.0.0.1:6380): has no connection\n"
            "bus engine_logic (127.0.0.1:6381): does its job\n");
  set(1, bus_state::silent);
  EXPECT_EQ(status(), 503u);
  EXPECT_THAT(body(), StartsWith("not ready\n"));
}

TEST_F(ReadinessTest, ADrainingBusNeitherHelpsNorHurts) {
  drain(0);
  set(0, bus_state::disconnected);
  EXPECT_EQ(status("all"), 200u);
  EXPECT_EQ(status("bus=marketdata"), 503u) << "asked for by name it counts";
  set(0, bus_state::up);
  set(1, bus_state::disconnected);
  EXPECT_EQ(status(), 503u);
  EXPECT_THAT(body(),
              HasSubstr("bus marketdata (127.0.0.1:6380): draining, need not be ready; does its job\n"));
}

TEST_F(ReadinessTest, AQueryAsksForMore) {
  set(0, bus_state::replica);
  EXPECT_EQ(status("all"), 503u);
  EXPECT_EQ(status("bus=marketdata"), 503u);
  EXPECT_EQ(status("bus=engine_logic"), 200u);
  EXPECT_EQ(status("bus=engine_logic&bus=marketdata"), 503u);
  EXPECT_EQ(body("bus=engine_logic"), "ready\nbus engine_logic (127.0.0.1:6381): does its job\n");
  EXPECT_THAT(body("all"), HasSubstr("\nbus engine_logic"));
}

TEST_F(ReadinessTest, AMistakenQueryIsToldSo) {
  EXPECT_EQ(status("bus=market"), 404u);
  EXPECT_EQ(body("bus=market"), "there is no bus 'market': the buses are marketdata, engine_logic\n");
  EXPECT_EQ(status("bus"), 404u);
  EXPECT_EQ(status("al"), 400u);
  EXPECT_EQ(body("al=\x01"), "unknown parameter 'al=\\x01': /readyz takes bus=NAME and all\n");
  EXPECT_EQ(status("all&verbose"), 400u);
}

TEST_F(ReadinessTest, SaysSinceWhen) {
  set(0, bus_state::disconnected, now_ - 90s);
  EXPECT_THAT(body(), HasSubstr("(127.0.0.1:6380): has no connection since 20"));
  EXPECT_THAT(standing_text(standing_of(state_, 0)),
              MatchesRegex("has no connection since [0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+Z"));
}

TEST_F(ReadinessTest, AHungRedisShowsByInfoBeforeTheWorkersNotice) {
  state_.buses[0].verdict = {bus_state::silent, now_ - 900ms};
  state_.totals.metrics.buses[0].last_answer = now_ - 1s;
  EXPECT_EQ(standing_of(state_, 0).state, bus_state::silent);
  EXPECT_EQ(standing_of(state_, 0).since, now_ - 900ms);
  EXPECT_EQ(status("all"), 503u);
  // Then the workers notice, too: it has hung since the same time.
  set(0, bus_state::silent, now_);
  EXPECT_EQ(standing_of(state_, 0).since, now_ - 900ms);
  set(0, bus_state::silent, now_ - 2s);
  EXPECT_EQ(standing_of(state_, 0).since, now_ - 2s);
}

TEST_F(ReadinessTest, ABusThatAnswersAWorkerDoesNotHang) {
  state_.buses[0].verdict = {bus_state::silent, now_ - 900ms};
  state_.totals.metrics.buses[0].last_answer = now_ - 100ms;
  EXPECT_EQ(standing_of(state_, 0).state, bus_state::up);
}

TEST_F(ReadinessTest, AMasterThatHasBecomeAReplicaIsNotReadyEvenIfItTakesWrites) {
  state_.buses[0].verdict = {bus_state::replica, now_ - 5s};
  state_.totals.metrics.buses[0].last_answer = now_;
  EXPECT_EQ(standing_of(state_, 0).state, bus_state::replica);
  EXPECT_EQ(status("bus=marketdata"), 503u);
}

TEST_F(ReadinessTest, AWrongSlotMakesTheWholeDaemonNotReady) {
  state_.wrong_slots = {"bus 'marketdata' is to have id_slot 2"};
  for (const char* query : {"", "all", "bus=engine_logic"}) {
    EXPECT_EQ(status(query), 503u) << query;
    EXPECT_THAT(body(query), HasSubstr("\nbus 'marketdata' is to have id_slot 2\n"));
  }
}

TEST_F(ReadinessTest, OnItsWayOutItIsNotReadyWhateverIsAsked) {
  for (const daemon_phase phase : {daemon_phase::draining, daemon_phase::stopping}) {
    state_.phase = phase;
    for (const char* query : {"", "all", "bus=engine_logic"}) EXPECT_EQ(status(query), 503u);
  }
  EXPECT_EQ(status("bus=nosuch"), 404u);
}

}  // namespace
}  // namespace dualbus::admin
