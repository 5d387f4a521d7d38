"""Transactions while buses go away, hang or lie: what EXEC says is what became of them."""
import signal
import unittest

from support import resp
from support.fake_redis import CLOSE, FakeRedis
from support.harness import ENGINE_LOGIC, MARKETDATA, Stack, StackTest, wait_for

CROSSING = [("MULTI",), ("SET", "a", 1), ("SET", "md:a", 1), ("EXEC",), ("GET", "a")]


class OutageTest(StackTest):
    config = {"backend": {"reconnect_wait": "200ms", "request_timeout": "1s", "health_timeout": "30s"}}

    def test_a_bus_that_is_down_before_exec(self):
        connection = self.connect()
        self.stack.marketdata.kill()
        try:
            replies = connection.pipeline([("MULTI",), ("SET", "md:a", 1), ("EXEC",), ("PING",)])
            self.assertRegex(replies[2], "^BUS(DOWN|LOST) bus 'marketdata'")
            replies = connection.pipeline(CROSSING)
            self.assertRegex(replies[3], "^EXECABORT Transaction discarded because of: BUSDOWN bus 'marketdata'")
            self.assertIsNone(replies[4])
        finally:
            self.stack.marketdata.start()
            self.await_connections()

    def test_a_bus_that_hangs_while_it_queues(self):
        connection = self.connect()
        self.assertEqual(connection.pipeline([("MULTI",), ("GET", "md:a"), ("GET", "a"), ("EXEC",)])[-1], [None, None])  # leaves connections
        self.stack.marketdata.pause()
        replies = connection.pipeline(CROSSING)
        self.stack.marketdata.proceed()
        self.assertRegex(replies[3], "^EXECABORT Transaction discarded because of: BUS(DOWN|TIMEOUT) bus 'marketdata'")
        self.assertNotIn("unknown", replies[3], "nothing was carried out")
        self.assertIsNone(replies[4])
        self.assertIsNone(self.client(self.stack.marketdata).get("md:a"))

    def test_what_was_watched_counts_though_a_later_watch_gets_no_answer(self):
        connection, other = self.connect(), self.connect()
        self.assertEqual([other.call("SET", "md:a", "old"), connection.call("WATCH", "md:a")], ["OK", "OK"])
        self.stack.marketdata.pause()
        try:
            self.assertRegex(connection.call("WATCH", "md:b"), "^BUSTIMEOUT bus 'marketdata'")
        finally:
            self.stack.marketdata.proceed()
        wait_for(lambda: other.call("SET", "md:a", "other") == "OK", "another one changes it")
        self.assertEqual(connection.pipeline([("MULTI",), ("SET", "md:a", "mine"), ("EXEC",), ("GET", "md:a")])[2:], [None, b"other"])
        # With that the matter is closed.
        self.assertEqual(connection.pipeline([("MULTI",), ("SET", "md:a", "mine"), ("EXEC",), ("GET", "md:a")])[2:], [["OK"], b"mine"])

    def test_a_client_that_goes_after_exec_has_executed(self):
        connection = self.connect()
        connection.send_raw(b"".join(resp.encode(*r) for r in CROSSING[:4]))
        connection.close()
        wait_for(lambda: self.client(self.stack.marketdata).get("md:a") and self.client(self.stack.engine_logic).get("a"), "both have it")

    def test_a_bus_that_hangs_at_exec_and_sigterm(self):
        stack = Stack({"backend": {"request_timeout": "5s"}})
        self.addCleanup(stack._end_processes)  # pylint: disable=protected-access
        with stack.daemon.connect() as connection:
            stack.marketdata.pause()
            connection.send_raw(b"".join(resp.encode(*r) for r in CROSSING[:4]))
            self.assertEqual([connection.read() for _ in range(3)], ["OK", "QUEUED", "QUEUED"])
            stack.daemon.signal(signal.SIGTERM)
            stack.daemon.wait_for_log("(?i)stop|drain|SIGTERM")
            stack.marketdata.proceed()
            self.assertEqual(connection.read(), ["OK", "OK"])
            self.assertEqual(connection.read_rest(), b"")
        self.assertEqual(stack.daemon.terminate(), 0)


