#include "admin/chart_history.hpp"

#include "admin/sampler.hpp"
#include "sample_state.hpp"

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Adds a point a second, in which `type` grows by ten.
class chart_feeder {
 public:
  void add(const std::string& type, daemon_snapshot state = test::sample_state()) {
    ++second_;
    state.totals = add_up({test::sample_worker(10 * static_cast<std::uint64_t>(second_), type)});
    recent_.add(sample_of(state, base::time_point(std::chrono::seconds(second_))));
    charts.add(state, recent_.current(),
               std::chrono::system_clock::time_point(std::chrono::seconds(second_)));
  }
  chart_history charts;

 private:
  int second_ = 0;
  console::history recent_;
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(ChartHistoryTest, HasRatesOfBusesAndTypes) {
  chart_feeder feeder;
  feeder.add("tick");
  EXPECT_THAT(feeder.charts.json_after(0), HasSubstr("\"types\": [null]"));
  feeder.add("tick");
  const std::string all = feeder.charts.json_after(0);
  EXPECT_THAT(all, HasSubstr("\"buses\": [\"marketdata\",\"engine_logic\"]"));
  EXPECT_THAT(all, HasSubstr("\"types\": [{\"bus\": \"marketdata\",\"type\": \"tick\"}]"));
  EXPECT_THAT(all, HasSubstr("\"time\": 2.000,\"buses\": [[25.000,10.000,null,"));
  EXPECT_THAT(all, HasSubstr("\"types\": [10.000]}"));
}

TEST(ChartHistoryTest, GivesWhatIsNewer) {
  chart_feeder feeder;
  for (int i = 0; i < 5; ++i) feeder.add("tick");
  EXPECT_EQ(count(feeder.charts.json_after(0), "\"time\""), 5U);
  EXPECT_EQ(count(feeder.charts.json_after(3), "\"time\""), 2U);
  EXPECT_EQ(count(feeder.charts.json_after(5), "\"time\""), 0U);
}

TEST(ChartHistoryTest, IsBoundedInPointsAndTypes) {
  chart_feeder feeder;
  for (std::size_t i = 0; i < chart_history::most_points + 50; ++i)
    feeder.add("type_" + std::to_string(i % 40));
  const std::string all = feeder.charts.json_after(0);
  EXPECT_EQ(count(all, "\"time\""), chart_history::most_points);
  EXPECT_EQ(count(all, "\"type\""), chart_history::most_types + 1);
  EXPECT_THAT(all, HasSubstr("\"type\": \"other\""));
}

TEST(ChartHistoryTest, OtherBusesBeginAnew) {
  chart_feeder feeder;
  feeder.add("tick");
  daemon_snapshot renamed = test::sample_state();
  auto configuration = test::sample_configuration();
  configuration->routing.buses[0].name = "prices";
  renamed.configuration = configuration;
  feeder.add("tick", renamed);
  const std::string all = feeder.charts.json_after(0);
  EXPECT_THAT(all, HasSubstr("\"buses\": [\"prices\",\"engine_logic\"]"));
  EXPECT_EQ(count(all, "\"time\""), 1U);
}

TEST(ChartHistoryTest, AnotherOneGoesOn) {
  chart_feeder before, after;
  before.add("tick");
  before.add("tick");
  after.charts.continue_from(before.charts);
  EXPECT_EQ(after.charts.json_after(0), before.charts.json_after(0));
}

TEST(ChartHistoryTest, ABusThatIsDownHasNoFigures) {
  chart_feeder feeder;
  daemon_snapshot state = test::sample_state();
  state.buses[0].up = false;
  feeder.add("tick", state);
  EXPECT_THAT(feeder.charts.json_after(0), HasSubstr("\"buses\": [[null,null,null,null,null]"));
}

}  // namespace
}  // namespace dualbus::admin
