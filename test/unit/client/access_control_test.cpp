#include <dualbus/base/sha256.hpp>
#include <dualbus/client/access_control.hpp>
#include <dualbus/command/command_table.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

constexpr std::string_view key_denied =
    "NOPERM this user has no permissions to access one of the keys used as arguments";
constexpr std::string_view channel_denied =
    "NOPERM this user has no permissions to access one of the channels used as arguments";
constexpr std::string_view type_denied =
    "NOPERM this user has no permissions to publish this type of message";

config::user_settings settings(std::string name, const std::string& password) {
  config::user_settings s;
  s.name = std::move(name);
  s.password_hashes = {base::sha256_hex(password)};
  s.commands = {"+@all"};
  s.keys = {"*"};
  s.channels = {"*"};
  return s;
}

class AccessControlTest : public testing::Test {
 protected:
  // Arguments with the room behind them that the JSON reader needs.
  std::string denial(const user& u, const std::vector<std::string>& words) {
    std::vector<std::string> padded = words;
    std::vector<std::string_view> args;
    for (std::size_t i = 0; i < words.size(); ++i) {
      padded[i].reserve(words[i].size() + 256);
      args.emplace_back(padded[i].data(), words[i].size());
    }
    std::vector<std::uint32_t> positions;
    return u.denial(static_cast<std::size_t>(command::find_command(args[0])), args, types_, positions);
  }

  static command::routing_rules rules() {
    command::routing_rules r;
    r.buses = {{.name = "a", .id_slot = 1, .draining = false}};
    r.json_fields = {"payload"};
    return r;
  }
  command::routing_table table_{rules()};
  command::message_counters counters_{1, 10};
  command::classifier types_{table_, counters_};
};

TEST_F(AccessControlTest, ACommandThatNamesAnyNumberOfKeysNeedsAllOfThem) {
  config::user_settings some = settings("engine", "secret");
  EXPECT_EQ(denial(user(some), {"MIGRATE", "host", "6379", "risk:1", "0", "1000"}), "");
  some.keys = {"risk:*"};
  EXPECT_EQ(denial(user(some), {"MIGRATE", "host", "6379", "risk:1", "0", "1000"}), key_denied);
}

TEST_F(AccessControlTest, OnlyTheRightPasswordLetsIn) {
  const access_control access({.allow_unauthenticated = false, .users = {settings("engine", "secret")}});
  EXPECT_TRUE(access.restricts());
  ASSERT_NE(access.authenticate("engine", "secret"), nullptr);
  EXPECT_EQ(access.authenticate("engine", "secret")->name(), "engine");
  EXPECT_EQ(access.authenticate("engine", "Secret"), nullptr);
  EXPECT_EQ(access.authenticate("engine", ""), nullptr);
  EXPECT_EQ(access.authenticate("other", "secret"), nullptr);
}

TEST_F(AccessControlTest, EachOfSeveralPasswordsLetsIn) {
  config::user_settings s = settings("engine", "old");
  s.password_hashes.push_back(base::sha256_hex("new"));
  const access_control access({.allow_unauthenticated = false, .users = {s}});
  EXPECT_NE(access.authenticate("engine", "old"), nullptr);
  EXPECT_NE(access.authenticate("engine", "new"), nullptr);
}

TEST_F(AccessControlTest, ADisabledUserIsNotLetIn) {
  config::user_settings s = settings("engine", "secret");
  s.enabled = false;
  s.no_password = true;
  const access_control access({.allow_unauthenticated = false, .users = {s}});
  EXPECT_EQ(access.authenticate("engine", "secret"), nullptr);
}

TEST_F(AccessControlTest, ClientsNeedNotLogInIfTheDefaultUserHasNoPassword) {
  config::user_settings s = settings("default", "secret");
  EXPECT_EQ(access_control({false, {s}}).initial(), nullptr);
  s.no_password = true;
  ASSERT_NE(access_control({false, {s}}).initial(), nullptr);
  s.enabled = false;
  EXPECT_EQ(access_control({false, {s}}).initial(), nullptr);
  EXPECT_FALSE(access_control({true, {}}).restricts());
}

