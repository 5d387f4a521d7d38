#include <dualbus/stream/range_merge.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string entry(const std::string& id, const std::string& value) {
  return "*2\r\n" + bulk(id) + "*2\r\n" + bulk("f") + bulk(value);
}

std::string array(const std::vector<std::string>& elements) {
  std::string text = "*" + std::to_string(elements.size()) + "\r\n";
  for (const std::string& e : elements) text += e;
  return text;
}

std::string written(const range_merge& merge) {
  base::chunk_pool pool(4096, 4);
  base::chunk_queue out(pool);
  resp::encoder encoder(out);
  merge.write(encoder, out);
  std::string text;
  iovec vectors[64];
  while (!out.empty()) {
    const int count = out.gather(vectors, 64);
    std::size_t bytes = 0;
    for (int i = 0; i < count; ++i) {
      text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
      bytes += vectors[i].iov_len;
    }
    out.consume(bytes);
  }
  return text;
}

TEST(RangeMergeTest, MergesInTheOrderOfClientIds) {
  const std::string one = array({entry("5-0", "a"), entry("7-1", "b")}),
                    two = array({entry("5-0", "c"), entry("6-0", "d")});
  range_merge merge(false, std::nullopt);
  ASSERT_TRUE(merge.add(two, 2));
  ASSERT_TRUE(merge.add(one, 1));
  merge.merge();
  EXPECT_EQ(merge.latest_ms(), 7U);
  EXPECT_EQ(written(merge), array({entry("5-1000000000000", "a"), entry("5-2000000000000", "c"),
                                   entry("6-2000000000000", "d"), entry("7-1000000000001", "b")}));
}

TEST(RangeMergeTest, DescendsForReverseRangesAndCutsToCount) {
  const std::string one = array({entry("7-1", "b"), entry("5-0", "a")}),
                    two = array({entry("6-0", "d"), entry("5-0", "c")});
  range_merge merge(true, 3);
  merge.add(one, 1);
  merge.add(two, 2);
  merge.merge();
  EXPECT_EQ(merge.latest_ms(), 7U);
  EXPECT_EQ(written(merge), array({entry("7-1000000000001", "b"), entry("6-2000000000000", "d"),
                                   entry("5-2000000000000", "c")}));
}

TEST(RangeMergeTest, LeavesOutEntriesWithoutAClientForm) {
  const std::string reply = array({entry("5-1000000000000", "foreign"), entry("5-999999999999", "ours")});
  range_merge merge(false, std::nullopt);
  ASSERT_TRUE(merge.add(reply, 1));
  merge.merge();
  EXPECT_EQ(merge.omitted(), 1U);
  EXPECT_EQ(written(merge), array({entry("5-1999999999999", "ours")}));
}

TEST(RangeMergeTest, AnEmptyResultIsAnEmptyArray) {
  range_merge merge(false, 10);
  EXPECT_TRUE(merge.add("*0\r\n", 1));
  merge.merge();
  EXPECT_FALSE(merge.latest_ms());
  EXPECT_EQ(written(merge), "*0\r\n");
}

TEST(RangeMergeTest, SaysSoWhenAReplyIsNoListOfEntries) {
  range_merge merge(false, 10);
  EXPECT_FALSE(merge.add("+OK\r\n", 1));
  EXPECT_FALSE(merge.add("*1\r\n*2\r\n$1\r\nx\r\n*0\r\n", 1));
}

// I2, for the merge alone: one sorted list of everything is the oracle.
TEST(RangeMergeTest, I2_EqualsOneSortedListForRandomEntriesAndCounts) {
  std::mt19937 random(99);
  for (int round = 0; round < 2000; ++round) {
    const bool descending = random() % 2 == 0;
    std::vector<std::pair<client_id, std::string>> all;
    std::vector<std::string> replies;
    for (int slot = 0; slot < 3; ++slot) {
      std::vector<bus_id> ids(random() % 8);
      for (bus_id& id : ids) id = {1 + random() % 4, random() % 3};
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
      if (descending) std::reverse(ids.begin(), ids.end());
      std::vector<std::string> entries;
      for (const bus_id id : ids) {
        const std::string value = std::to_string(random());
        entries.push_back(entry(to_string(id), value));
        all.emplace_back(position_to_client(id, slot), value);
      }
      replies.push_back(array(entries));
    }
    std::sort(all.begin(), all.end());
    if (descending) std::reverse(all.begin(), all.end());
    std::optional<std::uint64_t> count;
    if (random() % 2 == 0) count = random() % 10;
    if (count && all.size() > *count) all.resize(*count);
    std::vector<std::string> expected;
    for (const auto& [id, value] : all) expected.push_back(entry(to_string(id), value));

    range_merge merge(descending, count);
    for (int slot = 0; slot < 3; ++slot) ASSERT_TRUE(merge.add(replies[slot], slot));
    merge.merge();
    ASSERT_EQ(written(merge), array(expected));
  }
}

}  // namespace
}  // namespace dualbus::stream
