// Every merge stands every combination of what buses may answer, of the same moment or not: the written reply
// is one whole RESP value, and its figures are those that a plain sum over the buses gives.

#include "replies.hpp"

#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>
#include <dualbus/stream/claims.hpp>
#include <dualbus/stream/info_merge.hpp>
#include <dualbus/stream/pending_merge.hpp>
#include <dualbus/stream/range_merge.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

using namespace test;
using strings = std::vector<std::string>;

constexpr long long most = std::numeric_limits<std::int64_t>::max();
const std::string null = "$-1\r\n";

// RESP, but nothing that Redis answers.
const strings nonsense = {":7\r\n",
                          "+OK\r\n",
                          null,
                          "*-1\r\n",
                          "_\r\n",
                          "*1\r\n:1\r\n",
                          "*1\r\n%2\r\n$3\r\n5-0\r\n:1\r\n:2\r\n:3\r\n",
                          "*1\r\n*3\r\n$3\r\n5-0\r\n*0\r\n*0\r\n",
                          "*2\r\n$1\r\nx\r\n*1\r\n*0\r\n",
                          "%1\r\n+a\r\n%0\r\n",
                          "*3\r\n:-9223372036854775808\r\n*0\r\n*2\r\n*0\r\n*0\r\n"};

void expect_whole(const std::string& reply) {
  resp::reply_scanner scanner;
  ASSERT_EQ(scanner.scan(reply), resp::scan_status::complete) << reply;
  ASSERT_EQ(scanner.consumed(), reply.size()) << reply;
}

/// Calls `see(indices)` with every choice of one of `choices` for each of `places`.
template <typename See>
void all_combinations(std::size_t choices, std::size_t places, See&& see) {
  std::vector<std::size_t> indices(places, 0);
  for (;;) {
    see(indices);
    std::size_t at = 0;
    while (at < places && ++indices[at] == choices) indices[at++] = 0;
    if (at == places) return;
  }
}

std::string map(const std::vector<std::pair<std::string, std::string>>& fields) {
  strings flat;
  for (const auto& [name, value] : fields) flat.insert(flat.end(), {bulk(name), value});
  return array(flat);
}

std::string entry(const std::string& id) {
  return array({bulk(id), array({bulk("f"), bulk("v")})});
}

// --- XINFO STREAM

constexpr bus_role roles[] = {bus_role::anchor, bus_role::draining, bus_role::other};

std::string stream_reply(long long length, long long groups) {
  const std::string edge = length > 0 ? entry("5-0") : null;
  return map({{"length", integer(length)},
              {"last-generated-id", bulk("5-0")},
              {"groups", integer(groups)},
              {"first-entry", edge},
              {"last-entry", edge}});
}

TEST(MergeCombinationsTest, StreamsAndTheirGroupsOfDifferentMoments) {
  struct description_of {
    std::optional<long long> length;
    long long groups;
  };
  const std::vector<description_of> streams = {{std::nullopt, 0}, {0, 0}, {0, 1}, {2, 0}, {3, 2},
                                               {most, most}};
  const std::vector<std::optional<strings>> groups = {std::nullopt, strings{}, strings{"a"},
                                                      strings{"a", "b"}};
  all_combinations(streams.size(), 3, [&](const std::vector<std::size_t>& on) {
    all_combinations(groups.size(), 2, [&](const std::vector<std::size_t>& of) {
      info_merge merged;
      strings replies;
      replies.reserve(5);
      long long length = 0, groups_least = 0;
      bool any = false;
      for (std::size_t bus = 0; bus < 3; ++bus) {
        const description_of& what = streams[on[bus]];
        if (!what.length) continue;
        replies.push_back(stream_reply(*what.length, what.groups));
        ASSERT_TRUE(merged.add_stream(replies.back(), static_cast<int>(bus) + 1, roles[bus]));
        any = true;
        length = *what.length > most - length ? most : length + *what.length;
        if (roles[bus] != bus_role::other) groups_least = std::max(groups_least, what.groups);
      }
      std::vector<std::string> names;
      for (std::size_t bus = 0; bus < 2; ++bus) {
        if (!groups[of[bus]]) continue;
        strings lines;
        for (const std::string& name : *groups[of[bus]]) {
          lines.push_back(map({{"name", bulk(name)}}));
          if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
        }
        replies.push_back(array(lines));
        ASSERT_TRUE(merged.add_groups(replies.back(), static_cast<int>(bus) + 1, roles[bus]));
      }
      const std::string written =
          encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_stream(out, raw); });
      expect_whole(written);
      ASSERT_EQ(merged.no_stream(), !any);
      if (!any) return;
      const field_list fields(written);
      EXPECT_EQ(fields["length"], integer(length));
      EXPECT_EQ(fields["groups"],
                integer(std::max<long long>(groups_least, static_cast<long long>(names.size()))));
    });
  });
}

