#include <dualbus/base/chunk_queue.hpp>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

std::string contents(const chunk_queue& queue) {
  iovec vectors[1024];
  const int count = queue.gather(vectors, 1024);
  std::string text;
  for (int i = 0; i < count; ++i)
    text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
  return text;
}

std::string random_text(std::mt19937& random, std::size_t length) {
  std::string text(length, ' ');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

TEST(ChunkQueueTest, IsEmptyAtFirst) {
  chunk_pool pool(512, 4);
  const chunk_queue queue(pool);
  iovec vector;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.gather(&vector, 1), 0);
}

TEST(ChunkQueueTest, AgreesWithAStringUnderRandomOperations) {
  std::mt19937 random(7);
  chunk_pool pool(512, 8);
  std::vector<chunk_queue> queues;
  std::vector<std::string> models(3);
  for (int i = 0; i < 3; ++i) queues.emplace_back(pool);
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = random() % 3, j = random() % 3;
    switch (random() % 7) {
      case 0:
      case 1: {
        const std::string text = random_text(random, random() % 8 == 0 ? random() % 3000 : random() % 100);
        queues[i].append(text);
        models[i] += text;
        break;
      }
      case 2: {
        const std::size_t reserved = random() % 257, used = random() % (reserved + 1);
        const std::string text = random_text(random, used);
        std::memcpy(queues[i].reserve(reserved), text.data(), used);
        queues[i].commit(used);
        models[i] += text;
        break;
      }
      case 3:
      case 4: {
        const std::size_t bytes = random() % (models[i].size() + 1);
        queues[i].consume(bytes);
        models[i].erase(0, bytes);
        break;
      }
      case 5: {
        const std::size_t from = random() % (models[i].size() + 1);
        const std::size_t bytes = random() % (models[i].size() - from + 1);
        queues[i].erase(from, bytes);
        models[i].erase(from, bytes);
        break;
      }
      default:
        if (i == j) break;
        queues[i].splice(queues[j]);
        models[i] += models[j];
        models[j].clear();
    }
    if (models[i].size() > 100'000) {
      queues[i].clear();
      models[i].clear();
    }
    for (std::size_t k : {i, j}) {
      ASSERT_EQ(queues[k].size(), models[k].size()) << "step " << step;
      ASSERT_EQ(queues[k].empty(), models[k].empty());
      ASSERT_EQ(contents(queues[k]), models[k]) << "step " << step;
    }
  }
}

TEST(ChunkQueueTest, ErasingEverythingGivesTheMemoryBack) {
  chunk_pool pool(512, 8);
  chunk_queue queue(pool);
  queue.append(std::string(2000, 'x'));
  queue.erase(0, 2000);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(pool.used_bytes(), 0U);
}

TEST(ChunkQueueTest, GathersNoMoreThanAskedForAndNoEmptyPieces) {
  chunk_pool pool(256, 4);
  chunk_queue queue(pool);
  for (int i = 0; i < 10; ++i) {
    queue.append(std::string(200, static_cast<char>('a' + i)));
    queue.reserve(256);  // leaves the chunk and begins another one
    queue.commit(0);
  }
  iovec vectors[64];
  ASSERT_EQ(queue.gather(vectors, 3), 3);
  const int all = queue.gather(vectors, 64);
  std::size_t bytes = 0;
  for (int i = 0; i < all; ++i) {
    EXPECT_GT(vectors[i].iov_len, 0U);
    bytes += vectors[i].iov_len;
  }
  EXPECT_EQ(bytes, 2000U);
}

TEST(ChunkQueueTest, ALargePieceNeedsFewVectors) {
  chunk_pool pool(4096, 4);
  chunk_queue queue(pool);
  const std::string text(4'000'000, 'x');
  queue.append("head");
  queue.append(text);
  iovec vectors[64];
  EXPECT_LE(queue.gather(vectors, 64), 6);
  EXPECT_EQ(contents(queue), "head" + text);
}

TEST(ChunkQueueTest, SplicesLargePiecesWithoutCopying) {
  chunk_pool pool(4096, 4);
  chunk_queue to(pool), from(pool);
  to.append("first");
  from.append(std::string(1000, 'x'));
  iovec before, after[2];
  ASSERT_EQ(from.gather(&before, 1), 1);
  to.splice(from);
  ASSERT_EQ(to.gather(after, 2), 2);
  EXPECT_EQ(after[1].iov_base, before.iov_base);
  EXPECT_TRUE(from.empty());
  from.append("again");
  EXPECT_EQ(contents(from), "again");
}

TEST(ChunkQueueTest, SplicesAPartlyConsumedPiece) {
  chunk_pool pool(4096, 4);
  chunk_queue to(pool), from(pool);
  to.append("ab");
  from.append("xxcd");
  from.consume(2);
  to.splice(from);
  EXPECT_EQ(contents(to), "abcd");
  EXPECT_EQ(to.size(), 4U);
}

TEST(ChunkQueueTest, SplicesIntoAnEmptyQueueAndFromOne) {
  chunk_pool pool(4096, 4);
  chunk_queue to(pool), from(pool);
  to.splice(from);
  EXPECT_TRUE(to.empty());
  from.append("text");
  to.splice(from);
  EXPECT_EQ(contents(to), "text");
  EXPECT_TRUE(from.empty());
}

TEST(ChunkQueueTest, AMovedQueueTakesItsBytesAlong) {
  chunk_pool pool(512, 4);
  chunk_queue first(pool);
  first.append("text");
  chunk_queue second(std::move(first));
  EXPECT_EQ(contents(second), "text");
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): the class promises it
}

TEST(ChunkQueueTest, AllOfItIsTakenOutAtOnce) {
  chunk_pool pool(512, 4);
  chunk_queue queue(pool, true);
  EXPECT_EQ(queue.take_all(), "");
  const std::string text(5000, 'x');
  queue.append("ab");
  queue.append(text);
  queue.append("end");
  queue.consume(1);
  EXPECT_EQ(queue.take_all(), "b" + text + "end");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(pool.used_bytes(), 0U);
}

TEST(ChunkQueueTest, ReusesItsChunks) {
  chunk_pool pool(512, 1);
  chunk_queue queue(pool);
  iovec first, second;
  queue.append("a");
  queue.gather(&first, 1);
  queue.consume(1);
  queue.append("b");
  queue.gather(&second, 1);
  EXPECT_EQ(first.iov_base, second.iov_base);
}

}  // namespace
}  // namespace dualbus::base
