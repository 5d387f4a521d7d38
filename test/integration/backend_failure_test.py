"""Redis servers that are killed, stopped and restarted under load: nothing acknowledged is missing, nothing is stored twice,
and an error says truly whether the command ran."""
import itertools
import threading
import time
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, Stack, StackTest, running, sanitized, wait_for
from support.resp import encode
from support.stream_load import Stopwatch

TYPES = {MARKETDATA: "market_data", ENGINE_LOGIC: "order_request"}


class Publishers:
    """Clients that publish messages with unique names to one bus and note how each of them ended."""

    def __init__(self, daemon, bus, clients=4, depth=8, pinned=False):
        self.acknowledged, self.not_executed, self.unknown, self.other = [], [], [], []
        self._daemon, self._bus, self._depth, self._pinned = daemon, bus, depth, pinned
        self._stop = threading.Event()
        self.failure = None
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, number):
        try:
            with resp.Connection(self._daemon.address, protocol=2 + number % 2) as client:
                for batch in itertools.count():
                    if self._stop.wait(0.005):  # keeps the amount of data within what is read back quickly
                        return
                    names = [f"{self._bus}-{number}-{batch}-{i}" for i in range(self._depth)]
                    client.send_raw(b"".join(encode("XADD", "s", "*", "message_type", TYPES[self._bus], "name", name, "payload", "x" * 300)
                                             for name in names))
                    for name in names:
                        self._note(name.encode(), client.read())
        except BaseException as error:  # pylint: disable=broad-except
            self.failure = error

    def _note(self, name, reply):
        if isinstance(reply, bytes):
            self.acknowledged.append(name)
        elif reply.startswith(("BUSDOWN ", "LOADING ")):  # the latter from a Redis that has just started
            self.not_executed.append(name)
        elif reply.startswith(("BUSLOST ", "BUSTIMEOUT ")):
            self.unknown.append(name)
        else:
            self.other.append(reply)

    def await_acknowledged(self, more):
        goal = len(self.acknowledged) + more
        wait_for(lambda: len(self.acknowledged) >= goal or self.failure, f"{more} more acknowledged messages")

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def check(self, test, server):
        self.stop()
        test.assertIsNone(self.failure)
        test.assertEqual(self.other, [])
        stored = [fields[b"name"] for _, fields in server.client().xrange("s")]
        test.assertEqual(len(stored), len(set(stored)), "something is stored twice")
        there = set(stored)
        test.assertEqual(set(self.acknowledged) - there, set(), "acknowledged and missing")
        test.assertEqual(set(self.not_executed) & there, set(), "refused, and yet stored")
        test.assertEqual(there - set(self.acknowledged) - set(self.unknown), set())


