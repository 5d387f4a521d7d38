"""The fate of requests whose client ends: by FIN, by half-closing, by RST; before they are sent to a bus, while a bus has them, or
when they are answered. A bare Redis, of which the same clients are served, says what is right."""
import re
import threading
import unittest

from support import resp
from support.harness import Stack, StackTest, wait_for
from support.resp import encode

WORDS = "message_type market_data".split()
# Name -> what is there before, what the client sends in one piece. `after` tells whether what stands behind the request was carried out.
OPERATIONS = {
    "one bus": ([], [("INCR", "n"), ("INCR", "md:n")]),
    "split by bus": ([], [("MSET", "n", 1, "md:n", 2), ("MGET", "n", "md:n")]),
    "several rounds": ([("SET", "n", 1), ("SET", "md:n", 1)], [("DEL", "n", "md:n")]),
    "a transaction on one bus": ([], [("MULTI",), ("INCR", "n"), ("SET", "n2", 1), ("EXEC",)]),
    "a transaction that may meet a stream": ([], [("MULTI",), ("INCR", "n"), ("EXPIRE", "n", 1000), ("DEL", "n2"), ("EXEC",)]),
    "a transaction over buses": ([], [("MULTI",), ("XADD", "s", "*", *WORDS), ("XADD", "s", "*", "n", 1), ("INCR", "n"), ("EXEC",)]),
    "a transaction with watched keys": ([], [("WATCH", "n"), ("MULTI",), ("INCR", "n"), ("EXEC",), ("WATCH", "n"), ("UNWATCH",)]),
    "a pop that finds something": ([("RPUSH", "l", "a", "b", "c")], [("BLPOP", "l", 0)]),
    "a pop of a sorted set that finds something": ([("ZADD", "z", 1, "a", 2, "b")], [("BZMPOP", 0, 1, "z", "MIN")]),
    "a move that finds something": ([("RPUSH", "l", "a", "b")], [("BLMOVE", "l", "l2", "LEFT", "RIGHT", 0)]),
    "a pop that waits": ([], [("INCR", "n"), ("BLPOP", "l", 0)]),
    "a move that waits": ([], [("INCR", "n"), ("BRPOPLPUSH", "l", "l2", 0)]),
    "WAIT that need not wait": ([], [("INCR", "n"), ("WAIT", 0, 0)]),
    "WAIT that waits": ([], [("INCR", "n"), ("WAIT", 1, 0)]),
    "a read that finds something": ([("XADD", "md:s", "1-1", "a", 1)], [("XREAD", "BLOCK", 0, "STREAMS", "md:s", 0)]),
    "a read that waits": ([], [("INCR", "n"), ("XREAD", "BLOCK", 0, "STREAMS", "s", "$")]),
    "a read of another database that waits": ([], [("SELECT", 1), ("XREAD", "BLOCK", 0, "STREAMS", "s", "$")]),
    "a script": ([], [("EVAL", "return redis.call('incr', KEYS[1])", 1, "n")]),
    "subscriptions": ([], [("SUBSCRIBE", "c"), ("UNSUBSCRIBE", "c")]),
}
WAIT_FOR_EVER = [name for name in OPERATIONS if name.endswith("waits")]
PROBES = [("GET", "n"), ("GET", "n2"), ("GET", "md:n"), ("EXISTS", "s"), ("XLEN", "s"), ("LRANGE", "l", 0, -1), ("LRANGE", "l2", 0, -1), ("ZRANGE", "z", 0, -1),
          ("GET", "after")]
ENDINGS = ("FIN", "half-close", "RST")


def without_ids(value):
    """Times and IDs are not the same on two servers."""
    if isinstance(value, list):
        return [without_ids(element) for element in value]
    return "ID" if isinstance(value, bytes) and re.fullmatch(rb"\d{10,}-\d+", value) else value


def end(client, how):
    """Ends the client; the rest of its replies if it can still read."""
    if how == "RST":
        return client.abort()
    if how == "FIN":
        return client.close()
    client.end_requests()


def parsed(data):
    chunks, replies = [data] if data else [], []
    reader = resp.Reader(lambda: chunks.pop() if chunks else b"")
    while chunks or reader._buffer:  # pylint: disable=protected-access
        replies.append(without_ids(reader.read()))
    return replies


