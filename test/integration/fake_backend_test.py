"""A bus that is no Redis, or not any more: garbage, too much, too little, nothing at all. The daemon drops the connection,
says truly what became of the requests, and never gives one client another's data."""
import contextlib
import re
import socket
import threading
import time
import unittest

from support.fake_redis import CLOSE, HELLO, FakeStackTest
from support.harness import ENGINE_LOGIC, MARKETDATA, sanitized, wait_for


class StrangeReplyTest(FakeStackTest):
    def test_a_reply_may_come_byte_by_byte_and_be_large_or_deep(self):
        def trickle(connection):
            for byte in b"*2\r\n$6\r\nsl\r\now\r\n*1\r\n:1\r\n":
                connection.sendall(bytes([byte]))
            return b""

        self.fake.answers["MD:SLOW"] = trickle
        self.assertEqual(self.get("md:slow"), [b"sl\r\now", [1]])
        self.fake.answers["MD:BIG"] = b"$%d\r\n%s\r\n" % (24 << 20, b"x" * (24 << 20))
        client = self.connect()
        client.send("GET", "md:big")
        self.assertEqual(self.connect().call("SET", "k", 2), "OK")
        self.assertEqual(len(client.read_raw()), (24 << 20) + 13)
        depth = 200_000
        self.fake.answers["MD:DEEP"] = b"*1\r\n" * depth + b":1\r\n"
        client.send("GET", "md:deep")
        received = b""
        while len(received) < 4 * depth + 4:
            received += client.socket.recv(1 << 20)
        self.assertEqual(received, self.fake.answers["MD:DEEP"])
        self.assertEqual(client.call("GET", "md:plain"), b"plain")

    def test_resp3_attributes_pass_and_pushes_are_no_answers(self):
        self.fake.answers["MD:PUSH"] = b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n$5\r\nreply\r\n"
        self.fake.answers["MD:ATTR"] = b"|1\r\n+ttl\r\n:3\r\n$4\r\nwith\r\n"
        client = self.connect(3)
        self.assertEqual(client.call("GET", "md:push"), b"reply")
        self.assertEqual(client.call_raw("GET", "md:attr"), self.fake.answers["MD:ATTR"])
        self.assertEqual(client.call("GET", "md:plain"), b"plain")


