#include "admin/drain_verdict.hpp"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using namespace std::chrono_literals;
using stream::bus_id;
using enum drain_verdict;

drain_group group_called(const std::string& name) {
  drain_group group;
  group.name = name;
  return group;
}

// Quiet for a minute, with one group that has read everything.
drain_stream finished_stream(const std::string& key = "s") {
  drain_stream stream;
  stream.key = key;
  stream.length = 3;
  stream.last_generated = {5, 3};
  stream.quiet_for = 60s;
  stream.groups.push_back(group_called("g"));
  stream.groups[0].position = {5, 3};
  return stream;
}

TEST(DrainVerdictTest, AGroupThatHasReadAndAcknowledgedAllIsDrained) {
  EXPECT_EQ(judge(group_called("g")), drained);
  EXPECT_EQ(judge(finished_stream(), 10s), drained);
}

TEST(DrainVerdictTest, UnreadPendingAndMissingEachHoldAGroup) {
  drain_group unread = group_called("g"), pending = unread, missing = unread;
  unread.next = bus_id{5, 1};
  EXPECT_EQ(judge(unread), held);
  pending.pending = 1;
  EXPECT_EQ(judge(pending), held);
  missing.missing_on = {1};
  EXPECT_EQ(judge(missing), held);
}

TEST(DrainVerdictTest, LagDecidesNothing) {
  drain_group group = group_called("g");
  group.lag = 2;  // entries that were trimmed before they were read
  EXPECT_EQ(judge(group), drained);
  group.lag.reset();  // Redis does not know
  EXPECT_EQ(judge(group), drained);
  group.lag = 0;
  group.next = bus_id{5, 1};
  EXPECT_EQ(judge(group), held);
}

TEST(DrainVerdictTest, ABusThatDidNotAnswerMakesItUnknownUnlessSomethingHoldsItAnyway) {
  drain_group group = group_called("g");
  group.unknown_on = {1};
  EXPECT_EQ(judge(group), unknown);
  drain_stream stream = finished_stream();
  stream.groups.push_back(group);
  EXPECT_EQ(judge(stream, 10s), unknown);
  stream.groups[0].pending = 1;
  EXPECT_EQ(judge(stream, 10s), held);
  group.pending = 1;
  EXPECT_EQ(judge(group), held);
}

TEST(DrainVerdictTest, AnIgnoredGroupHoldsNothing) {
  drain_stream stream = finished_stream();
  stream.groups[0].ignored = true;
  stream.groups[0].next = bus_id{5, 1};
  stream.groups[0].pending = 7;
  stream.groups[0].missing_on = {0};
  stream.groups[0].unknown_on = {1};
  EXPECT_EQ(judge(stream, 10s), drained);
}

TEST(DrainVerdictTest, AStreamThatSomebodyWritesToIsHeld) {
  drain_stream stream = finished_stream();
  stream.quiet_for = 9'999ms;
  EXPECT_EQ(judge(stream, 10s), held);
  stream.quiet_for = 10s;
  EXPECT_EQ(judge(stream, 10s), drained);
  stream.groups.clear();
  EXPECT_EQ(judge(stream, 10s), drained) << "nobody reads it in a group";
}

class QuietWatchTest : public testing::Test {
 protected:
  std::chrono::milliseconds observe(const std::string& key, bus_id id) {
    return watch_.observe(key, id, now_);
  }
  void next_check(base::duration later) {
    watch_.end();
    watch_.begin();
    now_ += later;
  }
  void SetUp() override { watch_.begin(); }

  quiet_watch watch_;
  base::time_point now_ = base::time_point() + 100s;
};

TEST_F(QuietWatchTest, CountsFromTheFirstSightOfAnId) {
  EXPECT_EQ(observe("s", {5, 1}), 0ms);
  next_check(3s);
  EXPECT_EQ(observe("s", {5, 1}), 3s);
  next_check(4s);
  EXPECT_EQ(observe("s", {5, 1}), 7s);
}

