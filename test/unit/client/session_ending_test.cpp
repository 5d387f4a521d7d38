#include "session_fixture.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::client {
namespace {

using metrics::close_reason;
using metrics::outcome;
using test::bulk;
using test::remote;
using test::repeat;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::milliseconds linger_time{250};

class SessionEndingTest : public test::SessionTest {
 protected:
  SessionEndingTest() {
    handler.commands["HOLD"] = [](session& client, const request& taken) {
      client.hold();
      client.acknowledge(taken, "+HELD\r\n");
      return true;
    };
    handler.commands["SET"] = [](session& client, const request& taken) {
      client.acknowledge(taken, "+OK\r\n");
      return true;
    };
    handler.commands["QUIT"] = [](session& client, const request& taken) {
      client.acknowledge(taken, "+OK\r\n");
      client.close_after_replies(close_reason::client);
      return true;
    };
  }
  std::vector<std::string> seen_of(const remote& of) const { return handler.seen_of(of.id); }
  // All that happens to the peer of a client that has been sent away.
  void expect_answers_then_end(remote& one, std::string_view answers) {
    settle();
    EXPECT_EQ(one.receive(), answers);
    EXPECT_TRUE(one.at_end());
  }
};

// --- the client goes

TEST_F(SessionEndingTest, AClientThatIsOwedNothingMayGo) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "PING\r\n"), "+PONG\r\n");
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::client), 1U);
  EXPECT_EQ(places.clients, 0U);
}

TEST_F(SessionEndingTest, AClientThatSendsNothingMoreStillGetsItsAnswers) {
  remote one = connect();
  one.send("PING\r\nGET a\r\nGET b\r\n");
  one.end_sending();
  settle();
  EXPECT_EQ(one.receive(), "+PONG\r\n");
  EXPECT_FALSE(one.at_end());
  EXPECT_TRUE(at(one).peer_gone());
  EXPECT_FALSE(at(one).was_reset());
  handler.of("b").answer("+b\r\n");
  handler.of("a").answer("+a\r\n");
  expect_answers_then_end(one, "+a\r\n+b\r\n");
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::client), 1U);
}

TEST_F(SessionEndingTest, APartOfARequestBeforeTheEndIsDropped) {
  remote one = connect();
  one.send("PING\r\n*2\r\n$4\r\nECHO\r\n");
  one.end_sending();
  expect_answers_then_end(one, "+PONG\r\n");
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, QuitIsAnsweredAndWhatStandsBehindItIsNotCarriedOut) {
  remote one = connect();
  one.send("GET a\r\nQUIT\r\nSET k v\r\n");
  settle();
  handler.of("a").answer("+a\r\n");
  expect_answers_then_end(one, "+a\r\n+OK\r\n");
  EXPECT_THAT(seen_of(one), ElementsAre("GET a", "QUIT"));
  EXPECT_EQ(closed_for(close_reason::client), 1U);
}

TEST_F(SessionEndingTest, ARequestOfAClientThatWasResetLivesOnUntilItIsAnswered) {
  remote one = connect();
  one.send("PING\r\nGET a\r\nGET b\r\nGET c\r\n");
  settle();
  handler.of("a").outlives = true;
  handler.of("c").answer("+c\r\n");  // done, but behind the others
  one.close();                       // it has not read the +PONG, which resets the connection
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::client), 1U);
  EXPECT_THAT(handler.freed, ElementsAre("b", "c"));
  ASSERT_TRUE(handler.runs("a"));
  EXPECT_FALSE(handler.of("a").has_owner());
  handler.of("a").end_alone();
  EXPECT_THAT(handler.freed, ElementsAre("b", "c", "a"));
}

TEST_F(SessionEndingTest, AnAnswerThatReachesNobodyIsThrownAway) {
  remote one = connect();
  one.send("GET a\r\nGET b\r\n");
  settle();
  one.close();
  handler.of("a").answer("+a\r\n");
  end_turn();  // the write fails before the poller tells
  EXPECT_EQ(at(one).memory(), 0U);
  EXPECT_TRUE(at(one).was_reset());
  EXPECT_TRUE(at(one).peer_gone());
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_THAT(handler.freed, ElementsAre("a", "b"));
}

