#include "session_fixture.hpp"

#include <dualbus/base/socket.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <vector>

namespace dualbus::client {
namespace {

using metrics::close_reason;
using test::remote;
using test::user_called;
using testing::StartsWith;

class DoorTest : public test::SessionTest {
 protected:
  DoorTest() { limits.max_clients = 2; }
  void set_one_user() { set_users({user_called("bob")}); }
  /// What is accepted until then is silent.
  void let_silence_pass() {
    pass(std::chrono::seconds(1));
    run_turn();
  }
  void log_in(const remote& one) { at(one).set_user(*access.find("bob")); }
};

TEST_F(DoorTest, LetsAsManyInAsThereMayBe) {
  remote one = connect(), two = connect();
  EXPECT_EQ(clients.size(), 2U);
  remote three = connect();
  EXPECT_EQ(clients.size(), 2U);
  EXPECT_EQ(three.receive(), "-ERR max number of clients reached\r\n");
  EXPECT_TRUE(three.at_end());
  EXPECT_EQ(metrics.clients_accepted, 2U);
  EXPECT_EQ(metrics.clients_rejected, 1U);
  EXPECT_EQ(places.clients, 2U);
  one.close();
  settle();
  remote four = connect();
  EXPECT_EQ(exchange(four, "PING\r\n"), "+PONG\r\n");
  EXPECT_GT(four.id, two.id);
}

TEST_F(DoorTest, LetsNoMoreInThanTheProcessHasDescriptorsFor) {
  EXPECT_EQ(entrance.most_clients(), 2U);
  places.most_clients = 1;
  EXPECT_EQ(entrance.most_clients(), 1U);
  remote one = connect(), two = connect();
  EXPECT_NE(find(one), nullptr);
  EXPECT_TRUE(two.receive().starts_with("-ERR max"));
}

TEST_F(DoorTest, TheOldestStrangerMakesRoomForANewOne) {
  set_one_user();
  remote oldest = connect();
  let_silence_pass();
  remote next = connect(), newest = connect();
  EXPECT_EQ(find(oldest), nullptr);
  EXPECT_NE(find(next), nullptr);
  EXPECT_NE(find(newest), nullptr);
  EXPECT_TRUE(oldest.at_end());
  EXPECT_EQ(closed_for(close_reason::displaced), 1U);
  EXPECT_EQ(places.clients, 2U);
}

TEST_F(DoorTest, AStrangerThatHasComeJustNowMakesNoRoom) {
  set_one_user();
  remote one = connect(), two = connect(), three = connect();
  EXPECT_EQ(clients.size(), 3U) << "each may be an engine that is about to log in";
  log_in(three);
  log_in(two);
  entrance.check_strangers();
  EXPECT_NE(find(one), nullptr);
  let_silence_pass();
  entrance.check_strangers();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::displaced), 1U);
  EXPECT_EQ(places.clients, 2U);
}

TEST_F(DoorTest, StrangersThatComeFasterThanTheyCanSpeakMakeRoomAtOnce) {
  set_one_user();
  limits.max_clients = 100;
  std::vector<remote> crowd;
  for (int i = 0; i < 400; ++i) crowd.push_back(connect());
  EXPECT_LE(clients.size(), 165U) << "a few more than may be, for a quarter of a second";
  EXPECT_EQ(find(crowd.front()), nullptr);
  EXPECT_NE(find(crowd.back()), nullptr);
  let_silence_pass();
  entrance.check_strangers();
  EXPECT_EQ(clients.size(), 100U);
}

TEST_F(DoorTest, NobodyWhoHasLoggedInMakesRoom) {
  set_one_user();
  remote one = connect(), two = connect();
  log_in(one);
  log_in(two);
  remote three = connect();
  EXPECT_TRUE(three.receive().starts_with("-ERR max"));
  EXPECT_EQ(clients.size(), 2U);
}

TEST_F(DoorTest, WhereTheDefaultUserNeedsNoPasswordNobodyMakesRoom) {
  config::user_settings open = user_called("default");
  open.no_password = true;
  set_users({open});
  places.change(standing::none, standing::stranger);  // on a worker that has not reloaded yet
  remote one = connect(), two = connect(), three = connect();
  EXPECT_TRUE(three.receive().starts_with("-ERR max"));
  EXPECT_EQ(clients.size(), 2U);
  places.change(standing::stranger, standing::none);
}

