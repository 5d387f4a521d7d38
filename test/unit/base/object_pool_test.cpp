#include <dualbus/base/object_pool.hpp>
#include <dualbus/base/ring.hpp>

#include <cstdint>
#include <deque>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

struct counted {
  explicit counted(int& alive, std::string t) : alive_(alive), text(std::move(t)) { ++alive_; }
  ~counted() { --alive_; }
  int& alive_;
  std::string text;
};

TEST(ObjectPoolTest, ConstructsAndDestroysEachObjectOnce) {
  int alive = 0;
  object_pool<counted> pool;
  std::mt19937 random(5);
  std::vector<std::pair<counted*, std::string>> objects;
  for (int step = 0; step < 20'000; ++step) {
    if (objects.empty() || random() % 2 == 0) {
      const std::string text =
          "a text that is too long for the small string optimisation " + std::to_string(step);
      objects.emplace_back(pool.create(alive, text), text);
    } else {
      const std::size_t i = random() % objects.size();
      ASSERT_EQ(objects[i].first->text, objects[i].second);
      pool.destroy(objects[i].first);
      objects[i] = objects.back();
      objects.pop_back();
    }
    ASSERT_EQ(pool.in_use(), objects.size());
    ASSERT_EQ(static_cast<std::size_t>(alive), objects.size());
  }
  for (auto& [object, text] : objects) {
    ASSERT_EQ(object->text, text);
    pool.destroy(object);
  }
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(ObjectPoolTest, ReusesTheMemoryOfDestroyedObjects) {
  object_pool<std::uint64_t> pool;
  std::set<std::uint64_t*> seen;
  for (int round = 0; round < 1000; ++round) {
    std::uint64_t* objects[10];
    for (auto& object : objects) seen.insert(object = pool.create(1U));
    for (auto* object : objects) pool.destroy(object);
  }
  EXPECT_LE(seen.size(), 64U);
}

TEST(ObjectPoolTest, AlignsWhatNeedsIt) {
  struct alignas(64) line {
    char bytes[64];
  };
  object_pool<line> pool;
  std::vector<line*> lines;
  for (int i = 0; i < 200; ++i) lines.push_back(pool.create());
  for (line* l : lines) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(l) % 64, 0U);
    pool.destroy(l);
  }
}

TEST(RingTest, AgreesWithADequeUnderRandomOperations) {
  std::mt19937 random(9);
  ring<std::string> queue;
  std::deque<std::string> model;
  for (int step = 0; step < 50'000; ++step) {
    // The bias changes, so that the ring both grows and wraps around.
    if (model.empty() || random() % 100 < (step / 5000 % 2 == 0 ? 55U : 45U)) {
      queue.push_back(std::to_string(step));
      model.push_back(std::to_string(step));
    } else {
      ASSERT_EQ(queue.front(), model.front());
      queue.pop_front();
      model.pop_front();
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(queue.empty(), model.empty());
    if (!model.empty()) {
      const std::size_t i = random() % model.size();
      ASSERT_EQ(queue[i], model[i]);
    }
  }
}

}  // namespace
}  // namespace dualbus::base