class LoadTest(unittest.TestCase):
    """marketdata is maltreated, engine_logic left alone."""

    def setUp(self):
        self.stack = Stack({"backend": {"reconnect_wait": "150ms", "backoff_min": "10ms", "backoff_max": "100ms", "request_timeout": "2s",
                                        "health_interval": "100ms", "health_timeout": "3s"}},
                           # Handed to the kernel before it is acknowledged: that survives the end of the process, and no disk is waited for.
                           redis_options=("--appendonly", "yes", "--appendfsync", "no"))
        self.addCleanup(self.stack.end)
        self.addCleanup(self.stack.check, self)

    def start_publishers(self):
        publishers = {bus: Publishers(self.stack.daemon, bus) for bus in TYPES}
        for each in publishers.values():
            self.addCleanup(each.stop)
            each.await_acknowledged(50)
        return publishers

    def check(self, publishers):
        for bus, each in publishers.items():
            each.check(self, self.stack.buses[bus])
        # The bus that was left alone gave no error at all.
        self.assertEqual(publishers[ENGINE_LOGIC].not_executed + publishers[ENGINE_LOGIC].unknown, [])

    def test_a_killed_redis_costs_only_what_was_in_flight(self):
        publishers = self.start_publishers()
        for number, downtime in enumerate((0, 0.3, 0, 0.5)):
            if number == 0:  # so that at least once there is something in flight
                self.stack.marketdata.pause()
                publishers[ENGINE_LOGIC].await_acknowledged(50)
            self.stack.marketdata.kill()
            publishers[ENGINE_LOGIC].await_acknowledged(50)
            time.sleep(downtime)
            self.stack.marketdata.start()
            publishers[MARKETDATA].await_acknowledged(50)
        self.check(publishers)
        self.assertGreater(len(publishers[MARKETDATA].unknown), 0)
        self.assertGreater(len(publishers[MARKETDATA].not_executed), 0)
        metrics = self.stack.daemon.metrics()
        self.assertGreaterEqual(metrics.value("dualbus_backend_connections_lost_total", bus=MARKETDATA), 4)
        self.assertEqual(metrics.value("dualbus_backend_connections_lost_total", bus=ENGINE_LOGIC), 0)
        counted = {outcome: metrics.value("dualbus_requests_total", cmd="xadd", outcome=outcome)
                   for outcome in ("ok", "bus_down", "redis_error", "bus_lost", "bus_timeout")}
        self.assertEqual(counted["ok"], sum(len(each.acknowledged) for each in publishers.values()))
        self.assertEqual(counted["bus_down"] + counted["redis_error"], len(publishers[MARKETDATA].not_executed))
        self.assertEqual(counted["bus_lost"] + counted["bus_timeout"], len(publishers[MARKETDATA].unknown))

    def test_a_stopped_redis_delays_and_then_times_out_but_nothing_is_mixed_up(self):
        publishers = self.start_publishers()
        for stopped in (0.3, 2.5):
            self.stack.marketdata.pause()
            start = time.monotonic()
            publishers[ENGINE_LOGIC].await_acknowledged(100)
            while time.monotonic() - start < stopped:
                publishers[ENGINE_LOGIC].await_acknowledged(1)
            self.stack.marketdata.proceed()
            publishers[MARKETDATA].await_acknowledged(50)
        self.check(publishers)
        self.assertGreater(self.stack.daemon.metrics().value("dualbus_request_timeouts_total", bus=MARKETDATA), 0)

    def test_clients_killed_by_redis_and_a_silent_redis_are_survived(self):
        publishers = self.start_publishers()
        for _ in range(5):
            self.stack.marketdata.client().execute_command("CLIENT", "KILL", "TYPE", "normal")
            publishers[MARKETDATA].await_acknowledged(30)
        self.stack.marketdata.pause()  # longer than health_timeout
        wait_for(lambda: "has been silent for" in self.stack.daemon.log(), "the silence is noticed")
        self.stack.marketdata.proceed()
        publishers[MARKETDATA].await_acknowledged(50)
        self.check(publishers)


class WaitTest(StackTest):
    # Each worker has a limit of its own.
    config = {"workers": 1,
              "backend": {"reconnect_wait": "20s", "reconnect_wait_bytes": "64kb", "backoff_min": "10ms", "backoff_max": "50ms"}}

    def wait_until_noticed(self, bus):
        wait_for(lambda: self.daemon.metrics().value("dualbus_backend_connections", bus=bus, state="up") == 0, "the loss is noticed")

    def test_requests_survive_a_quick_restart(self):
        clients = [self.connect(2 + number % 2) for number in range(6)]
        self.stack.marketdata.kill()
        self.wait_until_noticed(MARKETDATA)
        for number, client in enumerate(clients):
            client.send_raw(encode("RPUSH", "md:l", number) + encode("PING", "x") + encode("SET", "x", number) + encode("EXISTS", "md:l"))
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_waiting", bus=MARKETDATA) >= 12, "all wait")
        self.assertEqual(self.connect().call("SET", "y", 1), "OK")
        self.stack.marketdata.start()
        lengths = []
        for client in clients:
            replies = [client.read() for _ in range(4)]
            lengths.append(replies[0])
            self.assertEqual(replies[1:], [b"x", "OK", 1])
        self.assertEqual(sorted(lengths), [1, 2, 3, 4, 5, 6])

    def test_what_waits_is_bounded_in_bytes(self):
        client = self.connect()
        self.stack.marketdata.kill()
        self.wait_until_noticed(MARKETDATA)
        try:
            start = time.monotonic()
            client.send_raw(b"".join(encode("RPUSH", "md:l", b"x" * 10000) for _ in range(20)))
            other = self.connect()
            for _ in range(3):
                self.assertEqual(other.call("SET", "md:k", b"x" * 1000), "BUSDOWN bus 'marketdata' is unreachable: command not sent")
            self.assertLess(time.monotonic() - start, 10)
        finally:
            self.stack.marketdata.start()
        replies = [client.read() for _ in range(20)]
        accepted = [reply for reply in replies if isinstance(reply, int)]
        self.assertEqual(accepted, list(range(1, len(accepted) + 1)))
        self.assertIn(len(accepted), range(6, 9))
        self.assertEqual(set(replies[len(accepted):]), {"BUSDOWN bus 'marketdata' is unreachable: command not sent"})


