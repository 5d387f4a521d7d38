#include <dualbus/base/name_table.hpp>

#include <map>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

std::map<std::string, int> rows(const name_table<int>& table) {
  std::map<std::string, int> result;
  table.visit([&](std::string_view name, int row) { result[std::string(name)] = row; });
  return result;
}

TEST(NameTableTest, NamesBeyondTheCapShareOneRow) {
  name_table<int> table(2);
  for (const char* name : {"a", "b", "c", "d", "a"}) ++table.of(name);
  EXPECT_EQ(rows(table), (std::map<std::string, int>{{"a", 2}, {"b", 1}, {"other", 2}}));
  EXPECT_TRUE(table.knows("b"));
  EXPECT_FALSE(table.knows("c"));
}

TEST(NameTableTest, RowsStayWhereTheyAre) {
  name_table<int> table(2000);
  int* const first = &table.of("first");
  for (int i = 0; i < 1000; ++i) table.of("name-" + std::to_string(i));
  EXPECT_EQ(&table.of("first"), first);
}

TEST(NameTableTest, RowsBeginAsTheBlankOne) {
  name_table<int> table(1, 7);
  EXPECT_EQ(table.of("a"), 7);
  EXPECT_EQ(table.of("b"), 7);
}

TEST(NameTableTest, TooLongNamesAndTheNameOtherHaveNoRowOfTheirOwn) {
  name_table<int> table(5);
  const std::string longest(name_table<int>::max_name_bytes, 'x');
  for (const std::string& name : {std::string("other"), longest, longest + "x"}) ++table.of(name);
  EXPECT_EQ(rows(table), (std::map<std::string, int>{{longest, 1}, {"other", 2}}));
}

TEST(NameTableTest, AnotherCapIsForNamesToCome) {
  name_table<int> table(1);
  ++table.of("a");
  ++table.of("b");
  table.set_max_names(2);
  ++table.of("b");
  table.set_max_names(0);
  ++table.of("a");
  ++table.of("b");
  ++table.of("c");
  EXPECT_EQ(rows(table), (std::map<std::string, int>{{"a", 2}, {"b", 2}, {"other", 2}}));
}

}  // namespace
}  // namespace dualbus::base