// --- XINFO GROUPS, XINFO STREAM FULL

struct group_part {
  long long length, added;  // of the stream; without a length there is none
  bool has_group;
  std::optional<long long> read, lag;
  long long last, pending;
  strings consumers;
};

std::string number_or_null(std::optional<long long> value) {
  return value ? integer(*value) : null;
}

std::string full_reply(const group_part& part) {
  strings consumers, entries;
  for (const std::string& name : part.consumers)
    consumers.push_back(map({{"name", bulk(name)},
                             {"seen-time", integer(1)},
                             {"pel-count", integer(0)},
                             {"pending", array({})}}));
  const std::string group = map({{"name", bulk("g")},
                                 {"last-delivered-id", bulk(std::to_string(part.last) + "-0")},
                                 {"entries-read", number_or_null(part.read)},
                                 {"lag", number_or_null(part.lag)},
                                 {"pel-count", integer(part.pending)},
                                 {"pending", array({})},
                                 {"consumers", array(consumers)}});
  return map({{"length", integer(part.length)},
              {"entries-added", integer(part.added)},
              {"entries", array({entry("5-0")})},
              {"groups", part.has_group ? array({group}) : array({})}});
}

TEST(MergeCombinationsTest, AGroupThatIsMissingOnSomeBuses) {
  const std::vector<group_part> parts = {{-1, 0, false, {}, {}, 0, 0, {}},      // no key
                                         {0, 9, false, {}, {}, 0, 0, {}},       // an empty stream
                                         {5, 7, false, {}, {}, 0, 0, {}},       // entries that nobody has had
                                         {5, 7, true, 7, 0, 9, 3, {"a"}},       // all is read
                                         {5, 7, true, 4, 3, 6, 1, {"a", "b"}},  // some is left
                                         {5, 7, true, {}, {}, 7, 0, {"b"}},     // nobody can tell
                                         {most, most, true, most, most, 8, most, {"c"}}};
  all_combinations(parts.size(), 3, [&](const std::vector<std::size_t>& on) {
    info_merge merged;
    strings replies;
    replies.reserve(3);
    const auto add = [](std::optional<long long> a, std::optional<long long> b) {
      if (!a || !b) return std::optional<long long>();
      return std::optional<long long>(*b > most - *a ? most : *a + *b);
    };
    std::optional<long long> read = 0, lag = 0;
    std::optional<client_id> behind, farthest;
    bool exists = false, untouched = false;
    long long pending = 0;
    std::vector<std::string> consumers;
    for (std::size_t bus = 0; bus < 3; ++bus) {
      const group_part& part = parts[on[bus]];
      const int slot = static_cast<int>(bus) + 1;
      if (part.length < 0) continue;
      replies.push_back(full_reply(part));
      ASSERT_TRUE(merged.add_stream(replies.back(), slot, roles[bus]));
      if (part.has_group) {
        exists |= roles[bus] != bus_role::other;
        read = add(read, part.read);
        lag = add(lag, part.lag);
        pending = *add(pending, part.pending);
        const client_id last = position_to_client({static_cast<std::uint64_t>(part.last), 0}, slot);
        if (part.lag != 0 && (!behind || last < *behind)) behind = last;
        if (!farthest || *farthest < last) farthest = last;
        consumers.insert(consumers.end(), part.consumers.begin(), part.consumers.end());
      } else if (roles[bus] != bus_role::draining) {
        read = add(read, part.added - part.length);
        lag = add(lag, part.length);
        untouched |= part.length > 0;
      }
    }
    const std::string full =
        encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_full(1, out, raw); });
    expect_whole(full);
    const std::string written =
        encoded([&](resp::encoder& out, base::chunk_queue&) { merged.write_groups(out); });
    expect_whole(written);
    if (!exists) {
      EXPECT_EQ(written, "*0\r\n");
      return;
    }
    std::sort(consumers.begin(), consumers.end());
    consumers.erase(std::unique(consumers.begin(), consumers.end()), consumers.end());
    const client_id last = untouched ? client_id{} : behind ? *behind : *farthest;
    EXPECT_EQ(written, array({map({{"name", bulk("g")},
                                   {"consumers", integer(static_cast<long long>(consumers.size()))},
                                   {"pending", integer(pending)},
                                   {"last-delivered-id", bulk(to_string(last))},
                                   {"entries-read", number_or_null(read)},
                                   {"lag", number_or_null(lag)}})}));
    // FULL says the same of it.
    const field_list stream_fields(full);
    resp::reply_reader groups(stream_fields["groups"]);
    ASSERT_EQ(groups.next().elements, 1U);
    const field_list group(groups.rest());
    EXPECT_EQ(group["last-delivered-id"], bulk(to_string(last)));
    EXPECT_EQ(group["lag"], number_or_null(lag));
    EXPECT_EQ(group["entries-read"], number_or_null(read));
  });
}

