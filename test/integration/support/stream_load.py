"""Producers and consumers of streams, each a thread that notes what became of every message, and further daemons before the
same Redis servers.

DUALBUS_TEST_LOAD multiplies the lengths of the tests that use scaled(); with a sanitizer they are shorter by themselves.
"""
import collections
import glob
import os
import threading
import time

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, merge, sanitized, wait_for
from support.servers import PATIENCE, Daemon, free_port

LOAD = float(os.environ.get("DUALBUS_TEST_LOAD") or (0.3 if sanitized() else 1))
TYPES = {MARKETDATA: ("market_data", "price_update"), ENGINE_LOGIC: ("order_request", "risk_limit")}
ALL_TYPES = ("market_data", "order_request", "price_update", "risk_limit")
# The errors that the daemon itself gives when a bus is at fault.
BUS_ERRORS = ("BUSDOWN ", "BUSLOST ", "BUSTIMEOUT ")


def scaled(number):
    return max(1, round(number * LOAD))


def xadd(key, message_type, name, *options):
    return ("XADD", key, *options, "*", "message_type", message_type, "name", name, "payload", "x" * 200)


def fields_of(flat):
    return dict(zip(flat[::2], flat[1::2]))


def by_key(reply):
    """key -> [(ID, name)] of a reply to XREAD or XREADGROUP in either protocol; names of foreign or deleted entries are None."""
    if isinstance(reply, resp.ReplyError):
        raise AssertionError(f"an error instead of entries: {reply}")
    pairs = reply.items() if isinstance(reply, dict) else reply or ()
    return {key: [(number, fields_of(flat or []).get(b"name")) for number, flat in found] for key, found in pairs}


def entries(reply):
    """[(ID, name)] of all keys in a reply to XREAD or XREADGROUP."""
    return [entry for found in by_key(reply).values() for entry in found]


def position(client_id):
    """An ID as two numbers, in the order of the stream."""
    milliseconds, sequence = client_id.split(b"-")
    return int(milliseconds), int(sequence)


def stored_names(stack, key):
    """bus -> names of the entries that are really there, in their order."""
    return {name: [fields.get(b"name") for _, fields in bus.client().xrange(key)] for name, bus in stack.buses.items()}


def names_stored_once(test, stack, key):
    """The names of all entries of a stream, on whichever bus; a test fails if one is there twice."""
    names = sum(stored_names(stack, key).values(), [])
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    test.assertEqual(twice, [], "stored twice")
    return set(names)


def check_connections(test, stack):
    """A worker has one connection to a bus for requests and one for notifications, and the INFO poller has its own. The test
    itself must have closed those that it made."""
    most = 2 * stack.config["workers"] + 1
    for name, bus in stack.buses.items():
        with bus.client() as client:
            own = str(client.client_id())

            def others(client=client, own=own):
                return [each for each in client.client_list() if each["id"] != own]

            try:
                wait_for(lambda: len(others()) <= most, "few connections", timeout=2)  # pylint: disable=cell-var-from-loop
            except AssertionError:
                test.fail(f"{name} has more than {most}: " + ", ".join(f"{each['name'] or '?'}:{each['cmd']}" for each in others()))


class Stopwatch:
    """Seconds since its start, without those that the processes (and this one) spent waiting for a processor: what takes long
    on a machine that is busy with other things is not slow."""

    def __init__(self, *processes):
        self._pids = [os.getpid(), *(process.pid for process in processes)]
        self._waited_before = self._waited_ever()
        self._start = time.monotonic()

    def waited(self):
        """The seconds since the start that all of them together have waited for a processor: everything may be late by so much."""
        return self._waited_ever() - self._waited_before

    def _waited_ever(self):
        """As far as the kernel keeps account of that."""
        nanoseconds = 0
        for path in (path for pid in self._pids for path in glob.glob(f"/proc/{pid}/task/*/schedstat")):
            try:
                with open(path) as file:
                    nanoseconds += int(file.read().split()[1])
            except OSError:
                pass
        return nanoseconds / 1e9

    def elapsed(self):
        return time.monotonic() - self._start - self.waited()


