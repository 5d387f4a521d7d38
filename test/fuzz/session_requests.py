"""Requests for the session fuzzer: those of the golden and compared transcripts and of the command table, and mutations."""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))

from differential_test import TRANSCRIPT  # noqa: E402  pylint: disable=wrong-import-position
from support import transcripts  # noqa: E402  pylint: disable=wrong-import-position
from support.resp import Reader  # noqa: E402  pylint: disable=wrong-import-position

# Commands that end the daemon's bus, stop it, or let it speak of itself alone; MONITOR has a session of its own.
LEFT_OUT = {"shutdown", "debug", "slaveof", "replicaof", "failover", "psync", "sync", "replconf", "monitor", "migrate", "save", "bgsave",
            "bgrewriteaof", "client", "quit", "reset", "hello", "auth", "acl", "config", "module", "restore", "restore-asking", "cluster", "wait",
            "waitaof", "pfselftest", "pfdebug"}
# Replies of these depend on time, chance, other clients or the order of a hash table.
BY_CHANCE = {"spop", "srandmember", "hrandfield", "zrandmember", "randomkey", "time", "info", "object", "memory", "lastsave", "client", "command",
             "slowlog", "latency", "keys", "scan", "sscan", "hscan", "zscan", "smembers", "sinter", "sunion", "sdiff", "hgetall", "hkeys", "hvals",
             "ttl", "pttl", "expiretime", "pexpiretime", "xinfo", "xpending", "xautoclaim", "xclaim", "xread", "xreadgroup", "dump", "role",
             "script", "function", "eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro", "pubsub", "lolwut", "hello", "select",
             "swapdb", "move", "copy", "dbsize", "getex", "sort", "sort_ro", "expire", "pexpire", "expireat", "pexpireat", "psetex", "setex"}

KEYS = ["k", "n", "s", "list", "h", "z", "md:k", "md:s", "el:k", "el:s", "md:list", "el:list", "t", "u"]
CHANNELS = ["c1", "c2", "md:c", "__keyspace@0__:k"]
TYPES = ["market_data", "price_update", "order_request", "risk_metric", "unheard_of"]
IDS = ["0", "0-0", "$", ">", "*", "-", "+", "1-1", "(1-1", "1692629576966-1000000000003", "1692629576966-0", "18446744073709551615-18446744073709551615",
       "99999999999999999999", "1-*", "-1-1", "1-", "5-999999999999999999"]
NUMBERS = ["0", "1", "-1", "2", "10", "127", "128", "1000000", "2147483648", "-2147483649", "9223372036854775807", "-9223372036854775808",
           "9223372036854775808", "18446744073709551615", "18446744073709551616", "1.5", "inf", "nan", "1e400", "0x10", " 1", "01", "+1"]
OPTIONS = ["NX", "XX", "COUNT", "BLOCK", "STREAMS", "MAXLEN", "~", "=", "MINID", "LIMIT", "NOMKSTREAM", "GROUP", "NOACK", "WITHSCORES", "MATCH",
           "TYPE", "BY", "GET", "STORE", "REPLACE", "ABSOLUTE", "EX", "PX", "KEEPTTL", "GT", "LT", "LEFT", "RIGHT", "MKSTREAM", "JUSTID", "IDLE"]
