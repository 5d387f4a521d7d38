#include "../base/real_redis.hpp"

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <algorithm>
#include <cctype>
#include <map>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

std::string upper(std::string_view name) {
  std::string result(name);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

std::string flag_name(char letter) {
  for (const command_flag& flag : command_flags()) {
    if (flag.letter == letter) return std::string(flag.name);
  }
  return std::string("unknown flag ") + letter;
}

std::set<std::string> flags_of(const command_spec& spec) {
  std::set<std::string> names;
  for (const char letter : spec.flags) names.insert(flag_name(letter));
  return names;
}

// Too deep for hiredis 0.14.
std::string ask_for_docs(const test::real_redis& redis) {
  const base::unique_fd fd = redis.connect();
  const std::string request = "COMMAND DOCS\r\n";
  EXPECT_EQ(::send(fd.get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string reply;
  resp::reply_scanner scanner;
  char block[65536];
  while (scanner.scan(reply) == resp::scan_status::incomplete) {
    const ssize_t got = ::recv(fd.get(), block, sizeof block, 0);
    if (got <= 0) return "*0\r\n";
    reply.append(block, static_cast<std::size_t>(got));
  }
  return reply;
}

TEST(CommandTableTest, IsSortedAndHoldsEachNameOnceInLowerCase) {
  const auto table = command_table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(table[i - 1].name, table[i].name);
    }
    for (const char c : table[i].name)
      EXPECT_FALSE(std::isupper(static_cast<unsigned char>(c))) << table[i].name;
    EXPECT_NE(table[i].arity, 0) << table[i].name;
  }
}

TEST(CommandTableTest, FindsEachNameInEachCase) {
  const auto table = command_table();
  std::mt19937 random(53);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string name(table[i].name);
    EXPECT_EQ(find_command(name), static_cast<int>(i)) << name;
    EXPECT_EQ(find_command(upper(name)), static_cast<int>(i)) << name;
    std::string mixed = name;
    for (char& c : mixed) {
      if (random() % 2 == 0) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    EXPECT_EQ(find_command(mixed), static_cast<int>(i)) << mixed;
  }
}

TEST(CommandTableTest, FindsNothingElse) {
  std::set<std::string, std::less<>> names;
  for (const command_spec& spec : command_table()) names.emplace(spec.name);
  std::mt19937 random(59);
  EXPECT_EQ(find_command(""), -1);
  EXPECT_EQ(find_command(std::string_view("get\0", 4)), -1);
  EXPECT_EQ(find_command(std::string(1'000'000, 'x')), -1);
  EXPECT_EQ(find_command("restore_asking"), -1);
  for (const std::string& name : names) {
    for (int i = 0; i < 20; ++i) {
      std::string wrong = name;
      switch (random() % 3) {
        case 0:
          wrong.erase(random() % wrong.size(), 1);
          break;
        case 1:
          wrong.insert(random() % (wrong.size() + 1), 1, static_cast<char>(random()));
          break;
        default:
          wrong[random() % wrong.size()] = static_cast<char>(random());
      }
      std::string folded = wrong;
      for (char& c : folded) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
      }
      const int found = find_command(wrong);
      if (names.contains(folded)) {
        EXPECT_EQ(command_table()[static_cast<std::size_t>(found)].name, folded);
      } else {
        EXPECT_EQ(found, -1) << testing::PrintToString(wrong);
      }
    }
  }
}

TEST(CommandTableTest, KnowsArity) {
  const command_spec& get = command_table()[static_cast<std::size_t>(find_command("get"))];
  EXPECT_TRUE(arity_matches(get, 2));
  EXPECT_FALSE(arity_matches(get, 1));
  EXPECT_FALSE(arity_matches(get, 3));
  const command_spec& xadd = command_table()[static_cast<std::size_t>(find_command("xadd"))];
  EXPECT_FALSE(arity_matches(xadd, 4));
  EXPECT_TRUE(arity_matches(xadd, 5));
  EXPECT_TRUE(arity_matches(xadd, 500));
}

TEST(CommandTableTest, EveryCommandOfRedisIsThereWithItsFacts) {
  const test::real_redis redis;
  const test::reply_ptr commands = redis.command({"COMMAND"});
  ASSERT_GT(commands->elements, 200U);
  for (std::size_t i = 0; i < commands->elements; ++i) {
    const redisReply& theirs = *commands->element[i];
    const std::string name = test::text_of(*theirs.element[0]);
    const int found = find_command(name);
    EXPECT_GE(found, 0) << name;
    if (found < 0) continue;
    const command_spec& ours = command_table()[static_cast<std::size_t>(found)];
    const bool widened = name == "zrank" || name == "zrevrank";  // by Redis 7.2: WITHSCORE
    EXPECT_EQ(ours.arity, widened ? -3 : theirs.element[1]->integer) << name;
    std::set<std::string> flags;
    for (std::size_t k = 0; k < theirs.element[2]->elements; ++k) {
      flags.insert(test::text_of(*theirs.element[2]->element[k]));
    }
    EXPECT_EQ(flags_of(ours), flags) << name;
    EXPECT_EQ(ours.first_key, theirs.element[3]->integer) << name;
    EXPECT_EQ(ours.last_key, theirs.element[4]->integer) << name;
    EXPECT_EQ(ours.key_step, theirs.element[5]->integer) << name;
  }
}

TEST(CommandTableTest, GroupsAndVersionsAreRediss) {
  const test::real_redis redis;
  const std::string docs = ask_for_docs(redis);
  resp::reply_reader reader(docs);
  const std::size_t names = reader.next().elements / 2;
  ASSERT_GT(names, 200U);
  for (std::size_t i = 0; i < names; ++i) {
    const std::string name(reader.next().text);
    const int found = find_command(name);
    const std::size_t fields = reader.next().elements / 2;
    for (std::size_t k = 0; k < fields; ++k) {
      const std::string_view field = reader.next().text;
      const std::string_view value = resp::reply_reader(reader.skip()).next().text;
      if (found < 0) continue;
      const command_spec& ours = command_table()[static_cast<std::size_t>(found)];
      if (field == "group") {
        EXPECT_EQ(group_name(ours.group), value) << name;
      }
      if (field == "since") {
        EXPECT_EQ(ours.since, value) << name;
      }
    }
  }
  EXPECT_TRUE(reader.done());
}

TEST(CommandTableTest, CommandsThatRedisDoesNotHaveAreLaterOnes) {
  const test::real_redis redis;
  const test::reply_ptr list = redis.command({"COMMAND", "LIST"});
  std::set<std::string> theirs;
  for (std::size_t i = 0; i < list->elements; ++i) theirs.insert(test::text_of(*list->element[i]));
  for (const command_spec& spec : command_table()) {
    if (theirs.contains(std::string(spec.name))) continue;
    EXPECT_GT(spec.since, "7.0.0") << spec.name;
  }
}

}  // namespace
}  // namespace dualbus::command
