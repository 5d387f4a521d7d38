#include "dispatch_outcome.hpp"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace dualbus::app::test {
namespace {

struct routed {
  std::string_view request, expected;
};

void expect_outcomes(layout which, int database, std::initializer_list<routed> cases) {
  for (const routed& c : cases) {
    SCOPED_TRACE(c.request);
    bench on(which);
    const auto from = on.connect();
    if (database != 0) on.answer(*from, "SELECT " + std::to_string(database));
    const outcome seen = run(on, *from, split(c.request));
    EXPECT_TRUE(fits(seen.text, c.expected)) << "expected: " << c.expected << "\nseen:     " << seen.text;
    EXPECT_EQ(seen.replies, c.expected.starts_with("parked") ? 0U : 1U);
    EXPECT_FALSE(seen.answered_early);
    if (seen.replies > 0) continue;
    // A client that waits gets its answer when it is told to wait no more.
    const auto other = on.connect();
    EXPECT_EQ(on.answer(*other, "CLIENT UNBLOCK 2"), ":1\r\n");
    EXPECT_EQ(on.replies(*from), std::vector<std::string>{"*-1\r\n"});
  }
}

TEST(DispatchRouting, KeysOfDifferentBusesAreSplitOrRefused) {
  expect_outcomes(layout::two_buses, 0,
                  {{"MGET k md:k", "a+b*"},
                   {"MSET k v md:k v", "a+b*"},
                   {"DEL k md:k", "a+b*"},
                   {"DEL md:k md:k2", "a"},
                   {"EXISTS md:k k", "a+b*"},
                   {"UNLINK k k2", "a+b*"},
                   {"MSETNX k v md:k v", "refused CROSSBUS command 'MSETNX'"},
                   {"RENAME k md:k", "refused CROSSBUS command 'RENAME'"},
                   {"RENAMENX md:k k", "refused CROSSBUS command 'RENAMENX'"},
                   {"COPY k md:k", "refused CROSSBUS command 'COPY'"},
                   {"SINTER k md:k", "refused CROSSBUS command 'SINTER'"},
                   {"SUNIONSTORE k md:k", "refused CROSSBUS command 'SUNIONSTORE'"},
                   {"SINTERCARD 2 k md:k", "refused CROSSBUS command 'SINTERCARD'"},
                   {"ZUNIONSTORE k 1 md:k", "refused CROSSBUS command 'ZUNIONSTORE'"},
                   {"BITOP AND k md:k", "refused CROSSBUS command 'BITOP'"},
                   {"GEORADIUS k 0 0 1 m STORE md:k", "refused CROSSBUS command 'GEORADIUS'"},
                   {"LMOVE k md:k LEFT LEFT", "refused CROSSBUS command 'LMOVE'"},
                   {"BLPOP k md:k 0", "refused CROSSBUS command 'BLPOP'"},
                   {"BLMPOP 0 2 md:k k LEFT", "refused CROSSBUS command 'BLMPOP'"},
                   {"EVALSHA sha 2 k md:k", "refused CROSSBUS command 'EVALSHA'"},
                   {"FCALL f 2 k md:k", "refused CROSSBUS command 'FCALL'"},
                   {"WATCH k md:k", "refused CROSSBUS command 'WATCH'"},
                   {"SORT k STORE md:k", "refused CROSSBUS command 'SORT'"},
                   {"SORT k BY md:w_*", "refused CROSSBUS command 'SORT'"},
                   {"SORT md:k BY md:w_*", "a"},
                   {"SORT_RO k BY w_*", "b"}});
}

TEST(DispatchRouting, ScriptsRunOnTheBusOfTheirKeys) {
  expect_outcomes(layout::two_buses, 0,
                  {{"EVALSHA sha 1 md:k", "a"},
                   {"EVALSHA sha 1 k", "b"},
                   {"FCALL_RO f 2 md:k md:k2", "a"},
                   // The other bus learns the script.
                   {"EVAL code 1 md:k", "a+b*"},
                   {"EVAL_RO code 1 k", "a+b*"}});
  expect_outcomes(layout::plain, 0, {{"EVAL code 1 k", "own main"}, {"FCALL f 1 k", "own main"}});
}

TEST(DispatchRouting, MessagesGoToTheBusOfTheirType) {
  expect_outcomes(layout::two_buses, 0,
                  {{"XADD k * type tick", "a"},
                   {"XADD k * type other", "b"},
                   {"XADD md:k * type other", "a"},
                   {"XADD k MAXLEN 5 * type tick", "a"},
                   {"XADD k KEEPREF * type tick", "refused ERR dualbus: option 'KEEPREF' not supported"},
                   {"PUBLISH c {\"type\":\"tick\"}", "a"},
                   {"SPUBLISH c {\"type\":\"tick\"}", "a"},
                   {"PUBLISH c {\"type\":\"other\"}", "b"}});
  expect_outcomes(layout::two_buses, 1, {{"XADD k * type tick", "b"}, {"XADD md:k * type other", "a"}});
}

TEST(DispatchRouting, ReadsWithBlockWaitInTheDaemonOrOnAConnectionOfTheirOwn) {
  expect_outcomes(layout::two_buses, 0,
                  {{"XREAD BLOCK 0 STREAMS k $", "parked a+b*"},
                   {"XREADGROUP GROUP g c BLOCK 0 STREAMS k >", "parked a+b*"},
                   {"XREADGROUP GROUP g c BLOCK 0 STREAMS md:k >", "parked a*"},
                   {"XREAD BLOCK 0 STREAMS md:k $", "parked a*"}});
  expect_outcomes(layout::two_buses, 1,
                  {{"XREAD BLOCK 0 STREAMS k $", "own b"},
                   {"XREADGROUP GROUP g c BLOCK 0 STREAMS md:k >", "own a"},
                   {"XREAD BLOCK 0 STREAMS k md:k $ $", "refused CROSSBUS command 'XREAD'"}});
  expect_outcomes(
      layout::plain, 0,
      {{"XREAD BLOCK 0 STREAMS k $", "own main"}, {"XREADGROUP GROUP g c BLOCK 0 STREAMS k >", "own main"}});
}

TEST(DispatchRouting, DatabasesOfOneBus) {
  expect_outcomes(layout::two_buses, 0,
                  {{"COPY md:k md:k2 DB 1", "a"},
                   {"COPY k k2 DB 1", "refused "},
                   {"SELECT 1", "daemon"},
                   {"SELECT 2", "refused ERR DB index is out of range"},
                   {"SELECT x", "refused ERR value is not an integer or out of range"}});
  expect_outcomes(layout::plain, 0,
                  {{"COPY k k2 DB 1", "main"}, {"SWAPDB 0 1", "main"}, {"MOVE k 1", "main"}});
}

TEST(DispatchRouting, RequestsOfADatabaseReachTheBusInThatDatabase) {
  bench on(layout::two_buses);
  const auto from = on.connect();
  for (const int database : {1, 0, 1}) {
    on.answer(*from, "SELECT " + std::to_string(database));
    for (const auto& [key, bus] : {std::pair("k", 1), std::pair("md:k", 0)}) {
      on.forget_deliveries();
      on.answer(*from, std::string("GET ") + key);
      ASSERT_EQ(on.buses[bus]->given.size(), 1U);
      EXPECT_EQ(on.buses[bus]->given[0].database, database);
    }
  }
}

}  // namespace
}  // namespace dualbus::app::test
