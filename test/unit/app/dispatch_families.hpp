#pragma once

#include "resp_pieces.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::app::test {

/// The promises of docs/commands.md and docs/differences.md about commands that are treated alike, in the
/// words that dispatch_outcome.hpp explains.
///
/// Each example is the shortest request of its command. In it `k` and `k2` stand for keys: with `md:` before
/// them they are pinned to bus a. An example that begins with `!` counts as a change of keys; so does all of
/// XGROUP.
struct family {
  std::string_view pinned;    ///< two buses, pinned keys
  std::string_view free;      ///< two buses, other keys
  std::string_view second;    ///< likewise in database 1
  std::string_view plain;     ///< the only bus, server commands passed
  std::string_view in_multi;  ///< two buses, other keys: `queued`, `at once` or the text of a refusal
  std::string_view examples;  ///< one on each line
};

struct example {
  const family* of;
  bool changes_keys;
  std::string text;

  /// The request with keys that begin with `prefix`.
  words request(std::string_view prefix = "") const {
    words result = split(text);
    for (std::size_t i = 1; i < result.size(); ++i) {
      if (result[i] == "k" || result[i] == "k2") result[i] = std::string(prefix) + result[i];
    }
    return result;
  }
  /// The name of the command, in lower case.
  std::string name() const {
    std::string word = split(text)[0];
    for (char& c : word) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return word;
  }
};

