"""Requests with something wrong in them, on logical streams and on a bare Redis: the same error, byte for byte."""
import shlex
import unittest

from support.harness import ENGINE_LOGIC, SLOT, SLOT_STEP, StackTest
from support.redis_stream import OPTIONS

# "s" is a stream with the group "g", "t" is a text, "none" is nothing; {k} stands for each of the three, {id} for the ID of
# the entry of "s".
REQUESTS = r"""
XADD
XADD {k}
XADD {k} *
XADD {k} * field
XADD {k} * a b c
XADD {k} x a b
XADD {k} 1-x a b
XADD {k} 1-1-1 a b
XADD {k} 18446744073709551616 a b
XADD {k} 1-18446744073709551616 a b
XADD {k} - a b
XADD {k} + a b
XADD {k} -1 a b
XADD {k} *-1 a b
XADD {k} 1-** a b
XADD {k} 0-0 a b
XADD {k} 0 a b
XADD {k} NOMKSTREAM 0-0 a b
XADD {k} NOMKSTREAM x a b
XADD {k} MAXLEN
XADD {k} MAXLEN 5
XADD {k} MAXLEN x * a b
XADD {k} MAXLEN -1 * a b
XADD {k} MAXLEN ~ * a b
XADD {k} MAXLEN = x * a b
XADD {k} MAXLEN 1 MINID 1 * a b
XADD {k} MINID 1 MAXLEN 1 * a b
XADD {k} MINID x * a b
XADD {k} MINID - * a b
XADD {k} MINID ~ 1-x * a b
XADD {k} LIMIT 5 * a b
XADD {k} MAXLEN 5 LIMIT 5 * a b
XADD {k} MAXLEN = 5 LIMIT 5 * a b
XADD {k} MAXLEN ~ 5 LIMIT -1 * a b
XADD {k} MAXLEN ~ 5 LIMIT x * a b
XADD {k} LIMIT x * a b
XLEN
XLEN {k} more
XLEN t
XRANGE {k}
XRANGE {k} -
XRANGE {k} x +
XRANGE {k} - x
XRANGE {k} ( +
XRANGE {k} (- +
XRANGE {k} - (+
XRANGE {k} (18446744073709551615-18446744073709551615 +
XRANGE {k} - (0-0
XRANGE {k} 1-1-1 +
XRANGE {k} "" +
XRANGE {k} - + COUNT
XRANGE {k} - + COUNT x
XRANGE {k} - + COUNT 99999999999999999999
XRANGE {k} - + LIMIT 5
XRANGE {k} - + COUNT 5 COUNT
XRANGE {k} - + COUNT 1 5
XRANGE t - +
XREVRANGE {k} x -
XREVRANGE {k} + x
XREVRANGE {k} (0-0 (18446744073709551615-18446744073709551615
XREVRANGE {k} + (18446744073709551615-18446744073709551615
XREVRANGE {k} + - COUNT
XREVRANGE {k} + - COUNT x
XREVRANGE t + -
XDEL
XDEL {k}
XDEL s x
XDEL s 1-1 x
XDEL s -
XDEL s +
XDEL s 1-*
XDEL t {id}
XTRIM
XTRIM {k}
XTRIM {k} MAXLEN
XTRIM {k} MAXLEN x
XTRIM {k} MAXLEN -1
XTRIM {k} MAXLEN ~
XTRIM {k} MAXLEN ~ x
XTRIM {k} MAXLEN 5 5
XTRIM {k} MAXLEN 5 MINID 5
XTRIM {k} MINID x
XTRIM {k} MINID
XTRIM {k} MINID - 
XTRIM {k} LIMIT 5
XTRIM {k} LIMIT 0
XTRIM {k} MAXLEN 5 LIMIT 5
XTRIM {k} MAXLEN ~ 5 LIMIT -1
XTRIM {k} MAXLEN ~ 5 LIMIT x
XTRIM {k} NOMKSTREAM MAXLEN 5
XTRIM {k} SOMETHING
XTRIM t MAXLEN 5
XREAD
XREAD {k} 0
XREAD STREAMS
XREAD STREAMS {k}
XREAD STREAMS {k} 0 1
XREAD STREAMS {k} x
XREAD STREAMS {k} -
XREAD STREAMS {k} >
XREAD STREAMS {k} ""
XREAD COUNT STREAMS {k} 0
XREAD COUNT x STREAMS {k} 0
XREAD COUNT 5
XREAD COUNT 5 {k} 0
XREAD BLOCK x STREAMS {k} 0
XREAD BLOCK -1 STREAMS {k} 0
XREAD BLOCK 1.5 STREAMS {k} 0
XREAD BLOCK 9223372036854775807 STREAMS {k} x
XREAD BLOCK
XREAD GROUP g c STREAMS {k} 0
XREAD NOACK STREAMS {k} 0
XREAD SOMETHING STREAMS {k} 0
XREAD STREAMS t 0
XREAD STREAMS s t 0 0
XREAD STREAMS none t x 0
XREADGROUP
XREADGROUP GROUP g c
XREADGROUP GROUP g c STREAMS
XREADGROUP GROUP g c STREAMS {k}
XREADGROUP GROUP g c STREAMS {k} > >
XREADGROUP GROUP g c STREAMS {k} $
XREADGROUP GROUP g c STREAMS {k} x
XREADGROUP GROUP g c STREAMS {k} -
XREADGROUP GROUP g c STREAMS {k} +
XREADGROUP GROUP nogroup c STREAMS {k} >
XREADGROUP GROUP nogroup c STREAMS {k} 0
XREADGROUP GROUP g STREAMS {k} >
XREADGROUP STREAMS {k} >
XREADGROUP COUNT 5 STREAMS {k} >
XREADGROUP NOACK COUNT 1 STREAMS {k} >
XREADGROUP GROUP g c COUNT x STREAMS {k} >
XREADGROUP GROUP g c BLOCK x STREAMS {k} >
XREADGROUP GROUP g c BLOCK -5 STREAMS {k} >
XREADGROUP GROUP g c SOMETHING STREAMS {k} >
XREADGROUP GROUP g c NOACK {k} >
XREADGROUP GROUP g c STREAMS none t > >
XREADGROUP GROUP g c STREAMS t none > >
XREADGROUP GROUP nogroup c STREAMS none s > >
XREADGROUP GROUP nogroup c STREAMS s none > 0
XACK
XACK {k}
XACK {k} g
XACK s g x
XACK s g 1-1 x
XACK s g -
XACK t g {id}
XPENDING
XPENDING {k}
XPENDING {k} nogroup
XPENDING {k} g -
XPENDING {k} g - +
XPENDING {k} g - + x
XPENDING {k} g x + 5
XPENDING {k} g - x 5
XPENDING {k} g ( + 5
XPENDING {k} g (18446744073709551615-18446744073709551615 + 5
XPENDING {k} g - (0-0 5
XPENDING {k} g IDLE
XPENDING {k} g IDLE 5
XPENDING {k} g IDLE 5 -
XPENDING {k} g IDLE 5 - +
XPENDING {k} g IDLE 5 - + x
XPENDING {k} g IDLE x - + 5
XPENDING {k} g IDLE x - +
XPENDING {k} g IDLE 5 - + 5 c more
XPENDING {k} g IDLE 5 - + 5 c more more
XPENDING {k} nogroup - + 5
XPENDING t g - + 0
XCLAIM
XCLAIM {k} g c
XCLAIM {k} g c 0
XCLAIM {k} g c x 1-1
XCLAIM {k} nogroup c 0 1-1
XCLAIM {k} nogroup c 0 {id}
XCLAIM {k} g c 0 x
XCLAIM {k} g c 0 1-1 x
XCLAIM {k} g c 0 JUSTID x
XCLAIM {k} g c 0 1-1 IDLE
XCLAIM {k} g c 0 {id} IDLE x
XCLAIM {k} g c 0 1-1 TIME x
XCLAIM {k} g c 0 1-1 TIME
XCLAIM {k} g c 0 1-1 RETRYCOUNT x
XCLAIM {k} g c 0 1-1 RETRYCOUNT
XCLAIM {k} g c 0 1-1 LASTID x
XCLAIM {k} g c 0 1-1 LASTID -
XCLAIM {k} g c 0 1-1 LASTID
XCLAIM {k} g c 0 1-1 FORCE 1-2
XCLAIM {k} g c 0 1-1 IDLE x TIME x
XCLAIM t g c 0 JUSTID
XAUTOCLAIM
XAUTOCLAIM {k} g c 0
XAUTOCLAIM {k} g c x 0
XAUTOCLAIM {k} g c 0 x
XAUTOCLAIM {k} g c 0 ( 
XAUTOCLAIM {k} g c 0 (+
XAUTOCLAIM {k} g c 0 (18446744073709551615-18446744073709551615
XAUTOCLAIM {k} g c 0 0 COUNT
XAUTOCLAIM {k} g c 0 0 COUNT x
XAUTOCLAIM {k} g c 0 0 COUNT 0
XAUTOCLAIM {k} g c 0 0 COUNT -1
XAUTOCLAIM {k} g c 0 0 COUNT 9223372036854775807
XAUTOCLAIM {k} g c 0 0 SOMETHING
XAUTOCLAIM {k} g c 0 0 JUSTID COUNT
XAUTOCLAIM {k} g c 0 0 COUNT 5 JUSTID x
XAUTOCLAIM {k} nogroup c 0 0
XAUTOCLAIM {k} nogroup c 0 18446744073709551615
XGROUP
XGROUP CREATE
XGROUP CREATE {k}
XGROUP CREATE {k} n
XGROUP CREATE {k} n x
XGROUP CREATE {k} n -
XGROUP CREATE {k} n +
XGROUP CREATE {k} n >
XGROUP CREATE {k} n x MKSTREAM
XGROUP CREATE {k} n 0 SOMETHING
XGROUP CREATE {k} n 0 MKSTREAM SOMETHING
XGROUP CREATE {k} n 0 ENTRIESREAD
XGROUP CREATE {k} n 0 ENTRIESREAD x
XGROUP CREATE {k} n 0 ENTRIESREAD -2
XGROUP CREATE s g x
XGROUP CREATE s g 0
XGROUP CREATE s g $ MKSTREAM
XGROUP CREATE none n 0
XGROUP CREATE t n 0
XGROUP CREATE t n 0 MKSTREAM
XGROUP SETID {k}
XGROUP SETID {k} g
XGROUP SETID {k} g x
XGROUP SETID {k} nogroup 0
XGROUP SETID {k} g 0 MKSTREAM
XGROUP SETID {k} g 0 ENTRIESREAD
XGROUP SETID {k} g 0 ENTRIESREAD x
XGROUP SETID {k} g 0 ENTRIESREAD -2
XGROUP DESTROY {k}
XGROUP DESTROY none g
XGROUP DESTROY t g
XGROUP DESTROY {k} g more
XGROUP CREATECONSUMER {k} g
XGROUP CREATECONSUMER {k} nogroup c
XGROUP CREATECONSUMER {k} g c more
XGROUP DELCONSUMER {k} g
XGROUP DELCONSUMER {k} nogroup c
XGROUP DELCONSUMER {k} g c more
XGROUP SOMETHING {k} g
XGROUP SOMETHING
XINFO
XINFO STREAM
XINFO STREAM none
XINFO STREAM t
XINFO STREAM {k} SOMETHING
XINFO STREAM {k} FULL SOMETHING
XINFO STREAM {k} FULL COUNT
XINFO STREAM {k} FULL COUNT x
XINFO STREAM {k} FULL COUNT 5 5
XINFO GROUPS
XINFO GROUPS none
XINFO GROUPS t
XINFO GROUPS {k} more
XINFO CONSUMERS
XINFO CONSUMERS {k}
XINFO CONSUMERS {k} nogroup
XINFO CONSUMERS {k} g more
XINFO CONSUMERS none g
XINFO CONSUMERS t g
XINFO SOMETHING {k}
XINFO SOMETHING
"""


