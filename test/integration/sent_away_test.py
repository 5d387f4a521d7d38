"""Clients that the daemon sends away: what a bus has done for them reaches them, what no bus has is dropped."""
import unittest

from support.harness import Stack, StackTest, merge, wait_for
from support.resp import encode

NOACK = ("XREADGROUP", "GROUP", "g", "c", "NOACK", "BLOCK", 0, "STREAMS", "md:s", ">")
# A request that waits -> the request that ends the wait, and the answer.
POPS = {
    ("BLPOP", "md:l", 0): (("RPUSH", "md:l", "v"), [b"md:l", b"v"]),
    ("BRPOPLPUSH", "md:l", "md:l2", 0): (("RPUSH", "md:l", "v"), b"v"),
    ("BLMPOP", 0, 1, "md:l", "LEFT"): (("RPUSH", "md:l", "v"), [b"md:l", [b"v"]]),
    ("BZPOPMIN", "md:z", 0): (("ZADD", "md:z", 1, "v"), [b"md:z", b"v", b"1"]),
}
# A request that need not wait -> the answer.
TAKES = {
    ("LPOP", "md:l"): b"a",
    ("BLPOP", "md:l", 0): [b"md:l", b"a"],
    ("DEL", "md:l", "el:k"): 1,
    ("XREADGROUP", "GROUP", "g", "c", "NOACK", "STREAMS", "md:s", ">"): [[b"md:s", [[b"1-1", [b"n", b"1"]]]]],
}
AFTER = encode("SET", "md:after", 1)


