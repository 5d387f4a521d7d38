#include "replies.hpp"

#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/claims.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

using namespace test;

constexpr std::uint64_t most = ~std::uint64_t{0};

client_id shown(std::uint64_t ms, std::uint64_t seq, int slot) {
  return position_to_client({ms, seq}, slot);
}

std::string entry(const std::string& id, const std::string& value) {
  return array({bulk(id), array({bulk("f"), bulk(value)})});
}

std::string written(const std::vector<claimed>& claims) {
  return encoded([&](resp::encoder& out, base::chunk_queue& raw) { write_claims(claims, out, raw); });
}

std::string written(const autoclaim_walk& walk) {
  return encoded([&](resp::encoder& out, base::chunk_queue& raw) { walk.write(out, raw); });
}

// --- XCLAIM

TEST(ClaimMergeTest, FollowsTheOrderOfTheRequestAndKeepsDuplicates) {
  const client_id a = shown(5, 0, 1), b = shown(5, 0, 2), c = shown(9, 0, 1);
  const std::string one = array({entry("9-0", "c"), entry("5-0", "a"), entry("5-0", "a")}),
                    two = array({entry("5-0", "b")});
  claim_merge merged;
  EXPECT_TRUE(merged.empty());
  merged.add("*0\r\n", 3);
  EXPECT_TRUE(merged.empty());
  merged.add(one, 1);
  merged.add(two, 2);
  EXPECT_FALSE(merged.empty());
  EXPECT_EQ(written(merged.in_order_of({c, b, a, a})),
            array({entry("9-1000000000000", "c"), entry("5-2000000000000", "b"),
                   entry("5-1000000000000", "a"), entry("5-1000000000000", "a")}));
}

TEST(ClaimMergeTest, PassesOverWhatWasNotClaimed) {
  const std::string one = array({bulk("5-0"), bulk("7-0")});
  claim_merge merged;
  merged.add(one, 1);
  const std::vector<client_id> ids = {shown(4, 0, 1), shown(5, 0, 2), shown(5, 0, 1), shown(5, 0, 1),
                                      shown(6, 0, 9), shown(7, 0, 1), shown(8, 0, 1)};
  EXPECT_EQ(written(merged.in_order_of(ids)), array({bulk("5-1000000000000"), bulk("7-1000000000000")}));
}

// --- XAUTOCLAIM

std::string answer(const std::string& cursor, const std::vector<std::string>& claims,
                   const std::vector<std::string>& deleted = {}) {
  return array({bulk(cursor), array(claims), array(deleted)});
}

void expect_step(autoclaim_walk& walk, std::size_t bus, const std::string& start, std::uint64_t count) {
  const auto step = walk.next();
  ASSERT_TRUE(step);
  EXPECT_EQ(step->bus, bus);
  EXPECT_EQ(step->start, start);
  EXPECT_EQ(step->count, count);
}

TEST(AutoclaimWalkTest, BeginsAtTheFirstSlotThatIsNotBelowTheStarts) {
  struct {
    const char* start;
    std::size_t bus;
    const char* there;
  } const cases[] = {
      {"-", 0, "0-0"},
      {"0-0", 0, "0-0"},
      {"7-3", 0, "0-0"},
      {"7-1000000000003", 0, "7-3"},
      {"(7-1000000000003", 0, "(7-3"},
      {"7-3000000000003", 1, "0-0"},
      {"(7-3000000000003", 1, "0-0"},
      {"0-5000000000000", 1, "0-0"},
      {"7-5000000000000", 1, "7-0"},
  };
  for (const auto& c : cases) {
    autoclaim_walk walk({1, 5}, parse_start(c.start).value, 9);
    expect_step(walk, c.bus, c.there, 9);
  }
  EXPECT_FALSE(autoclaim_walk({1, 5}, parse_start("7-6000000000000").value, 9).next());
  EXPECT_FALSE(autoclaim_walk({1, 5}, parse_start("+").value, 9).next());
}

