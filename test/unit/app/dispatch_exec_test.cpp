#include "dispatch_families.hpp"
#include "dispatch_outcome.hpp"

#include <dualbus/command/command_table.hpp>

#include <map>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace dualbus::app::test {
namespace {

/// The buses that such an outcome names, in the same form.
std::string buses_in(std::string_view outcome) {
  if (outcome.starts_with("refused") || outcome == "daemon") return "";
  if (outcome.starts_with("own ")) outcome.remove_prefix(4);
  return std::string(outcome.substr(0, outcome.find('*')));
}

/// The buses that carried out a part of the transaction.
std::string buses_that_executed(const bench& on) {
  std::string names;
  for (const auto& bus : on.buses) {
    bool any = false;
    for (const delivery& d : bus->given) any |= d.in_multi && !is_wrapping(d.request);
    if (any) names += (names.empty() ? "" : "+") + bus->name();
  }
  return names;
}

/// The buses that a queued command is for: the same as outside of MULTI, but for these.
std::string buses_when_queued(const example& of, std::string_view outside) {
  static const std::map<std::string, std::string, std::less<>> otherwise = {
      // The other bus learns the script beside the transaction.
      {"eval", "b"},
      {"eval_ro", "b"},
      // Within MULTI no bus is asked.
      {"info", ""},
  };
  const auto found = otherwise.find(of.name());
  return found != otherwise.end() ? found->second : buses_in(outside);
}

void expect_execution(bench& on, bench::client& from, const std::string& buses) {
  EXPECT_EQ(on.answer(from, "ECHO m"), "+QUEUED\r\n");
  on.forget_deliveries();
  const outcome seen = run(on, from, {"EXEC"});
  ASSERT_EQ(seen.replies, 1U);
  ASSERT_EQ(seen.said[0].substr(0, 4), "*2\r\n") << seen.said[0];
  const std::vector<std::string> elements = elements_of(seen.said[0]);
  ASSERT_EQ(elements.size(), 2U);
  EXPECT_EQ(elements[1], bulk("m"));
  EXPECT_EQ(buses_that_executed(on), buses);
}

void expect_discarded(bench& on, bench::client& from) {
  const outcome seen = run(on, from, {"EXEC"});
  ASSERT_EQ(seen.replies, 1U);
  EXPECT_EQ(seen.text, "refused EXECABORT Transaction discarded because of previous errors.");
}

// EXEC has as many answers as requests were queued, and each request goes to the buses that it goes to
// outside of MULTI.
void expect_queued(layout which, const example& e, std::string_view prefix, const std::string& buses,
                   int database = 0) {
  SCOPED_TRACE(joined(e.request(prefix)) + (which == layout::plain ? ", one bus" : ", two buses") +
               ", database " + std::to_string(database));
  bench on(which);
  const auto from = on.connect();
  EXPECT_EQ(on.answer(*from, "SELECT " + std::to_string(database)), "+OK\r\n");
  EXPECT_EQ(on.answer(*from, "MULTI"), "+OK\r\n");
  const outcome queued = run(on, *from, e.request(prefix));
  // A script is made known to the other bus at once.
  EXPECT_EQ(queued.text, buses == "b" && e.name().starts_with("eval") && !e.name().starts_with("evalsha")
                             ? "a*"
                             : "daemon");
  ASSERT_EQ(queued.said, std::vector<std::string>{"+QUEUED\r\n"});
  expect_execution(on, *from, buses);
}

TEST(DispatchExec, AnswersEachQueuedRequestOnce) {
  for (const example& e : all_examples()) {
    if (e.of->in_multi != "queued") continue;
    expect_queued(layout::two_buses, e, "", buses_when_queued(e, e.of->free));
  }
}

TEST(DispatchExec, WorksInAnotherDatabase) {
  for (const example& e : all_examples()) {
    if (e.of->in_multi != "queued") continue;
    expect_queued(layout::two_buses, e, "", buses_when_queued(e, e.of->second), 1);
  }
}

// Local commands, pops that would wait, streams over both buses: all in one transaction.
TEST(DispatchExec, AnswersAllThatWereQueuedInTheirOrder) {
  for (const layout which : {layout::two_buses, layout::plain}) {
    bench on(which);
    const auto from = on.connect();
    on.answer(*from, "MULTI");
    std::vector<std::string> queued;
    for (const example& e : all_examples()) {
      if (e.of->in_multi != "queued") continue;
      const std::string mark = "behind-" + std::to_string(queued.size());
      ASSERT_EQ(on.answer(*from, joined(e.request())), "+QUEUED\r\n");
      ASSERT_EQ(on.answer(*from, "ECHO " + mark), "+QUEUED\r\n");
      queued.push_back(e.name());
    }
    ASSERT_GT(queued.size(), 200U);
    const outcome seen = run(on, *from, {"EXEC"});
    ASSERT_EQ(seen.replies, 1U);
    const std::vector<std::string> elements = elements_of(seen.said[0]);
    ASSERT_EQ(elements.size(), 2 * queued.size()) << seen.said[0].substr(0, 200);
    for (std::size_t i = 0; i < queued.size(); ++i) {
      SCOPED_TRACE(queued[i]);
      EXPECT_EQ(elements[2 * i + 1], bulk("behind-" + std::to_string(i)));
      // Here a client must not begin to watch the others.
      if (queued[i] == "monitor") {
        EXPECT_EQ(elements[2 * i], "-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n");
      }
    }
  }
}

TEST(DispatchExec, TakesEveryRequestForOnePinnedKey) {
  std::size_t taken = 0;
  for (const example& e : all_examples()) {
    const bool one_bus = e.of->pinned == "a" || e.of->pinned == "own a" || e.of->pinned == "a*";
    if (!one_bus || e.name() == "watch" || e.request() == e.request("md:")) continue;
    expect_queued(layout::two_buses, e, "md:", "a");
    ++taken;
  }
  EXPECT_GT(taken, 190U);
}

TEST(DispatchExec, TakesEveryRequestForTheOnlyBus) {
  for (const example& e : all_examples()) {
    const bool sent = e.of->plain == "main" || e.of->plain == "own main";
    static const std::set<std::string> refused = {"pubsub", "watch", "save"};
    if (!sent || refused.contains(e.name())) continue;
    // Behind the others the daemon can tell by itself that the bus answers.
    expect_queued(layout::plain, e, "", e.name() == "ping" ? "" : "main");
  }
}

TEST(DispatchExec, DiscardsTheTransactionBehindARefusal) {
  std::size_t refusals = 0;
  for (const example& e : all_examples()) {
    if (e.of->in_multi == "queued" || e.of->in_multi == "at once") continue;
    SCOPED_TRACE(e.text);
    ++refusals;
    bench on(layout::two_buses);
    const auto from = on.connect();
    on.answer(*from, "MULTI");
    on.answer(*from, "SET k v");
    const outcome seen = run(on, *from, e.request());
    EXPECT_TRUE(fits(seen.text, "refused " + std::string(e.of->in_multi))) << seen.text;
    EXPECT_EQ(seen.replies, 1U);
    // As in Redis these two spoil nothing.
    if (e.name() == "multi" || e.name() == "watch") {
      const outcome done = run(on, *from, {"EXEC"});
      EXPECT_EQ(done.said, std::vector<std::string>{"*1\r\n+OK\r\n"});
    } else {
      expect_discarded(on, *from);
    }
  }
  EXPECT_GT(refusals, 20U);
}

TEST(DispatchExec, SomeCommandsAreCarriedOutAtOnce) {
  const std::map<std::string, std::string> answers = {
      {"DISCARD", "+OK\r\n"}, {"EXEC", "*0\r\n"}, {"QUIT", "+OK\r\n"}, {"RESET", "+RESET\r\n"}};
  for (const example& e : all_examples()) {
    if (e.of->in_multi != "at once") continue;
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses);
    const auto from = on.connect();
    on.answer(*from, "MULTI");
    EXPECT_EQ(on.answer(*from, e.text), answers.at(e.text));
    if (e.text == "QUIT") {
      EXPECT_TRUE(on.replies(*from).empty());
      EXPECT_TRUE(from->closed);
    } else {
      EXPECT_EQ(on.answer(*from, "EXEC"), "-ERR EXEC without MULTI\r\n");
    }
  }
}

TEST(DispatchExec, RefusesASurplusArgumentWhenItIsQueued) {
  bench on(layout::two_buses);
  const auto from = on.connect();
  for (const example& e : all_examples()) {
    if (e.of->in_multi != "queued") continue;
    const int index = command::find_command(e.name());
    ASSERT_GE(index, 0);
    if (command::command_table()[static_cast<std::size_t>(index)].arity < 0) continue;
    SCOPED_TRACE(e.text);
    words longer = e.request("md:");
    longer.push_back("surplus");
    on.answer(*from, "MULTI");
    EXPECT_EQ(run(on, *from, longer).text,
              "refused ERR wrong number of arguments for '" + e.name() + "' command");
    expect_discarded(on, *from);
  }
}

}  // namespace
}  // namespace dualbus::app::test
