#include "session_fixture.hpp"

#include <dualbus/backend/bus.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace dualbus::client {
namespace {

using metrics::close_reason;
using metrics::outcome;
using test::bulk;
using test::remote;
using test::repeat;
using test::request_of;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class SessionRequestsTest : public test::SessionTest {
 protected:
  // What a client sent, as the handler saw it.
  std::vector<std::string> seen_of(const remote& of) const { return handler.seen_of(of.id); }
};

TEST_F(SessionRequestsTest, APipelineIsAnsweredInOrderAndCounted) {
  remote one = connect();
  const std::string sent = request_of({"PING"}) + request_of({"ECHO", "a"}) + "PING\r\n" + "*0\r\n\r\n" +
                           request_of({"ECHO", "b"});
  EXPECT_EQ(exchange(one, sent), "+PONG\r\n$1\r\na\r\n+PONG\r\n$1\r\nb\r\n");
  EXPECT_THAT(seen_of(one), ElementsAre("PING", "ECHO a", "PING", "ECHO b"));
  EXPECT_EQ(metrics.received_bytes, sent.size());
  EXPECT_EQ(metrics.sent_bytes, 28U);
  EXPECT_EQ(counted("ping", outcome::ok), 2U);
  EXPECT_EQ(counted("echo", outcome::ok), 2U);
  EXPECT_EQ(engines.unknown().commands, 4U);
  EXPECT_EQ(at(one).memory(), 0U);
}

TEST_F(SessionRequestsTest, TheHandlerGetsTheBytesOfEachRequestAndWhetherTheyMayBeForwarded) {
  std::vector<std::pair<std::string, bool>> raw;
  handler.commands["PING"] = [&](session& client, const request& taken) {
    raw.emplace_back(taken.raw, taken.verbatim);
    client.acknowledge(taken, "+PONG\r\n");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "PING x\r\n" + request_of({"PING", "y"})), "+PONG\r\n+PONG\r\n");
  EXPECT_THAT(raw, ElementsAre(Pair("PING x\r\n", false), Pair(request_of({"PING", "y"}), true)));
}

TEST_F(SessionRequestsTest, EverySplitOfABatchGivesTheSameRequests) {
  const std::string batch = request_of({"PING"}) + "PING inline\r\n" + request_of({"ECHO", "a\r\nb"}) +
                            "*0\r\n" + request_of({"ECHO", std::string(120, 'z')}) + request_of({"PING"});
  const std::string answers =
      "+PONG\r\n+PONG\r\n" + bulk("a\r\nb") + bulk(std::string(120, 'z')) + "+PONG\r\n";
  const std::vector<std::string> requests = {"PING", "PING inline", "ECHO a\r\nb",
                                             "ECHO " + std::string(120, 'z'), "PING"};
  for (std::size_t split = 1; split < batch.size(); ++split) {
    remote one = connect();
    std::string got = exchange(one, std::string_view(batch).substr(0, split));
    got += exchange(one, std::string_view(batch).substr(split));
    ASSERT_EQ(got, answers) << split;
    ASSERT_EQ(seen_of(one), requests) << split;
    ASSERT_EQ(at(one).memory(), 0U) << split;
    one.close();
    settle();
  }
}

TEST_F(SessionRequestsTest, ABatchMayComeByteForByte) {
  remote one = connect();
  std::string got;
  for (const char byte : request_of({"ECHO", "a\r\nb"}) + "PING\r\n" + request_of({"PING"})) {
    got += exchange(one, {&byte, 1});
  }
  EXPECT_EQ(got, bulk("a\r\nb") + "+PONG\r\n+PONG\r\n");
}

TEST_F(SessionRequestsTest, OnlyAClientWithAPartOfARequestHasABufferOfItsOwn) {
  remote one = connect(), other = connect();
  one.send("*2\r\n$4\r\nECHO\r\n$5\r\nhel");
  settle();
  EXPECT_GT(at(one).memory(), 0U);
  EXPECT_GT(memory.used_bytes(), 0U) << "the parser's notes about a part count";
  EXPECT_EQ(exchange(other, "PING\r\n"), "+PONG\r\n");
  EXPECT_EQ(at(other).memory(), 0U);
  EXPECT_EQ(exchange(one, "lo\r\n"), bulk("hello"));
  EXPECT_EQ(at(one).memory(), 0U);
  EXPECT_EQ(memory.used_bytes(), 0U);
}

