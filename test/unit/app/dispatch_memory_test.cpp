// Requests of which there is not enough memory to send all: nothing of them is left behind.

#include "dispatch_bench.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>

#include <gmock/gmock.h>

namespace {

std::atomic<std::size_t> too_many_bytes{std::numeric_limits<std::size_t>::max()};
std::atomic<int> spared{0};  // so many allocations of too many bytes find memory

void* take(std::size_t bytes) {
  const bool may = bytes < too_many_bytes.load() || spared-- > 0;
  void* const found = may ? std::malloc(bytes) : nullptr;
  if (found == nullptr) throw std::bad_alloc();
  return found;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return take(bytes);
}
void* operator new[](std::size_t bytes) {
  return take(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace dualbus::app::test {
namespace {

const std::string oom =
    "-OOM command not allowed when used memory is near 'limits.memory' of dualbusd: it was not sent\r\n";

class DispatchMemoryTest : public ::testing::Test {
 protected:
  /// Sends the request while no allocation of 100'000 bytes or more finds memory, except the first ones.
  std::vector<std::string> asks(const words& request, int first = 0) {
    constexpr std::size_t piece = 50'000;
    const std::string bytes = encoded(request);
    spared = first;
    too_many_bytes = 100'000;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const std::size_t size = std::min(piece, bytes.size() - at);
      EXPECT_EQ(::send(client_->fd.get(), bytes.data() + at, size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
      bench_.settle();
    }
    too_many_bytes = std::numeric_limits<std::size_t>::max();
    return bench_.replies(*client_);
  }

  const std::string much_ = std::string(300'000, 'x');
  bench bench_{layout::two_buses, "backend: {dedicated_connections: 1}\n"};
  std::unique_ptr<bench::client> client_ = bench_.connect();
};

TEST_F(DispatchMemoryTest, KeysThatThereIsNoMemoryForAreNotWatched) {
  EXPECT_THAT(asks({"WATCH", much_}), testing::ElementsAre(oom));
  EXPECT_FALSE(bench_.anything_given());
  EXPECT_EQ(bench_.answer(*client_, "MULTI"), "+OK\r\n");
  EXPECT_EQ(bench_.answer(*client_, "SET k v"), "+QUEUED\r\n");
  EXPECT_THAT(bench_.answer(*client_, "EXEC"), testing::StartsWith("*1\r\n"));  // nothing counts as changed
}

TEST_F(DispatchMemoryTest, AWaitThatThereIsNoMemoryToRememberGivesItsConnectionBack) {
  for (const int first : {0, 1}) EXPECT_THAT(asks({"BLPOP", much_, "0"}, first), testing::ElementsAre(oom));
  EXPECT_FALSE(bench_.anything_given());
  EXPECT_EQ(bench_.answer(*client_, "BLPOP k 0"), ":1\r\n");
}

TEST_F(DispatchMemoryTest, ASubscriptionThatThereIsNoMemoryForEndsNobodyElses) {
  const auto other = bench_.connect();
  bench_.send(*other, {"SUBSCRIBE", "news"});
  EXPECT_EQ(bench_.replies(*other).size(), 1U);
  EXPECT_THAT(asks({"SUBSCRIBE", much_, "news"}, 1), testing::IsEmpty());
  EXPECT_TRUE(client_->closed);
  bench_.forget_deliveries();
  bench_.send(*other, {"UNSUBSCRIBE", "news"});
  bench_.settle();
  EXPECT_TRUE(bench_.anything_given());  // nobody is left who wants it
}

}  // namespace
}  // namespace dualbus::app::test
