#include <dualbus/command/acl_categories.hpp>
#include <dualbus/command/command_permissions.hpp>

#include <initializer_list>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

command_permissions after(std::initializer_list<std::string_view> rules) {
  command_permissions permissions;
  for (const std::string_view rule : rules) EXPECT_EQ(permissions.apply(rule), "") << rule;
  return permissions;
}

bool allows(const command_permissions& p, std::vector<std::string_view> args) {
  return p.allows(static_cast<std::size_t>(find_command(args[0])), args);
}

TEST(CommandPermissionsTest, NothingIsAllowedAtFirstButToLogIn) {
  const command_permissions p;
  EXPECT_FALSE(allows(p, {"get", "k"}));
  EXPECT_TRUE(allows(p, {"auth", "x"}));
  EXPECT_TRUE(allows(p, {"hello"}));
  EXPECT_TRUE(allows(p, {"quit"}));
}

TEST(CommandPermissionsTest, RulesApplyInTheirOrder) {
  EXPECT_TRUE(allows(after({"-get", "+get"}), {"GET", "k"}));
  EXPECT_FALSE(allows(after({"+@all", "-get"}), {"get", "k"}));
  EXPECT_TRUE(allows(after({"+@all", "-@read", "+get"}), {"get", "k"}));
  EXPECT_FALSE(allows(after({"+@all", "-@read", "+get"}), {"mget", "k"}));
}

TEST(CommandPermissionsTest, WithoutDangerousCommandsTheirOtherSubcommandsRemain) {
  const command_permissions p = after({"+@all", "-@dangerous"});
  EXPECT_FALSE(p.allows_everything());
  EXPECT_TRUE(allows(p, {"client", "SETNAME", "x"}));
  EXPECT_FALSE(allows(p, {"client", "Kill", "ID", "1"}));
  EXPECT_FALSE(allows(p, {"config", "get", "*"}));
  EXPECT_FALSE(allows(p, {"keys", "*"}));
  EXPECT_FALSE(allows(p, {"info"}));
}

TEST(CommandPermissionsTest, ASubcommandHasItsOwnRule) {
  const command_permissions p = after({"-@all", "+config|get"});
  EXPECT_TRUE(allows(p, {"config", "get", "port"}));
  EXPECT_FALSE(allows(p, {"config", "set", "port", "1"}));
  EXPECT_FALSE(allows(p, {"config", "later", "x"})) << "an unknown one is judged as the command";
  EXPECT_EQ(full_command_name(static_cast<std::size_t>(find_command("config")),
                              std::vector<std::string_view>{"CONFIG", "SET"}),
            "config|set");
}

TEST(CommandPermissionsTest, ACommandStandsForItsSubcommands) {
  EXPECT_TRUE(allows(after({"+xgroup"}), {"xgroup", "create", "s", "g", "0"}));
  EXPECT_FALSE(allows(after({"+@all", "-xgroup"}), {"xgroup", "create", "s", "g", "0"}));
}

TEST(CommandPermissionsTest, WrongRulesSayWhatIsWrong) {
  command_permissions p;
  EXPECT_THAT(p.apply("get"), HasSubstr("a rule is"));
  EXPECT_EQ(p.apply("+@reads"), "there is no category '@reads'");
  EXPECT_EQ(p.apply("+gett"), "there is no command 'gett'");
  EXPECT_EQ(p.apply("+config|gett"), "there is no subcommand 'config|gett'");
  EXPECT_NE(p.apply("+"), "");
}

TEST(AclCategoriesTest, TheyFollowFromFlagsAndGroup) {
  const auto of = [](std::string_view name) {
    return names_of(categories_of(command_table()[static_cast<std::size_t>(find_command(name))]));
  };
  EXPECT_THAT(of("get"), ElementsAre("@read", "@string", "@fast"));
  EXPECT_THAT(of("blpop"), ElementsAre("@write", "@list", "@slow", "@blocking"));
  EXPECT_THAT(of("del"), ElementsAre("@keyspace", "@write", "@slow"));
  EXPECT_THAT(of("config"), ElementsAre("@slow"));
  EXPECT_THAT(of("publish"), ElementsAre("@pubsub", "@fast"));
}

}  // namespace
}  // namespace dualbus::command
