"""However several buses answer the parts of one request, each of its own moment, the client gets one reply that one Redis could
give: every combination of plausible replies is tried. The key of a request says which combination it gets."""
import contextlib
import itertools
import unittest

from support.fake_redis import FakeRedis
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for
from support.resp import ReplyError

OLD = "old"  # a draining bus
BUSES = (ENGINE_LOGIC, MARKETDATA, OLD)


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text)


def array(*elements):
    return b"*%d\r\n" % len(elements) + b"".join(elements)


def number(value):
    return b":%d\r\n" % value


NULL, NIL_ARRAY, OK = b"$-1\r\n", b"*-1\r\n", b"+OK\r\n"
NO_KEY = b"-ERR no such key\r\n"
NO_GROUP = b"-NOGROUP No such key 'k' or consumer group 'g'\r\n"
NO_GROUP_OF_KEY = b"-NOGROUP No such consumer group 'g' for key name 'k'\r\n"
KEY_REQUIRED = (b"-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option "
                b"to create an empty stream automatically.\r\n")
BUSY_GROUP = b"-BUSYGROUP Consumer Group name already exists\r\n"
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
FAILURES = (WRONG_TYPE, LOADING)


def entry(entry_id):
    return array(bulk(entry_id), array(bulk(b"f"), bulk(b"v")))


def stream(length, groups=0):
    edge = entry(b"5-0") if length else NULL
    return array(bulk(b"length"), number(length), bulk(b"last-generated-id"), bulk(b"5-0"), bulk(b"entries-added"), number(length),
                 bulk(b"groups"), number(groups), bulk(b"first-entry"), edge, bulk(b"last-entry"), edge)


def named(*names):
    return array(*(array(bulk(b"name"), bulk(name), bulk(b"pending"), number(1), bulk(b"idle"), number(5)) for name in names))


def full(length, *groups):
    return array(bulk(b"length"), number(length), bulk(b"entries-added"), number(length), bulk(b"entries"), array(*[entry(b"5-0")] * min(length, 1)),
                 bulk(b"groups"), array(*(array(bulk(b"name"), bulk(name), bulk(b"last-delivered-id"), bulk(b"0-0"), bulk(b"entries-read"), NULL, bulk(b"lag"),
                                                number(length), bulk(b"pel-count"), number(0), bulk(b"pending"), array(), bulk(b"consumers"), array()) for name in groups)))


def read(*ids):
    return array(array(bulk(b"k"), array(*map(entry, ids)))) if ids else NIL_ARRAY


SUMMARIES = (NO_GROUP, array(number(0), NULL, NULL, NIL_ARRAY), array(number(1), bulk(b"5-0"), bulk(b"5-0"), array(array(bulk(b"c"), bulk(b"1")))))
PENDING = array(bulk(b"5-0"), bulk(b"c"), number(9), number(1))
ENTRIES = (array(), array(entry(b"5-0")), array(entry(b"5-0"), entry(b"6-1000000000000")))
CREATED = (OK, BUSY_GROUP)
COUNTS = (number(0), number(1))

