"""Servers, a daemon before them, and the model of what a client sees.

DUALBUS_MODEL_SEED repeats a run, DUALBUS_MODEL_COMMANDS makes it longer or shorter.
"""
import os
import random
import shutil
import tempfile

from support.harness import ENGINE_LOGIC, MARKETDATA, make_config, merge
from support.redis_stream import OPTIONS
from support.servers import Daemon, Redis, sanitized, wait_for
from support.stream_commands import Commands
from support.stream_comparison import Comparison
from support.stream_model import Bus, Model

THIRD, OLD_BUS = "third", "main"
TYPES = {MARKETDATA: [b"market_data", b"price_update"], ENGINE_LOGIC: [b"order_request", b"risk_1", b"unknown"],
         THIRD: [b"third"]}
PINNED = {b"md:s": MARKETDATA, b"el:s": ENGINE_LOGIC}
KEYS = [b"s1", b"s2", b"s3"]
CLOCK_KEY, FUTURE_KEY, MIXED_KEY = b"clock", b"future", b"mixed"


def seeded(test):
    """A source of chance; its seed is printed."""
    seed = int(os.environ.get("DUALBUS_MODEL_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{test.id()}: DUALBUS_MODEL_SEED={seed}")
    return random.Random(seed), seed


def commands_wanted(share):
    """The number of commands that a test sends whose share of all is `share`."""
    return int(int(os.environ.get("DUALBUS_MODEL_COMMANDS") or (25000 if sanitized() else 100000)) * share)


def route(fields):
    kind = dict(zip(fields[::2], fields[1::2])).get(b"message_type")
    return next((bus for bus, kinds in TYPES.items() if kind in kinds), ENGINE_LOGIC)


class World:
    """`slots`: name of each bus -> its slot. A bus called "main" is draining."""

    def __init__(self, slots, anchor=ENGINE_LOGIC, changes=None):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.servers = {}
        self.daemon = None
        try:
            for name in slots:
                self.servers[name] = Redis(name, self.directory, *OPTIONS).start()
            self.daemon = Daemon(self.directory, self._config(slots, anchor, changes or {})).start()
        except BaseException:
            self._end_processes()
            raise
        self.buses = [Bus(name, slot, draining=name == OLD_BUS, anchor=name == anchor, default=name == ENGINE_LOGIC)
                      for name, slot in slots.items()]
        self.pinned = {key: bus for key, bus in PINNED.items() if bus in slots and len(slots) > 1}
        self.types = {name: TYPES[name] for name in slots if name != OLD_BUS}
        self.active = list(self.types)

    def _config(self, slots, anchor, changes):
        config = make_config({name: server.endpoint for name, server in self.servers.items()})
        routing = config["routing"]
        routing["types"] = {name: [kind.decode() for kind in kinds if kind != b"unknown"]
                            for name, kinds in TYPES.items() if name in slots}
        routing["keys"] = [rule for rule in routing["keys"] if rule["bus"] in slots]
        config["anchor"] = anchor
        for name, slot in slots.items():
            config["buses"][name]["id_slot"] = slot
            if name == OLD_BUS:
                config["buses"][name]["state"] = "draining"
        return merge(config, changes)

    def fresh_model(self):
        """An empty model, and empty servers."""
        for server in self.servers.values():
            with server.client() as client:
                client.flushall()
        for bus in self.buses:
            bus.data.clear()
        return Model(self.buses, route, self.pinned)

    def check(self, test):
        test.assertTrue(self.daemon.running(), f"the daemon ended:\n{self.daemon.log()}")
        test.assertEqual(self.daemon.sanitizer_report(), "")
        wait_for(self.daemon.gauges_are_zero, "gauges at zero")

    def end(self):
        try:
            status = self.daemon.terminate()
            report = self.daemon.sanitizer_report()
            assert status == 0 and not report, f"the daemon ended with {status}\n{report or self.daemon.log()[-4000:]}"
        finally:
            self._end_processes()

    def _end_processes(self):
        for process in (self.daemon, *self.servers.values()):
            if process is not None:
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class Run:
    """Random commands through the daemon, and now and then past it, each compared with the model."""

    BATCH = 60

    def __init__(self, world, chance, title, past_the_daemon=("entries", "groups")):
        self.world, self.chance, self._kinds_past = world, chance, past_the_daemon
        self.model = world.fresh_model()
        self.commands = Commands(chance, self.model, KEYS + list(world.pinned) + [CLOCK_KEY, FUTURE_KEY], world.types,
                                 clock_key=CLOCK_KEY, future_key=FUTURE_KEY, mixed_key=MIXED_KEY)
        self.daemon = Comparison(self.model, {protocol: world.daemon.connect(protocol=protocol) for protocol in (2, 3)}, title)
        self.direct = {name: Comparison(self.model.directly(name), {2: server.connect()}, f"{title}, directly to {name}")
                       for name, server in world.servers.items()}

    def go(self, count):
        while self.daemon.count < count:
            protocol = self.chance.choice((2, 3))
            self.daemon.run([self.commands.next() for _ in range(self.BATCH)], protocol)
            if self._kinds_past and self.chance.random() < 0.5:
                self._past_the_daemon(protocol)

    def close(self):
        for comparison in (self.daemon, *self.direct.values()):
            for connection in comparison.connections.values():
                connection.close()

    def _past_the_daemon(self, protocol):
        """Others write to a bus, and a group is there or is missing where nobody told the daemon of it."""
        key, name = self.chance.choice(KEYS), self.chance.choice(list(self.direct))
        bus = self.model.bus(name)
        stream = bus.data.get(key)
        last = stream.last if stream else (0, 0)
        kind = self.chance.randrange(6 if "groups" in self._kinds_past else 4)
        if kind < 4:
            added = [(b"XADD", key, b"%d-%d" % (last[0] + step, self.chance.randrange(3)), b"past", b"%d" % step)
                     for step in range(1, self.chance.randrange(2, 8))]
            self.direct[name].run(added, 2)
        elif kind == 4 and bus.draining and stream:
            group = self.chance.choice((b"g1", b"g2", b"h"))
            self.direct[name].run([(b"XGROUP", b"CREATE", key, group, self.chance.choice((b"0", b"$")))], 2)
            self._heal(key, group, protocol)
        elif stream and not bus.anchor and not bus.draining and (groups := sorted(set(stream.groups) & set(self.model.known_groups(key)))):
            group = self.chance.choice(groups)
            self.direct[name].run([(b"XGROUP", b"DESTROY", key, group)], 2)
            self._heal(key, group, protocol)

    def _heal(self, key, group, protocol):
        """The next command is one that asks every bus: with others it is chance which buses notice."""
        self.daemon.run([self.chance.choice((
            (b"XREADGROUP", b"GROUP", group, b"alice", b"STREAMS", key, b">"),
            (b"XGROUP", b"CREATECONSUMER", key, group, b"bob"),
            (b"XGROUP", b"SETID", key, group, b"$")))], protocol)
