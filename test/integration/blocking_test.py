"""Commands of lists and sorted sets that wait: each on a connection of its own for as long as it waits."""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, Stack, StackTest, merge, wait_for
from support.resp import encode

POOL = 3
READ = ("BLPOP", "md:s", 0)
OTHER_READS = (("BRPOP", "md:s", "md:other", 0), ("BLMPOP", 0, 2, "md:s", "md:other", "LEFT"), ("BLMOVE", "md:s", "md:done", "LEFT", "RIGHT", 0))


class BlockingTest(StackTest):
    config = {"workers": 1, "backend": {"dedicated_connections": POOL, "request_timeout": "300ms", "health_timeout": "10s", "reconnect_wait": "200ms"}}

    def await_blocked(self, count):
        client = self.client(self.stack.marketdata)
        wait_for(lambda: client.info("clients")["blocked_clients"] == count, f"{count} wait in Redis")

    def test_waiting_readers_get_the_element_and_hold_nobody_up(self):
        expected = {"BLPOP": [b"md:s", b"v"], "BRPOP": [b"md:s", b"v"], "BLMPOP": [b"md:s", [b"v"]], "BLMOVE": b"v"}
        for protocol in (2, 3):
            for request in (READ, *OTHER_READS):
                reader, other = self.connect(protocol), self.connect(protocol)
                reader.send(*request)
                self.await_blocked(1)
                for number in range(5):
                    self.assertEqual(other.call("SET", "md:k", number), "OK")
                self.assertEqual(other.call("RPUSH", "md:s", "v"), 1)
                self.assertEqual(reader.read(), expected[request[0]])

    def test_waiting_ends_with_nil_after_its_time(self):
        bare = self.connect(to=self.stack.marketdata)
        for protocol in (2, 3):
            if protocol == 3:
                bare.call("HELLO", 3)
            for words in ("BLPOP md:s 0.05", "BZPOPMIN md:z 0.05", "BLMPOP 0.05 1 md:s LEFT", "BZMPOP 0.05 1 md:z MIN", "BLPOP md:s -1",
                          "BLPOP md:s x", "BLMPOP 0.1 0 md:s LEFT", "BRPOPLPUSH md:s md:t 0.05"):
                self.assertEqual(self.connect(protocol).call_raw(*words.split()), bare.call_raw(*words.split()), words)

    def test_waiting_longer_than_the_time_for_answers_is_no_timeout(self):
        reader, other = self.connect(), self.connect()
        reader.send(*READ)
        self.await_blocked(1)
        with self.counted("dualbus_request_timeouts_total") as timeouts:
            # Twice request_timeout, as Redis counts it.
            self.assertIsNone(other.call("BLPOP", "md:empty", "0.6"))
            self.assertEqual(timeouts.value, 0)
        other.call("RPUSH", "md:s", "v")
        self.assertEqual(reader.read(), [b"md:s", b"v"])

    def test_the_replies_around_it_keep_the_order(self):
        reader = self.connect()
        reader.send_raw(b"".join(encode(*request) for request in (("SET", "md:k", 1), ("GET", "x"), READ, ("GET", "md:k"), ("PING",))))
        self.assertEqual([reader.read(), reader.read()], ["OK", None])
        self.await_blocked(1)
        self.connect().call("RPUSH", "md:s", "v")
        self.assertEqual([reader.read() for _ in range(3)], [[b"md:s", b"v"], b"1", "PONG"])

    def test_when_all_connections_wait_the_next_reader_is_told_so(self):
        readers = [self.connect() for _ in range(POOL)]
        for reader in readers:
            reader.send(*READ)
        self.await_blocked(POOL)
        late = self.connect()
        self.assertRegex(late.call(*READ), r"^ERR dualbus: all 3 connections to bus 'marketdata' .*backend\.dedicated_connections")
        self.assertEqual(late.call("GET", "md:k"), None)
        # Each bus has its own, and reads of streams need none, even if they wait.
        self.assertIsNone(late.call("BLPOP", "el:s", "0.01"))
        self.assertIsNone(late.call("XREAD", "BLOCK", 10, "STREAMS", "md:stream", "$"))
        late.call("RPUSH", "md:s", *range(POOL))
        self.assertEqual(sorted(reader.read()[1] for reader in readers), [b"0", b"1", b"2"])
        for _ in range(2 * POOL):
            self.assertIsNone(late.call("BLPOP", "md:empty", "0.01"))

    def test_a_reader_that_vanishes_frees_its_connection_and_takes_no_message_along(self):
        for abort in (False, True):
            for _ in range(2 * POOL):
                reader = self.connect()
                reader.send(*READ)
                self.await_blocked(1)
                reader.abort() if abort else reader.close()
                self.await_blocked(0)
        self.connect().call("RPUSH", "md:s", "v")
        self.assertEqual(self.connect().call(*READ), [b"md:s", b"v"])

    def test_client_kill_ends_waiting(self):
        reader, other = self.connect(), self.connect()
        number = reader.call("CLIENT", "ID")
        reader.send(*READ)
        self.await_blocked(1)
        self.assertEqual(other.call("CLIENT", "KILL", "ID", number), 1)
        self.assertEqual(reader.read_rest(), b"")
        self.await_blocked(0)

    def test_client_unblock_ends_waiting_as_in_redis(self):
        admin = self.connect()
        for protocol, nil in ((2, b"*-1\r\n"), (3, b"_\r\n")):
            reader = self.connect(protocol)
            number = reader.call("CLIENT", "ID")
            for words, reply in (((), nil), (("TIMEOUT",), nil), (("ERROR",), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")):
                reader.send(*READ)
                # The bus need not have seen the request yet.
                wait_for(lambda: admin.call("CLIENT", "UNBLOCK", number, *words) == 1, "unblocked")  # pylint: disable=cell-var-from-loop
                self.assertEqual(reader.read_raw(), reply)
                self.assertEqual(admin.call("CLIENT", "UNBLOCK", number, *words), 0)
                self.assertEqual(reader.call("PING"), "PONG")
        # Within a transaction it is the daemon's own as well, and no part of what the bus gets.
        reader.send(*READ)
        self.await_blocked(1)
        for request in (("MULTI",), ("SET", "md:k", 1), ("CLIENT", "UNBLOCK", number), ("SET", "md:k", 2)):
            admin.call(*request)
        self.assertEqual(admin.call("EXEC"), ["OK", 1, "OK"])
        self.assertEqual(reader.read_raw(), b"_\r\n")

    def test_client_unblock_never_swallows_an_element(self):
        reader, writer, admin = self.connect(), self.connect(), self.connect()
        number = reader.call("CLIENT", "ID")
        for attempt in range(100):
            reader.send(*READ)
            wait_for(lambda: admin.call("INFO", "clients").count(b"blocked_clients:1"), "it waits")
            requests = [(writer, ("RPUSH", "md:s", attempt)), (admin, ("CLIENT", "UNBLOCK", number))]
            for client, request in requests[::1 - 2 * (attempt % 2)]:
                client.send(*request)
            writer.read()
            admin.read()
            left = self.connect().call("LRANGE", "md:s", 0, -1)
            reply = reader.read()
            self.assertEqual(([] if reply is None else [reply[1]]) + self.connect().call("LRANGE", "md:s", 0, -1), [b"%d" % attempt], (left, reply))
            writer.call("DEL", "md:s")

    def test_info_counts_those_who_wait(self):
        reader, other = self.connect(), self.connect()
        reader.send(*READ)
        self.await_blocked(1)
        self.assertIn(b"blocked_clients:1\r\n", other.call("INFO", "clients"))
        self.assertRegex(other.call("CLIENT", "LIST", "TYPE", "normal"), rb"flags=b .*cmd=blpop")
        other.call("RPUSH", "md:s", "v")
        reader.read()
        self.assertIn(b"blocked_clients:0\r\n", other.call("INFO", "clients"))

    def test_a_bus_that_dies_meanwhile(self):
        reader = self.connect()
        reader.send(*READ)
        self.await_blocked(1)
        self.stack.marketdata.kill()
        try:
            self.assertEqual(reader.read(), "BUSLOST bus 'marketdata': connection lost after the command was sent, outcome unknown")
            wait_for(lambda: str(reader.call(*READ)).startswith("BUSDOWN bus 'marketdata'"), "BUSDOWN")
            self.assertEqual(reader.call("SET", "k", 1), "OK")
        finally:
            self.stack.marketdata.start()
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready again")
        self.assertIsNone(reader.call("BLPOP", "md:s", "0.01"))

    def test_a_changed_limit_counts_at_once(self):
        self.daemon.reload(merge(self.stack.config, {"backend": {"dedicated_connections": 0}}))
        self.assertRegex(self.connect().call(*READ), "^ERR dualbus: all 0 connections")
        self.daemon.reload(self.stack.config)
        self.assertIsNone(self.connect().call("BLPOP", "md:s", "0.01"))

    def test_the_other_bus_saw_nothing_of_it(self):
        self.assertEqual(self.daemon.metrics().value("dualbus_backend_connections_lost_total", bus=ENGINE_LOGIC), 0)


class ShutdownTest(unittest.TestCase):
    def test_sigterm_does_not_wait_for_readers_that_may_wait_for_ever(self):
        stack = Stack()
        self.addCleanup(stack.end)
        with stack.daemon.connect() as reader:
            reader.send(*READ)
            wait_for(lambda: stack.buses[MARKETDATA].client().info("clients")["blocked_clients"] == 1, "it waits")
            self.assertEqual(stack.daemon.terminate(), 0)
            self.assertEqual(reader.read_rest(), b"")
        self.assertNotIn("shutdown_timeout is over", stack.daemon.log())


if __name__ == "__main__":
    unittest.main()
