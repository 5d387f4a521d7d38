"""deploy/takeover.sh while a fleet trades: nothing is lost, nothing comes twice, on the way there and on the way back."""
import collections
import re
import sys
import unittest

import redis

from support import resp
from support.stream_load import Consumer, Producer, Runner, await_delivery, delivered_once, fields_of, run_for, scaled, started, stop_all, xadd
from support.takeover_stack import TakeoverStack

STREAMS = ("nautilus-risk-streams", "nautilus-ml-streams")
SLOW = "slow-group"
FLOOD = "flood"
LIBRARY = "nautilus-library-streams"


class Served:
    """Counts the connections on which it got an answer. For a Runner."""

    connections = 0
    _fresh = False

    def _connect(self):
        super()._connect()
        self._fresh = True

    def answered(self):
        self.connections += self._fresh
        self._fresh = False


class Trader(Served, Producer):
    """Sends again, with their names, the messages whose answers it did not get."""

    def lost(self):
        pass  # they are still owed

    def step(self):
        if not self._owed:
            self._owed.extend(range(self._count, self._count + self._depth))
            self._count += self._depth
        requests = [xadd(self._key, self._types[number % len(self._types)], self.name_of(number)) for number in self._owed]
        self.connection.send_raw(b"".join(resp.encode(*request) for request in requests))
        while self._owed:
            reply = self.connection.read()
            self.answered()
            name = self.name_of(self._owed.popleft())
            if isinstance(reply, bytes):
                self.acknowledged[name] = reply
            else:
                self.unexpected.append(reply)
        self.pause(self._pause)

    def name_of(self, number):
        return f"{self._name}-{number}".encode()


class Engine(Served, Consumer):
    """Acknowledges again what it could not acknowledge, be it that the answer got lost or that it was an error."""

    def lost(self):
        self.to_acknowledge = sorted(self.ack_sent - self.acknowledged)

    def step(self):
        if self.to_acknowledge:
            reply = self.connection.call("XACK", self._key, self._group, *self.to_acknowledge)
            if isinstance(reply, resp.ReplyError):
                self.note_refusal(reply)
                self.pause(0.02)
                return
            self.acknowledged.update(self.to_acknowledge)
            self.to_acknowledge = []
        super().step()
        self.answered()


class LibraryEngine(Runner):
    """redis-py as engines use it: one client with its pool, which connects again by itself. A failed command is tried again."""

    def __init__(self, address, group):
        super().__init__(address)
        self._group = group
        self._library = redis.Redis(*address, health_check_interval=30, client_name="library", decode_responses=True)
        self._count, self._read = 0, []
        self.published, self.received = set(), []
        self.errors = 0

    def _connect(self):
        self.connection = self._library

    def step(self):
        try:
            self.publish()
            self.consume()
        except redis.exceptions.ConnectionError:
            self.errors += 1
            self.pause(0.01)

    def publish(self):
        kind = ("market_data", "order_request")[self._count % 2]
        name = f"library-{self._count}"
        self.connection.xadd(LIBRARY, {"message_type": kind, "name": name}, maxlen=100000)
        self.published.add(name)
        self._count += 1

    def consume(self):
        if not self._read:
            for _, batch in self.connection.xreadgroup(self._group, "c", {LIBRARY: ">"}, count=50, block=20):
                self._read.extend(number for number, _ in batch)
                self.received.extend(fields["name"] for _, fields in batch)
        if self._read:
            self.connection.xack(LIBRARY, self._group, *self._read)
            self._read = []

    def finish(self, test):
        """Reads what is left, when nothing disturbs it any more."""
        self.stop()
        reader = redis.Redis(*self.address, decode_responses=True)
        left = reader.xreadgroup(self._group, "c", {LIBRARY: ">"})
        self.received.extend(fields["name"] for _, batch in left for _, fields in batch)
        reader.close()
        test.assertEqual(collections.Counter(self.received), collections.Counter(self.published), "delivered once, each")


