"""Commands within MULTI that the daemon carries out itself, without a bus: only if EXEC is, in their order, once."""
import threading
import unittest

from support.harness import MARKETDATA, StackTest, running, wait_for
from support.resp import Push, encode

ROUNDS = 100


class OwnCommandsTest(StackTest):
    config = {"backend": {"reconnect_wait": "200ms", "request_timeout": "5s", "health_timeout": "30s"}}

    def setUp(self):
        super().setUp()
        self.client, self.other, self.victim, self.reader = (self.connect() for _ in range(4))
        self.addCleanup(lambda: self.connect().call("CLIENT", "UNPAUSE"))
        self.client.call("CLIENT", "SETNAME", "good")
        unblock = ("CLIENT", "UNBLOCK", self.reader.call("CLIENT", "ID"))
        self.commands = [("CLIENT", "SETNAME", "evil"), ("CLIENT", "KILL", "ID", self.victim.call("CLIENT", "ID")),
                         unblock, ("CLIENT", "PAUSE", 600_000, "ALL")]

    def run_transaction(self, *requests):
        replies = self.client.pipeline([("MULTI",), *requests, ("EXEC",)])
        self.assertEqual(replies[:-1], ["OK"] + ["QUEUED"] * len(requests))
        return replies[-1]

    def check_nothing_was_done(self):
        self.assertEqual(self.client.call("CLIENT", "GETNAME"), b"good")
        self.assertEqual([self.victim.call("PING"), self.other.call("PING")], ["PONG", "PONG"])

    def test_nothing_is_done_if_a_watched_key_was_changed(self):
        self.reader.send("BLPOP", "el:none", 0)
        wait_for(lambda: b"blocked_clients:1\r\n" in self.other.call("INFO", "clients"), "it waits")
        for key, queued in (("el:k", ("el:k",)), ("md:k", ("md:k",)), ("md:k", ("md:k", "el:k")), ("el:k", ())):
            self.client.call("WATCH", key)
            self.other.call("INCR", key)
            before = self.other.call("GET", key)
            self.assertIsNone(self.run_transaction(*self.commands, *(("SET", name, "mine") for name in queued)))
            self.check_nothing_was_done()
            self.assertEqual(self.other.call("GET", key), before)
        self.assertEqual(self.other.call("RPUSH", "el:none", "x"), 1)
        self.assertEqual(self.reader.read(), [b"el:none", b"x"])

    def test_nothing_is_done_if_a_bus_is_down(self):
        self.stack.marketdata.kill()
        try:
            wait_for(lambda: self.daemon.metrics().value("dualbus_backend_connections", bus=MARKETDATA, state="up") == 0, "the loss is noticed")
            for keys, error in ((("md:k",), "^BUSDOWN "), (("el:k", "md:k"), "^EXECABORT .*BUSDOWN ")):
                self.assertRegex(self.run_transaction(*self.commands, *(("SET", key, "mine") for key in keys)), error)
                self.check_nothing_was_done()
        finally:
            self.stack.marketdata.start()
            self.await_connections()

    def test_nothing_is_done_if_a_bus_does_not_queue(self):
        bus = self.stack.marketdata.client()
        bus.config_set("maxmemory", 1)
        self.addCleanup(bus.config_set, "maxmemory", 0)
        for keys in (("md:k",), ("el:k", "md:k")):
            self.assertRegex(self.run_transaction(*self.commands, *(("SET", key, "mine") for key in keys)), "^EXECABORT .*OOM ")
            self.check_nothing_was_done()

    def test_what_is_done_is_done_in_the_order_of_the_requests(self):
        number = self.victim.call("CLIENT", "ID")
        for keys in (("el:k",), ("md:k",), ("el:k", "md:k")):
            self.client.call("CLIENT", "SETNAME", "before")
            self.assertEqual(
                self.run_transaction(("CLIENT", "GETNAME"), ("CLIENT", "SETNAME", "good"), ("CLIENT", "GETNAME"),
                                     *(("SET", key, 2) for key in keys), ("CLIENT", "GETNAME")),
                [b"before", "OK", b"good", *(["OK"] * len(keys)), b"good"])
        self.assertEqual(self.client.call("CLIENT", "GETNAME"), b"good")
        self.assertEqual(self.run_transaction(("SET", "el:k", 2), ("CLIENT", "KILL", "ID", number), ("CLIENT", "KILL", "ID", number)), ["OK", 1, 0])
        self.assertEqual(self.victim.read_rest(), b"")

    def test_requests_behind_exec_keep_their_order_though_several_were_answered_by_all_workers(self):
        for asked in (("CLIENT", "LIST"), ("INFO", "clients"), ("SLOWLOG", "LEN")):
            for number in range(ROUNDS):
                key = f"s{number}"
                self.client.call("XADD", key, "*", "message_type", "market_data", "a", 1)
                replies = self.client.pipeline([("MULTI",), asked, asked, ("EXEC",), ("DEL", key), ("XADD", key, "*", "message_type", "market_data", "a", 2)])
                self.assertEqual(replies[4], 1)
                self.assertEqual([entry for entry, _ in self.client.call("XRANGE", key, "-", "+")], [replies[5]], "acknowledged and lost")
                self.client.call("DEL", key)


class SharedCommandsTest(StackTest):
    config = {"workers": 2, "slowlog": {"max_entries": 0}}

    def test_no_message_comes_between_the_replies_of_a_transaction_that_follows_another_one(self):
        # SLOWLOG's reply takes an answer of the other worker; until then messages may arrive.
        requests = [("GET", "md:g"), ("MULTI",), ("ECHO", "a"), ("EXEC",), ("GET", "md:g"), ("MULTI",), ("CLIENT", "ID"), ("SLOWLOG", "LEN"), ("EXEC",)]
        subscriber, publisher = self.connect(3), self.connect()
        expected = [None, "OK", "QUEUED", [b"a"], None, "OK", "QUEUED", "QUEUED", [subscriber.call("CLIENT", "ID"), 0]]
        subscriber.call("SUBSCRIBE", "ch")

        enough = threading.Event()

        def publish():
            while not enough.is_set():
                publisher.pipeline([("PUBLISH", "ch", "m")] * 5)

        messages = 0
        with running(publish):
            try:
                for _ in range(500):
                    subscriber.send_raw(b"".join(encode(*request) for request in requests))
                    replies = []
                    while len(replies) < len(expected):
                        reply = subscriber.read()
                        messages += isinstance(reply, Push)
                        if not isinstance(reply, Push):
                            replies.append(reply)
                    self.assertEqual(replies, expected)
            finally:
                enough.set()
        self.assertGreater(messages, 0)


if __name__ == "__main__":
    unittest.main()
