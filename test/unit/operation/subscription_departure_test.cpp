// Subscribers that go to another process: each of their messages comes from one of the two.

#include "support/exec_test.hpp"

#include <dualbus/operation/subscription_departure.hpp>

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using kind = subscription_hub::kind;
using verdict = client::departure_gate::verdict;

class DepartureTest : public WorkerTest {
 protected:
  void SetUp() override {
    subscribes(client_, "one");
    subscribes(other_, "another");
    leaving_.begin("hand-over", 0);
    bench_.run();
  }
  void TearDown() override { leaving_.end(); }

  void subscribes(bench_client& client, std::string_view name) {
    bench_.hub.hold(kind::channel, name);
    bench_.hub.subscribe(client.session(), kind::channel, name);
    bench_.hub.release(kind::channel, name);
    bench_.run();
  }
  /// The next take, in which these are asked about.
  verdict take(bench_client& client) {
    const verdict found = leaving_.may_depart(client.session());
    leaving_.end_of_take();
    return found;
  }
  void marker_comes(fake_bus& from, std::string_view number) {
    from.says(from.subscriber(), ">3\r\n$8\r\nsmessage\r\n" + bulk("hand-over") + bulk(number));
    bench_.run();
  }
  /// As its session ends: the hub takes back what only this client was subscribed to.
  void goes(bench_client& client) {
    leaving_.forget(client.session().id());
    bench_.hub.leave(client.session());
  }

  bench_client& other_ = bench_.connect();
  subscription_departure leaving_{bench_.environment, bench_.hub};
};

TEST_F(DepartureTest, ASubscriberGoesBehindTheMarkersOfAllBuses) {
  EXPECT_EQ(take(client_), verdict::later);
  EXPECT_EQ(a_.asked(), "SPUBLISH hand-over 1");
  EXPECT_EQ(b_.asked(), "SPUBLISH hand-over 1");
  EXPECT_EQ(take(client_), verdict::engaged);
  marker_comes(a_, "1");
  EXPECT_EQ(take(client_), verdict::engaged);
  marker_comes(b_, "1");
  EXPECT_EQ(take(client_), verdict::now);
}

TEST_F(DepartureTest, EveryRoundHasItsMarkersThoughSubscriptionsEndMeanwhile) {
  take(client_);
  a_.asked();
  b_.asked();
  marker_comes(a_, "1");
  marker_comes(b_, "1");
  EXPECT_EQ(leaving_.may_depart(other_.session()), verdict::later);
  EXPECT_EQ(leaving_.may_depart(client_.session()), verdict::now);
  goes(client_);
  leaving_.end_of_take();  // no bus has confirmed the end of the subscription yet
  EXPECT_EQ(take(other_), verdict::engaged);
  EXPECT_EQ(a_.asked(), "SPUBLISH hand-over 2");
  EXPECT_EQ(b_.asked(), "SPUBLISH hand-over 2");
  EXPECT_EQ(take(other_), verdict::engaged);
  marker_comes(a_, "2");
  marker_comes(b_, "2");
  EXPECT_EQ(take(other_), verdict::now);
}

TEST_F(DepartureTest, AMarkerThatABusRefusesIsNotWaitedFor) {
  take(client_);
  a_.asked();
  a_.answers("-NOPERM no\r\n");
  b_.asked();
  marker_comes(b_, "1");
  EXPECT_EQ(take(client_), verdict::now);
}

TEST_F(DepartureTest, AMarkerThatDoesNotComeIsWaitedForForAWhile) {
  take(client_);
  a_.asked();
  b_.asked();
  marker_comes(b_, "1");
  bench_.pass(199ms);
  EXPECT_EQ(take(client_), verdict::engaged);
  bench_.pass(1ms);
  EXPECT_EQ(take(client_), verdict::now);
}

}  // namespace
}  // namespace dualbus::operation::test
