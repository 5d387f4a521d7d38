#include "app/ownership_board.hpp"

#include <atomic>
#include <fcntl.h>
#include <stdexcept>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace dualbus::app {
namespace {

base::unique_fd copy_of(const ownership_board& board) {
  return base::unique_fd(::fcntl(board.fd(), F_DUPFD_CLOEXEC, 0));
}

// H5
TEST(OwnershipBoardTest, AnOfferIsTakenOnce) {
  ownership_board giver;
  ownership_board taker(copy_of(giver));
  EXPECT_FALSE(taker.take(3));
  giver.offer(3);
  EXPECT_TRUE(taker.take(3));
  EXPECT_FALSE(giver.keep(3));
  giver.offer(4);
  EXPECT_TRUE(giver.keep(4));
  EXPECT_FALSE(taker.take(4));
  EXPECT_FALSE(taker.take(5));
  EXPECT_FALSE(taker.take(ownership_board::offers));
}

// H5
TEST(OwnershipBoardTest, TheTwoNeverAgreeThatBothOwnAClient) {
  ownership_board giver;
  ownership_board taker(copy_of(giver));
  constexpr std::uint32_t clients = 20'000;
  for (std::uint32_t i = 0; i < clients; ++i) giver.offer(i);
  std::vector<char> kept(clients), taken(clients);
  std::thread other([&] {
    for (std::uint32_t i = 0; i < clients; ++i) taken[i] = taker.take(i) ? 1 : 0;
  });
  for (std::uint32_t i = 0; i < clients; ++i) kept[i] = giver.keep(i) ? 1 : 0;
  other.join();
  for (std::uint32_t i = 0; i < clients; ++i) EXPECT_EQ(kept[i] + taken[i], 1) << i;
}

// H5
TEST(OwnershipBoardTest, TheWholeIsDecidedOnce) {
  ownership_board giver;
  ownership_board taker(copy_of(giver));
  EXPECT_TRUE(giver.call_off());
  EXPECT_FALSE(taker.adopt_orphans());
  ownership_board another;
  ownership_board next(copy_of(another));
  EXPECT_TRUE(next.adopt_orphans());
  EXPECT_FALSE(another.call_off());
  ownership_board last;
  ownership_board heir(copy_of(last));
  EXPECT_TRUE(last.complete());
  EXPECT_TRUE(heir.adopt_orphans());
}

TEST(OwnershipBoardTest, MemoryThatAnotherProcessCouldTakeAwayIsRefused) {
  base::unique_fd unsealed(::memfd_create("x", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(unsealed.get(), 5 << 20), 0);
  EXPECT_THROW(ownership_board{std::move(unsealed)}, std::runtime_error);
  EXPECT_THROW(ownership_board{base::unique_fd()}, std::runtime_error);
}

}  // namespace
}  // namespace dualbus::app