class DownTest(StackTest):
    config = {"backend": {"reconnect_wait": "300ms", "backoff_min": "10ms", "backoff_max": "50ms", "request_timeout": "400ms", "health_timeout": "10m"}}

    def test_errors_say_which_bus_and_whether_the_command_ran(self):
        client = self.connect()
        self.stack.marketdata.kill()
        down = "BUSDOWN bus 'marketdata' is unreachable: command not sent"
        wait_for(lambda: client.call("GET", "md:k") == down, "BUSDOWN")
        self.assertEqual(self.daemon.fetch("/readyz?all")[0], 503)
        self.assertEqual(self.daemon.fetch("/healthz")[0], 200)
        self.assertEqual(self.daemon.fetch("/readyz")[0], 200)
        self.assertIn(f"bus {MARKETDATA} ({self.stack.marketdata.endpoint}): has no connection since ", self.daemon.fetch("/readyz")[1])
        watch = Stopwatch(self.daemon)
        requests = [("GET", "md:k"), ("MGET", "k", "md:k"), ("XADD", "s", "*", "message_type", "market_data"), ("XLEN", "s"), ("XRANGE", "s", "-", "+"),
                    ("EXISTS", "s"), ("MSET", "k", 1, "md:k", 2), ("TYPE", "k"), ("XADD", "s", "NOMKSTREAM", "*", "message_type", "market_data"), ("DEL", "a")]
        self.assertEqual(client.pipeline(requests), [down] * len(requests))
        # One after the other where a command takes several rounds, never longer than the wait for each.
        self.assertLess(watch.elapsed(), 4)
        self.assertEqual(client.pipeline([("XADD", "s", "*", "message_type", "order_request"), ("PING",)])[1], "PONG")
        self.stack.marketdata.start()
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready again")
        self.assertEqual(client.call("XLEN", "s"), 1)

    def test_late_answers_after_a_timeout_reach_nobody(self):
        client = self.connect()
        client.call("MSET", "md:a", "A", "md:b", "B")
        self.stack.marketdata.pause()
        try:
            self.assertEqual(client.call("GET", "md:a"),
                             "BUSTIMEOUT bus 'marketdata': no answer within 400 ms after the command was sent, outcome unknown")
            client.send("INCR", "md:n")
            self.assertRegex(client.read(), "^BUSTIMEOUT ")
            client.send("GET", "md:b")
            wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=MARKETDATA) >= 3, "it is in flight")
        finally:
            self.stack.marketdata.proceed()
        # On a slow machine this may come too late, too; another's answer it must never be.
        self.assertIn(client.read(), (b"B", "BUSTIMEOUT bus 'marketdata': no answer within 400 ms after the command was sent, outcome unknown"))
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=MARKETDATA) == 0, "late answers have come")
        self.assertEqual(client.pipeline([("GET", "md:a"), ("GET", "md:n"), ("GET", "md:b")]), [b"A", b"1", b"B"])

    def test_redis_own_errors_pass_unchanged(self):
        server = self.client(self.stack.marketdata)
        server.config_set("maxmemory", "1mb")
        try:
            expected = self.connect(to=self.stack.marketdata).call("XADD", "s", "*", "a", "b")
            self.assertRegex(expected, "^OOM ")
            self.assertEqual(self.connect().call("XADD", "s", "*", "message_type", "market_data"), expected)
            self.assertEqual(self.connect().call("SET", "md:k", 1), expected)
        finally:
            server.config_set("maxmemory", "0")