TEST_F(SessionRequestsTest, ALargeRequestGrowsInItsOwnBuffer) {
  remote one = connect();
  const std::string value(3 << 20, 'v');
  handler.commands["SET"] = [&](session& client, const request& taken) {
    const bool same = taken.args[2] == value;
    client.answer(taken, outcome::ok, [&](resp::encoder& out) { out.boolean(same); });
    return true;
  };
  send_all(one, request_of({"SET", "k", value}) + request_of({"PING"}));
  settle();
  EXPECT_EQ(one.receive(), ":1\r\n+PONG\r\n");
  EXPECT_EQ(at(one).memory(), 0U);
}

TEST_F(SessionRequestsTest, AClientThatGoesWithAPartLeavesNothing) {
  remote one = connect();
  one.send("*2\r\n$4\r\nECHO\r\n$5\r\nhel");
  settle();
  one.close();
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::client), 1U);
  EXPECT_EQ(memory.used_bytes(), 0U);
}

TEST_F(SessionRequestsTest, ProtocolErrorsAreToldInRedissWordsAndEndTheConnection) {
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"*x\r\nPING\r\n", "invalid multibulk length"},
      {"*1\r\n:1\r\nPING\r\n", "expected '$', got ':'"},
      {"*1\r\n$-1\r\n", "invalid bulk length"},
      {"*1\r\n$x\r\n", "invalid bulk length"},
      {"PING \"\r\n", "unbalanced quotes in request"},
      {"*" + std::string(70000, '1'), "too big mbulk count string"},
      {std::string(70000, 'x'), "too big inline request"},
  };
  for (const auto& [bytes, text] : faults) {
    remote one = connect();
    send_all(one, request_of({"PING"}) + bytes);
    settle();
    EXPECT_EQ(one.receive(), "+PONG\r\n-ERR Protocol error: " + text + "\r\n");
    EXPECT_TRUE(one.at_end()) << text;
    EXPECT_EQ(find(one), nullptr) << text;
    EXPECT_THAT(seen_of(one), ElementsAre("PING")) << text;
  }
  EXPECT_EQ(closed_for(close_reason::protocol_error), faults.size());
  EXPECT_THAT(refusals.by_code(), ElementsAre(Pair("ERR", faults.size())));
}

TEST_F(SessionRequestsTest, AProtocolErrorComesBehindTheAnswersBeforeIt) {
  remote one = connect();
  EXPECT_EQ(exchange(one, request_of({"GET", "a"}) + "*x\r\n"), "");
  EXPECT_FALSE(one.at_end());
  handler.of("a").answer("$1\r\n1\r\n");
  settle();
  EXPECT_EQ(one.receive(), "$1\r\n1\r\n-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_TRUE(one.at_end());
}

TEST_F(SessionRequestsTest, AProtocolErrorInAPartEndsTheConnection) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "*2\r\n$4\r\nECHO\r\n"), "");
  EXPECT_EQ(exchange(one, "?"), "-ERR Protocol error: expected '$', got '?'\r\n");
  EXPECT_EQ(find(one), nullptr);
}

TEST_F(SessionRequestsTest, ARequestMayBeAsLargeAsMaxRequest) {
  input.set_max_request(1000);
  limits.max_request = 1000;
  EXPECT_EQ(input.max_request(), 1000U);
  remote one = connect();
  EXPECT_EQ(exchange(one, request_of({"ECHO", std::string(900, 'a')})), bulk(std::string(900, 'a')));
  EXPECT_EQ(exchange(one, "*2\r\n$4\r\nECHO\r\n$1001\r\n"), "-ERR Protocol error: invalid bulk length\r\n");
  EXPECT_TRUE(one.at_end());
  remote other = connect();
  // In the client's own buffer the same holds.
  EXPECT_EQ(exchange(other, "*3\r\n$4\r\nECHO\r\n$600\r\n"), "");
  EXPECT_EQ(exchange(other, std::string(600, 'b') + "\r\n$600\r\n"),
            "-ERR Protocol error: request larger than max_request (1000 bytes)\r\n");
}

