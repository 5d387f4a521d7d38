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
using testing::IsEmpty;

class SessionRepliesTest : public test::SessionTest {};

TEST_F(SessionRepliesTest, RepliesComeInTheOrderOfRequestsWhicheverFinishesFirst) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nGET b\r\nPING\r\nGET c\r\n"), "");
  handler.of("c").answer("+c\r\n");
  handler.of("b").answer("+b\r\n");
  settle();
  EXPECT_EQ(one.receive(), "");
  EXPECT_EQ(at(one).memory(), 15U) << "what waits for others counts";
  EXPECT_THAT(handler.freed, IsEmpty());
  handler.of("a").answer("-ERR a\r\n", outcome::redis_error);
  settle();
  EXPECT_EQ(one.receive(), "-ERR a\r\n+b\r\n+PONG\r\n+c\r\n");
  EXPECT_THAT(handler.freed, ElementsAre("a", "b", "c"));
  EXPECT_EQ(local_replies.in_use(), 0U);
  EXPECT_EQ(counted("get", outcome::ok), 2U);
  EXPECT_EQ(counted("get", outcome::redis_error), 1U);
  EXPECT_EQ(engines.unknown().failed_commands, 1U);
}

TEST_F(SessionRepliesTest, EveryOrderOfFinishingGivesTheSameReplies) {
  std::vector<std::string> names = {"a", "b", "c", "d"};
  do {
    remote one = connect();
    EXPECT_EQ(exchange(one, "GET a\r\nGET b\r\nPING\r\nGET c\r\nGET d\r\nPING\r\n"), "");
    std::string got;
    for (const std::string& name : names) {
      handler.of(name).answer("+" + name + "\r\n");
      run_turn();
      got += one.receive();
    }
    EXPECT_EQ(got, "+a\r\n+b\r\n+PONG\r\n+c\r\n+d\r\n+PONG\r\n");
    one.close();
    settle();
  } while (std::next_permutation(names.begin(), names.end()));
}

TEST_F(SessionRepliesTest, AnErrorOfTheDaemonsOwnIsCountedByItsCode) {
  handler.commands["SET"] = [](session& client, const request& taken) {
    client.refuse(taken, "CROSSSLOT keys\r\non two buses");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nSET k v\r\n"), "");
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+a\r\n-CROSSSLOT keys  on two buses\r\n");
  EXPECT_EQ(refusals.by_code().at("CROSSSLOT"), 1U);
  EXPECT_EQ(counted("set", outcome::refused), 1U);
}

TEST_F(SessionRepliesTest, AnswersAreEncodedForTheProtocolThatTheClientSpeaks) {
  handler.commands["HELLO"] = [](session& client, const request& taken) {
    client.set_protocol(resp::protocol::resp3);
    client.answer(taken, outcome::ok, [](resp::encoder& out) { out.map(0); });
    return true;
  };
  handler.commands["NULL"] = [](session& client, const request& taken) {
    client.answer(taken, outcome::ok, [](resp::encoder& out) { out.null(); });
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "NULL\r\nHELLO 3\r\nNULL\r\n"), "$-1\r\n%0\r\n_\r\n");
  EXPECT_EQ(at(one).protocol(), resp::protocol::resp3);
}

TEST_F(SessionRepliesTest, AnAcknowledgementIsNoOutcome) {
  handler.commands["SET"] = [](session& client, const request& taken) {
    client.acknowledge(taken, "+QUEUED\r\n");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "SET k v\r\n"), "+QUEUED\r\n");
  EXPECT_EQ(counted("set", outcome::ok), 0U);
  at(one).count(static_cast<std::uint16_t>(command::find_command("set")), outcome::ok);
  EXPECT_EQ(counted("set", outcome::ok), 1U);
}