TEST_F(AccessControlTest, CommandsOutsideTheRulesAreDenied) {
  config::user_settings s = settings("u", "x");
  s.commands = {"+@all", "-@dangerous"};
  EXPECT_EQ(denial(user(s), {"get", "k"}), "");
  EXPECT_EQ(denial(user(s), {"KEYS", "*"}), "NOPERM this user has no permissions to run the 'keys' command");
  EXPECT_EQ(denial(user(s), {"CONFIG", "GET", "x"}),
            "NOPERM this user has no permissions to run the 'config|get' command");
}

TEST_F(AccessControlTest, EveryKeyOfACommandMustBeAllowed) {
  config::user_settings s = settings("u", "x");
  s.keys = {"a:*", "b"};
  const user u(s);
  EXPECT_EQ(denial(u, {"get", "a:1"}), "");
  EXPECT_EQ(denial(u, {"mget", "a:1", "b"}), "");
  EXPECT_EQ(denial(u, {"mget", "a:1", "c"}), key_denied);
  EXPECT_EQ(denial(u, {"xread", "streams", "a:1", "c", "0", "0"}), key_denied);
  EXPECT_EQ(denial(u, {"zunionstore", "c", "1", "a:1"}), key_denied);
  EXPECT_EQ(denial(u, {"lmpop", "x", "a:1", "left"}), key_denied) << "its keys cannot be told";
  EXPECT_EQ(denial(u, {"xinfo", "help"}), "");
  EXPECT_EQ(denial(u, {"ping"}), "");
}

TEST_F(AccessControlTest, SortReadsNoKeysThatArePatterns) {
  config::user_settings s = settings("u", "x");
  s.keys = {"a"};
  const user u(s);
  EXPECT_EQ(denial(u, {"sort", "a", "by", "nosort", "limit", "0", "1"}), "");
  EXPECT_EQ(denial(u, {"sort", "a", "by", "w_*"}),
            "ERR BY option of SORT denied due to insufficient ACL permissions.");
  EXPECT_EQ(denial(u, {"sort_ro", "a", "get", "b"}),
            "ERR GET option of SORT denied due to insufficient ACL permissions.");
  // Redis looks for the star in a C string.
  EXPECT_EQ(denial(u, {"sort_ro", "a", "by", std::string("min\0*", 5)}), "");
  EXPECT_EQ(denial(u, {"sort_ro", "a", "by", std::string("m*\0x", 4)}),
            "ERR BY option of SORT denied due to insufficient ACL permissions.");
}

TEST_F(AccessControlTest, ChannelsMatchAndPatternsMustBeTheSame) {
  config::user_settings s = settings("u", "x");
  s.channels = {"c:*"};
  s.keys = {};
  const user u(s);
  EXPECT_EQ(denial(u, {"publish", "c:1", "m"}), "");
  EXPECT_EQ(denial(u, {"spublish", "d", "m"}), channel_denied);
  EXPECT_EQ(denial(u, {"subscribe", "c:1", "d"}), channel_denied);
  EXPECT_EQ(denial(u, {"psubscribe", "c:*"}), "");
  EXPECT_EQ(denial(u, {"psubscribe", "c:1*"}), channel_denied);
  EXPECT_EQ(denial(u, {"unsubscribe", "d"}), "");
}

TEST_F(AccessControlTest, OnlyAllowedTypesArePublished) {
  config::user_settings s = settings("u", "x");
  s.message_types = {"risk_*"};
  const user u(s);
  EXPECT_EQ(denial(u, {"xadd", "k", "*", "message_type", "risk_metric"}), "");
  EXPECT_EQ(denial(u, {"xadd", "k", "*", "message_type", "order_request"}), type_denied);
  EXPECT_EQ(denial(u, {"xadd", "k", "*", "payload", R"({"message_type":"risk_alerts"})"}), "");
  EXPECT_EQ(denial(u, {"xadd", "k", "*", "f", "v"}), type_denied);
  EXPECT_EQ(denial(u, {"publish", "c", R"({"message_type":"risk_alerts"})"}), "");
  EXPECT_EQ(denial(u, {"publish", "c", "text"}), type_denied);
  s.message_types.push_back("*");
  EXPECT_EQ(denial(user(s), {"xadd", "k", "*", "f", "v"}), "");
}

