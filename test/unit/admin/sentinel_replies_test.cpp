#include "admin/sentinel_replies.hpp"

#include <dualbus/resp/reply_scanner.hpp>

#include <random>
#include <string>

#include <gmock/gmock.h>

namespace dualbus::admin {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string array(const std::vector<std::string>& values) {
  std::string reply = "*" + std::to_string(values.size()) + "\r\n";
  for (const std::string& value : values) reply += value;
  return reply;
}

std::string texts(const std::vector<std::string>& values) {
  std::vector<std::string> encoded;
  for (const std::string& value : values) encoded.push_back(bulk(value));
  return array(encoded);
}

std::string endpoint_in(const std::string& reply) {
  const master_reply read = read_master_address(reply);
  EXPECT_EQ(read.address.has_value(), read.fault.empty());
  return read.address ? read.address->endpoint : "none: " + read.fault;
}

TEST(SentinelRepliesTest, TheAddressOfAMaster) {
  EXPECT_EQ(endpoint_in(texts({"10.0.0.1", "6379"})), "10.0.0.1:6379");
  EXPECT_EQ(endpoint_in(texts({"fe80::1", "6379"})), "[fe80::1]:6379");
  EXPECT_EQ(endpoint_in(texts({"redis-1.example", "1"})), "redis-1.example:1");
  const auto address = read_master_address(texts({"fe80::1", "65535"})).address;
  EXPECT_EQ(address->host, "fe80::1");
  EXPECT_EQ(address->port, 65535);
}

TEST(SentinelRepliesTest, WhatIsNoAddress) {
  EXPECT_EQ(endpoint_in("*-1\r\n"), "none: does not know it");
  EXPECT_EQ(endpoint_in("$-1\r\n"), "none: does not know it");
  EXPECT_THAT(endpoint_in("-NOAUTH Authentication required.\r\n"), HasSubstr("NOAUTH"));
  for (const std::string& reply :
       {std::string("+OK\r\n"), std::string(":1\r\n"), std::string("*0\r\n"), texts({"10.0.0.1"}),
        texts({"10.0.0.1", "6379", "x"}), texts({"", "6379"}), texts({"10.0.0.1", "0"}),
        texts({"10.0.0.1", "65536"}), texts({"10.0.0.1", "-1"}), texts({"10.0.0.1", "port"}),
        texts({"a b", "6379"}), texts({"a\r\nb", "6379"}), texts({std::string(254, 'h'), "6379"}),
        array({"*1\r\n" + bulk("10.0.0.1"), bulk("6379")}), array({bulk("10.0.0.1"), ":6379\r\n"}),
        array({"$-1\r\n", "$-1\r\n"})}) {
    EXPECT_EQ(endpoint_in(reply), "none: answers no address") << reply;
  }
}

TEST(SentinelRepliesTest, TheEpochOfAMaster) {
  EXPECT_EQ(read_config_epoch(texts({"name", "m", "config-epoch", "12", "quorum", "2"})), 12u);
  EXPECT_EQ(read_config_epoch(texts({"name", "config-epoch", "config-epoch", "3"})), 3u);
  EXPECT_EQ(read_config_epoch(array({bulk("later"), "*1\r\n:1\r\n", bulk("config-epoch"), bulk("4")})), 4u);
  for (const std::string& reply :
       {std::string("-ERR No such master with that name\r\n"), std::string("*0\r\n"), texts({"name", "m"}),
        texts({"config-epoch", "-1"}), texts({"config-epoch"})}) {
    EXPECT_EQ(read_config_epoch(reply), 0u) << reply;
  }
}

TEST(SentinelRepliesTest, TheOtherSentinels) {
  const auto endpoints = [](const std::string& reply) {
    std::vector<std::string> result;
    for (const auto& address : read_sentinels(reply)) result.push_back(address.endpoint);
    return result;
  };
  EXPECT_THAT(endpoints(array({texts({"name", "s2", "ip", "10.0.0.2", "port", "26379", "flags", "sentinel"}),
                               texts({"ip", "10.0.0.3", "port", "26380"})})),
              ElementsAre("10.0.0.2:26379", "10.0.0.3:26380"));
  EXPECT_THAT(
      endpoints(array({texts({"ip", "10.0.0.2"}), texts({}), bulk("x"), texts({"ip", "::1", "port", "1"})})),
      ElementsAre("[::1]:1"));
  EXPECT_THAT(endpoints("*0\r\n"), IsEmpty());
  EXPECT_THAT(endpoints("-NOPERM no\r\n"), IsEmpty());
}

TEST(SentinelRepliesTest, TheRoleOfAServer) {
  const auto hello = [](const std::string& role) {
    return array({bulk("server"), bulk("redis"), bulk("id"), ":7\r\n", bulk("mode"), bulk("standalone"),
                  bulk("role"), bulk(role), bulk("modules"), "*0\r\n"});
  };
  EXPECT_EQ(read_role(hello("master")), "master");
  EXPECT_EQ(read_role(hello("replica")), "replica");
  EXPECT_EQ(read_role(hello(std::string(1000, 'x'))).size(), 20u);
  // A Sentinel has none (networking.c, helloCommand).
  EXPECT_EQ(read_role(texts({"server", "redis", "mode", "sentinel"})), "");
  EXPECT_EQ(read_role("-NOAUTH HELLO must be called with the client already authenticated\r\n"), "");
  EXPECT_EQ(read_role("+role\r\n"), "");
}

// Any complete reply can come from whoever answers there.
std::string random_value(std::mt19937& random, int depth) {
  const auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  static const std::vector<std::string> words = {"ip",
                                                 "port",
                                                 "name",
                                                 "role",
                                                 "config-epoch",
                                                 "10.0.0.1",
                                                 "6379",
                                                 "",
                                                 "master",
                                                 "99999999999999999999",
                                                 std::string("\0\r\n", 3),
                                                 std::string(300, 'y')};
  switch (pick(depth > 3 ? 6 : 9)) {
    case 0:
      return "+" + std::to_string(pick(99)) + "\r\n";
    case 1:
      return "-ERR x\r\n";
    case 2:
      return ":" + std::to_string(pick(99) - 50) + "\r\n";
    case 3:
      return "$-1\r\n";
    case 4:
      return "*-1\r\n";
    case 5:
      return bulk(words[static_cast<std::size_t>(pick(static_cast<int>(words.size())))]);
    default: {
      std::vector<std::string> values;
      for (int left = pick(6); left > 0; --left) values.push_back(random_value(random, depth + 1));
      return array(values);
    }
  }
}

TEST(SentinelRepliesTest, NoReplyHarms) {
  std::mt19937 random(20261130);
  for (int i = 0; i < 20'000; ++i) {
    const std::string reply = random_value(random, 0);
    resp::reply_scanner scanner;
    ASSERT_EQ(scanner.scan(reply), resp::scan_status::complete) << reply;
    const master_reply read = read_master_address(reply);
    EXPECT_EQ(read.address.has_value(), read.fault.empty());
    read_config_epoch(reply);
    for (const auto& address : read_sentinels(reply)) EXPECT_NE(address.port, 0);
    EXPECT_LE(read_role(reply).size(), 20u);
  }
}

}  // namespace
}  // namespace dualbus::admin