TEST_F(SessionRepliesTest, WhatIsDeferredHoldsLaterRequestsBack) {
  handler.commands["DBSIZE"] = [](session& client, const request& taken) {
    client.defer(taken);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "PING\r\nDBSIZE\r\nPING\r\n"), "+PONG\r\n");
  at(one).complete(outcome::ok, [](resp::encoder& out) { out.integer(7); });
  settle();
  EXPECT_EQ(one.receive(), ":7\r\n+PONG\r\n");
  EXPECT_EQ(counted("dbsize", outcome::ok), 1U);
  at(one).complete(outcome::ok, [](resp::encoder& out) { out.integer(8); });
  settle();
  EXPECT_EQ(one.receive(), "") << "nothing was deferred";
}

TEST_F(SessionRepliesTest, TheFirstThatIsDeferredIsCompletedFirst) {
  // As EXEC does it: its commands are run one behind the other, and two of them are deferred.
  std::vector<local_reply*> reserved;
  handler.commands["EXEC"] = [&](session& client, const request& taken) {
    client.hold_behind_exec();
    for (int i = 0; i < 3; ++i) reserved.push_back(&client.reserve(taken));
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "EXEC\r\nPING\r\n"), "");
  const request later{};
  at(one).answer_at(*reserved[2]);
  at(one).defer(later);
  at(one).answer_at(*reserved[0]);
  at(one).defer(later);
  at(one).answer_at(*reserved[1]);
  at(one).acknowledge(later, "+second\r\n");
  settle();
  EXPECT_EQ(one.receive(), "");
  at(one).complete(outcome::ok, [](resp::encoder& out) { out.status("first"); });
  settle();
  EXPECT_EQ(one.receive(), "+first\r\n+second\r\n");
  at(one).complete(outcome::ok, [](resp::encoder& out) { out.status("third"); });
  at(one).release_behind_exec();
  settle();
  EXPECT_EQ(one.receive(), "+third\r\n+PONG\r\n");
}

TEST_F(SessionRepliesTest, AReservedPlaceIsFilledOutOfTurn) {
  local_reply* place = nullptr;
  handler.commands["SET"] = [&](session& client, const request& taken) {
    place = &client.reserve(taken);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "SET k v\r\nPING\r\n"), "");
  ASSERT_NE(place, nullptr);
  EXPECT_EQ(at(one).newest(), at(one).replies().newest());
  at(one).answer_at(*place);
  at(one).acknowledge({}, "+late\r\n");
  // The worker takes what is finished with the next request that ends.
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+late\r\n+PONG\r\n+a\r\n");
}

TEST_F(SessionRepliesTest, AReplyOfTheDaemonsOwnWaitsForNothing) {
  running_request* place = nullptr;
  handler.commands["SET"] = [&](session& client, const request& taken) {
    place = &client.reserve(taken);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "SET k v\r\n"), "");
  EXPECT_FALSE(place->unblock(true));
  EXPECT_FALSE(place->give_up_wait());
  EXPECT_FALSE(place->refuse_wait("ERR"));
  EXPECT_FALSE(place->misplaced());
  EXPECT_FALSE(place->taking());
  EXPECT_TRUE(place->waits());
  EXPECT_THAT(place->lasting_request(), IsEmpty());
  at(one).set_blocked(true);
  EXPECT_FALSE(at(one).unblock(true)) << "CLIENT UNBLOCK finds nothing to end";
}

// --- bytes that are kept elsewhere

TEST_F(SessionRepliesTest, KeptBytesCountUntilTheReplyIsThere) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nGET b\r\n"), "");
  at(one).note_kept(handler.of("a"), 100);
  at(one).note_kept(handler.of("b"), 50);
  at(one).note_kept(handler.of("b"), 7);
  EXPECT_EQ(at(one).memory(), 157U);
  EXPECT_EQ(memory.used_bytes(), 157U);
  at(one).forget_kept(handler.of("b"));
  EXPECT_EQ(memory.used_bytes(), 100U);
  handler.of("a").answer("+a\r\n");
  handler.of("b").answer("+b\r\n");
  settle();
  EXPECT_EQ(memory.used_bytes(), 0U);
  EXPECT_EQ(one.receive(), "+a\r\n+b\r\n");
}

TEST_F(SessionRepliesTest, WhatIsKeptGoesWithTheClient) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  at(one).note_kept(handler.of("a"), 100);
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(memory.used_bytes(), 0U);
}

