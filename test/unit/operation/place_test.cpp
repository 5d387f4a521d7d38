// A bus that goes to another place while its clients send. The other place is the one of bus b.

#include "support/worker_bench.hpp"

#include <dualbus/backend/relocation.hpp>

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using backend::moving;
using testing::ElementsAre;

class PlaceTest : public WorkerTest {
 protected:
  backend::bus& bus() { return bench_.buses.bus(0); }
  void move(moving why) {
    there_ = bench_.buses.bus(1).environment().target;
    bench_.turn.begin();
    bus().set_place(there_, why, bench_.turn.now);
    bench_.run();
  }
  bool moved() { return config::same_place(bus().environment().target, there_); }
  /// True if a new request goes to the other place.
  bool goes_there() {
    client_.says("GET a:new");
    if (b_.asked() != "GET a:new") return false;
    b_.answers("$-1\r\n");
    EXPECT_EQ(client_.got(), "$-1\r\n");
    return true;
  }
  /// The same for another client, while the first one waits.
  bool goes_there_for_others() {
    bench_client& other = bench_.connect();
    other.says("GET a:new");
    return b_.asked() == "GET a:new";
  }

  config::bus_settings there_;
};

TEST_F(PlaceTest, WithNothingOwedTheBusMovesAtOnceAndItsOldConnectionsClose) {
  EXPECT_GT(a_.connections(), 0U);
  move(moving::planned);
  EXPECT_TRUE(moved());
  EXPECT_TRUE(goes_there());
  EXPECT_EQ(a_.connections(), 0U);
  EXPECT_EQ(bench_.figures(0).connections_lost, 0U);
}

TEST_F(PlaceTest, TheOldPlaceGivesItsAnswersFirstAndLaterRequestsWaitForTheNewOne) {
  client_.says("GET a:old");
  EXPECT_EQ(a_.asked(), "GET a:old");
  move(moving::planned);
  EXPECT_FALSE(moved());
  client_.says("GET a:new");
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "(nothing)");
  a_.answers("$1\r\no\r\n");
  EXPECT_EQ(b_.asked(), "GET a:new");
  b_.answers("$1\r\nn\r\n");
  EXPECT_EQ(client_.got(), "$1\r\no\r\n$1\r\nn\r\n");
  EXPECT_TRUE(moved());
}

TEST_F(PlaceTest, LinksOfAllProtocolsAndDatabasesChangeOverTogether) {
  bench_client& other = bench_.connect();
  other.session().set_protocol(resp::protocol::resp3);
  other.says("GET a:k3");
  EXPECT_EQ(a_.asked(), "GET a:k3");
  move(moving::planned);
  // One link owes nothing, and waits for the other one.
  client_.says("GET a:k2");
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "(nothing)");
  a_.answers("_\r\n");
  EXPECT_EQ(b_.asked(), "GET a:k2");
  b_.answers("$-1\r\n");
  other.says("GET a:k3");
  EXPECT_EQ(b_.asked(), "GET a:k3");
  b_.answers("_\r\n");
  EXPECT_EQ(other.got(), "_\r\n_\r\n");
}

TEST_F(PlaceTest, NobodyWaitsBehindAnAnswerThatTakesLong) {
  client_.says("GET a:slow");
  EXPECT_EQ(a_.asked(), "GET a:slow");
  const fake_bus::request slow = a_.last();
  move(moving::planned);
  client_.says("GET a:next");
  EXPECT_EQ(a_.asked(), "(nothing)");
  bench_.pass(backend::relocation::longest_hold + 50ms);
  EXPECT_EQ(a_.asked(), "GET a:next");
  EXPECT_FALSE(moved());
  const fake_bus::request next = a_.last();
  a_.answer(slow, "$-1\r\n");
  a_.answer(next, "$-1\r\n");
  EXPECT_EQ(client_.got(), "$-1\r\n$-1\r\n");
  EXPECT_FALSE(moved());
  bench_.pass(backend::relocation::between_holds);
  EXPECT_TRUE(moved());
  EXPECT_TRUE(goes_there());
}

TEST_F(PlaceTest, APlaceThatIsNoMasterIsWaitedFor) {
  b_.is("replica");
  move(moving::planned);
  bench_.pass(1s);
  EXPECT_FALSE(moved());
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
  a_.answers("$-1\r\n");
  b_.is("master");
  bench_.pass(5s);
  EXPECT_TRUE(moved());
}

TEST_F(PlaceTest, AMoveThatIsTakenBackChangesNothing) {
  const config::bus_settings here = bus().environment().target;
  b_.listens(false);
  move(moving::planned);
  bench_.pass(200ms);
  bench_.turn.begin();
  bus().set_place(here, moving::planned, bench_.turn.now);
  b_.listens(true);
  bench_.pass(5s);
  EXPECT_FALSE(moved());
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
}

TEST_F(PlaceTest, ABusThatIsDownGoesToTheNewPlaceWithWhatWaitsForIt) {
  a_.goes_away();
  bench_.run();
  client_.says("SET a:k v");
  bench_.run();
  move(moving::planned);
  EXPECT_TRUE(moved());
  EXPECT_EQ(b_.asked(), "SET a:k v");
}

// --- R1: who waits at the old place

