#include <dualbus/stream/bounds.hpp>

#include <limits>
#include <optional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

constexpr std::uint64_t max_number = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t last_seq = slot_span - 1;

// A small world that has every edge: the first and last milliseconds, and sequences at both ends of a slot's
// span.
const std::vector<std::uint64_t> world_ms = {0, 1, 2, 1000, max_number - 1, max_number};
const std::vector<std::uint64_t> world_seq = {0, 1, 5, last_seq - 1, last_seq};

std::vector<bus_id> raw_ids() {
  std::vector<bus_id> ids;
  for (const auto ms : world_ms) {
    for (const auto seq : world_seq) {
      if (ms != 0 || seq != 0) ids.push_back({ms, seq});  // 0-0 is no entry's ID
    }
  }
  return ids;
}

std::vector<client_id> interesting_bounds() {
  std::vector<client_id> ids;
  for (const auto ms : world_ms) {
    for (const std::uint64_t slot : {0, 1, 2, 3, 127, 128, 5000}) {
      for (const auto seq : world_seq) ids.push_back({ms, slot * slot_span + seq});
    }
    ids.push_back({ms, max_number});
  }
  return ids;
}

bool in_range(bus_id id, const std::optional<bound<bus_id>>& start, const std::optional<bound<bus_id>>& end) {
  if (!start || !end) return false;
  const bool after = start->exclusive ? start->id < id : start->id <= id;
  const bool before = end->exclusive ? id < end->id : id <= end->id;
  return after && before;
}

// I1: each conversion selects exactly the entries whose client form satisfies the client's bound.
TEST(BoundsTest, I1_ConvertedRangesSelectExactlyWhatTheClientsBoundSelects) {
  const bound<client_id> everything_before{{0, 0}, false}, everything_after{{max_number, max_number}, false};
  for (const int slot : {0, 1, 2, 127}) {
    for (const client_id x : interesting_bounds()) {
      for (const bool exclusive : {false, true}) {
        const bound<client_id> b{x, exclusive};
        const auto as_start = start_on(slot, b), to_the_end = end_on(slot, everything_after);
        const auto from_the_start = start_on(slot, everything_before), as_end = end_on(slot, b);
        for (const bus_id raw : raw_ids()) {
          const client_id shown = position_to_client(raw, slot);
          ASSERT_EQ(in_range(raw, as_start, to_the_end), exclusive ? x < shown : x <= shown)
              << to_string(raw) << " from " << (exclusive ? "(" : "") << to_string(x) << " on " << slot;
          if (exclusive && x == client_id{0, 0}) continue;  // refused as a bound
          ASSERT_EQ(in_range(raw, from_the_start, as_end), exclusive ? shown < x : shown <= x)
              << to_string(raw) << " to " << (exclusive ? "(" : "") << to_string(x) << " on " << slot;
        }
      }
    }
  }
}

TEST(BoundsTest, I1_ReadingAfterAnIdGivesExactlyWhatComesBehindIt) {
  for (const int slot : {0, 1, 2, 127}) {
    for (const client_id x : interesting_bounds()) {
      const bus_id after = after_on(slot, x);
      for (const bus_id raw : raw_ids()) {
        ASSERT_EQ(after < raw, x < position_to_client(raw, slot))
            << to_string(raw) << " after " << to_string(x) << " on " << slot;
      }
    }
  }
}

TEST(BoundsTest, I1_MinIdKeepsExactlyWhatIsNotBelowIt) {
  for (const int slot : {0, 1, 2, 127}) {
    for (const client_id x : interesting_bounds()) {
      const bus_id least = min_id_on(slot, x);
      for (const bus_id raw : raw_ids()) {
        // No ID is above MAX-MAX, so "nothing is left" and "everything below it goes" are the same.
        ASSERT_EQ(least <= raw, x <= position_to_client(raw, slot))
            << to_string(raw) << " from " << to_string(x) << " on " << slot;
      }
    }
  }
}

TEST(BoundsTest, I1_RandomIdsAgreeWithTheDefinitions) {
  std::mt19937_64 random(4242);
  for (int i = 0; i < 200'000; ++i) {
    const int slot = static_cast<int>(random() % slot_count);
    const bus_id raw{random() % 4 + (random() % 2 ? 0 : max_number - 3), random() % slot_span};
    if (raw == bus_id{}) continue;
    const client_id near{raw.ms + random() % 3 - 1,
                         (random() % (slot_count + 2)) * slot_span + random() % slot_span};
    const client_id shown = position_to_client(raw, slot);
    const auto floor = floor_on(slot, near);
    ASSERT_EQ(floor && raw <= *floor, shown <= near);
    const auto ceiling = ceiling_on(slot, near);
    ASSERT_EQ(ceiling && *ceiling <= raw, near <= shown);
  }
}

TEST(BoundsTest, ReadsEveryFormOfABound) {
  EXPECT_EQ(parse_start("-").value, (bound<client_id>{{0, 0}, false}));
  EXPECT_EQ(parse_end("+").value, (bound<client_id>{{max_number, max_number}, false}));
  EXPECT_EQ(parse_start("5").value, (bound<client_id>{{5, 0}, false}));
  EXPECT_EQ(parse_end("5").value, (bound<client_id>{{5, max_number}, false}));
  EXPECT_EQ(parse_start("(5-3").value, (bound<client_id>{{5, 3}, true}));
  EXPECT_EQ(parse_end("(5").value, (bound<client_id>{{5, max_number}, true}));
  // As C strings.
  using namespace std::string_view_literals;
  EXPECT_EQ(parse_start("-\0x"sv).value, (bound<client_id>{{0, 0}, false}));
  EXPECT_EQ(parse_end("+\0"sv).value, (bound<client_id>{{max_number, max_number}, false}));
  EXPECT_EQ(parse_end("(5\0-3"sv).value, (bound<client_id>{{5, max_number}, true}));
}

TEST(BoundsTest, RefusesWhatRedisRefuses) {
  for (const char* bad : {"(-", "(+", "", "(", "x", "5-", "1-2-3"}) {
    EXPECT_EQ(parse_start(bad).error, bound_error::invalid_id) << bad;
    EXPECT_EQ(parse_end(bad).error, bound_error::invalid_id) << bad;
  }
  EXPECT_EQ(parse_start("(18446744073709551615-18446744073709551615").error, bound_error::empty_interval);
  EXPECT_EQ(parse_end("(0-0").error, bound_error::empty_interval);
  EXPECT_FALSE(parse_start("(0-0").error);
  EXPECT_FALSE(parse_end("(18446744073709551615-18446744073709551615").error);
}

TEST(BoundsTest, WritesBoundsAsRedisReadsThem) {
  EXPECT_EQ(to_string(bound<bus_id>{{5, 3}, true}), "(5-3");
  EXPECT_EQ(to_string(bound<bus_id>{{5, 3}, false}), "5-3");
}

}  // namespace
}  // namespace dualbus::stream