class TableTest(StackTest):
    config = {"workers": 1, "databases": 2, "backend": {"request_timeout": "60s", "reconnect_wait": "60s", "connect_timeout": "60s", "health_timeout": "3m"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def run_at(self, server, operation, how, stopped):
        """(replies that the client gets, what is there then) when `stopped` do nothing until the client has ended."""
        before, requests = OPERATIONS[operation]
        self.stack.flush()
        probe = self.connect(to=server)
        for request in before:
            probe.call(*request)
        observer = self.client(self.bare)  # the daemon's figures need none
        count = lambda: observer.info("clients")["connected_clients"] if server is self.bare else self.daemon.metrics().value("dualbus_clients")
        base = count()
        client = self.connect(to=server)
        client.call("PING")
        for process in stopped:
            process.pause()
        try:
            client.send_raw(b"".join(encode(*request) for request in (*requests, ("SET", "after", 1))))
            if stopped and server not in stopped:
                sent = lambda metrics: metrics.value("dualbus_requests_in_flight") + metrics.value("dualbus_requests_waiting") > 0
                wait_for(lambda: sent(self.daemon.metrics()), "a bus is to answer")
            end(client, how)
        finally:
            for process in stopped:
                process.proceed()
        replies = parsed(client.read_rest()) if how == "half-close" else None
        wait_for(lambda: count() == base, f"{operation}, {how}: the client is gone")
        return replies, [without_ids(probe.call(*request)) for request in PROBES]

    def check(self, operation, how, stopped):
        with self.subTest(operation, ending=how, stopped=[process.name for process in stopped]):
            right = self.run_at(self.bare, operation, how, [self.bare])
            self.assertEqual(self.run_at(self.daemon, operation, how, stopped), right)

    def test_what_has_come_when_its_client_has_already_ended(self):
        for operation in OPERATIONS:
            for how in ENDINGS:
                if operation.startswith("a pop") and operation not in WAIT_FOR_EVER and how == "RST":
                    continue  # see the next one
                self.check(operation, how, [self.daemon])

    def test_a_pop_of_a_client_whose_connection_was_reset_takes_nothing(self):
        for operation, elements in (("a pop that finds something", [b"a", b"b", b"c"]), ("a pop of a sorted set that finds something", [b"a", b"b"])):
            _, there = self.run_at(self.daemon, operation, "RST", [self.daemon])
            self.assertEqual(there[5] + there[7], elements)
            self.assertIsNone(there[-1])

    def test_what_a_bus_has_when_its_client_ends(self):
        for operation in OPERATIONS:
            for how in ENDINGS:
                self.check(operation, how, list(self.stack.buses.values()))

    def test_what_is_answered_when_its_client_ends(self):
        for operation, (before, requests) in OPERATIONS.items():
            if operation in WAIT_FOR_EVER:
                continue
            for how in ENDINGS:
                with self.subTest(operation, ending=how):
                    seen = []
                    for server in (self.bare, self.daemon):
                        self.stack.flush()
                        probe, client = self.connect(to=server), self.connect(to=server)
                        for request in before:
                            probe.call(*request)
                        replies = [without_ids(client.call(*request)) for request in requests]
                        end(client, how)
                        seen.append((replies, [without_ids(probe.call(*request)) for request in PROBES]))
                    self.assertEqual(seen[1], seen[0])

    def test_what_stands_behind_a_pause_is_dropped_with_its_client(self):
        for server in (self.bare, self.daemon):
            probe = self.connect(to=server)
            for how in ENDINGS:
                probe.call("CLIENT", "PAUSE", 60000, "WRITE")
                client = self.connect(to=server)
                client.send_raw(encode("PING") + encode("SET", "after", 1))
                self.assertEqual(client.read(), "PONG")
                end(client, how)
                if how == "half-close":
                    self.assertEqual(client.read_rest(), b"")
                wait_for(lambda: self.only(server), "the client is gone")
                self.assertEqual(probe.call("CLIENT", "UNPAUSE"), "OK")
                self.assertIsNone(probe.call("GET", "after"))
            probe.close()

    def only(self, server):
        """True if nobody but who asks is connected."""
        connection = self.connect(to=server)
        lines = connection.call("CLIENT", "LIST").count(b"\n")
        connection.close()
        return lines <= 2


class ElementsTest(StackTest):
    """Elements that are pushed while those who wait for them go."""
    config = {"workers": 1, "backend": {"dedicated_connections": 200}}
    COUNT = 60

    def setUp(self):
        super().setUp()
        self.direct = self.client(self.stack.marketdata)

    def await_waiting(self, count):
        wait_for(lambda: self.direct.info("clients")["blocked_clients"] == count, f"{count} wait in Redis")

    def waiting(self, count):
        clients = [self.connect() for _ in range(count)]
        for number, client in enumerate(clients, 1):
            client.send("BLPOP", "md:l", 0)
            self.await_waiting(number)
        return clients

    def push_while(self, work):
        def push():
            for number in range(self.COUNT):
                self.direct.rpush("md:l", number)

        pusher = threading.Thread(target=push)
        pusher.start()
        work()
        pusher.join()

    def test_an_element_for_a_connection_that_was_reset_is_counted(self):
        clients = self.waiting(10)
        with self.counted("dualbus_elements_lost_total") as lost:
            self.daemon.pause()
            try:
                for client in clients[:5]:
                    client.abort()
                self.direct.rpush("md:l", *range(7))  # Redis serves those first who have waited longest
            finally:
                self.daemon.proceed()
            self.assertEqual([client.read() for client in clients[5:7]], [[b"md:l", b"5"], [b"md:l", b"6"]])
            wait_for(lambda: lost.value == 5, "five are lost")
        self.await_waiting(3)

    def test_who_was_reset_while_it_waited_takes_nothing(self):
        clients = self.waiting(10)
        with self.counted("dualbus_elements_lost_total") as lost:
            for client in clients:
                client.abort()
            self.await_waiting(0)
            self.direct.rpush("md:l", 1)
            self.assertEqual([self.direct.llen("md:l"), lost.value], [1, 0])

    def test_no_element_vanishes_when_clients_are_killed(self):
        clients = self.waiting(self.COUNT)
        admin = self.connect()

        def kill():
            self.assertEqual(admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"), self.COUNT)

        self.push_while(kill)
        received = sum(len(parsed(client.read_rest())) for client in clients)
        self.assertEqual(received + self.direct.llen("md:l"), self.COUNT)

    def test_no_element_vanishes_when_the_daemon_is_told_to_end(self):
        stack = Stack(self.config)
        self.addCleanup(stack.end)
        direct = stack.marketdata.client()
        clients = [stack.daemon.connect() for _ in range(self.COUNT)]
        for client in clients:
            client.send("BLPOP", "md:l", 0)
        wait_for(lambda: direct.info("clients")["blocked_clients"] == self.COUNT, "they wait")
        self.direct = direct
        self.push_while(stack.daemon.process.terminate)
        received = sum(len(parsed(client.read_rest())) for client in clients)
        self.assertEqual(stack.daemon.process.wait(20), 0)
        self.assertEqual(received + direct.llen("md:l"), self.COUNT)


class BurstTest(StackTest):
    """More clients at once than there are connections, none of which waits for its answers."""
    config = {"workers": 1, "backend": {"dedicated_connections": 2}}

    def test_all_transactions_are_carried_out(self):
        transactions = {"n": [("MULTI",), ("INCR", "n"), ("EXPIRE", "n", 1000), ("EXEC",)],
                        "m": [("MULTI",), ("INCR", "m"), ("XADD", "s", "*", *WORDS), ("XADD", "s", "*", "n", 1), ("EXEC",)]}
        for key, requests in transactions.items():
            for _ in range(100):
                with resp.Connection(self.daemon.address) as client:
                    client.send_raw(b"".join(encode(*request) for request in requests))
            wait_for(lambda: self.daemon.metrics().value("dualbus_clients") == 0, "all are gone")
            self.assertEqual(self.client(self.stack.engine_logic).get(key), b"100")


if __name__ == "__main__":
    unittest.main()
