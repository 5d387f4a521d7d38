#include "admin/api.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(QueryTest, ValuesComeInTheirOrderAndDecoded) {
  EXPECT_THAT(query_values("arg=XADD&arg=a+b&after=3&arg=%2A%26%3d", "arg"),
              ElementsAre("XADD", "a b", "*&="));
  EXPECT_THAT(query_values("arg=XADD&after=3", "after"), ElementsAre("3"));
  EXPECT_THAT(query_values("%61rg=x", "arg"), ElementsAre("x"));
}

TEST(QueryTest, OddQueriesAreNoTrouble) {
  EXPECT_THAT(query_values("", "arg"), IsEmpty());
  EXPECT_THAT(query_values("&&=&arg&arg=", "arg"), ElementsAre("", ""));
  EXPECT_THAT(query_values("arg=%", "arg"), ElementsAre("%"));
  EXPECT_THAT(query_values("arg=%4", "arg"), ElementsAre("%4"));
  EXPECT_THAT(query_values("arg=%zz%41", "arg"), ElementsAre("%zzA"));
  EXPECT_THAT(query_values("arg=a=b", "arg"), ElementsAre("a=b"));
  EXPECT_THAT(query_values("arg=%00", "arg"), ElementsAre(std::string(1, '\0')));
}

TEST(CommandWordsTest, AreSplitAtBlanksOutsideOfQuotes) {
  EXPECT_THAT(command_words("  XADD  orders *\ttype 'a b' \"c \\\" d\" "),
              ElementsAre("XADD", "orders", "*", "type", "a b", "c \" d"));
  EXPECT_THAT(command_words("a'b"), ElementsAre("a'b"));
  EXPECT_THAT(command_words("'' \"\""), ElementsAre("", ""));
  EXPECT_THAT(command_words(R"('a\'b' "a\\b" a\b)"), ElementsAre("a'b", "a\\b", "a\\b"));
  EXPECT_THAT(command_words(" \n"), IsEmpty());
}

TEST(CommandWordsTest, AQuoteThatIsNotClosedMeansNothing) {
  EXPECT_THAT(command_words("GET \"a"), IsEmpty());
  EXPECT_THAT(command_words("GET 'a\\'"), IsEmpty());
}

}  // namespace
}  // namespace dualbus::admin