inline constexpr family families[] = {
    // To the bus of the keys. Strings and bitmaps:
    {"a", "b", "b", "main", "queued",
     "!APPEND k v\n!DECR k\n!DECRBY k 1\nDIGEST k\nGET k\n!GETDEL k\n!GETEX k\nGETRANGE k 0 1\n"
     "!GETSET k v\n!INCR k\n!INCRBY k 1\n!INCRBYFLOAT k 1\nLCS k k2\n!MSETEX 1 k v\n!MSETNX k v\n"
     "!PSETEX k 1 v\n!SET k v\n!SETEX k 1 v\n!SETNX k v\n!SETRANGE k 0 v\nSTRLEN k\nSUBSTR k 0 1\n"
     "BITCOUNT k\n!BITFIELD k\nBITFIELD_RO k\n!BITOP AND k k2\nBITPOS k 1\nGETBIT k 0\n!SETBIT k 0 1\n"
     "!PFADD k\nPFCOUNT k\n!PFMERGE k\n!RESTORE k 0 v\n!SORT k\nSORT_RO k\n"},
    // Places and hashes:
    {"a", "b", "b", "main", "queued",
     "!GEOADD k 1 2 m\nGEODIST k m n\nGEOHASH k\nGEOPOS k\n!GEORADIUS k 0 0 1 m\n"
     "GEORADIUS_RO k 0 0 1 m\n!GEORADIUSBYMEMBER k m 1 m\nGEORADIUSBYMEMBER_RO k m 1 m\n"
     "GEOSEARCH k FROMMEMBER m BYRADIUS 1 m\n!GEOSEARCHSTORE k k2 FROMMEMBER m BYRADIUS 1 m\n"
     "!HDEL k f\nHEXISTS k f\n!HEXPIRE k 1 FIELDS 1 f\n!HEXPIREAT k 1 FIELDS 1 f\n"
     "HEXPIRETIME k FIELDS 1 f\nHGET k f\nHGETALL k\n!HGETDEL k FIELDS 1 f\n!HGETEX k FIELDS 1 f\n"
     "!HINCRBY k f 1\n!HINCRBYFLOAT k f 1\nHKEYS k\nHLEN k\nHMGET k f\n!HMSET k f v\n"
     "!HPERSIST k FIELDS 1 f\n!HPEXPIRE k 1 FIELDS 1 f\n!HPEXPIREAT k 1 FIELDS 1 f\n"
     "HPEXPIRETIME k FIELDS 1 f\nHPTTL k FIELDS 1 f\nHRANDFIELD k\nHSCAN k 0\n!HSET k f v\n"
     "!HSETEX k FIELDS 1 f v\n!HSETNX k f v\nHSTRLEN k f\nHTTL k FIELDS 1 f\nHVALS k\n"},
    // Lists, sets and vector sets:
    {"a", "b", "b", "main", "queued",
     "LINDEX k 0\n!LINSERT k BEFORE p v\nLLEN k\n!LMOVE k k2 LEFT LEFT\n!LMPOP 1 k LEFT\n!LPOP k\n"
     "LPOS k v\n!LPUSH k v\n!LPUSHX k v\nLRANGE k 0 1\n!LREM k 0 v\n!LSET k 0 v\n!LTRIM k 0 1\n!RPOP k\n"
     "!RPOPLPUSH k k2\n!RPUSH k v\n!RPUSHX k v\n!SADD k m\nSCARD k\nSDIFF k\n!SDIFFSTORE k k2\n"
     "SINTER k\nSINTERCARD 1 k\n!SINTERSTORE k k2\nSISMEMBER k m\nSMEMBERS k\nSMISMEMBER k m\n"
     "!SMOVE k k2 m\n!SPOP k\nSRANDMEMBER k\n!SREM k m\nSSCAN k 0\nSUNION k\n!SUNIONSTORE k k2\n"
     "!VADD k FP32 v e\nVCARD k\nVDIM k\nVEMB k e\nVGETATTR k e\nVINFO k\nVISMEMBER k e\nVLINKS k e\n"
     "VRANDMEMBER k\nVRANGE k - +\n!VREM k e\n!VSETATTR k e v\nVSIM k ELE e\n"},
    // Sorted sets:
    {"a", "b", "b", "main", "queued",
     "!ZADD k 1 m\nZCARD k\nZCOUNT k 0 1\nZDIFF 1 k\n!ZDIFFSTORE k 1 k2\n!ZINCRBY k 1 m\nZINTER 1 k\n"
     "ZINTERCARD 1 k\n!ZINTERSTORE k 1 k2\nZLEXCOUNT k - +\n!ZMPOP 1 k MIN\nZMSCORE k m\n!ZPOPMAX k\n"
     "!ZPOPMIN k\nZRANDMEMBER k\nZRANGE k 0 1\nZRANGEBYLEX k - +\nZRANGEBYSCORE k 0 1\n"
     "!ZRANGESTORE k k2 0 1\nZRANK k m\n!ZREM k m\n!ZREMRANGEBYLEX k - +\n!ZREMRANGEBYRANK k 0 1\n"
     "!ZREMRANGEBYSCORE k 0 1\nZREVRANGE k 0 1\nZREVRANGEBYLEX k + -\nZREVRANGEBYSCORE k 1 0\n"
     "ZREVRANK k m\nZSCAN k 0\nZSCORE k m\nZUNION 1 k\n!ZUNIONSTORE k 1 k2\n"},
    // Of several buses, and one has all keys:
    {"a", "b", "b", "main", "queued", "MGET k\n!MSET k v\n"},

    // About keys that may have parts on every bus.
    {"a", "a+b", "b", "main", "queued",
     "!DEL k\n!DELEX k\nEXISTS k\n!EXPIRE k 1\n!EXPIREAT k 1\nEXPIRETIME k\n!PERSIST k\n!PEXPIRE k 1\n"
     "!PEXPIREAT k 1\nPEXPIRETIME k\nPTTL k\nTOUCH k\nTTL k\nTYPE k\n!UNLINK k\n"},
    {"a", "a+b*", "b", "main", "NOTSUPPORTED RENAME is not available inside MULTI", "!RENAME k k2\n"},
    {"a", "a+b*", "b", "main", "NOTSUPPORTED RENAMENX is not available inside MULTI", "!RENAMENX k k2\n"},
    {"a", "a+b*", "b", "main", "NOTSUPPORTED COPY is not available inside MULTI", "!COPY k k2\n"},
    {"a", "a+b*", "b", "main", "NOTSUPPORTED DUMP is not available inside MULTI", "DUMP k\n"},

    // On connections of their own; within MULTI nothing waits.
    {"own a", "own b", "own b", "own main", "queued",
     "!BLMOVE k k2 LEFT LEFT 0\n!BLMPOP 0 1 k LEFT\n!BLPOP k 0\n!BRPOP k 0\n!BRPOPLPUSH k k2 0\n"
     "!BZMPOP 0 1 k MIN\n!BZPOPMAX k 0\n!BZPOPMIN k 0\n"},
    {"own a+b*", "own a+b*", "own a+b*", "own main*", "queued", "WAIT 0 0\nWAITAOF 0 0 0\n"},

    // Streams.
    {"a", "b", "b", "main", "queued", "!XADD k * f v\n"},
    {"a", "a+b", "b", "main", "queued", "XLEN k\nXPENDING k g\n!XTRIM k MAXLEN 1\n"},
    {"a", "a+b*", "b", "main", "queued", "XRANGE k - +\nXREVRANGE k + -\n"},
    {"a", "a+b*", "b", "main", "queued", "XREAD STREAMS k 0\n"},
    {"a", "a+b", "b", "main", "queued", "XREADGROUP GROUP g c STREAMS k >\n"},
    {"a", "b*", "b", "main", "queued",
     "XACK k g 5-2000000000000\n!XDEL k 5-2000000000000\n!XACKDEL k g IDS 1 5-2000000000000\n"
     "!XDELEX k IDS 1 5-2000000000000\nXCLAIM k g c 0 5-2000000000000\n"},
    {"a", "a+b*", "b", "main", "NOTSUPPORTED XAUTOCLAIM of a stream over several buses is not available",
     "XAUTOCLAIM k g c 0 0-0\n"},
    {"a", "refused ERR dualbus: command 'XSETID' is not supported on logical stream 'k'", "b", "main",
     "ERR dualbus: command 'XSETID' is not supported", "!XSETID k 5-0\n"},
    {"a", "refused ERR dualbus: command 'XCFGSET' is not supported on logical stream 'k'", "b", "main",
     "ERR dualbus: command 'XCFGSET' is not supported", "!XCFGSET k\n"},
    {"a", "refused ERR dualbus: command 'XNACK' is not supported on logical stream 'k'", "b", "main",
     "ERR dualbus: command 'XNACK' is not supported", "!XNACK k g FAIL IDS 1 5-0\n"},

    // All keys of all buses.
    {"a+b", "a+b", "a+b", "main", "NOTSUPPORTED DBSIZE is not available inside MULTI", "DBSIZE\n"},
    {"a+b", "a+b", "a+b", "main", "NOTSUPPORTED KEYS is not available inside MULTI", "KEYS *\n"},
    {"a", "a", "a", "main", "NOTSUPPORTED SCAN is not available inside MULTI", "SCAN 0\n"},
    {"a+b*", "a+b*", "a+b*", "main", "NOTSUPPORTED RANDOMKEY is not available inside MULTI", "RANDOMKEY\n"},
    {"refused NOTSUPPORTED command 'FLUSHALL' would remove the keys of every bus",
     "refused NOTSUPPORTED command 'FLUSHALL'", "refused NOTSUPPORTED command 'FLUSHALL'", "main",
     "NOTSUPPORTED command 'FLUSHALL'", "!FLUSHALL\n"},
    {"refused NOTSUPPORTED command 'FLUSHDB' would remove the keys of every bus",
     "refused NOTSUPPORTED command 'FLUSHDB'", "refused NOTSUPPORTED command 'FLUSHDB'", "main",
     "NOTSUPPORTED command 'FLUSHDB'", "!FLUSHDB\n"},
    {"a", "refused NOTSUPPORTED command 'MOVE' needs a key that is pinned to one bus", "b", "main",
     "NOTSUPPORTED command 'MOVE' needs a key", "!MOVE k 1\n"},
    {"refused NOTSUPPORTED command 'SWAPDB' is about one server", "refused NOTSUPPORTED command 'SWAPDB'",
     "refused NOTSUPPORTED command 'SWAPDB'", "main", "NOTSUPPORTED command 'SWAPDB'", "!SWAPDB 0 1\n"},

    // Scripts; one without keys runs where keys are that no rule knows. EVAL makes its script known
    // everywhere.
    {"a+b*", "a+b*", "a+b*", "own main", "queued", "!EVAL return0 0\nEVAL_RO return0 0\n"},
    {"b", "b", "b", "own main", "queued", "!EVALSHA sha 0\nEVALSHA_RO sha 0\n!FCALL f 0\nFCALL_RO f 0\n"},
    {"b", "b", "b", "main", "queued", "FUNCTION DUMP\nSCRIPT HELP\n"},

    // Commands with subcommands, by a short one; dispatch_subcommands_test.cpp has all of them.
    {"b", "b", "b", "main", "queued", "OBJECT HELP\nXINFO HELP\n!XGROUP HELP\n"},
    {"b", "b", "b", "main", "queued", "MEMORY HELP\n"},

    // Publish and subscribe.
    {"b", "b", "b", "main", "queued", "PUBLISH c m\nSPUBLISH c m\n"},
    {"a+b*", "a+b*", "a+b*", "main*", "NOTSUPPORTED PUBSUB is not available inside MULTI", "PUBSUB NUMPAT\n"},
    {"aside a+b", "aside a+b", "aside a+b", "aside main", "NOTSUPPORTED PSUBSCRIBE is not available",
     "PSUBSCRIBE c\n"},
    {"aside a+b", "aside a+b", "aside a+b", "aside main", "NOTSUPPORTED SSUBSCRIBE is not available",
     "SSUBSCRIBE c\n"},
    {"aside a+b", "aside a+b", "aside a+b", "aside main", "NOTSUPPORTED SUBSCRIBE is not available",
     "SUBSCRIBE c\n"},
    {"daemon", "daemon", "daemon", "daemon", "NOTSUPPORTED PUNSUBSCRIBE is not available", "PUNSUBSCRIBE\n"},
    {"daemon", "daemon", "daemon", "daemon", "NOTSUPPORTED SUNSUBSCRIBE is not available", "SUNSUBSCRIBE\n"},
    {"daemon", "daemon", "daemon", "daemon", "NOTSUPPORTED UNSUBSCRIBE is not available", "UNSUBSCRIBE\n"},

    // Answered by the daemon.
    {"daemon", "daemon", "daemon", "daemon", "queued",
     "ACL WHOAMI\nCLIENT ID\nDUALBUS HELP\nECHO m\nSELECT 0\nTIME\n"},
    {"refused ERR AUTH <password> called without any password configured", "refused ERR AUTH <password>",
     "refused ERR AUTH <password>", "refused ERR AUTH <password>", "queued", "AUTH secret\n"},
    {"daemon", "daemon", "daemon", "main", "queued",
     "COMMAND\nLATENCY LATEST\nPING\nROLE\nSLOWLOG LEN\nMODULE LIST\n"},
    {"a+b*", "a+b*", "a+b*", "main*", "queued", "INFO\n"},
    {"daemon", "daemon", "daemon", "daemon", "NOTSUPPORTED HELLO is not available inside MULTI", "HELLO\n"},
    {"daemon", "daemon", "daemon", "daemon", "queued", "MONITOR\n"},
    {"daemon", "daemon", "daemon", "daemon", "at once", "QUIT\nRESET\n"},
    {"b", "b", "b", "main", "queued", "LOLWUT\n"},
    {"refused ERR This instance has cluster support disabled", "refused ERR This instance",
     "refused ERR This instance", "refused ERR This instance", "queued", "ASKING\nREADONLY\nREADWRITE\n"},
    {"refused ERR This instance has cluster support disabled", "refused ERR This instance",
     "refused ERR This instance", "main", "queued", "CLUSTER INFO\n"},
    {"refused NOTSUPPORTED", "refused NOTSUPPORTED", "refused NOTSUPPORTED", "main", "queued",
     "CONFIG REWRITE\n"},

    // Transactions.
    {"daemon", "daemon", "daemon", "daemon", "ERR MULTI calls can not be nested", "MULTI\n"},
    {"refused ERR DISCARD without MULTI", "refused ERR DISCARD", "refused ERR DISCARD", "refused ERR DISCARD",
     "at once", "DISCARD\n"},
    {"refused ERR EXEC without MULTI", "refused ERR EXEC", "refused ERR EXEC", "refused ERR EXEC", "at once",
     "EXEC\n"},
    {"daemon", "daemon", "daemon", "daemon", "queued", "UNWATCH\n"},
    {"own a", "own b", "own b", "own main", "ERR WATCH inside MULTI is not allowed", "WATCH k\n"},

    // About one server.
    {"refused NOTSUPPORTED", "refused NOTSUPPORTED", "refused NOTSUPPORTED", "main", "NOTSUPPORTED command",
     "!BGREWRITEAOF\n!BGSAVE\n!DEBUG HELP\n!HOTKEYS GET\n!LASTSAVE\n!MIGRATE h 1 k 0 1\n"
     "!PFDEBUG ENCODING k\n!PFSELFTEST\n!RESTORE-ASKING k 0 v\n"},
    {"refused NOTSUPPORTED", "refused NOTSUPPORTED", "refused NOTSUPPORTED", "main",
     "ERR Command not allowed inside a transaction", "!SAVE\n"},
    {"refused NOTSUPPORTED", "refused NOTSUPPORTED", "refused NOTSUPPORTED", "refused NOTSUPPORTED",
     "NOTSUPPORTED command", "FAILOVER\nREPLCONF\nREPLICAOF h 1\nSLAVEOF h 1\n"},
    {"refused NOTSUPPORTED", "refused NOTSUPPORTED", "refused NOTSUPPORTED", "refused NOTSUPPORTED",
     "ERR Command not allowed inside a transaction", "PSYNC r 1\nSHUTDOWN\nSYNC\n"},
};

inline std::vector<example> all_examples() {
  std::vector<example> result;
  for (const family& f : families) {
    for (std::string_view rest = f.examples; !rest.empty();) {
      const std::size_t end = rest.find('\n');
      const bool changes = rest[0] == '!';
      result.push_back({&f, changes, std::string(rest.substr(changes ? 1 : 0, end - (changes ? 1 : 0)))});
      rest.remove_prefix(end + 1);
    }
  }
  return result;
}

}  // namespace dualbus::app::test
