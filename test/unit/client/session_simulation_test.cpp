#include "session_fixture.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// Clients send requests of every kind in pieces of any size and read when they like, while requests are
// answered in any order. Each client must get exactly the replies to its requests, in their order.
namespace dualbus::client {
namespace {

using metrics::outcome;
using test::bulk;
using test::remote;
using test::request_of;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class SessionSimulationTest : public test::SessionTest {
 protected:
  // One client, what it is to send, and what it must get.
  struct actor {
    remote end;
    std::string to_send, expected, got;
    bool goes_before_the_end = false;
  };
  // A request that is answered later.
  struct deferred {
    std::uint64_t client;
    std::string reply;
  };

  SessionSimulationTest() {
    limits.client_in_flight = 8;
    handler.commands["DEFER"] = [this](session& client, const request& taken) {
      client.defer(taken);
      deferred_.push_back({client.id(), std::string(taken.args[1])});
      return true;
    };
    handler.commands["BARRIER"] = [](session& client, const request& taken) {
      if (client.await_replies()) return false;
      client.acknowledge(taken, "+ALL\r\n");
      return true;
    };
    handler.commands["HOLD"] = [this](session& client, const request& taken) {
      client.hold();
      held_.push_back(client.id());
      client.acknowledge(taken, "+HELD\r\n");
      return true;
    };
    handler.commands["SKIP"] = [](session& client, const request&) {
      client.replies().set_mode(reply_queue::mode::skip_next);
      return true;
    };
  }

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(any_);
  }

  // Adds a request of any kind, and the reply to it.
  void add_request(actor& to) {
    const std::string name = "n" + std::to_string(++names_);
    switch (below(9)) {
      case 0:
        to.to_send += "PING\r\n";
        to.expected += "+PONG\r\n";
        break;
      case 1: {
        const std::string text(below(10) == 0 ? below(200'000) : below(300), 'e');
        to.to_send += request_of({"ECHO", text});
        to.expected += bulk(text);
        break;
      }
      case 2:
        to.to_send += request_of({"DEFER", name});
        to.expected += "+" + name + "\r\n";
        break;
      case 3:
        to.to_send += request_of({"BARRIER"});
        to.expected += "+ALL\r\n";
        break;
      case 4:
        to.to_send += request_of({"HOLD"});
        to.expected += "+HELD\r\n";
        break;
      case 5:
        to.to_send += request_of({"SKIP"}) + (below(2) == 0 ? request_of({"GET", name}) : "PING\r\n");
        break;
      case 6:
        to.to_send += "*0\r\n" + request_of({"NONSENSE"});
        to.expected += "-ERR unknown command\r\n";
        break;
      default:
        to.to_send += request_of({"GET", name});
        to.expected += "+" + name + "\r\n";
    }
  }

  // Something happens to a request, if there is one.
  void answer_something() {
    if (!handler.running.empty() && below(2) == 0) {
      const auto which = std::next(handler.running.begin(), static_cast<int>(below(handler.running.size())));
      // A request whose client has gone is answered as well; one that was answered waits for others.
      if (!answered_.insert(which->first).second) return;
      if (which->second->has_owner()) which->second->answer("+" + which->first + "\r\n");
    }
    if (!deferred_.empty() && below(2) == 0) {
      const deferred next = deferred_.front();
      deferred_.pop_front();
      if (session* const client = clients.find(next.client))
        client->complete(outcome::ok, [&](resp::encoder& out) { out.status(next.reply); });
    }
    if (!held_.empty() && below(2) == 0) {
      if (session* const client = clients.find(held_.front())) client->release();
      held_.pop_front();
    }
  }

  void run(std::uint64_t seed) {
    any_.seed(seed);
    std::vector<actor> actors;
    for (int i = 0; i < 4; ++i) {
      actors.push_back({connect({.send_buffer = below(2) == 0 ? 8192 : 0}), {}, {}, {}, below(8) == 0});
      for (std::size_t requests = 1 + below(60); requests > 0; --requests) add_request(actors.back());
    }
    const auto done = [&](const actor& a) { return find(a.end) == nullptr || a.got == a.expected; };
    for (int round = 0; !std::all_of(actors.begin(), actors.end(), done); ++round) {
      ASSERT_LT(round, 200'000) << "nothing goes on";
      actor& a = actors[below(actors.size())];
      if (!a.to_send.empty()) {
        const std::size_t piece = below(4) == 0 ? 1 + below(8) : 1 + below(20'000);
        a.to_send.erase(0, a.end.send_some(std::string_view(a.to_send).substr(0, piece)));
        if (a.goes_before_the_end && a.to_send.size() < 100) a.end.close();
      }
      if (below(3) == 0) answer_something();
      if (below(3) > 0) run_turn();
      if (below(3) == 0) a.got += a.end.receive(1 + below(50'000));
      ASSERT_EQ(a.got, a.expected.substr(0, a.got.size())) << "client " << a.end.id;
    }
    for (actor& a : actors) {
      if (a.goes_before_the_end) continue;
      EXPECT_NE(find(a.end), nullptr);
      EXPECT_EQ(a.got, a.expected);
      EXPECT_EQ(a.end.receive(), "");
    }
    // What nobody sees an answer to is yet to be answered.
    while (!deferred_.empty() || !held_.empty()) answer_something();
    for (actor& a : actors) a.end.close();
    settle();
    for (session* const each : clients.all()) each->close(metrics::close_reason::shutdown);
    run_turn();
    EXPECT_EQ(clients.size(), 0U);
    EXPECT_TRUE(handler.running.empty());
    EXPECT_EQ(local_replies.in_use(), 0U);
  }

 private:
  std::mt19937_64 any_;
  std::uint64_t names_ = 0;
  std::deque<deferred> deferred_;
  std::deque<std::uint64_t> held_;
  std::set<std::string> answered_;
};

TEST_F(SessionSimulationTest, EveryClientGetsItsRepliesInOrder) {
  const std::uint64_t first = number_from("DUALBUS_SIMULATION_SEED", 1),
                      runs = number_from("DUALBUS_SIMULATION_RUNS", 300);
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE("DUALBUS_SIMULATION_SEED=" + std::to_string(seed));
    run(seed);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace dualbus::client
