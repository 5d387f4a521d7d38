"""A bus that answers and does not do its job: it refuses writes, serves nobody for a while, or has become a replica. Reads of groups
go on with the other bus, waiting readers go on waiting, the daemon says what is wrong, and all is well again by itself."""
import contextlib
import re
import threading
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, Stack, StackTest, wait_for
from support.relay import Relay
from support.resp import ReplyError
from support.stream_load import entries, xadd


def config(server, **values):
    for name, value in values.items():
        server.config_set(name.replace("_", "-"), value)


@contextlib.contextmanager
def readonly(stack, server, **values):
    config(server, **values)
    server.replicaof("127.0.0.1", 1)
    yield
    server.replicaof("NO", "ONE")
    config(server, replica_serve_stale_data="yes")


@contextlib.contextmanager
def misconf(stack, server):
    config(server, save="3600 1", dir="/proc/self")
    server.set("md:unsaved", 1)
    server.bgsave()
    wait_for(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot fails")
    yield
    config(server, dir=stack.marketdata.data, save="", stop_writes_on_bgsave_error="no")


@contextlib.contextmanager
def settings(server, back, **values):
    config(server, **values)
    yield
    config(server, **back)


@contextlib.contextmanager
def not_permitted(server):
    server.execute_command("ACL", "SETUSER", "default", "-xreadgroup")
    yield
    server.execute_command("ACL", "SETUSER", "default", "+@all")


@contextlib.contextmanager
def busy(stack, server):
    config(server, busy_reply_threshold=50)
    script = stack.marketdata.connect()
    script.send("EVAL", "while true do end", 0)
    wait_for(lambda: str(stack.marketdata.connect().call("PING")).startswith("BUSY"), "it is busy")
    yield
    stack.marketdata.connect().call("SCRIPT", "KILL")
    script.close()


# The state of the bus, how it comes to that, and whether it refuses reads of groups.
FAULTS = {
    "replica": (readonly, True),
    "replica, stale data refused": (lambda stack, server: readonly(stack, server, replica_serve_stale_data="no"), True),
    "misconf": (misconf, True),
    "noreplicas": (lambda stack, server: settings(server, {"min_replicas_to_write": 0}, min_replicas_to_write=1), True),
    "oom": (lambda stack, server: settings(server, {"maxmemory": 0}, maxmemory=1), False),
    "busy": (busy, True),
    "up": (lambda stack, server: not_permitted(server), True),  # of this one command only
}


class RefusingBusTest(StackTest):
    redis_options = ("--enable-protected-configs", "yes")
    config = {"workers": 1, "backend": {"backoff_min": "10ms", "backoff_max": "100ms"}}

    def setUp(self):
        super().setUp()
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready")

    def state(self):
        metrics = self.daemon.metrics()
        states = {labels["state"] for labels, value in metrics.matching("dualbus_bus_state", bus=MARKETDATA) if value == 1}
        self.assertEqual(len(states), 1)
        return states.pop()

    def blocked(self):
        return int(re.search(rb"blocked_clients:(\d+)", self.connect().call("INFO", "clients"))[1])

    def read(self, client, group, block):
        return client.call("XREADGROUP", "GROUP", group, "c", "COUNT", 10, "BLOCK", block, "STREAMS", "s", ">")

    def test_group_reads_go_on_and_the_fault_is_shown_until_it_is_over(self):
        for name, (fault, refuses) in FAULTS.items():
            with self.subTest(name):
                self.check_fault(name.split(",")[0], fault, refuses)

    def check_fault(self, state, fault, refuses):
        self.stack.flush()
        client, server = self.connect(), self.client(self.stack.marketdata)
        for group in ("g", "parked"):
            self.assertEqual(client.call("XGROUP", "CREATE", "s", group, "$", "MKSTREAM"), "OK")
        parked = self.connect()
        parked.send("XREADGROUP", "GROUP", "parked", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: self.blocked() == 1, "it waits")
        with fault(self.stack, server):
            # The parked reader is sent there, too, by an entry whose producer may be told what is wrong.
            tried = self.connect().call(*xadd("s", "market_data", "first"))
            if refuses:
                for _ in range(3):
                    start = time.monotonic()
                    self.assertIsNone(self.read(client, "g", 100))
                    self.assertGreaterEqual(time.monotonic() - start, 0.09)
            one = client.call(*xadd("s", "order_request", "elsewhere"))
            self.assertIn((one, b"elsewhere"), entries(self.read(client, "g", 0)))
            wait_for(lambda: self.state() == state, state)
            if state != "up":
                status, page = self.daemon.fetch("/readyz?all")
                self.assertEqual(status, 503)
                self.assertRegex(page, rf"^not ready\nbus {MARKETDATA} \(.*\): (is|refuses) .* since .*Z\nbus {ENGINE_LOGIC} \(.*\): does its job\n$")
                self.assertIn(re.search(r"\): (.*)$", page, re.MULTILINE)[1], self.daemon.fetch("/")[1])
                self.assertEqual(self.daemon.fetch("/readyz")[0], 200)
            if refuses:
                self.assertEqual(entries(parked.read()), [(one, b"elsewhere")])
                parked.send("XREADGROUP", "GROUP", "parked", "c", "BLOCK", 0, "STREAMS", "s", ">")
                wait_for(lambda: self.blocked() == 1, "it waits again")
        wait_for(lambda: self.state() == "up" and self.daemon.fetch("/readyz?all")[0] == 200, "it does its job again")
        two = wait_for(lambda: isinstance(reply := client.call(*xadd("s", "market_data", "after")), bytes) and reply, "it takes writes")
        if not refuses:
            self.assertEqual(len(entries(parked.read())), 1)
        else:
            self.assertEqual(entries(parked.read())[0][0], two if isinstance(tried, ReplyError) else tried)
        self.assertIn((two, b"after"), entries(self.read(client, "g", 1000)))
        parked.close()

    def test_a_missing_part_of_a_group_that_cannot_be_made_now_stops_no_reads(self):
        client, server = self.connect(), self.client(self.stack.marketdata)
        self.client(self.stack.engine_logic).xgroup_create("s", "g", "$", mkstream=True)
        config(server, maxmemory=1)
        try:
            for _ in range(3):
                start = time.monotonic()
                self.assertIsNone(self.read(client, "g", 100))
                self.assertGreaterEqual(time.monotonic() - start, 0.09)
        finally:
            config(server, maxmemory=0)
        one = server.xadd("s", {"message_type": "x", "name": "direct"})
        self.assertEqual([name for _, name in entries(self.read(client, "g", 5000))], [b"direct"], one)

    def test_what_all_buses_say_is_passed_on(self):
        client = self.connect()
        client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        servers = [self.client(bus) for bus in self.stack.buses.values()]
        for server in servers:
            config(server, min_replicas_to_write=1)
        try:
            self.assertRegex(str(self.read(client, "g", 100)), "^NOREPLICAS ")
            self.assertRegex(str(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "md:s", ">")), "^NOREPLICAS ")
        finally:
            for server in servers:
                config(server, min_replicas_to_write=0)

    def test_an_error_that_a_script_makes_says_nothing_about_the_bus(self):
        client = self.connect()
        self.assertRegex(str(client.call("EVAL", "return redis.error_reply('READONLY made up')", 1, "md:k")), "^READONLY ")
        client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        one = client.call(*xadd("s", "market_data", "n"))
        self.assertEqual(entries(self.read(client, "g", 1000)), [(one, b"n")])
        self.assertEqual(self.state(), "up")


