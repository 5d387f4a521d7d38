"""Option words that end with a zero byte are what stands before it, as in Redis, wherever the daemon reads them itself."""
import unittest

from support import resp
from support.harness import StackTest

# In capitals: the option words. Streams are spread over both buses, other keys live on one.
REQUESTS = [
    "XRANGE s - + COUNT 1", "XREVRANGE s + - COUNT 1", "XREAD COUNT 1 STREAMS s 0", "XREAD BLOCK 1 STREAMS s $", "XREAD COUNT 1 BLOCK 1 STREAMS md:s el:s 0 0",
    "XREADGROUP GROUP g c NOACK COUNT 1 STREAMS s >", "XREADGROUP GROUP g c BLOCK 1 STREAMS s >", "XREADGROUP GROUP g c STREAMS s 0",
    "XAUTOCLAIM s g c 0 - COUNT 1 JUSTID", "XCLAIM s g c 0 0-1 FORCE JUSTID", "XCLAIM s g c 0 0-1 IDLE 5 RETRYCOUNT 2 LASTID 0-1 JUSTID", "XPENDING s g IDLE 0 - + 1",
    "XADD s NOMKSTREAM MAXLEN ~ 100 LIMIT 5 * message_type market_data", "XADD s MINID = 0-1 * message_type order_request",
    "XTRIM s MAXLEN = 1", "XTRIM s MINID ~ 0-1 LIMIT 5", "XGROUP CREATE t h $ MKSTREAM", "XGROUP SETID s g $ ENTRIESREAD 1", "XINFO STREAM s FULL COUNT 1",
    "COPY a b REPLACE", "COPY s t REPLACE", "COPY md:a md:b DB 0 REPLACE", "SORT l BY nosort LIMIT 0 1 STORE d", "SCAN 0 COUNT 10 MATCH none TYPE string",
    "GEORADIUS geo 1 1 1 km COUNT 1 STORE d", "EXPIRE a 100 NX", "EXPIRE none 100 NX", "SET a 1 EX 100 GET", "CLIENT LIST TYPE pubsub", "CLIENT KILL ID 999999 SKIPME YES",
    "CLIENT KILL TYPE pubsub", "CLIENT UNBLOCK 999999 ERROR", "CLIENT NO-EVICT ON", "CLIENT TRACKING OFF", "CLIENT REPLY ON", "CLIENT PAUSE 0 WRITE",
    "HELLO 2 SETNAME me", "COMMAND LIST FILTERBY PATTERN xadd", "COMMAND LIST FILTERBY ACLCAT scripting", "ACL CAT SCRIPTING",
]
# Words for IDs and for how exact a limit is.
SMALL = {"*", "-", "+", "$", ">", "=", "~"}


class OptionWordsTest(StackTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    @staticmethod
    def fill(client, flush):
        flush()
        client.pipeline([("XADD", key, "1-*" if key != "s" else "*", "message_type", kind) for key, kind in
                         (("s", "market_data"), ("s", "order_request"), ("md:s", "x"), ("el:s", "x"))])
        client.pipeline([("XGROUP", "CREATE", "s", "g", "0"), ("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "s", ">"), ("SET", "a", "1"),
                         ("SET", "md:a", "1"), ("RPUSH", "l", "2", "1"), ("GEOADD", "geo", "1", "1", "m")])

    @staticmethod
    def odd(request):
        """The same with zero bytes behind the option words."""
        words = request.split()
        container = words[0] in ("XGROUP", "XINFO", "CLIENT", "COMMAND", "ACL")
        first = 2 if container else 1
        return words[:first] + [word.encode() + b"\0x" if word in SMALL or (word.isupper() and word.isalpha()) else word for word in words[first:]]

    def test_they_mean_the_same(self):
        mine, theirs = self.connect(), self.connect(to=self.bare)
        for request in REQUESTS:
            replies = []
            for words in (request.split(), self.odd(request)):
                self.fill(mine, self.stack.flush)
                replies.append(mine.call(*words))
            self.fill(theirs, lambda: theirs.call("FLUSHALL"))
            self.assertNotIsInstance(theirs.call(*self.odd(request)), resp.ReplyError, request)
            self.assertNotIsInstance(replies[1], resp.ReplyError, request)
            self.assertEqual(self.shape(replies[1]), self.shape(replies[0]), request)

    @classmethod
    def shape(cls, reply, inside=False):
        """Without what differs from one time to the next: IDs, ages, which of two entries came first."""
        if isinstance(reply, list):
            return [cls.shape(part, True) for part in reply]
        if isinstance(reply, bytes) and (b"-" in reply or reply.isdigit()):
            return b"ID"
        if reply in (b"market_data", b"order_request"):
            return b"type"
        return "number" if isinstance(reply, int) and inside else reply


if __name__ == "__main__":
    unittest.main()
