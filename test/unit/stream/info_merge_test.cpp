#include "replies.hpp"

#include <dualbus/stream/info_merge.hpp>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

using namespace test;
using fields = std::vector<std::pair<std::string, std::string>>;

constexpr auto resp2 = resp::protocol::resp2, resp3 = resp::protocol::resp3;

std::string map(const fields& all, resp::protocol version = resp2) {
  std::vector<std::string> flat;
  for (const auto& [name, value] : all) {
    flat.push_back(bulk(name));
    flat.push_back(value);
  }
  return version == resp2 ? array(flat) : aggregate('%', all.size(), flat);
}

std::string entry(const std::string& id) {
  return array({bulk(id), array({bulk("f"), bulk("v")})});
}

std::string stream_of(const std::string& length, const std::string& last, const std::string& deleted,
                      const std::string& first, const std::string& first_entry,
                      const std::string& last_entry) {
  return map({{"length", ":" + length + "\r\n"},
              {"radix-tree-keys", integer(1)},
              {"radix-tree-nodes", integer(2)},
              {"last-generated-id", bulk(last)},
              {"max-deleted-entry-id", bulk(deleted)},
              {"entries-added", integer(10)},
              {"recorded-first-entry-id", bulk(first)},
              {"groups", integer(1)},
              {"first-entry", first_entry},
              {"last-entry", last_entry},
              {"of-a-later-redis", bulk(last)}});
}

TEST(FieldListTest, ReadsMapsOfBothProtocols) {
  const fields all = {{"a", integer(1)}, {"b", array({bulk("x"), integer(2)})}};
  for (const auto version : {resp2, resp3}) {
    const std::string reply = map(all, version);
    const field_list list(reply);
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list["a"], ":1\r\n");
    EXPECT_EQ(list["b"], all[1].second);
    EXPECT_EQ(list["c"], "");
    EXPECT_EQ(list.begin()->first, "a");
  }
  EXPECT_EQ(field_list("+OK\r\n").size(), 0U);
  EXPECT_EQ(field_list("").size(), 0U);
}

TEST(InfoMergeTest, StreamsAddUpAndUnknownFieldsAreTheFirstBuss) {
  const std::string one = stream_of("3", "7-1", "0-0", "5-0", entry("5-0"), entry("7-1")),
                    two = stream_of("4", "6-0", "2-2", "5-0", entry("5-0"), entry("6-0")),
                    none = stream_of("0", "0-0", "0-0", "0-0", "$-1\r\n", "$-1\r\n"),
                    groups = array({map({{"name", bulk("g")}}), map({{"name", bulk("h")}})}),
                    stray = array({map({{"name", bulk("s")}})});
  info_merge merged;
  merged.add_stream(two, 2, bus_role::anchor);
  merged.add_stream(none, 3, bus_role::other);
  merged.add_stream(one, 1, bus_role::other);
  merged.add_groups(groups, 2, bus_role::anchor);
  merged.add_groups(stray, 1, bus_role::other);
  const std::string written =
      encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_stream(out, raw); }, resp3);
  EXPECT_EQ(written, map({{"length", integer(7)},
                          {"radix-tree-keys", integer(3)},
                          {"radix-tree-nodes", integer(6)},
                          {"last-generated-id", bulk("7-1000000000001")},
                          {"max-deleted-entry-id", bulk("2-2000000000002")},
                          {"entries-added", integer(30)},
                          {"recorded-first-entry-id", bulk("5-1000000000000")},
                          {"groups", integer(2)},
                          {"first-entry", entry("5-1000000000000")},
                          {"last-entry", entry("7-1000000000001")},
                          {"of-a-later-redis", bulk("6-0")}},
                         resp3));
}

TEST(InfoMergeTest, AnEmptyStreamHasNullsAndZeroIds) {
  const std::string none = stream_of("0", "0-0", "0-0", "0-0", "$-1\r\n", "$-1\r\n");
  info_merge merged;
  merged.add_stream(none, 2, bus_role::anchor);
  merged.add_stream(none, 1, bus_role::other);
  const std::string written =
      encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_stream(out, raw); });
  const field_list list(written);
  EXPECT_EQ(list["first-entry"], "$-1\r\n");
  EXPECT_EQ(list["last-entry"], "$-1\r\n");
  EXPECT_EQ(list["recorded-first-entry-id"], bulk("0-0"));
  EXPECT_EQ(list["last-generated-id"], bulk("0-0"));
}

