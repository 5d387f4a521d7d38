// The means of the tests of operations, and what all of them rest on: time and memory of the whole program.

#include "support/worker_bench.hpp"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace {

std::atomic<std::int64_t> moved{0};
std::atomic<std::size_t> most_bytes{std::numeric_limits<std::size_t>::max()};

void* take(std::size_t bytes) {
  void* const found = bytes < most_bytes.load() ? std::malloc(bytes) : nullptr;
  if (found == nullptr) throw std::bad_alloc();
  return found;
}

}  // namespace

// The C++ library asks this one, too.
extern "C" int clock_gettime(clockid_t which, timespec* out) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  if (::syscall(SYS_clock_gettime, which, out) != 0) return -1;
  const std::int64_t sum = out->tv_sec * second + out->tv_nsec + moved.load();
  out->tv_sec = sum / second;
  out->tv_nsec = sum % second;
  return 0;
}

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

namespace dualbus::operation::test {

void move_clock(std::chrono::nanoseconds by) {
  moved += by.count();
}

short_of_memory::short_of_memory(std::size_t least_bytes) {
  most_bytes = least_bytes;
}
short_of_memory::~short_of_memory() {
  most_bytes = std::numeric_limits<std::size_t>::max();
}

namespace {

TEST(FaultsTest, TheClockGoesOnByAsMuchAsItIsMoved) {
  const auto before = base::clock::now();
  move_clock(std::chrono::hours(1));
  EXPECT_GE(base::clock::now() - before, std::chrono::hours(1));
  EXPECT_LT(base::clock::now() - before, std::chrono::hours(2));
}

TEST(FaultsTest, LargeAllocationsFailWhileMemoryIsShort) {
  {
    const short_of_memory here(1000);
    EXPECT_THROW(std::string(1001, 'x'), std::bad_alloc);
    EXPECT_EQ(std::string(500, 'x').size(), 500U);
  }
  EXPECT_EQ(std::string(1001, 'x').size(), 1001U);
}

class WorkerBenchTest : public WorkerTest {};

TEST_F(WorkerBenchTest, ARequestGoesToTheBusOfItsKeyAndItsReplyComesBack) {
  client_.says("GET b:k");
  EXPECT_EQ(b_.asked(), "GET b:k");
  EXPECT_EQ(b_.last().bytes, "*2\r\n$3\r\nGET\r\n$3\r\nb:k\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
  b_.answers("$1\r\nv\r\n");
  EXPECT_EQ(client_.got(), "$1\r\nv\r\n");
}

TEST_F(WorkerBenchTest, RepliesOfOneConnectionKeepTheOrderOfItsRequests) {
  client_.says("GET a:1");
  client_.says("GET a:2");
  EXPECT_EQ(a_.asked(), "GET a:1");
  const fake_bus::request first = a_.last();
  EXPECT_EQ(a_.asked(), "GET a:2");
  a_.answers(":2\r\n");
  EXPECT_EQ(client_.got(), "");
  a_.answer(first, ":1\r\n");
  EXPECT_EQ(client_.got(), ":1\r\n:2\r\n");
}

TEST_F(WorkerBenchTest, BusesThatAreQuietAreTestedAndStayConnected) {
  bench_.pass(std::chrono::seconds(20));
  EXPECT_TRUE(bench_.buses.bus(0).up());
  EXPECT_EQ(a_.asked(), "(nothing)");
}

}  // namespace
}  // namespace dualbus::operation::test
