"""Commands with keys on different buses: answered as by one Redis, or refused with nothing done. Never anything between.

Every command that may name several keys, with its keys on either bus and without a rule, in every mixture, beside a bare Redis.
"""
import itertools
import re
import unittest
from collections import Counter

from support.apart_samples import DATA, LIBRARY, PLACE, SAMPLES, SCRIPT, SPREAD, about, fill, kinds_of, samples
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest
from support.resp import encode
from support.transcripts import NEVER_WRONG

# A key's rule is told by its prefix. Keys without one are streams on both buses, or lie on the bus of b:*.
PREFIXES = ("a:", "b:", "")
# A refusal by itself, or in the replies to MULTI, the request and EXEC.
REFUSAL = re.compile(rb"(?:\+OK\r\n(?:\+QUEUED\r\n\*1\r\n)?)?-(?:CROSSBUS |NOTSUPPORTED |ERR dualbus: )")
CALL = "return redis.call(unpack(ARGV))"
# A client's questions about a key of each type, the last one about a group's position; and a bus's about all keys.
READS = {"string": ("GET {key}",), "list": ("LRANGE {key} 0 -1",), "set": ("SMEMBERS {key}",), "hash": ("HGETALL {key}",),
         "zset": ("ZRANGE {key} 0 -1 WITHSCORES",),
         "stream": ("XRANGE {key} - +", "XPENDING {key} g", "XREADGROUP GROUP g late STREAMS {key} >")}
STORED = """
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  table.insert(all, {key, redis.call('TYPE', key).ok, redis.call('DUMP', key), redis.call('PEXPIRETIME', key)})
end
return all
"""
# Commands without a sample, though they may name several keys.
NO_SAMPLE = {"migrate": "refused whatever its keys", "sort_ro": "names one, and others by patterns", "watch": "has a test of its own",
             "ssubscribe": "channels", "sunsubscribe": "channels"}
# These take several rounds for keys that are not pinned, and are refused within MULTI.
SEVERAL_ROUNDS = ("RENAME ", "RENAMENX ", "COPY ", "XREADGROUP GROUP g streams COUNT 1 ")
# In place of each word that is no key: other numbers of keys, and what may be taken for an option.
WRONG = ("0", "1", "3", "-1", "STORE", "STREAMS", "LIMIT")


def prefix_of(key):
    return key[:-2]


def alike(keys):
    """True if all are on one bus, or none has a rule: then nothing may be refused."""
    return len(set(map(prefix_of, keys))) == 1


def mixtures(count):
    """Names of so many keys, with every choice of prefixes."""
    for prefixes in itertools.product(PREFIXES, repeat=count):
        yield [f"{prefix}k{number}" for number, prefix in enumerate(prefixes)]


def by_itself(to, words, _):
    return to.call_raw(*words)


def within_multi(to, words, _):
    to.send_raw(encode("MULTI") + encode(*words) + encode("EXEC"))
    return b"".join(to.read_raw() for _ in range(3))


def by_a_script(to, words, keys):
    return to.call_raw("EVAL", CALL, len(keys), *keys, *words)


def or_an_error(to, words, _):
    """Of two mistakes in a request either may be named."""
    reply = to.call_raw(*words)
    return b"-" if reply[:1] == b"-" and not REFUSAL.match(reply) else reply


def at_once(connections, requests):
    """The replies on each connection."""
    data = b"".join(encode(*request) for request in requests)
    for connection in connections:
        connection.send_raw(data)
    return [[connection.read() for _ in requests] for connection in connections]