TEST(InfoMergeTest, PositionsWithoutClientFormAreTheLastOfTheirMillisecondAndEntriesAreLeftOut) {
  const std::string foreign = "5-1000000000000";
  const std::string one = stream_of("1", foreign, foreign, foreign, entry(foreign), entry(foreign)),
                    two = stream_of("1", "4-0", "0-0", "4-0", entry("4-0"), entry("4-0"));
  info_merge merged;
  merged.add_stream(one, 1, bus_role::anchor);
  merged.add_stream(two, 2, bus_role::other);
  const std::string written =
      encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_stream(out, raw); });
  const field_list list(written);
  EXPECT_EQ(list["last-generated-id"], bulk("5-1999999999999"));
  EXPECT_EQ(list["last-entry"], entry("4-2000000000000"));
}

// --- groups

const std::string null = "$-1\r\n";

std::string consumer(const std::string& name, int seen, const std::vector<std::string>& pending) {
  return map({{"name", bulk(name)},
              {"seen-time", integer(seen)},
              {"active-time", integer(seen + 1)},
              {"pel-count", integer(static_cast<int>(pending.size()))},
              {"pending", array(pending)}});
}

std::string group(const std::string& name, const std::string& last, const std::string& read,
                  const std::string& lag, const std::vector<std::string>& pending,
                  const std::vector<std::string>& consumers) {
  return map({{"name", bulk(name)},
              {"last-delivered-id", bulk(last)},
              {"entries-read", read},
              {"lag", lag},
              {"pel-count", integer(static_cast<int>(pending.size()))},
              {"pending", array(pending)},
              {"consumers", array(consumers)}});
}

std::string full(const std::vector<std::string>& entries, const std::vector<std::string>& groups) {
  return map({{"length", integer(static_cast<int>(entries.size()))},
              {"entries", array(entries)},
              {"groups", array(groups)}});
}

std::string pending(const std::string& id, const std::string& owner) {
  return array({bulk(id), bulk(owner), integer(77), integer(1)});
}

std::string own(const std::string& id) {
  return array({bulk(id), integer(77), integer(1)});
}

std::string groups_of(const std::vector<std::pair<std::string, int>>& replies) {
  info_merge merged;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    merged.add_stream(replies[i].first, replies[i].second, i == 0 ? bus_role::anchor : bus_role::other);
  }
  return encoded([&](resp::encoder& out, base::chunk_queue&) { merged.write_groups(out); });
}

std::string group_line(const std::string& name, int consumers, int pending_count, const std::string& last,
                       const std::string& read, const std::string& lag) {
  return map({{"name", bulk(name)},
              {"consumers", integer(consumers)},
              {"pending", integer(pending_count)},
              {"last-delivered-id", bulk(last)},
              {"entries-read", read},
              {"lag", lag}});
}

TEST(InfoMergeTest, GroupsAreThoseThatWhoDecidesHas) {
  const std::string anchor = full({}, {group("h", "0-0", integer(0), integer(0), {}, {}),
                                       group("g", "0-0", integer(0), integer(0), {}, {})}),
                    other = full({}, {group("stray", "0-0", integer(0), integer(0), {}, {})});
  EXPECT_EQ(groups_of({{anchor, 2}, {other, 1}}),
            array({group_line("g", 0, 0, "0-0", integer(0), integer(0)),
                   group_line("h", 0, 0, "0-0", integer(0), integer(0))}));
  EXPECT_EQ(groups_of({{full({}, {}), 2}, {anchor, 1}}), "*0\r\n");
}

TEST(InfoMergeTest, AGroupIsWhereTheBusThatIsFarthestBehindIs) {
  const auto line_of = [](const std::string& first, const std::string& first_lag, const std::string& second,
                          const std::string& second_lag) {
    const std::string one = full({}, {group("g", first, integer(3), first_lag, {}, {})}),
                      two = full({}, {group("g", second, integer(4), second_lag, {}, {})});
    const std::string written = groups_of({{one, 1}, {two, 2}});
    return written.substr(std::string("*1\r\n").size());
  };
  EXPECT_EQ(line_of("5-0", integer(2), "9-0", integer(1)),
            group_line("g", 0, 0, "5-1000000000000", integer(7), integer(3)));
  EXPECT_EQ(line_of("5-0", integer(0), "9-0", integer(1)),
            group_line("g", 0, 0, "9-2000000000000", integer(7), integer(1)));
  EXPECT_EQ(line_of("5-0", integer(0), "9-0", integer(0)),
            group_line("g", 0, 0, "9-2000000000000", integer(7), integer(0)));
  EXPECT_EQ(line_of("5-0", null, "9-0", integer(0)),
            group_line("g", 0, 0, "5-1000000000000", integer(7), null));
}