# The request for the key, and what each of its parts may be answered, by the part's first words.
CASES = (
    ("XINFO STREAM {}", {"XINFO STREAM": (NO_KEY, stream(0), stream(3, 2)), "XINFO GROUPS": (NO_KEY, array(), named(b"g"))}),
    ("XINFO STREAM {} FULL", {"XINFO STREAM": (NO_KEY, full(0), full(3), full(3, b"g", b"h"))}),
    ("XINFO GROUPS {}", {"XINFO STREAM": (NO_KEY, full(0), full(3), full(3, b"g", b"h"))}),
    ("XINFO CONSUMERS {} g", {"XINFO CONSUMERS": (NO_KEY, NO_GROUP_OF_KEY, array(), named(b"c"))}),
    ("XPENDING {} g", {"XPENDING": SUMMARIES}),
    ("XPENDING {} g - + 5", {"XPENDING": (NO_GROUP, array(), array(PENDING), array(PENDING, PENDING))}),
    ("XLEN {}", {"XLEN": COUNTS}),
    ("XTRIM {} MAXLEN 1", {"XTRIM": COUNTS}),
    ("XACK {} g 5-0 5-1000000000000 5-2000000000000 5-9000000000000", {"XACK": COUNTS}),
    ("XDEL {} 5-0 5-1000000000000 5-2000000000000", {"XDEL": COUNTS}),
    ("XCLAIM {} g c 0 5-0 5-1000000000000 5-2000000000000", {"XCLAIM": (NO_GROUP, *ENTRIES), "XPENDING": SUMMARIES[:2]}),
    ("XAUTOCLAIM {} g c 0 0 COUNT 2", {"XAUTOCLAIM": (NO_GROUP, *(array(bulk(at), claims, array()) for at in (b"0-0", b"6-0") for claims in ENTRIES)),
                                       "XPENDING": SUMMARIES[:2]}),
    ("XRANGE {} - +", {"XRANGE": ENTRIES}),
    ("XREVRANGE {} + - COUNT 0", {"XREVRANGE": (array(), NIL_ARRAY)}),
    ("XREAD STREAMS {} 0", {"XREAD": (read(), read(b"5-0"), read(b"5-0", b"6-0"))}),
    ("XREAD STREAMS {} $", {"XINFO STREAM": (NO_KEY, stream(0), stream(3)), "XREAD": (read(), read(b"6-0"))}),
    ("XREADGROUP GROUP g c STREAMS {} >", {"XREADGROUP": (NO_GROUP, read(), read(b"5-0")), "XPENDING": SUMMARIES[:2], "XGROUP CREATE": CREATED, "XGROUP DESTROY": COUNTS}),
    ("XREADGROUP GROUP g c COUNT 2 STREAMS {} >", {"XREADGROUP": (NO_GROUP, read(), read(b"5-0", b"6-0")), "XPENDING": SUMMARIES[:2], "XGROUP CREATE": CREATED}),
    ("XREADGROUP GROUP g c STREAMS {} 0", {"XREADGROUP": (NO_GROUP, array(array(bulk(b"k"), array())), read(b"5-0"))}),
    ("XREADGROUP GROUP g c COUNT 1 STREAMS {} 0", {"XPENDING": (NO_GROUP, array(), array(PENDING)), "XREADGROUP": (NO_GROUP, array(array(bulk(b"k"), array())), read(b"5-0"))}),
    ("XGROUP CREATE {} g 0", {"TYPE": (b"+none\r\n", b"+stream\r\n"), "XPENDING": SUMMARIES[:2], "XGROUP CREATE": CREATED}),
    ("XGROUP SETID {} g 0", {"XGROUP SETID": (KEY_REQUIRED, NO_GROUP_OF_KEY, OK), "XPENDING": SUMMARIES[:2], "XGROUP CREATE": CREATED}),
    ("XGROUP DESTROY {} g", {"XGROUP DESTROY": (KEY_REQUIRED, *COUNTS)}),
    ("XGROUP CREATECONSUMER {} g c", {"XGROUP CREATECONSUMER": (KEY_REQUIRED, NO_GROUP_OF_KEY, *COUNTS), "XPENDING": SUMMARIES[:1]}),
    ("XGROUP DELCONSUMER {} g c", {"XGROUP DELCONSUMER": (KEY_REQUIRED, NO_GROUP_OF_KEY, *COUNTS)}),
    ("DEL {}", {"DEL": COUNTS}),
    ("EXISTS {} {}", {"EXISTS": COUNTS}),
    ("TYPE {}", {"TYPE": (b"+none\r\n", b"+stream\r\n", b"+string\r\n")}),
    ("EXPIRE {} 9", {"EXPIRE": COUNTS}),
    ("TTL {}", {"TTL": (number(-2), number(-1), number(7))}),
    ("OBJECT ENCODING {}", {"OBJECT ENCODING": (NULL, NO_KEY, bulk(b"stream"))}),
    ("MEMORY USAGE {}", {"MEMORY USAGE": (NULL, number(9), number(2**63 - 1))}),
    ("RENAME {} d{}", {"EXISTS": COUNTS, "RENAME": (OK, NO_KEY), "DEL": COUNTS}),
    ("COPY {} d{}", {"EXISTS": COUNTS, "COPY": COUNTS}),
    ("DUMP {}", {"TYPE": (b"+none\r\n", b"+stream\r\n", b"+string\r\n"), "DUMP": (NULL, bulk(b"dump"))}),
)
MOST = 700  # combinations of one case: of more, some are picked


def part_of(words):
    first = words[0].decode()
    return first if first not in ("XINFO", "XGROUP", "OBJECT", "MEMORY") else f"{first} {words[1].decode()}"