class SentAwayTest(StackTest):
    config = {"workers": 1, "backend": {"request_timeout": "60s", "health_timeout": "3m"}}

    def setUp(self):
        super().setUp()
        self.admin = self.connect()
        self.bus = self.client(self.stack.marketdata)

    def victim(self):
        client = self.connect()
        return client, client.call("CLIENT", "ID")

    def clients(self):
        return self.daemon.metrics().value("dualbus_clients")

    def kill(self, number):
        self.assertEqual(self.admin.call("CLIENT", "KILL", "ID", number), 1)
        self.assertEqual(self.admin.call("CLIENT", "KILL", "ID", number), 0)

    def expect_end(self, client, *replies):
        self.assertEqual([client.read() for _ in replies], list(replies))
        self.assertEqual(client.read_rest(), b"")
        self.assertIsNone(self.bus.get("md:after"))
        wait_for(lambda: self.clients() == 1, "it is gone")

    def fill(self):
        self.stack.flush()
        self.bus.rpush("md:l", "a", "b")
        self.bus.xgroup_create("md:s", "g", "0", mkstream=True)
        self.bus.xadd("md:s", {"n": 1}, "1-1")

    def test_what_a_bus_has_taken_when_the_client_is_killed_reaches_it(self):
        for request, reply in TAKES.items():
            with self.subTest(request[0]):
                self.fill()
                client, number = self.victim()
                self.stack.marketdata.pause()
                try:
                    client.send_raw(encode(*request))
                    wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight") > 0, "it is in flight")
                    self.kill(number)
                    self.assertRegex(self.admin.call("CLIENT", "LIST", "ID", number), rb" flags=b?c ")
                    client.send_raw(AFTER)
                finally:
                    self.stack.marketdata.proceed()
                self.expect_end(client, reply)

    def test_a_transaction_that_a_bus_has_is_answered(self):
        self.fill()
        client, number = self.victim()
        self.stack.marketdata.pause()
        try:
            client.send_raw(b"".join(encode(*request) for request in (("MULTI",), ("LPOP", "md:l"), ("LPOP", "md:l"), ("EXEC",))))
            wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight") > 0, "it is in flight")
            self.kill(number)
        finally:
            self.stack.marketdata.proceed()
        self.expect_end(client, "OK", "QUEUED", "QUEUED", [b"a", b"b"])

    def test_an_element_that_comes_together_with_the_order_to_kill_reaches_the_client(self):
        for request, (cause, reply) in POPS.items():
            with self.subTest(request[0]):
                self.stack.flush()
                client, number = self.victim()
                client.send_raw(encode(*request))
                wait_for(lambda: self.bus.info("clients")["blocked_clients"] == 1, "it waits")
                # The daemon finds the element first, and has not written it yet when it comes to the order.
                self.daemon.pause()
                try:
                    self.bus.execute_command(*cause)
                    self.admin.send("CLIENT", "KILL", "ID", number)
                finally:
                    self.daemon.proceed()
                self.assertIn(self.admin.read(), (0, 1))
                self.expect_end(client, reply)

    def test_a_read_that_is_on_its_way_for_a_killed_client_is_answered(self):
        for found in (True, False):
            self.stack.flush()
            self.bus.xgroup_create("md:s", "g", "0", mkstream=True)
            client, number = self.victim()
            client.send(*NOACK)
            wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "it waits")
            with self.connect(to=self.stack.marketdata) as writer:
                rest = () if found else (("XTRIM", "md:s", "MAXLEN", 0),)
                requests = (("XADD", "md:s", "1-1", "n", 1), *rest, ("CLIENT", "PAUSE", 600000, "WRITE"))
                # In one write: the read that this causes comes behind it.
                writer.send_raw(b"".join(encode(*request) for request in requests))
                for _ in requests:
                    writer.read()
                wait_for(lambda: self.bus.info("clients")["blocked_clients"] == 1, "the read is held back")
                self.kill(number)
                writer.call("CLIENT", "UNPAUSE")
            self.expect_end(client, *([[[b"md:s", [[b"1-1", [b"n", b"1"]]]]]] if found else []))

    def test_what_came_before_a_wait_is_answered_when_the_client_is_killed(self):
        self.fill()
        self.bus.xgroup_create("el:s", "g", "0", mkstream=True)
        engine_logic = self.client(self.stack.engine_logic)
        engine_logic.xgroup_create("el:s", "g", "0", mkstream=True)
        client, number = self.victim()
        self.stack.marketdata.pause()
        try:
            client.send_raw(encode("LPOP", "md:l") + encode("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "el:s", ">") + AFTER)
            wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "it waits")
            self.kill(number)
        finally:
            self.stack.marketdata.proceed()
        self.expect_end(client, b"a")

    def test_who_is_owed_nothing_is_gone_at_once(self):
        client, number = self.victim()
        self.admin.send_raw(encode("CLIENT", "KILL", "ID", number) + encode("CLIENT", "LIST"))
        self.assertEqual(self.admin.read(), 1)
        self.assertNotIn(f"id={number} ".encode(), self.admin.read())
        self.assertEqual(client.read_rest(), b"")

    def test_who_does_not_read_is_gone_soon(self):
        self.admin.call("SET", "big", b"x" * (8 << 20))
        client, number = self.victim()
        client.send_raw(encode("GET", "big") * 4)
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight") == 0, "its answers are held")
        self.kill(number)
        wait_for(lambda: self.clients() == 1, "it is gone")


class UserTest(StackTest):
    RULES = {"nopass": True, "commands": ["+@all"], "keys": ["*"]}
    config = {"auth": {"users": {"admin": RULES, "engine": RULES}}, "backend": {"request_timeout": "60s", "health_timeout": "3m"}}

    def setUp(self):
        pass  # a client that is not logged in may not look around

    def test_who_is_a_user_no_more_gets_what_a_bus_has_taken_for_it(self):
        with self.stack.marketdata.client() as bus, self.connect() as client:
            bus.rpush("md:l", "a", "b")
            self.assertEqual(client.call("AUTH", "engine", "x"), "OK")
            self.stack.marketdata.pause()
            try:
                client.send("LPOP", "md:l")
                wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight") > 0, "it is in flight")
                self.daemon.reload(merge(self.stack.config, {"auth": {"users": {"engine": None}}}))
                client.send_raw(AFTER)
            finally:
                self.stack.marketdata.proceed()
            self.assertEqual((client.read(), client.read_rest()), (b"a", b""))
            self.assertIsNone(bus.get("md:after"))


class MemoryTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack({"workers": 1, "limits": {"memory": "64mb"}, "backend": {"request_timeout": "60s", "health_timeout": "3m"}})
        self.addCleanup(self.stack.end)
        self.bus = self.stack.marketdata.client()
        self.addCleanup(self.bus.close)
        self.spared = self.connect(self.stack.daemon)
        self.spared.call("SET", "el:big", b"x" * (1 << 20))
        self.assertEqual(self.spared.call("CLIENT", "NO-EVICT", "ON"), "OK")

    def connect(self, server):
        connection = server.connect()
        self.addCleanup(connection.close)
        return connection

    def waiting(self, *request):
        """A client that waits. The daemon holds its long name and what stands behind its request: enough to be worth closing it."""
        client = self.connect(self.stack.daemon)
        self.assertEqual(client.call("CLIENT", "SETNAME", "n" * 300_000), "OK")
        client.send_raw(encode(*request) + encode("ECHO", "x" * 1000) * 20)
        wait_for(lambda: " flags=b " in self.spared.call("CLIENT", "LIST").decode(), "it waits")
        return client

    def use_up_memory(self):
        self.spared.send_raw(encode("GET", "el:big") * 160)  # the sockets take some of them
        self.stack.daemon.wait_for_log("all clients together have more than limits.memory")

    def await_end(self):
        wait_for(lambda: self.stack.daemon.metrics().value("dualbus_clients_closed_total", reason="memory") == 1, "it is gone")

    def test_who_waits_when_memory_ends_gets_what_its_bus_has_given_it(self):
        waiter, pusher = self.waiting("BLPOP", "md:l", 0), self.connect(self.stack.marketdata)
        wait_for(lambda: self.bus.info("clients")["blocked_clients"] == 1, "it waits there")
        self.stack.marketdata.pause()
        try:
            pusher.send("RPUSH", "md:l", "v")
            self.use_up_memory()
        finally:
            self.stack.marketdata.proceed()
        self.assertEqual(pusher.read(), 1)
        received = waiter.read_rest()
        self.assertEqual(received.count(b"$1\r\nv\r\n") + self.bus.llen("md:l"), 1, received[:100])
        self.await_end()

    def test_who_waits_in_the_daemon_when_memory_ends_is_closed(self):
        waiter = self.waiting("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
        self.use_up_memory()
        self.assertEqual(waiter.read_rest(), b"")
        self.await_end()


class LeavingTest(unittest.TestCase):
    def test_who_waits_and_is_owed_answers_gets_the_element_that_comes_when_the_daemon_ends(self):
        stack = Stack({"workers": 1})
        self.addCleanup(stack.end)
        bus = stack.marketdata.client()
        self.addCleanup(bus.close)
        client = stack.daemon.connect()
        self.addCleanup(client.close)
        client.call("SET", "md:big", b"x" * (8 << 20))
        client.send_raw(encode("GET", "md:big") + encode("BLPOP", "md:l", 0))  # it does not read: its wait is called off all the same
        wait_for(lambda: bus.info("clients")["blocked_clients"] == 1, "it waits")
        stack.daemon.process.terminate()
        wait_for(lambda: bus.info("clients")["blocked_clients"] == 0, "its wait is over")
        bus.rpush("md:l", "v")
        self.assertEqual(len(client.read()), 8 << 20)
        self.assertEqual(client.read_rest(), b"")
        self.assertEqual(stack.daemon.process.wait(20), 0)
        self.assertEqual(bus.lrange("md:l", 0, -1), [b"v"])


if __name__ == "__main__":
    unittest.main()
