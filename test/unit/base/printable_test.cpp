#include <dualbus/base/printable.hpp>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_printable(out, text, R"('\)");
  return out;
}

TEST(PrintableTest, TextOfAnyLanguageStaysAsItIs) {
  for (const std::string_view text : {"plain text", "Grüße", "日本語", "🙂"}) {
    EXPECT_TRUE(is_printable(text)) << text;
    EXPECT_EQ(escaped(text), text);
  }
}

TEST(PrintableTest, WhatBreaksALineOrSteersATerminalIsEscaped) {
  EXPECT_EQ(escaped("a\nb\r\tc"), R"(a\nb\r\tc)");
  EXPECT_EQ(escaped("\x1b[31m\x7f"), R"(\x1b[31m\x7f)");
  EXPECT_EQ(escaped("\xc2\x9b"), R"(\xc2\x9b)");          // C1: CSI
  EXPECT_EQ(escaped("\xe2\x80\xa8"), R"(\xe2\x80\xa8)");  // line separator
  EXPECT_EQ(escaped("\xe2\x80\xae"
                    "x"),
            R"(\xe2\x80\xaex)");  // right-to-left override
  EXPECT_EQ(escaped(std::string_view("\0", 1)), R"(\x00)");
}

TEST(PrintableTest, WhatIsNoUtf8IsEscapedByteByByte) {
  EXPECT_EQ(escaped("\xff\xc3"), R"(\xff\xc3)");
  EXPECT_EQ(escaped("\xc0\xaf"), R"(\xc0\xaf)");          // overlong
  EXPECT_EQ(escaped("\xed\xa0\x80"), R"(\xed\xa0\x80)");  // a surrogate
}

TEST(PrintableTest, MarksCannotEndAQuotation) {
  EXPECT_EQ(escaped(R"(it's a \n)"), R"(it\'s a \\n)");
}

}  // namespace
}  // namespace dualbus::base
