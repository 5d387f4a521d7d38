#include <dualbus/base/read_buffer.hpp>

#include <cstring>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

TEST(ReadBufferTest, OwnsNoMemoryUntilItPrepares) {
  read_buffer buffer;
  EXPECT_EQ(buffer.capacity(), 0U);
  EXPECT_TRUE(buffer.empty());
  EXPECT_TRUE(buffer.data().empty());
  buffer.consume(0);
  EXPECT_GE(buffer.prepare(10).size(), 10U);
  EXPECT_GE(buffer.capacity(), 10U);
  buffer.release();
  EXPECT_EQ(buffer.capacity(), 0U);
}

TEST(ReadBufferTest, AgreesWithAStringUnderRandomOperations) {
  std::mt19937 random(11);
  read_buffer buffer;
  std::string model;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 4) {
      case 0:
      case 1: {
        const std::size_t asked = random() % 500;
        const std::span<char> room = buffer.prepare(asked);
        ASSERT_GE(room.size(), asked);
        const std::size_t got = room.empty() ? 0 : random() % (std::min<std::size_t>(room.size(), 600) + 1);
        for (std::size_t i = 0; i < got; ++i) model += room[i] = static_cast<char>(random());
        buffer.commit(got);
        break;
      }
      case 2: {
        const std::string text(random() % 50, static_cast<char>('a' + step % 26));
        buffer.append(text);
        model += text;
        break;
      }
      default: {
        const std::size_t bytes = random() % (model.size() + 1);
        buffer.consume(bytes);
        model.erase(0, bytes);
      }
    }
    ASSERT_EQ(buffer.data(), model) << "step " << step;
    ASSERT_EQ(buffer.size(), model.size());
    ASSERT_EQ(buffer.empty(), model.empty());
    if (random() % 1000 == 0) {
      buffer.release();
      model.clear();
    }
  }
}

TEST(ReadBufferTest, ConsumingMovesNothing) {
  read_buffer buffer;
  buffer.append("abcdef");
  const char* const start = buffer.data().data();
  buffer.consume(4);
  EXPECT_EQ(buffer.data().data(), start + 4);
  EXPECT_EQ(buffer.data(), "ef");
}

TEST(ReadBufferTest, StaysInPlaceWhileThereIsRoomBehindTheData) {
  read_buffer buffer;
  buffer.prepare(1000);
  buffer.append(std::string(900, 'x'));
  const char* const start = buffer.data().data();
  buffer.consume(800);
  buffer.append(std::string(100, 'y'));
  EXPECT_EQ(buffer.data().data(), start + 800);
  buffer.append("z");  // no room behind: the data moves to the front
  EXPECT_EQ(buffer.data().data(), start);
  EXPECT_EQ(buffer.data(), std::string(100, 'x') + std::string(100, 'y') + "z");
}

TEST(ReadBufferTest, StartsAnewAtTheFrontOnceAllIsConsumed) {
  read_buffer buffer;
  buffer.append("abc");
  const char* const start = buffer.data().data();
  buffer.consume(3);
  buffer.append("d");
  EXPECT_EQ(buffer.data().data(), start);
}

TEST(ReadBufferTest, PaddingBehindTheDataMayBeRead) {
  read_buffer buffer;
  for (std::size_t size : {1U, 15U, 4096U, 100'000U}) {
    const std::span<char> room = buffer.prepare(size);
    std::memset(room.data(), 'x', room.size());
    buffer.commit(room.size());
    // The sanitizers see it if this is not the buffer's own memory.
    char copy[read_buffer::padding];
    std::memcpy(copy, buffer.data().data() + buffer.size(), sizeof copy);
    volatile char use = copy[sizeof copy - 1];
    static_cast<void>(use);
    buffer.consume(buffer.size());
  }
}

TEST(ReadBufferTest, GrowsByFactorsSoThatPiecesAreNotMovedEachTime) {
  read_buffer buffer;
  int growths = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t before = buffer.capacity();
    buffer.append("0123456789");
    growths += buffer.capacity() != before ? 1 : 0;
  }
  EXPECT_EQ(buffer.size(), 1'000'000U);
  EXPECT_LT(growths, 40);
}

TEST(ReadBufferTest, MovesItsBytesAlong) {
  read_buffer first;
  first.append("abc");
  read_buffer second(std::move(first));
  EXPECT_EQ(second.data(), "abc");
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): the class promises it
  read_buffer third;
  third.append("old");
  third = std::move(second);
  EXPECT_EQ(third.data(), "abc");
  EXPECT_EQ(second.capacity(), 0U);  // NOLINT(bugprone-use-after-move)
}

}  // namespace
}  // namespace dualbus::base
