// Requests under way as others see them: in figures, and when a client is to be cut off.

#include "support/exec_test.hpp"

#include <dualbus/operation/bus_survey.hpp>

namespace dualbus::operation::test {
namespace {

class ObserversTest : public ExecTest {
 protected:
  metrics::bus_metrics seen(command::bus_index bus) const {
    metrics::bus_metrics result;
    bench_.buses.bus(bus).observe(result);
    return result;
  }
  /// The clients that a reply of bus a is arriving for.
  std::vector<std::uint64_t> receivers() const {
    std::vector<std::uint64_t> clients;
    for (const auto& incoming : bench_.buses.bus(0).receiving()) {
      if (incoming.client != 0) clients.push_back(incoming.client);
    }
    return clients;
  }
};

TEST_F(ObserversTest, ARequestWhoseClientHasGoneCountsAsAbandoned) {
  client_.says("INCR a:k");
  EXPECT_EQ(a_.asked(), "INCR a:k");
  EXPECT_EQ(seen(0).in_flight, 1U);
  EXPECT_EQ(seen(0).abandoned, 0U);
  client_.session().close(metrics::close_reason::killed);
  EXPECT_EQ(seen(0).in_flight, 1U);
  EXPECT_EQ(seen(0).abandoned, 1U);
}

TEST_F(ObserversTest, SoDoesATransaction) {
  transact({"SET a:k 1"});
  EXPECT_EQ(a_.asked_all().size(), 3U);
  EXPECT_EQ(seen(0).abandoned, 0U);
  client_.session().close(metrics::close_reason::killed);
  EXPECT_EQ(seen(0).abandoned, 1U);
}

TEST_F(ObserversTest, NobodyWaitsForScriptsToBeLoaded) {
  bench_.scripts.spread(client_.session(), "return 1", 0);
  EXPECT_EQ(b_.asked(), "SCRIPT LOAD return 1");
  EXPECT_EQ(seen(1).abandoned, 1U);
}

TEST_F(ObserversTest, SomebodyWaitsForASurvey) {
  const std::string_view question[] = {"DBSIZE"};
  bus_survey::start(bench_.environment, question, [](const std::vector<std::string>&) {});
  EXPECT_EQ(a_.asked(), "DBSIZE");
  EXPECT_EQ(seen(0).in_flight, 1U);
  EXPECT_EQ(seen(0).abandoned, 0U);
}

TEST_F(ObserversTest, AReplyThatIsArrivingIsThatOfItsClient) {
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
  a_.says(a_.last().from, "$1000\r\nabc");
  bench_.run();
  EXPECT_THAT(receivers(), testing::ElementsAre(client_.id()));
  client_.session().close(metrics::close_reason::killed);
  EXPECT_THAT(receivers(), testing::IsEmpty());
}

TEST_F(ObserversTest, SoIsTheReplyToATransaction) {
  transact({"GET a:k"});
  EXPECT_EQ(a_.asked_all().size(), 3U);
  a_.says(a_.last().from, "+OK\r\n+QUEUED\r\n*1\r\n$1000\r\nabc");
  bench_.run();
  EXPECT_THAT(receivers(), testing::ElementsAre(client_.id()));
}

TEST_F(ObserversTest, WhatIsQueuedIsMemoryOfItsClient) {
  const std::size_t before = client_.session().memory();
  client_.says("MULTI");
  client_.says("SET a:k " + std::string(1000, 'x'));
  bench_.run();
  EXPECT_GE(client_.session().memory(), before + 1000);
  EXPECT_EQ(client_.session().current_transaction()->count(), 1U);
  client_.says("DISCARD");
  bench_.run();
  EXPECT_LT(client_.session().memory(), before + 1000);
}

// A transaction leaves its memory to the next one, but nothing else.
TEST_F(ObserversTest, ATransactionBeginsAsNewWhateverWasBefore) {
  transact({"SET a:k 1", "XLEN a:s"});
  carries_out(a_, {"SET a:k 1", "XLEN a:s"}, "*2\r\n+OK\r\n:0\r\n");
  EXPECT_EQ(client_.got(), "*2\r\n+OK\r\n:0\r\n");
  transact({"GET b:k"});
  carries_out(b_, {"GET b:k"}, "*1\r\n$-1\r\n");
  EXPECT_EQ(client_.got(), "*1\r\n$-1\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
}

}  // namespace
}  // namespace dualbus::operation::test