class StuckTest(StackTest):
    """A bus that hangs takes what its socket has room for, so that something large is left in the middle."""

    config = {"workers": 1,  # each has connections of its own
              # The time of a transaction is also that of the daemon's own work on its 20 MB, on a machine that is busy.
              "backend": {"reconnect_wait": "300ms", "backoff_min": "10ms", "backoff_max": "50ms",
                          "request_timeout": "6s" if sanitized() else "2s",
                          # A marker that the bus owes an answer keeps a connection from being borrowed.
                          "health_interval": "5m", "health_timeout": "10m"}}

    def check(self, requests, queued=()):
        """The last reply to `requests`, and another client's behind it, tell that the bus gives none."""
        client, other = self.connect(), self.connect()
        # This makes connections, also one to borrow.
        self.assertEqual(other.pipeline([("MULTI",), ("SET", "md:warm", 1), ("SET", "x", 1), ("EXEC",)])[-1], ["OK", "OK"])
        self.assertEqual(other.call("SET", "md:warm", 1), "OK")
        self.stack.marketdata.pause()
        try:
            with self.counted("dualbus_bus_sent_bytes_total", bus=MARKETDATA) as sent, \
                    running(client.send_raw, b"".join(encode(*request) for request in requests)):
                wait_for(lambda: sent.value > 100_000, "the bus has a part of it")
                other.send("GET", "md:warm")
                self.assertRegex(other.read(), "^BUS(TIMEOUT|LOST|DOWN) bus 'marketdata'")
                self.assertEqual([client.read() for _ in queued], list(queued))
                self.assertRegex(client.read(), "^(EXECABORT .*: )?BUS(TIMEOUT|LOST|DOWN) bus 'marketdata'")
        finally:
            self.stack.marketdata.proceed()
        wait_for(lambda: other.call("SET", "md:warm", 2) == "OK", "the bus works again")
        self.assertEqual(other.pipeline([("GET", "md:warm"), ("MGET", "md:warm", "x")]), [b"2", [b"2", b"1"]])
        self.assertEqual(client.call("PING"), "PONG")
        self.await_connections()

    def test_a_request_that_is_taken_only_in_part_ends_and_so_do_those_behind_it(self):
        for _ in range(2):
            self.check([("SET", "md:x", b"x" * 30_000_000)])
            self.assertIn(self.connect().call("STRLEN", "md:x"), (0, 30_000_000))

    def test_so_does_a_transaction_and_it_is_carried_out_as_a_whole_or_not_at_all(self):
        entry = ("XADD", "md:s", "*", "message_type", "market_data", "payload", b"x" * 20_000)
        for number in range(2):
            self.check([("MULTI",), *[entry] * 1000, ("EXEC",)], ["OK"] + ["QUEUED"] * 1000)
            self.assertIn(self.connect().call("XLEN", "md:s"), [1000 * times for times in range(number + 2)])

    def test_so_does_a_transaction_on_several_buses_and_nothing_of_it_is_carried_out(self):
        entry = ("XADD", "md:s", "*", "message_type", "market_data", "payload", b"x" * 20_000)
        for _ in range(2):
            self.check([("MULTI",), *[entry] * 1000, ("SET", "el:k", 1), ("EXEC",)], ["OK"] + ["QUEUED"] * 1001)
            self.assertEqual(self.connect().pipeline([("XLEN", "md:s"), ("GET", "el:k")]), [0, None])


class StartTest(unittest.TestCase):
    def test_the_daemon_starts_before_its_buses_and_finds_them_later(self):
        stack = Stack({"backend": {"reconnect_wait": "50ms", "backoff_min": "10ms", "backoff_max": "50ms"}})
        self.addCleanup(stack.end)
        self.assertEqual(stack.daemon.terminate(), 0)
        for bus in stack.buses.values():
            bus.kill()
        stack.daemon.start(page="/healthz")
        self.assertEqual(stack.daemon.fetch("/readyz")[0], 503)
        with stack.daemon.connect() as client:
            self.assertEqual(client.call("GET", "k"), "BUSDOWN bus 'engine_logic' is unreachable: command not sent")
            self.assertEqual(client.call("PING"), "PONG")
            stack.engine_logic.start()
            wait_for(lambda: client.call("SET", "k", 1) == "OK", "one bus is found")
            self.assertEqual((stack.daemon.fetch("/readyz")[0], stack.daemon.fetch("/readyz?all")[0]), (200, 503))
            stack.marketdata.start()
            wait_for(lambda: stack.daemon.fetch("/readyz?all")[0] == 200, "both are found")
            self.assertEqual(client.call("MGET", "k", "md:k"), [b"1", None])
        # One line for the same failure again and again.
        refused = [line for line in stack.daemon.full_log().splitlines() if "Connection refused" in line and "'marketdata'" in line]
        self.assertLessEqual(len(refused), 2 * stack.config["workers"] + 2, refused)


if __name__ == "__main__":
    unittest.main()