// --- the others

// Reads what `add` made of each combination of `good` and of nonsense on two buses.
template <typename Merge>
void check_all(const strings& good, Merge&& merge) {
  strings replies = good;
  replies.insert(replies.end(), nonsense.begin(), nonsense.end());
  all_combinations(replies.size(), 2, [&](const std::vector<std::size_t>& of) {
    expect_whole(merge(replies[of[0]], replies[of[1]]));
  });
}

TEST(MergeCombinationsTest, EveryMergeWritesOneValueWhateverBusesSay) {
  const strings infos = {stream_reply(3, 1), full_reply({5, 7, true, 4, 3, 6, 1, {"a"}})};
  check_all(infos, [](const std::string& one, const std::string& two) {
    std::string all = "*4\r\n";
    info_merge merged;
    merged.add_stream(one, 1, bus_role::anchor);
    merged.add_groups(two, 1, bus_role::anchor);
    merged.add_stream(two, 2, bus_role::other);
    merged.add_consumers(one, 1);
    merged.add_consumers(two, 2);
    all += encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_stream(out, raw); });
    all += encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_full(2, out, raw); });
    all += encoded([&](resp::encoder& out, base::chunk_queue&) { merged.write_groups(out); });
    return all +
           encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write_consumers(out, raw); });
  });
  const auto summary = [](const std::string& total, const std::string& count) {
    return array({total, bulk("1-1"), bulk("2-2"), array({array({bulk("c"), bulk(count)})})});
  };
  check_all({summary(integer(most), std::to_string(most)), summary(integer(1), "1"),
             array({integer(0), null, null, "*-1\r\n"})},
            [](const std::string& one, const std::string& two) {
              pending_summary merged;
              merged.add(one, 1);
              merged.add(two, 2);
              return encoded([&](resp::encoder& out, base::chunk_queue&) { merged.write(out); });
            });
  const std::string pending = array({bulk("5-0"), bulk("c"), integer(1), integer(1)}),
                    foreign = array({bulk("5-1000000000000"), bulk("c"), integer(1), integer(1)});
  check_all({array({}), array({pending}), array({foreign, pending})},
            [](const std::string& one, const std::string& two) {
              pending_merge merged;
              merged.add(one, 1);
              merged.add(two, 2);
              merged.merge(1);
              return encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write(out, raw); });
            });
  const strings entries = {array({}), array({entry("5-0")}), array({entry("5-0"), entry("5-1000000000000")}),
                           array({null, entry("6-0")}), array({bulk("5-0"), bulk("6-0")})};
  check_all(entries, [](const std::string& one, const std::string& two) {
    range_merge merged(false, 3);
    merged.add(one, 1);
    merged.add(two, 2);
    merged.merge();
    return encoded([&](resp::encoder& out, base::chunk_queue& raw) { merged.write(out, raw); });
  });
  check_all(entries, [](const std::string& one, const std::string& two) {
    claim_merge merged;
    merged.add(one, 1);
    merged.add(two, 2);
    const auto claims = merged.in_order_of({{5, slot_span}, {5, 2 * slot_span}, {6, slot_span}});
    return encoded([&](resp::encoder& out, base::chunk_queue& raw) { write_claims(claims, out, raw); });
  });
  strings walks;
  for (const std::string& claims : entries) {
    for (const std::string cursor :
         {"0-0", "5-1", "5-1000000000000", "18446744073709551615-1000000000000", "x"})
      walks.push_back(array({bulk(cursor), claims, array({bulk("4-4")})}));
  }
  check_all(walks, [](const std::string& one, const std::string& two) {
    autoclaim_walk walk({1, 2}, {{0, 0}, false}, 3);
    const std::string* next = &one;
    while (walk.next()) {
      walk.take(*next);
      next = &two;
    }
    return encoded([&](resp::encoder& out, base::chunk_queue& raw) { walk.write(out, raw); });
  });
}

TEST(MergeCombinationsTest, SumsEndAtTheLargestNumber) {
  const std::string much = array(
      {integer(most), bulk("1-1"), bulk("2-2"), array({array({bulk("c"), bulk(std::to_string(most))})})});
  pending_summary merged;
  merged.add(much, 1);
  merged.add(much, 2);
  EXPECT_EQ(encoded([&](resp::encoder& out, base::chunk_queue&) { merged.write(out); }),
            array({integer(most), bulk("1-1000000000001"), bulk("2-2000000000002"),
                   array({array({bulk("c"), bulk(std::to_string(most))})})}));
}

}  // namespace
}  // namespace dualbus::stream