SPECIAL = """
MULTI | EXEC | DISCARD | MULTI | EXEC | DISCARD | UNWATCH | WATCH k | WATCH md:k | WATCH el:k el:s | WATCH md:k el:k | MULTI | EXEC
SUBSCRIBE c1 | SUBSCRIBE c1 c2 md:c | UNSUBSCRIBE | UNSUBSCRIBE c1 | PSUBSCRIBE c* | PUNSUBSCRIBE | SSUBSCRIBE md:c | SUNSUBSCRIBE
PUBLISH c1 hello | PUBLISH md:c {"message_type":"market_data"} | SPUBLISH md:c x | PUBSUB CHANNELS | PUBSUB NUMSUB c1 c2 | PUBSUB NUMPAT
BLPOP list el:list 0.01 | BRPOP md:list 0.02 | BLMOVE list u LEFT RIGHT 0.01 | BZPOPMIN z 0.01 | BLMPOP 0.01 1 list LEFT | BRPOPLPUSH list u 0.01
RPUSH list a b c | LPUSH md:list x | ZADD z 1 a 2 b | HSET h f v g w | SADD t 1 2 3 | INCR n | INCRBY n 7 | DEL s list | DEL md:k k el:k | GET k
XADD s * message_type market_data payload x | XADD s * message_type order_request payload x | XADD md:s * a b | XADD el:s * a b
XADD s MAXLEN ~ 100 * message_type risk_metric payload x | XADD s NOMKSTREAM * a b | XADD s 1-1 a b | XLEN s | XRANGE s - + COUNT 3 | XREVRANGE s + -
XGROUP CREATE s g $ MKSTREAM | XGROUP CREATE s g 0 | XGROUP DESTROY s g | XGROUP CREATE el:s g 0 MKSTREAM | XGROUP CREATECONSUMER s g c
XREADGROUP GROUP g c COUNT 5 BLOCK 5 STREAMS s > | XREADGROUP GROUP g c STREAMS s 0 | XREADGROUP GROUP g c BLOCK 10 STREAMS el:s md:s > >
XREAD BLOCK 5 STREAMS s $ | XREAD COUNT 2 STREAMS s md:s 0 0 | XREAD BLOCK 10 STREAMS s el:s $ 0-0 | XREAD STREAMS s +
XACK s g 1-1 1692629576966-1000000000003 | XDEL s 1-1 | XTRIM s MAXLEN 3 | XPENDING s g | XPENDING s g - + 10 | XINFO STREAM s | XINFO GROUPS s
XAUTOCLAIM s g c 0 0-0 | XCLAIM s g c 0 1-1 | SCAN 0 | SCAN 1 COUNT 2 | SCAN 18446744073709551615 | KEYS * | DBSIZE | RANDOMKEY | TYPE s | RENAME k u
CLIENT ID | CLIENT LIST | CLIENT INFO | CLIENT GETNAME | CLIENT SETNAME me | CLIENT NO-EVICT ON | CLIENT KILL ID 0 | CLIENT UNBLOCK 1
CLIENT PAUSE 5 | CLIENT PAUSE 3 WRITE | CLIENT UNPAUSE | CLIENT TRACKING OFF | CLIENT REPLY ON | CLIENT REPLY OFF | CLIENT REPLY SKIP
HELLO | HELLO 2 | HELLO 3 | HELLO 3 | HELLO 4 | HELLO 3 SETNAME x | RESET | PING | PING x | ECHO y | SELECT 0 | SELECT 1 | AUTH x | COMMAND COUNT
INFO | INFO buses | CONFIG GET max* | SLOWLOG GET | ACL WHOAMI | MEMORY USAGE s | OBJECT ENCODING s | DUALBUS EXPLAIN XADD s * message_type market_data
EVAL return{KEYS[1],ARGV[1]} 1 k a | EVAL return{1,2,{3}} 0 | EVALSHA ffffffffffffffffffffffffffffffffffffffff 0 | SCRIPT EXISTS a | FLUSHALL
"""


def _golden():
    for path in sorted(glob.glob(os.path.join(ROOT, "test", "golden", "requests_*.resp"))):
        if "malformed" in path or "http" in path or "inline" in path or "tolerated" in path:
            continue
        with open(path, "rb") as file:
            chunks = [file.read()]
        reader = Reader(lambda chunks=chunks: chunks.pop() if chunks else b"")
        try:
            while True:
                request = reader.read()
                if isinstance(request, list) and request:
                    yield request
        except (ConnectionError, ValueError):
            pass


def _table():
    """A request with the least number of arguments for every row of the command table."""
    with open(os.path.join(ROOT, "src", "command", "command_table.cpp"), encoding="utf-8") as file:
        rows = re.findall(r'^ +\{"([a-z_-]+)", (-?\d+), "', file.read(), re.M)
    for name, arity in rows:
        yield [name.encode()] + [b"?"] * (abs(int(arity)) - 1)


def _to_bytes(request):
    return [word if isinstance(word, bytes) else word.encode() for word in request]


def _allowed(request):
    return request[0].decode(errors="replace").lower() not in LEFT_OUT


TABLE = [request for request in _table() if _allowed(request)]
COMMON = [_to_bytes(request) for request in TRANSCRIPT] + list(_golden())
# "later" are commands that the Redis beside the daemon may not have.
COMMON += [list(line.words) for name in transcripts.names() if name != "later" for lines in transcripts.load(name) for line in lines]
COMMON = [request for request in COMMON if _allowed(request) and len(request[0]) > 0]
SPECIALS = [_to_bytes(words.split()) for line in SPECIAL.strip().splitlines() for words in line.split("|")]
# Their arguments are left alone: a long pause, or a kill that meets anybody, would say nothing about the rest.
FIXED = {b"client", b"hello"}
# These change what later requests mean, or take long: not while replies are off, which hides what became of them.
STATEFUL = {b"client", b"hello", b"multi", b"exec", b"discard", b"watch", b"unwatch", b"reset", b"quit", b"subscribe", b"psubscribe", b"ssubscribe",
            b"unsubscribe", b"punsubscribe", b"sunsubscribe", b"select", b"auth"}