TEST_F(SessionEndingTest, WhatArrivedBeforeTheClientWentIsCarriedOut) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\n"), "+HELD\r\n");
  one.send("SET k v\r\n");
  one.close();
  settle();
  ASSERT_NE(find(one), nullptr);
  EXPECT_THAT(seen_of(one), ElementsAre("HOLD"));
  at(one).release();
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("HOLD", "SET k v"));
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, WhatStandsInItsOwnBufferIsCarriedOutToo) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\nSET k v\r\n"), "+HELD\r\n");
  one.close();
  settle();
  ASSERT_NE(find(one), nullptr);
  at(one).release();
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("HOLD", "SET k v"));
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AHeldClientThatWentAndLeftNothingToDoIsClosedAtOnce) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\n"), "+HELD\r\n");
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::client), 1U);
}

TEST_F(SessionEndingTest, AHeldClientThatOnlySendsNothingMoreGoesOn) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\nPING\r\n"), "+HELD\r\n");
  one.end_sending();
  settle();
  EXPECT_EQ(run_turn(), 0) << "it keeps nobody busy";
  at(one).release();
  expect_answers_then_end(one, "+PONG\r\n");
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AHeldClientThatIsFoundDeafByAReadEnds) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nHOLD\r\n"), "");
  one.close();
  handler.of("a").answer("+a\r\n");
  end_turn();
  settle();
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, ExecIsWaitedForThoughItsClientIsGone) {
  handler.commands["EXEC"] = [](session& client, const request& taken) {
    client.hold_behind_exec();
    client.reserve(taken);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "EXEC\r\n"), "");
  one.close();
  settle();
  ASSERT_NE(find(one), nullptr);
  EXPECT_EQ(run_turn(), 0) << "nobody is told of the hang-up again and again";
  at(one).release_behind_exec();
  settle();
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, WhatClientPauseHoldsBackGoesWithTheClient) {
  handler.commands["SET"] = [](session& client, const request&) { return client.await_unpause(), false; };
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nSET k v\r\nPING\r\n"), "");
  one.end_sending();
  settle();
  ASSERT_NE(find(one), nullptr);
  handler.of("a").answer("+a\r\n");
  expect_answers_then_end(one, "+a\r\n");
  EXPECT_THAT(seen_of(one), ElementsAre("GET a", "SET k v"));
  EXPECT_EQ(find(one), nullptr);
}

// --- the client goes while a request of it waits

TEST_F(SessionEndingTest, AWaitEndsWithItsClient) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\nSET k v\r\n"), "");
  EXPECT_TRUE(at(one).blocked());
  one.end_sending();
  settle();
  EXPECT_THAT(handler.of("a").unblocked, ElementsAre(false));
  EXPECT_EQ(handler.of("a").given_up, 1);
  handler.of("a").bring("*-1\r\n");
  expect_answers_then_end(one, "");
  EXPECT_THAT(seen_of(one), ElementsAre("BLPOP a 0"));
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AWaitOfAClientThatWasResetIsDetached) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_THAT(handler.freed, ElementsAre("a"));
}

TEST_F(SessionEndingTest, AWaitThatTheBusIsToldOfFirstBringsWhatItHas) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\nPING\r\n"), "");
  handler.of("a").asks_bus_first = true;
  one.end_sending();
  settle();
  EXPECT_THAT(handler.of("a").unblocked, IsEmpty());
  EXPECT_TRUE(at(one).leaving());
  at(one).leave(close_reason::killed);  // it leaves already
  handler.of("a").bring("+brought\r\n");
  expect_answers_then_end(one, "+brought\r\n+PONG\r\n");
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::client), 1U);
}

TEST_F(SessionEndingTest, AWaitThatTheBusIsToldOfFirstMayHaveNothing) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET b\r\nBLPOP a 0\r\nPING\r\n"), "");
  handler.of("a").asks_bus_first = true;
  one.end_sending();
  settle();
  handler.of("a").drop();
  handler.of("b").answer("+b\r\n");
  expect_answers_then_end(one, "+b\r\n");
  EXPECT_THAT(seen_of(one), ElementsAre("GET b", "BLPOP a 0"));
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AWaitThatIsTakingSomethingIsNotEnded) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\nPING\r\n"), "");
  handler.of("a").is_taking = true;
  one.end_sending();
  settle();
  EXPECT_THAT(handler.of("a").unblocked, IsEmpty());
  EXPECT_EQ(handler.of("a").given_up, 0);
  handler.of("a").bring("+taken\r\n");
  expect_answers_then_end(one, "+taken\r\n+PONG\r\n");
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AWaitThatIsTakingSomethingIsNotEndedByAResetEither) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  handler.of("a").is_taking = true;
  one.close();
  settle();
  ASSERT_NE(find(one), nullptr);
  EXPECT_THAT(handler.of("a").unblocked, IsEmpty());
  handler.of("a").bring("+taken\r\n");
  settle();
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, WhoGoesWhileItIsClosingIsClosedAtOnceWhateverItHasSent) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nQUIT\r\n"), "");
  one.send("PING\r\n");
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_THAT(handler.freed, ElementsAre("a"));
}

