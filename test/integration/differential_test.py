"""config/plain.yaml before one Redis, and a bare Redis: the same requests, the same replies, byte for byte."""
import shlex
import unittest

from support.plain_stack import PlainStackTest
from support.resp import encode
from transcript_test import REQUESTS

# The requests that transcript_test.py leaves out, as it has two buses. Nothing depends on time, chance or the order of a hash table.
MORE = r"""
FLUSHALL
DBSIZE
RANDOMKEY
KEYS *
SCAN 0
SET only 1
RANDOMKEY
KEYS o*
KEYS
SCAN 0 COUNT 100
SCAN 0 MATCH on* TYPE string
SCAN 0 TYPE list
SCAN x
SCAN 0 COUNT 0
SCAN 0 COUNT x
SCAN 0 NOSUCH 1
DBSIZE
DBSIZE x
RENAME only other
RENAME only other
RENAMENX other third
RENAMENX nothing third
RENAME third third
RENAMENX third third
COPY third fourth
COPY third fourth
COPY third fourth REPLACE
COPY third third
COPY third fourth NOSUCH
DUMP nothing
DUMP third
OBJECT ENCODING third
SORT third
RPUSH list 3 1 2
SORT list
SORT list DESC STORE sorted
LRANGE sorted 0 -1
SORT_RO list LIMIT 0 2
SORT list BY w_* GET # GET d_*
SORT list STORE
XADD s 1-1 a b
XADD s 1-1 a b
XADD s 2-* a b
XADD s MAXLEN 2 3-3 a b
XRANGE s - +
XREVRANGE s + - COUNT 1
XLEN s
XGROUP CREATE s g 0
XREADGROUP GROUP g c COUNT 1 STREAMS s >
XREADGROUP GROUP g c STREAMS s >
XREADGROUP GROUP g c STREAMS s >
XREADGROUP GROUP g c STREAMS s 0
XREADGROUP GROUP nog c STREAMS s >
XPENDING s g
XACK s g 2-0 3-3
XREAD COUNT 1 STREAMS s 0
XREAD STREAMS s third 0 0
XSETID s 99-0
XINFO STREAM s
XDEL s 3-3
DEL s
EVAL "return 1" 0
EVAL "return {1, 'two', {3, false, true}, 4.9}" 0
EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 k v
EVAL "return redis.call('GET', KEYS[1])" 1 k
EVAL "return redis.call('HGETALL', KEYS[1])" 1 k
EVAL "return redis.pcall('NOSUCH')" 0
EVAL "return redis.error_reply('MINE text')" 0
EVAL "return redis.status_reply('FINE')" 0
EVAL "redis.setresp(3); return redis.call('HGETALL', KEYS[1])" 1 nohash
EVAL "syntax error(" 0
EVAL "return KEYS[1]" x
EVAL "return KEYS[1]" -1
EVAL "return KEYS[1]" 2 a
EVAL "return {KEYS[1], KEYS[2], ARGV[1]}" 2 a b c
EVAL_RO "return redis.call('GET', KEYS[1])" 1 k
EVAL_RO "return redis.call('SET', KEYS[1], 1)" 1 k
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA x 0
EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
SCRIPT LOAD "return 7"
SCRIPT LOAD "syntax error("
SCRIPT LOAD
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db ffff
SCRIPT EXISTS
SCRIPT NOSUCH
SCRIPT HELP
SCRIPT FLUSH
SCRIPT FLUSH X
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
FUNCTION LOAD "#!lua name=lib\nredis.register_function('get', function(keys) return redis.call('GET', keys[1]) end)"
FUNCTION LOAD nothing
FUNCTION LIST
FUNCTION LIST LIBRARYNAME lib WITHCODE
FUNCTION STATS
FCALL get 1 k
FCALL_RO get 1 k
FCALL nosuch 0
FCALL get x
FUNCTION DELETE nosuch
FUNCTION DELETE lib
FUNCTION RESTORE x
FUNCTION NOSUCH
FUNCTION FLUSH
FLUSHDB NOSUCH
FLUSHDB ASYNC
FLUSHALL SYNC
DBSIZE
"""
TRANSCRIPT = REQUESTS + [
    [word.replace("\\n", "\n") for word in shlex.split(line)] for line in MORE.strip().splitlines()]
EVERYTHING = b"".join(encode(*request) for request in TRANSCRIPT)


class DifferentialTest(PlainStackTest):
    def test_each_reply_is_that_of_redis(self):
        for protocol in (2, 3):
            self.flush()
            daemon, bare = self.connect(self.daemon, protocol), self.connect(self.bare, protocol)
            for request in TRANSCRIPT:
                self.assertEqual(daemon.call_raw(*request), bare.call_raw(*request), request)

    def test_replies_are_the_same_when_everything_comes_at_once(self):
        for protocol in (2, 3):
            self.flush()
            daemon, bare = self.connect(self.daemon, protocol), self.connect(self.bare, protocol)
            for connection in (daemon, bare):
                connection.send_raw(EVERYTHING)
            for request in TRANSCRIPT:
                self.assertEqual(daemon.read_raw(), bare.read_raw(), request)

    def test_replies_are_the_same_when_requests_come_in_pieces(self):
        bare = self.connect(self.bare)
        bare.send_raw(EVERYTHING)
        expected = [bare.read_raw() for _ in TRANSCRIPT]
        for size in (3, 89):
            with self.bus.client() as client:
                client.flushall()
                client.script_flush()
            daemon = self.connect(self.daemon)
            for start in range(0, len(EVERYTHING), size):
                daemon.send_raw(EVERYTHING[start:start + size])
            for request, reply in zip(TRANSCRIPT, expected):
                self.assertEqual(daemon.read_raw(), reply, (size, request))


if __name__ == "__main__":
    unittest.main()