TEST_F(SessionRequestsTest, AnUnknownCommandIsCountedAsOne) {
  remote one = connect();
  EXPECT_EQ(exchange(one, "NONSENSE\r\n"), "-ERR unknown command\r\n");
  EXPECT_EQ(metrics.unknown_commands, 1U);
  EXPECT_EQ(engines.unknown().failed_commands, 1U);
}

TEST_F(SessionRequestsTest, WhenMemoryRunsOutInTheHandlerTheClientGoes) {
  handler.commands["SET"] = [](session&, const request&) -> bool { throw std::bad_alloc(); };
  remote one = connect();
  EXPECT_EQ(exchange(one, request_of({"SET", "k", "v"}) + "PING\r\n"), "");
  EXPECT_TRUE(one.at_end());
  EXPECT_EQ(handler.dropped, 1);
  EXPECT_EQ(closed_for(close_reason::memory), 1U);
  EXPECT_THAT(seen_of(one), ElementsAre("SET k v"));
}

TEST_F(SessionRequestsTest, WhenMemoryRunsOutForARequestItsClientGoes) {
  if (!test::no_more_memory::can_be_tested) GTEST_SKIP() << "a sanitizer ends the program";
  constexpr std::size_t megabyte = std::size_t{1} << 20;
  remote one = connect(), other = connect();
  const std::string value(60 * megabyte, 'v'), request = request_of({"SET", "k", value});
  // More than the heap could have left over: the buffer has to grow by mapping.
  const std::size_t first = 40 * megabyte;
  send_all(one, std::string_view(request).substr(0, first));
  ASSERT_GE(at(one).memory(), first);
  {
    const test::no_more_memory none;
    for (std::size_t sent = first; find(one) != nullptr && sent < request.size();) {
      sent += one.send_some(std::string_view(request).substr(sent, 65536));
      run_turn();
    }
    EXPECT_EQ(find(one), nullptr);
    EXPECT_EQ(exchange(other, "PING\r\n"), "+PONG\r\n");
  }
  EXPECT_EQ(closed_for(close_reason::memory), 1U);
  EXPECT_THAT(seen_of(one), IsEmpty());
}

// --- shares of a turn

TEST_F(SessionRequestsTest, AFloodLetsOthersGoFirst) {
  remote flood = connect(), other = connect();
  flood.send(repeat("PING\r\n", 2000));
  run_turn();
  EXPECT_TRUE(turn.has_leftover());
  EXPECT_EQ(metrics.shares_used_up, 1U);
  const std::size_t first_share = handler.seen.size();
  EXPECT_GT(first_share, 400U);
  EXPECT_LT(first_share, 600U);
  other.send("PING\r\n");
  run_turn();
  EXPECT_EQ(handler.seen.at(first_share).client, other.id);
  EXPECT_EQ(other.receive(), "+PONG\r\n");
  settle();
  EXPECT_EQ(flood.receive(), repeat("+PONG\r\n", 2000));
  EXPECT_EQ(metrics.shares_used_up, 3U);
}

TEST_F(SessionRequestsTest, LargeRequestsUseUpAShareSooner) {
  remote flood = connect();
  send_all(flood, repeat(request_of({"ECHO", std::string(4000, 'x')}), 25));
  settle();
  EXPECT_EQ(metrics.shares_used_up, 0U) << "25 of these are less than a share";
  EXPECT_EQ(receive_all(flood), repeat(bulk(std::string(4000, 'x')), 25));
}

TEST_F(SessionRequestsTest, AClientWithSomethingLeftIsNotReadInTheSameTurn) {
  remote flood = connect();
  flood.send(repeat("PING\r\n", 1000));
  run_turn();
  flood.send("ECHO last\r\n");
  // It is readable, and paused for the turn: reading goes on without a change to the poller.
  settle();
  EXPECT_EQ(flood.receive(), repeat("+PONG\r\n", 1000) + bulk("last"));
}

TEST_F(SessionRequestsTest, AClientThatIsClosedWithSomethingLeftIsForgotten) {
  remote flood = connect(), other = connect();
  flood.send(repeat("PING\r\n", 1000));
  run_turn();
  ASSERT_TRUE(turn.has_leftover());
  at(flood).close(close_reason::killed);
  EXPECT_EQ(exchange(other, "PING\r\n"), "+PONG\r\n");
  EXPECT_FALSE(turn.has_leftover());
  EXPECT_EQ(find(flood), nullptr);
}