TEST_F(QuietWatchTest, AnyOtherIdStartsAnew) {
  observe("s", {5, 1});
  next_check(3s);
  EXPECT_EQ(observe("s", {5, 2}), 0ms);
  next_check(3s);
  EXPECT_EQ(observe("s", {5, 1}), 0ms) << "deleted and made again";
  next_check(3s);
  EXPECT_EQ(observe("s", {5, 1}), 3s);
}

TEST_F(QuietWatchTest, AnEmptyStreamHasAnIdToo) {
  EXPECT_EQ(observe("s", {0, 0}), 0ms);
  next_check(3s);
  EXPECT_EQ(observe("s", {0, 0}), 3s);
}

TEST_F(QuietWatchTest, ForgetsStreamsThatACompleteCheckDidNotSee) {
  observe("s", {5, 1});
  next_check(3s);
  next_check(3s);
  EXPECT_EQ(observe("s", {5, 1}), 0ms);
}

TEST_F(QuietWatchTest, RemembersOverAnIncompleteCheck) {
  observe("s", {5, 1});
  watch_.end();
  watch_.begin();  // fails, and so does not end
  watch_.begin();
  now_ += 3s;
  EXPECT_EQ(observe("s", {5, 1}), 3s);
}

TEST_F(QuietWatchTest, TellsKeysThatComeTwiceInOneCheck) {
  EXPECT_TRUE(watch_.first_time("s"));
  EXPECT_TRUE(watch_.first_time("t"));
  EXPECT_FALSE(watch_.first_time("s"));
  EXPECT_EQ(observe("s", {5, 1}), 0ms);
  next_check(3s);
  EXPECT_TRUE(watch_.first_time("s"));
  EXPECT_EQ(observe("s", {5, 1}), 3s);
}

TEST(DrainReportTest, CountsEverythingAndListsWhatHolds) {
  drain_report report(10s);
  report.add(finished_stream("done"));
  drain_stream busy = finished_stream("busy");
  busy.groups[0].next = bus_id{5, 2};
  busy.groups[0].pending = 4;
  busy.groups.push_back(group_called("slow"));
  busy.groups[1].pending = 2;
  busy.groups.push_back(group_called("lost"));
  busy.groups[2].missing_on = {0, 1};
  busy.groups.push_back(group_called("old"));
  busy.groups[3].ignored = true;
  busy.groups[3].next = bus_id{5, 1};
  busy.groups[3].pending = 100;
  busy.groups.push_back(group_called("fine"));
  report.add(std::move(busy));
  report.add_pinned("md:s", 1);
  report.set_keys(10);

  EXPECT_EQ(report.verdict(), held);
  EXPECT_EQ(report.streams(), 2u);
  EXPECT_EQ(report.streams_drained(), 1u);
  EXPECT_EQ(report.undelivered_groups(), 1u);
  EXPECT_EQ(report.pending_entries(), 6u);
  EXPECT_EQ(report.missing_groups(), 1u);
  EXPECT_EQ(report.other_keys(), 7u);
  ASSERT_EQ(report.held().rows.size(), 3u);
  EXPECT_EQ(report.held().rows[0].stream, "busy");
  EXPECT_EQ(report.held().rows[0].group->name, "g");
  EXPECT_EQ(report.held().rows[1].group->name, "slow");
  EXPECT_EQ(report.held().rows[2].group->name, "lost");
  ASSERT_EQ(report.ignored().rows.size(), 1u);
  EXPECT_EQ(report.ignored().rows[0].group->pending, 100u);
  ASSERT_EQ(report.pinned().rows.size(), 1u);
  EXPECT_EQ(report.pinned().rows[0].bus, 1);
}

