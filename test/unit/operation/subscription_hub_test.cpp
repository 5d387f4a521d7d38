// Pub/Sub of one worker: what buses are asked for, and who gets what they publish.

#include "support/exec_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using kind = subscription_hub::kind;

class counting_waiter final : public subscription_hub::waiter {
 public:
  explicit counting_waiter(subscription_hub& hub) : hub_(hub) {}
  int progress = 0;
  subscription_hub::waiter* forgets = nullptr;

 private:
  void on_progress() override {
    ++progress;
    if (forgets != nullptr) hub_.forget(*forgets);
  }
  subscription_hub& hub_;
};

class HubTest : public WorkerTest {
 protected:
  void subscribes(bench_client& client, kind k, std::string_view name) {
    bench_.hub.hold(k, name);
    bench_.hub.subscribe(client.session(), k, name);
    bench_.hub.release(k, name);
    bench_.run();
  }
  /// Bus a publishes on that channel.
  void publishes(std::string_view channel, std::string_view text) {
    a_.says(a_.subscriber(), ">3\r\n$7\r\nmessage\r\n" + bulk(channel) + bulk(text));
  }
  bool reached(const subscription_hub::targets& targets) const {
    return bench_.hub.reached(0, targets[0]) && bench_.hub.reached(1, targets[1]);
  }
  std::string message(std::string_view channel, std::string_view text) const {
    return "*3\r\n$7\r\nmessage\r\n" + bulk(channel) + bulk(text);
  }
};

TEST_F(HubTest, TheFirstSubscriberAsksEveryBusAndTheLastOneEndsThat) {
  bench_client& other = bench_.connect();
  EXPECT_EQ(a_.subscriber(), 0);
  subscribes(client_, kind::channel, "news");
  subscribes(other, kind::channel, "news");
  EXPECT_EQ(a_.times("SUBSCRIBE news"), 1U);
  EXPECT_EQ(b_.times("SUBSCRIBE news"), 1U);
  bench_.hub.unsubscribe(client_.session(), kind::channel, "news");
  bench_.run();
  EXPECT_EQ(a_.times("UNSUBSCRIBE news"), 0U);
  bench_.hub.unsubscribe(other.session(), kind::channel, "news");
  bench_.run();
  EXPECT_EQ(a_.times("UNSUBSCRIBE news"), 1U);
  EXPECT_EQ(b_.times("UNSUBSCRIBE news"), 1U);
}

TEST_F(HubTest, EachKindHasCommandsOfItsOwn) {
  subscribes(client_, kind::channel, "x");
  subscribes(client_, kind::pattern, "x");
  subscribes(client_, kind::shard, "x");
  EXPECT_EQ(a_.times("SUBSCRIBE x"), 1U);
  EXPECT_EQ(a_.times("PSUBSCRIBE x"), 1U);
  EXPECT_EQ(a_.times("SSUBSCRIBE x"), 1U);
  bench_.hub.leave(client_.session());
  bench_.run();
  EXPECT_EQ(a_.times("PUNSUBSCRIBE x"), 1U);
  EXPECT_EQ(a_.times("SUNSUBSCRIBE x"), 1U);
  EXPECT_FALSE(client_.session().subscribed());
}

TEST_F(HubTest, AMessageGoesToItsSubscribersOnly) {
  bench_client& other = bench_.connect();
  bench_client& third = bench_.connect();
  subscribes(client_, kind::channel, "news");
  subscribes(other, kind::channel, "news");
  subscribes(third, kind::channel, "else");
  publishes("news", "hello");
  EXPECT_EQ(client_.got(), message("news", "hello"));
  EXPECT_EQ(other.got(), message("news", "hello"));
  EXPECT_EQ(third.got(), "");
  EXPECT_EQ(bench_.figures(0).pubsub_messages, 1U);
  EXPECT_EQ(bench_.figures().pubsub_deliveries, 2U);
}

TEST_F(HubTest, AMessageThatNobodyWantsAnyMoreIsPassedOver) {
  subscribes(client_, kind::channel, "news");
  publishes("other", "hello");
  EXPECT_EQ(client_.got(), "");
  EXPECT_EQ(bench_.figures(0).pubsub_messages, 1U);
  EXPECT_EQ(bench_.figures().pubsub_deliveries, 0U);
}

TEST_F(HubTest, ASubscriptionThatIsHeldTwiceCountsOnce) {
  subscribes(client_, kind::channel, "news");
  subscribes(client_, kind::channel, "news");
  publishes("news", "hello");
  EXPECT_EQ(client_.got(), message("news", "hello"));
  bench_.hub.unsubscribe(client_.session(), kind::channel, "other");
  EXPECT_TRUE(client_.session().subscribed());
  EXPECT_EQ(bench_.registry.names(kind::channel), 1U);
}

TEST_F(HubTest, AClientThatGoesIsSubscribedToNothing) {
  subscribes(client_, kind::channel, "news");
  EXPECT_GT(client_.session().memory(), 100U);
  client_.closes();
  bench_.run();
  EXPECT_EQ(a_.times("UNSUBSCRIBE news"), 1U);
  EXPECT_TRUE(bench_.hub.table().empty());
  EXPECT_TRUE(bench_.registry.empty());
}

