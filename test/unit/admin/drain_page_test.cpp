#include "admin/drain_page.hpp"

#include "admin/status_page.hpp"
#include "sample_state.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(DrainPageTest, IsTheWholeStateAsJson) {
  EXPECT_EQ(render_drain_page(test::sample_state()), R"({
 "buses": [
  {
   "bus": "engine_logic",
   "state": "draining",
   "drained": false,
   "drained_since": null,
   "checked_at": 1700000100.500,
   "check_duration_ms": 0,
   "checks": 20,
   "failed_checks": 2,
   "healed_groups": 4,
   "errors": [],
   "streams": {
    "total": 2,
    "drained": 1
   },
   "undelivered_groups": 1,
   "missing_groups": 1,
   "pending_entries": 3,
   "other_keys": 10,
   "held_by": {
    "total": 2,
    "listed": [
     {
      "stream": "busy",
      "database": 0,
      "quiet_for_ms": 60000,
      "group": "readers",
      "undelivered": true,
      "next_id": "1700000000000-2000000000005",
      "next_bus_id": "1700000000000-5",
      "lag": 2,
      "pending": 3,
      "first_pending": {
       "id": "1700000000000-2000000000003",
       "bus_id": "1700000000000-3",
       "consumer": "c\"1",
       "idle_ms": 1500,
       "deliveries": 4
      },
      "consumer_idle_ms": 700,
      "missing_on": [
       "marketdata"
      ],
      "unknown_on": []
     },
     {
      "stream": "busy",
      "database": 0,
      "quiet_for_ms": 60000,
      "group": "unclear",
      "undelivered": false,
      "next_id": null,
      "next_bus_id": null,
      "lag": null,
      "pending": 0,
      "first_pending": null,
      "consumer_idle_ms": null,
      "missing_on": [],
      "unknown_on": [
       "marketdata"
      ]
     }
    ]
   },
   "ignored_groups": {
    "total": 1,
    "listed": [
     {
      "stream": "busy",
      "database": 0,
      "quiet_for_ms": 60000,
      "group": "old",
      "undelivered": false,
      "next_id": null,
      "next_bus_id": null,
      "lag": null,
      "pending": 0,
      "first_pending": null,
      "consumer_idle_ms": null,
      "missing_on": [],
      "unknown_on": []
     }
    ]
   },
   "ungrouped_streams": {
    "total": 1,
    "listed": [
     {
      "stream": "done",
      "database": 0,
      "entries": 7
     }
    ]
   },
   "pinned_streams": {
    "total": 1,
    "listed": [
     {
      "stream": "md:s",
      "bus": "marketdata"
     }
    ]
   }
  }
 ]
}
)");
}

TEST(DrainPageTest, InOtherDatabasesClientsSeeTheIdsThatTheBusStores) {
  daemon_snapshot state = test::sample_state();
  drain_report report(std::chrono::seconds(10));
  drain_stream stream;
  stream.key = "s";
  stream.database = 3;
  stream.logical = false;
  stream.quiet_for = std::chrono::minutes(1);
  stream.groups.resize(1);
  stream.groups[0].next = stream::bus_id{5, 1};
  report.add(std::move(stream));
  state.draining[0].report = std::make_shared<const drain_report>(std::move(report));
  EXPECT_THAT(render_drain_page(state), HasSubstr("\"database\": 3"));
  EXPECT_THAT(render_drain_page(state), HasSubstr("\"next_id\": \"5-1\",\n      \"next_bus_id\": \"5-1\""));
}

TEST(DrainPageTest, WithoutDrainingBusesItIsEmpty) {
  daemon_snapshot state = test::sample_state();
  state.draining.clear();
  EXPECT_EQ(render_drain_page(state), "{\n \"buses\": []\n}\n");
}

TEST(DrainPageTest, ABusThatDoesNotAnswerIsUnknownWhateverWasFoundBefore) {
  daemon_snapshot state = test::sample_state();
  drain_status& status = state.draining[0];
  status.report = std::make_shared<const drain_report>(std::chrono::seconds(0));
  EXPECT_THAT(render_drain_page(state), HasSubstr("\"state\": \"drained\",\n   \"drained\": true,"));
  status.errors[1] = "connect: \\ \"refused\"";
  EXPECT_THAT(render_drain_page(state), HasSubstr("\"state\": \"unknown\",\n   \"drained\": null,"));
  EXPECT_THAT(render_drain_page(state), HasSubstr(R"("error": "connect: \\ \"refused\"")"));
  EXPECT_THAT(render_drain_page(state), HasSubstr("\"streams\"")) << "the findings stay, with their time";
}

TEST(DrainPageTest, BeforeTheFirstCheckItSaysSo) {
  daemon_snapshot state = test::sample_state();
  state.draining[0] = {};
  state.draining[0].bus = 1;
  const std::string page = render_drain_page(state);
  EXPECT_THAT(page, HasSubstr("\"state\": \"unchecked\",\n   \"drained\": null,"));
  EXPECT_THAT(page, Not(HasSubstr("\"streams\"")));
}

TEST(StatusPageTest, SumsUpDrainingBuses) {
  daemon_snapshot state = test::sample_state();
  EXPECT_THAT(render_status_page(state, {}),
              HasSubstr("<td>engine_logic</td><td>draining</td><td>1 of 2</td><td>1</td><td>3</td><td>1</td>"
                        "<td>1</td><td>1</td><td>10</td>"));
  state.draining[0].errors[1] = "<b>";
  EXPECT_THAT(render_status_page(state, {}), HasSubstr("<td>unknown: &lt;b&gt;</td><td>-</td>"));
  state.draining.clear();
  EXPECT_THAT(render_status_page(state, {}), Not(HasSubstr("<h2>Draining</h2>")));
}

}  // namespace
}  // namespace dualbus::admin