// --- pauses

TEST_F(SessionRequestsTest, AHeldClientGoesOnWhereItStoodWhenReleased) {
  handler.commands["HOLD"] = [&](session& client, const request& taken) {
    client.hold();
    handler.ask(client, taken);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "PING\r\nHOLD\r\nECHO a\r\n"), "+PONG\r\n");
  EXPECT_EQ(exchange(one, "ECHO b\r\n"), "");
  EXPECT_THAT(seen_of(one), ElementsAre("PING", "HOLD"));
  EXPECT_EQ(run_turn(), 0) << "nothing is read from it, so that it keeps nobody busy";
  at(one).release();
  settle();
  EXPECT_EQ(one.receive(), "");
  EXPECT_THAT(seen_of(one), ElementsAre("PING", "HOLD", "ECHO a", "ECHO b"));
  handler.of("HOLD").answer("+OK\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n" + bulk("a") + bulk("b"));
}

TEST_F(SessionRequestsTest, AClientBehindExecWaitsForItWhateverItsCommandsRelease) {
  handler.commands["EXEC"] = [&](session& client, const request& taken) {
    client.hold_behind_exec();
    handler.ask(client, taken);
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "EXEC\r\nPING\r\n"), "");
  at(one).hold();
  at(one).release();
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("EXEC"));
  at(one).release_behind_exec();
  handler.of("EXEC").answer("*0\r\n");
  settle();
  EXPECT_EQ(one.receive(), "*0\r\n+PONG\r\n");
  at(one).release_behind_exec();
  EXPECT_FALSE(turn.wants_to_resume()) << "it waits for no EXEC";
}

TEST_F(SessionRequestsTest, ARequestBehindABarrierComesAgainWhenAllBeforeItAreAnswered) {
  handler.commands["FLUSHALL"] = [](session& client, const request& taken) {
    if (client.await_replies()) return false;
    client.acknowledge(taken, "+FLUSHED\r\n");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nGET b\r\nFLUSHALL\r\nPING\r\n"), "");
  handler.of("b").answer("+b\r\n");
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("GET a", "GET b", "FLUSHALL"));
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("GET a", "GET b", "FLUSHALL", "FLUSHALL", "PING"));
  EXPECT_EQ(one.receive(), "+a\r\n+b\r\n+FLUSHED\r\n+PONG\r\n");
}

