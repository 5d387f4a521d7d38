#include "parse_helpers.hpp"

#include <dualbus/resp/request_parser.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::resp {
namespace {

using test::encode;
using test::heap_copy;
using test::parse_in_pieces;
using test::parse_whole;
using test::parsed_input;
using strings = std::vector<std::string>;

std::string error_of(std::string_view bytes, parser_limits limits = {}) {
  const parsed_input result = parse_whole(bytes, limits);
  return result.last == parse_status::error ? result.error : "no error";
}

TEST(RequestParserTest, FindsTheArguments) {
  const parsed_input result = parse_whole(encode({"SET", "key", "value"}));
  ASSERT_EQ(result.requests.size(), 1U);
  EXPECT_EQ(result.requests[0], (strings{"SET", "key", "value"}));
  EXPECT_TRUE(result.verbatim[0]);
}

TEST(RequestParserTest, ArgumentsAreViewsIntoTheInput) {
  const heap_copy input(encode({"ECHO", "payload"}));
  request_parser parser;
  ASSERT_EQ(parser.parse(input.view()), parse_status::complete);
  for (const std::string_view arg : parser.args()) {
    EXPECT_GE(arg.data(), input.view().data());
    EXPECT_LT(arg.data(), input.view().data() + input.view().size());
  }
}

TEST(RequestParserTest, TakesBinaryAndEmptyArguments) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  const strings request = {"", bytes, "\r\n", "$3\r\nabc\r\n", ""};
  EXPECT_EQ(parse_whole(encode(request)).requests, std::vector<strings>{request});
}

TEST(RequestParserTest, FindsEveryPipelinedRequest) {
  std::string bytes;
  std::vector<strings> expected;
  for (int i = 0; i < 50; ++i) {
    expected.push_back({"XADD", "stream-" + std::to_string(i), "*", "n", std::string(i, 'x')});
    bytes += encode(expected.back());
    if (i % 10 == 0) {
      expected.push_back({"PING"});
      bytes += "PING\r\n";
    }
  }
  const parsed_input result = parse_whole(bytes);
  EXPECT_EQ(result.requests, expected);
  EXPECT_EQ(result.consumed, bytes.size());
}

TEST(RequestParserTest, FindsTheSameAtEverySplitPoint) {
  const std::string bytes =
      encode({"XADD", "s", "*", "message_type", "market_data", "empty", "", "payload", "{\"a\":\"\r\n\"}"}) +
      "\r\n*0\r\n*-1\r\nset \"quo\\x41ted\\n\" 'si ngle'\r\n" + encode({"PING"}) + "PING\n" +
      "*1\rX$4XX\rPINGXY" + encode({"GET", std::string("k\0y", 3)});
  // The one irregular length above is an error; everything before it must come out first.
  const parsed_input whole = parse_whole(bytes);
  ASSERT_EQ(whole.last, parse_status::error);
  ASSERT_EQ(whole.requests.size(), 7U);
  for (std::size_t i = 0; i <= bytes.size(); ++i) {
    ASSERT_EQ(parse_in_pieces(bytes, {i}), whole) << "split at " << i;
    for (std::size_t k = i + 1; k <= bytes.size(); k += 7) {
      ASSERT_EQ(parse_in_pieces(bytes, {i, k}), whole) << "split at " << i << " and " << k;
    }
  }
  std::vector<std::size_t> each_byte;
  for (std::size_t i = 1; i < bytes.size(); ++i) each_byte.push_back(i);
  EXPECT_EQ(parse_in_pieces(bytes, each_byte), whole);
}

TEST(RequestParserTest, EmptyRequestsAreCompleteAndWithoutArguments) {
  const std::vector<strings> nothing(5);
  EXPECT_EQ(parse_whole("*0\r\n*-1\r\n*-100\r\n\r\n\n").requests, nothing);
}

