#include <dualbus/command/request_facts.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using namespace std::string_view_literals;
using words = std::vector<std::string_view>;

// One sign for each argument: 'x' for a secret.
std::string secrets(const words& args) {
  std::string found;
  for (const bool secret : secrets_in(args)) found += secret ? 'x' : '.';
  return found;
}

TEST(SecretArgumentsTest, PasswordsAreThoseThatRedisHides) {
  EXPECT_EQ(secrets({"AUTH", "p"}), ".x");
  EXPECT_EQ(secrets({"AUTH", "u", "p"}), ".xx");
  EXPECT_EQ(secrets({"hello", "3", "SETNAME", "auth", "auth", "u", "p", "setname", "n"}), ".....xx..");
  EXPECT_EQ(secrets({"HELLO", "AUTH", "u", "p"}), "..xx") << "the version was forgotten";
  EXPECT_EQ(secrets({"MIGRATE", "auth", "1", "auth2", "0", "9", "COPY", "AUTH", "p", "auth2", "u", "q",
                     "KEYS", "auth", "k"}),
            "........x.xx...");
  EXPECT_EQ(secrets({"CONFIG", "SET", "maxmemory", "masterauth", "MasterAuth", "p"}), ".....x");
  EXPECT_EQ(secrets({"ACL", "SETUSER", "u", ">p"}), "..xx");
}

TEST(SecretArgumentsTest, AZeroByteHidesNoWord) {
  EXPECT_EQ(secrets({"HELLO", "3", "AUTH\0"sv, "u", "p"}), "...xx");
  EXPECT_EQ(secrets({"MIGRATE", "h", "1", "k", "0", "9", "auth2\0x"sv, "u", "p"}), ".......xx");
  EXPECT_EQ(secrets({"auth\0x"sv, "p"}), ".x");
  EXPECT_EQ(secrets({"CONFIG", "set\0x"sv, "requirepass\0"sv, "p"}), "...x");
}

TEST(SecretArgumentsTest, ARequestThatAnotherOneAsksAboutHasItsOwn) {
  EXPECT_EQ(secrets({"COMMAND", "GETKEYS", "AUTH", "u", "p"}), "...xx");
  EXPECT_EQ(secrets({"command", "GetKeysAndFlags", "hello", "3", "auth", "u", "p"}), ".....xx");
  EXPECT_EQ(secrets({"ACL", "DRYRUN", "auth", "COMMAND", "GETKEYS", "CONFIG", "SET", "requirepass", "p"}),
            "........x");
}

TEST(SecretArgumentsTest, MostRequestsHaveNone) {
  for (const words& plain :
       {words{"HELLO", "auth"}, words{"HELLO", "3", "AUTH"}, words{"CONFIG", "GET", "requirepass"},
        words{"CONFIG", "SET", "requirepass"}, words{"SET", "auth", "p"}, words{"ACL"}, words{"CONFIG"},
        words{"COMMAND", "GETKEYS"}, words{"COMMAND", "GETKEYS", "GET", "auth"}, words{"ACL", "DRYRUN", "u"},
        words{"nonsense", "auth", "p"}, words{""}}) {
    EXPECT_EQ(secrets(plain).find('x'), std::string::npos) << testing::PrintToString(plain);
  }
}

}  // namespace
}  // namespace dualbus::command