class ApartKeysTest(StackTest):
    # The bus of keys without a rule has slot 0, so that IDs there are the clients'.
    config = {"flush": "allowed", "buses": {ENGINE_LOGIC: {"id_slot": 0}},
              "routing": {"keys": [{"match": "a:*", "bus": MARKETDATA}, {"match": "b:*", "bus": ENGINE_LOGIC}]}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def setUp(self):
        super().setUp()
        self.buses = {name: self.connect(to=bus) for name, bus in self.stack.buses.items()}
        for server in (self.daemon, self.bare):
            with server.connect() as connection:
                self.assertEqual(connection.call("FUNCTION", "LOAD", "REPLACE", LIBRARY), b"lib")
                self.assertEqual(len(connection.call("SCRIPT", "LOAD", SCRIPT)), 40)

    # --- what is stored

    def load(self, sample, keys):
        """The same data for both, nothing else."""
        requests = [["FLUSHALL"]]
        for number, (kind, key) in enumerate(zip(kinds_of(sample), keys)):
            requests += about(key, DATA[kind], number)
        mine, theirs = at_once((self.mine, self.theirs), requests)
        self.assertEqual(mine, theirs, requests)

    def stored(self):
        """Everything that the buses have. None has what belongs to the other."""
        content = dict(zip(self.buses, map(sorted, sum(at_once(self.buses.values(), [("EVAL", STORED, 0)]), []))))
        for name, keys in content.items():
            for key, kind, *_ in keys:
                spread = kind == b"stream" and key[:2] not in (b"a:", b"b:")
                self.assertTrue(spread or (name == MARKETDATA) == key.startswith(b"a:"), (name, key, kind))
        return content

    def check_data(self):
        """A client finds the same in both."""
        keys = sorted(key.decode() for key in self.theirs.call("KEYS", "*"))
        kinds = self.theirs.pipeline([("TYPE", key) for key in keys])
        requests = [["KEYS", "*"]]
        for key, kind in zip(keys, kinds):
            requests += about(key, ("TYPE {key}", "PEXPIRETIME {key}", *READS[kind]))
        mine, theirs = at_once((self.mine, self.theirs), requests)
        self.assertEqual(sorted(mine[0]), sorted(theirs[0]))
        self.assertEqual(list(zip(requests[1:], mine[1:])), list(zip(requests[1:], theirs[1:])))

    # --- one command

    def check(self, sample, keys, ask):
        """Sends the sample with `ask`, which returns the bytes that come back. True if it was answered and not refused."""
        words = fill(sample, keys)
        self.load(sample, keys)
        before = self.stored()
        mine = ask(self.mine, words, keys)
        if REFUSAL.match(mine):
            self.assertEqual(self.stored(), before, mine)
            return False
        self.assertEqual(mine, ask(self.theirs, words, keys))
        self.check_data()
        self.stored()
        return True

    def check_all(self, ask, protocol, wanted, may_be_refused=lambda sample, keys: False):
        """Every sample in every mixture. `wanted` and `may_be_refused` are asked about both, the latter if all keys are alike."""
        self.mine, self.theirs = self.connect(protocol), self.connect(protocol, to=self.bare)
        answered = Counter()
        for sample in samples():
            for keys in mixtures(len(kinds_of(sample))):
                if wanted(sample, keys):
                    with self.subTest(" ".join(fill(sample, keys))):
                        answer = self.check(sample, keys, ask)
                        self.assertTrue(answer or not alike(keys) or may_be_refused(sample, keys), "refused")
                        answered[answer] += 1
        self.assertGreater(min(answered[True], answered[False]), 1000)

    def test_a_command_by_itself(self):
        self.check_all(by_itself, 2, lambda sample, keys: True)

    def test_a_command_within_multi(self):
        # Redis finds a command that it does not know when it queues, the daemon at EXEC.
        known = {entry[0].decode().upper() for entry in self.connect(to=self.bare).call("COMMAND")}
        self.check_all(within_multi, 3, lambda sample, keys: sample.split()[0] in known,
                       lambda sample, keys: sample.startswith(SEVERAL_ROUNDS) and prefix_of(keys[0]) == "")

    def test_a_command_called_by_a_script(self):
        # Scripts find only a part of streams on several buses.
        self.check_all(by_a_script, 2, lambda sample, keys: "" not in map(prefix_of, keys) or not set(kinds_of(sample)) & set(SPREAD))

    def test_wrong_requests(self):
        self.mine, self.theirs = self.connect(), self.connect(to=self.bare)
        choices = itertools.cycle((("a:k0", "k1", "b:k2"), ("b:k0", "a:k1", "a:k2")))
        for words in map(str.split, SAMPLES.splitlines()):
            if words[0] in NEVER_WRONG or "BLOCK" in words:
                continue
            wrong = [words[:-1], words + ["x"]]
            wrong += [words[:at] + [word] + words[at + 1:] for at in range(1, len(words)) for word in WRONG if not PLACE.match(words[at])]
            for sample, keys in zip(map(" ".join, wrong), choices):
                with self.subTest(" ".join(fill(sample, keys))):
                    self.check(sample, keys, or_an_error)

    def test_watch(self):
        for keys in mixtures(2):
            for changed in (None, *keys):
                replies = []
                for server in (self.daemon, self.bare):
                    with server.connect() as client, server.connect() as other:
                        client.call("FLUSHALL")
                        replies.append([client.call_raw("WATCH", *keys)])
                        if changed:
                            other.call("SET", changed, "x")
                        replies[-1] += client.pipeline([("MULTI",), ("SET", keys[0], "y"), ("EXEC",)])
                if REFUSAL.match(replies[0][0]):
                    self.assertFalse(alike(keys), keys)
                else:
                    self.assertEqual(*replies, (keys, changed))

    def test_every_command_that_may_name_several_keys_has_a_sample(self):
        mine, theirs = self.connect(), self.connect(to=self.bare)
        known = {entry[0].decode(): entry for server in (mine, theirs) for entry in server.call("COMMAND")}
        several = {name for name, (_, _, flags, first, last, *_) in known.items() if first != last or "movablekeys" in flags}
        of_redis = {entry[0].decode() for entry in theirs.call("COMMAND")}
        sampled = set()
        for sample in samples():
            keys = [f"k{number}" for number in range(len(kinds_of(sample)))]
            words = fill(sample, keys)
            found = {key.decode() for key in mine.call("COMMAND", "GETKEYS", *words)}
            if len(found) > 1:
                sampled.add(words[0].lower())
            expected = {key.decode() for key in theirs.call("COMMAND", "GETKEYS", *words)} if words[0].lower() in of_redis else set(keys)
            # Only the second of two destinations counts, though Redis names both.
            self.assertEqual(found, expected - {"k1"} if " STORE {none} STOREDIST " in sample else expected, sample)
        self.assertEqual(several - sampled, set(NO_SAMPLE))


if __name__ == "__main__":
    unittest.main()