// --------------------------------------------------------------------------------------------- confirmations

TEST_F(HubTest, ABusHasReachedATargetWhenItHasConfirmedIt) {
  a_.keep("PING");
  b_.keep("PING");
  bench_.hub.hold(kind::channel, "news");
  const auto targets = bench_.hub.current_targets();
  counting_waiter waiter(bench_.hub);
  bench_.hub.await(waiter);
  EXPECT_EQ(a_.asked(), "PING 1");
  EXPECT_EQ(b_.asked(), "PING 1");
  EXPECT_FALSE(reached(targets));
  EXPECT_TRUE(bench_.hub.up(0));
  a_.answers(bulk("1"));
  b_.answers(bulk("1"));
  bench_.run();
  EXPECT_TRUE(reached(targets));
  EXPECT_EQ(waiter.progress, 2);
  bench_.hub.forget(waiter);
}

TEST_F(HubTest, AWaiterMayForgetAnother) {
  counting_waiter first(bench_.hub), second(bench_.hub);
  first.forgets = &second;
  bench_.hub.await(first);
  bench_.hub.await(second);
  bench_.hub.hold(kind::channel, "news");
  bench_.run();
  EXPECT_GT(first.progress, 0);
  EXPECT_EQ(second.progress, 0);
  bench_.hub.forget(first);
}

TEST_F(HubTest, TheBusCountsOneReceiverForAllOfItsClients) {
  bench_client& other = bench_.connect();
  subscribes(client_, kind::channel, "news");
  subscribes(other, kind::channel, "news");
  // The bus counts its one connection; there are two clients behind it.
  EXPECT_EQ(bench_.registry.receivers(false, "news", 0, 1), 2);
}

// ------------------------------------------------------------------------------------------ lost connections

TEST_F(HubTest, AConnectionThatComesBackIsAskedForEverythingAgain) {
  subscribes(client_, kind::channel, "news");
  subscribes(client_, kind::pattern, "n*");
  counting_waiter waiter(bench_.hub);
  bench_.hub.await(waiter);
  a_.closes(a_.subscriber());
  bench_.run();
  EXPECT_FALSE(bench_.hub.up(0));
  EXPECT_EQ(waiter.progress, 1);
  EXPECT_EQ(bench_.figures(0).pubsub_interruptions, 1U);
  bench_.pass(200ms);
  EXPECT_TRUE(bench_.hub.up(0));
  EXPECT_EQ(a_.times("SUBSCRIBE news"), 2U);
  EXPECT_EQ(a_.times("PSUBSCRIBE n*"), 2U);
  EXPECT_EQ(b_.times("SUBSCRIBE news"), 1U);
  publishes("news", "again");
  EXPECT_EQ(client_.got(), message("news", "again"));
  bench_.hub.forget(waiter);
}

TEST_F(HubTest, WithoutSubscribersTheConnectionsAreClosed) {
  subscribes(client_, kind::channel, "news");
  bench_.hub.leave(client_.session());
  bench_.pass(100ms);
  EXPECT_EQ(a_.subscriber(), 0);
  metrics::bus_metrics seen;
  bench_.hub.observe(0, seen);
  for (const auto count : seen.connections) EXPECT_EQ(count, 0U);
}

TEST_F(HubTest, AnotherServerIsConnectedToAnewAndTheSameOneIsNot) {
  subscribes(client_, kind::channel, "news");
  const int before = a_.subscriber();
  bench_.hub.renew(0, false, bench_.turn.now);
  bench_.run();
  EXPECT_EQ(a_.subscriber(), before);
  bench_.hub.renew(0, true, bench_.turn.now);
  bench_.run();
  EXPECT_NE(a_.subscriber(), before);
  EXPECT_EQ(a_.times("SUBSCRIBE news"), 2U);
}

TEST_F(HubTest, AtTheEndNoConnectionIsCounted) {
  bench_client& other = bench_.connect();
  subscribes(client_, kind::channel, "news");
  subscribes(other, kind::channel, "news");
  EXPECT_EQ(bench_.registry.receivers(false, "news", 0, 5), 6);
  bench_.hub.stop(bench_.turn.now);
  EXPECT_EQ(bench_.registry.receivers(false, "news", 0, 5), 5);
  EXPECT_FALSE(bench_.hub.up(0));
}

TEST_F(HubTest, ANameThatThereIsNoMemoryToAskAllBusesForIsAskedOfNone) {
  subscribes(client_, kind::channel, "news");
  {
    const last_chunks here(bench_.exec.request_chunks, 1);
    EXPECT_THROW(bench_.hub.hold(kind::channel, "more"), std::bad_alloc);
  }
  bench_.run();
  EXPECT_EQ(a_.times("SUBSCRIBE more"), 0U);
  EXPECT_EQ(bench_.hub.table().names(kind::channel), 1U);
  subscribes(client_, kind::channel, "more");
  EXPECT_EQ(a_.times("SUBSCRIBE more"), 1U);
  EXPECT_EQ(b_.times("SUBSCRIBE more"), 1U);
  EXPECT_TRUE(reached(bench_.hub.current_targets()));
}

}  // namespace
}  // namespace dualbus::operation::test