TEST(InfoMergeTest, AConsumerOfSeveralBusesIsOne) {
  const std::string one = full(
                        {}, {group("g", "5-0", null, integer(0), {pending("5-0", "a"), pending("4-0", "b")},
                                   {consumer("a", 1, {own("5-0")}), consumer("b", 2, {own("4-0")})})}),
                    two = full({}, {group("g", "5-0", integer(1), integer(0), {pending("5-0", "a")},
                                          {consumer("a", 3, {own("5-0")}), consumer("C", 4, {})})});
  EXPECT_EQ(groups_of({{one, 1}, {two, 2}}),
            array({group_line("g", 3, 3, "5-2000000000000", null, integer(0))}));
}

TEST(InfoMergeTest, FullMergesEntriesPendingAndConsumers) {
  const std::string one = full(
      {entry("5-0"), entry("7-0")},
      {group("g", "5-0", integer(1), integer(1), {pending("5-0", "a")}, {consumer("a", 10, {own("5-0")})})});
  const std::string two =
      full({entry("5-0"), entry("6-0")},
           {group("g", "6-0", integer(2), integer(0), {pending("5-0", "a"), pending("6-0", "B")},
                  {consumer("B", 30, {own("6-0")}), consumer("a", 20, {own("5-0")})})});
  info_merge merged;
  merged.add_stream(two, 2, bus_role::anchor);
  merged.add_stream(one, 1, bus_role::other);
  const auto expected = [](std::size_t count) {
    const auto cut = [count](std::vector<std::string> all) {
      if (all.size() > count) all.resize(count);
      return all;
    };
    const auto person = [&](const std::string& name, int seen, const std::vector<std::string>& list) {
      return map({{"name", bulk(name)},
                  {"seen-time", integer(seen)},
                  {"active-time", integer(seen + 1)},
                  {"pel-count", integer(static_cast<int>(list.size()))},
                  {"pending", array(cut(list))}});
    };
    return map(
        {{"length", integer(4)},
         {"entries", array(cut({entry("5-1000000000000"), entry("5-2000000000000"), entry("6-2000000000000"),
                                entry("7-1000000000000")}))},
         {"groups",
          array({map({{"name", bulk("g")},
                      {"last-delivered-id", bulk("5-1000000000000")},
                      {"entries-read", integer(3)},
                      {"lag", integer(1)},
                      {"pel-count", integer(3)},
                      {"pending", array(cut({pending("5-1000000000000", "a"), pending("5-2000000000000", "a"),
                                             pending("6-2000000000000", "B")}))},
                      {"consumers",
                       array({person("B", 30, {own("6-2000000000000")}),
                              person("a", 20, {own("5-1000000000000"), own("5-2000000000000")})})}})})}});
  };
  for (const std::uint64_t count : {0, 1, 2, 10}) {
    const std::string written =
        encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_full(count, out, raw); });
    EXPECT_EQ(written, expected(count == 0 ? 100 : count));
  }
}

TEST(InfoMergeTest, ConsumersHaveTheSumOfWhatIsPendingAndTheShortestTimes) {
  const auto line = [](const std::string& name, int count, int idle, int inactive) {
    return map({{"name", bulk(name)},
                {"pending", integer(count)},
                {"idle", integer(idle)},
                {"inactive", integer(inactive)}},
               resp3);
  };
  const std::string one = array({line("a", 1, 50, -1), line("b", 2, 60, 8)}),
                    two = array({line("B", 0, 9, -1), line("a", 3, 40, 70), line("b", 4, 70, 5)}),
                    three = array({line("a", 0, 80, -1), line("B", 0, 19, -1)});
  info_merge merged;
  merged.add_consumers(one, 1);
  merged.add_consumers(two, 2);
  merged.add_consumers(three, 3);
  const std::string written =
      encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_consumers(out, raw); }, resp3);
  EXPECT_EQ(written, array({line("B", 0, 9, -1), line("a", 4, 40, 70), line("b", 6, 60, 5)}));
}

}  // namespace
}  // namespace dualbus::stream