TEST_F(AccessControlTest, ATypeThatIsNotCertainIsDeniedWithTheField) {
  config::user_settings s = settings("u", "x");
  s.message_types = {"risk_*"};
  const user u(s);
  EXPECT_EQ(denial(u, {"xadd", "k", "*", "payload", R"({"message_type":["x"]})"}),
            std::string(type_denied) +
                ": the type in field 'payload' cannot be told for certain, because it holds a type that is "
                "no string");
  EXPECT_EQ(
      denial(u, {"publish", "c", "{"}),
      std::string(type_denied) +
          ": the type in the message cannot be told for certain, because it holds NaN or something else that "
          "JSON does not have");
  s.message_types.push_back("*");
  EXPECT_EQ(denial(user(s), {"xadd", "k", "*", "payload", R"({"message_type":["x"]})"}), "");
}

TEST_F(AccessControlTest, WhatBringsMessagesOfAnyTypeNeedsAllTypes) {
  config::user_settings s = settings("u", "x");
  s.message_types = {"risk_*"};
  const user u(s);
  for (const std::vector<std::string>& request : {std::vector<std::string>{"copy", "a", "b"},
                                                  {"RENAME", "a", "b"},
                                                  {"renamenx", "a", "b"},
                                                  {"move", "a", "1"},
                                                  {"swapdb", "0", "1"},
                                                  {"restore", "a", "0", "x"},
                                                  {"restore-asking", "a", "0", "x"},
                                                  {"migrate", "h", "1", "a", "0", "9"}}) {
    EXPECT_TRUE(denial(u, request).starts_with(std::string(type_denied) + ": '")) << request[0];
  }
  EXPECT_EQ(denial(u, {"set", "a", "b"}), "");
  EXPECT_EQ(denial(u, {"dump", "a"}), "");
  EXPECT_EQ(denial(u, {"sort", "a", "store", "b"}), "");
  s.message_types.push_back("*");
  EXPECT_EQ(denial(user(s), {"copy", "a", "b"}), "");
}

// For Redis an option word ends at its first zero byte.
TEST_F(AccessControlTest, KeysBehindWordsWithZeroBytesMustBeAllowed) {
  using namespace std::string_literals;
  config::user_settings s = settings("u", "x");
  s.keys = {"a:*"};
  const user u(s);
  EXPECT_EQ(denial(u, {"sort", "a:1", "STORE\0"s, "b"}), key_denied);
  EXPECT_EQ(denial(u, {"sort", "a:1", "STORE\0"s, "a:2"}), "");
  EXPECT_EQ(denial(u, {"sort_ro", "a:1", "get\0x"s, "a:*"}),
            "ERR GET option of SORT denied due to insufficient ACL permissions.");
  EXPECT_EQ(denial(u, {"georadius", "a:1", "1", "1", "1", "km", "StoreDist\0x"s, "b"}), key_denied);
  EXPECT_EQ(denial(u, {"xread", "STREAMS\0"s, "b", "STREAMS", "0", "0"}), key_denied);
}

TEST_F(AccessControlTest, ScriptsNeedEverything) {
  config::user_settings s = settings("u", "x");
  EXPECT_EQ(denial(user(s), {"eval", "return 1", "0"}), "");
  s.keys = {"a"};
  EXPECT_NE(denial(user(s), {"eval", "return 1", "0"}), "");
  EXPECT_NE(denial(user(s), {"fcall_ro", "f", "0"}), "");
  for (const char* const change : {"LOAD", "restore", "delete"})
    EXPECT_NE(denial(user(s), {"function", change, "x"}), "") << "others would run it";
  EXPECT_NE(denial(user(s), {"function", "flush"}), "");
  EXPECT_EQ(denial(user(s), {"function", "list"}), "");
  EXPECT_EQ(denial(user(s), {"script", "load", "return 1"}), "");
}

}  // namespace
}  // namespace dualbus::client