class Stall(Runner):
    """Makes the old Redis slow. It executes what has come, then it writes the answers: together with a deep pipeline there is
    hardly a moment at which it has not executed something without having told. Ends when it has been moved to the daemon."""

    def step(self):
        if self.connection.call("DEBUG", "SLEEP", "0.03") != "OK":
            self._stopping.set()


class TakeoverTest(TakeoverStack):
    def prepare(self):
        """The old Redis's data of long ago: a group that has read a part, with entries that nobody acknowledged."""
        with self.old.client() as old:
            for key in STREAMS:
                self.before[key] = [f"{key}-before-{number}".encode() for number in range(30)]
                ids = [old.xadd(key, {"message_type": "order_request", "name": name}) for name in self.before[key]]
                old.xgroup_create(key, SLOW, "0")
                for group in ("a-group", "b-group"):
                    old.xgroup_create(key, group, "$")
                old.xreadgroup(SLOW, "gone", {key: ">"}, count=10)
                old.xack(key, SLOW, *ids[:5])
                self.pending[key] = [identifier.encode() if isinstance(identifier, str) else identifier for identifier in ids[5:10]]
            old.xgroup_create(LIBRARY, "library-group", mkstream=True)
            old.xgroup_create(FLOOD, "ignored-group", "$", mkstream=True)
            old.set("text", "kept")
            old.hset("hash", "field", "kept")

    def start_fleet(self):
        for key in STREAMS:
            self.traders.append(started(self, Trader(self.address, key, "trader-" + key, reconnect=True)))
            self.engines[key, "a-group"] = [started(self, Engine(self.address, key, "a-group", f"c{n}", reconnect=True)) for n in range(2)]
            self.engines[key, "b-group"] = [started(self, Engine(self.address, key, "b-group", "c", block=1000, count=None, reconnect=True))]
            self.engines[key, SLOW] = []

    def fleet(self):
        return [*self.traders, *(engine for engines in self.engines.values() for engine in engines)]

    def trade(self, seconds):
        before = [len(trader.acknowledged) for trader in self.traders]
        run_for(seconds, *self.fleet())
        for trader, count in zip(self.traders, before):
            self.assertGreater(len(trader.acknowledged), count + 10, "it hardly trades")

    def test_there_and_back_while_a_fleet_trades(self):
        self.before, self.pending, self.traders, self.engines = {}, {}, [], {}
        self.prepare()
        self.start_fleet()
        library = started(self, LibraryEngine(self.address, "library-group"))
        gone = self.connect()  # and never comes back
        gone.call("CLIENT", "SETNAME", "gone")
        self.trade(scaled(1))

        stall = started(self, Stall(self.address, reconnect=True))
        flood = started(self, Trader(self.address, FLOOD, "flood", depth=2000, pause=0, reconnect=True))
        there = self.run_script()
        stop_all((stall, flood))
        self.check_stored(FLOOD, set(flood.acknowledged))
        self.assertIn("other clients of the old Redis: 0", there)
        self.assertIn("not back yet: 1 from 127.0.0.1 (gone)", there)
        self.assertRegex(there, r"engines \(connections\): .*library \(1\)")
        self.assertRegex(there, r"requests in 1 s: [0-9]+ ok(\n|,)")
        self.assertRegex(there, r"main: stream 'nautilus-ml-streams', group 'slow-group': entries to read from [0-9-]+ on, 5 pending, .* 'gone'")
        self.assertEqual((self.serves(self.port), self.serves(self.new_port)), ("dualbusd", "redis"))
        self.trade(scaled(1))
        self.check_connections(2)
        self.check_what_was_there()
        for key in STREAMS:
            self.engines[key, SLOW].append(started(self, Engine(self.address, key, SLOW, "c", reconnect=True)))
        self.trade(scaled(1))
        self.assertEqual(set(self.sizes().values()), {True}, "both new buses are used")
        self.connect().call("SET", "later", "kept")
        self.assertIn("has taken over already", self.run_script())
        self.check_connections(2)

        back = self.run_script("--rollback", "--timeout", "60", status=1)
        self.assertIn("no client was disconnected", back)
        self.assertRegex(back, f"marketdata: stream '{FLOOD}' has .* entries that no group reads")
        self.assertEqual(self.serves(self.port), "dualbusd")
        self.trade(scaled(0.5))
        self.assertEqual(self.connect().call("DEL", FLOOD), 1)
        back += self.run_script("--rollback", "--timeout", "60")
        self.assertIn("Taken back.", back)
        self.assertEqual((self.serves(self.port), self.serves(self.new_port)), ("redis", "nobody"))
        moved = self.sizes(exact=True)
        self.trade(scaled(1))
        self.assertEqual(self.sizes(exact=True), moved, "the new buses are not used any more")
        self.check_connections(3)
        self.check_what_was_there()
        self.assertEqual(self.connect().call("GET", "later"), b"kept")
        self.check_deliveries()
        library.finish(self)
        self.check_stored(LIBRARY, {name.encode() for name in library.published})
        self.assertNotRegex(self.daemon_log(), r"Sanitizer|runtime error")
        print(*(line[13:].strip() for line in there.splitlines() + back.splitlines() if re.search("refused for|held back for", line)),
              sep="\n", file=sys.stderr)

    def sizes(self, exact=False):
        result = {}
        for bus in (self.marketdata, self.engine_logic):
            with bus.client() as client:
                result.update({(bus.name, key): client.xlen(key) if exact else client.xlen(key) > 0 for key in STREAMS})
        return result

    def check_connections(self, most):
        """One reconnect by the move, and one by the way back."""
        for runner in self.fleet():
            self.assertLessEqual(runner.connections, most)
            self.assertEqual(runner.unexpected, [])

    def check_what_was_there(self):
        client = self.connect()
        self.assertEqual((client.call("GET", "text"), client.call("HGET", "hash", "field")), (b"kept", b"kept"))
        for key in STREAMS:
            pending = client.call("XPENDING", key, SLOW, "-", "+", 100, "gone")
            self.assertEqual([row[0] for row in pending], self.pending[key])
            self.assertEqual([row[3] for row in pending], [1] * 5, "delivered once")

    def check_stored(self, key, names):
        """Every one of `names` is stored once, on whichever Redis."""
        counts = collections.Counter()
        for port in {self.marketdata.port, self.engine_logic.port, self.new_port if self.serves(self.new_port) == "redis" else self.port}:
            with resp.Connection(("127.0.0.1", port)) as connection:
                counts.update(fields_of(fields)[b"name"] for _, fields in connection.call("XRANGE", key, "-", "+"))
        self.assertEqual([name for name, count in counts.items() if count > 1], [], "stored more than once")
        self.assertEqual(set(counts) ^ names, set(), "acknowledged, but not stored, or the other way round")

    def check_deliveries(self):
        stop_all(self.traders)
        for key, trader in zip(STREAMS, self.traders):
            names = set(trader.acknowledged)
            self.assertEqual(len(names), trader._count, "every message is acknowledged in the end")
            self.check_stored(key, names | set(self.before[key]))
            for group in ("a-group", "b-group", SLOW):
                wanted = names | set(self.before[key][10:]) if group == SLOW else names
                await_delivery(self.engines[key, group], wanted, group)
                delivered_once(self, self.engines[key, group], wanted, group)
        stop_all(self.fleet())
        client = self.connect()
        for key in STREAMS:
            for group in ("a-group", "b-group"):
                self.assertEqual(client.call("XPENDING", key, group)[0], 0)
            self.assertEqual(client.call("XPENDING", key, SLOW)[0], 5)


if __name__ == "__main__":
    unittest.main()