class Runner:
    """Does step() again and again on a connection of its own, in a thread, until stop()."""

    def __init__(self, address, protocol=2, reconnect=False):
        self.address = address
        self.connection = None
        self.done = True  # False while stop() would leave something undone
        self._protocol = protocol
        self._reconnect = reconnect  # whether the loss of the connection is a part of the test
        self._stopping = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def step(self):
        raise NotImplementedError

    def lost(self):
        """The connection broke; messages on their way have an unknown fate."""

    def stopping(self):
        return self._stopping.is_set()

    def pause(self, seconds):
        self._stopping.wait(seconds)

    def stop(self):
        """Waits for the end of the current step; raises what went wrong."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join(PATIENCE)
        if self._failure:
            raise self._failure
        if self._thread.is_alive():
            raise AssertionError(f"{type(self).__name__} does not end")

    def end(self):
        """Like stop(), for a test that has failed already."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join(PATIENCE)

    def check(self):
        if self._failure:
            raise self._failure

    def _run(self):
        try:
            self._connect()
            while self.connection and not (self.stopping() and self.done):
                try:
                    self.step()
                except TimeoutError:
                    raise
                except OSError:
                    if not self._reconnect:
                        raise
                    self.lost()
                    self._connect()
        except BaseException as error:  # pylint: disable=broad-except
            self._failure = error
        finally:
            if self.connection:
                self.connection.close()

    def _connect(self):
        if self.connection:
            self.connection.close()
            self.connection = None
        while not self.stopping():
            try:
                self.connection = resp.Connection(self.address, protocol=self._protocol)
                return
            except TimeoutError:
                raise
            except OSError:
                if not self._reconnect:
                    raise
                self.pause(0.01)


class Producer(Runner):
    """Publishes messages with unique names, a few at a time."""

    def __init__(self, address, key, name, types=ALL_TYPES, depth=4, pause=0.004, **options):
        super().__init__(address, **options)
        self._key, self._name, self._types, self._depth, self._pause = key, name, types, depth, pause
        self._count = 0
        self._owed = collections.deque()
        self.acknowledged = {}  # name -> ID
        self.times = {}  # name -> when it was sent
        self.refused, self.unknown, self.unexpected = [], [], []
        self.slowest = 0.0

    def step(self):
        requests = []
        for _ in range(self._depth):
            name = f"{self._name}-{self._count}".encode()
            requests.append(xadd(self._key, self._types[self._count % len(self._types)], name))
            self._owed.append(name)
            self._count += 1
        start = time.monotonic()
        self.times.update(dict.fromkeys(self._owed, start))
        self.connection.send_raw(b"".join(resp.encode(*request) for request in requests))
        while self._owed:
            reply = self.connection.read()
            name = self._owed.popleft()
            if isinstance(reply, bytes):
                self.acknowledged[name] = reply
            elif reply.startswith(("BUSDOWN ", "LOADING ")):  # the latter from a Redis that has just started
                self.refused.append(name)
            elif reply.startswith(BUS_ERRORS):
                self.unknown.append(name)
            else:
                self.unexpected.append(reply)
        self.slowest = max(self.slowest, time.monotonic() - start)
        self.pause(self._pause)

    def lost(self):
        self.unknown.extend(self._owed)
        self._owed.clear()


