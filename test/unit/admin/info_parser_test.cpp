#include "admin/info_parser.hpp"

#include "processes.hpp"

#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dualbus::admin {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::string captured() {
  return test::read_text(DUALBUS_SOURCE_DIR "/test/unit/admin/info-7.0.15.txt");
}

TEST(InfoParserTest, ReadsWhatRedis7Says) {
  const redis_info info = parse_info(captured());
  EXPECT_TRUE(info.recognised());
  EXPECT_EQ(info.version, "7.0.15");
  EXPECT_EQ(info.mode, "standalone");
  EXPECT_EQ(info.role, "master");
  EXPECT_EQ(info.maxmemory_policy, "allkeys-lru");
  EXPECT_EQ(info.run_id.size(), 40u);
  EXPECT_EQ(info.connected_clients, 1);
  EXPECT_EQ(info.blocked_clients, 0);
  EXPECT_EQ(info.maxmemory, 100 * 1024 * 1024);
  EXPECT_EQ(info.loading, 0);
  EXPECT_EQ(info.aof_enabled, 0);
  EXPECT_EQ(info.maxclients, 10000);
  EXPECT_EQ(info.total_system_memory, 25'274'793'984);
  EXPECT_DOUBLE_EQ(info.fragmentation_ratio.value(), 11.78);
  EXPECT_EQ(info.connected_replicas, 0);
  EXPECT_EQ(info.rdb_save_in_progress, 0);
  EXPECT_EQ(info.rdb_last_save_time, 1'795'374'647);
  EXPECT_EQ(info.aof_last_write_ok, true);
  EXPECT_EQ(info.aof_last_rewrite_ok, true);
  EXPECT_EQ(info.rdb_last_save_ok, true);
  EXPECT_EQ(info.rejected_connections, 0);
  EXPECT_DOUBLE_EQ(info.cpu_sys.value(), 0.006532);
  EXPECT_DOUBLE_EQ(info.cpu_user.value(), 0.014581);
  EXPECT_DOUBLE_EQ(info.cpu_sys_main_thread.value(), 0.006019);
  EXPECT_DOUBLE_EQ(info.cpu_user_main_thread.value(), 0.015047);
  for (const auto& [name, figure] : {std::pair{"uptime", info.uptime_seconds},
                                     {"used_memory", info.used_memory},
                                     {"rss", info.used_memory_rss},
                                     {"changes", info.rdb_changes_since_last_save},
                                     {"connections", info.connections_received},
                                     {"commands", info.commands_processed},
                                     {"input", info.net_input_bytes},
                                     {"output", info.net_output_bytes},
                                     {"hits", info.keyspace_hits}}) {
    EXPECT_GT(figure.value_or(0), 0) << name;
  }
  EXPECT_EQ(info.keys(), 3);
  EXPECT_EQ(info.keyspace.at("db0").expires, 1);
}

TEST(InfoParserTest, KeepsCommandsWithSubcommandsApart) {
  const redis_info info = parse_info(captured());
  EXPECT_EQ(info.commands.at("xgroup|create").calls, 1);
  EXPECT_EQ(info.commands.at("config|get").usec, 124);
  EXPECT_FALSE(info.commands.contains("xgroup"));
}

TEST(InfoParserTest, TellsFailedCallsFromRejectedOnes) {
  const redis_info info = parse_info(captured());
  EXPECT_EQ(info.commands.at("xreadgroup").calls, 2);
  EXPECT_EQ(info.commands.at("xreadgroup").failed_calls, 1);
  EXPECT_EQ(info.commands.at("xreadgroup").rejected_calls, 0);
  EXPECT_EQ(info.commands.at("get").calls, 0);
  EXPECT_EQ(info.commands.at("get").rejected_calls, 1);
}

TEST(InfoParserTest, CountsErrorsOfScriptsThatAreNoCodesAsOther) {
  EXPECT_THAT(parse_info(captured()).errors,
              ElementsAre(Pair("ERR", 2), Pair("NOGROUP", 1), Pair("WRONGTYPE", 1), Pair("other", 2)));
}

TEST(InfoParserTest, LeavesMissingFiguresEmptyInsteadOfZero) {
  const redis_info info = parse_info("redis_version:6.0.16\r\nconnected_clients:3\r\n");
  EXPECT_TRUE(info.recognised());
  EXPECT_EQ(info.connected_clients, 3);
  EXPECT_FALSE(info.cpu_sys_main_thread);
  EXPECT_FALSE(info.aof_last_write_ok);
  EXPECT_FALSE(info.evicts_streams());
}

TEST(InfoParserTest, RefusesFiguresThatAreNoNumbers) {
  for (const char* value : {"", "-1", "nan", "inf", "-inf", "1e999", "12x", " 1", "0x10", "1,5", "+1"}) {
    EXPECT_FALSE(parse_info("connected_clients:" + std::string(value) + "\r\n").connected_clients) << value;
  }
}

TEST(InfoParserTest, TakesLinesWithoutCarriageReturnAndWithoutEnd) {
  const redis_info info = parse_info("redis_version:7.0.15\nmaxmemory:5");
  EXPECT_EQ(info.version, "7.0.15");
  EXPECT_EQ(info.maxmemory, 5);
}

TEST(InfoParserTest, SeesNoInfoInOtherTexts) {
  for (const char* text :
       {"", "\r\n\r\n", ":", "::::", "PONG", "# Server\r\nredis_version\r\n", "redis_version:"}) {
    EXPECT_FALSE(parse_info(text).recognised()) << text;
  }
}

TEST(InfoParserTest, WarnsOfEvictionOnlyWithALimitAndAnAllkeysPolicy) {
  const auto evicts = [](std::string policy, std::string limit) {
    return parse_info("maxmemory_policy:" + policy + "\r\nmaxmemory:" + limit + "\r\n").evicts_streams();
  };
  EXPECT_TRUE(evicts("allkeys-lru", "1"));
  EXPECT_TRUE(evicts("allkeys-random", "17179869184"));
  EXPECT_FALSE(evicts("allkeys-lru", "0"));
  EXPECT_FALSE(evicts("volatile-lru", "1"));
  EXPECT_FALSE(evicts("noeviction", "1"));
}

TEST(InfoParserTest, BoundsTheNumberOfNames) {
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += "cmdstat_c" + std::to_string(i) + ":calls=1,usec=1\r\n";
    text += "errorstat_E" + std::to_string(i) + ":count=1\r\n";
    text += "db" + std::to_string(i) + ":keys=1,expires=0,avg_ttl=0\r\n";
  }
  const redis_info info = parse_info(text);
  EXPECT_EQ(info.commands.size(), redis_info::max_commands + 1);
  EXPECT_EQ(info.commands.at("other").calls, 3000 - redis_info::max_commands);
  EXPECT_EQ(info.errors.size(), redis_info::max_errors + 1);
  EXPECT_EQ(info.errors.at("other"), 3000 - redis_info::max_errors);
  EXPECT_EQ(info.keyspace.size(), redis_info::max_databases + 1);
  EXPECT_EQ(info.keys(), 3000);
}

TEST(InfoParserTest, SurvivesEveryTruncation) {
  const std::string text = captured();
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const std::string cut(text, 0, size);  // a heap copy of its own, so that reading past it is seen
    const redis_info info = parse_info(std::string_view(cut));
    ASSERT_LE(info.commands.size(), 9u);
  }
}

