"""deploy/takeover.sh while a fleet trades: nothing is lost, nothing comes twice, on the way there and on the way back."""
import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import yaml

import resp
from harness import ENGINE_LOGIC, MARKETDATA, ROOT, Redis, free_port, make_config
from servers import daemon_program
from stream_load import Consumer, Producer, Runner, await_delivery, delivered_once, fields_of, run_for, scaled, started, stop_all, xadd

SCRIPT = os.path.join(ROOT, "deploy", "takeover.sh")
STREAMS = ("nautilus-risk-streams", "nautilus-ml-streams")
SLOW = "slow-group"
FLOOD = "flood"


class TakeoverStack(unittest.TestCase):
    """A Redis that serves, the two that are to come, and what takeover.sh is told. The daemon is the script's."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(self.end_daemon)
        self.old, self.marketdata, self.engine_logic = (self.start_redis(name) for name in ("old", MARKETDATA, ENGINE_LOGIC))
        self.port, self.new_port = self.old.port, free_port()
        self.address = ("127.0.0.1", self.port)
        config = make_config({MARKETDATA: self.marketdata.endpoint, ENGINE_LOGIC: self.engine_logic.endpoint},
                             {"routing": {"keys": None}, "missing_group": "create", "draining": {"interval": "100ms", "quiet": "300ms", "ignore_groups": ["ignored-*"]}})
        self.admin_port = config["admin"]["port"]
        self.config = os.path.join(self.directory, "template.yaml")
        with open(self.config, "w") as file:
            yaml.safe_dump(config, file)
        self.state = os.path.join(self.directory, "state")

    def start_redis(self, name):
        server = Redis(name, self.directory).start()
        self.addCleanup(server.kill)
        return server

    def end_daemon(self):
        try:
            with open(os.path.join(self.state, "dualbusd.pid")) as file:
                pid = int(file.read().split()[0])
            with open(f"/proc/{pid}/cmdline") as file:
                if self.state not in file.read():
                    return
            os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError, IndexError):
            pass

    def command(self, *options, daemon=None):
        return [SCRIPT, "--port", str(self.port), "--new-port", str(self.new_port), "--config", self.config, "--state", self.state,
                "--daemon", daemon or daemon_program(), "--watch", "1", *options]

    def run_script(self, *options, status=0, daemon=None):
        """What it prints; it must end with that status."""
        done = subprocess.run(self.command(*options, daemon=daemon), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done.stdout + self.daemon_log()[-3000:])
        return done.stdout

    def daemon_log(self):
        try:
            with open(os.path.join(self.state, "dualbusd.log"), errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def connect(self, port=None):
        connection = resp.Connection(("127.0.0.1", port or self.port))
        self.addCleanup(connection.close)
        return connection

    def serves(self, port):
        """"redis", "dualbusd", or "nobody"."""
        try:
            with resp.Connection(("127.0.0.1", port)) as connection:
                info = connection.call("INFO", "server")
        except OSError:
            return "nobody"
        return "dualbusd" if b"dualbus_version" in info else "redis"


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
    """Acknowledges again what it could not acknowledge."""

    _owed = ()

    def lost(self):
        self._owed = sorted(self.ack_sent - self.acknowledged)

    def step(self):
        if self._owed:
            self.connection.call("XACK", self._key, self._group, *self._owed)
            self.acknowledged.update(self._owed)
            self._owed = ()
        super().step()
        self.answered()


class Stall(Runner):
    """Makes the old Redis slow. It executes what has come, then it writes the answers: together with a deep pipeline there is
    hardly a moment at which it has not executed something without having told. Ends when it has been moved to the daemon."""

    def step(self):
        if self.connection.call("DEBUG", "SLEEP", "0.03") != "OK":
            self._stopping.set()


class TakeoverTest(TakeoverStack):
    def prepare(self):
        """What the old Redis has held for long: a group that has read a part, with entries that nobody acknowledged."""
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
        self.trade(scaled(1))

        stall = started(self, Stall(self.address, reconnect=True))
        flood = started(self, Trader(self.address, FLOOD, "flood", depth=2000, pause=0, reconnect=True))
        there = self.run_script()
        stop_all((stall, flood))
        self.check_stored(FLOOD, set(flood.acknowledged))
        self.assertIn("other clients of the old Redis: 0", there)
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
        self.check_connections(4)
        self.check_what_was_there()
        self.assertEqual(self.connect().call("GET", "later"), b"kept")
        self.check_deliveries()
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
        """One reconnect by the move, two by the way back: to the daemon that drains the buses, and to the Redis."""
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
