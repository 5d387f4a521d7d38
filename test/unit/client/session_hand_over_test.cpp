#include "session_fixture.hpp"

#include <dualbus/client/departures.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::client {
namespace {

using namespace std::chrono_literals;
using test::bulk;
using test::remote;
using test::request_of;
using testing::ElementsAre;

class no_gate final : public departure_gate {
 public:
  verdict may_depart(const session&) override { return answer; }
  void forget(std::uint64_t) override {}
  void end_of_take() override {}
  std::uint64_t round() const override { return 7; }
  verdict answer = verdict::now;
};

/// A client departs and arrives again, in the same worker: a session knows of no process.
class SessionHandOverTest : public test::SessionTest {
 protected:
  std::vector<session::departed> take(bool forced = false) {
    auto ready = leaving.take(forced);
    end_turn();
    return ready;
  }
  void arrive(session::departed&& departed) {
    entrance.take_over(std::move(departed.fd), departed.state);
    settle();
  }
  no_gate gate;
  departures leaving{clients, turn, gate};
};

TEST_F(SessionHandOverTest, AnIdleClientGoesAtOnceAndComesBackAsItWas) {
  remote one = connect();
  at(one).set_name("engine-1");
  at(one).set_protocol(resp::protocol::resp3);
  at(one).set_database(3);
  at(one).set_evictable(false);
  pass(5s);
  run_turn();
  auto ready = take();
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(clients.size(), 0U);
  EXPECT_EQ(places.clients, 0U);
  EXPECT_FALSE(one.at_end());
  const session_state state = ready[0].state;
  EXPECT_EQ(state.id, one.id);
  EXPECT_EQ(state.name, "engine-1");
  EXPECT_EQ(state.age, 5s);
  arrive(std::move(ready[0]));
  EXPECT_EQ(at(one).protocol(), resp::protocol::resp3);
  EXPECT_EQ(at(one).database(), 3);
  EXPECT_EQ(at(one).current_names()->client, "engine-1");
  EXPECT_EQ(at(one).age(), 5s);
  EXPECT_FALSE(at(one).evictable());
  EXPECT_EQ(exchange(one, request_of({"ECHO", "a"})), bulk("a"));
}

TEST_F(SessionHandOverTest, AClientThatIsOwedAReplyStaysUntilItHasIt) {
  remote one = connect();
  one.send(request_of({"GET", "k"}) + request_of({"ECHO", "b"}).substr(0, 9));
  settle();
  EXPECT_TRUE(take().empty());
  one.send(request_of({"ECHO", "b"}).substr(9) + request_of({"ECHO", "c"}));
  settle();
  EXPECT_THAT(handler.seen_of(one.id), ElementsAre("GET k"));  // it is not read meanwhile
  handler.of("k").answer("$1\r\nv\r\n");
  settle();
  EXPECT_EQ(one.receive(), "$1\r\nv\r\n");
  auto ready = take();
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0].state.input, request_of({"ECHO", "b"}).substr(0, 9));
  arrive(std::move(ready[0]));
  settle();
  EXPECT_EQ(one.receive(), bulk("b") + bulk("c"));
}

TEST_F(SessionHandOverTest, AClientThatCannotGoSoonIsReadAgain) {
  remote one = connect();
  one.send(request_of({"GET", "k"}));
  settle();
  EXPECT_TRUE(take().empty());
  one.send(request_of({"ECHO", "b"}));
  settle();
  EXPECT_THAT(handler.seen_of(one.id), ElementsAre("GET k"));
  pass(100ms);
  run_turn();
  EXPECT_TRUE(take().empty());
  settle();
  EXPECT_THAT(handler.seen_of(one.id), ElementsAre("GET k", "ECHO b"));
  leaving.call_off();
  handler.of("k").answer("$1\r\nv\r\n");
  settle();
  EXPECT_EQ(one.receive(), "$1\r\nv\r\n" + bulk("b"));
}

TEST_F(SessionHandOverTest, RequestsThatHaveComeAreCarriedOutThere) {
  remote one = connect();
  at(one).prepare_to_go();
  one.send(request_of({"ECHO", "a"}) + request_of({"ECHO", "b"}));
  settle();
  auto ready = take();
  ASSERT_EQ(ready.size(), 1U);
  arrive(std::move(ready[0]));
  settle();
  EXPECT_EQ(one.receive(), bulk("a") + bulk("b"));
}

TEST_F(SessionHandOverTest, TheModeOfRepliesGoesAlong) {
  remote off = connect(), skip = connect();
  at(off).replies().set_mode(reply_queue::mode::off);
  at(skip).replies().set_mode(reply_queue::mode::skip_this);
  for (auto& each : take()) arrive(std::move(each));
  EXPECT_EQ(exchange(off, request_of({"ECHO", "a"})), "");
  EXPECT_EQ(exchange(skip, request_of({"ECHO", "a"}) + request_of({"ECHO", "b"})), bulk("b"));
}

TEST_F(SessionHandOverTest, TheUserIsThatOfTheSameName) {
  set_users({test::user_called("default"), test::user_called("trader"), test::user_called("gone")});
  remote one = connect(), two = connect();
  at(one).set_user(*access.find("trader"));
  at(two).set_user(*access.find("gone"));
  auto ready = take();
  ASSERT_EQ(ready.size(), 2U);
  set_users({test::user_called("default"), test::user_called("trader")});
  for (auto& each : ready) arrive(std::move(each));
  EXPECT_EQ(at(one).user_name(), "trader");
  EXPECT_EQ(find(two), nullptr);
  EXPECT_TRUE(two.at_end());
}

TEST_F(SessionHandOverTest, ASubscriberGoesWhenItMay) {
  handler.hearing = {{"SUBSCRIBE", "news"}};
  remote one = connect();
  at(one).set_subscriptions({.channels = 1});
  gate.answer = departure_gate::verdict::engaged;
  EXPECT_TRUE(take().empty());
  pass(1s);
  run_turn();
  EXPECT_TRUE(take().empty());
  gate.answer = departure_gate::verdict::now;
  auto ready = take();
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0].state.round, 7U);
  arrive(std::move(ready[0]));
  EXPECT_EQ(handler.restored[one.id], handler.hearing);
}

TEST_F(SessionHandOverTest, AClientThatMonitorsIsClosed) {
  remote one = connect();
  at(one).set_monitoring(true);
  EXPECT_TRUE(take().empty());
  settle();
  pass(1s);
  run_turn();
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionHandOverTest, RepliesThatTheSocketDoesNotTakeGoAlong) {
  know_big();
  remote one = connect({.send_buffer = 4096});
  one.send(request_of({"BIG", "100000"}));
  settle();
  auto ready = take();
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_GT(ready[0].state.output.size(), 0U);
  arrive(std::move(ready[0]));
  EXPECT_EQ(receive_all(one), bulk(std::string(100000, 'x')));
}

}  // namespace
}  // namespace dualbus::client