TEST_F(DoorTest, AWorkerWithoutStrangersReliesOnThoseOfOthers) {
  set_one_user();
  remote one = connect(), two = connect();
  log_in(one);
  log_in(two);
  // Another worker has one stranger, which it closes when it sees that there are too many.
  places.change(standing::none, standing::stranger);
  remote three = connect();
  ASSERT_NE(find(three), nullptr);
  EXPECT_EQ(places.clients, 3U);
  log_in(three);
  entrance.check_strangers();
  EXPECT_EQ(clients.size(), 3U) << "it has none to close";
  places.change(standing::stranger, standing::none);
  remote four = connect();
  EXPECT_TRUE(four.receive().starts_with("-ERR max"));
}

TEST_F(DoorTest, StrangersGoWhoseWorkerHasMadeTooMuchRoom) {
  set_one_user();
  remote one = connect(), two = connect();
  let_silence_pass();
  places.clients += 1;  // another worker has taken one more
  entrance.check_strangers();
  EXPECT_EQ(clients.size(), 1U);
  entrance.check_strangers();
  EXPECT_EQ(clients.size(), 1U);
  places.clients -= 1;
}

TEST_F(DoorTest, AStrangerHasSoLongToLogIn) {
  set_one_user();
  limits.login_timeout = std::chrono::seconds(10);
  remote slow = connect(), known = connect();
  log_in(known);
  pass(std::chrono::seconds(9));
  run_turn();
  entrance.check_strangers();
  EXPECT_NE(find(slow), nullptr);
  pass(std::chrono::seconds(2));
  run_turn();
  entrance.check_strangers();
  EXPECT_EQ(find(slow), nullptr);
  EXPECT_NE(find(known), nullptr);
  EXPECT_EQ(closed_for(close_reason::login_timeout), 1U);
}

TEST_F(DoorTest, WithoutALimitAStrangerMayTakeItsTime) {
  set_one_user();
  limits.login_timeout = std::chrono::seconds(0);
  remote slow = connect();
  pass(std::chrono::hours(1));
  run_turn();
  entrance.check_strangers();
  EXPECT_NE(find(slow), nullptr);
}

TEST_F(DoorTest, ATcpConnectionIsSetUpAndDescribed) {
  const base::unique_fd listener = base::listen_tcp("127.0.0.1", 0, 4, false);
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  base::unique_fd theirs = base::start_connect(reinterpret_cast<const sockaddr*>(&address), length);
  pollfd ready{listener.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
  const int accepted = ::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK);
  ASSERT_GE(accepted, 0);
  limits.client_keepalive = std::chrono::seconds(30);
  entrance.accept(base::unique_fd(accepted), true);
  const auto option = [accepted](int layer, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(accepted, layer, name, &value, &size) == 0 ? value : -1;
  };
  EXPECT_EQ(option(IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 30);
  const session& client = *clients.find(last_id);
  EXPECT_THAT(client.peer_address(), StartsWith("127.0.0.1:"));
  EXPECT_EQ(client.local_address(), "127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  EXPECT_THAT(client.describe(), testing::HasSubstr(" flags=N "));
}

// --- the directory

using ClientDirectoryTest = DoorTest;

TEST_F(ClientDirectoryTest, KnowsTheClientsThatAreOpen) {
  remote one = connect(), two = connect();
  EXPECT_EQ(clients.find(one.id)->id(), one.id);
  EXPECT_EQ(clients.find(two.id + 1), nullptr);
  EXPECT_EQ(clients.all().size(), 2U);
  at(one).close(close_reason::client);
  EXPECT_EQ(clients.find(one.id), nullptr);
  EXPECT_EQ(clients.size(), 1U);
  std::vector<std::uint64_t> visited;
  clients.for_each([&](const session& each) { visited.push_back(each.id()); });
  EXPECT_THAT(visited, testing::ElementsAre(two.id));
}

TEST_F(ClientDirectoryTest, FreesAClientAtTheEndOfATurnAndNothingOfTheTurnReachesItThen) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  handler.of("a").outlives = true;
  at(one).hold();
  at(one).push(">1\r\n+a\r\n");  // it is to be flushed
  at(one).release();             // and resumed
  session& client = at(one);
  client.close(close_reason::killed);
  EXPECT_TRUE(client.closed()) << "it is there until the turn ends";
  clients.free_retired();
  EXPECT_FALSE(turn.wants_to_resume());
  turn.flush_all();
  EXPECT_FALSE(handler.of("a").has_owner());
}

}  // namespace
}  // namespace dualbus::client
