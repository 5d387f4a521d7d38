"""The answers of absorbing daemons to polls, beside a daemon on the same buses that sends every poll on.

Every group has twins, one per daemon, and all twins are treated alike: so what a twin has to deliver is what its sibling
delivers through the daemon that absorbs nothing. Entries, groups and keys change through any of the daemons and past all
of them, mostly when somebody has just polled and polls again at once; and what a bus announces may be slow to arrive.
DUALBUS_ORACLE_STEPS makes it longer, DUALBUS_ORACLE_SEED repeats a run.
"""
import os
import random
import time
import unittest

from support import resp
from support.harness import MARKETDATA, StackTest, merge, sanitized
from support.relay import Relay
from support.servers import Daemon, free_port
from support.stream_load import ALL_TYPES, TYPES, entries, fields_of, xadd

KEYS = ("s", "t", "md:pinned")
GROUPS = ("g", "h")
CONSUMERS = ("c", "d")
ABSORB_TTL, NOGROUP_TTL = 0.4, 0.2  # seconds
LAG = 0.005  # seconds by which announcements are late now and then
NOTICE = 0.25  # seconds within which a bus's announcement arrives, or its connection is given up
DIRECTLY, EACH_ITS_OWN = "directly", "each its own"


class Twin:
    """One daemon, and what has been changed without it."""

    def __init__(self, name, daemon, connection, notice):
        self.name, self.daemon, self.connection, self.notice = name, daemon, connection, notice
        self.stale_until = {}  # (key, bus) -> a poll that is sent later knows of everything

    def group(self, group):
        return f"{self.name}-{group}"

    def own(self, key, buses):
        """After a change of its own it asks those buses, and so knows of everybody's."""
        self.stale_until.update(dict.fromkeys([(key, bus) for bus in buses], 0.0))

    def miss(self, key, buses, bound):
        until = time.monotonic() + bound
        self.stale_until.update({(key, bus): max(self.stale_until.get((key, bus), 0.0), until) for bus in buses})

    def knows_everything_after(self, key):
        return max(self.stale_until.get((key, bus), 0.0) for bus in TYPES)