class WaitingPlaceTest : public PlaceTest {
 protected:
  void waits(std::string_view request = "BLPOP a:k 9") {
    client_.says(request);
    EXPECT_EQ(a_.asked(), request);
    waiting_ = a_.last();
  }
  void told(const std::string& how, std::string_view reply) {
    EXPECT_EQ(a_.asked(), "CLIENT UNBLOCK " + std::to_string(waiting_.from) + " " + how);
    a_.answers(reply);
  }

  fake_bus::request waiting_;
  const std::string element_ = "*2\r\n$3\r\na:k\r\n$1\r\nx\r\n";
  const std::string unblocked_ = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
};

TEST_F(WaitingPlaceTest, OnceTheOldPlaceHasEndedItAWaitBeginsAnewForTheTimeThatItHasLeft) {
  waits();
  bench_.pass(2s);
  move(moving::planned);
  EXPECT_TRUE(moved());
  EXPECT_EQ(b_.asked(), "(nothing)");
  told("ERROR", ":1\r\n");
  EXPECT_EQ(b_.asked(), "(nothing)");
  a_.answer(waiting_, unblocked_);
  const std::string asked = b_.asked(), head = "BLPOP a:k ";
  ASSERT_TRUE(asked.starts_with(head)) << asked;
  const double left = std::stod(asked.substr(head.size()));
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 7.0) << "2 of 9 seconds are over";
  EXPECT_EQ(a_.connections(), 0U);
  b_.answers(element_);
  EXPECT_EQ(client_.got(), element_);
}

TEST_F(WaitingPlaceTest, AnElementThatTheOldPlaceHasGivenIsTheAnswer) {
  waits();
  move(moving::planned);
  told("ERROR", ":0\r\n");
  a_.answer(waiting_, element_);
  EXPECT_EQ(client_.got(), element_);
  EXPECT_EQ(b_.asked(), "(nothing)");
  bench_.run();
  EXPECT_EQ(a_.connections(), 0U);
}

TEST_F(WaitingPlaceTest, AWaitThatCannotBeEndedThereIsNotSentAgain) {
  waits();
  move(moving::planned);
  told("ERROR", "-NOPERM no\r\n");
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_TRUE(goes_there_for_others());
  a_.answer(waiting_, element_);
  EXPECT_EQ(client_.got(), element_);
}

TEST_F(WaitingPlaceTest, AConnectionThatIsLostMeanwhileIsAnErrorAndNothingIsSentAgain) {
  waits();
  move(moving::planned);
  told("ERROR", ":1\r\n");
  a_.closes(waiting_.from);
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(WaitingPlaceTest, AClientThatGoesMeanwhileEndsItsWaitAtTheOldPlace) {
  waits();
  move(moving::planned);
  client_.ends_input();
  told("ERROR", ":1\r\n");
  a_.answer(waiting_, unblocked_);
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(WaitingPlaceTest, InAFailoverAWaitEndsWithAnErrorAndNobodyIsTold) {
  waits();
  move(moving::failover);
  bench_.pass(backend::relocation::longest_wait + 50ms);
  EXPECT_TRUE(moved());
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

// --- T1, T3: a failover

TEST_F(PlaceTest, InAFailoverNothingMoreGoesToTheOldPlace) {
  b_.listens(false);  // the new master is not there yet
  move(moving::failover);
  client_.says("GET a:k");
  EXPECT_EQ(a_.asked(), "(nothing)");
  b_.listens(true);
  bench_.pass(3s);
  EXPECT_EQ(a_.asked(), "(nothing)");
  EXPECT_EQ(b_.asked(), "GET a:k");
}

TEST_F(PlaceTest, InAFailoverAnAnswerThatComesInTimeCounts) {
  client_.says("SET a:k v");
  EXPECT_EQ(a_.asked(), "SET a:k v");
  move(moving::failover);
  bench_.pass(backend::relocation::longest_wait / 2);
  a_.answers("+OK\r\n");
  EXPECT_EQ(client_.got(), "+OK\r\n");
  bench_.run();
  EXPECT_TRUE(moved());
}

TEST_F(PlaceTest, InAFailoverARequestThatMayHaveRunIsNotSentAgain) {
  client_.says("SET a:k v");
  EXPECT_EQ(a_.asked(), "SET a:k v");
  move(moving::failover);
  bench_.pass(backend::relocation::longest_wait + 50ms);
  EXPECT_TRUE(moved());
  EXPECT_EQ(client_.got(),
            "-BUSLOST bus 'a': connection lost after the command was sent, outcome unknown\r\n");
  EXPECT_EQ(b_.asked(), "(nothing)");
  EXPECT_TRUE(goes_there());
}

TEST_F(PlaceTest, WhoeverKeepsWhatWasLearntIsToldBeforeTheFirstRequestGoesThere) {
  std::vector<std::string> seen;
  bus().on_change_of_place([&](backend::bus& which) {
    seen.push_back(which.environment().target.endpoint);
    EXPECT_EQ(b_.times("GET a:k"), 0U);
  });
  client_.says("GET a:old");
  a_.asked();
  move(moving::planned);
  client_.says("GET a:k");
  bench_.run();
  EXPECT_THAT(seen, ElementsAre());
  a_.answers("$-1\r\n");
  EXPECT_EQ(b_.asked(), "GET a:k");
  EXPECT_THAT(seen, ElementsAre(there_.endpoint));
}

}  // namespace
}  // namespace dualbus::operation::test
