"""What absorbing daemons answer to polls, beside a daemon on the same buses that sends every poll on.

Every group has twins, one per daemon, and all twins are treated alike: so what a twin has to deliver is what its sibling
delivers through the daemon that absorbs nothing. Entries, groups and keys change through any of the daemons and past all
of them. DUALBUS_ORACLE_STEPS makes it longer, DUALBUS_ORACLE_SEED repeats a run.
"""
import os
import random
import time
import unittest

import resp
from harness import MARKETDATA, StackTest, merge, sanitized
from servers import Daemon, free_port
from stream_load import ALL_TYPES, TYPES, entries, xadd

KEYS = ("s", "t", "md:pinned")
GROUPS = ("g", "h")
CONSUMERS = ("c", "d")
ABSORB_TTL, NOGROUP_TTL = 1.0, 0.2  # seconds; the defaults
NOTICE = 0.25  # seconds within which a bus's announcement arrives, or its connection is given up
DIRECTLY, EACH_ITS_OWN = "directly", "each its own"


class Twin:
    """One daemon, and what has been changed without it."""

    def __init__(self, name, daemon, connection, notice):
        self.name, self.daemon, self.connection, self.notice = name, daemon, connection, notice
        self.stale_until = dict.fromkeys(KEYS, 0.0)  # a poll of the key that is sent later knows of everything

    def group(self, group):
        return f"{self.name}-{group}"

    def miss(self, key, bound):
        self.stale_until[key] = max(self.stale_until[key], time.monotonic() + bound)


