#include "dispatch_families.hpp"
#include "dispatch_outcome.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace dualbus::app::test {
namespace {

// Changes of keys are noted, so that no read of a stream is answered from what was true before.

struct noted {
  std::uint64_t begun = 0, unfinished = 0;
};

/// All that is noted about the key, on whatever bus.
noted changes_of(bench& on, const std::string& key) {
  noted sum;
  for (std::size_t i = 0; i < on.buses.size(); ++i) {
    const auto state = on.daemon.changes.of(key, static_cast<command::bus_index>(i));
    sum.begun += state.begun;
    sum.unfinished += state.unfinished;
  }
  return sum;
}

bool names_a_key(const example& e) {
  return e.request() != e.request("x");
}

/// The keys that the request names; without any, one that nobody names.
std::vector<std::string> keys_in(const example& e, const std::string& prefix) {
  std::vector<std::string> keys;
  for (const std::string& word : e.request(prefix)) {
    if (word == prefix + "k" || word == prefix + "k2") keys.push_back(word);
  }
  if (keys.empty()) keys.emplace_back("k");
  return keys;
}

/// A pop that waits may do so for ever, and nothing is remembered of lists and sorted sets.
bool pops(const example& e) {
  return e.of->free == "own b" && e.changes_keys;
}

void expect_noted(layout which, const example& e, const std::string& prefix, std::string_view expected) {
  SCOPED_TRACE(joined(e.request(prefix)) + (which == layout::plain ? ", one bus" : ", two buses"));
  bench on(which);
  const auto from = on.connect();
  const bool sent = !expected.starts_with("refused");
  const bool notes = e.changes_keys && sent && !pops(e);
  on.hold_answers(true);
  on.send(*from, e.request(prefix));
  for (const std::string& key : keys_in(e, prefix)) {
    const noted meanwhile = changes_of(on, key);
    EXPECT_EQ(meanwhile.begun > 0, notes) << key;
    EXPECT_EQ(meanwhile.unfinished > 0, notes) << key;
  }
  on.hold_answers(false);
  EXPECT_EQ(on.replies(*from).size(), 1U);
  for (const std::string& key : keys_in(e, prefix)) {
    const noted afterwards = changes_of(on, key);
    EXPECT_EQ(afterwards.begun > 0, notes) << key;
    EXPECT_EQ(afterwards.unfinished, 0U) << key;
  }
}

TEST(DispatchChanges, AreNotedFromTheRequestToItsAnswer) {
  for (const example& e : all_examples()) {
    expect_noted(layout::two_buses, e, "", e.of->free);
    if (names_a_key(e)) expect_noted(layout::two_buses, e, "md:", e.of->pinned);
    expect_noted(layout::plain, e, "", e.of->plain);
  }
}

TEST(DispatchChanges, OfATransactionBeginWithExec) {
  std::size_t changing = 0;
  for (const example& e : all_examples()) {
    const bool pinned = e.of->pinned == "a" || e.of->pinned == "own a";
    if (!pinned || !names_a_key(e) || e.name() == "watch") continue;
    SCOPED_TRACE(e.text);
    bench on(layout::two_buses);
    const auto from = on.connect();
    on.answer(*from, "MULTI");
    on.answer(*from, joined(e.request("md:")));
    on.answer(*from, "GET md:other");
    const std::string key = keys_in(e, "md:")[0];
    EXPECT_EQ(changes_of(on, key).begun, 0U);
    on.hold_answers(true);
    on.send(*from, {"EXEC"});
    const bool notes = e.changes_keys && !pops(e);
    EXPECT_EQ(changes_of(on, key).unfinished > 0, notes);
    on.hold_answers(false);
    EXPECT_EQ(changes_of(on, key).unfinished, 0U);
    changing += notes ? 1 : 0;
  }
  EXPECT_GT(changing, 90U);
}

TEST(DispatchChanges, OfOneKeyConcernNoOther) {
  bench on(layout::two_buses);
  const auto from = on.connect();
  on.answer(*from, "SET k v");
  EXPECT_EQ(changes_of(on, "k").begun, 1U);  // on the bus that it went to
  EXPECT_EQ(changes_of(on, "another").begun, 0U);
  on.answer(*from, "DEL k");
  EXPECT_EQ(changes_of(on, "k").begun, 3U);  // on both
  EXPECT_EQ(changes_of(on, "another").begun, 0U);
  on.answer(*from, "EVALSHA sha 0");
  EXPECT_EQ(changes_of(on, "k").begun, 5U);
  EXPECT_EQ(changes_of(on, "another").begun, 2U);  // a script without keys may change any
}

TEST(DispatchChanges, OfAClaimDependOnLastid) {
  bench on(layout::two_buses);
  const auto from = on.connect();
  on.answer(*from, "XCLAIM md:k g c 0 5-0");
  EXPECT_EQ(changes_of(on, "md:k").begun, 0U);
  on.answer(*from, "XCLAIM md:k g c 0 5-0 LASTID 6-0");
  EXPECT_EQ(changes_of(on, "md:k").begun, 1U);
}

}  // namespace
}  // namespace dualbus::app::test