TEST(RequestParserTest, SkipsTheBytesOfATerminatorAsRedisDoesButDoesNotForwardThem) {
  const parsed_input count = parse_whole("*1\r?$4\r\nPING\r\n");
  EXPECT_EQ(count.requests, std::vector<strings>{{"PING"}});
  EXPECT_FALSE(count.verbatim.at(0));
  const parsed_input length = parse_whole("*1\r\n$4\r?PING\r\n");
  EXPECT_EQ(length.requests, std::vector<strings>{{"PING"}});
  EXPECT_FALSE(length.verbatim.at(0));
  const parsed_input body = parse_whole("*2\r\n$4\r\nECHO??$1\r\nx\r\n");
  EXPECT_EQ(body.requests, (std::vector<strings>{{"ECHO", "x"}}));
  EXPECT_FALSE(body.verbatim.at(0));
  EXPECT_FALSE(parse_whole("*1\r\n$4\r\nPING?\n").verbatim.at(0));
  EXPECT_FALSE(parse_whole("*1\r\n$4\r\nPING\r?").verbatim.at(0));
  const parsed_input next = parse_whole("*1\r\n$4\r\nPING!!" + encode({"PING"}));
  EXPECT_EQ(next.verbatim, (std::vector<bool>{false, true}));
}

TEST(RequestParserTest, InlineRequestsAreNotForwardedAsTheyAre) {
  EXPECT_FALSE(parse_whole("PING\r\n").verbatim.at(0));
}

TEST(RequestParserTest, MalformedCountsGetRedissError) {
  for (const char* count : {"", "a", "1a", "+1", " 1", "01", "-0", "-", "1.0", "2147483648",
                            "9223372036854775807", "9223372036854775808", "99999999999999999999999999"}) {
    EXPECT_EQ(error_of("*" + std::string(count) + "\r\n"), "Protocol error: invalid multibulk length")
        << count;
  }
}

TEST(RequestParserTest, MalformedLengthsGetRedissError) {
  for (const char* length : {"", "a", "1a", "+1", " 1", "01", "-1", "-0", "9223372036854775807",
                             "9223372036854775808", "-9223372036854775808", "99999999999999999999999999"}) {
    EXPECT_EQ(error_of("*1\r\n$" + std::string(length) + "\r\n"), "Protocol error: invalid bulk length")
        << length;
  }
}

// The argument is complete, so that the shortcut for complete ones is tried: it must not take a neighbour of
// the digits for a digit.
TEST(RequestParserTest, NothingButADigitIsOneInAnyPlaceOfALength) {
  const std::string body(4000, 'x');
  for (int c = 1; c < 256; ++c) {
    for (std::string length : {"?", "1?", "?1", "12?", "1?2", "?12", "100?"}) {
      length[length.find('?')] = static_cast<char>(c);
      const bool digits = length.find_first_not_of("0123456789") == std::string::npos;
      std::size_t size = 0;
      for (const char digit : length) size = size * 10 + static_cast<unsigned char>(digit - '0');
      if (c == '\r' || size > body.size() || (length[0] == '0' && length != "0")) continue;
      const std::string request = "*1\r\n$" + length + "\r\n" + body.substr(0, size) + "\r\n";
      EXPECT_EQ(error_of(request), digits ? "no error" : "Protocol error: invalid bulk length") << request;
    }
  }
}

TEST(RequestParserTest, ArgumentsThatAreNoBulksGetRedissError) {
  EXPECT_EQ(error_of("*1\r\nx4\r\nPING\r\n"), "Protocol error: expected '$', got 'x'");
  EXPECT_EQ(error_of("*2\r\n$4\r\nECHO\r\n:1\r\n"), "Protocol error: expected '$', got ':'");
  EXPECT_EQ(error_of("*1\r\n*1\r\n"), "Protocol error: expected '$', got '*'");
}

TEST(RequestParserTest, LinesWithoutAnEndAreErrors) {
  const std::string junk(64 * 1024, '1');
  EXPECT_EQ(error_of(junk), "no error");
  EXPECT_EQ(error_of(junk + "1"), "Protocol error: too big inline request");
  EXPECT_EQ(error_of("*" + junk), "Protocol error: too big mbulk count string");
  EXPECT_EQ(error_of("*" + junk.substr(1)), "no error");
  EXPECT_EQ(error_of("*1\r\n$" + junk), "Protocol error: too big bulk count string");
  EXPECT_EQ(error_of("*1\r\n$" + junk.substr(1)), "no error");
}

TEST(RequestParserTest, UnbalancedQuotesAreErrors) {
  for (const char* line : {"\"", "'", "ECHO \"abc", "ECHO 'abc", "ECHO \"a\"b", "ECHO 'a'b", "ECHO \"a\\\"",
                           "ECHO 'a\\'", "ECHO \"\\x4"}) {
    EXPECT_EQ(error_of(std::string(line) + "\r\n"), "Protocol error: unbalanced quotes in request") << line;
  }
}