TEST_F(SessionRepliesTest, AClientMayHaveKeptAnOutputBufferForEachBus) {
  limits.client_output_buffer = 1000;
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  at(one).note_kept(handler.of("a"), 2000);
  settle();
  EXPECT_NE(find(one), nullptr);
  at(one).note_kept(handler.of("a"), 1);
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::output_limit), 1U);
}

// --- what a client does not read

class SessionOutputTest : public SessionRepliesTest {
 protected:
  SessionOutputTest() { know_big(); }
};

TEST_F(SessionOutputTest, AReplyThatTheSocketDoesNotTakeGoesOutAsTheClientReads) {
  remote one = connect({.send_buffer = 8192});
  one.send("BIG 300000\r\nPING\r\n");
  settle();
  EXPECT_GT(at(one).memory(), 200000U);
  EXPECT_THAT(at(one).describe(), testing::HasSubstr(" events=rw "));
  EXPECT_EQ(receive_all(one), bulk(std::string(300000, 'x')) + "+PONG\r\n");
  EXPECT_EQ(at(one).memory(), 0U);
  EXPECT_THAT(at(one).describe(), testing::HasSubstr(" events=r "));
}

TEST_F(SessionOutputTest, WhoDoesNotReadIsCutOffBeyondClientOutputBuffer) {
  limits.client_output_buffer = 100000;
  remote one = connect({.send_buffer = 8192}), other = connect();
  one.send("BIG 200000\r\n");
  other.send("BIG 90000\r\n");
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(other.receive(), bulk(std::string(90000, 'x')));
  EXPECT_EQ(closed_for(close_reason::output_limit), 1U);
  EXPECT_EQ(metrics.pubsub_cut_off, 0U);
}

TEST_F(SessionOutputTest, RepliesThatWaitForOthersCountForTheLimitToo) {
  limits.client_output_buffer = 100000;
  remote one = connect();
  one.send("GET a\r\nBIG 60000\r\nBIG 60000\r\n");
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::output_limit), 1U);
  EXPECT_THAT(handler.freed, ElementsAre("a"));
}

TEST_F(SessionOutputTest, ASubscriberHasALimitOfItsOwn) {
  limits.client_output_buffer = 1 << 20;
  limits.pubsub_output_buffer = 100000;
  remote one = connect({.send_buffer = 8192}), other = connect({.send_buffer = 8192});
  at(one).set_subscriptions({.channels = 1});
  one.send("BIG 200000\r\n");
  other.send("BIG 200000\r\n");
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_NE(find(other), nullptr);
  EXPECT_EQ(metrics.pubsub_cut_off, 1U);
  EXPECT_THAT(handler.hears_no_more, ElementsAre(one.id));
}

// --- CLIENT REPLY

class SessionReplyModeTest : public SessionRepliesTest {
 protected:
  SessionReplyModeTest() {
    handler.commands["CLIENT"] = [](session& client, const request& taken) {
      const std::string_view how = taken.args[2];
      using mode = reply_queue::mode;
      client.replies().set_mode(how == "ON" ? mode::on : how == "OFF" ? mode::off : mode::skip_next);
      if (how == "ON") client.acknowledge(taken, "+OK\r\n");
      return true;
    };
  }
};

TEST_F(SessionReplyModeTest, SkipLeavesOutTheNextReplyOnly) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "PING\r\nCLIENT REPLY SKIP\r\nECHO a\r\nECHO b\r\n"), "+PONG\r\n" + bulk("b"));
  EXPECT_EQ(counted("echo", outcome::ok), 2U) << "it is carried out all the same";
}

TEST_F(SessionReplyModeTest, OffLeavesOutAllRepliesUntilOn) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "CLIENT REPLY OFF\r\nPING\r\nGET a\r\nNONSENSE\r\n"), "");
  EXPECT_EQ(exchange(one, "CLIENT REPLY ON\r\nPING\r\n"), "");
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n+PONG\r\n");
  EXPECT_THAT(handler.freed, ElementsAre("a"));
}

