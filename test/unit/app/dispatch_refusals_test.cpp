#include "dispatch_families.hpp"
#include "dispatch_outcome.hpp"

#include <dualbus/command/command_table.hpp>

#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace dualbus::app::test {
namespace {

int arity_of(const example& e) {
  const int index = command::find_command(e.name());
  EXPECT_GE(index, 0) << e.text;
  return index < 0 ? 0 : command::command_table()[static_cast<std::size_t>(index)].arity;
}

/// EXEC has words of its own for what is wrong with it.
std::string refused(const example& e, const std::string& why) {
  if (e.name() == "exec") return "refused EXECABORT Transaction discarded because of: " + why;
  return "refused ERR " + why;
}

std::string wrong_number(const example& e) {
  return refused(e, "wrong number of arguments for '" + e.name() + "' command");
}

bool is_one_bus(std::string_view outcome) {
  return outcome == "a" || outcome == "b" || outcome == "main";
}

TEST(DispatchRefusals, AnArgumentTooFewReachesNoBus) {
  for (const layout which : {layout::two_buses, layout::plain}) {
    bench on(which);
    const auto from = on.connect();
    std::size_t tried = 0;
    for (const example& e : all_examples()) {
      if (std::abs(arity_of(e)) == 1) continue;  // its name is all that it needs
      SCOPED_TRACE(e.text);
      for (const std::string_view prefix : {"", "md:"}) {
        words shorter = e.request(prefix);
        shorter.pop_back();
        const outcome seen = run(on, *from, shorter);
        EXPECT_EQ(seen.text, wrong_number(e));
        EXPECT_EQ(seen.replies, 1U);
        ++tried;
      }
    }
    EXPECT_GT(tried, 480U);
  }
}

// A request that goes to one bus as it is may have more arguments than Redis 7.0 takes, since that bus knows
// what its version takes. The daemon refuses the others.
TEST(DispatchRefusals, AnArgumentTooManyIsUpToTheOneBusThatGetsIt) {
  // The daemon reads their arguments.
  const std::set<std::string> understood = {"move", "swapdb", "role"};
  for (const example& e : all_examples()) {
    if (arity_of(e) < 0) continue;
    SCOPED_TRACE(e.text);
    const auto expect = [&](layout which, std::string_view prefix, std::string_view otherwise) {
      bench on(which);
      const auto from = on.connect();
      words longer = e.request(prefix);
      longer.push_back("surplus");
      const outcome seen = run(on, *from, longer);
      const bool passes = is_one_bus(otherwise) && !understood.contains(e.name());
      EXPECT_EQ(seen.text, passes ? std::string(otherwise) : wrong_number(e)) << prefix;
      EXPECT_EQ(seen.replies, 1U);
    };
    expect(layout::two_buses, "md:", e.of->pinned);
    expect(layout::two_buses, "", e.of->free);
    expect(layout::plain, "", e.of->plain);
  }
}

TEST(DispatchRefusals, SubscribersMaySendOnlyTheirOwnCommands) {
  const std::set<std::string> allowed = {"subscribe",   "psubscribe",   "ssubscribe",
                                         "unsubscribe", "punsubscribe", "sunsubscribe",
                                         "ping",        "quit",         "reset"};
  const std::set<std::string> containers = {"acl",      "client",  "cluster", "command", "config", "dualbus",
                                            "function", "latency", "memory",  "module",  "object", "pubsub",
                                            "script",   "slowlog", "xgroup",  "xinfo"};
  for (const layout which : {layout::two_buses, layout::plain}) {
    bench on(which);
    auto from = on.connect();
    on.answer(*from, "SUBSCRIBE other");
    for (const example& e : all_examples()) {
      SCOPED_TRACE(e.text);
      words request = e.request();
      if (allowed.contains(e.name())) {
        const auto another = on.connect();
        on.answer(*another, "SUBSCRIBE other");
        const outcome seen = run(on, *another, request);
        EXPECT_EQ(seen.replies, 1U);
        EXPECT_FALSE(seen.text.starts_with("refused")) << seen.text;
        continue;
      }
      std::string name = e.name();
      if (containers.contains(name) && request.size() > 1) {
        for (const char c : request[1]) name += (name == e.name() ? "|" : "") + std::string(1, c | 32);
      }
      const outcome seen = run(on, *from, request);
      EXPECT_EQ(seen.text,
                refused(e, "Can't execute '" + name +
                               "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                               "in this context"));
      EXPECT_EQ(seen.replies, 1U);
    }
    // It still hears what is published.
    on.buses[0]->publish("other", "news");
    on.settle();
    EXPECT_EQ(on.replies(*from),
              std::vector<std::string>{"*3\r\n" + bulk("message") + bulk("other") + bulk("news")});
  }
}

TEST(DispatchRefusals, AnUnknownCommandIsNeverSentToABus) {
  for (const layout which : {layout::two_buses, layout::plain}) {
    bench on(which);
    const auto from = on.connect();
    EXPECT_EQ(run(on, *from, split("JSON.GET k $")).text,
              "refused ERR unknown command 'JSON.GET', with args beginning with: 'k' '$' ");
    EXPECT_EQ(run(on, *from, {"GETX"}).text,
              "refused ERR unknown command 'GETX', with args beginning with: ");
    // Within MULTI it spoils the transaction.
    on.answer(*from, "MULTI");
    EXPECT_TRUE(fits(run(on, *from, {"GETX"}).text, "refused ERR unknown command"));
    EXPECT_TRUE(fits(run(on, *from, {"EXEC"}).text, "refused EXECABORT"));
  }
}

TEST(DispatchRefusals, SomebodyWhoSpeaksHttpIsClosedWithoutAWord) {
  for (const char* line : {"POST / HTTP/1.1\r\n", "Host: localhost\r\n"}) {
    bench on(layout::two_buses);
    const auto from = on.connect();
    on.send_raw(*from, std::string(line) + "SET k v\r\n");
    EXPECT_TRUE(on.replies(*from).empty());
    EXPECT_TRUE(from->closed);
    EXPECT_FALSE(on.anything_given());
    EXPECT_EQ(on.parts().clients(), 0U);
  }
}

}  // namespace
}  // namespace dualbus::app::test