TEST(RequestParserTest, RequestsBeyondTheLimitAreErrorsBeforeTheirBytesCome) {
  parser_limits limits;
  limits.max_request = 1000;
  EXPECT_EQ(error_of("*1\r\n$1001\r\n", limits), "Protocol error: invalid bulk length");
  EXPECT_EQ(error_of("*1\r\n$999\r\n", limits),
            "Protocol error: request larger than max_request (1000 bytes)");
  EXPECT_EQ(error_of("*1\r\n$900\r\n", limits), "no error");
  const std::string half = "$500\r\n" + std::string(500, 'x') + "\r\n";
  EXPECT_EQ(error_of("*2\r\n" + half + "$500\r\n", limits),
            "Protocol error: request larger than max_request (1000 bytes)");
  // They do not pass either if all their bytes are there already.
  EXPECT_EQ(error_of(encode({std::string(500, 'x'), std::string(500, 'y')}), limits),
            "Protocol error: request larger than max_request (1000 bytes)");
  EXPECT_EQ(error_of("*167\r\n", limits), "Protocol error: invalid multibulk length");
  EXPECT_EQ(error_of("*166\r\n", limits), "no error");
}

TEST(RequestParserTest, BeforeLoginARequestIsTenWordsOf16KiBAtMost) {
  parser_limits limits;
  limits.authenticated = false;
  limits.max_request = 20'000;
  EXPECT_EQ(error_of("*10\r\n$16384\r\n", limits), "no error");
  EXPECT_EQ(error_of("*11\r\n", limits), "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(error_of("*2\r\n$16385\r\n", limits), "Protocol error: unauthenticated bulk length");
  EXPECT_EQ(error_of("*2\r\n$16000\r\n" + std::string(16000, 'x') + "\r\n$5000\r\n", limits),
            "Protocol error: unauthenticated bulk length")
      << "they are counted together, too";
  EXPECT_EQ(parse_whole(encode({"AUTH", "engine", std::string(1000, 'x')}), limits).requests.size(), 1U);
}

TEST(RequestParserTest, AnAnnouncedArgumentIsMissingAsAWhole) {
  request_parser parser;
  ASSERT_EQ(parser.parse("*11000000\r\n$60000000\r\nx"), parse_status::incomplete);
  EXPECT_TRUE(parser.args().empty());
  EXPECT_GE(parser.missing(), 60'000'000U);
}

TEST(RequestParserTest, MissingIsALowerBoundOfWhatIsStillToCome) {
  const std::string bytes = encode({"XADD", "stream", "*", "", std::string(300, 'p'), "x"});
  for (std::size_t end = 1; end < bytes.size(); ++end) {
    request_parser parser;
    ASSERT_EQ(parser.parse(heap_copy(bytes.substr(0, end)).view()), parse_status::incomplete);
    EXPECT_GE(parser.missing(), 1U) << end;
    EXPECT_LE(parser.missing(), bytes.size() - end) << end;
  }
}

TEST(RequestParserTest, MissingIsExactForTheLastArgument) {
  const std::string bytes = encode({"SET", "key", std::string(5000, 'x')});
  const std::size_t end = bytes.size() - 4000;
  request_parser parser;
  ASSERT_EQ(parser.parse(bytes.substr(0, end)), parse_status::incomplete);
  EXPECT_EQ(parser.missing(), 4000U);
}

TEST(RequestParserTest, NothingIsIncomplete) {
  request_parser parser;
  EXPECT_EQ(parser.parse({}), parse_status::incomplete);
  EXPECT_EQ(parser.missing(), 1U);
}

TEST(RequestParserTest, CanBeUsedAgainAfterAnError) {
  request_parser parser;
  ASSERT_EQ(parser.parse("*x\r\n"), parse_status::error);
  parser.reset();
  const heap_copy input(encode({"PING"}));
  ASSERT_EQ(parser.parse(input.view()), parse_status::complete);
  EXPECT_EQ(test::copy_arguments(parser.args()), strings{"PING"});
  EXPECT_TRUE(parser.verbatim());
}

}  // namespace
}  // namespace dualbus::resp
