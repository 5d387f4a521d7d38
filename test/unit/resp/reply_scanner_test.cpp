#include "parse_helpers.hpp"

#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::resp {
namespace {

using test::heap_copy;

struct scanned {
  scan_status status;
  std::size_t consumed = 0;
  char type = 0;
};

scanned scan(std::string_view bytes) {
  reply_scanner scanner;
  const scan_status status = scanner.scan(heap_copy(bytes).view());
  return {status, scanner.consumed(), scanner.type()};
}

void expect_one_reply(std::string_view reply, char type) {
  const scanned exact = scan(reply);
  EXPECT_EQ(exact.status, scan_status::complete) << reply;
  EXPECT_EQ(exact.consumed, reply.size()) << reply;
  EXPECT_EQ(exact.type, type) << reply;
  const scanned followed = scan(std::string(reply) + "+NEXT\r\n");
  EXPECT_EQ(followed.status, scan_status::complete) << reply;
  EXPECT_EQ(followed.consumed, reply.size()) << reply;
  for (std::size_t end = 0; end < reply.size(); ++end) {
    ASSERT_EQ(scan(reply.substr(0, end)).status, scan_status::incomplete) << reply << " up to " << end;
    reply_scanner scanner;
    {
      const heap_copy first(reply.substr(0, end));
      ASSERT_EQ(scanner.scan(first.view()), scan_status::incomplete);
    }
    const heap_copy all(reply);
    ASSERT_EQ(scanner.scan(all.view()), scan_status::complete) << reply << " split at " << end;
    ASSERT_EQ(scanner.consumed(), reply.size());
    ASSERT_EQ(scanner.type(), type) << reply << " split at " << end;
  }
}

TEST(ReplyScannerTest, FindsTheEndOfEveryTypeAtEverySplitPoint) {
  expect_one_reply("+OK\r\n", '+');
  expect_one_reply("+\r\n", '+');
  expect_one_reply("+QUEUED\r\n", '+');
  expect_one_reply("+QUEUED for later\r\n", '+');
  expect_one_reply("*2\r\n+QUEUED\r\n+QUEUED\r\n", '*');
  expect_one_reply("|1\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n", '+');
  expect_one_reply("-ERR unknown command\r\n", '-');
  expect_one_reply(":0\r\n", ':');
  expect_one_reply(":-9223372036854775808\r\n", ':');
  expect_one_reply("$0\r\n\r\n", '$');
  expect_one_reply("$6\r\na\r\nb\r\n\r\n", '$');
  expect_one_reply("$-1\r\n", '$');
  expect_one_reply("*0\r\n", '*');
  expect_one_reply("*-1\r\n", '*');
  expect_one_reply("*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n", '*');
  expect_one_reply("_\r\n", '_');
  expect_one_reply("#t\r\n", '#');
  expect_one_reply("#f\r\n", '#');
  expect_one_reply(",3.25\r\n", ',');
  expect_one_reply(",-inf\r\n", ',');
  expect_one_reply("(3492890328409238509324850943850943825024385\r\n", '(');
  expect_one_reply("!9\r\nERR\r\nfoo\n\r\n", '!');
  expect_one_reply("=8\r\ntxt:text\r\n", '=');
  expect_one_reply("%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n", '%');
  expect_one_reply("~2\r\n+a\r\n+b\r\n", '~');
  expect_one_reply(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", '>');
}

TEST(ReplyScannerTest, TheTypeIsTheReplysNotItsLastElements) {
  EXPECT_EQ(scan("*2\r\n+OK\r\n-ERR failed\r\n").type, '*');
  EXPECT_EQ(scan(">1\r\n-ERR\r\n").type, '>');
  EXPECT_EQ(scan("*1\r\n*1\r\n*1\r\n>1\r\n:1\r\n").type, '*');
  reply_scanner scanner;
  scanner.scan("*1\r\n-ERR failed\r\n");
  EXPECT_FALSE(scanner.is_error());
  scanner.reset();
  scanner.scan("-ERR failed\r\n");
  EXPECT_TRUE(scanner.is_error());
  scanner.reset();
  scanner.scan("!3\r\nERR\r\n");
  EXPECT_TRUE(scanner.is_error());
}

TEST(ReplyScannerTest, AttributesBelongToTheValueBehindThem) {
  expect_one_reply("|1\r\n+ttl\r\n:3600\r\n+OK\r\n", '+');
  expect_one_reply("|1\r\n+keys\r\n*2\r\n+a\r\n-b\r\n%1\r\n+x\r\n-y\r\n", '%');
  expect_one_reply("|0\r\n|1\r\n+a\r\n|1\r\n+b\r\n+c\r\n+d\r\n-ERR\r\n", '-');
  expect_one_reply("*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n", '*');
}

TEST(ReplyScannerTest, AReplyThatIsPassedOverInPiecesEndsWhereItEnds) {
  const std::string reply =
      "*4\r\n$26\r\nabcdefghijklm\r\nnopqrstuvwx\r\n:1234567\r\n*2\r\n+status "
      "line\r\n$0\r\n\r\n$3\r\nend\r\n";
  for (std::size_t piece = 1; piece <= reply.size(); ++piece) {
    for (const bool always : {true, false}) {
      reply_scanner scanner;
      std::string input;
      std::size_t given = 0, dropped = 0;
      for (scan_status status = scan_status::incomplete; status == scan_status::incomplete;) {
        ASSERT_LT(given, reply.size());
        input += reply.substr(given, piece);
        given += piece;
        status = scanner.scan(input);
        ASSERT_NE(status, scan_status::error) << piece;
        if (status == scan_status::complete || (!always && given / piece % 3 != 0)) continue;
        const std::size_t done = scanner.pass_over(input);
        input.erase(0, done);
        dropped += done;
      }
      EXPECT_EQ(dropped + scanner.consumed(), reply.size());
      EXPECT_EQ(scanner.type(), '*');
    }
  }
}

TEST(ReplyScannerTest, OfABulkThatIsPassedOverNothingIsLeftButItsEnd) {
  reply_scanner scanner;
  const std::string head = "$1000000\r\n";
  std::string input = head + std::string(500'000, 'x');
  ASSERT_EQ(scanner.scan(input), scan_status::incomplete);
  EXPECT_EQ(scanner.pass_over(input), input.size());
  input = std::string(500'000, 'x') + "\r";
  ASSERT_EQ(scanner.scan(input), scan_status::incomplete);
  EXPECT_EQ(scanner.pass_over(input), 500'000U);
  EXPECT_EQ(scanner.scan("\rx"), scan_status::error);
}

TEST(ReplyScannerTest, NestingCostsNeitherStackNorMemory) {
  std::string reply;
  for (int i = 0; i < 100'000; ++i) reply += "*1\r\n";
  reply += ":1\r\n";
  const scanned result = scan(reply);
  EXPECT_EQ(result.status, scan_status::complete);
  EXPECT_EQ(result.consumed, reply.size());
  std::string attributes;
  for (int i = 0; i < 100'000; ++i) attributes += "|1\r\n+k\r\n";
  EXPECT_EQ(scan(attributes).status, scan_status::incomplete);
}

TEST(ReplyScannerTest, WhatIsNotRespIsAnError) {
  for (const char* bytes : {"HTTP/1.1 400 Bad Request\r\n",
                            "\r\n",
                            "?\r\n",
                            ":\r\n",
                            ":1x\r\n",
                            ":9223372036854775808\r\n",
                            ":+1\r\n",
                            "$\r\n",
                            "$-2\r\n",
                            "$x\r\n",
                            "$01\r\n",
                            "$9223372036854775807\r\n",
                            "$99999999999999999999\r\n",
                            "*99999999999\r\n",
                            "*-2\r\n",
                            "*x\r\n",
                            "*9223372036854775807\r\n",
                            "%-1\r\n",
                            "~-1\r\n",
                            ">-1\r\n",
                            "|-1\r\n",
                            "=-1\r\n",
                            "!-1\r\n",
                            "_x\r\n",
                            "#x\r\n",
                            "#\r\n",
                            "$1\r\nabc\r\n",
                            "$1\r\na\rb",
                            "$?\r\n",
                            "*?\r\n",
                            "+OK\rX",
                            "*1\r\n\r\n"}) {
    EXPECT_EQ(scan(bytes).status, scan_status::error) << bytes;
  }
}

TEST(ReplyScannerTest, HugeCountsAddUpWithoutAnOverflow) {
  EXPECT_EQ(scan("*4294967297\r\n").status, scan_status::error);
  // 256 times 2^32 values are 2^40, more than any reply has.
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += "*4294967296\r\n";
  EXPECT_EQ(scan(bytes).status, scan_status::incomplete);
  bytes += "*4294967296\r\n";
  EXPECT_EQ(scan(bytes).status, scan_status::error);
}

TEST(ReplyScannerTest, ALineWithoutAnEndIsAnError) {
  EXPECT_EQ(scan("+" + std::string(1 << 20, 'x')).status, scan_status::error);
  EXPECT_EQ(scan("+" + std::string((1 << 20) - 1, 'x')).status, scan_status::incomplete);
}

TEST(ReplyScannerTest, FindsRepliesOneAfterTheOther) {
  const std::string stream = "+OK\r\n$3\r\nabc\r\n*1\r\n:5\r\n_\r\n";
  reply_scanner scanner;
  std::string_view rest = stream;
  std::string types;
  while (!rest.empty()) {
    ASSERT_EQ(scanner.scan(rest), scan_status::complete);
    types += scanner.type();
    rest.remove_prefix(scanner.consumed());
    scanner.reset();
  }
  EXPECT_EQ(types, "+$*_");
}

TEST(ReplyReaderTest, WalksValueByValue) {
  const heap_copy reply("*5\r\n$3\r\nabc\r\n:-7\r\n$-1\r\n*-1\r\n%1\r\n+k\r\n-ERR no\r\n");
  reply_reader reader(reply.view());
  const reply_value array = reader.next();
  EXPECT_TRUE(array.is_aggregate());
  EXPECT_EQ(array.elements, 5U);
  const reply_value bulk = reader.next();
  EXPECT_TRUE(bulk.is_string());
  EXPECT_EQ(bulk.text, "abc");
  const reply_value integer = reader.next();
  EXPECT_TRUE(integer.is_integer());
  EXPECT_EQ(integer.number, -7);
  const reply_value null = reader.next();
  EXPECT_TRUE(null.null);
  EXPECT_FALSE(null.is_string());
  EXPECT_TRUE(reader.next().null);
  const reply_value map = reader.next();
  EXPECT_EQ(map.type, '%');
  EXPECT_EQ(map.elements, 1U);
  EXPECT_EQ(reader.next().text, "k");
  const reply_value error = reader.next();
  EXPECT_TRUE(error.is_error());
  EXPECT_EQ(error.text, "ERR no");
  EXPECT_TRUE(reader.done());
}

TEST(ReplyReaderTest, OnlyAggregatesHaveElements) {
  for (const char* scalar :
       {":9223372036854775807\r\n", "$1\r\n7\r\n", "+7\r\n", "*-1\r\n", "$-1\r\n", "_\r\n", ",7\r\n"})
    EXPECT_EQ(reply_reader(scalar).next().elements, 0U) << scalar;
  EXPECT_EQ(reply_reader("*1\r\n:1\r\n").next().number, 0);
}

TEST(ReplyReaderTest, PassesOverAttributes) {
  reply_reader reader(
      "|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.19\r\n*2\r\n|1\r\n+x\r\n|1\r\n+y\r\n:0\r\n:1\r\n:2\r\n:"
      "3\r\n");
  EXPECT_EQ(reader.next().elements, 2U);
  EXPECT_EQ(reader.next().number, 2);
  EXPECT_EQ(reader.next().number, 3);
  EXPECT_TRUE(reader.done());
}

TEST(ReplyReaderTest, SkipsWholeValues) {
  reply_reader reader("*2\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n+last\r\n");
  reader.next();
  EXPECT_EQ(reader.skip(), "*2\r\n$1\r\na\r\n*1\r\n:1\r\n");
  EXPECT_EQ(reader.rest(), "+last\r\n");
  EXPECT_EQ(reader.skip(), "+last\r\n");
  EXPECT_TRUE(reader.done());
}

TEST(ReplyReaderTest, ReadsNullsOfBothVersions) {
  EXPECT_TRUE(reply_reader("_\r\n").next().null);
  EXPECT_TRUE(reply_reader("$-1\r\n").next().null);
  EXPECT_TRUE(reply_reader("*-1\r\n").next().null);
  EXPECT_FALSE(reply_reader("$0\r\n\r\n").next().null);
  EXPECT_FALSE(reply_reader("*0\r\n").next().null);
}

TEST(ReplyReaderTest, DeepRepliesAreSkippedWithoutRecursion) {
  std::string reply;
  for (int i = 0; i < 100'000; ++i) reply += "*1\r\n";
  reply += ":1\r\n";
  EXPECT_EQ(reply_reader(reply).skip().size(), reply.size());
}

TEST(ReplyReaderTest, AnIntegerIsReadFromAnIntegerReplyOnly) {
  EXPECT_EQ(as_integer(":42\r\n"), 42);
  EXPECT_EQ(as_integer("|1\r\n+a\r\n+b\r\n:42\r\n"), 42);
  EXPECT_EQ(as_integer("$2\r\n42\r\n"), std::nullopt);
  EXPECT_EQ(as_integer("-ERR\r\n"), std::nullopt);
}

}  // namespace
}  // namespace dualbus::resp