TEST_F(SessionEndingTest, AWaitThatBeginsAfterItsClientHasGoneEndsAtOnce) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\nBLPOP a 0\r\n"), "+HELD\r\n");
  one.end_sending();
  settle();
  ASSERT_NE(find(one), nullptr);
  at(one).release();
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("HOLD", "BLPOP a 0"));
  EXPECT_THAT(handler.of("a").unblocked, ElementsAre(false));
  handler.of("a").bring("*-1\r\n");
  expect_answers_then_end(one, "");
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AWaitThatBroughtSomethingMeanwhileIsNotEndedLater) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\nBLPOP a 0\r\n"), "+HELD\r\n");
  one.end_sending();
  settle();
  at(one).release();
  turn.resume_all();
  ASSERT_TRUE(handler.runs("a"));
  handler.of("a").bring("+brought\r\n");
  expect_answers_then_end(one, "+brought\r\n");
}

TEST_F(SessionEndingTest, ABlockedClientIsUnblockedByRequest) {
  remote one = connect();
  EXPECT_FALSE(at(one).unblock(true)) << "it does not wait";
  EXPECT_EQ(exchange(one, "GET b\r\nBLPOP a 0\r\n"), "");
  EXPECT_TRUE(at(one).unblock(true));
  EXPECT_THAT(handler.of("a").unblocked, ElementsAre(true));
  handler.of("b").answer("+b\r\n");
  settle();
  handler.of("a").is_waiting = false;
  EXPECT_FALSE(at(one).blocked()) << "it is not shown as blocked before its bus has what it waits for";
  handler.of("a").is_waiting = true;
  EXPECT_TRUE(at(one).blocked());
  handler.of("a").bring("-UNBLOCKED\r\n");
  settle();
  EXPECT_FALSE(at(one).blocked());
  EXPECT_EQ(one.receive(), "+b\r\n-UNBLOCKED\r\n");
}

// --- the client is sent away

class SessionLeaveTest : public SessionEndingTest, public testing::WithParamInterface<close_reason> {};

TEST_P(SessionLeaveTest, WhoIsOwedNothingIsClosedAtOnce) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "PING\r\n"), "+PONG\r\n");
  at(one).leave(GetParam());
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(GetParam()), 1U);
  settle();
  EXPECT_TRUE(one.at_end());
}

TEST_P(SessionLeaveTest, WhoIsOwedAnswersGetsThemUnlessItGoesForItsMemory) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  one.send("PING\r\n");
  at(one).leave(GetParam());
  if (GetParam() == close_reason::memory) {
    EXPECT_EQ(find(one), nullptr);
    EXPECT_THAT(handler.freed, ElementsAre("a"));
  } else {
    handler.of("a").answer("+a\r\n");
    expect_answers_then_end(one, "+a\r\n");
    EXPECT_THAT(seen_of(one), ElementsAre("GET a"));
    pass(linger_time);
    settle();
  }
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(GetParam()), 1U);
}

TEST_P(SessionLeaveTest, AWaitIsCalledOff) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET b\r\nBLPOP a 0\r\n"), "");
  at(one).leave(GetParam());
  if (GetParam() == close_reason::memory) {
    EXPECT_EQ(find(one), nullptr);
  } else {
    EXPECT_THAT(handler.of("a").unblocked, ElementsAre(false));
    handler.of("a").bring("*-1\r\n");
    handler.of("b").answer("+b\r\n");
    expect_answers_then_end(one, "+b\r\n");
    pass(linger_time);
    settle();
    EXPECT_EQ(find(one), nullptr);
  }
  EXPECT_EQ(closed_for(GetParam()), 1U);
}