class Consumer(Runner):
    """Reads a stream with a group, and acknowledges what it gets unless told otherwise."""

    def __init__(self, address, key, group, name, count=10, block=100, ack=True, **options):
        super().__init__(address, **options)
        self._key, self._group, self._ack = key, group, ack
        self._words = ("XREADGROUP", "GROUP", group, name, *(("COUNT", count) if count else ()),
                       *(("BLOCK", block) if block is not None else ()), "STREAMS", key, ">")
        self._count = count
        self.received = []  # (ID, name)
        self.arrived = []  # when, for each of them
        self.to_acknowledge = []  # IDs whose XACK was not answered with a number
        self.ack_sent, self.acknowledged = set(), set()
        self.bus_errors = collections.Counter()
        self.unexpected = []

    def step(self):
        reply = self.connection.call(*self._words)
        if isinstance(reply, resp.ReplyError):
            self._note_error(reply)
            self.pause(0.02)
            return
        found = entries(reply)
        if self._count and len(found) > self._count:
            self.unexpected.append(f"{len(found)} entries for COUNT {self._count}")
        now = time.monotonic()
        self.received.extend(found)
        self.arrived.extend([now] * len(found))
        if found and self._ack:
            self._acknowledge([number for number, _ in found])
        elif not found:
            self.pause(0.001)

    def _acknowledge(self, numbers):
        self.ack_sent.update(numbers)
        reply = self.connection.call("XACK", self._key, self._group, *numbers)
        if reply == len(numbers):
            self.acknowledged.update(numbers)
            return
        self.to_acknowledge.extend(numbers)
        if isinstance(reply, resp.ReplyError):
            self.note_refusal(reply)
        else:
            self.unexpected.append(f"XACK of {len(numbers)} IDs: {reply}")

    def note_refusal(self, reply):
        # A Redis that has just started may still be reading its data.
        self._note_error(reply if not reply.startswith("LOADING ") else "BUSDOWN " + reply)

    def _note_error(self, reply):
        if reply.startswith(BUS_ERRORS):
            self.bus_errors[reply.split(" ", 1)[0]] += 1
        else:
            self.unexpected.append(reply)


def run_for(seconds, *runners):
    """Lets them run; ends early when one of them fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
        for runner in runners:
            runner.check()


def started(test, runner):
    """Starts a runner that ends with the test at the latest."""
    test.addCleanup(runner.end)
    return runner.start()


def stop_all(runners):
    for runner in runners:
        runner.stop()


def await_delivery(consumers, names, goal="every entry is delivered"):
    """Waits until the consumers together have had all `names`."""
    def missing():
        for consumer in consumers:
            consumer.check()
        return names - {name for consumer in consumers for _, name in list(consumer.received)}

    try:
        wait_for(lambda: not missing(), goal, timeout=30)
    except AssertionError as error:
        left = missing()
        raise AssertionError(f"{error}; {len(left)} are missing, e.g. {sorted(left)[:5]}") from None


def delivered_once(test, consumers, names, title=""):
    """Every one of `names` was received exactly once, and nothing else was."""
    counts = collections.Counter(name for consumer in consumers for _, name in consumer.received)
    test.assertEqual([name for name, count in counts.items() if count > 1], [], f"{title} delivered more than once")
    test.assertEqual(names - set(counts), set(), f"{title} never delivered")
    test.assertEqual(set(counts) - names, set(), f"{title} delivered, but not published")


class DaemonsTest(StackTest):
    """Tests with several daemons before the same two Redis servers. The first of them is the stack's own."""

    number_of_daemons = 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemons = [cls.daemon]
        try:
            for number in range(2, cls.number_of_daemons + 1):
                config = merge(cls.stack.config, {"listen": {"port": free_port()}, "admin": {"port": free_port()}})
                cls.daemons.append(Daemon(cls.stack.directory, config, name=f"dualbusd-{number}"))
                cls.daemons[-1].start()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            for daemon in cls.daemons[1:]:
                status = daemon.terminate()
                assert status == 0 and not daemon.sanitizer_report(), f"{daemon.name} ended with {status}\n{daemon.log()[-4000:]}"
        finally:
            for daemon in cls.daemons[1:]:
                daemon.kill()
            super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.addCleanup(self.check_others)

    def check_others(self):
        for daemon in self.daemons[1:]:
            self.assertTrue(daemon.running(), f"{daemon.name} ended:\n{daemon.log()[-4000:]}")
            self.assertEqual(daemon.sanitizer_report(), "")
            wait_for(daemon.gauges_are_zero, f"gauges of {daemon.name} at zero")