TEST_F(SessionRequestsTest, ARequestBehindABarrierComesAgainFromTheClientsOwnBuffer) {
  handler.commands["FLUSHALL"] = [](session& client, const request& taken) {
    if (client.await_replies()) return false;
    client.acknowledge(taken, "+FLUSHED\r\n");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nFLUSH"), "");
  EXPECT_EQ(exchange(one, "ALL\r\nPI"), "");
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+a\r\n+FLUSHED\r\n");
  EXPECT_EQ(exchange(one, "NG\r\n"), "+PONG\r\n");
  EXPECT_THAT(seen_of(one), ElementsAre("GET a", "FLUSHALL", "FLUSHALL", "PING"));
}

TEST_F(SessionRequestsTest, ClientPauseHoldsARequestBackUntilItIsOver) {
  bool paused = true;
  handler.commands["SET"] = [&](session& client, const request& taken) {
    if (paused) return client.await_unpause(), false;
    client.acknowledge(taken, "+OK\r\n");
    return true;
  };
  remote one = connect(), other = connect();
  EXPECT_EQ(exchange(one, "SET k v\r\nPING\r\n"), "");
  EXPECT_TRUE(at(one).blocked());
  EXPECT_EQ(exchange(other, "PING\r\n"), "+PONG\r\n");
  at(other).resume_after_pause();
  EXPECT_FALSE(turn.wants_to_resume()) << "it was not held back";
  paused = false;
  at(one).resume_after_pause();
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n+PONG\r\n");
  EXPECT_FALSE(at(one).blocked());
}

TEST_F(SessionRequestsTest, AClientHasOnlySoManyRequestsInFlight) {
  limits.client_in_flight = 4;
  remote one = connect();
  EXPECT_EQ(exchange(one, "GET a\r\nGET b\r\nGET c\r\nGET d\r\nGET e\r\nGET f\r\nGET g\r\n"), "");
  EXPECT_THAT(seen_of(one), ElementsAre("GET a", "GET b", "GET c", "GET d"));
  handler.of("a").answer("+a\r\n");
  settle();
  EXPECT_EQ(seen_of(one).size(), 4U) << "it goes on when half of them are answered";
  handler.of("b").answer("+b\r\n");
  settle();
  EXPECT_EQ(seen_of(one).size(), 6U);
  for (const char* name : {"c", "d", "e", "f"}) handler.of(name).answer("+x\r\n");
  settle();
  handler.of("g").answer("+g\r\n");
  settle();
  EXPECT_EQ(one.receive(), "+a\r\n+b\r\n" + repeat("+x\r\n", 4) + "+g\r\n");
}

TEST_F(SessionRequestsTest, SeveralReasonsToPauseHaveToEndAll) {
  remote one = connect();
  handler.commands["HOLD"] = [](session& client, const request& taken) {
    client.hold();
    client.hold_behind_exec();
    client.acknowledge(taken, "+OK\r\n");
    return true;
  };
  EXPECT_EQ(exchange(one, "HOLD\r\nPING\r\n"), "+OK\r\n");
  at(one).release();
  settle();
  EXPECT_EQ(one.receive(), "");
  at(one).release_behind_exec();
  settle();
  EXPECT_EQ(one.receive(), "+PONG\r\n");
}

TEST_F(SessionRequestsTest, WhatWasReadBeforeAPauseComesBeforeWhatIsReadLater) {
  handler.commands["HOLD"] = [](session& client, const request& taken) {
    client.hold();
    client.acknowledge(taken, "+OK\r\n");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\nECHO first\r\n"), "+OK\r\n");
  one.send("ECHO second\r\n");
  one.end_sending();
  at(one).release();
  at(one).on_readable();  // the poller tells so in the same turn
  settle();
  EXPECT_EQ(one.receive(), bulk("first") + bulk("second"));
}

TEST_F(SessionRequestsTest, WhatWasReadBeforeAPauseComesBeforeTheEndOfTheInput) {
  handler.commands["HOLD"] = [](session& client, const request& taken) {
    client.hold();
    client.acknowledge(taken, "+OK\r\n");
    return true;
  };
  remote one = connect();
  EXPECT_EQ(exchange(one, "HOLD\r\nECHO first\r\n"), "+OK\r\n");
  one.end_sending();
  at(one).release();  // it goes on at the end of the turn in which the poller tells of the end
  settle();
  EXPECT_EQ(one.receive(), bulk("first"));
  EXPECT_TRUE(one.at_end());
}

TEST_F(SessionRequestsTest, APauseThatAConnectionOutlivesDoesNotResumeIt) {
  handler.commands["HOLD"] = [](session& client, const request&) {
    client.hold();
    return true;
  };
  remote one = connect();
  one.send("HOLD\r\nPING\r\n");
  settle();
  at(one).release();
  at(one).close(close_reason::killed);
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("HOLD"));
}

// --- a bus that takes no more

class SessionCongestionTest : public SessionRequestsTest {
 protected:
  SessionCongestionTest() {
    // It is connected as far as its pipeline knows.
    bus_.requests(resp::protocol::resp2, 0, turn.now).on_connected();
    handler.commands["SET"] = [this](session& client, const request& taken) {
      if (client.await_room(bus_, taken.raw.size())) return false;
      client.acknowledge(taken, "+OK\r\n");
      if (client.id() == congests) client.await_drain(bus_, taken.raw.size());
      return true;
    };
  }
  void congest() { bus_.requests(resp::protocol::resp2, 0, turn.now).begin().append(std::string(2000, 'x')); }
  void relieve() {
    bus_.requests(resp::protocol::resp2, 0, turn.now).drop_unannounced();
    bus_.drained().on_drained();
  }

  std::uint64_t congests = 0;  // the client after whose request the bus takes no more
  boost::asio::io_context io_;
  base::chunk_pool request_chunks_{4096, 4};
  config::backend_settings backend_settings_;
  backend::pipeline_settings pipeline_settings_{.congestion_bytes = 1000};
  metrics::bus_metrics bus_metrics_;
  backend::bus bus_{{io_, poller, request_chunks_, backend_settings_, bus_settings[0], pipeline_settings_,
                     "alpha", bus_metrics_}};
};

TEST_F(SessionCongestionTest, AClientWaitsForABusThatHasTooMuch) {
  remote one = connect();
  congests = one.id;
  EXPECT_EQ(exchange(one, "SET a 1\r\nSET b 2\r\nPING\r\n"), "+OK\r\n");
  EXPECT_FALSE(bus_.drained().empty());
  relieve();
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n");
  EXPECT_FALSE(bus_.drained().empty()) << "it waits again";
  relieve();
  settle();
  EXPECT_EQ(one.receive(), "+PONG\r\n");
}

TEST_F(SessionCongestionTest, AClientWaitsForOneBusAtATime) {
  remote one = connect();
  backend::bus other({io_, poller, request_chunks_, backend_settings_, bus_settings[1], pipeline_settings_,
                      "beta", bus_metrics_});
  at(one).await_drain(bus_, 10);
  at(one).await_drain(other, 10);
  EXPECT_TRUE(other.drained().empty());
  EXPECT_FALSE(bus_.drained().empty());
  at(one).close(close_reason::client);
  EXPECT_TRUE(bus_.drained().empty());
}

TEST_F(SessionCongestionTest, LargeRequestsWaitInTheClientsOwnBuffer) {
  remote one = connect();
  congest();
  ASSERT_TRUE(bus_.holds_back());
  EXPECT_EQ(exchange(one, "SET small 1\r\n"), "+OK\r\n");
  send_all(one, request_of({"SET", "large", std::string(70000, 'v')}));
  settle();
  EXPECT_EQ(one.receive(), "");
  EXPECT_GT(at(one).memory(), 70000U);
  relieve();
  settle();
  EXPECT_EQ(one.receive(), "+OK\r\n");
  EXPECT_EQ(at(one).memory(), 0U);
}

TEST_F(SessionCongestionTest, LargeRequestsGoOneByOneAndSmallOnesAllTogether) {
  remote first = connect(), second = connect(), small = connect();
  congest();
  send_all(first, request_of({"SET", "1", std::string(70000, 'v')}));
  send_all(second, request_of({"SET", "2", std::string(70000, 'v')}));
  congests = small.id;
  EXPECT_EQ(exchange(small, "SET c 3\r\nPING\r\n"), "+OK\r\n");
  relieve();
  settle();
  EXPECT_EQ(first.receive(), "+OK\r\n");
  EXPECT_EQ(second.receive(), "");
  EXPECT_EQ(small.receive(), "+PONG\r\n");
  bus_.drained().on_drained();
  settle();
  EXPECT_EQ(second.receive(), "+OK\r\n");
}

TEST_F(SessionCongestionTest, AClientThatIsHeldForAnotherReasonPassesItsTurnOn) {
  remote first = connect(), second = connect();
  congest();
  send_all(first, request_of({"SET", "1", std::string(70000, 'v')}));
  send_all(second, request_of({"SET", "2", std::string(70000, 'v')}));
  at(first).hold();
  relieve();
  settle();
  EXPECT_EQ(first.receive(), "");
  EXPECT_EQ(second.receive(), "+OK\r\n");
  at(first).release();
  settle();
  EXPECT_EQ(first.receive(), "+OK\r\n");
}

// --- while memory is tight

class SessionMemoryTest : public SessionRequestsTest {
 protected:
  SessionMemoryTest() { know_big(); }
};

TEST_F(SessionMemoryTest, WhoOwesMuchReadingIsNotReadWhileMemoryIsTight) {
  remote one = connect({.send_buffer = 8192});
  use_memory(memory_budget::level::tight);
  EXPECT_EQ(exchange(one, "PING\r\n"), "+PONG\r\n") << "it owes nothing";
  one.send("BIG 200000\r\nBIG 1\r\nBIG 2\r\n");
  settle();
  EXPECT_THAT(seen_of(one), ElementsAre("PING", "BIG 200000"));
  EXPECT_EQ(receive_all(one), bulk(std::string(200000, 'x')) + bulk("x") + bulk("xx"));
  EXPECT_NE(find(one), nullptr);
}

TEST_F(SessionMemoryTest, ItGoesOnWhenMemoryIsFreeAgain) {
  remote one = connect({.send_buffer = 8192});
  use_memory(memory_budget::level::tight);
  one.send("BIG 200000\r\nBIG 1\r\n");
  settle();
  EXPECT_EQ(seen_of(one).size(), 1U);
  use_memory(memory_budget::level::free);
  settle();
  EXPECT_EQ(seen_of(one).size(), 2U);
  EXPECT_FALSE(at(one).check_held(true)) << "it is not held any more";
}

TEST_F(SessionMemoryTest, ItIsReadAgainOnlyWhenItHasTakenMost) {
  remote one = connect({.send_buffer = 8192});
  use_memory(memory_budget::level::tight);
  one.send("BIG 200000\r\nBIG 1\r\n");
  settle();
  while (at(one).memory() > 60'000) {
    ASSERT_NE(one.receive(2000), "");
    run_turn();
  }
  EXPECT_GT(at(one).memory(), 32'768U);
  EXPECT_EQ(seen_of(one).size(), 1U);
  receive_all(one);
  EXPECT_EQ(seen_of(one).size(), 2U);
}

TEST_F(SessionMemoryTest, WhoTakesNothingForAWhileIsCutOff) {
  remote one = connect({.send_buffer = 8192}), kept = connect({.send_buffer = 8192});
  at(kept).set_evictable(false);
  use_memory(memory_budget::level::tight);
  one.send("BIG 200000\r\nPING\r\n");
  kept.send("BIG 200000\r\nPING\r\n");
  settle();
  pass(std::chrono::seconds(9));
  run_turn();
  memory.tick();
  EXPECT_NE(find(one), nullptr);
  pass(std::chrono::seconds(2));
  run_turn();
  memory.tick();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_NE(find(kept), nullptr) << "CLIENT NO-EVICT";
  EXPECT_EQ(closed_for(close_reason::memory), 1U);
}

TEST_F(SessionMemoryTest, WhatAFlushTakesNeedNotHoldIt) {
  remote one = connect();
  use_memory(memory_budget::level::tight);
  one.send("BIG 100000\r\nPING\r\n");
  run_turn();
  EXPECT_THAT(seen_of(one), ElementsAre("BIG 100000", "PING"));
}

TEST_F(SessionMemoryTest, AFlushWhileMemoryIsTightMayCutItOff) {
  limits.client_output_buffer = 100000;
  remote one = connect({.send_buffer = 8192});
  use_memory(memory_budget::level::tight);
  one.send("BIG 200000\r\nPING\r\n");
  settle();
  EXPECT_EQ(find(one), nullptr);
  EXPECT_EQ(closed_for(close_reason::output_limit), 1U);
  EXPECT_THAT(seen_of(one), ElementsAre("BIG 200000"));
}

TEST_F(SessionMemoryTest, AnswersGoOutBeforeMoreThanABurstIsEncoded) {
  remote one = connect();
  one.send(repeat("BIG 400000\r\n", 8));
  std::size_t most = 0;
  handler.commands["BIG"] = [&](session& client, const request& taken) {
    const std::string text(400000, 'x');
    client.answer(taken, outcome::ok, [&](resp::encoder& out) { out.bulk(text); });
    most = std::max(most, metrics.sent_bytes);
    return true;
  };
  run_turn();
  EXPECT_GT(most, 0U) << "a part was written before the turn ended";
  EXPECT_EQ(receive_all(one), repeat(bulk(std::string(400000, 'x')), 8));
}

TEST_F(SessionMemoryTest, TheLargestClientIsCutOffWhenTheLimitIsReached) {
  remote large = connect({.send_buffer = 8192}), small = connect();
  know_big();
  budget.set_limit(std::size_t{64} << 20);
  held = std::size_t{63} << 20;
  large.send("BIG 3000000\r\n");
  small.send("BIG 10\r\n");
  run_turn();
  held += 3000000;  // the reply is a part of what is held
  memory.tick();
  held -= 3000000;
  EXPECT_EQ(find(large), nullptr);
  EXPECT_NE(find(small), nullptr);
  EXPECT_EQ(closed_for(close_reason::memory), 1U);
}

}  // namespace
}  // namespace dualbus::client
