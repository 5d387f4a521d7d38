// hiredis's reader as an independent witness of what RESP2 replies mean.

#include "parse_helpers.hpp"

#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

namespace dualbus::resp {
namespace {

// The type characters that hiredis would give a value.
std::string show(const redisReply& reply) {
  const std::string text =
      reply.str == nullptr ? "" : std::string(reply.str, static_cast<std::size_t>(reply.len));
  switch (reply.type) {
    case REDIS_REPLY_STATUS:
      return "+" + text + ";";
    case REDIS_REPLY_ERROR:
      return "-" + text + ";";
    case REDIS_REPLY_INTEGER:
      return ":" + std::to_string(reply.integer) + ";";
    case REDIS_REPLY_STRING:
      return "$" + text + ";";
    case REDIS_REPLY_NIL:
      return "nil;";
    default: {
      std::string all = "*" + std::to_string(reply.elements) + ";";
      for (std::size_t i = 0; i < reply.elements; ++i) all += show(*reply.element[i]);
      return all;
    }
  }
}

std::string show(std::string_view bytes) {
  std::string all;
  for (reply_reader reader(bytes); !reader.done();) {
    const reply_value value = reader.next();
    if (value.null) {
      all += "nil;";
    } else if (value.is_aggregate()) {
      all += value.type + std::to_string(value.elements) + ";";
    } else if (value.is_integer()) {
      all += value.type + std::to_string(value.number) + ";";
    } else {
      all += value.type + std::string(value.text) + ";";
    }
  }
  return all;
}

struct witness {
  enum { incomplete, complete, error } result = incomplete;
  std::string shown;
};

struct free_reader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};

witness ask_hiredis(std::string_view bytes) {
  const std::unique_ptr<redisReader, free_reader> reader(redisReaderCreate());
  redisReaderFeed(reader.get(), bytes.data(), bytes.size());
  void* reply = nullptr;
  if (redisReaderGetReply(reader.get(), &reply) != REDIS_OK) return {witness::error, reader->errstr};
  if (reply == nullptr) return {};
  witness result{witness::complete, show(*static_cast<redisReply*>(reply))};
  freeReplyObject(reply);
  return result;
}

std::string random_reply(std::mt19937& random, int depth) {
  const auto text = [&](std::size_t most) {
    std::string bytes(random() % (most + 1), ' ');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
  };
  const auto line = [&](char type) {
    std::string bytes = text(20);
    std::erase_if(bytes, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
    return type + bytes + "\r\n";
  };
  // hiredis 0.14 takes no more than seven levels.
  switch (random() % (depth < 6 ? 9 : 6)) {
    case 0:
      return line('+');
    case 1:
      return line('-');
    case 2:
      return ":" + std::to_string(static_cast<std::int32_t>(random()) >> (random() % 32)) + "\r\n";
    case 3:
    case 4: {
      const std::string bytes = text(random() % 10 == 0 ? 3000 : 12);
      return "$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
    }
    case 5:
      return random() % 2 == 0 ? "$-1\r\n" : "*-1\r\n";
    default: {
      const std::size_t count = random() % 5;
      std::string all = "*" + std::to_string(count) + "\r\n";
      for (std::size_t i = 0; i < count; ++i) all += random_reply(random, depth + 1);
      return all;
    }
  }
}

TEST(ReplyOracleTest, GeneratedRepliesMeanTheSameToHiredis) {
  std::mt19937 random(41);
  for (int i = 0; i < 5000; ++i) {
    const std::string reply = random_reply(random, 0);
    const test::heap_copy copy(reply);
    reply_scanner scanner;
    ASSERT_EQ(scanner.scan(copy.view()), scan_status::complete) << testing::PrintToString(reply);
    ASSERT_EQ(scanner.consumed(), reply.size());
    const witness expected = ask_hiredis(reply);
    ASSERT_EQ(expected.result, witness::complete) << expected.shown;
    ASSERT_EQ(show(copy.view()), expected.shown);
  }
}

TEST(ReplyOracleTest, GeneratedRepliesEndWhereTheNextOneBeginsWhateverTheSplit) {
  std::mt19937 random(43);
  for (int i = 0; i < 300; ++i) {
    const std::string reply = random_reply(random, 0).substr(0, 4000);
    reply_scanner whole;
    if (whole.scan(reply) != scan_status::complete) continue;
    for (std::size_t split = 0; split < reply.size(); split += 1 + random() % 3) {
      reply_scanner scanner;
      ASSERT_EQ(scanner.scan(test::heap_copy(reply.substr(0, split)).view()), scan_status::incomplete);
      ASSERT_EQ(scanner.scan(test::heap_copy(reply + ":1\r\n").view()), scan_status::complete);
      ASSERT_EQ(scanner.consumed(), reply.size());
      ASSERT_EQ(scanner.type(), whole.type());
    }
  }
}

TEST(ReplyOracleTest, WhatHiredisRefusesIsRefusedAndWhatBothTakeMeansTheSame) {
  std::mt19937 random(47);
  const std::string pieces = "+-:$*0123456789\r\nx";
  int errors = 0, completes = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string reply = random_reply(random, 3);
    // Types that hiredis 0.14 does not know would be refused by it alone.
    if (reply.find_first_of("_#,(!=%~>|") != std::string::npos) continue;
    for (std::size_t n = 1 + random() % 2; n > 0 && !reply.empty(); --n) {
      const std::size_t at = random() % std::min<std::size_t>(reply.size(), 40);
      if (random() % 3 == 0) {
        reply.erase(at, 1);
      } else {
        reply[at] = pieces[random() % pieces.size()];
      }
    }
    reply_scanner scanner;
    const scan_status ours = scanner.scan(test::heap_copy(reply).view());
    const witness theirs = ask_hiredis(reply);
    const std::string shown = testing::PrintToString(reply) + " hiredis: " + theirs.shown;
    // hiredis does not look at the two bytes behind a bulk, nor for a lone CR; this scanner does.
    if (ours == scan_status::complete) {
      ASSERT_EQ(theirs.result, witness::complete) << shown;
      ASSERT_EQ(show(std::string_view(reply).substr(0, scanner.consumed())), theirs.shown) << shown;
      ++completes;
    }
    if (theirs.result == witness::error) {
      ASSERT_NE(ours, scan_status::complete) << shown;
      ++errors;
    }
    if (ours == scan_status::incomplete) {
      ASSERT_NE(theirs.result, witness::complete) << shown;
    }
  }
  EXPECT_GT(errors, 1000);
  EXPECT_GT(completes, 1000);
}

}  // namespace
}  // namespace dualbus::resp
