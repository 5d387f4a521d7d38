// The cost of going on with more bytes: the bytes that were seen are taken away, by protecting their pages,
// so that looking at them again ends the test program.

#include <dualbus/resp/reply_scanner.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstring>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace dualbus::resp {
namespace {

class guarded_input {
 public:
  explicit guarded_input(std::string_view text)
      : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
        size_(text.size()),
        mapped_((text.size() / page_ + 2) * page_),
        memory_(static_cast<char*>(
            ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    std::memcpy(memory_, text.data(), text.size());
  }
  ~guarded_input() { ::munmap(memory_, mapped_); }

  std::string_view first(std::size_t bytes) const { return {memory_, bytes}; }
  std::size_t size() const { return size_; }
  std::size_t page() const { return page_; }

  /// Makes the whole pages in [page, end) unreadable. The first page stays: a number that is not yet complete
  /// may be read again, it is short.
  void take_away(std::size_t end) {
    if (end / page_ > 1) ::mprotect(memory_ + page_, (end / page_ - 1) * page_, PROT_NONE);
  }
  void give_back() { ::mprotect(memory_, mapped_, PROT_READ | PROT_WRITE); }

 private:
  std::size_t page_, size_, mapped_;
  char* memory_;
};

TEST(ResumeTest, TheParserLooksAtNoByteOfAnArgumentTwice) {
  const std::string body(300'000, 'x');
  guarded_input input("*3\r\n$3\r\nSET\r\n$300000\r\n" + body + "\r\n$300000\r\n" + body + "\r\n");
  request_parser parser;
  for (std::size_t end = 1000; end < input.size(); end += 1000) {
    ASSERT_EQ(parser.parse(input.first(end)), parse_status::incomplete);
    input.take_away(end - 64);  // the length of the last argument may be incomplete
  }
  ASSERT_EQ(parser.parse(input.first(input.size())), parse_status::complete);
  input.give_back();
  ASSERT_EQ(parser.args().size(), 3U);
  EXPECT_EQ(parser.args()[1], body);
  EXPECT_EQ(parser.args()[2], body);
}

TEST(ResumeTest, TheParserLooksAtNoByteOfAnEndlessLineTwice) {
  for (const char* start : {"inline ", "*", "*1\r\n$"}) {
    guarded_input input(start + std::string(60'000, '1'));
    request_parser parser;
    for (std::size_t end = 100; end <= input.size(); end += 100) {
      ASSERT_EQ(parser.parse(input.first(end)), parse_status::incomplete);
      input.take_away(end);
    }
  }
}

TEST(ResumeTest, TheParserNeverLooksBackAtEarlierArguments) {
  std::string text = "*2001\r\n";
  for (int i = 0; i < 2001; ++i) text += "$50\r\n" + std::string(50, 'x') + "\r\n";
  guarded_input input(text);
  request_parser parser;
  for (std::size_t end = 333; end < input.size(); end += 333) {
    ASSERT_EQ(parser.parse(input.first(end)), parse_status::incomplete);
    input.take_away(end - 64);
  }
  ASSERT_EQ(parser.parse(input.first(input.size())), parse_status::complete);
  EXPECT_EQ(parser.args().size(), 2001U);
}

TEST(ResumeTest, TheScannerLooksAtNoByteOfABulkTwice) {
  guarded_input input("*2\r\n$300000\r\n" + std::string(300'000, 'x') + "\r\n$300000\r\n" +
                      std::string(300'000, 'y') + "\r\n");
  reply_scanner scanner;
  for (std::size_t end = 1000; end < input.size(); end += 1000) {
    ASSERT_EQ(scanner.scan(input.first(end)), scan_status::incomplete);
    input.take_away(end - 64);
  }
  EXPECT_EQ(scanner.scan(input.first(input.size())), scan_status::complete);
}

TEST(ResumeTest, TheScannerLooksAtNoByteOfALongLineTwice) {
  guarded_input input("+" + std::string(500'000, 'x'));
  reply_scanner scanner;
  for (std::size_t end = 1000; end <= input.size(); end += 1000) {
    ASSERT_EQ(scanner.scan(input.first(end)), scan_status::incomplete);
    input.take_away(end);
  }
}

TEST(ResumeTest, TheScannerNeverLooksBackAtEarlierElements) {
  std::string text = "*20000\r\n";
  for (int i = 0; i < 20'000; ++i) text += ":123456\r\n";
  guarded_input input(text);
  reply_scanner scanner;
  for (std::size_t end = 333; end < input.size(); end += 333) {
    ASSERT_EQ(scanner.scan(input.first(end)), scan_status::incomplete);
    input.take_away(end - 64);
  }
  EXPECT_EQ(scanner.scan(input.first(input.size())), scan_status::complete);
}

}  // namespace
}  // namespace dualbus::resp
