#include <dualbus/command/key_writes.hpp>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

bool changes(std::initializer_list<std::string_view> words) {
  const std::vector<std::string_view> args(words);
  const int index = find_command(args[0]);
  EXPECT_GE(index, 0) << args[0];
  return changes_keys(command_table()[static_cast<std::size_t>(index)], args);
}

TEST(KeyWritesTest, WritesChangeKeysAndReadsDoNot) {
  EXPECT_TRUE(changes({"XADD", "s", "*", "a", "b"}));
  EXPECT_TRUE(changes({"XTRIM", "s", "MAXLEN", "1"}));
  EXPECT_TRUE(changes({"DEL", "s"}));
  EXPECT_TRUE(changes({"XSETID", "s", "1-1"}));
  EXPECT_FALSE(changes({"GET", "k"}));
  EXPECT_FALSE(changes({"XRANGE", "s", "-", "+"}));
  EXPECT_FALSE(changes({"XREAD", "STREAMS", "s", "0"}));
}

TEST(KeyWritesTest, WhatChangesOnlyWhatAGroupHasMakesNoOtherReadFindMore) {
  EXPECT_FALSE(changes({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}));
  EXPECT_FALSE(changes({"XACK", "s", "g", "1-1"}));
  EXPECT_FALSE(changes({"XAUTOCLAIM", "s", "g", "c", "0", "0"}));
  EXPECT_FALSE(changes({"XCLAIM", "s", "g", "c", "0", "1-1"}));
}

TEST(KeyWritesTest, GroupsThemselvesAndTheirPositionsDo) {
  EXPECT_TRUE(changes({"XGROUP", "CREATE", "s", "g", "0"}));
  EXPECT_TRUE(changes({"XCLAIM", "s", "g", "c", "0", "1-1", "lastid", "2-1"}));
  // Redis compares option words as C strings.
  EXPECT_TRUE(changes({"XCLAIM", "s", "g", "c", "0", "1-1", std::string_view("LASTID\0x", 8), "2-1"}));
}

TEST(KeyWritesTest, AScriptMayWriteUnlessItSaysOtherwise) {
  EXPECT_TRUE(changes({"EVAL", "return 1", "0"}));
  EXPECT_TRUE(changes({"FCALL", "f", "0"}));
  EXPECT_FALSE(changes({"EVAL_RO", "return 1", "0"}));
  EXPECT_FALSE(changes({"SCRIPT", "LOAD", "return 1"}));
}

TEST(KeyWritesTest, WhatIsRefusedUnlessItIsPassedCanDoAnything) {
  EXPECT_TRUE(changes({"DEBUG", "RELOAD"}));
}

}  // namespace
}  // namespace dualbus::command