class Generator:
    """Makes requests from a `random.Random`, and so the same ones from the same seed."""

    def __init__(self, random):
        self._random = random

    def request(self):
        chance = self._random.random()
        if chance < 0.55:
            words = list(self._random.choice(SPECIALS))
        elif chance < 0.85:
            words = list(self._random.choice(COMMON))
        else:
            words = [word if word != b"?" else self.word() for word in self._random.choice(TABLE)]
        if words[0].lower() not in FIXED:
            for _ in range(self._random.choice((0, 0, 0, 0, 1, 1, 2, 4))):
                self.mutate(words)
        if self._random.random() < 0.05:
            words[0] = words[0].swapcase()
        return self.bounded(words)

    def stateless(self):
        while (words := self.request())[0].lower() in STATEFUL:
            pass
        return words

    def deterministic(self):
        """One whose reply depends on nothing but the requests before it."""
        while True:
            words = list(self._random.choice(COMMON + SPECIALS))
            name = words[0].decode(errors="replace").lower()
            if name in BY_CHANCE or name in LEFT_OUT or words[0].lower() in STATEFUL - {b"multi", b"exec", b"discard"} or b"*" in words:
                continue
            for _ in range(self._random.choice((0, 1, 1, 2, 3))):
                self.mutate(words)
            if b"*" not in words and not any(word.endswith(b"-*") for word in words):
                return self.bounded(words)

    def word(self):
        return self._random.choice((self._random.choice(KEYS), self._random.choice(NUMBERS), self._random.choice(IDS), self._random.choice(OPTIONS),
                                    self._random.choice(CHANNELS), self._random.choice(TYPES))).encode()

    def mutate(self, words):
        """Changes one argument, or drops, doubles, moves one. The name stays."""
        random = self._random
        if len(words) == 1:
            if random.random() < 0.3:
                words.append(self.word())
            return
        at = random.randrange(1, len(words))
        kind = random.randrange(9)
        if kind == 0:
            del words[at]
        elif kind == 1:
            words.insert(at, words[at])
        elif kind == 2:
            other = random.randrange(1, len(words))
            words[at], words[other] = words[other], words[at]
        elif kind == 3:
            words[at] = self.strange()
        elif kind == 4:
            words.insert(at, random.choice(OPTIONS).encode())
        elif kind == 5:
            words[at] = random.choice(IDS + NUMBERS).encode()
        elif kind == 6:
            words[at] = random.choice(KEYS).encode()
        elif kind == 7:
            words.append(self.word())
        else:
            words[at] = words[at].swapcase()

    def strange(self):
        random = self._random
        kind = random.randrange(6)
        if kind == 0:
            return b""
        if kind == 1:
            return b"x" * random.choice((63, 64, 1000, 16384, 70000, 300000))
        if kind == 2:
            return random.randbytes(random.randrange(1, 40))
        if kind == 3:
            return b"\r\n" + random.choice((b"$-1\r\n", b"*1\r\n", b"+OK\r\n", b"-ERR\r\n"))
        if kind == 4:
            return b"\0" * random.randrange(1, 4)
        return b'{"message_type":"market_data","a":[' + b"[" * random.choice((1, 50, 5000))

    @staticmethod
    def bounded(words):
        """Numbers that mean gigabytes at the bus, or hours of waiting, are made small, and requests beyond max_request."""
        name = words[0].lower()
        if name in (b"setrange", b"setbit", b"bitfield"):
            words[1:] = [word if not re.fullmatch(rb"#?\+?\d{6,}", word) else b"77777" for word in words[1:]]
        if name in (b"blpop", b"brpop", b"blmove", b"brpoplpush", b"bzpopmin", b"bzpopmax"):
            words[-1] = b"0.01" if len(words) > 2 else words[-1]
        if name in (b"blmpop", b"bzmpop") and len(words) > 1:
            words[1] = b"0.01"
        if name in (b"xread", b"xreadgroup"):
            for at, word in enumerate(words[:-1]):
                if word.lower() == b"block":
                    words[at + 1] = b"7" if words[at + 1].strip(b"+ ").isdigit() else words[at + 1]
        if name in (b"eval", b"eval_ro", b"fcall", b"function") and len(words) > 1 and (b"while" in words[1] or b"[" * 50 in words[1]):
            words[1] = b"return 1"
        if sum(map(len, words)) > 900_000:
            words[1:] = [word[:16384] for word in words[1:]]
        return words


def malformed(random):
    """Bytes that no RESP server takes, and after which it closes."""
    return random.choice((b"*1\r\n!\r\n", b"*-x\r\n", b"*2\r\n$3\r\nGET\r\n$-5\r\n", b"*1\r\n$99999999999\r\n", b"*99999999999\r\n", b'GET "unbalanced\r\n',
                          b"*1\r\n+OK\r\n", b"*3\r\n$3\r\nSET\r\n:1\r\n"))
