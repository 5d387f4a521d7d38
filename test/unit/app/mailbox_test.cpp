#include "app/mailbox.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::app {
namespace {

std::size_t empty(base::poller& poller, mailbox& box, base::duration longest) {
  poller.wait(longest);
  poller.dispatch();
  return box.take().size();
}

TEST(MailboxTest, HoldsNothingUntilSomebodyPosts) {
  base::poller poller;
  mailbox box(poller);
  EXPECT_EQ(empty(poller, box, {}), 0U);
  box.post([]() {});
  box.post([]() {});
  EXPECT_EQ(empty(poller, box, std::chrono::minutes(1)), 2U);
  EXPECT_EQ(empty(poller, box, {}), 0U);
}

TEST(MailboxTest, EveryLetterOfEveryThreadArrivesOnceAndInOrder) {
  constexpr int threads = 4, letters = 5000;
  base::poller poller;
  mailbox box(poller);
  std::vector<std::vector<int>> read(threads);
  std::vector<std::jthread> writers;
  for (int t = 0; t < threads; ++t) {
    writers.emplace_back([&box, &read, t] {
      for (int i = 0; i < letters; ++i) {
        box.post([&into = read[t], i]() { into.push_back(i); });
      }
    });
  }
  for (int count = 0; count < threads * letters;) {
    poller.wait(std::chrono::minutes(1));
    poller.dispatch();
    for (const mailbox::letter& what : box.take()) {
      what();
      ++count;
    }
  }
  for (const std::vector<int>& of_one : read) {
    ASSERT_EQ(of_one.size(), static_cast<std::size_t>(letters));
    for (int i = 0; i < letters; ++i) ASSERT_EQ(of_one[i], i);
  }
}

}  // namespace
}  // namespace dualbus::app