ENTRY = {"daemon": f"5-{1 + SLOT[ENGINE_LOGIC] * SLOT_STEP}", "redis": "5-1"}


def requests(entry):
    """(request, the same one on the existing stream)."""
    for line in filter(None, map(str.strip, REQUESTS.splitlines())):
        line = line.replace("{id}", entry)
        for key in ("s", "none", "t") if "{k}" in line else ("",):
            yield shlex.split(line.replace("{k}", key)), shlex.split(line.replace("{k}", "s"))


class WrongRequestsTest(StackTest):
    redis_options = OPTIONS

    def test_errors_are_those_of_redis_byte_for_byte(self):
        bare = self.stack.add_redis("bare", *OPTIONS)
        for server, entry in ((self.daemon, ENTRY["daemon"]), (bare, ENTRY["redis"])):
            replies = self.connect(to=server).pipeline([
                ("XADD", "s", entry, "message_type", "order_request"), ("XGROUP", "CREATE", "s", "g", "0"),
                ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"), ("SET", "t", "x")])
            self.assertEqual((replies[0].decode(), replies[1], len(replies[2]), replies[3]), (entry, "OK", 1, "OK"))
        for protocol in (2, 3):
            ours, theirs = self.connect(protocol), self.connect(protocol, to=bare)
            different = []
            for (request, _), (asked_redis, with_stream) in zip(requests(ENTRY["daemon"]), requests(ENTRY["redis"])):
                with_daemon, with_redis = ours.call_raw(*request), theirs.call_raw(*asked_redis)
                self.assertEqual(with_redis[:1], b"-", f"a bare Redis finds nothing wrong with {asked_redis}")
                # Either may be found first: a wrong argument, or a key that is missing or no stream.
                if with_daemon not in (with_redis, theirs.call_raw(*with_stream)):
                    different.append(f"{shlex.join(request)}\n  Redis:   {with_redis}\n  dualbus: {with_daemon}")
            if different:
                self.fail(f"RESP{protocol}, {len(different)} differences\n" + "\n".join(different))
        self.assertEqual(set(self.client(self.stack.buses[ENGINE_LOGIC]).keys()), {b"s", b"t"}, "a refused request has made a key")
        self.assertEqual(self.client().xlen("s"), 1)

    def test_names_of_any_bytes_are_printed_as_redis_prints_them(self):
        bare = self.stack.add_redis("bare-for-names", *OPTIONS)
        for server in (self.daemon, bare):
            with self.connect(to=server) as client:
                client.pipeline([("XADD", key, "*", "a", "b") for key in (b"s", b"el:s")])
        for protocol in (2, 3):
            ours, theirs = self.connect(protocol), self.connect(protocol, to=bare)
            for group in (b"x\r\n+OK\r\n", b"x\r\n*1\r\n", b"\n", b"a\0b\r\n"):
                for key in (b"s", b"el:s", b"none\r\n$-1\r\n", b"el:none\0\r"):
                    for request in (("XREADGROUP", "GROUP", group, "c", "STREAMS", key, ">"),
                                    ("XREADGROUP", "GROUP", group, "c", "STREAMS", key, ">"),  # which may be answered from the first
                                    ("XREADGROUP", "GROUP", group, "c", "BLOCK", "1", "STREAMS", key, key, ">", ">"),
                                    ("XREADGROUP", "GROUP", group, "c", "STREAMS", key, "0"),
                                    ("XPENDING", key, group), ("XCLAIM", key, group, "c", "0", "1-1"), ("XAUTOCLAIM", key, group, "c", "0", "0")):
                        self.assertEqual(ours.call_raw(*request), theirs.call_raw(*request), request)
                        self.assertEqual(ours.call("ECHO", "next"), b"next", request)


if __name__ == "__main__":
    unittest.main()
