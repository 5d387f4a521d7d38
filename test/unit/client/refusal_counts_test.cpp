#include <dualbus/client/refusal_counts.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(RefusalCountsTest, CountsByTheCodeThatAnErrorBeginsWith) {
  refusal_counts counts;
  counts.add("ERR syntax error");
  counts.add("ERR unknown command 'x'");
  counts.add("NOPERM this user has no permissions");
  counts.add("EXECABORT");
  EXPECT_THAT(counts.by_code(), ElementsAre(Pair("ERR", 2), Pair("EXECABORT", 1), Pair("NOPERM", 1)));
}

TEST(RefusalCountsTest, AddsAndSubtractsThoseOfAnother) {
  refusal_counts counts, others;
  counts.add("ERR a");
  others.add("ERR b");
  others.add("NOAUTH c");
  counts.add(others);
  EXPECT_THAT(counts.by_code(), ElementsAre(Pair("ERR", 2), Pair("NOAUTH", 1)));
  counts.subtract(others);
  EXPECT_THAT(counts.by_code(), ElementsAre(Pair("ERR", 1))) << "what has become nothing goes";
  counts.subtract(others);
  EXPECT_THAT(counts.by_code(), IsEmpty());
  counts.subtract(others);
  EXPECT_THAT(counts.by_code(), IsEmpty()) << "a code that is not there is passed over";
}

}  // namespace
}  // namespace dualbus::client
