#include <dualbus/backend/drain_queue.hpp>

#include <string>

#include <gtest/gtest.h>

namespace dualbus::backend {
namespace {

using wants = drain_queue::wants;

struct DrainQueueTest : testing::Test {
  struct waiter final : drain_listener {
    waiter(std::string& to, char n) : log(to), name(n) {}
    bool on_drained() override {
      log += name;
      return sends;
    }
    std::string& log;
    char name;
    bool sends = true;
  };

  /// Drains once, and says who was told.
  std::string drained() {
    log.clear();
    queue.on_drained();
    return log;
  }

  drain_queue queue;
  std::string log;
  waiter a{log, 'a'}, b{log, 'b'}, c{log, 'c'}, d{log, 'd'};
};

TEST_F(DrainQueueTest, ThoseWithLargeRequestsComeInTurn) {
  EXPECT_TRUE(queue.empty());
  for (waiter* w : {&a, &b, &c}) queue.await(*w, wants::much);
  EXPECT_EQ(drained(), "a");
  queue.await(a, wants::much);
  EXPECT_EQ(drained(), "b");
  EXPECT_EQ(drained(), "c");
  EXPECT_EQ(drained(), "a");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(drained(), "");
}

TEST_F(DrainQueueTest, ThoseWithSmallOnesWaitForNobody) {
  queue.await(a, wants::much);
  queue.await(b, wants::much);
  queue.await(c, wants::little);
  queue.await(d, wants::little);
  EXPECT_EQ(drained(), "cda");
  queue.await(c, wants::little);
  EXPECT_EQ(drained(), "cb");
}

TEST_F(DrainQueueTest, WhoHasNothingToSendCostsNobodyATurn) {
  for (waiter* w : {&a, &b, &c}) queue.await(*w, wants::much);
  a.sends = b.sends = false;
  EXPECT_EQ(drained(), "abc");
}

TEST_F(DrainQueueTest, WhoIsForgottenIsNotTold) {
  queue.await(a, wants::much);
  queue.await(b, wants::little);
  queue.await(c, wants::much);
  queue.forget(a);
  queue.forget(b);
  queue.forget(d);
  EXPECT_FALSE(queue.empty());
  EXPECT_EQ(drained(), "c");
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace dualbus::backend