class LeftConnectionTest(FakeStackTest):
    """A connection of its own that a wait has had, and whether the next one gets it."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.fake.commands.clear)

    def new_connections(self, command, answer, request):
        self.fake.commands[command] = answer
        client = self.connect()
        first = client.call(*request)
        before = self.fake.connections
        self.assertEqual(client.call(*request), first)
        return self.fake.connections - before

    def test_nobody_gets_one_that_redis_closes_because_it_has_become_a_replica(self):
        forced = b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
        for request in (("BLPOP", "md:l", "0"), ("WAIT", "1", "20")):
            self.assertEqual(self.new_connections(request[0].encode(), forced, request), 1, request)
        self.assertEqual(self.new_connections(b"BLPOP", b"-UNBLOCKED the stream key no longer exists\r\n", ("BLPOP", "md:l", "0")), 0)
        self.assertEqual(self.new_connections(b"WAIT", b":0\r\n", ("WAIT", "1", "20")), 0)


class BusyWatcherTest(FakeStackTest):
    def test_a_bus_that_could_not_watch_for_a_moment_is_asked_again(self):
        asked, reads, busy = [], [], True

        def client(connection, words):
            asked.append(words[1])
            return b"-BUSY Redis is busy running a script.\r\n" if words[1] == b"TRACKING" and busy else b"+OK\r\n"

        def read(connection, words):
            reads.append(words)
            return b"*-1\r\n"

        self.addCleanup(self.fake.commands.clear)
        self.fake.commands.update({b"CLIENT": client, b"XREADGROUP": read, b"EXISTS": b":0\r\n"})
        reader = self.connect()
        self.addCleanup(reader.close)
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "md:s", ">")
        wait_for(lambda: asked.count(b"TRACKING") >= 2 and len(reads) > 50, "it is refused, and read every few milliseconds")
        busy = False
        tracking = asked.count(b"TRACKING")
        wait_for(lambda: asked.count(b"TRACKING") > tracking, "it is asked again")
        # When it watches, nobody reads before something has changed.
        def reads_in_a_while():
            before = len(reads)
            time.sleep(0.3)
            return len(reads) - before
        wait_for(lambda: reads_in_a_while() <= 1, "it is read no more")


class BrokenBackendTest(FakeStackTest):
    backend = {"reconnect_wait": "2s", "backoff_min": "1ms", "backoff_max": "20ms", "request_timeout": "300ms", "health_timeout": "1s",
               "health_interval": "50ms", "connect_timeout": "200ms"}

    def test_garbage_closes_the_connection_and_the_outcome_is_unknown(self):
        for garbage in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\0\r\n", b"$x\r\n", b"$-2\r\nx\r\n", b"*-7\r\n", b":\r\n", b":1x\r\n", b"$3\r\nabcde",
                        b"#x\r\n",
                        b"$99999999999999999999\r\n", b"*99999999999999999999\r\n", b"*9223372036854775807\r\n", b"*1\r\n?\r\n", b"\r\n", b"+OK\n+OK\rx",
                        b"%-1\r\n", b"=3\r\nabcd\r\n", b"_x\r\n", bytes(range(128, 256)) + b"\r\n", b"$" + b"1" * 100 + b"\r\n", b"+" + b"x" * (2 << 20)):
            self.fake.answers["MD:BAD"] = garbage
            with self.subTest(repr(garbage[:40])), self.counted("dualbus_backend_unexpected_replies_total", bus=MARKETDATA) as unexpected:
                self.assertEqual(self.get("md:bad"), "BUSLOST bus 'marketdata': connection lost after the command was sent, outcome unknown")
                self.assertEqual(unexpected.value, 1)
                self.check_recovers()
        self.daemon.wait_for_log("answered something that is not RESP")
        self.assertEqual(self.fake.requests.count("MD:BAD"), 21, "a request was sent again")

    def test_a_reply_that_nobody_asked_for_is_given_to_nobody(self):
        self.fake.answers["MD:TWICE"] = b"$5\r\nfirst\r\n$6\r\nsecond\r\n"
        for _ in range(20):
            client, other = self.connect(), self.connect()
            with self.counted("dualbus_backend_connections_lost_total", bus=MARKETDATA) as lost:
                self.assertIn(self.get("md:twice", client), (b"first", "BUSLOST bus 'marketdata': connection lost after the command was sent, outcome unknown"))
                wait_for(lambda lost=lost: lost.value == 1, "the connection is dropped")
            self.assertEqual(self.get("md:plain", other), b"plain")
            self.assertEqual(self.get("md:plain", client), b"plain")
        self.daemon.wait_for_log("answered a request that was never sent")

    def test_an_unasked_reply_on_a_quiet_connection_closes_it(self):
        self.get("md:plain")
        with self.counted("dualbus_backend_connections_lost_total", bus=MARKETDATA) as lost:
            for connection in list(self.fake.sockets):
                with contextlib.suppress(OSError):
                    connection.sendall(b"$6\r\nsurplus\r\n")
            wait_for(lambda: lost.value >= 1, "the connection is dropped")
        self.assertEqual(self.get("md:plain"), b"plain")

    def test_half_a_reply_and_a_close(self):
        for half in (b"", b"$", b"$5", b"$5\r", b"$5\r\n", b"$5\r\nhal", b"$5\r\nhalf!", b"$5\r\nhalf!\r",
                     b"*2\r\n$1\r\na\r\n", b"+O", b"%1\r\n", b"*3\r\n*1\r\n"):
            def send_half(connection, half=half):
                connection.sendall(half)
                connection.shutdown(socket.SHUT_RDWR)
                return CLOSE

            self.fake.answers["MD:HALF"] = send_half
            clients = [self.connect() for _ in range(3)]
            with self.subTest(half):
                for client in clients:
                    client.send("GET", "md:half")
                for client in clients:
                    self.assertRegex(str(client.read()), "^BUSLOST bus 'marketdata': connection lost")
                self.check_recovers()

    def test_a_request_that_is_never_answered_times_out_and_then_the_silence_ends_the_connection(self):
        ended = threading.Event()
        self.addCleanup(ended.set)
        self.fake.answers["MD:NEVER"] = lambda _: CLOSE if ended.wait(60) else CLOSE  # nor what comes behind it
        client = self.connect()
        with self.counted("dualbus_request_timeouts_total", bus=MARKETDATA) as timeouts:
            self.assertEqual(self.get("md:never", client), "BUSTIMEOUT bus 'marketdata': no answer within 300 ms after the command was sent, outcome unknown")
            self.assertEqual(timeouts.value, 1)
        # Any answer of this server now belongs to the first request; nobody may get it.
        reply = self.get("md:plain", client)
        self.assertRegex(str(reply), "^BUS(TIMEOUT|LOST) ")
        self.daemon.wait_for_log("has been silent for 1000 ms")
        self.check_recovers()

    def test_announced_sizes_buy_no_memory(self):
        before = self.daemon.resident_bytes()
        for announcement in (b"$1000000000000\r\n", b"*1000000000000\r\n", b"%500000000000\r\n", b"*1000000\r\n" * 100):
            self.fake.answers["MD:HUGE"] = announcement
            self.assertRegex(self.get("md:huge"), "^BUS(TIMEOUT|LOST) ")
            wait_for(lambda: str(self.get("md:plain")).lower() in ("plain", "b'plain'"), "the bus works again")
        self.assertLess(self.daemon.resident_bytes() - before, (100 if sanitized() else 20) << 20)

    def test_handshakes_that_fail_are_tried_again_patiently_and_said_once(self):
        def hang_up(_):
            return CLOSE

        for greeting, words in ((b"-ERR unknown command 'HELLO'\r\n", "refused the handshake: ERR unknown command 'HELLO'"),
                                (b"-NOAUTH Authentication required.\r\n", "refused the handshake: NOAUTH"), (b"not RESP\r\n", "not RESP"),
                                (hang_up, "connection closed by Redis"), (b"", "did not answer the connection in time"),
                                (HELLO + b"+surplus\r\n", "sent more than was asked for")):
            with self.subTest(words):
                self.fake.greeting = greeting
                lines = self.daemon.full_log().count(words)
                with self.counted("dualbus_backend_connect_failures_total", bus=MARKETDATA) as failures:
                    for connection in list(self.fake.sockets):
                        with contextlib.suppress(OSError):
                            connection.shutdown(socket.SHUT_RDWR)
                    wait_for(lambda failures=failures: failures.value >= 4, "some attempts")
                self.assertEqual(self.connect().call("SET", "k", 1), "OK")
                self.assertEqual(self.daemon.fetch("/readyz?all")[0], 503)
                # Other tests may have said the same a moment ago, so that the limit of the log holds it back.
                self.assertIn(words, self.daemon.full_log())
                self.assertLessEqual(self.daemon.log().count(words) - lines, 2 * self.stack.config["workers"] + 2)
                self.fake.greeting = HELLO
                self.check_recovers()
                wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready again")

    def test_a_peer_that_accepts_and_closes_is_not_dialled_in_a_tight_loop(self):
        self.fake.greeting = lambda _: CLOSE
        for connection in list(self.fake.sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        before, cpu = self.fake.connections, self.daemon.cpu_seconds()
        other = self.connect()
        for number in range(2000):
            self.assertEqual(other.call("SET", "k", number), "OK")
        self.fake.greeting = HELLO
        # At least backoff_max/2 (10 ms) between attempts of each connection, the poller's included.
        self.assertLess(self.fake.connections - before, 2000)
        self.assertLess(self.daemon.cpu_seconds() - cpu, 10)
        self.check_recovers()

    def test_nothing_of_the_fake_stays_in_the_log_in_raw_form(self):
        self.fake.greeting = b"-ERR \x1b[31mred\x1b[0m \x07\r\n"
        for connection in list(self.fake.sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.daemon.wait_for_log("31mred")
        self.assertEqual(re.findall("[\x00-\x08\x0e-\x1f]", self.daemon.full_log()), [], "control characters in the log")

    def test_the_other_bus_is_never_disturbed(self):
        self.assertEqual(self.daemon.metrics().value("dualbus_backend_connections_lost_total", bus=ENGINE_LOGIC), 0)


if __name__ == "__main__":
    unittest.main()
