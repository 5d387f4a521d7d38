"""The same requests to the daemon and to a bare Redis of the same version: the replies must be equal, byte for byte."""
import shlex
import unittest

from support.harness import ENGINE_LOGIC, StackTest
from support.resp import encode

# One request a line. Nothing in it depends on time, on chance or on the order of a hash table.
TRANSCRIPT = r"""
SET k v
GET k
GET missing
SET k w XX GET
SET k w NX
SET k v EX 1000 PX 3
SET k v EX 0
SETNX k z
SETEX e 1000 v
PSETEX e 1000000 v
GETEX e PERSIST
TTL e
APPEND k tail
STRLEN k
GETRANGE k 1 -2
SUBSTR k 0 1
SETRANGE k 3 XYZ
SETRANGE k -1 x
GETSET k other
GETDEL k
INCR n
INCRBY n 41
DECR n
DECRBY n 2
INCRBYFLOAT n 0.5
INCR n
SET big 9223372036854775807
INCR big
INCRBY n notanumber
MSET a 1 b 2 c 3
MSET a 1 b
MSETNX a 1 d 2
MSETNX d 4 f 6
MGET a b c d nothing
LCS a b
LCS a b IDX LEN
SETBIT bits 7 1
SETBIT bits 7 2
GETBIT bits 7
BITCOUNT bits
BITPOS bits 1
BITFIELD bits SET u8 0 255 GET u4 0 OVERFLOW FAIL INCRBY u2 0 3
BITFIELD_RO bits GET u8 0
BITOP AND dest bits bits
BITOP NOT dest bits
BITOP XXX dest bits
TYPE k
TYPE n
TYPE missing
EXISTS a b a missing
TOUCH a b missing
EXPIRE a 1000
EXPIRE a 1000 NX
EXPIRE a notanumber
EXPIRE a 5 BAD
PEXPIRE a 100000000
EXPIREAT b 9999999999
EXPIRETIME b
PEXPIRETIME b
PEXPIREAT b 9999999999000
PERSIST a
PERSIST a
PERSIST missing
TTL a
TTL missing
PTTL a
DEL a b missing
DEL a
UNLINK c d
OBJECT ENCODING n
OBJECT ENCODING missing
OBJECT REFCOUNT n
OBJECT FREQ n
OBJECT FREQ missing
OBJECT NOSUCH n
OBJECT HELP
OBJECT ENCODING
OBJECT ENCODING a b
MEMORY USAGE missing
MEMORY USAGE n SAMPLES x
MEMORY USAGE n SAMPLES -1
LPUSH l a b c
RPUSH l d e
LPUSHX l z
RPUSHX nolist z
LRANGE l 0 -1
LRANGE l a b
LLEN l
LINDEX l 0
LINDEX l 99
LSET l 0 first
LSET l 99 x
LSET nolist 0 x
LINSERT l BEFORE c between
LINSERT l SIDEWAYS c between
LREM l 0 nothing
LTRIM l 0 4
LPOS l b
LPOS l b RANK 0
LPOP l 2
LPOP l -1
RPOP l
LPOP nolist
LPOP nolist 3
LMOVE l other LEFT RIGHT
LMOVE l other UP RIGHT
RPOPLPUSH l other
LMPOP 2 nolist other LEFT COUNT 5
LMPOP 0 other LEFT
LMPOP 1 nolist LEFT
GET l
HSET h f1 v1 f2 v2
HSET h f1
HSETNX h f1 v
HMSET h f3 3
HGET h f1
HGET h none
HMGET h f1 none f2
HGETALL h
HGETALL nohash
HKEYS h
HVALS h
HLEN h
HSTRLEN h f1
HEXISTS h f1
HINCRBY h f3 4
HINCRBY h f1 4
HINCRBYFLOAT h f3 0.25
HDEL h f1 none
HSCAN h 0
HSCAN h 0 MATCH f* COUNT 5
HSCAN h notacursor
HRANDFIELD nohash
HRANDFIELD nohash 3
SADD s 1 2 3
SADD s 3
SMEMBERS s
SCARD s
SISMEMBER s 2
SMISMEMBER s 2 9
SREM s 3
SADD t 2 3 4
SINTER s t
SUNION s t
SDIFF s t
SINTERSTORE st s t
SUNIONSTORE st s t
SDIFFSTORE st s t
SINTERCARD 2 s t
SINTERCARD 2 s t LIMIT 1
SINTERCARD x s
SMOVE s t 1
SSCAN t 0
SPOP noset
SPOP noset 2
SRANDMEMBER noset
SRANDMEMBER noset 5
ZADD z 1 a 2 b 3 c
ZADD z GT CH 5 a
ZADD z NX XX 5 a
ZADD z nan a
ZADD z INCR 1.5 a
ZCARD z
ZSCORE z a
ZSCORE z none
ZMSCORE z a none
ZINCRBY z 1 b
ZRANK z a
ZREVRANK z none
ZCOUNT z -inf +inf
ZCOUNT z x y
ZLEXCOUNT z - +
ZRANGE z 0 -1 WITHSCORES
ZRANGE z 0 -1 REV
ZRANGE z (1 +inf BYSCORE LIMIT 0 2
ZRANGEBYSCORE z 0 100 WITHSCORES
ZREVRANGE z 0 -1
ZREVRANGEBYSCORE z 100 0
ZRANGEBYLEX z - +
ZREVRANGEBYLEX z + -
ZRANGESTORE zs z 0 1
ZADD y 10 a 20 d
ZUNION 2 z y WITHSCORES
ZINTER 2 z y WITHSCORES
ZDIFF 2 z y
ZINTERCARD 2 z y
ZUNIONSTORE zu 2 z y WEIGHTS 2 3 AGGREGATE MAX
ZINTERSTORE zi 2 z y
ZDIFFSTORE zd 2 z y
ZUNIONSTORE zu 0 z
ZUNIONSTORE zu 9 z
ZPOPMIN zu
ZPOPMAX zu 2
ZPOPMIN nozset
ZMPOP 2 nozset zu MIN
ZMPOP 1 nozset MIN
ZREM z a none
ZREMRANGEBYSCORE z 0 1
ZREMRANGEBYRANK z 0 0
ZREMRANGEBYLEX z - [a
ZSCAN z 0
ZRANDMEMBER nozset
ZRANDMEMBER nozset 2 WITHSCORES
PFADD hll a b c
PFCOUNT hll
PFMERGE hll2 hll
PFCOUNT hll hll2
PFADD k x
GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEODIST g Palermo Catania km
GEOHASH g Palermo none
GEOPOS g Palermo none
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST WITHCOORD
GEOSEARCHSTORE gs g FROMMEMBER Palermo BYBOX 400 400 km
GEORADIUS g 15 37 200 km STORE gst
GEORADIUS_RO g 15 37 200 km ASC
GEORADIUSBYMEMBER g Palermo 200 km STOREDIST gst
GEORADIUSBYMEMBER_RO g Palermo 200 km
GEOADD g 999 999 nowhere
RPUSH sortme 3 1 2
SORT sortme
SORT sortme DESC LIMIT 0 2
SORT sortme BY nosort GET # STORE sorted
SORT_RO sortme ALPHA
SORT sorted
RESTORE r 0 garbage
RESTORE r -1 x
XADD el:x 5-1 f v
XADD el:x 5-1 f v
XADD el:x 5-* g w
XLEN el:x
XRANGE el:x - +
XRANGE el:x - + COUNT 0
XRANGE el:x (5-1 +
XREVRANGE el:x + - COUNT 1
XREAD COUNT 5 STREAMS el:x 0
XREAD STREAMS el:x $
XREAD STREAMS el:x
XINFO STREAM el:x
XINFO GROUPS el:x
XINFO NOSUCH el:x
XGROUP CREATE el:x grp 0
XGROUP CREATE el:x grp 0
XREADGROUP GROUP grp me COUNT 1 STREAMS el:x >
XREADGROUP GROUP nogrp me STREAMS el:x >
XPENDING el:x grp
XACK el:x grp 5-1
XCLAIM el:x grp you 0 5-2
XAUTOCLAIM el:x grp you 0 0
XGROUP DELCONSUMER el:x grp me
XGROUP DESTROY el:x grp
XTRIM el:x MAXLEN 1
XSETID el:x 9-9
XDEL el:x 5-2 5-9
XLEN missing
XRANGE missing - +
XRANGE missing - + COUNT x
XRANGE missing x +
XRANGE missing (- +
XRANGE missing (18446744073709551615-18446744073709551615 +
XRANGE missing - (0-0
XREVRANGE missing - + COUNT
XREVRANGE missing + x
XDEL missing 1-1
XDEL el:x x
XLEN k2 extra
RENAME el:x el:y
RENAMENX el:y el:x
COPY el:x el:z
RENAME el:none el:z
"""
REQUESTS = [shlex.split(line, posix=True) for line in TRANSCRIPT.strip().splitlines()]