class DemotedBusTest(unittest.TestCase):
    """The bus's address leads to another server from one moment on, while its connections stay with the old one."""

    def test_the_new_master_is_found_and_nobody_who_reads_notices(self):
        relay = Relay(("127.0.0.1", 1))
        self.addCleanup(relay.stop)
        stack = Stack({"workers": 1, "buses": {MARKETDATA: {"endpoint": relay.endpoint}}, "backend": {"backoff_min": "10ms", "backoff_max": "100ms"}},
                      page="/healthz")
        self.addCleanup(stack.end)
        self.addCleanup(stack.check, self)
        old, new = stack.marketdata, stack.add_redis("promoted")
        relay.address = old.address
        wait_for(lambda: stack.daemon.fetch("/readyz?all")[0] == 200, "ready")

        def connect():
            connection = stack.daemon.connect(timeout=20)
            self.addCleanup(connection.close)
            return connection

        client, parked, reader, stopped, unexpected = connect(), connect(), connect(), threading.Event(), []
        new.client().replicaof(*old.address)
        client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        client.call("SET", "md:k", "v")
        wait_for(lambda: new.client().get("md:k") == b"v", "it is replicated")
        parked.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: b"blocked_clients:1\r\n" in client.call("INFO", "clients"), "it waits")

        def read():
            while not stopped.is_set():
                if (reply := reader.call("GET", "md:k")) != b"v":
                    unexpected.append(reply)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            new.client().replicaof("NO", "ONE")
            old.client().replicaof("127.0.0.1", 1)
            relay.address = new.address
            wait_for(lambda: client.call("SET", "md:x", 1) == "OK", "the new master is found")
        finally:
            stopped.set()
            thread.join()
        self.assertEqual(unexpected, [])
        one = new.client().xadd("s", {"message_type": "market_data", "name": "n"})
        (_, [(number, _)]), = parked.read()
        self.assertTrue(number.startswith(one.split(b"-")[0]), (number, one))
        wait_for(lambda: stack.daemon.fetch("/readyz?all")[0] == 200, "ready")
        log = stack.daemon.full_log()
        self.assertEqual(log.count("connections are renewed"), 1, log)
        self.assertEqual(log.count("looking for another server"), 1, log)


if __name__ == "__main__":
    unittest.main()