class CombinedRepliesTest(StackTest):
    @classmethod
    def setUpClass(cls):
        cls.fakes = {bus: FakeRedis() for bus in BUSES}
        buses = {bus: {"endpoint": fake.endpoint} for bus, fake in cls.fakes.items()}
        buses[OLD] |= {"id_slot": 0, "state": "draining"}
        cls.config = {"buses": buses, "absorb": "off", "backend": {"request_timeout": "5s"}, "draining": {"interval": "1h"}}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready")

    def answer(self, bus, combinations):
        def script(words):
            if words[0] == b"TIME":
                return array(bulk(b"1700000000"), bulk(b"0"))
            for word in words[1:] if part_of(words) != words[0].decode() else words[1:]:
                with contextlib.suppress(ValueError, AttributeError, IndexError):
                    if word[:1] in (b"K", b"D"):
                        return combinations[int(word.lstrip(b"DK"))].get((bus, part_of(words)))
            return None
        return script

    @staticmethod
    def combinations(parts):
        """The answers of each bus to each part: all combinations, and failures in the place of each."""
        places = [(bus, part) for bus in BUSES for part in parts]
        choices = [parts[part] for _, part in places]
        total = 1
        for replies in choices:
            total *= len(replies)
        if total <= MOST:
            yield from (dict(zip(places, chosen)) for chosen in itertools.product(*choices))
        else:  # with a stride that has nothing in common with the numbers of choices
            step = total // MOST | 1
            while any(step % len(replies) == 0 for replies in choices if len(replies) > 1):
                step += 2
            for at in range(0, total, step):
                chosen = []
                for replies in choices:
                    at, index = divmod(at, len(replies))
                    chosen.append(replies[index])
                yield dict(zip(places, chosen))
        for place, failure in itertools.product(places, FAILURES):
            for pick in (0, -1):
                yield dict(zip(places, (replies[pick] for replies in choices))) | {place: failure}

    def ask(self, template, parts, protocol):
        combinations = list(self.combinations(parts))
        for bus, fake in self.fakes.items():
            fake.script = self.answer(bus, combinations)
        client = self.connect(protocol)
        for start in range(0, len(combinations), 200):
            requests = []
            for index in range(start, min(start + 200, len(combinations))):
                requests += [template.replace("{}", f"k{index}").split(), ("ECHO", index)]
            got = client.pipeline(requests)
            for index, (reply, echo) in enumerate(zip(got[::2], got[1::2]), start):
                self.assertEqual(echo, b"%d" % index, (template, combinations[index]))
                yield combinations[index], reply

    def test_every_combination_has_an_answer_that_redis_could_give(self):
        for number_of, (template, parts) in enumerate(CASES):
            for combination, reply in self.ask(template, parts, 2 + number_of % 2):
                what = (template, combination, reply)
                failures = {one for one in combination.values() if one in FAILURES}
                if isinstance(reply, ReplyError):
                    known = {one[1:-2].decode() for one in combination.values() if one[:1] == b"-"}
                    # In its own words it says only what buses have said of the key and the group.
                    own = reply.startswith(("NOGROUP", "BUSYGROUP", "ERR The XGROUP subcommand", "ERR no such key", "NOTSUPPORTED command 'DUMP'",
                                            "ERR dualbus: the destination came into being meanwhile", "BUSDOWN"))
                    self.assertTrue(reply in known or own, what)
                    self.assertTrue(failures or not reply.startswith(("WRONGTYPE", "LOADING", "BUSDOWN")), what)
        self.assertTrue(self.daemon.running())

    def test_a_stream_exists_if_a_bus_describes_it(self):
        template, parts = CASES[0]
        for combination, reply in self.ask(template, parts, 2):
            described = [combination[bus, "XINFO STREAM"] for bus in BUSES]
            if any(one in FAILURES for one in combination.values()):
                continue
            if all(one == NO_KEY for one in described):
                self.assertEqual(reply, "ERR no such key", combination)
                continue
            fields = dict(zip(reply[::2], reply[1::2]))
            self.assertEqual(fields[b"length"], 3 * described.count(stream(3, 2)), combination)
            deciding = [combination[bus, "XINFO STREAM"] for bus in (ENGINE_LOGIC, OLD)]
            told = [combination[bus, "XINFO GROUPS"] for bus in (ENGINE_LOGIC, OLD)]
            self.assertEqual(fields[b"groups"], max(2 * (stream(3, 2) in deciding), 1 * (named(b"g") in told)), combination)


if __name__ == "__main__":
    unittest.main()