SHORT = (encode("SET", "k", "v\r\n\0") + encode("GET", "k") + b"*0\r\n*-1\r\n\r\n" + b'PING "a\\x41 b"\r\n' + encode("MGET", "k", "x")
         + encode("EXISTS", "k", "k") + encode("NOSUCH", "a") + encode("ECHO", b"") + encode("DEL", "k") + b"get 'k'\r\n")
SHORT_REPLIES = 9


class TranscriptTest(StackTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def both(self, protocol=2):
        return self.connect(protocol), self.connect(protocol, to=self.bare)

    def check_replies(self, protocol):
        daemon, bare = self.both(protocol)
        for request in REQUESTS:
            expected = bare.call_raw(*request)
            self.assertEqual(daemon.call_raw(*request), expected, " ".join(request))
        # The same commands left the same data, and nothing on the other bus.
        keys = sorted(self.client(self.bare).keys())
        self.assertEqual(sorted(self.client(self.stack.engine_logic).keys()), keys)
        self.assertEqual(self.client(self.stack.marketdata).keys(), [])

    def test_replies_are_equal_in_resp2(self):
        self.check_replies(2)

    def test_replies_are_equal_in_resp3(self):
        self.check_replies(3)

    def test_replies_are_equal_when_everything_comes_at_once(self):
        for protocol in (2, 3):
            self.stack.flush()
            daemon, bare = self.both(protocol)
            everything = b"".join(encode(*request) for request in REQUESTS)
            daemon.send_raw(everything)
            bare.send_raw(everything)
            for request in REQUESTS:
                self.assertEqual(daemon.read_raw(), bare.read_raw(), " ".join(request))

    def test_replies_are_equal_when_requests_come_in_pieces_of_any_size(self):
        everything = b"".join(encode(*request) for request in REQUESTS)
        bare = self.connect(to=self.bare)
        bare.send_raw(everything)
        expected = b"".join(bare.read_raw() for _ in REQUESTS)
        for size in (1, 7, 61, 997):
            self.stack.buses[ENGINE_LOGIC].client().flushall()
            daemon = self.connect()
            for start in range(0, len(everything), size):
                daemon.send_raw(everything[start:start + size])
            self.assertEqual(b"".join(daemon.read_raw() for _ in REQUESTS), expected, f"pieces of {size} bytes")

    def test_a_request_may_be_split_at_every_byte(self):
        daemon, bare = self.both()
        bare.send_raw(SHORT)
        expected = [bare.read_raw() for _ in range(SHORT_REPLIES)]
        for offset in range(1, len(SHORT)):
            daemon.send_raw(SHORT[:offset])
            # The reply to another connection's request proves that the first part has been read.
            self.assertEqual(self._witness(), "PONG")
            daemon.send_raw(SHORT[offset:])
            self.assertEqual([daemon.read_raw() for _ in range(SHORT_REPLIES)], expected, f"split at {offset}")

    def _witness(self):
        if not hasattr(self, "_other"):
            self._other = self.connect()
        return self._other.call("PING")

    def test_wrong_numbers_of_arguments_are_refused_in_redis_words(self):
        daemon, bare = self.both()
        known = bare.call("COMMAND")
        checked = 0
        for name, arity in [(entry[0].decode(), entry[1]) for entry in known]:
            for count in range(1, 9):
                if count == arity if arity > 0 else count >= -arity:
                    continue
                request = [name] + ["x"] * (count - 1)
                self.assertEqual(daemon.call_raw(*request), bare.call_raw(*request), request)
                checked += 1
        self.assertGreater(checked, 300)

    def test_no_command_of_redis_closes_the_connection_or_is_called_unknown(self):
        daemon, bare = self.both()
        for entry in bare.call("COMMAND"):
            name, arity = entry[0].decode(), entry[1]
            if name in ("quit", "hello", "reset"):
                continue
            reply = daemon.call(name, *["1"] * (abs(arity) - 1))
            self.assertFalse(str(reply).startswith("ERR unknown command"), f"{name}: {reply}")
            if name == "multi":  # what follows would only be queued
                self.assertEqual(daemon.call("DISCARD"), "OK")
            if name == "monitor" or name.endswith("subscribe"):  # a subscriber gets another PONG
                self.assertEqual(daemon.call("RESET"), "RESET")
            self.assertEqual(daemon.call("PING", name), name.encode())


if __name__ == "__main__":
    unittest.main()