TEST_P(SessionLeaveTest, AWaitThatTheBusIsToldOfFirstBringsWhatItHas) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  handler.of("a").asks_bus_first = true;
  at(one).leave(GetParam());
  settle();
  ASSERT_NE(find(one), nullptr);
  EXPECT_TRUE(at(one).leaving());
  EXPECT_THAT(at(one).describe(), HasSubstr(" flags=bcU "));
  handler.of("a").bring("+brought\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+brought\r\n");
  if (GetParam() == close_reason::client || GetParam() == close_reason::shutdown) {
    EXPECT_NE(find(one), nullptr) << "what it has sent comes first";
    EXPECT_FALSE(at(one).leaving());
  } else {
    EXPECT_TRUE(one.at_end());
    pass(linger_time);
    settle();
    EXPECT_EQ(find(one), nullptr);
    EXPECT_EQ(closed_for(GetParam()), 1U);
  }
}

TEST_P(SessionLeaveTest, AWaitThatTheBusIsToldOfFirstMayHaveNothing) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\nSET k v\r\n"), "");
  handler.of("a").asks_bus_first = true;
  at(one).leave(GetParam());
  settle();
  handler.of("a").drop();
  expect_answers_then_end(one, "");
  EXPECT_THAT(seen_of(one), ElementsAre("BLPOP a 0"));
  pass(linger_time);
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(GetParam()), 1U);
}

INSTANTIATE_TEST_SUITE_P(Reasons, SessionLeaveTest,
                         testing::Values(close_reason::client, close_reason::idle, close_reason::killed,
                                         close_reason::shutdown, close_reason::memory,
                                         close_reason::displaced),
                         [](const auto& of) { return std::string(metrics::close_reason_name(of.param)); });

TEST_F(SessionEndingTest, AClientThatGoesForItsMemoryLosesItsInputAtOnce) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n" + repeat("SET k v\r\n", 1000)), "");
  EXPECT_GT(at(one).memory(), 9000U);
  handler.of("a").asks_bus_first = true;
  at(one).leave(close_reason::memory);
  EXPECT_EQ(at(one).memory(), 0U);
  EXPECT_EQ(memory.used_bytes(), 0U) << "the next client must not be cut off for what is gone";
  handler.of("a").bring("+brought\r\n");
  expect_answers_then_end(one, "+brought\r\n");
  EXPECT_THAT(seen_of(one), ElementsAre("BLPOP a 0"));
}

TEST_F(SessionEndingTest, AClientThatGoesForItsMemoryAndDoesNotReadIsNotWaitedFor) {
  know_big();
  remote one = connect({.send_buffer = 8192});
  one.send("BIG 300000\r\nBLPOP a 0\r\n");
  settle();
  handler.of("a").asks_bus_first = true;
  at(one).leave(close_reason::memory);
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AWaitThatIsTakingSomethingIsAnsweredBeforeItsClientGoes) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\nPING\r\n"), "");
  handler.of("a").is_taking = true;
  at(one).leave(close_reason::killed);
  EXPECT_THAT(handler.of("a").unblocked, IsEmpty());
  handler.of("a").bring("+taken\r\n");
  expect_answers_then_end(one, "+taken\r\n");
}

TEST_F(SessionEndingTest, AWaitThatHasTakenNothingEndsThoughItsClientWasSentAwayBefore) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  handler.of("a").is_taking = true;
  at(one).leave(close_reason::killed);
  handler.of("a").is_taking = false;
  at(one).set_blocked(true);  // it waits on, as far as the request knows
  settle();
  EXPECT_THAT(handler.of("a").unblocked, ElementsAre(false));
  handler.of("a").bring("*-1\r\n");
  expect_answers_then_end(one, "");
}

TEST_F(SessionEndingTest, WhoIsSentAwayHasAMomentToTakeItsAnswers) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  at(one).leave(close_reason::killed);
  EXPECT_TRUE(at(one).leaving());
  handler.of("a").answer("+a\r\n");
  settle();
  ASSERT_NE(find(one), nullptr);
  EXPECT_TRUE(at(one).leaving());
  EXPECT_EQ(one.receive(), "+a\r\n");
  EXPECT_TRUE(one.at_end());
  send_all(one, repeat("PING\r\n", 100'000));  // it has not heard of its end yet
  settle();
  ASSERT_NE(find(one), nullptr);
  EXPECT_THAT(seen_of(one), ElementsAre("GET a"));
  pass(linger_time - std::chrono::milliseconds(50));
  run_turn();
  EXPECT_NE(find(one), nullptr);
  pass(std::chrono::milliseconds(60));
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::killed), 1U);
}

