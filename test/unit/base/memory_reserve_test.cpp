#include <dualbus/base/memory_reserve.hpp>
#include <dualbus/base/read_buffer.hpp>

#include <new>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

constexpr std::size_t reserve_bytes = std::size_t{16} << 20;

struct no_handler {
  ~no_handler() { std::set_new_handler(nullptr); }
};

TEST(MemoryReserveTest, AnAllocationThatFailsSpendsItAndTheNextOneThrows) {
  const no_handler at_the_end;
  keep_memory_reserve(reserve_bytes);
  EXPECT_FALSE(memory_reserve_spent());
  const std::new_handler spend = std::get_new_handler();  // called by operator new
  ASSERT_NE(spend, nullptr);
  spend();
  EXPECT_TRUE(memory_reserve_spent());
  EXPECT_THROW(spend(), std::bad_alloc);
  ASSERT_TRUE(renew_memory_reserve());
  EXPECT_FALSE(memory_reserve_spent());
  spend();
  EXPECT_TRUE(memory_reserve_spent());
  ASSERT_TRUE(renew_memory_reserve());
}

TEST(MemoryReserveTest, ABufferThatCannotGrowSpendsItToo) {
  const no_handler at_the_end;
  keep_memory_reserve(reserve_bytes);
  read_buffer buffer;
  buffer.append("data");
  EXPECT_THROW(buffer.prepare(std::size_t{1} << 60), std::bad_alloc);
  EXPECT_TRUE(memory_reserve_spent());
  EXPECT_EQ(buffer.data(), "data");
  ASSERT_TRUE(renew_memory_reserve());
}

}  // namespace
}  // namespace dualbus::base
