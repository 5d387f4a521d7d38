"""The base of most tests: two Redis servers, the daemon before them, and the checks at the end of every test.

DUALBUS_TEST_WORKERS sets the number of workers of every daemon whose test does not set it itself.
"""
import contextlib
import copy
import os
import shutil
import tempfile
import threading
import unittest

from support import resp
# Tests need not know which of the two files a thing is in.
from support.servers import (PATIENCE, Daemon, Metrics, Process, Redis, free_port,  # noqa: F401 pylint: disable=unused-import
                     sanitized, wait_for)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
MARKETDATA, ENGINE_LOGIC = "marketdata", "engine_logic"
# A client ID is the bus's ID with this times the bus's slot added to the part behind the dash.
SLOT_STEP = 10**12
SLOT = {MARKETDATA: 1, ENGINE_LOGIC: 2}


def merge(base, changes):
    """`base` with `changes`; maps are merged, everything else is replaced, None removes."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def make_config(buses, changes=None):
    """A configuration for two buses named in `buses`: name -> endpoint."""
    config = {
        "listen": {"address": "127.0.0.1", "port": free_port()},
        "admin": {"address": "127.0.0.1", "port": free_port()},
        "workers": int(os.environ.get("DUALBUS_TEST_WORKERS", "1")),
        "buses": {name: {"id_slot": SLOT.get(name, 7), "endpoint": endpoint} for name, endpoint in buses.items()},
        "anchor": ENGINE_LOGIC,
        "routing": {
            "field": "message_type",
            "json_fields": ["payload", "data", "message"],
            "default_bus": ENGINE_LOGIC,
            "types": {MARKETDATA: ["market_data", "price_update"], ENGINE_LOGIC: ["order_request", "risk_*"]},
            "keys": [{"match": "md:*", "bus": MARKETDATA}, {"match": "el:*", "bus": ENGINE_LOGIC}],
        },
    }
    return merge(config, changes or {})


class Stack:
    """Two Redis servers and the daemon before them."""

    def __init__(self, changes=None, redis_options=(), env=None, page="/readyz?all"):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self._others = []
        try:
            self.buses = {name: Redis(name, self.directory, *redis_options).start() for name in (MARKETDATA, ENGINE_LOGIC)}
            self.config = make_config({name: bus.endpoint for name, bus in self.buses.items()}, changes)
            self.daemon = Daemon(self.directory, self.config, env)
            self.daemon.start(page)
        except BaseException:
            self._end_processes()
            raise

    marketdata = property(lambda self: self.buses[MARKETDATA])
    engine_logic = property(lambda self: self.buses[ENGINE_LOGIC])

    def add_redis(self, name, *options):
        self._others.append(Redis(name, self.directory, *options).start())
        return self._others[-1]

    def flush(self):
        for server in (*self.buses.values(), *self._others):
            with server.client() as client:
                client.flushall()

    def check(self, test):
        """The daemon is alive and owes nobody anything."""
        test.assertTrue(self.daemon.running(), f"the daemon ended:\n{self.daemon.log()}")
        test.assertEqual(self.daemon.sanitizer_report(), "")
        try:
            wait_for(self.daemon.gauges_are_zero, "gauges at zero")
        except AssertionError:
            lines = [line for line in self.daemon.metrics().text.splitlines()
                     if line.startswith(("dualbus_clients ", "dualbus_requests_in", "dualbus_requests_wa", "dualbus_requests_ab"))]
            test.fail("something is left over: " + ", ".join(lines))

    def end(self):
        """Ends the daemon with SIGTERM, then the servers."""
        try:
            status = self.daemon.terminate()
            report = self.daemon.sanitizer_report()
            assert status == 0 and not report, f"the daemon ended with {status}\n{report or self.daemon.log()[-4000:]}"
        finally:
            self._end_processes()

    def _end_processes(self):
        for process in (getattr(self, "daemon", None), *getattr(self, "buses", {}).values(), *self._others):
            if process is not None:
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class StackTest(unittest.TestCase):
    """Tests that share one stack. After each of them the daemon must be alive and idle, at the end it must leave cleanly."""

    config = {}
    redis_options = ()

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(cls.config, cls.redis_options)
        cls.daemon = cls.stack.daemon

    @classmethod
    def tearDownClass(cls):
        cls.stack.end()

    def setUp(self):
        self.stack.flush()
        self.addCleanup(self.stack.check, self)

    def connect(self, protocol=2, to=None, timeout=20):
        """A raw connection to the daemon, or to another server, that ends with the test."""
        connection = resp.Connection((to or self.daemon).address, protocol=protocol, timeout=timeout)
        self.addCleanup(connection.close)
        return connection

    def client(self, to=None, **options):
        """A redis-py client of the daemon, or of another server, that ends with the test."""
        client = (to or self.daemon).client(**options)
        self.addCleanup(client.connection_pool.disconnect)
        return client

    def await_connections(self):
        """Until every connection to a bus is up, of whichever protocol: after an outage each comes back by itself."""
        def all_up():
            metrics = self.daemon.metrics()
            return not any(metrics.value("dualbus_backend_connections", bus=bus, state=state)
                           for bus in self.stack.buses for state in ("disconnected", "connecting", "handshake"))

        wait_for(all_up, "all connections are up")

    def counted(self, name, **labels):
        """A context manager; its `value` is by how much a counter grew."""
        return _Growth(self.daemon, name, labels)


class _Growth:
    def __init__(self, daemon, name, labels):
        self._read = lambda: daemon.metrics().value(name, **labels)

    def __enter__(self):
        self._before = self._read()
        return self

    def __exit__(self, *_):
        pass

    @property
    def value(self):
        return self._read() - self._before


def shown(bus_id, bus):
    """The client form of an ID on a bus."""
    milliseconds, sequence = map(int, (bus_id.decode() if isinstance(bus_id, bytes) else bus_id).split("-"))
    return f"{milliseconds}-{sequence + SLOT[bus] * SLOT_STEP}"


def stored(client_id):
    """(bus, ID there) of an ID in client form."""
    milliseconds, sequence = map(int, (client_id.decode() if isinstance(client_id, bytes) else client_id).split("-"))
    slot, sequence = divmod(sequence, SLOT_STEP)
    return next(name for name, number in SLOT.items() if number == slot), f"{milliseconds}-{sequence}"


@contextlib.contextmanager
def running(function, *args):
    """Runs `function` in a thread meanwhile; its exception is raised at the end."""
    failure = []

    def guarded():
        try:
            function(*args)
        except BaseException as error:  # pylint: disable=broad-except
            failure.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(PATIENCE)
    if failure:
        raise failure[0]
    if thread.is_alive():
        raise AssertionError(f"{function.__name__} does not end")
