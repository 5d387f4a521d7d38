"""A bus whose replies are RESP, but not what was asked for: every client still gets one reply to each of its requests, and the
daemon goes on."""
import unittest

from support import transcripts
from support.fake_redis import FakeStackTest
from support.harness import sanitized

ODD = (b":7\r\n", b"+QUEUED\r\n", b"$1\r\nx\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"*1\r\n:1\r\n", b"*1\r\n*1\r\n*1\r\n$1\r\nx\r\n",
       b"*2\r\n$3\r\n1-1\r\n*-1\r\n", b"*3\r\n-ERR inside\r\n*0\r\n:-9223372036854775808\r\n", b"-ERR odd\r\n")
ODD_RESP3 = (b"%1\r\n$1\r\nx\r\n_\r\n", b"~1\r\n,1.5\r\n", b"_\r\n", b"%0\r\n")
# Commands that have no reply or several, change what comes behind them, or wait.
LEFT_OUT = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "QUIT", "RESET", "MONITOR", "HELLO",
            "MULTI", "EXEC", "DISCARD", "WATCH", "BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT"}


# Keys on both buses, and on the odd one alone.
APART = ("MGET md:a b md:c", "MSET md:a 1 b 2", "DEL md:a b", "EXISTS md:a b md:a", "RENAME md:a md:b", "COPY md:a md:b", "XREAD STREAMS md:s s 0 0",
         "XADD md:s * message_type order_request", "XADD s * message_type market_data a 1", "XADD s NOMKSTREAM * message_type market_data a 1",
         "XREADGROUP GROUP g c COUNT 5 STREAMS s md:s > >", "XREADGROUP GROUP g c COUNT 5 STREAMS s 0", "XAUTOCLAIM s g c 0 0",
         "EVAL 'return 1' 1 md:a", "WAIT 0 10", "SCRIPT EXISTS a b", "FUNCTION STATS", "BLPOP md:l 1", "PUBLISH c {\"message_type\":\"market_data\"}",
         "OBJECT ENCODING a", "MEMORY USAGE a", "INFO everything", "PUBSUB NUMSUB a b", "PUBSUB CHANNELS", "SCAN 0", "SCAN 1", "KEYS *",
         "RANDOMKEY", "DBSIZE", "TTL a", "EXPIRE a 9", "SORT md:l BY md:*", "GET md:a", "LPUSH md:l a")


def chosen_lines():
    lines = [line for name in transcripts.names() for paragraph in transcripts.load(name) for line in paragraph]
    keep = [line for line in lines if line.name not in LEFT_OUT and b"BLOCK" not in [word.upper() for word in line.words] and
            [word.upper() for word in line.words[:2]] not in ([b"CLIENT", b"REPLY"], [b"CLIENT", b"PAUSE"], [b"CLIENT", b"KILL"])]
    apart = [tuple(line.encode().split(b" ")) for line in APART]
    return list(dict.fromkeys(apart + [line.words for line in keep]))


class OddRepliesTest(FakeStackTest):
    """All keys may have parts on the fake bus; those with "md:" are nowhere else."""

    # Neither an answer that never comes nor a second one may be hidden by a time-out.
    backend = {"request_timeout": "5s"}

    def check(self, replies, around=lambda words: [words], stride=5 if sanitized() else 1):
        """Each request has as many replies as it has parts: behind them comes what the daemon itself answers. With a stride each
        reply meets only some of the requests."""
        everything = chosen_lines()
        self.assertGreater(len(everything), 1500)
        for first, (protocol, reply) in enumerate(replies):
            lines = everything[first % stride::stride]
            self.fake.always = reply
            client = self.connect(protocol)
            for start in range(0, len(lines), 50):
                requests = []
                for number, words in enumerate(lines[start:start + 50], start):
                    requests += [*around(words), ("ECHO", number)]
                got = client.pipeline(requests)
                for request, answer in zip(requests, got):
                    if request[0] == "ECHO":
                        self.assertEqual(answer, str(request[1]).encode(), (protocol, reply, lines[request[1]]))
        self.fake.always = None
        self.check_recovers()

    def test_every_request_has_one_reply_whatever_a_bus_says(self):
        self.check([(2, reply) for reply in ODD] + [(3, reply) for reply in ODD + ODD_RESP3])

    def test_so_has_every_request_of_a_transaction(self):
        self.check([(2, reply) for reply in ODD] + [(3, reply) for reply in ODD_RESP3],
                   lambda words: [("MULTI",), ("GET", "md:a"), words, ("EXEC",)], stride=20)


if __name__ == "__main__":
    unittest.main()
