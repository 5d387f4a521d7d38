#include <dualbus/client/slow_log.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::client {
namespace {

using testing::ElementsAre;

std::vector<std::uint64_t> ids(const slow_log& log) {
  std::vector<std::uint64_t> result;
  for (const slow_entry& e : log.entries()) result.push_back(e.id);
  return result;
}

TEST(SlowLogTest, KeepsTheNewestFirstAndNoMoreThanItMay) {
  std::atomic<std::uint64_t> last_id{7};
  slow_log log(last_id);
  log.add({});
  EXPECT_THAT(ids(log), ElementsAre()) << "it may keep none at first";
  log.configure({.max_entries = 2});
  for (int i = 0; i < 3; ++i) log.add({});
  EXPECT_THAT(ids(log), ElementsAre(9, 8)) << "all workers count together";
  log.configure({.max_entries = 1});
  EXPECT_THAT(ids(log), ElementsAre(9));
  log.clear();
  EXPECT_THAT(ids(log), ElementsAre());
}

TEST(SlowLogTest, NothingIsSlowWhenNoEntriesAreKept) {
  using namespace std::chrono_literals;
  std::atomic<std::uint64_t> last_id{0};
  slow_log log(last_id);
  log.configure({.threshold = 5us, .max_entries = 0, .arguments = true});
  EXPECT_EQ(log.threshold(), base::duration::max());
  EXPECT_FALSE(log.keeps_arguments());
  log.configure({.threshold = 5us, .max_entries = 1, .arguments = true});
  EXPECT_EQ(log.threshold(), base::duration(5us));
  EXPECT_TRUE(log.keeps_arguments());
}

TEST(SlowLogTest, ArgumentsAreCutAsRedisCutsThem) {
  const std::string longest(128, 'x'), longer(130, 'y');
  EXPECT_THAT(cut_arguments(std::vector<std::string_view>{"set", longest, longer}),
              ElementsAre("set", longest, std::string(128, 'y') + "... (2 more bytes)"));
  const std::vector<std::string_view> fits(32, "a"), many(33, "a");
  EXPECT_EQ(cut_arguments(fits).size(), 32U);
  EXPECT_EQ(cut_arguments(fits).back(), "a");
  EXPECT_EQ(cut_arguments(many).size(), 32U);
  EXPECT_EQ(cut_arguments(many).back(), "... (2 more arguments)");
}

TEST(SlowLogTest, PasswordsAreHiddenAsRedisHidesThem) {
  using words = std::vector<std::string_view>;
  const std::string_view x = "(redacted)";
  const auto shown = [](const words& request) { return cut_arguments(request); };
  EXPECT_THAT(shown({"AUTH", "u", "p"}), ElementsAre("AUTH", x, x));
  EXPECT_THAT(shown({"hello", "3", "SETNAME", "auth", "auth", "u", "p", "setname", "n"}),
              ElementsAre("hello", "3", "SETNAME", "auth", "auth", x, x, "setname", "n"));
  EXPECT_THAT(shown({"MIGRATE", "auth", "1", "auth2", "0", "9", "COPY", "AUTH", "p", "auth2", "u", "q",
                     "KEYS", "auth", "k"}),
              ElementsAre("MIGRATE", "auth", "1", "auth2", "0", "9", "COPY", "AUTH", x, "auth2", x, x, "KEYS",
                          "auth", "k"));
  EXPECT_THAT(shown({"CONFIG", "SET", "maxmemory", "masterauth", "MasterAuth", "p"}),
              ElementsAre("CONFIG", "SET", "maxmemory", "masterauth", "MasterAuth", x));
  EXPECT_THAT(shown({"ACL", "SETUSER", "u", ">p"}), ElementsAre("ACL", "SETUSER", x, x));
  using namespace std::string_view_literals;
  EXPECT_THAT(shown({"HELLO", "3", "AUTH\0"sv, "u", "p"}), ElementsAre("HELLO", "3", "AUTH\0"sv, x, x));
  EXPECT_THAT(shown({"HELLO", "AUTH", "u", "p"}), ElementsAre("HELLO", "AUTH", x, x))
      << "the version was forgotten";
  EXPECT_THAT(shown({"MIGRATE", "h", "1", "k", "0", "9", "auth2\0x"sv, "u", "p"}),
              ElementsAre("MIGRATE", "h", "1", "k", "0", "9", "auth2\0x"sv, x, x));
  EXPECT_THAT(shown({"COMMAND", "GETKEYS", "AUTH", "u", "p"}),
              ElementsAre("COMMAND", "GETKEYS", "AUTH", x, x));
  EXPECT_THAT(shown({"command", "GetKeysAndFlags", "hello", "3", "auth", "u", "p"}),
              ElementsAre("command", "GetKeysAndFlags", "hello", "3", "auth", x, x));
  EXPECT_THAT(shown({"ACL", "DRYRUN", "auth", "COMMAND", "GETKEYS", "CONFIG", "SET", "requirepass", "p"}),
              ElementsAre("ACL", "DRYRUN", "auth", "COMMAND", "GETKEYS", "CONFIG", "SET", "requirepass", x));
  for (const words& plain :
       {words{"HELLO", "auth"}, words{"HELLO", "3", "AUTH"}, words{"CONFIG", "GET", "requirepass"},
        words{"CONFIG", "SET", "requirepass"}, words{"SET", "auth", "p"}, words{"ACL"},
        words{"COMMAND", "GETKEYS"}, words{"COMMAND", "GETKEYS", "GET", "auth"}})
    EXPECT_EQ(shown(plain), std::vector<std::string>(plain.begin(), plain.end()));
}

}  // namespace
}  // namespace dualbus::client
