#include "support.hpp"

#include <dualbus/base/sha256.hpp>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using testing::ElementsAre;

const std::string hash = base::sha256_hex("secret");

std::string user(const std::string& settings) {
  return one_bus + "auth: {users: {engine: {" + settings + "}}}\n";
}

TEST(AuthTest, AUserIsReadWithAllItMayDo) {
  const configuration c =
      good(user("password_hashes: [\"#" + hash + "\", \"" + base::sha256_hex("other") +
                "\"], commands: [\"+@all\", \"-@dangerous\"], keys: [\"md:*\"], channels: [\"*\"], "
                "message_types: [\"risk_*\"], enabled: false"));
  ASSERT_EQ(c.auth.users.size(), 1U);
  const user_settings& u = c.auth.users[0];
  EXPECT_EQ(u.name, "engine");
  EXPECT_FALSE(u.enabled);
  EXPECT_FALSE(u.no_password);
  EXPECT_THAT(u.password_hashes, ElementsAre(hash, base::sha256_hex("other")));
  EXPECT_THAT(u.commands, ElementsAre("+@all", "-@dangerous"));
  EXPECT_THAT(u.keys, ElementsAre("md:*"));
  EXPECT_THAT(u.channels, ElementsAre("*"));
  EXPECT_THAT(u.message_types, ElementsAre("risk_*"));
}

TEST(AuthTest, ByDefaultAUserMayLogInAndDoNothing) {
  const user_settings u = good(user("nopass: true")).auth.users.at(0);
  EXPECT_TRUE(u.enabled);
  EXPECT_TRUE(u.no_password);
  EXPECT_EQ(u.commands, lines{});
  EXPECT_EQ(u.keys, lines{});
  EXPECT_EQ(u.channels, lines{});
  EXPECT_THAT(u.message_types, ElementsAre("*"));
}

TEST(AuthTest, APasswordFromAFileCountsByItsHash) {
  const temporary_directory directory;
  directory.write("p", "secret\n");
  const std::string file = directory.write("d.yaml", user("password_file: p"));
  const load_result result = load(file);
  EXPECT_EQ(result.mistakes, lines{});
  ASSERT_NE(result.value, nullptr);
  EXPECT_THAT(result.value->auth.users.at(0).password_hashes, ElementsAre(hash));
}

TEST(AuthTest, APasswordInTheFileIsRefusedAndNotRepeated) {
  EXPECT_THAT(
      mistakes_in(user("passwords: [s3cret]")),
      ElementsAre("f.yaml:3:16: auth.users.engine: needs password_hashes, a password_file or password_env, "
                  "or nopass: true",
                  "f.yaml:3:25: auth.users.engine.passwords: a password does not belong in this file; put "
                  "the SHA-256 of each into password_hashes"));
  EXPECT_THAT(
      mistakes_in(user("password_hashes: [s3cret]")),
      ElementsAre("f.yaml:3:43: auth.users.engine.password_hashes[0]: must be a SHA-256 of 64 hexadecimal "
                  "digits in lower case, as `printf %s password | sha256sum` prints it"));
}

TEST(AuthTest, AUserThatIsEnabledNeedsAWayIn) {
  EXPECT_THAT(
      mistakes_in(user("keys: [\"*\"]")),
      ElementsAre("f.yaml:3:16: auth.users.engine: needs password_hashes, a password_file or password_env, "
                  "or nopass: true"));
  EXPECT_EQ(mistakes_in(user("enabled: false")), lines{});
}

TEST(AuthTest, WrongRulesAndPatternsAreNamed) {
  EXPECT_THAT(
      mistakes_in(
          user("nopass: true, commands: [\"+@reads\", \"+get\"], keys: [\"~a:*\"], channels: [\"&c\"]")),
      ElementsAre(
          "f.yaml:3:50: auth.users.engine.commands[0]: '+@reads': there is no category '@reads'",
          "f.yaml:3:77: auth.users.engine.keys[0]: patterns stand here without Redis's '~'; one that "
          "begins so is written '\\~…'",
          "f.yaml:3:97: auth.users.engine.channels[0]: patterns stand here without Redis's '&'; one that "
          "begins so is written '\\&…'"));
}

TEST(AuthTest, BeyondLoopbackSomeoneMustBeAskedForAPassword) {
  const std::string open = "listen: {address: 0.0.0.0}\n";
  EXPECT_THAT(
      mistakes_in(one_bus + open),
      ElementsAre("f.yaml:3:19: listen.address: everybody who reaches 0.0.0.0 port 6379 could use every bus: "
                  "name users in auth.users, or allow it with auth.allow_unauthenticated: true"));
  EXPECT_EQ(mistakes_in(one_bus + open + "auth: {allow_unauthenticated: true}\n"), lines{});
  EXPECT_EQ(mistakes_in(user("nopass: true") + open), lines{});
  EXPECT_EQ(mistakes_in(one_bus + "listen: {address: 10.0.0.1, port: 0, unix_socket: /run/d}\n"), lines{});
}

}  // namespace
}  // namespace dualbus::config::test