class OracleTest(StackTest):
    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("DUALBUS_ORACLE_SEED", random.SystemRandom().getrandbits(32)))
        print(f"DUALBUS_ORACLE_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        self.bare = {name: bus.connect() for name, bus in self.stack.buses.items()}
        for connection in self.bare.values():
            self.addCleanup(connection.close)
        self.relays = []
        self.oracle = self.twin("off", 0)
        self.absorbing = [self.twin("relaxed", NOTICE), self.twin("strict", 0)]
        self.twins = [self.oracle, *self.absorbing]
        self.added = self.delivered = self.late = 0

    def twin(self, absorb, notice):
        relays = {name: Relay(bus.address) for name, bus in self.stack.buses.items()}
        for relay in relays.values():
            self.addCleanup(relay.stop)
        changes = {"listen": {"port": free_port()}, "admin": {"port": free_port()}, "absorb": absorb,
                   "absorb_ttl": f"{ABSORB_TTL * 1000:.0f}ms", "nogroup_ttl": f"{NOGROUP_TTL * 1000:.0f}ms",
                   "absorb_delay": self.random.choice(("0", "1ms")),
                   "buses": {name: {"endpoint": relay.endpoint} for name, relay in relays.items()}}
        daemon = Daemon(self.stack.directory, merge(self.stack.config, changes), name=absorb)
        self.addCleanup(daemon.kill)
        daemon.start()
        self.addCleanup(lambda: self.assertEqual((daemon.terminate(), daemon.sanitizer_report()), (0, "")))
        self.relays += relays.values()
        return Twin(absorb, daemon, self.connect(protocol=self.random.choice((2, 3)), to=daemon), notice)

    # Requests that change keys and groups.

    def change(self, key, by, action, buses=tuple(TYPES), bound=None, group=None):
        """A daemon that is not asked may not know for a while: until it is told, or until what it knows has grown old."""
        reader = (group or self.random.choice(GROUPS), self.random.choice(CONSUMERS)) if self.random.random() < 0.7 else None
        for _ in range(3 if reader else 0):  # seen, seen by one who watches the key, known
            self.read(key, *reader)
        lag = self.random.choice((0, LAG))
        for relay in self.relays:
            relay.lag = lag
        action()
        for twin in self.absorbing:
            if by in (twin, EACH_ITS_OWN):
                twin.own(key, buses)
            else:
                twin.miss(key, buses, twin.notice if bound is None else bound)
        if reader:
            self.read(key, *reader)
        for relay in self.relays:
            relay.lag = 0

    def add(self):
        key, by, name = self.random.choice(KEYS), self.random.choice((*self.twins, DIRECTLY)), str(self.added).encode()
        self.added += 1
        kind = self.random.choice(ALL_TYPES)
        bus = MARKETDATA if key.startswith("md:") else next(bus for bus, kinds in TYPES.items() if kind in kinds)
        connection = self.bare[bus] if by is DIRECTLY else by.connection
        self.change(key, by, lambda: self.done(connection.call(*xadd(key, kind, name))), (bus, ))

    def change_key(self):
        key, by = self.random.choice(KEYS), self.random.choice((*self.twins, DIRECTLY))
        words = self.random.choice((("DEL", key), ("XTRIM", key, "MAXLEN", self.random.randrange(4)), ("UNLINK", key)))

        def action():
            for connection in self.bare.values() if by is DIRECTLY else (by.connection,):
                self.done(connection.call(*words))

        self.change(key, by, action)

    def change_group(self, foreign=False):
        """The same for every twin, each through its own daemon; or past the daemons, on every bus that the key has."""
        key, group, position = self.random.choice(KEYS), self.random.choice(GROUPS), self.random.choice(("0", "$"))
        words = self.random.choice((("CREATE", position, "MKSTREAM"), ("DESTROY",), ("SETID", position),
                                    ("CREATECONSUMER", "c"), ("DELCONSUMER", "d")))
        buses = [MARKETDATA] if key.startswith("md:") else sorted(self.bare)

        def action():
            # Groups that are there already, or are not, are part of the game.
            for twin in self.twins:
                request = ("XGROUP", words[0], key, twin.group(group), *words[1:])
                for connection in [self.bare[bus] for bus in buses] if foreign else [twin.connection]:
                    connection.call(*request)

        self.change(key, None if foreign else EACH_ITS_OWN, action, bound=NOGROUP_TTL if words[0] == "CREATE" else ABSORB_TTL, group=group)

    def done(self, reply):
        self.assertNotIsInstance(reply, resp.ReplyError)

    # Requests that read.

    def everything(self, twin, key, group, consumer, options):
        """The rest that is left for the group: names, and the error that ended it if there was one."""
        names = []
        while True:
            reply = twin.connection.call("XREADGROUP", "GROUP", twin.group(group), consumer, *options, "STREAMS", key, ">")
            if isinstance(reply, resp.ReplyError):
                return names, str(reply).replace(twin.group(group), group)
            found = [name for _, name in entries(reply)]
            if not found:
                return names, None
            names += found

    def read(self, key=None, group=None, consumer=None):
        """One consumer of every twin; in any order, so that an absorbing daemon is also asked first, right after a change."""
        key, group = key or self.random.choice(KEYS), group or self.random.choice(GROUPS)
        consumer = consumer or self.random.choice(CONSUMERS)
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
                self.assertLess(sent, twin.knows_everything_after(key),
                                f"{twin.name} {key} {group} {options}: {got} {outcome}, but there is {names} {error}")
                sent = time.monotonic()
                more, outcome = self.everything(twin, key, group, consumer, options)
                got += more

    def settle(self):
        """Delivered entries are pending for the same consumers of every twin; it is acknowledged, or goes to the other one."""
        key, group, consumer = (self.random.choice(words) for words in (KEYS, GROUPS, CONSUMERS))
        claim, other = self.random.random() < 0.5, CONSUMERS[consumer == CONSUMERS[0]]
        outcomes = []
        for twin in self.twins:
            name = twin.group(group)
            pending = self.oracle.connection.call("XPENDING", key, name, "-", "+", 1000, consumer)
            if isinstance(pending, resp.ReplyError):
                pending = []
            ids = [entry[0] for entry in pending]
            words = ("XCLAIM", key, name, other, 0, *ids, "JUSTID") if claim else ("XACK", key, name, *ids)
            outcomes.append((ids, twin.connection.call(*words) if ids else None))
        self.assertEqual(outcomes, outcomes[:1] * len(outcomes), f"{key} {group}: what the twins had pending, and what came of it")

    def states(self, twin):
        """The place of its groups on every bus, and how much is pending."""
        result = {}
        for bus, connection in self.bare.items():
            for key in KEYS:
                rows = connection.call("XINFO", "GROUPS", key)
                for row in () if isinstance(rows, resp.ReplyError) else map(fields_of, rows):
                    name, _, group = row[b"name"].decode().partition("-")
                    if name == twin.name:
                        result[bus, key, group] = row[b"last-delivered-id"], row[b"pending"]
        return result

    def test_absorbing_daemons_deliver_what_one_that_asks_every_time_delivers(self):
        steps = int(os.environ.get("DUALBUS_ORACLE_STEPS", 250 if sanitized() else 700))
        for twin in self.twins:
            for key in KEYS:
                for group in GROUPS:
                    self.done(twin.connection.call("XGROUP", "CREATE", key, twin.group(group), "0", "MKSTREAM"))
        actions = (self.add, self.read, self.settle, self.change_group, self.change_key, lambda: self.change_group(foreign=True))
        for _ in range(steps):
            self.random.choices(actions, (20, 30, 4, 8, 3, 6))[0]()
        for key in KEYS:
            for group in GROUPS:
                self.read(key, group)
        for twin in self.absorbing:
            self.assertEqual(self.states(twin), self.states(self.oracle), "both twins have had the same in the end")
            for reason in ("empty", "no_group"):
                absorbed = twin.daemon.metrics().value("dualbus_polls_absorbed_total", reason=reason)
                self.assertGreater(absorbed, steps / 100, f"{twin.name} absorbs polls: {reason}")
        self.assertEqual(self.oracle.daemon.metrics().value("dualbus_polls_absorbed_total"), 0)
        self.assertGreater(self.delivered, steps / 20)
        print(f"{steps} steps, {self.added} entries added, {self.delivered} delivered to each, {self.late} answers were late", flush=True)


if __name__ == "__main__":
    unittest.main()
