#include <dualbus/resp/reply_reader.hpp>

#include <gtest/gtest.h>

namespace dualbus::resp {
namespace {

// The rest of an entry is copied as it is: more or fewer values than its header says would break the
// reply that they are copied into.
TEST(ReplyReaderTest, TheLastValuesAreAsManyAsWereAskedFor) {
  const std::string_view text = ":1\r\n*1\r\n$1\r\nx\r\n";
  EXPECT_EQ(reply_reader(text).last(2), text);
  EXPECT_EQ(reply_reader(text).last(1), std::nullopt) << "there is one more";
  EXPECT_EQ(reply_reader(text).last(3), std::nullopt) << "there is one less";
  EXPECT_EQ(reply_reader(text).last(0), std::nullopt);
  EXPECT_EQ(reply_reader("").last(0), "");
  EXPECT_EQ(reply_reader("$5\r\nabc").last(1), std::nullopt) << "it ends in the middle";
}

}  // namespace
}  // namespace dualbus::resp