TEST_F(SessionEndingTest, ALingeringClientThatGoesIsClosedAtOnce) {
  remote one = connect(), other = connect(), third = connect();
  for (remote* const each : {&one, &other, &third}) {
    each->send("GET " + std::to_string(each->id) + "\r\n");
    settle();
    at(*each).leave(close_reason::killed);
    handler.of(std::to_string(each->id)).answer("+a\r\n");
    settle();
    ASSERT_NE(find(*each), nullptr);
  }
  one.receive();
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  at(other).on_hangup(false);
  EXPECT_NE(find(other), nullptr);
  at(other).on_hangup(true);
  EXPECT_EQ(find(other), nullptr);
  third.close();  // with something unread: a reset
  settle();
  EXPECT_EQ(find(third), nullptr);
  EXPECT_EQ(closed_for(close_reason::killed), 3U);
}

TEST_F(SessionEndingTest, WhoIsSentAwayAndDoesNotReadIsClosedAllTheSame) {
  know_big();
  remote one = connect({.send_buffer = 8192});
  one.send("BIG 300000\r\n");
  settle();
  at(one).leave(close_reason::killed);
  settle();
  EXPECT_NE(find(one), nullptr);
  pass(linger_time);
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::killed), 1U);
}

TEST_F(SessionEndingTest, WhoClosesForOtherReasonsGetsEverythingThatItIsOwedHoweverSlowItReads) {
  know_big();
  remote one = connect({.send_buffer = 8192});
  one.send("BIG 300000\r\nQUIT\r\n");
  settle();
  pass(10 * linger_time);
  settle();
  EXPECT_NE(find(one), nullptr);
  EXPECT_EQ(receive_all(one), bulk(std::string(300000, 'x')) + "+OK\r\n");
  EXPECT_TRUE(one.at_end());
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionEndingTest, AClientThatMayNotReadItsRestIsClosedWithoutIt) {
  handler.commands["SET"] = [](session& client, const request& taken) {
    client.acknowledge(taken, "+half of it");
    client.close_unread(close_reason::memory);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "SET k v\r\nPING\r\n"), "");
  EXPECT_TRUE(one.at_end());
  EXPECT_THAT(seen_of(one), ElementsAre("SET k v"));
  pass(linger_time);
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::memory), 1U);
}

// --- the daemon ends

TEST_F(SessionEndingTest, ADrainingClientIsAnsweredWhatItHasSentByNow) {
  remote one = connect();
  one.send("PING\r\nGET a\r\n*1\r\n$4\r\nPI");
  at(one).drain();
  end_turn();
  EXPECT_EQ(one.receive(), "+PONG\r\n");
  handler.of("a").answer("+a\r\n");
  expect_answers_then_end(one, "+a\r\n");
  EXPECT_TRUE(at(one).leaving());
  pass(linger_time);
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::shutdown), 1U);
}

TEST_F(SessionEndingTest, AnIdleClientThatDrainsIsToldTheEnd) {
  remote one = connect();
  at(one).drain();
  expect_answers_then_end(one, "");
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::shutdown), 1U);
}

TEST_F(SessionEndingTest, ADrainingClientThatIsHeldGoesOnFirst) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\nPING\r\n"), "+HELD\r\n");
  at(one).drain();
  settle();
  EXPECT_TRUE(at(one).draining());
  at(one).release();
  expect_answers_then_end(one, "+PONG\r\n");
  EXPECT_FALSE(at(one).draining()) << "the phase goes on";
  at(one).drain();
  EXPECT_FALSE(at(one).draining()) << "and never back";
}

TEST_F(SessionEndingTest, AFloodThatDrainsIsAnsweredToItsEnd) {
  remote one = connect();
  one.send(repeat("PING\r\n", 2000));
  run_turn();
  ASSERT_TRUE(turn.has_leftover());
  at(one).drain();
  EXPECT_TRUE(at(one).draining());
  settle();
  EXPECT_EQ(one.receive(), repeat("+PONG\r\n", 2000));
  EXPECT_TRUE(one.at_end());
}

TEST_F(SessionEndingTest, AWaitIsCalledOffWhenTheDaemonEnds) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  at(one).drain();
  EXPECT_THAT(handler.of("a").unblocked, ElementsAre(false));
  handler.of("a").bring("*-1\r\n");
  expect_answers_then_end(one, "");
}

TEST_F(SessionEndingTest, AWaitThatTheBusIsToldOfFirstIsAnsweredWhenTheDaemonEnds) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\nPING\r\n"), "");
  handler.of("a").asks_bus_first = true;
  at(one).drain();
  EXPECT_TRUE(at(one).draining());
  handler.of("a").bring("+brought\r\n");
  expect_answers_then_end(one, "+brought\r\n+PONG\r\n");
}