TEST(AutoclaimWalkTest, GoesOnWithWhatIsLeftOfCount) {
  autoclaim_walk walk({0, 1, 2}, {}, 5);
  expect_step(walk, 0, "0-0", 5);
  EXPECT_EQ(walk.take(answer("0-0", {entry("5-0", "a")}, {bulk("5-1")})), 0U);
  expect_step(walk, 1, "0-0", 3);
  walk.skip();
  expect_step(walk, 2, "0-0", 3);
  EXPECT_EQ(walk.take(answer("9-9", {entry("6-0", "b"), entry("7-0", "c")}, {bulk("8-0")})), 0U);
  EXPECT_FALSE(walk.next());
  EXPECT_FALSE(walk.empty());
  EXPECT_EQ(written(walk),
            answer("9-2000000000009",
                   {entry("5-0", "a"), entry("6-2000000000000", "b"), entry("7-2000000000000", "c")},
                   {bulk("5-1"), bulk("8-2000000000000")}));
}

TEST(AutoclaimWalkTest, WhenCountIsUsedUpTheNextBusIsTheCursor) {
  autoclaim_walk walk({1, 4}, {}, 1);
  expect_step(walk, 0, "0-0", 1);
  walk.take(answer("0-0", {bulk("5-0")}));
  EXPECT_FALSE(walk.next());
  EXPECT_EQ(written(walk), answer("0-4000000000000", {bulk("5-1000000000000")}));
}

TEST(AutoclaimWalkTest, TheFirstCursorIsKeptWhileOtherBusesAreReached) {
  autoclaim_walk walk({1, 4}, {}, 2);
  walk.next();
  walk.take(answer("31-0", {}));
  expect_step(walk, 1, "0-0", 2);
  walk.take(answer("40-0", {bulk("5-0")}));
  EXPECT_FALSE(walk.next());
  EXPECT_EQ(written(walk), answer("31-1000000000000", {bulk("5-4000000000000")}));
}

TEST(AutoclaimWalkTest, WhenABusFailsTheCursorLeadsThere) {
  autoclaim_walk walk({1, 4, 5}, {}, 2);
  walk.next();
  walk.take(answer("0-0", {bulk("5-0")}));
  walk.next();
  walk.stop();
  EXPECT_FALSE(walk.next());
  EXPECT_EQ(written(walk), answer("0-4000000000000", {bulk("5-1000000000000")}));
}

TEST(AutoclaimWalkTest, WithoutAnythingItIsEmptyAndOver) {
  autoclaim_walk walk({1, 4}, {}, 2);
  while (walk.next()) walk.skip();
  EXPECT_TRUE(walk.empty());
  EXPECT_EQ(written(walk), answer("0-0", {}));
}

TEST(AutoclaimWalkTest, CursorsAndEntriesWithoutClientFormAreLeftBehind) {
  autoclaim_walk walk({1}, {}, 2);
  walk.next();
  EXPECT_EQ(walk.take(answer("5-1000000000002", {bulk("5-0"), bulk("5-1000000000001")}, {})), 1U);
  EXPECT_FALSE(walk.next());
  EXPECT_EQ(written(walk), answer("6-1000000000000", {bulk("5-1000000000000")}));

  autoclaim_walk end({1}, {}, 2);
  end.next();
  EXPECT_EQ(end.take(answer(std::to_string(most) + "-1000000000002", {}, {bulk("5-1000000000001")})), 1U);
  EXPECT_EQ(written(end), answer("0-0", {}));
}

// A bus as Redis has it: scans at most ten times COUNT pending entries, in order.
struct naive_bus {
  struct pending {
    bool old, deleted;
  };
  std::map<bus_id, pending> entries;