TEST(DrainReportTest, AnEmptyBusIsDrained) {
  drain_report report(10s);
  report.set_keys(5);
  EXPECT_EQ(report.verdict(), drained);
  EXPECT_EQ(report.other_keys(), 5u);
}

TEST(DrainReportTest, StreamsOfOtherDatabasesHoldTheBusAndAllKeysThereAreOtherKeys) {
  drain_report report(10s);
  report.add(finished_stream());
  report.set_keys(3);
  drain_stream elsewhere = finished_stream("e");
  elsewhere.database = 3;
  elsewhere.logical = false;
  elsewhere.groups[0].next = bus_id{5, 1};
  report.add(std::move(elsewhere));
  drain_stream solo = finished_stream("solo");
  solo.database = 4;
  solo.logical = false;
  solo.groups.clear();
  report.add(std::move(solo));
  report.add_other_keys(7);
  EXPECT_EQ(report.verdict(), held);
  EXPECT_EQ(report.streams(), 3u);
  EXPECT_EQ(report.undelivered_groups(), 1u);
  EXPECT_EQ(report.other_keys(), 9u) << "two of its own database, seven of others";
  ASSERT_EQ(report.held().rows.size(), 1u);
  EXPECT_EQ(report.held().rows[0].database, 3);
  ASSERT_EQ(report.ungrouped().rows.size(), 1u);
  EXPECT_EQ(report.ungrouped().rows[0].database, 4);
}

TEST(DrainReportTest, OneUnknownStreamMakesTheBusUnknownAndOneHeldStreamHeld) {
  drain_report report(10s);
  report.add(finished_stream("a"));
  drain_stream unclear = finished_stream("b");
  unclear.groups[0].unknown_on = {1};
  report.add(std::move(unclear));
  EXPECT_EQ(report.verdict(), unknown);
  EXPECT_EQ(report.held().total, 1u) << "it is listed";
  drain_stream busy = finished_stream("c");
  busy.groups[0].pending = 1;
  report.add(std::move(busy));
  EXPECT_EQ(report.verdict(), held);
}

TEST(DrainReportTest, AStreamThatIsNotQuietIsARowWithoutGroup) {
  drain_report report(10s);
  drain_stream busy = finished_stream();
  busy.quiet_for = 2s;
  report.add(std::move(busy));
  ASSERT_EQ(report.held().rows.size(), 1u);
  EXPECT_FALSE(report.held().rows[0].group);
  EXPECT_EQ(report.held().rows[0].quiet_for, 2s);
}

TEST(DrainReportTest, OnlyStreamsWithEntriesCountAsUngrouped) {
  drain_report report(10s);
  drain_stream stream = finished_stream("entries");
  stream.groups.clear();
  drain_stream empty = stream;
  empty.key = "empty";
  empty.length = 0;
  report.add(std::move(stream));
  report.add(std::move(empty));
  EXPECT_EQ(report.verdict(), drained);
  ASSERT_EQ(report.ungrouped().rows.size(), 1u);
  EXPECT_EQ(report.ungrouped().rows[0].stream, "entries");
  EXPECT_EQ(report.ungrouped().rows[0].length, 3u);
}

TEST(DrainReportTest, ListsAreBoundedAndTheirTotalsAreNot) {
  drain_report report(10s);
  for (int i = 0; i < 1200; ++i) {
    drain_stream stream = finished_stream(std::to_string(i));
    stream.groups[0].pending = 1;
    report.add(std::move(stream));
  }
  EXPECT_EQ(report.held().total, 1200u);
  EXPECT_EQ(report.held().rows.size(), drain_report::max_listed);
  EXPECT_EQ(report.pending_entries(), 1200u);
}

TEST(DrainReportTest, KeysThatVanishDuringACheckNeverMakeTheRestNegative) {
  drain_report report(10s);
  report.add(finished_stream());
  report.set_keys(0);
  EXPECT_EQ(report.other_keys(), 0u);
}

}  // namespace
}  // namespace dualbus::admin