class PatientTest(StackTest):
    config = {"backend": {"request_timeout": "1m", "health_timeout": "5m"}}

    def test_answers_that_are_due_before_that_of_exec_do_not_wait_for_it(self):
        transactions = (("SET", "md:x", 1),), (("SET", "md:x", 1), ("SET", "el:x", 1))
        for protocol in (2, 3):
            for queued in transactions:
                connection = self.connect(protocol, timeout=10)
                connection.call("SET", "el:1", "here")
                self.stack.marketdata.pause()
                try:
                    connection.send_raw(b"".join(resp.encode(*r) for r in (("GET", "el:1"), ("MULTI",), *queued, ("EXEC",), ("GET", "el:1"))))
                    self.assertEqual([connection.read() for _ in range(2 + len(queued))], [b"here", "OK"] + ["QUEUED"] * len(queued))
                finally:
                    self.stack.marketdata.proceed()
                self.assertEqual([connection.read(), connection.read()], [["OK"] * len(queued), b"here"])


class FakeBus(FakeRedis):
    """Queues; `at_exec` tells what it does at EXEC."""

    at_exec = CLOSE

    def _answer(self, words, request):
        if words[0] == b"EXEC":
            return self.at_exec
        return b"+QUEUED\r\n" if words[0] in (b"SET", b"MGET") else super()._answer(words, request)


class AtExecTest(StackTest):
    @classmethod
    def setUpClass(cls):
        cls.fake = FakeBus()
        cls.config = {"buses": {MARKETDATA: {"endpoint": cls.fake.endpoint}}}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready")

    def test_a_bus_lost_at_exec_has_its_elements_only(self):
        self.fake.at_exec = CLOSE
        for protocol in (2, 3):
            self.stack.flush()
            replies = self.connect(protocol).pipeline(
                [("MULTI",), ("SET", "a", 1), ("SET", "md:a", 1), ("MGET", "a", "md:a"), ("INCR", "a"), ("EXEC",), ("GET", "a")])
            self.assertEqual(replies[-2][0::3], ["OK", 2])
            for element in replies[-2][1:3]:
                self.assertRegex(element, "^BUSLOST bus 'marketdata': connection lost after the command was sent, outcome unknown")
            self.assertEqual(replies[-1], b"2")

    def test_a_bus_that_refuses_exec_has_its_elements_only(self):
        self.fake.at_exec = b"-EXECABORT why not\r\n"
        self.assertEqual(self.connect().pipeline(CROSSING)[3:], [["OK", "EXECABORT why not"], b"1"])
        self.assertEqual(self.client(self.stack.engine_logic).get("a"), b"1")

    def test_a_watching_bus_lost_at_exec_leaves_the_others_untouched(self):
        for at_exec, said in ((CLOSE, "^BUSLOST bus 'marketdata'"), (b"-EXECABORT why not\r\n", "^EXECABORT why not$")):
            self.fake.at_exec = at_exec
            replies = self.connect().pipeline([("WATCH", "md:w"), *CROSSING])
            self.assertRegex(replies[4], said)
            self.assertIsNone(replies[5])

    def test_another_bus_lost_at_exec_when_the_watching_one_has_decided(self):
        self.fake.at_exec = CLOSE
        replies = self.connect().pipeline([("WATCH", "w"), *CROSSING])
        self.assertEqual(replies[4][0], "OK")
        self.assertRegex(replies[4][1], "^BUSLOST bus 'marketdata'")
        self.assertEqual(replies[5], b"1")

    def test_the_only_bus_lost_at_exec(self):
        self.fake.at_exec = CLOSE
        replies = self.connect().pipeline([("MULTI",), ("SET", "md:a", 1), ("EXEC",), ("SET", "a", 1)])
        self.assertRegex(replies[2], "^BUSLOST bus 'marketdata'")
        self.assertEqual(replies[3], "OK")

    def test_the_wrong_number_of_elements(self):
        self.fake.at_exec = b"*0\r\n"
        replies = self.connect().pipeline([("MULTI",), ("SET", "md:a", 1), ("EXEC",), ("SET", "a", 1)])
        self.assertEqual(replies[2:], [[], "OK"])


if __name__ == "__main__":
    unittest.main()