  std::string autoclaim(const std::string& start, std::uint64_t count, bool any_age) {
    const stream::parsed_bound from = parse_start(start);
    std::uint64_t attempts = 10 * count;
    std::vector<std::string> claims, deleted;
    auto at = entries.lower_bound({from.value.id.ms, from.value.id.seq});
    if (from.value.exclusive && at != entries.end() &&
        at->first == bus_id{from.value.id.ms, from.value.id.seq})
      ++at;
    while (attempts-- > 0 && count > 0 && at != entries.end()) {
      if (at->second.deleted) {
        deleted.push_back(bulk(to_string(at->first)));
        at = entries.erase(at);
        --count;
        continue;
      }
      if (any_age || at->second.old) {
        claims.push_back(bulk(to_string(at->first)));
        at->second.old = false;
        --count;
      }
      ++at;
    }
    return answer(at == entries.end() ? "0-0" : to_string(at->first), claims, deleted);
  }
};

struct naive_world {
  std::vector<int> slots;
  std::vector<naive_bus> buses;

  // Cursor, claims and deleted IDs of one call.
  std::vector<std::vector<std::string>> call(const std::string& start, std::uint64_t count, bool any_age) {
    autoclaim_walk walk(slots, parse_start(start).value, count);
    while (const auto step = walk.next())
      walk.take(buses[step->bus].autoclaim(step->start, step->count, any_age));
    const std::string reply = written(walk);
    resp::reply_reader reader(reply);
    reader.next();
    std::vector<std::vector<std::string>> result = {{std::string(reader.next().text)}, {}, {}};
    for (int part = 1; part < 3; ++part) {
      for (auto left = reader.next().elements; left > 0; --left)
        result[part].emplace_back(reader.next().text);
    }
    return result;
  }
};

naive_world random_world(std::mt19937_64& random, double old, double deleted) {
  naive_world world;
  std::set<int> slots;
  while (slots.size() < 1 + random() % 3) slots.insert(static_cast<int>(random() % 4));
  world.slots.assign(slots.begin(), slots.end());
  std::uniform_real_distribution<double> chance;
  for (std::size_t bus = 0; bus < slots.size(); ++bus) {
    naive_bus& b = world.buses.emplace_back();
    for (std::size_t n = random() % 60; n > 0; --n) {
      b.entries[{1 + random() % 20, random() % 4}] = {chance(random) < old, chance(random) < deleted};
    }
  }
  return world;
}

TEST(AutoclaimWalkTest, I10_AFullWalkClaimsEachEntryOnceAndReportsEachDeletedIdOnce) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    naive_world world = random_world(random, 1, 0.2);
    std::multiset<std::string> expected_claims, expected_deleted;
    for (std::size_t bus = 0; bus < world.buses.size(); ++bus) {
      for (const auto& [id, p] : world.buses[bus].entries) {
        (p.deleted ? expected_deleted : expected_claims)
            .insert(to_string(position_to_client(id, world.slots[bus])));
      }
    }
    std::multiset<std::string> claims, deleted;
    std::string cursor = "0-0";
    std::size_t calls = 0;
    do {
      const std::uint64_t count = 1 + random() % 8;
      const auto reply = world.call(cursor, count, true);
      ASSERT_LE(reply[1].size() + reply[2].size(), count);
      cursor = reply[0][0];
      claims.insert(reply[1].begin(), reply[1].end());
      deleted.insert(reply[2].begin(), reply[2].end());
      ASSERT_LT(++calls, 400U);
    } while (cursor != "0-0");
    EXPECT_EQ(claims, expected_claims);
    EXPECT_EQ(deleted, expected_deleted);
  }
}

// Redis alone does not promise this: behind enough young entries it never comes to the old ones. So there
// are fewer young entries than it scans.
TEST(AutoclaimWalkTest, I10_RepeatedCallsFromTheBeginningReachTheOldEntriesOfEveryBus) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    naive_world world = random_world(random, 0.2, 0);
    const std::uint64_t count = 6 + random() % 5;
    const auto left = [&] {
      std::size_t n = 0;
      for (const naive_bus& b : world.buses) {
        for (const auto& [id, p] : b.entries) n += p.old ? 1 : 0;
      }
      return n;
    };
    for (std::size_t before = left(); before > 0; before = left()) {
      world.call("0-0", count, false);
      ASSERT_LT(left(), before);
    }
  }
}

}  // namespace
}  // namespace dualbus::stream
