#include "../../../src/config/key_table.hpp"
#include "support.hpp"

#include <dualbus/base/sha256.hpp>

#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace dualbus::config::test {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string secret = "hunter2";

// A file that has `value` at that path, `*` being a name and `[]` the first element of a list.
std::string file_with(const std::string& path, const std::string& value) {
  std::string text = value;
  std::vector<std::string> names;
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, '.');) names.push_back(part);
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const bool list = name->ends_with("[]");
    if (list) {
      name->resize(name->size() - 2);
      text.insert(0, 1, '[').append("]");
    }
    text = "{" + (*name == "*" ? "a" : *name) + ": " + text + "}";
  }
  return text + "\n";
}

std::vector<std::string> said_about(const std::string& text) {
  load_result result = parse(text, "f.yaml");
  result.mistakes.insert(result.mistakes.end(), result.warnings.begin(), result.warnings.end());
  return result.mistakes;
}

std::vector<std::string> places() {
  std::vector<std::string> all = {""};
  for (const key_row& row : key_rows()) all.emplace_back(row.path);
  for (const section_row& section : section_rows()) all.emplace_back(section.path);
  return all;
}

TEST(SecretsTest, TheUrlOfAClientIsNowhereRepeatedWithItsPassword) {
  for (const std::string& path : places()) {
    for (const std::string url : {"redis://:hunter2@h:1", "redis://user:hunter2@h:1/0",
                                  "unix://:hunter2@/run/redis.sock", "rediss://hunter2@h"}) {
      for (const std::string& value : {"\"" + url + "\"", "[\"" + url + "\"]"}) {
        EXPECT_THAT(said_about(file_with(path, value)), Each(Not(HasSubstr(secret)))) << path;
      }
    }
  }
}

TEST(SecretsTest, WhatStandsWhereAPasswordMayStandIsNotRepeated) {
  for (const std::string& path : places()) {
    if (!may_be_secret(path)) continue;
    for (const std::string value :
         {"hunter2", "[hunter2]", "\">hunter2\"", "[\">hunter2\"]", "[\"#hunter2\"]", "{password: hunter2}",
          "{passwords: [hunter2]}", "/hunter2", "HUNTER2hunter2", "!hunter2 x", "*hunter2", "\"hunter2",
          "hunter2: x: y"}) {
      EXPECT_THAT(said_about(file_with(path, value)), Each(Not(HasSubstr(secret)))) << path << " " << value;
    }
  }
}

TEST(SecretsTest, PlacesOfPasswordsAreKnown) {
  for (const char* const path :
       {"", "auth", "auth.users", "auth.users.*", "auth.users.*.password_hashes", "auth.users.*.nopass",
        "buses", "buses.*", "buses.*.username", "buses.*.password_file", "buses.*.password_env",
        "buses.*.sentinel.username", "buses.*.sentinel.password_file"}) {
    EXPECT_TRUE(may_be_secret(path)) << path;
  }
  for (const char* const path : {"workers", "buses.*.id_slot", "listen.address"})
    EXPECT_FALSE(may_be_secret(path)) << path;
}

TEST(SecretsTest, AMistakeSaysWhatIsWantedAllTheSame) {
  EXPECT_THAT(mistakes_in("buses: {a: {id_slot: 1, endpoint: \"redis://:hunter2@h:1\"}}\n"),
              ElementsAre("f.yaml:1:35: buses.a.endpoint: must be host:port, [v6]:port, unix:/path or /path, "
                          "and no URL: a user "
                          "stands in username, a password in password_file"));
  EXPECT_THAT(mistakes_in(one_bus + "auth: {users: {e: {password_hashes: hunter2}}}\n"),
              ElementsAre("f.yaml:3:37: auth.users.e.password_hashes: must be a list, not a single value"));
  EXPECT_THAT(mistakes_in(one_bus + "auth: {users: {e: {nopass: hunter2}}}\n"),
              ElementsAre("f.yaml:3:28: auth.users.e.nopass: must be one of false, true; what stands there "
                          "is not repeated, it may "
                          "be a password"));
  EXPECT_THAT(mistakes_in(one_bus + "auth: {users: {e: {nopass: true, commands: [\">hunter2\"]}}}\n"),
              ElementsAre("f.yaml:3:45: auth.users.e.commands[0]: a rule is +command, -command, "
                          "+command|subcommand, +@category or "
                          "-@category"));
}

// --- what is legal, and seldom meant

const std::string everything = "commands: [\"+@all\"], keys: [\"*\"]";

std::string default_user(const std::string& rights) {
  return "auth: {users: {default: {nopass: true, " + rights + "}}}\n";
}

TEST(OpenDoorsTest, ADefaultUserThatMayDoEverythingBeyondLoopbackIsAWarning) {
  for (const std::string address : {"0.0.0.0", "::", "10.0.0.1"}) {
    EXPECT_THAT(warnings_in(one_bus + "listen: {address: \"" + address + "\"}\n" + default_user(everything)),
                ElementsAre("f.yaml:3:19: listen.address: everybody who reaches " + address +
                            " port 6379 may do everything without logging in: so says auth.users.default"));
  }
  const std::string open = one_bus + "listen: {address: 0.0.0.0}\n";
  EXPECT_THAT(warnings_in(one_bus + default_user(everything)), IsEmpty());
  EXPECT_THAT(warnings_in(open + default_user("commands: [\"+@all\", \"-@dangerous\"], keys: [\"*\"]")),
              IsEmpty());
  EXPECT_THAT(warnings_in(open + default_user("commands: [\"+@all\"], keys: [\"a:*\"]")), IsEmpty());
  EXPECT_THAT(warnings_in(open + default_user(everything + ", enabled: false")), IsEmpty());
  EXPECT_THAT(warnings_in(one_bus + "listen: {address: 0.0.0.0, port: 0, unix_socket: /run/d}\n" +
                          default_user(everything)),
              IsEmpty());
}

TEST(OpenDoorsTest, ASocketForEverybodyWithoutUsersIsAWarning) {
  const auto socket = [](const std::string& mode) {
    return one_bus + "listen: {unix_socket: /run/d, unix_socket_mode: \"" + mode + "\"}\n";
  };
  const auto warned = ElementsAre(
      "f.yaml:3:49: listen.unix_socket_mode: everybody on this machine may do everything through '/run/d': "
      "take the others' right to write from it, or name users in auth.users");
  EXPECT_THAT(warnings_in(socket("0777")), warned);
  EXPECT_THAT(warnings_in(socket("0666")), warned);
  EXPECT_THAT(warnings_in(socket("0777") + default_user(everything)), warned);
  EXPECT_THAT(warnings_in(socket("0770")), IsEmpty());
  EXPECT_THAT(warnings_in(socket("0777") + "auth: {allow_unauthenticated: true}\n"), IsEmpty());
  EXPECT_THAT(warnings_in(socket("0777") + "auth: {users: {e: {nopass: true}}}\n"), IsEmpty());
  EXPECT_THAT(warnings_in(one_bus + "listen: {unix_socket_mode: \"0777\"}\n"), IsEmpty());
}

TEST(OpenDoorsTest, TheHashOfTheEmptyPasswordIsAWarning) {
  const std::string user = one_bus + "auth: {users: {e: {password_hashes: [\"" + base::sha256_hex("x") +
                           "\", \"#" + base::sha256_hex("") + "\"]}}}\n";
  EXPECT_THAT(
      warnings_in(user),
      ElementsAre(
          "f.yaml:3:106: auth.users.e.password_hashes[1]: is the hash of the empty password, which lets "
          "everybody in"));
}

}  // namespace
}  // namespace dualbus::config::test
