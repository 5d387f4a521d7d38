#include <dualbus/client/memory_guard.hpp>

#include <algorithm>
#include <map>
#include <new>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t mb = std::size_t{1} << 20;

// A worker whose clients hold what a test says.
class worker final : public memory_guard::holder {
 public:
  explicit worker(memory_budget& budget) : guard(*this, budget) {}

  void hold(std::uint64_t client, std::size_t bytes) { clients[client] = bytes; }
  void settle() { guard.settle(held_bytes()); }

  std::size_t held_bytes() const override {
    std::size_t sum = others;
    for (const auto& [client, bytes] : clients) sum += bytes;
    return sum;
  }
  std::vector<memory_guard::candidate> evictable_clients(std::size_t least_bytes) const override {
    std::vector<memory_guard::candidate> found;
    for (const auto& [client, bytes] : clients) {
      if (bytes >= least_bytes) found.push_back({bytes, client});
    }
    return found;
  }
  void cut_off(const memory_guard::candidate& which) override {
    EXPECT_EQ(which.bytes, clients.at(which.client));
    clients.erase(which.client);
    gone.push_back(which.client);
  }
  bool check_held_clients(bool tight) override {
    checks.push_back(tight);
    return tight;
  }

  std::map<std::uint64_t, std::size_t> clients;
  std::size_t others = 0;  // what no client can be blamed for
  std::vector<std::uint64_t> gone;
  std::vector<bool> checks;
  memory_guard guard;
};

class MemoryGuardTest : public testing::Test {
 protected:
  MemoryGuardTest() { budget.set_limit(64 * mb); }

  memory_budget budget;
  worker one{budget}, other{budget};
};

TEST_F(MemoryGuardTest, BelowThreeQuartersNothingHappens) {
  one.hold(1, 47 * mb);
  one.settle();
  EXPECT_FALSE(one.guard.tight());
  EXPECT_FALSE(one.guard.refuses(10 * mb, true, false));
  EXPECT_THAT(one.gone, IsEmpty());
}

TEST_F(MemoryGuardTest, FromThreeQuartersOnItIsTightOnAllWorkers) {
  one.hold(1, 48 * mb);
  one.settle();
  EXPECT_TRUE(one.guard.tight());
  EXPECT_FALSE(one.guard.refuses(10 * mb, true, false));
  other.guard.tick();
  EXPECT_TRUE(other.guard.tight());
}

TEST_F(MemoryGuardTest, FromSevenEighthsOnLargeAndQueuedRequestsAreRefused) {
  one.hold(1, 56 * mb);
  one.settle();
  EXPECT_TRUE(one.guard.refuses(16 << 10, false, false));
  EXPECT_FALSE(one.guard.refuses(1000, false, false));
  EXPECT_TRUE(one.guard.refuses(1000, true, false));
  EXPECT_THAT(one.gone, IsEmpty());
}

TEST_F(MemoryGuardTest, AtTheLimitTheLargestGoUntilItHolds) {
  one.hold(1, 10 * mb);
  one.hold(2, 25 * mb);
  one.hold(3, 20 * mb);
  one.hold(4, 15 * mb);
  one.hold(5, 5 * mb);
  one.settle();  // 75 mb
  EXPECT_THAT(one.gone, ElementsAre(2));
  EXPECT_TRUE(one.guard.tight());
  EXPECT_FALSE(one.guard.refuses(1000, false, false));
}

TEST_F(MemoryGuardTest, TheLargestOfAllWorkersGoesFirst) {
  other.hold(7, 35 * mb);
  other.guard.tick();
  one.hold(1, 20 * mb);
  one.guard.tick();
  other.guard.tick();  // tight: it knows its largest client by now
  one.hold(1, 30 * mb);
  one.settle();
  EXPECT_THAT(one.gone, IsEmpty());
  other.guard.tick();
  EXPECT_THAT(other.gone, ElementsAre(7));
  one.guard.tick();
  EXPECT_FALSE(one.guard.tight());
}

TEST_F(MemoryGuardTest, FarAboveTheLimitAWorkerWaitsForNobody) {
  other.hold(7, 50 * mb);
  other.guard.tick();
  one.hold(1, 30 * mb);
  one.settle();
  EXPECT_THAT(one.gone, ElementsAre(1));
}

TEST_F(MemoryGuardTest, WhenNoClientsEndWouldHelpEverythingForABusIsRefused) {
  one.others = 65 * mb;
  one.hold(1, 1000);
  one.settle();
  EXPECT_THAT(one.gone, IsEmpty());
  EXPECT_TRUE(one.guard.refuses(10, false, false));
  EXPECT_FALSE(one.guard.refuses(10, false, true));  // but PING is answered
  one.others = 0;
  one.settle();
  EXPECT_FALSE(one.guard.refuses(10, false, false));
}

TEST_F(MemoryGuardTest, PartsThatAreKeptToBeMergedCount) {
  one.guard.note_kept(50 * mb);
  one.settle();
  EXPECT_TRUE(one.guard.tight());
  one.guard.note_kept(-static_cast<std::ptrdiff_t>(50 * mb));
  EXPECT_EQ(one.guard.used_bytes(), 0U);
  one.settle();
  EXPECT_FALSE(one.guard.tight());
}

// A reserve of so many bytes, which has been spent.
struct spent_reserve {
  explicit spent_reserve(std::size_t bytes) {
    base::keep_memory_reserve(bytes);
    base::detail::reserve_spent = true;
  }
  ~spent_reserve() {
    std::set_new_handler(nullptr);
    base::detail::reserve_spent = false;
  }
};

TEST_F(MemoryGuardTest, AfterAnAllocationThatFailedNobodyGoesIfThereIsANewReserve) {
  const spent_reserve spent(1 << 20);
  one.hold(1, 40 * mb);
  one.settle();
  EXPECT_FALSE(base::memory_reserve_spent());
  EXPECT_THAT(one.gone, IsEmpty());
}

TEST_F(MemoryGuardTest, WithoutANewReserveTheLargestGoOneByOne) {
  const spent_reserve spent(std::size_t{1} << 60);  // there will never be so much
  one.hold(1, mb);
  one.hold(2, 10 * mb);
  one.hold(3, 1000);
  one.hold(4, 2 * mb);
  one.settle();
  EXPECT_THAT(one.gone, ElementsAre(2, 4, 1)) << "the end of who has little would not help";
}

TEST_F(MemoryGuardTest, HeldClientsAreLookedAtUntilNoneIsLeft) {
  one.guard.tick();
  EXPECT_THAT(one.checks, IsEmpty());
  one.hold(1, 50 * mb);
  one.settle();
  one.guard.note_held();
  one.guard.tick();
  one.hold(1, 0);
  one.guard.tick();
  one.guard.tick();
  EXPECT_THAT(one.checks, ElementsAre(true, false));
}

}  // namespace
}  // namespace dualbus::client
