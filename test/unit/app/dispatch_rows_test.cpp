#include "dispatch_families.hpp"
#include "dispatch_outcome.hpp"

#include <dualbus/command/command_table.hpp>

#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::app::test {
namespace {

/// One case: what becomes of the request when a new client of a new worker sends it in that database.
void expect_outcome(layout which, int database, const words& request, std::string_view expected) {
  SCOPED_TRACE(joined(request) + (which == layout::plain ? ", one bus" : ", two buses") + ", database " +
               std::to_string(database));
  bench on(which);
  const auto from = on.connect();
  if (database != 0) on.answer(*from, "SELECT " + std::to_string(database));
  const outcome seen = run(on, *from, request);
  EXPECT_TRUE(fits(seen.text, expected)) << "expected: " << expected << "\nseen:     " << seen.text;
  EXPECT_EQ(seen.replies, 1U);
  EXPECT_FALSE(seen.answered_early);
}

TEST(DispatchRows, EveryCommandIsNamedOnceWithItsLeastArguments) {
  std::map<std::string, int, std::less<>> named;
  for (const example& e : all_examples()) ++named[e.name()];
  for (const command::command_spec& spec : command::command_table()) {
    EXPECT_EQ(named[std::string(spec.name)], 1) << spec.name;
    named.erase(std::string(spec.name));
  }
  for (const auto& [name, count] : named) ADD_FAILURE() << name << " is no command of the table";
  for (const example& e : all_examples()) {
    const int index = command::find_command(e.name());
    if (index < 0) continue;
    const int arity = command::command_table()[static_cast<std::size_t>(index)].arity;
    EXPECT_EQ(e.request().size(), static_cast<std::size_t>(std::abs(arity))) << e.text;
  }
}

TEST(DispatchRows, PinnedKeysHaveOneBus) {
  for (const example& e : all_examples())
    expect_outcome(layout::two_buses, 0, e.request("md:"), e.of->pinned);
}

TEST(DispatchRows, OtherKeysAreWhereTheCommandLooksForThem) {
  for (const example& e : all_examples()) expect_outcome(layout::two_buses, 0, e.request(), e.of->free);
}

TEST(DispatchRows, InAnotherDatabaseEveryKeyHasOneBus) {
  for (const example& e : all_examples()) {
    expect_outcome(layout::two_buses, 1, e.request("md:"), e.of->pinned);
    expect_outcome(layout::two_buses, 1, e.request(), e.of->second);
  }
}

TEST(DispatchRows, TheOnlyBusGetsWhatItUnderstands) {
  for (const example& e : all_examples()) {
    expect_outcome(layout::plain, 0, e.request(), e.of->plain);
    expect_outcome(layout::plain, 1, e.request(), e.of->plain);
  }
}

// Requests that wait on connections of their own, or in several rounds, are overtaken by none of the same
// client.
TEST(DispatchRows, APipelineOfAllCommandsIsAnsweredInItsOrder) {
  // They change what comes behind them.
  const std::set<std::string> left_out = {"monitor", "multi",      "psubscribe",
                                          "quit",    "ssubscribe", "subscribe"};
  for (const layout which : {layout::two_buses, layout::plain}) {
    for (const char* prefix : {"", "md:"}) {
      SCOPED_TRACE(std::string(which == layout::plain ? "one bus, " : "two buses, ") + prefix);
      bench on(which);
      const auto from = on.connect();
      std::string bytes;
      std::size_t sent = 0;
      for (const example& e : all_examples()) {
        if (left_out.contains(e.name())) continue;
        bytes += encoded(e.request(prefix)) + encoded({"ECHO", "behind-" + std::to_string(sent++)});
      }
      on.hold_answers(true);
      on.send_raw(*from, bytes);
      std::vector<std::string> replies = on.replies(*from);
      EXPECT_TRUE(replies.empty()) << "the first one goes to a bus, which has not answered";
      on.hold_answers(false);
      replies = on.replies(*from);
      ASSERT_EQ(replies.size(), 2 * sent);
      for (std::size_t i = 0; i < sent; ++i)
        ASSERT_EQ(replies[2 * i + 1], bulk("behind-" + std::to_string(i))) << replies[2 * i];
    }
  }
}

}  // namespace
}  // namespace dualbus::app::test