TEST_F(SessionEndingTest, AWaitThatIsTakingSomethingIsAnsweredWhenTheDaemonEnds) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "BLPOP a 0\r\n"), "");
  handler.of("a").is_taking = true;
  at(one).drain();
  EXPECT_THAT(handler.of("a").unblocked, IsEmpty());
  handler.of("a").bring("+taken\r\n");
  expect_answers_then_end(one, "+taken\r\n");
}

TEST_F(SessionEndingTest, DrainingAgainComesSoonUnlessTheClientIsGone) {
  remote one = connect(), gone = connect();
  at(one).drain_soon();
  at(gone).drain_soon();
  run_turn();
  EXPECT_FALSE(one.at_end());
  at(gone).close(close_reason::client);
  pass(std::chrono::milliseconds(2));
  expect_answers_then_end(one, "");
  EXPECT_EQ(closed_for(close_reason::client), 1U);
}

// --- the phases only go forward

TEST_F(SessionEndingTest, ASessionIsClosedOnce) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  session& client = at(one);
  client.close(close_reason::idle);
  // It is freed at the end of the turn; until then nothing changes any more.
  EXPECT_EQ(clients.find(one.id), nullptr);
  EXPECT_TRUE(client.closed());
  client.close(close_reason::killed);
  client.leave(close_reason::killed);
  client.close_after_replies(close_reason::killed);
  client.drain();
  client.flush();
  client.resume();
  client.review();
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.peer_gone());
  EXPECT_TRUE(client.was_reset());
  EXPECT_EQ(client.peer_address(), "?:0");
  EXPECT_EQ(client.local_address(), "?:0");
  EXPECT_EQ(closed_for(close_reason::idle), 1U);
  EXPECT_EQ(closed_for(close_reason::killed), 0U);
  EXPECT_THAT(handler.freed, ElementsAre("a"));
}

TEST_F(SessionEndingTest, TheFirstReasonToCloseCounts) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  at(one).close_after_replies(close_reason::protocol_error);
  at(one).close_after_replies(close_reason::client);
  handler.of("a").answer("+a\r\n");
  expect_answers_then_end(one, "+a\r\n");
  EXPECT_EQ(closed_for(close_reason::protocol_error), 1U);
}

TEST_F(SessionEndingTest, ASubscriberThatIsClosedHearsNoMore) {
  remote one = connect();
  at(one).set_subscriptions({.patterns = 1});
  EXPECT_TRUE(at(one).subscribed());
  EXPECT_TRUE(at(one).subscriber_mode());
  at(one).set_protocol(resp::protocol::resp3);
  EXPECT_FALSE(at(one).subscriber_mode());
  at(one).close(close_reason::killed);
  EXPECT_THAT(handler.hears_no_more, ElementsAre(one.id));
}

// --- silence

TEST_F(SessionEndingTest, AnIdleClientIsClosed) {
  handler.commands["SET"] = [](session& client, const request&) { return client.await_unpause(), false; };
  remote idle = connect(), active = connect(), owed = connect(), subscriber = connect(), monitor = connect(),
         paused = connect();
  at(subscriber).set_subscriptions({.channels = 1});
  at(monitor).set_monitoring(true);
  EXPECT_EQ(exchange(owed, "GET a\r\n"), "");
  EXPECT_EQ(exchange(paused, "SET k v\r\n"), "");
  constexpr std::chrono::seconds limit(10);
  pass(std::chrono::seconds(11));
  EXPECT_EQ(exchange(active, "PING\r\n"), "+PONG\r\n");
  for (session* const each : clients.all()) each->check_idle(limit);
  EXPECT_EQ(find(idle), nullptr);
  for (const remote* each : {&active, &owed, &subscriber, &monitor, &paused}) {
    EXPECT_NE(find(*each), nullptr) << each->id;
  }
  EXPECT_EQ(closed_for(close_reason::idle), 1U);
}

TEST_F(SessionEndingTest, AClientThatWasPausedWasNotIdle) {
  bool waits = true;
  handler.commands["SET"] = [&](session& client, const request& taken) {
    if (waits) return client.await_unpause(), false;
    client.acknowledge(taken, "+OK\r\n");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "SET k v\r\n"), "");
  pass(std::chrono::seconds(11));
  run_turn();
  at(one).resume_after_pause();
  waits = false;
  at(one).check_idle(std::chrono::seconds(10));
  ASSERT_NE(find(one), nullptr);
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n");
}

}  // namespace
}  // namespace dualbus::client