TEST_F(SessionReplyModeTest, SkipConcernsARequestThatABusAnswersToo) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "CLIENT REPLY SKIP\r\nGET a\r\nGET b\r\n"), "");
  handler.of("b").answer("+b\r\n");
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+b\r\n");
}

// --- MULTI

TEST_F(SessionRepliesTest, AcknowledgementsOfATransactionMayTravelWithItsReply) {
  handler.commands["MULTI"] = [](session& client, const request& taken) {
    client.begin_transaction();
    client.acknowledge(taken, "+OK\r\n");
    return true;
  };
  handler.commands["SET"] = [](session& client, const request& taken) {
    client.acknowledge(taken, "+QUEUED\r\n");
    return true;
  };
  handler.commands["EXEC"] = [&](session& client, const request& taken) {
    client.end_transaction();
    EXPECT_TRUE(client.replies().only_acknowledged());
    handler.ask(client, taken).hold_output_back();
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "MULTI\r\nSET k v\r\nEXEC\r\n"), "") << "one write is enough";
  EXPECT_FALSE(at(one).in_transaction());
  handler.of("EXEC").answer("*1\r\n+OK\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
}

// --- messages between replies

TEST_F(SessionRepliesTest, AMessageHasTheFormOfTheClientsProtocol) {
  remote two = connect(), three = connect();
  at(three).set_protocol(resp::protocol::resp3);
  at(two).push(">1\r\n+a\r\n");
  at(three).push(">1\r\n+a\r\n");
  settle();
  EXPECT_EQ(two.receive(), "*1\r\n+a\r\n");
  EXPECT_EQ(three.receive(), ">1\r\n+a\r\n");
}

TEST_F(SessionRepliesTest, AMessageNeedNotWaitForRepliesUnlessItIsHeldBehindOne) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  at(one).push(">1\r\n+before\r\n");
  settle();
  EXPECT_EQ(one.receive(), "*1\r\n+before\r\n");
  at(one).replies().hold_pushes_behind_newest();
  at(one).push(">1\r\n+behind\r\n");
  settle();
  EXPECT_EQ(one.receive(), "");
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+a\r\n*1\r\n+behind\r\n");
}

TEST_F(SessionRepliesTest, WhoHasAPartOfAMessageWhenMemoryRunsOutIsClosedUnread) {
  if (!test::no_more_memory::can_be_tested) GTEST_SKIP() << "a sanitizer ends the program";
  remote one = connect();
  const std::string message = ">1\r\n" + bulk(std::string(std::size_t{64} << 20, 'x'));
  {
    const test::no_more_memory none;
    at(one).push(message);
  }
  at(one).push(">1\r\n+more\r\n");
  settle();
  EXPECT_EQ(one.receive(), "") << "not even the part";
  EXPECT_TRUE(one.at_end());
  pass(std::chrono::seconds(1));
  settle();
  EXPECT_EQ(closed_for(close_reason::memory), 1U);
}

TEST_F(SessionRepliesTest, AMessageMayBeEncodedStraightIntoTheOutput) {
  remote one = connect();
  base::chunk_queue* const out = at(one).push_target();
  ASSERT_NE(out, nullptr);
  out->append("+message\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+message\r\n");
}

TEST_F(SessionRepliesTest, ALineOfMonitorNeverStandsWithinWhatIsOwed) {
  remote one = connect();
  at(one).set_monitoring(true);
  EXPECT_TRUE(at(one).monitoring());
  at(one).send_monitor_lines("+first\r\n");
  EXPECT_EQ(exchange(one, "GET a\r\n"), "+first\r\n");
  at(one).send_monitor_lines("+lost\r\n");
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+a\r\n");
}

TEST_F(SessionRepliesTest, AClientThatIsClosingHearsNothingMore) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\n"), "");
  at(one).set_subscriptions({.channels = 1});
  at(one).close_after_replies(close_reason::killed);
  EXPECT_THAT(handler.hears_no_more, ElementsAre(one.id));
  at(one).push(">1\r\n+a\r\n");
  at(one).send_monitor_lines("+line\r\n");
  EXPECT_EQ(at(one).push_target(), nullptr);
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+a\r\n");
}

}  // namespace
}  // namespace dualbus::client
