#include <dualbus/command/command_table.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/command/subcommand_table.hpp>

#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::command {
namespace {

using names = std::set<std::string>;

names split(const std::string& text) {
  std::istringstream words(text);
  names found;
  for (std::string word; words >> word;) found.insert(word);
  return found;
}

// Those with Redis's flag "write", but for the ones that only change what a group has.
const std::string writing =
    "append bitfield bitop blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin copy "
    "decr decrby del delex expire expireat flushall flushdb geoadd georadius "
    "georadiusbymember geosearchstore getdel getex getset hdel hexpire hexpireat hgetdel "
    "hgetex hincrby hincrbyfloat hmset hpersist hpexpire hpexpireat hset hsetex hsetnx incr "
    "incrby incrbyfloat linsert lmove lmpop lpop lpush lpushx lrem lset ltrim migrate move "
    "mset msetex msetnx persist pexpire pexpireat pfadd pfdebug pfmerge psetex rename "
    "renamenx restore restore-asking rpop rpoplpush rpush rpushx sadd sdiffstore set setbit "
    "setex setnx setrange sinterstore smove sort spop srem sunionstore swapdb unlink vadd "
    "vrem vsetattr xackdel xadd xcfgset xdel xdelex xnack xsetid xtrim zadd zdiffstore "
    "zincrby zinterstore zmpop zpopmax zpopmin zrangestore zrem zremrangebylex "
    "zremrangebyrank zremrangebyscore zunionstore";
const std::string changing_groups = " xack xautoclaim xclaim xreadgroup ";
const std::string subscribing = " psubscribe ssubscribe subscribe ";
const std::string unsubscribing = " punsubscribe sunsubscribe unsubscribe ";
// They have no meaning behind a proxy, but some behind one for a single bus.
const std::string passed_if_alone =
    " bgrewriteaof bgsave debug hotkeys lastsave migrate pfdebug pfselftest restore-asking save ";
const std::string taking_the_server = " failover psync replconf replicaof shutdown slaveof sync ";

struct expectation {
  fact what;
  std::string_view name;
  std::string commands;
};
const expectation expectations[] = {
    {fact::allowed_to_subscribers, "allowed_to_subscribers", subscribing + unsubscribing + "ping quit reset"},
    {fact::not_queued, "not_queued", "discard exec multi quit reset watch"},
    {fact::runs_queue, "runs_queue", "exec"},
    {fact::needs_rounds, "needs_rounds", "xautoclaim xgroup"},
    {fact::changes_replies, "changes_replies", "hello"},
    {fact::refused_in_exec, "refused_in_exec", "monitor"},
    {fact::waits_for_replies, "waits_for_replies", subscribing + unsubscribing + "hello reset"},
    {fact::ends_pause, "ends_pause", "client"},
    {fact::logs_in, "logs_in", "auth"},
    {fact::may_log_in, "may_log_in", "hello"},
    {fact::chooses_database, "chooses_database", "select"},
    {fact::names_databases, "names_databases", "copy move swapdb"},
    {fact::brings_script, "brings_script", "eval eval_ro"},
    {fact::reads_group, "reads_group", "xreadgroup"},
    {fact::names_consumer, "names_consumer", "xautoclaim xclaim"},
    {fact::names_more_keys, "names_more_keys", "migrate"},
    {fact::subscribes, "subscribes", subscribing},
    {fact::takes_patterns, "takes_patterns", "psubscribe punsubscribe"},
    {fact::names_request, "names_request", ""},
    {fact::names_user_and_request, "names_user_and_request", ""},
    {fact::sets_user, "sets_user", ""},
    {fact::logs_in_elsewhere, "logs_in_elsewhere", "migrate"},
    {fact::changes_keys, "changes_keys",
     writing + passed_if_alone + taking_the_server + "eval evalsha fcall xgroup"},
    {fact::changes_keys_by_lastid, "changes_keys_by_lastid", "xclaim"},
    {fact::changes_groups, "changes_groups", changing_groups},
    {fact::may_replicate, "may_replicate",
     writing + changing_groups + "eval evalsha fcall function pfcount publish spublish xgroup"},
    {fact::may_publish, "may_publish",
     "eval eval_ro evalsha evalsha_ro exec fcall fcall_ro function publish script spublish"},
    {fact::brings_values, "brings_values", "copy migrate move rename renamenx restore restore-asking swapdb"},
    {fact::changes_functions, "changes_functions", ""},
    {fact::resets_statistics, "resets_statistics", ""},
    {fact::sets_parameters, "sets_parameters", ""},
    {fact::asks_no_bus, "asks_no_bus",
     "acl asking auth client cluster command config discard dualbus echo hello info latency lolwut module "
     "monitor "
     "multi ping quit readonly readwrite reset role select slowlog time unwatch watch"},
    {fact::for_any_redis, "for_any_redis", "lolwut"},
    {fact::passed_on, "passed_on", passed_if_alone + "cluster command config latency lolwut role slowlog"},
    {fact::by_subcommand, "by_subcommand", "acl client command config dualbus function module"},
};

const expectation of_subcommands[] = {
    {fact::changes_replies, "changes_replies", "client|reply"},
    {fact::for_any_redis, "for_any_redis", "command|getkeysandflags command|help"},
    {fact::names_request, "names_request", "command|getkeys command|getkeysandflags dualbus|explain"},
    {fact::names_user_and_request, "names_user_and_request", "acl|dryrun"},
    {fact::sets_user, "sets_user", "acl|setuser"},
    {fact::resets_statistics, "resets_statistics", "config|resetstat"},
    {fact::sets_parameters, "sets_parameters", "config|set"},
    {fact::changes_functions, "changes_functions",
     "function|delete function|flush function|load function|restore"},
    {fact::passed_on, "passed_on", "module|list"},
};

fact all_of(const auto& list) {
  fact all = fact::none;
  for (const expectation& e : list) all = all | e.what;
  return all;
}

const command_spec& spec_of(std::string_view name) {
  const int index = find_command(name);
  EXPECT_GE(index, 0) << name;
  return command_table()[static_cast<std::size_t>(index)];
}

using words = std::vector<std::string_view>;

fact facts(const words& args) {
  return facts_of(spec_of(args[0]), args);
}

TEST(CommandFactsTest, EachColumnHoldsForTheCommandsThatItIsAbout) {
  for (const expectation& e : expectations) {
    names found;
    for (const command_spec& spec : command_table()) {
      if (spec.has(e.what)) found.emplace(spec.name);
    }
    EXPECT_EQ(found, split(e.commands)) << e.name;
  }
}

TEST(CommandFactsTest, EachColumnIsExpectedToHoldForSome) {
  for (const command_spec& spec : command_table()) {
    EXPECT_EQ(spec.facts | all_of(expectations), all_of(expectations)) << spec.name;
  }
  for (const subcommand_spec& spec : subcommand_table()) {
    EXPECT_EQ(spec.facts | all_of(of_subcommands), all_of(of_subcommands)) << spec.name;
  }
}

TEST(CommandFactsTest, SubcommandsHaveThoseOfTheirOwn) {
  for (const expectation& e : of_subcommands) {
    names found;
    for (const subcommand_spec& spec : subcommand_table()) {
      if (has_fact(spec.facts, e.what))
        found.insert(std::string(spec.command) + "|" + std::string(spec.name));
    }
    EXPECT_EQ(found, split(e.commands)) << e.name;
  }
}

TEST(CommandFactsTest, TheCommandSaysThatASubcommandHasSome) {
  for (const subcommand_spec& spec : subcommand_table()) {
    if (spec.facts == fact::none) continue;
    EXPECT_TRUE(spec_of(spec.command).has(fact::by_subcommand)) << spec.command;
  }
}

TEST(CommandFactsTest, FunctionsAreChangedByWhatRedisCallsAWrite) {
  for (const subcommand_spec& spec : subcommand_table()) {
    if (spec.command != "function") continue;
    const bool writes = spec.flags.find('w') != std::string_view::npos;
    EXPECT_EQ(has_fact(spec.facts, fact::changes_functions), writes) << spec.name;
  }
}

TEST(CommandFactsTest, TheSubcommandOfARequestBringsItsFacts) {
  EXPECT_TRUE(has_fact(facts({"CLIENT", "Reply", "OFF"}), fact::changes_replies));
  EXPECT_TRUE(has_fact(facts({"CLIENT", "Reply", "OFF"}), fact::ends_pause));
  EXPECT_FALSE(has_fact(facts({"CLIENT", "ID"}), fact::changes_replies));
  EXPECT_FALSE(has_fact(facts({"CLIENT", "nonsense"}), fact::changes_replies));
  EXPECT_FALSE(has_fact(facts({"CLIENT"}), fact::changes_replies));
  EXPECT_TRUE(has_fact(facts({"HELLO", "3"}), fact::changes_replies));
  EXPECT_TRUE(has_fact(facts({"MODULE", "LIST"}), fact::passed_on));
  EXPECT_FALSE(has_fact(facts({"MODULE", "LOAD", "x"}), fact::passed_on));
  EXPECT_FALSE(has_fact(facts({"COMMAND"}), fact::for_any_redis));
  // A zero byte does not hide what Redis may find.
  EXPECT_TRUE(has_fact(facts({"CONFIG", std::string_view("SET\0x", 5), "port", "1"}), fact::sets_parameters));
}

TEST(CommandFactsTest, APasswordLogsIn) {
  const auto check = [](const words& args) { return logs_in(spec_of(args[0]), args); };
  EXPECT_TRUE(check({"AUTH", "secret"}));
  EXPECT_TRUE(check({"AUTH", "who", "secret"}));
  EXPECT_FALSE(check({"HELLO", "3"}));
  EXPECT_FALSE(check({"HELLO", "3", "SETNAME", "x"}));
  EXPECT_TRUE(check({"HELLO", "3", "AUTH", "who", "secret"}));
  EXPECT_FALSE(check({"MSET", "a", "1", "b", "2"}));
}

TEST(CommandFactsTest, OnlyResetstatRestartsTheStatistics) {
  const auto check = [](const words& args) { return restarts_statistics(spec_of(args[0]), args); };
  EXPECT_TRUE(check({"config", "RESETSTAT"}));
  EXPECT_FALSE(check({"config", "GET", "resetstat"}));
  EXPECT_FALSE(check({"LATENCY", "RESET"}));
  EXPECT_FALSE(check({"get", "resetstat"}));
}

TEST(CommandFactsTest, AScriptMaySayThatItWritesNothing) {
  const auto check = [](const words& args) { return may_replicate(spec_of(args[0]), args); };
  EXPECT_TRUE(check({"SET", "k", "v"}));
  EXPECT_FALSE(check({"GET", "k"}));
  EXPECT_TRUE(check({"PFCOUNT", "k"}));
  EXPECT_TRUE(check({"EVAL", "return 1", "0"}));
  EXPECT_FALSE(check({"EVAL_RO", "return 1", "0"}));
  EXPECT_FALSE(check({"EVAL", "#!lua flags=allow-stale,no-writes\nreturn 1", "0"}));
  EXPECT_TRUE(check({"EVAL", "#!lua flags=allow-stale\nreturn 'no-writes'", "0"}));
  EXPECT_TRUE(check({"EVAL", "#!lua\n-- flags=no-writes\nreturn 1", "0"}));
  // The text of the others is elsewhere.
  EXPECT_TRUE(check({"EVALSHA", "#!lua flags=no-writes\n", "0"}));
  EXPECT_TRUE(check({"FUNCTION", "#!lua flags=no-writes\n"}));
}

// Redis 7.0 gives the flag write to subcommands, and may_replicate to none.
TEST(CommandFactsTest, OfSubcommandsOnlyThoseThatWriteReplicate) {
  const auto check = [](const words& args) { return may_replicate(spec_of(args[0]), args); };
  for (const char* name : {"delete", "flush", "load", "restore"}) EXPECT_TRUE(check({"FUNCTION", name}));
  for (const char* name : {"dump", "help", "kill", "list", "stats"}) EXPECT_FALSE(check({"FUNCTION", name}));
  for (const char* name : {"debug", "exists", "flush", "help", "kill", "load", "nonsense"})
    EXPECT_FALSE(check({"SCRIPT", name}));
  EXPECT_TRUE(check({"XGROUP", "Create", "k", "g", "$"}));
  EXPECT_FALSE(check({"XGROUP", "HELP"}));
  // A later Redis may have others.
  EXPECT_TRUE(check({"FUNCTION", "nonsense"}));
}

TEST(CommandFactsTest, TextsNameTheSubcommandIfThereIsOne) {
  const auto name = [](const words& args) { return name_in_texts(spec_of(args[0]), args); };
  EXPECT_EQ(name({"hello", "3"}), "HELLO");
  EXPECT_EQ(name({"client", "reply", "off"}), "CLIENT REPLY");
  EXPECT_EQ(name({"client", "nonsense"}), "CLIENT");
  EXPECT_EQ(name({"restore-asking", "k"}), "RESTORE-ASKING");
}

}  // namespace
}  // namespace dualbus::command