class OracleTest(StackTest):
    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("DUALBUS_ORACLE_SEED", random.SystemRandom().getrandbits(32)))
        print(f"DUALBUS_ORACLE_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        self.bare = {name: bus.connect() for name, bus in self.stack.buses.items()}
        for connection in self.bare.values():
            self.addCleanup(connection.close)
        self.oracle = self.twin("off", 0)
        self.absorbing = [self.twin("relaxed", NOTICE), self.twin("strict", 0)]
        self.twins = [self.oracle, *self.absorbing]
        self.added = self.delivered = self.late = 0

    def twin(self, absorb, notice):
        changes = {"listen": {"port": free_port()}, "admin": {"port": free_port()}, "absorb": absorb,
                   "absorb_delay": self.random.choice(("0", "1ms"))}
        daemon = Daemon(self.stack.directory, merge(self.stack.config, changes), name=absorb)
        self.addCleanup(daemon.kill)
        daemon.start()
        self.addCleanup(lambda: self.assertEqual((daemon.terminate(), daemon.sanitizer_report()), (0, "")))
        return Twin(absorb, daemon, self.connect(protocol=self.random.choice((2, 3)), to=daemon), notice)

    # What changes keys and groups.

    def changed(self, key, by, bound=None):
        """Who was not asked may not know yet: until it is told, or until what it knows has grown old."""
        for twin in self.absorbing:
            if by not in (twin, EACH_ITS_OWN):
                twin.miss(key, twin.notice if bound is None else bound)
        if self.random.random() < 0.7:
            self.read(key)

    def add(self):
        key, by, name = self.random.choice(KEYS), self.random.choice((*self.twins, DIRECTLY)), str(self.added).encode()
        self.added += 1
        if by is DIRECTLY:
            bus = MARKETDATA if key.startswith("md:") else self.random.choice(sorted(self.bare))
            self.done(self.bare[bus].call(*xadd(key, self.random.choice(TYPES[bus]), name)))
        else:
            self.done(by.connection.call(*xadd(key, self.random.choice(ALL_TYPES), name)))
        self.changed(key, by)

    def change_key(self):
        key, by = self.random.choice(KEYS), self.random.choice((*self.twins, DIRECTLY))
        words = self.random.choice((("DEL", key), ("XTRIM", key, "MAXLEN", self.random.randrange(4)), ("UNLINK", key)))
        for connection in self.bare.values() if by is DIRECTLY else (by.connection,):
            self.done(connection.call(*words))
        self.changed(key, by)

    def change_group(self, foreign=False):
        """The same for every twin, each through its own daemon; or past the daemons, on every bus that the key has."""
        key, group, position = self.random.choice(KEYS), self.random.choice(GROUPS), self.random.choice(("0", "$"))
        words = self.random.choice((("CREATE", position, "MKSTREAM"), ("DESTROY",), ("SETID", position),
                                    ("CREATECONSUMER", "c"), ("DELCONSUMER", "d")))
        buses = [MARKETDATA] if key.startswith("md:") else sorted(self.bare)
        for twin in self.twins:
            request = ("XGROUP", words[0], key, twin.group(group), *words[1:])
            # Groups that are there already, or are not, are part of the game.
            if foreign:
                for bus in buses:
                    self.bare[bus].call(*request)
            else:
                twin.connection.call(*request)
        self.changed(key, None if foreign else EACH_ITS_OWN, max(ABSORB_TTL, NOGROUP_TTL))

    def done(self, reply):
        self.assertNotIsInstance(reply, resp.ReplyError)

    # What reads.

    def everything(self, twin, key, group, consumer, options):
        """What is left for the group: names, and the error that ended it if there was one."""
        names = []
        while True:
            reply = twin.connection.call("XREADGROUP", "GROUP", twin.group(group), consumer, *options, "STREAMS", key, ">")
            if isinstance(reply, resp.ReplyError):
                return names, str(reply).replace(twin.group(group), group)
            found = [name for _, name in entries(reply)]
            if not found:
                return names, None
            names += found

    def read(self, key=None):
        """One consumer of every twin; in any order, so that an absorbing daemon is also asked first, right after a change."""
        key, group, consumer = key or self.random.choice(KEYS), self.random.choice(GROUPS), self.random.choice(CONSUMERS)
        options = self.random.choice(((), (), ("COUNT", self.random.randrange(1, 5)), ("NOACK",), ("BLOCK", self.random.randrange(1, 4))))
        answers = {}
        for twin in self.random.sample(self.twins, len(self.twins)):
            sent = time.monotonic()
            answers[twin] = (sent, *self.everything(twin, key, group, consumer, options))
        _, names, error = answers.pop(self.oracle)
        self.delivered += len(names)
        for twin, (sent, got, outcome) in answers.items():
            while (sorted(got), outcome) != (sorted(names), error):
                self.late += 1
                self.assertLessEqual(set(got), set(names), f"{twin.name} delivered what {self.oracle.name} did not")
                self.assertLess(sent, twin.stale_until[key],
                                f"{twin.name} {key} {group} {options}: {got} {outcome}, but there is {names} {error}")
                sent = time.monotonic()
                more, outcome = self.everything(twin, key, group, consumer, options)
                got += more

    def acknowledge(self):
        """What has been delivered is pending for the same consumers of every twin."""
        key, group, consumer = (self.random.choice(words) for words in (KEYS, GROUPS, CONSUMERS))
        seen = None
        for twin in self.twins:
            pending = self.oracle.connection.call("XPENDING", key, twin.group(group), "-", "+", 1000, consumer)
            if isinstance(pending, resp.ReplyError):
                return
            ids = [entry[0] for entry in pending]
            seen = ids if seen is None else seen
            self.assertEqual(ids, seen, f"pending for {twin.name}")
            if ids:
                self.assertEqual(twin.connection.call("XACK", key, twin.group(group), *ids), len(ids))

    def test_absorbing_daemons_deliver_what_one_that_asks_every_time_delivers(self):
        steps = int(os.environ.get("DUALBUS_ORACLE_STEPS", 500 if sanitized() else 2000))
        for twin in self.twins:
            for key in KEYS:
                for group in GROUPS:
                    self.done(twin.connection.call("XGROUP", "CREATE", key, twin.group(group), "0", "MKSTREAM"))
        actions = (self.add, self.read, self.acknowledge, self.change_group, self.change_key, lambda: self.change_group(foreign=True))
        for _ in range(steps):
            self.random.choices(actions, (20, 60, 4, 6, 1, 3))[0]()
        for twin in self.absorbing:
            for reason in ("empty", "no_group"):
                absorbed = twin.daemon.metrics().value("dualbus_polls_absorbed_total", reason=reason)
                self.assertGreater(absorbed, steps / 100, f"{twin.name} absorbs polls: {reason}")
        self.assertEqual(self.oracle.daemon.metrics().value("dualbus_polls_absorbed_total"), 0)
        self.assertGreater(self.delivered, steps / 20)
        print(f"{steps} steps, {self.added} entries added, {self.delivered} delivered to each, {self.late} answers were late", flush=True)


if __name__ == "__main__":
    unittest.main()
