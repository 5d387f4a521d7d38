#include "ledger.hpp"

#include <map>
#include <random>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

namespace dualbus::fleet {
namespace {

using verdict = ledger::verdict;
constexpr message_type type = 2;

base::time_point at(int ns) {
  return base::time_point(std::chrono::nanoseconds(ns));
}

TEST(LedgerTest, OwesAStoredMessageToEveryGroupThatReadsTheStream) {
  ledger book({0b101, 0});
  const auto index = book.publish(0, type, at(7));
  EXPECT_EQ(book.owed(), 0U);
  book.acknowledge(0, index);
  EXPECT_EQ(book.owed(), 2U);
  const auto told = book.deliver(0, index, type, 2);
  EXPECT_EQ(told.what, verdict::first);
  EXPECT_EQ(told.published, at(7));
  EXPECT_EQ(book.owed(), 1U);
  ASSERT_EQ(book.debts().size(), 1U);
  EXPECT_EQ(book.debts()[0].group, 0U);
  EXPECT_EQ(book.debts()[0].messages, 1U);
  EXPECT_EQ(book.deliver(0, index, type, 0).what, verdict::first);
  EXPECT_EQ(book.owed(), 0U);
  EXPECT_TRUE(book.debts().empty());
  book.acknowledge(1, book.publish(1, type, at(8)));
  EXPECT_EQ(book.owed(), 0U);
  EXPECT_EQ(book.counts().acknowledged, 2U);
  EXPECT_EQ(book.published(bus_class::marketdata), 2U);
}

TEST(LedgerTest, AMessageMayArriveBeforeItsAcknowledgement) {
  ledger book({0b11});
  const auto index = book.publish(0, type, at(0));
  EXPECT_EQ(book.deliver(0, index, type, 0).what, verdict::first);
  EXPECT_EQ(book.owed(), 0U);
  book.acknowledge(0, index);
  EXPECT_EQ(book.owed(), 1U);
}

TEST(LedgerTest, NoticesTheSecondTimeAlsoOfWhatIsForgotten) {
  ledger book({0b11});
  const auto index = book.publish(0, type, at(0));
  book.acknowledge(0, index);
  EXPECT_FALSE(book.has(0, index, 0));
  book.deliver(0, index, type, 0);
  EXPECT_TRUE(book.has(0, index, 0));
  EXPECT_FALSE(book.has(0, index, 1));
  EXPECT_EQ(book.deliver(0, index, type, 0).what, verdict::duplicate);
  book.deliver(0, index, type, 1);
  EXPECT_TRUE(book.has(0, index, 1));
  EXPECT_EQ(book.deliver(0, index, type, 1).what, verdict::duplicate);
  EXPECT_EQ(book.counts().duplicates, 2U);
  EXPECT_EQ(book.counts().delivered, 2U);
}

TEST(LedgerTest, NoticesWhatIsWrong) {
  ledger book({0b01});
  const auto index = book.publish(0, type, at(0));
  EXPECT_EQ(book.deliver(0, index, type + 1, 0).what, verdict::wrong);
  EXPECT_EQ(book.deliver(0, index, no_type, 0).what, verdict::wrong);
  EXPECT_EQ(book.deliver(0, index + 1, type, 0).what, verdict::wrong);
  EXPECT_EQ(book.deliver(0, index, type, 1).what, verdict::wrong);
  EXPECT_EQ(book.deliver(1, index, type, 0).what, verdict::wrong);
  EXPECT_EQ(book.counts().delivered, 0U);
  book.acknowledge(0, index);
  book.deliver(0, index, type, 0);
  EXPECT_EQ(book.deliver(0, index, no_type, 0).what, verdict::wrong) << "though the message is forgotten";
  EXPECT_EQ(book.counts().wrong, 6U);
}

TEST(LedgerTest, ARefusedMessageIsOwedToNobodyAndMustNotArrive) {
  ledger book({0b01});
  const auto first = book.publish(0, type, at(0)), second = book.publish(0, type, at(0));
  book.refuse(0, second);
  EXPECT_EQ(book.owed(), 0U);
  EXPECT_EQ(book.deliver(0, second, type, 0).what, verdict::wrong);
  book.deliver(0, first, type, 0);
  book.refuse(0, first);
  EXPECT_EQ(book.counts().wrong, 2U);
  EXPECT_EQ(book.counts().refused, 2U);
}

TEST(LedgerTest, WithoutAnAnswerAMessageIsOwedToAllOnceAnybodyHasIt) {
  ledger book({0b11});
  const auto lost = book.publish(0, type, at(0)), stored = book.publish(0, type, at(0)),
             early = book.publish(0, type, at(0));
  book.deliver(0, early, type, 1);
  for (const auto index : {lost, stored, early}) book.lose_answer(0, index);
  EXPECT_EQ(book.owed(), 1U);
  EXPECT_EQ(book.deliver(0, stored, type, 0).what, verdict::first);
  EXPECT_EQ(book.owed(), 2U);
  book.deliver(0, stored, type, 1);
  book.deliver(0, early, type, 0);
  EXPECT_EQ(book.owed(), 0U);
  EXPECT_EQ(book.counts().answers_lost, 3U);
  EXPECT_EQ(book.counts().acknowledged, 2U);
}

// Against plain sets of what was stored and what was delivered.
TEST(LedgerTest, AgreesWithSetsUnderRandomHistories) {
  std::mt19937 random(3);
  const std::vector<std::uint32_t> readers = {0b111, 0b010, 0};
  ledger book(readers);
  std::vector<std::pair<std::size_t, std::uint64_t>> messages;
  std::set<std::size_t> stored;
  std::set<std::pair<std::size_t, std::size_t>> had;
  std::uint64_t duplicates = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (messages.size() < 10 || random() % 4 == 0) {
      const std::size_t stream = random() % 3;
      messages.emplace_back(stream, book.publish(stream, type, at(step)));
    }
    const std::size_t number = messages.size() - 1 - random() % std::min<std::size_t>(messages.size(), 40);
    const auto [stream, index] = messages[number];
    if (random() % 3 == 0) {
      book.acknowledge(stream, index);
      stored.insert(number);
    } else {
      const std::size_t group = random() % 3;
      if ((readers[stream] >> group & 1) == 0) continue;
      const bool again = !had.emplace(number, group).second;
      duplicates += again ? 1 : 0;
      EXPECT_EQ(book.deliver(stream, index, type, group).what, again ? verdict::duplicate : verdict::first);
    }
  }
  std::uint64_t owed = 0, debts = 0;
  for (const std::size_t number : stored) {
    for (std::size_t group = 0; group < 3; ++group) {
      const bool reads = (readers[messages[number].first] >> group & 1) != 0;
      if (reads && !had.contains({number, group})) ++owed;
    }
  }
  for (const ledger::debt& debt : book.debts()) debts += debt.messages;
  EXPECT_EQ(book.owed(), owed);
  EXPECT_EQ(debts, owed);
  EXPECT_EQ(book.counts().acknowledged, stored.size());
  EXPECT_EQ(book.counts().delivered, had.size());
  EXPECT_EQ(book.counts().duplicates, duplicates);
}

}  // namespace
}  // namespace dualbus::fleet