TEST(InfoParserTest, SurvivesMutations) {
  const std::string original = captured();
  std::minstd_rand random(7);
  const auto pick = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  for (int round = 0; round < 500; ++round) {
    std::string text = original;
    for (int i = 0; i < 20; ++i) text[pick(text.size())] = static_cast<char>(pick(256));
    text.erase(pick(text.size()), pick(64));
    text.insert(pick(text.size()), original.substr(pick(original.size()), pick(64)));
    for (const auto& [name, stats] : parse_info(text).commands) {
      ASSERT_LE(name.size(), redis_info::max_name_bytes);
      ASSERT_GE(stats.calls, 0);
    }
  }
}

TEST(PrintableNameTest, KeepsReadableTextAsItIs) {
  for (const std::string text :
       {"", "market_data", "Größe", "価格", "\xf0\x9f\x93\x88", "a\"b\\c", "xgroup|create"}) {
    EXPECT_EQ(printable_name(text), text);
  }
}

TEST(PrintableNameTest, EscapesWhatNoLabelMayHold) {
  EXPECT_EQ(printable_name(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable_name("a\r\nb\x7f"), "a\\x0d\\x0ab\\x7f");
  EXPECT_EQ(printable_name("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(printable_name("\xc0\x80"), "\\xc0\\x80") << "overlong";
  EXPECT_EQ(printable_name("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(printable_name("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "above U+10FFFF";
  EXPECT_EQ(printable_name("\xc2\x85"), "\\xc2\\x85") << "control character";
  EXPECT_EQ(printable_name("x\xe2\x82"), "x\\xe2\\x82") << "cut sequence";
}

TEST(PrintableNameTest, CutsLongTextBetweenCharactersAndShowsIt) {
  EXPECT_EQ(printable_name(std::string(128, 'a')), std::string(128, 'a'));
  EXPECT_EQ(printable_name(std::string(129, 'a')), std::string(125, 'a') + "...");
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ä";
  const std::string cut = printable_name(umlauts);
  EXPECT_EQ(cut, umlauts.substr(0, 124) + "...");
  EXPECT_EQ(printable_name(std::string(1 << 20, '\0')).size(), 127u);
}

TEST(InfoParserTest, DoubtsARedisThatMayRefuseToServe) {
  const std::string well =
      "redis_version:7.0.15\r\nrole:master\r\nloading:0\r\naof_last_write_status:ok\r\n"
      "rdb_last_bgsave_status:ok\r\nmaxmemory:100\r\nused_memory:99\r\n";
  EXPECT_FALSE(parse_info(well).is_doubtful());
  EXPECT_FALSE(parse_info("redis_version:7.0.15\r\n").is_doubtful());
  EXPECT_FALSE(parse_info(well + "maxmemory:0\r\n").is_doubtful());
  for (const char* line : {"role:slave", "loading:1", "aof_last_write_status:err",
                           "rdb_last_bgsave_status:err", "used_memory:100", "min_slaves_good_slaves:0"}) {
    EXPECT_TRUE(parse_info(well + line + "\r\n").is_doubtful()) << line;
  }
}

}  // namespace
}  // namespace dualbus::admin
