// Readers that wait, and what happens around them: reloads, and buses that are not as they should be.

#include "support/reads_test.hpp"

namespace dualbus::operation::test {
namespace {

using namespace std::chrono_literals;
using metrics::outcome;
using testing::ElementsAre;

const std::string denial = "NOPERM User c has no permissions to run the 'xreadgroup' command";
const std::string group_read = "XREADGROUP GROUP g c BLOCK 0 STREAMS s >";

// --------------------------------------------------------------------------------------------------- reloads

class ReloadTest : public ReadsTest {
 protected:
  void takes_right() {
    bench_.handler.denial = denial;
    bench_.reload("");
  }
};

TEST_F(ReloadTest, AReaderThatMayNotReadAnyMoreIsToldSo) {
  waits();
  takes_right();
  EXPECT_EQ(client_.got(), "-" + denial + "\r\n");
  EXPECT_EQ(bench_.parking.readers(), 0U);
  EXPECT_THAT(bench_.handler.judged, ElementsAre("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"));
  EXPECT_EQ(bench_.figures().permission_denials, 1U);
}

TEST_F(ReloadTest, AReaderThatStillMayGoesOnWaiting) {
  waits();
  bench_.reload("");
  EXPECT_EQ(client_.got(), "");
  EXPECT_EQ(bench_.parking.readers(), 1U);
}

TEST_F(ReloadTest, ARightThatIsLostDuringTheFirstLookEndsTheWaitBeforeItBegins) {
  client_.says(group_read);
  EXPECT_EQ(a_.asked(), read_);
  EXPECT_EQ(b_.asked(), read_);
  takes_right();
  EXPECT_EQ(client_.got(), "");
  a_.answers(nil);
  b_.answers(nil);
  EXPECT_EQ(client_.got(), "-" + denial + "\r\n");
  EXPECT_EQ(bench_.parking.readers(), 0U);
  EXPECT_FALSE(client_.session().blocked());
}

TEST_F(ReloadTest, WhatTheFirstLookHasFoundIsAnsweredThoughTheRightIsLost) {
  client_.says(group_read);
  EXPECT_EQ(a_.asked(), read_);
  EXPECT_EQ(b_.asked(), read_);
  takes_right();
  a_.answers(nil);
  b_.answers(one_entry("s", "1700000000000-3"));
  EXPECT_EQ(client_.got(), entry_of_b);
}

TEST_F(ReloadTest, ARightThatIsLostDuringALaterLookEndsTheWaitBehindIt) {
  waits();
  b_.announces("s");
  EXPECT_EQ(b_.asked(), read_);
  takes_right();
  EXPECT_EQ(client_.got(), "");
  b_.answers(nil);
  EXPECT_EQ(client_.got(), "-" + denial + "\r\n");
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

TEST_F(ReloadTest, AReaderWithoutAGroupIsJudgedAsSuch) {
  waits(client_, "XREAD BLOCK 0 STREAMS s 5-0");
  takes_right();
  EXPECT_EQ(client_.got(), "-" + denial + "\r\n");
  EXPECT_THAT(bench_.handler.judged, ElementsAre("XREAD", "STREAMS", "s", "$"));
}

TEST_F(ReloadTest, AReadThatDoesNotWaitIsNotJudgedAgain) {
  client_.says("XREADGROUP GROUP g c STREAMS s >");
  EXPECT_EQ(a_.asked(), read_);
  EXPECT_EQ(b_.asked(), read_);
  takes_right();
  a_.answers(nil);
  b_.answers(nil);
  EXPECT_EQ(client_.got(), nil);
}

TEST_F(ReloadTest, AReaderOfAStreamThatHasMovedEndsAsIfItsTimeWereOver) {
  waits();
  bench_.reload("routing: {default_bus: a, keys: [{match: s, bus: b}]}\n");
  EXPECT_EQ(client_.got(), nil);
  EXPECT_EQ(bench_.parking.readers(), 0U);
}

// ------------------------------------------------------------------------------------------- what is watched

class ParkingTest : public ReadsTest {
 protected:
  using ReadsTest::ReadsTest;
};

TEST_F(ParkingTest, AFlushOfAllKeysMakesEverybodyLook) {
  waits();
  b_.says(b_.watcher(), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
  EXPECT_EQ(b_.asked(), read_);
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(ParkingTest, GroupsThatAClientChangesMakeTheReadersOfTheKeyLook) {
  waits();
  bench_.parking.groups_changed("other");
  EXPECT_EQ(a_.asked(), "(nothing)");
  bench_.parking.groups_changed("s");
  EXPECT_EQ(a_.asked(), read_);
  EXPECT_EQ(b_.asked(), read_);
}

TEST_F(ParkingTest, GroupsThatSomebodyElseChangesAreNoticedByTheFiguresOfTheBus) {
  waits();
  b_.keep("INFO");
  bench_.pass(1100ms);
  EXPECT_EQ(b_.asked(), "INFO commandstats");
  b_.answers(bulk("cmdstat_xgroup|create:calls=1,usec=5\r\n"));
  EXPECT_EQ(b_.asked(), read_);
  EXPECT_EQ(a_.asked(), "(nothing)");
}

TEST_F(ParkingTest, ReadsArmTheKeyThemselvesOnTheConnectionThatTheyTravelOn) {
  waits();
  EXPECT_GE(a_.times("CLIENT CACHING YES"), 1U);
  EXPECT_EQ(a_.times("CLIENT TRACKING ON REDIRECT " + std::to_string(a_.watcher()) + " OPTIN"), 1U);
}

TEST_F(ParkingTest, AnArmingThatIsRefusedIsLeftToTheWatcher) {
  a_.keep("CLIENT");
  b_.keep("CLIENT");
  client_.says(group_read);
  int refused = 0;
  for (int i = 0; i < 50; ++i) {
    for (fake_bus* const bus : {&a_, &b_}) {
      for (std::string text = bus->asked(); text != "(nothing)"; text = bus->asked()) {
        const bool armer = text.find("REDIRECT") != std::string::npos || text == "CLIENT CACHING YES";
        refused += armer ? 1 : 0;
        bus->answers(armer ? "-ERR unknown\r\n" : text.starts_with("CLIENT") ? "+OK\r\n" : nil);
      }
    }
    bench_.pass(10ms);
  }
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(client_.got(), "");
  bench_.pass(100ms);
  EXPECT_GE(a_.times("EXISTS s"), 1U);
  EXPECT_EQ(a_.times("CLIENT CACHING YES"), 0U);
}

TEST_F(ParkingTest, AnArmingThatThereIsNoMemoryForEndsTheReaderAndLeavesNothingBehind) {
  const std::string name(150'000, 'k');
  const std::string of_name = "XREADGROUP GROUP g c BLOCK 0 STREAMS " + name + " >";
  waits(client_, of_name);
  client_.session().unblock(false);
  EXPECT_EQ(client_.got(), nil);
  a_.announces(name);  // it is to be armed again, on the bus that is asked first
  bench_.handler.on("xreadgroup", [this](session& client, routed_request& taken) {
    auto* const op = new plain_read(bench_.streams, client, taken);
    const short_of_memory here(60'000);
    op->start();
  });
  const std::size_t armed = a_.times("EXISTS " + name);
  client_.says(of_name);
  EXPECT_EQ(client_.got(), "(closed)");
  EXPECT_EQ(bench_.parking.readers(), 0U);
  EXPECT_EQ(a_.times("EXISTS " + name), armed);
  bench_client& other = bench_.connect();
  other.says("GET a:k");
  EXPECT_EQ(a_.asked(), "GET a:k");
  EXPECT_EQ(b_.asked(), "(nothing)");
}

TEST_F(ParkingTest, ArmingsInFrontOfReadsBeginLaterIfThereWasNoMemoryForIt) {
  bench_.parking.watch("s", command::no_bus, false);
  bench_.run();
  const std::string track = "CLIENT TRACKING ON REDIRECT " + std::to_string(a_.watcher()) + " OPTIN";
  bench_.parking.reads_in_order(resp::protocol::resp2, 0);
  {
    const last_chunks here(bench_.exec.request_chunks, 0);
    EXPECT_THROW(bench_.parking.send("s", 0, true), std::bad_alloc);
  }
  bench_.buses.drop_unannounced();
  bench_.run();
  EXPECT_EQ(a_.times(track), 0U);
  bench_.tick();
  bench_.run();
  EXPECT_EQ(a_.times(track), 1U);
}

TEST_F(ParkingTest, ARestingBusIsNotWatchedButWatchedAgainWhenItRestsNoMore) {
  bench_.resting = 2;
  bench_.tick();
  waits();
  EXPECT_NE(a_.watcher(), 0);
  EXPECT_EQ(b_.watcher(), 0);
  bench_.resting = 0;
  bench_.tick();
  settle();
  EXPECT_NE(b_.watcher(), 0);
  bench_.pass(200ms);
  settle();
  EXPECT_EQ(client_.got(), "");
  bench_.resting = 2;
  bench_.tick();
  EXPECT_EQ(b_.asked(), read_);  // once more
  EXPECT_EQ(b_.watcher(), 0);
}

TEST_F(ParkingTest, WhenNobodyHasWaitedForAWhileNothingIsWatchedAnyMore) {
  waits();
  client_.session().unblock(false);
  EXPECT_EQ(client_.got(), nil);
  bench_.pass(59s);
  EXPECT_NE(a_.watcher(), 0);
  bench_.pass(2s);
  EXPECT_EQ(a_.watcher(), 0);
  waits();
  EXPECT_NE(a_.watcher(), 0);
}

// --------------------------------------------------------------------------------------- buses that are away

TEST_F(ParkingTest, ABusThatAnswersWithAnErrorIsAskedAgainAfterAWhile) {
  waits();
  b_.announces("s");
  EXPECT_EQ(b_.asked(), read_);
  b_.keep("SETRANGE");
  b_.answers("-LOADING Redis is loading\r\n");
  bench_.pass(100ms);
  EXPECT_EQ(b_.asked(), "SETRANGE dualbus:probe 0 ");
  b_.answers("-LOADING Redis is loading\r\n");
  b_.keep("SETRANGE", false);
  bench_.pass(300ms);
  EXPECT_FALSE(bench_.parking.usable(1));
  EXPECT_FALSE(bench_.parking.serves_groups(1));
  EXPECT_EQ(b_.asked(), "(nothing)");
  bench_.pass(800ms);
  EXPECT_TRUE(bench_.parking.usable(1));
  EXPECT_EQ(b_.asked(), read_);
  b_.answers(one_entry("s", "1700000000000-3"));
  EXPECT_EQ(client_.got(), entry_of_b);
}

TEST_F(ParkingTest, AReplicaServesReadersButNoGroups) {
  waits();
  b_.keep("SETRANGE");
  bench_.buses.bus(1).doubt();
  bench_.tick();
  EXPECT_EQ(b_.asked(), "SETRANGE dualbus:probe 0 ");
  b_.answers("-READONLY You can't write against a read only replica.\r\n");
  bench_.run();
  bench_.tick();
  EXPECT_TRUE(bench_.parking.usable(1));
  EXPECT_FALSE(bench_.parking.serves_groups(1));
  b_.announces("s");
  bench_.run();
  for (std::string text = b_.asked(); text != "(nothing)"; text = b_.asked()) EXPECT_NE(text, read_);
}

TEST_F(ParkingTest, ABusThatComesBackIsLookedAt) {
  waits();
  b_.closes_all();
  bench_.pass(400ms);
  EXPECT_EQ(b_.asked(), read_);
  b_.answers(one_entry("s", "1700000000000-3"));
  EXPECT_EQ(client_.got(), entry_of_b);
}

TEST_F(ParkingTest, WhileABusIsAwayItIsNotLookedAt) {
  waits();
  b_.goes_away();
  bench_.pass(3s);
  EXPECT_EQ(client_.got(), "");
  EXPECT_EQ(a_.asked(), "(nothing)");
  b_.listens(true);
  bench_.pass(3s);
  EXPECT_EQ(b_.asked(), read_);
}

TEST_F(ParkingTest, ABusThatAnnouncesNothingCountsAsAway) {
  waits();
  b_.keep("PING");
  b_.listens(false);
  bench_.pass(400ms);
  EXPECT_EQ(b_.watcher(), 0);
  EXPECT_TRUE(bench_.parking.usable(1));  // for those who come
  bench_.pass(1s);
  EXPECT_FALSE(bench_.parking.usable(1));
  EXPECT_TRUE(bench_.buses.bus(1).up());
  b_.keep("PING", false);
  b_.listens(true);
  for (int i = 0; i < 50; ++i) {
    bench_.pass(50ms);
    while (b_.asked() != "(nothing)") b_.answers(nil);
  }
  EXPECT_TRUE(bench_.parking.usable(1));
  EXPECT_EQ(client_.got(), "");
}

TEST_F(ParkingTest, AConnectionOfTheWatcherShowsAmongThoseOfTheBus) {
  metrics::bus_metrics before, after;
  bench_.parking.observe(0, before);
  waits();
  bench_.parking.observe(0, after);
  const auto up = static_cast<std::size_t>(metrics::connection_state::up);
  EXPECT_EQ(before.connections[up], 0U);
  EXPECT_EQ(after.connections[up], 1U);
  EXPECT_EQ(bench_.figures(0).connects, 1U);  // its own connection is none of the clients'
}

TEST_F(ParkingTest, AWatcherThatIsRenewedConnectsAnewAndTheReadersLookOnceMore) {
  waits();
  const int before = b_.watcher();
  bench_.parking.renew(1, bench_.turn.now);
  bench_.pass(200ms);
  settle();
  EXPECT_NE(b_.watcher(), before);
  EXPECT_NE(b_.watcher(), 0);
  EXPECT_EQ(client_.got(), "");
}

class StrictParkingTest : public ReadsTest {
 protected:
  StrictParkingTest() : ReadsTest({.settings = "absorb: strict\n"}) {}
};

TEST_F(StrictParkingTest, WhereAnswersAreStrictOnlyTheWatcherWatches) {
  waits();
  EXPECT_EQ(a_.times("CLIENT CACHING YES"), 0U);
  EXPECT_GE(a_.times("EXISTS s"), 1U);
}

}  // namespace
}  // namespace dualbus::operation::test
