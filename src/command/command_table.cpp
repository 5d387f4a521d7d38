#include "name_index.hpp"

#include <dualbus/command/command_table.hpp>

#include <array>
#include <cstdint>
#include <iterator>

namespace dualbus::command {
namespace {

// name, arity, flags, first key, last key, step, group, since, form of the keys, route, facts of its own
constexpr command_spec rows[] = {
    {"acl", -2, "", 0, 0, 0, group::server, "6.0.0", key_form::range, route::local, fact::by_subcommand},
    {"append", 3, "wmF", 1, 1, 1, group::string, "2.0.0", key_form::range, route::keys},
    {"asking", 1, "F", 0, 0, 0, group::cluster, "3.0.0", key_form::range, route::local},
    {"auth", -2, "sltFnB", 0, 0, 0, group::connection, "1.0.0", key_form::range, route::local, fact::logs_in},
    {"bgrewriteaof", 1, "asL", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused,
     fact::passed_on},
    {"bgsave", -1, "asL", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused, fact::passed_on},
    {"bitcount", -2, "r", 1, 1, 1, group::bitmap, "2.6.0", key_form::range, route::keys},
    {"bitfield", -2, "wm", 1, 1, 1, group::bitmap, "3.2.0", key_form::range, route::keys},
    {"bitfield_ro", -2, "rF", 1, 1, 1, group::bitmap, "6.0.0", key_form::range, route::keys},
    {"bitop", -4, "wm", 2, -1, 1, group::bitmap, "2.6.0", key_form::range, route::keys},
    {"bitpos", -3, "r", 1, 1, 1, group::bitmap, "2.8.7", key_form::range, route::keys},
    {"blmove", 6, "wmsb", 1, 2, 1, group::list, "6.2.0", key_form::range, route::blocking},
    {"blmpop", -5, "wbk", 0, 0, 0, group::list, "7.0.0", key_form::numkeys2, route::blocking},
    {"blpop", -3, "wsb", 1, -2, 1, group::list, "2.0.0", key_form::range, route::blocking},
    {"brpop", -3, "wsb", 1, -2, 1, group::list, "2.0.0", key_form::range, route::blocking},
    {"brpoplpush", 4, "wmsb", 1, 2, 1, group::list, "2.2.0", key_form::range, route::blocking},
    {"bzmpop", -5, "wbk", 0, 0, 0, group::sorted_set, "7.0.0", key_form::numkeys2, route::blocking},
    {"bzpopmax", -3, "wsbF", 1, -2, 1, group::sorted_set, "5.0.0", key_form::range, route::blocking},
    {"bzpopmin", -3, "wsbF", 1, -2, 1, group::sorted_set, "5.0.0", key_form::range, route::blocking},
    {"client", -2, "", 0, 0, 0, group::connection, "2.4.0", key_form::range, route::local,
     fact::by_subcommand | fact::ends_pause},
    {"cluster", -2, "", 0, 0, 0, group::cluster, "3.0.0", key_form::range, route::local, fact::passed_on},
    {"command", -1, "lt", 0, 0, 0, group::server, "2.8.13", key_form::range, route::local,
     fact::by_subcommand | fact::passed_on},
    {"config", -2, "", 0, 0, 0, group::server, "2.0.0", key_form::range, route::local,
     fact::by_subcommand | fact::passed_on},
    {"copy", -3, "wm", 1, 2, 1, group::generic, "6.2.0", key_form::range, route::whole,
     fact::brings_values | fact::names_databases},
    {"dbsize", 1, "rF", 0, 0, 0, group::server, "1.0.0", key_form::range, route::keyspace},
    {"debug", -2, "aslt", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused, fact::passed_on},
    {"decr", 2, "wmF", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"decrby", 3, "wmF", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"del", -2, "w", 1, -1, 1, group::generic, "1.0.0", key_form::range, route::remove},
    {"delex", -2, "wF", 1, 1, 1, group::string, "8.4.0", key_form::range, route::remove},
    {"digest", 2, "rF", 1, 1, 1, group::string, "8.4.0", key_form::range, route::keys},
    {"discard", 1, "sltFB", 0, 0, 0, group::transactions, "2.0.0", key_form::range, route::transaction,
     fact::asks_no_bus | fact::not_queued},
    {"dualbus", -2, "", 0, 0, 0, group::server, "dualbusd 0.1.0", key_form::range, route::local,
     fact::by_subcommand},
    {"dump", 2, "r", 1, 1, 1, group::generic, "2.6.0", key_form::range, route::whole},
    {"echo", 2, "ltF", 0, 0, 0, group::connection, "1.0.0", key_form::range, route::local},
    {"eval", -3, "stMKk", 0, 0, 0, group::scripting, "2.6.0", key_form::numkeys2, route::scripting,
     fact::brings_script | fact::may_replicate},
    {"eval_ro", -3, "rstMKk", 0, 0, 0, group::scripting, "7.0.0", key_form::numkeys2, route::scripting,
     fact::brings_script},
    {"evalsha", -3, "stMKk", 0, 0, 0, group::scripting, "2.6.0", key_form::numkeys2, route::scripting,
     fact::may_replicate},
    {"evalsha_ro", -3, "rstMKk", 0, 0, 0, group::scripting, "7.0.0", key_form::numkeys2, route::scripting},
    {"exec", 1, "sltS", 0, 0, 0, group::transactions, "1.2.0", key_form::range, route::transaction,
     fact::may_publish | fact::not_queued | fact::runs_queue},
    {"exists", -2, "rF", 1, -1, 1, group::generic, "1.0.0", key_form::range, route::count},
    {"expire", -3, "wF", 1, 1, 1, group::generic, "1.0.0", key_form::range, route::expire},
    {"expireat", -3, "wF", 1, 1, 1, group::generic, "1.2.0", key_form::range, route::expire},
    {"expiretime", 2, "rF", 1, 1, 1, group::generic, "7.0.0", key_form::range, route::ttl},
    {"failover", -1, "ast", 0, 0, 0, group::server, "6.2.0", key_form::range, route::refused},
    {"fcall", -3, "stMKk", 0, 0, 0, group::scripting, "7.0.0", key_form::numkeys2, route::scripting,
     fact::may_replicate},
    {"fcall_ro", -3, "rstMKk", 0, 0, 0, group::scripting, "7.0.0", key_form::numkeys2, route::scripting},
    {"flushall", -1, "w", 0, 0, 0, group::server, "1.0.0", key_form::range, route::keyspace},
    {"flushdb", -1, "w", 0, 0, 0, group::server, "1.0.0", key_form::range, route::keyspace},
    {"function", -2, "", 0, 0, 0, group::scripting, "7.0.0", key_form::range, route::scripting,
     fact::by_subcommand | fact::may_replicate},
    {"geoadd", -5, "wm", 1, 1, 1, group::geo, "3.2.0", key_form::range, route::keys},
    {"geodist", -4, "r", 1, 1, 1, group::geo, "3.2.0", key_form::range, route::keys},
    {"geohash", -2, "r", 1, 1, 1, group::geo, "3.2.0", key_form::range, route::keys},
    {"geopos", -2, "r", 1, 1, 1, group::geo, "3.2.0", key_form::range, route::keys},
    {"georadius", -6, "wmk", 1, 1, 1, group::geo, "3.2.0", key_form::georadius, route::keys},
    {"georadius_ro", -6, "r", 1, 1, 1, group::geo, "3.2.10", key_form::range, route::keys},
    {"georadiusbymember", -5, "wmk", 1, 1, 1, group::geo, "3.2.0", key_form::georadius, route::keys},
    {"georadiusbymember_ro", -5, "r", 1, 1, 1, group::geo, "3.2.10", key_form::range, route::keys},
    {"geosearch", -7, "r", 1, 1, 1, group::geo, "6.2.0", key_form::range, route::keys},
    {"geosearchstore", -8, "wm", 1, 2, 1, group::geo, "6.2.0", key_form::range, route::keys},
    {"get", 2, "rF", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"getbit", 3, "rF", 1, 1, 1, group::bitmap, "2.2.0", key_form::range, route::keys},
    {"getdel", 2, "wF", 1, 1, 1, group::string, "6.2.0", key_form::range, route::keys},
    {"getex", -2, "wF", 1, 1, 1, group::string, "6.2.0", key_form::range, route::keys},
    {"getrange", 4, "r", 1, 1, 1, group::string, "2.4.0", key_form::range, route::keys},
    {"getset", 3, "wmF", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"hdel", -3, "wF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hello", -1, "sltFnB", 0, 0, 0, group::connection, "6.0.0", key_form::range, route::local,
     fact::changes_replies | fact::may_log_in | fact::waits_for_replies},
    {"hexists", 3, "rF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hexpire", -6, "wFm", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hexpireat", -6, "wFm", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hexpiretime", -5, "rF", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hget", 3, "rF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hgetall", 2, "r", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hgetdel", -5, "wF", 1, 1, 1, group::hash, "8.0.0", key_form::range, route::keys},
    {"hgetex", -5, "wF", 1, 1, 1, group::hash, "8.0.0", key_form::range, route::keys},
    {"hincrby", 4, "wmF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hincrbyfloat", 4, "wmF", 1, 1, 1, group::hash, "2.6.0", key_form::range, route::keys},
    {"hkeys", 2, "r", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hlen", 2, "rF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hmget", -3, "rF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hmset", -4, "wmF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hotkeys", -2, "", 0, 0, 0, group::server, "8.6.0", key_form::range, route::refused, fact::passed_on},
    {"hpersist", -5, "wF", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hpexpire", -6, "wFm", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hpexpireat", -6, "wFm", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hpexpiretime", -5, "rF", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hpttl", -5, "rF", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hrandfield", -2, "r", 1, 1, 1, group::hash, "6.2.0", key_form::range, route::keys},
    {"hscan", -3, "r", 1, 1, 1, group::hash, "2.8.0", key_form::range, route::keys},
    {"hset", -4, "wmF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hsetex", -6, "wmF", 1, 1, 1, group::hash, "8.0.0", key_form::range, route::keys},
    {"hsetnx", 4, "wmF", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"hstrlen", 3, "rF", 1, 1, 1, group::hash, "3.2.0", key_form::range, route::keys},
    {"httl", -5, "rF", 1, 1, 1, group::hash, "7.4.0", key_form::range, route::keys},
    {"hvals", 2, "r", 1, 1, 1, group::hash, "2.0.0", key_form::range, route::keys},
    {"incr", 2, "wmF", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"incrby", 3, "wmF", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"incrbyfloat", 3, "wmF", 1, 1, 1, group::string, "2.6.0", key_form::range, route::keys},
    {"info", -1, "lt", 0, 0, 0, group::server, "1.0.0", key_form::range, route::local},
    {"keys", 2, "r", 0, 0, 0, group::generic, "1.0.0", key_form::range, route::keyspace},
    {"lastsave", 1, "ltF", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused, fact::passed_on},
    {"latency", -2, "", 0, 0, 0, group::server, "2.8.13", key_form::range, route::local, fact::passed_on},
    {"lcs", -3, "r", 1, 2, 1, group::string, "7.0.0", key_form::range, route::keys},
    {"lindex", 3, "r", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"linsert", 5, "wm", 1, 1, 1, group::list, "2.2.0", key_form::range, route::keys},
    {"llen", 2, "rF", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"lmove", 5, "wm", 1, 2, 1, group::list, "6.2.0", key_form::range, route::keys},
    {"lmpop", -4, "wk", 0, 0, 0, group::list, "7.0.0", key_form::numkeys1, route::keys},
    {"lolwut", -1, "rF", 0, 0, 0, group::server, "5.0.0", key_form::range, route::local,
     fact::for_any_redis | fact::passed_on},
    {"lpop", -2, "wF", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"lpos", -3, "r", 1, 1, 1, group::list, "6.0.6", key_form::range, route::keys},
    {"lpush", -3, "wmF", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"lpushx", -3, "wmF", 1, 1, 1, group::list, "2.2.0", key_form::range, route::keys},
    {"lrange", 4, "r", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"lrem", 4, "w", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"lset", 4, "wm", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"ltrim", 4, "w", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"memory", -2, "", 0, 0, 0, group::server, "4.0.0", key_form::second, route::memory},
    {"mget", -2, "rF", 1, -1, 1, group::string, "1.0.0", key_form::range, route::mget},
    {"migrate", -6, "wk", 3, 3, 1, group::generic, "2.6.0", key_form::range, route::refused,
     fact::brings_values | fact::logs_in_elsewhere | fact::names_more_keys | fact::passed_on},
    {"module", -2, "", 0, 0, 0, group::server, "4.0.0", key_form::range, route::local, fact::by_subcommand},
    {"monitor", 1, "aslt", 0, 0, 0, group::server, "1.0.0", key_form::range, route::local,
     fact::refused_in_exec},
    {"move", 3, "wF", 1, 1, 1, group::generic, "1.0.0", key_form::range, route::databases,
     fact::brings_values | fact::names_databases},
    {"mset", -3, "wm", 1, -1, 2, group::string, "1.0.1", key_form::range, route::mset},
    {"msetex", -4, "wmk", 0, 0, 0, group::string, "8.4.0", key_form::numkeys1_pairs, route::keys},
    {"msetnx", -3, "wm", 1, -1, 2, group::string, "1.0.1", key_form::range, route::keys},
    {"multi", 1, "sltFB", 0, 0, 0, group::transactions, "1.2.0", key_form::range, route::transaction,
     fact::asks_no_bus | fact::not_queued},
    {"object", -2, "", 0, 0, 0, group::generic, "2.2.3", key_form::second, route::object},
    {"persist", 2, "wF", 1, 1, 1, group::generic, "2.2.0", key_form::range, route::expire},
    {"pexpire", -3, "wF", 1, 1, 1, group::generic, "2.6.0", key_form::range, route::expire},
    {"pexpireat", -3, "wF", 1, 1, 1, group::generic, "2.6.0", key_form::range, route::expire},
    {"pexpiretime", 2, "rF", 1, 1, 1, group::generic, "7.0.0", key_form::range, route::ttl},
    {"pfadd", -2, "wmF", 1, 1, 1, group::hyperloglog, "2.8.9", key_form::range, route::keys},
    {"pfcount", -2, "r", 1, -1, 1, group::hyperloglog, "2.8.9", key_form::range, route::keys,
     fact::may_replicate},
    {"pfdebug", 3, "wma", 2, 2, 1, group::hyperloglog, "2.8.9", key_form::range, route::refused,
     fact::passed_on},
    {"pfmerge", -2, "wm", 1, -1, 1, group::hyperloglog, "2.8.9", key_form::range, route::keys},
    {"pfselftest", 1, "a", 0, 0, 0, group::hyperloglog, "2.8.9", key_form::range, route::refused,
     fact::passed_on},
    {"ping", -1, "F", 0, 0, 0, group::connection, "1.0.0", key_form::range, route::local,
     fact::allowed_to_subscribers},
    {"psetex", 4, "wm", 1, 1, 1, group::string, "2.6.0", key_form::range, route::keys},
    {"psubscribe", -2, "pslt", 0, 0, 0, group::pubsub, "2.0.0", key_form::range, route::subscribe,
     fact::subscribes | fact::takes_patterns},
    {"psync", -3, "asLX", 0, 0, 0, group::server, "2.8.0", key_form::range, route::refused},
    {"pttl", 2, "rF", 1, 1, 1, group::generic, "2.6.0", key_form::range, route::ttl},
    {"publish", 3, "pltF", 0, 0, 0, group::pubsub, "2.0.0", key_form::range, route::publish,
     fact::may_replicate},
    {"pubsub", -2, "", 0, 0, 0, group::pubsub, "2.8.0", key_form::range, route::pubsub},
    {"punsubscribe", -1, "pslt", 0, 0, 0, group::pubsub, "2.0.0", key_form::range, route::subscribe,
     fact::takes_patterns},
    {"quit", -1, "sltFnB", 0, 0, 0, group::connection, "1.0.0", key_form::range, route::local,
     fact::allowed_to_subscribers | fact::not_queued},
    {"randomkey", 1, "r", 0, 0, 0, group::generic, "1.0.0", key_form::range, route::keyspace},
    {"readonly", 1, "ltF", 0, 0, 0, group::cluster, "3.0.0", key_form::range, route::local},
    {"readwrite", 1, "ltF", 0, 0, 0, group::cluster, "3.0.0", key_form::range, route::local},
    {"rename", 3, "w", 1, 2, 1, group::generic, "1.0.0", key_form::range, route::whole, fact::brings_values},
    {"renamenx", 3, "wF", 1, 2, 1, group::generic, "1.0.0", key_form::range, route::whole,
     fact::brings_values},
    {"replconf", -1, "asltB", 0, 0, 0, group::server, "3.0.0", key_form::range, route::refused},
    {"replicaof", 3, "astL", 0, 0, 0, group::server, "5.0.0", key_form::range, route::refused},
    {"reset", 1, "sltFnB", 0, 0, 0, group::connection, "6.2.0", key_form::range, route::local,
     fact::allowed_to_subscribers | fact::not_queued | fact::waits_for_replies},
    {"restore", -4, "wm", 1, 1, 1, group::generic, "2.6.0", key_form::range, route::keys,
     fact::brings_values},
    {"restore-asking", -4, "wmA", 1, 1, 1, group::server, "3.0.0", key_form::range, route::refused,
     fact::brings_values | fact::passed_on},
    {"role", 1, "sltF", 0, 0, 0, group::server, "2.8.12", key_form::range, route::local, fact::passed_on},
    {"rpop", -2, "wF", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"rpoplpush", 3, "wm", 1, 2, 1, group::list, "1.2.0", key_form::range, route::keys},
    {"rpush", -3, "wmF", 1, 1, 1, group::list, "1.0.0", key_form::range, route::keys},
    {"rpushx", -3, "wmF", 1, 1, 1, group::list, "2.2.0", key_form::range, route::keys},
    {"sadd", -3, "wmF", 1, 1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"save", 1, "asLX", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused, fact::passed_on},
    {"scan", -2, "r", 0, 0, 0, group::generic, "2.8.0", key_form::range, route::keyspace},
    {"scard", 2, "rF", 1, 1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"script", -2, "", 0, 0, 0, group::scripting, "2.6.0", key_form::range, route::scripting},
    {"sdiff", -2, "r", 1, -1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"sdiffstore", -3, "wm", 1, -1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"select", 2, "ltF", 0, 0, 0, group::connection, "1.0.0", key_form::range, route::local,
     fact::chooses_database},
    {"set", -3, "wm", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"setbit", 4, "wm", 1, 1, 1, group::bitmap, "2.2.0", key_form::range, route::keys},
    {"setex", 4, "wm", 1, 1, 1, group::string, "2.0.0", key_form::range, route::keys},
    {"setnx", 3, "wmF", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"setrange", 4, "wm", 1, 1, 1, group::string, "2.2.0", key_form::range, route::keys},
    {"shutdown", -1, "asltXB", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused},
    {"sinter", -2, "r", 1, -1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"sintercard", -3, "rk", 0, 0, 0, group::set, "7.0.0", key_form::numkeys1, route::keys},
    {"sinterstore", -3, "wm", 1, -1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"sismember", 3, "rF", 1, 1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"slaveof", 3, "astL", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused},
    {"slowlog", -2, "", 0, 0, 0, group::server, "2.2.12", key_form::range, route::local, fact::passed_on},
    {"smembers", 2, "r", 1, 1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"smismember", -3, "rF", 1, 1, 1, group::set, "6.2.0", key_form::range, route::keys},
    {"smove", 4, "wF", 1, 2, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"sort", -2, "wmk", 1, 1, 1, group::generic, "1.0.0", key_form::sort, route::sort},
    {"sort_ro", -2, "rk", 1, 1, 1, group::generic, "7.0.0", key_form::range, route::sort},
    {"spop", -2, "wF", 1, 1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"spublish", 3, "pltF", 1, 1, 1, group::pubsub, "7.0.0", key_form::range, route::publish,
     fact::may_replicate},
    {"srandmember", -2, "r", 1, 1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"srem", -3, "wF", 1, 1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"sscan", -3, "r", 1, 1, 1, group::set, "2.8.0", key_form::range, route::keys},
    {"ssubscribe", -2, "pslt", 1, -1, 1, group::pubsub, "7.0.0", key_form::range, route::subscribe,
     fact::subscribes},
    {"strlen", 2, "rF", 1, 1, 1, group::string, "2.2.0", key_form::range, route::keys},
    {"subscribe", -2, "pslt", 0, 0, 0, group::pubsub, "2.0.0", key_form::range, route::subscribe,
     fact::subscribes},
    {"substr", 4, "r", 1, 1, 1, group::string, "1.0.0", key_form::range, route::keys},
    {"sunion", -2, "r", 1, -1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"sunionstore", -3, "wm", 1, -1, 1, group::set, "1.0.0", key_form::range, route::keys},
    {"sunsubscribe", -1, "pslt", 1, -1, 1, group::pubsub, "7.0.0", key_form::range, route::subscribe},
    {"swapdb", 3, "wF", 0, 0, 0, group::server, "4.0.0", key_form::range, route::databases,
     fact::brings_values | fact::names_databases},
    {"sync", 1, "asLX", 0, 0, 0, group::server, "1.0.0", key_form::range, route::refused},
    {"time", 1, "ltF", 0, 0, 0, group::server, "2.6.0", key_form::range, route::local},
    {"touch", -2, "rF", 1, -1, 1, group::generic, "3.2.1", key_form::range, route::count},
    {"ttl", 2, "rF", 1, 1, 1, group::generic, "1.0.0", key_form::range, route::ttl},
    {"type", 2, "rF", 1, 1, 1, group::generic, "1.0.0", key_form::range, route::type},
    {"unlink", -2, "wF", 1, -1, 1, group::generic, "4.0.0", key_form::range, route::remove},
    {"unsubscribe", -1, "pslt", 0, 0, 0, group::pubsub, "2.0.0", key_form::range, route::subscribe},
    {"unwatch", 1, "sltFB", 0, 0, 0, group::transactions, "2.2.0", key_form::range, route::transaction,
     fact::asks_no_bus},
    {"vadd", -5, "wm", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vcard", 2, "rF", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vdim", 2, "rF", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vemb", -3, "r", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vgetattr", 3, "rF", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vinfo", 2, "rF", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vismember", 3, "rF", 1, 1, 1, group::module, "8.2.0", key_form::range, route::keys},
    {"vlinks", -3, "rF", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vrandmember", -2, "r", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vrange", -4, "r", 1, 1, 1, group::module, "8.4.0", key_form::range, route::keys},
    {"vrem", 3, "w", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vsetattr", 4, "wF", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"vsim", -4, "r", 1, 1, 1, group::module, "8.0.0", key_form::range, route::keys},
    {"wait", 3, "s", 0, 0, 0, group::generic, "3.0.0", key_form::range, route::blocking},
    {"waitaof", 4, "s", 0, 0, 0, group::generic, "7.2.0", key_form::range, route::blocking},
    {"watch", -2, "sltFB", 1, -1, 1, group::transactions, "2.2.0", key_form::range, route::transaction,
     fact::asks_no_bus | fact::not_queued},
    {"xack", -4, "wF", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream, fact::changes_groups},
    {"xackdel", -6, "wF", 1, 1, 1, group::stream, "8.2.0", key_form::range, route::stream},
    {"xadd", -5, "wmF", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::xadd},
    {"xautoclaim", -6, "wF", 1, 1, 1, group::stream, "6.2.0", key_form::range, route::stream,
     fact::changes_groups | fact::names_consumer | fact::needs_rounds},
    {"xcfgset", -2, "wF", 1, 1, 1, group::stream, "8.6.0", key_form::range, route::xother},
    {"xclaim", -6, "wF", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream,
     fact::changes_groups | fact::changes_keys_by_lastid | fact::names_consumer},
    {"xdel", -3, "wF", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream},
    {"xdelex", -5, "wF", 1, 1, 1, group::stream, "8.2.0", key_form::range, route::stream},
    {"xgroup", -2, "", 0, 0, 0, group::stream, "5.0.0", key_form::second, route::stream,
     fact::changes_keys | fact::may_replicate | fact::needs_rounds},
    {"xinfo", -2, "", 0, 0, 0, group::stream, "5.0.0", key_form::second, route::stream},
    {"xlen", 2, "rF", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream},
    {"xnack", -7, "wF", 1, 1, 1, group::stream, "8.8.0", key_form::range, route::xother},
    {"xpending", -3, "r", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream},
    {"xrange", -4, "r", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream},
    {"xread", -4, "rbk", 0, 0, 0, group::stream, "5.0.0", key_form::streams, route::xread},
    {"xreadgroup", -7, "wbk", 0, 0, 0, group::stream, "5.0.0", key_form::streams, route::xread,
     fact::changes_groups | fact::reads_group},
    {"xrevrange", -4, "r", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream},
    {"xsetid", -3, "wmF", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::xother},
    {"xtrim", -4, "w", 1, 1, 1, group::stream, "5.0.0", key_form::range, route::stream},
    {"zadd", -4, "wmF", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zcard", 2, "rF", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zcount", 4, "rF", 1, 1, 1, group::sorted_set, "2.0.0", key_form::range, route::keys},
    {"zdiff", -3, "rk", 0, 0, 0, group::sorted_set, "6.2.0", key_form::numkeys1, route::keys},
    {"zdiffstore", -4, "wmk", 1, 1, 1, group::sorted_set, "6.2.0", key_form::dest_numkeys, route::keys},
    {"zincrby", 4, "wmF", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zinter", -3, "rk", 0, 0, 0, group::sorted_set, "6.2.0", key_form::numkeys1, route::keys},
    {"zintercard", -3, "rk", 0, 0, 0, group::sorted_set, "7.0.0", key_form::numkeys1, route::keys},
    {"zinterstore", -4, "wmk", 1, 1, 1, group::sorted_set, "2.0.0", key_form::dest_numkeys, route::keys},
    {"zlexcount", 4, "rF", 1, 1, 1, group::sorted_set, "2.8.9", key_form::range, route::keys},
    {"zmpop", -4, "wk", 0, 0, 0, group::sorted_set, "7.0.0", key_form::numkeys1, route::keys},
    {"zmscore", -3, "rF", 1, 1, 1, group::sorted_set, "6.2.0", key_form::range, route::keys},
    {"zpopmax", -2, "wF", 1, 1, 1, group::sorted_set, "5.0.0", key_form::range, route::keys},
    {"zpopmin", -2, "wF", 1, 1, 1, group::sorted_set, "5.0.0", key_form::range, route::keys},
    {"zrandmember", -2, "r", 1, 1, 1, group::sorted_set, "6.2.0", key_form::range, route::keys},
    {"zrange", -4, "r", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zrangebylex", -4, "r", 1, 1, 1, group::sorted_set, "2.8.9", key_form::range, route::keys},
    {"zrangebyscore", -4, "r", 1, 1, 1, group::sorted_set, "1.0.5", key_form::range, route::keys},
    {"zrangestore", -5, "wm", 1, 2, 1, group::sorted_set, "6.2.0", key_form::range, route::keys},
    {"zrank", -3, "rF", 1, 1, 1, group::sorted_set, "2.0.0", key_form::range, route::keys},
    {"zrem", -3, "wF", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zremrangebylex", 4, "w", 1, 1, 1, group::sorted_set, "2.8.9", key_form::range, route::keys},
    {"zremrangebyrank", 4, "w", 1, 1, 1, group::sorted_set, "2.0.0", key_form::range, route::keys},
    {"zremrangebyscore", 4, "w", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zrevrange", -4, "r", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zrevrangebylex", -4, "r", 1, 1, 1, group::sorted_set, "2.8.9", key_form::range, route::keys},
    {"zrevrangebyscore", -4, "r", 1, 1, 1, group::sorted_set, "2.2.0", key_form::range, route::keys},
    {"zrevrank", -3, "rF", 1, 1, 1, group::sorted_set, "2.0.0", key_form::range, route::keys},
    {"zscan", -3, "r", 1, 1, 1, group::sorted_set, "2.8.0", key_form::range, route::keys},
    {"zscore", 3, "rF", 1, 1, 1, group::sorted_set, "1.2.0", key_form::range, route::keys},
    {"zunion", -3, "rk", 0, 0, 0, group::sorted_set, "6.2.0", key_form::numkeys1, route::keys},
    {"zunionstore", -4, "wmk", 1, 1, 1, group::sorted_set, "2.0.0", key_form::dest_numkeys, route::keys},
};

// The facts that follow from the other columns.
constexpr fact facts_from_columns(const command_spec& spec) {
  const bool writes = has_flag(spec, 'w');
  fact found = fact::none;
  switch (spec.route) {
    case route::local:
      found = found | fact::asks_no_bus;
      break;
    case route::subscribe:
      found = found | fact::allowed_to_subscribers | fact::waits_for_replies;
      break;
    case route::publish:
      found = found | fact::may_publish;
      break;
    case route::scripting:
      found = found | fact::may_publish;
      // A script may write unless it says otherwise; SCRIPT and FUNCTION run none.
      if (spec.keys == key_form::numkeys2 && !has_flag(spec, 'r')) found = found | fact::changes_keys;
      break;
    case route::refused:
      // DEBUG, where it is passed on, can do anything.
      found = found | fact::changes_keys;
      break;
    default:
      break;
  }
  if (writes) found = found | fact::may_replicate;
  if (writes && !spec.has(fact::changes_groups)) found = found | fact::changes_keys;
  return found;
}

constexpr auto with_all_facts() {
  auto table = std::to_array(rows);
  for (command_spec& spec : table) spec.facts = spec.facts | facts_from_columns(spec);
  return table;
}

constexpr auto commands = with_all_facts();

constexpr command_flag flags[] = {
    {'w', "write"},      {'r', "readonly"},         {'m', "denyoom"},      {'a', "admin"},
    {'p', "pubsub"},     {'s', "noscript"},         {'b', "blocking"},     {'l', "loading"},
    {'t', "stale"},      {'M', "skip_monitor"},     {'S', "skip_slowlog"}, {'A', "asking"},
    {'F', "fast"},       {'n', "no_auth"},          {'k', "movablekeys"},  {'K', "no_mandatory_keys"},
    {'B', "allow_busy"}, {'L', "no_async_loading"}, {'X', "no_multi"},
};

// The names of groups, in the order of the enumeration.
constexpr std::string_view group_names[] = {"bitmap",    "cluster",     "connection", "generic",    "geo",
                                            "hash",      "hyperloglog", "list",       "module",     "pubsub",
                                            "scripting", "server",      "set",        "sorted-set", "stream",
                                            "string",    "transactions"};

constexpr name_index<std::size(commands)> command_index(commands);

}  // namespace

std::span<const command_spec> command_table() {
  return commands;
}

std::span<const command_flag> command_flags() {
  return flags;
}

std::string_view group_name(group g) {
  return group_names[static_cast<std::size_t>(g)];
}

int find_command(std::string_view name) {
  return command_index.find(name);
}

}  // namespace dualbus::command
