#include <dualbus/stream/read_request.hpp>

#include <initializer_list>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::stream {
namespace {

read_request parse(std::initializer_list<std::string_view> words) {
  const std::vector<std::string_view> args(words);
  const auto index = static_cast<std::size_t>(command::find_command(args[0]));
  const read_request found = parse_read(command::command_table()[index], args);
  return found;
}

TEST(ReadRequestTest, TheCommandSaysWhetherAGroupMayBeNamed) {
  const read_request of_group = parse({"XREADGROUP", "GROUP", "g", "c", "NOACK", "STREAMS", "s", ">"});
  EXPECT_EQ(of_group.error, "");
  EXPECT_EQ(of_group.group, "g");
  EXPECT_EQ(of_group.consumer, "c");
  EXPECT_TRUE(of_group.no_ack);
  ASSERT_EQ(of_group.keys.size(), 1U);
  EXPECT_EQ(of_group.keys[0].from, read_request::position::fresh);
  EXPECT_EQ(parse({"xread", "GROUP", "g", "c", "STREAMS", "s", "0"}).error,
            "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
  EXPECT_EQ(parse({"xread", "NOACK", "STREAMS", "s", "0"}).error,
            "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
  EXPECT_NE(parse({"xreadgroup", "COUNT", "1", "STREAMS", "s", ">"}).error, "");
}

TEST(ReadRequestTest, OnlyReadsOfGroupsClaim) {
  const auto group = parse({"XREADGROUP", "GROUP", "g", "c", "CLAIM", "5", "STREAMS", "s", ">"});
  EXPECT_EQ(group.unsupported, "CLAIM");
  EXPECT_EQ(parse({"XREAD", "CLAIM", "5", "STREAMS", "s", "0"}).error, "ERR syntax error");
}

}  // namespace
}  // namespace dualbus::stream
