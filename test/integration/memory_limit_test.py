"""limits.memory: what happens, in which order, as all clients together hold more and more."""
import socket
import unittest

from support import resp
from support.harness import Daemon, Stack, StackTest, make_config, sanitized, wait_for
from support.resp import encode

MEGABYTE = 1 << 20
LIMIT = 64 * MEGABYTE
PATIENT = {"request_timeout": "1m", "health_timeout": "5m"}  # a Redis on a busy machine takes seconds for what is asked of it here
TIGHT, FULL = LIMIT * 3 // 4, LIMIT * 7 // 8
REFUSAL = "OOM command not allowed when used memory is near 'limits.memory' of dualbusd: it was not sent"


class MemoryTest(StackTest):
    """Clients on several workers, who hear of each other some ten milliseconds later."""

    config = {"limits": {"memory": "64mb"}, "workers": 3, "backend": PATIENT}

    def setUp(self):
        super().setUp()
        self.good = self.connect()
        self.good.call("SET", "big", b"x" * MEGABYTE)

    def deaf(self, megabytes=0):
        """A client that reads nothing by itself, and how many megabytes it asks for at once."""
        client = resp.Connection(self.daemon.address)
        self.addCleanup(client.close)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # the daemon's own may still take 4 MB
        client.send_raw(encode("PING"))
        self.assertEqual(client.read(), "PONG")
        client.send_raw(encode("GET", "big") * megabytes)
        return client

    def used(self):
        return self.daemon.metrics().value("dualbus_memory_bytes")

    def fill(self, bytes_used, at_once):
        """Deaf clients hold so much, and a little more, which sockets may take from them later."""
        clients = []
        while self.used() < bytes_used + 2 * MEGABYTE:
            before = self.used()
            clients.append(self.deaf(at_once))
            wait_for(lambda before=before: self.used() > before, "its replies are held")
            self.settle()
        return clients

    def settle(self):
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight") == 0, "all replies are there")

    def cut_off(self):
        return self.counted("dualbus_clients_closed_total", reason="memory")

    def test_the_limit_holds_whatever_many_clients_do_not_read(self):
        before = self.daemon.resident_bytes()
        with self.cut_off() as cut:
            clients = [self.deaf(30) for _ in range(8)]
            wait_for(lambda: cut.value >= 2, "some are cut off")
            self.assertEqual(self.good.call("ECHO", "x"), b"x")
            self.assertEqual(self.good.call("SET", "small", 1), "OK")
            self.settle()
            wait_for(lambda: self.used() < LIMIT, "the limit holds")
        self.daemon.wait_for_log("all clients together have more than limits.memory, 67108864; closing")
        if not sanitized():
            # 240 MB were asked for.
            self.assertLess(self.daemon.resident_bytes() - before, 2 * LIMIT)
        for client in clients:
            client.close()
        wait_for(lambda: self.used() < 8 * MEGABYTE, "memory is given back")
        self.assertEqual(self.good.call("GET", "big"), b"x" * MEGABYTE)

    def test_no_evict_spares_a_client(self):
        with self.cut_off() as cut:
            spared = self.deaf()
            self.assertEqual(spared.call("CLIENT", "NO-EVICT", "ON"), "OK")
            self.assertRegex(spared.call("CLIENT", "LIST", "ID", spared.call("CLIENT", "ID")).decode(), " flags=e ")
            spared.send_raw(encode("GET", "big") * 40)
            self.settle()
            wait_for(lambda: self.used() > 20 * MEGABYTE, "much is held")
            other = self.deaf(36)
            wait_for(lambda: cut.value == 1, "one is cut off")
        self.assertLess(len(other.read_rest()), 36 * MEGABYTE)
        for _ in range(40):
            self.assertEqual(len(spared.read()), MEGABYTE)

    def test_half_sent_requests_and_transactions_count(self):
        with self.cut_off() as cut:
            clients = [self.deaf() for _ in range(3)]
            for client in clients:
                client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (60 * MEGABYTE) + b"x" * (12 * MEGABYTE))
            wait_for(lambda: self.used() > 36 * MEGABYTE, "they are held")
            last = self.deaf()
            last.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (60 * MEGABYTE))
            try:
                last.send_raw(b"x" * (59 * MEGABYTE))
            except OSError:
                pass  # cut off in the middle
            wait_for(lambda: cut.value >= 1, "one is cut off")
            self.assertEqual(self.good.call("PING"), "PONG")

    def test_the_metrics_show_the_limit(self):
        self.assertEqual(self.daemon.metrics().value("dualbus_memory_limit_bytes"), LIMIT)


class OneWorkerMemoryTest(MemoryTest):
    """Among its own clients a worker knows at once what is held."""

    config = {"limits": {"memory": "64mb"}, "backend": PATIENT}

    def test_the_largest_client_goes_and_the_others_keep_what_they_are_owed(self):
        with self.cut_off() as cut:
            others = [self.deaf(9), self.deaf(10)]
            largest = self.deaf(36)
            self.settle()
            wait_for(lambda: self.used() > 40 * MEGABYTE, "much is held")
            self.assertEqual(cut.value, 0)
            last = self.deaf(28)
            wait_for(lambda: cut.value == 1, "one is cut off")
            self.settle()
            self.assertEqual(cut.value, 1)
        self.assertLess(len(largest.read_rest()), 36 * MEGABYTE)
        for client, megabytes in ((others[0], 9), (others[1], 10), (last, 28)):
            for _ in range(megabytes):
                self.assertEqual(len(client.read()), MEGABYTE)

    def test_a_client_that_owes_much_reading_is_read_again_when_it_has_done_so(self):
        with self.cut_off() as cut:
            clients = self.fill(TIGHT, 9)
            clients[0].send_raw(encode("SET", "k", "set"))
            self.assertEqual(self.good.call("SET", "other", 1), "OK")
            self.assertIsNone(self.good.call("GET", "k"))
            for _ in range(9):
                self.assertEqual(len(clients[0].read()), MEGABYTE)
            self.assertEqual(clients[0].read(), "OK")
            self.assertEqual(self.good.call("GET", "k"), b"set")
            self.assertEqual(cut.value, 0)

    def test_what_needs_memory_is_refused_before_anybody_is_cut_off(self):
        with self.cut_off() as cut, self.counted("dualbus_memory_refusals_total") as refused:
            clients = self.fill(FULL, 6)
            value = b"x" * 20_000
            self.assertEqual(self.good.call("SET", "large", value), REFUSAL)
            self.assertEqual(self.good.call("SET", "small", 1), "OK")
            self.assertEqual(self.good.call("MULTI"), "OK")
            self.assertEqual(self.good.call("SET", "small", 2), REFUSAL)
            self.assertRegex(self.good.call("EXEC"), "^EXECABORT ")
            self.assertEqual(refused.value, 2)
            self.assertEqual(cut.value, 0)
            for client in clients:
                client.close()
            wait_for(lambda: self.used() < TIGHT, "memory is given back")
            self.assertEqual(self.good.call("SET", "large", value), "OK")
        self.assertEqual(self.good.call("MGET", "small", "large"), [b"1", value])


    def test_a_large_reply_counts_for_its_client_while_it_comes(self):
        self.client(self.stack.engine_logic).set("huge", b"x" * 60 * MEGABYTE)
        with self.cut_off() as cut:
            other = self.deaf(18)
            wait_for(lambda: self.used() > 12 * MEGABYTE, "it holds much, whatever its sockets take")
            self.settle()
            asking = self.deaf()
            asking.send_raw(encode("GET", "huge"))
            self.assertEqual(asking.read_rest(), b"")
            self.settle()
            self.assertEqual(cut.value, 1)
        for _ in range(18):
            self.assertEqual(len(other.read()), MEGABYTE)
        wait_for(lambda: self.used() < 8 * MEGABYTE, "memory is given back")

    def test_names_subscriptions_and_reads_that_wait_count(self):
        large = "n" * 4 * MEGABYTE
        before = self.used()
        named, subscriber, reader = (self.connect() for _ in range(3))
        self.assertEqual(named.call("CLIENT", "SETNAME", large), "OK")
        self.assertEqual(subscriber.call("SUBSCRIBE", large)[0], b"subscribe")
        reader.send("XREAD", "BLOCK", 0, "STREAMS", large, "$")
        wait_for(lambda: b"blocked_clients:1" in self.good.call("INFO", "clients"), "it waits")
        self.settle()
        wait_for(lambda: self.used() > before + 3 * len(large), "all of it counts")
        for client in (named, subscriber):
            client.close()
        wait_for(lambda: self.used() < before + 3 * len(large), "that counts no more")
        reader.close()
        wait_for(lambda: self.used() < before + MEGABYTE, "and counts no more")


@unittest.skipIf(sanitized(), "a sanitizer needs all the address space")
class AddressSpaceTest(unittest.TestCase):
    def start(self, megabytes, **config):
        """A daemon that may not have more memory, before the two buses of a stack."""
        stack = Stack()
        self.addCleanup(stack.end)

        class LimitedDaemon(Daemon):
            def launch(self, command, **options):
                super().launch(["prlimit", f"--as={megabytes * MEGABYTE}", *command], **options)

        endpoints = {name: bus.endpoint for name, bus in stack.buses.items()}
        daemon = LimitedDaemon(stack.directory, make_config(endpoints, config), name="limited")
        self.addCleanup(daemon.kill)
        daemon.start()
        return daemon

    def test_unread_replies_do_not_end_a_daemon_that_may_not_have_more_memory(self):
        daemon = self.start(512, backend=PATIENT)  # the Redis has 720 MB to send
        with daemon.connect() as good:
            good.call("SET", "big", b"x" * 4 * MEGABYTE)
            clients = [resp.Connection(daemon.address) for _ in range(6)]
            for client in clients:
                self.addCleanup(client.close)
                client.send_raw(encode("GET", "big") * 30)  # 120 MB each: below client_output_buffer
            wait_for(lambda: daemon.metrics().value("dualbus_clients_closed_total", reason="memory") >= 2, "some are cut off")
            self.assertEqual(good.call("SET", "k", 1), "OK")
        self.assertTrue(daemon.running(), daemon.log())
        self.assertEqual(daemon.terminate(), 0)

    def outgrow(self, requests):
        """Each list of requests is sent by a client of its own, and has a larger last reply than the one before. From some of them on
        there is no memory for that: then this client is closed, and nobody else."""
        # Room for one copy of what the buses send, not for two. Each thread of the daemon reserves some 74 MB of it.
        # A connection that had no room for a reply is made anew; that takes as long as the machine does.
        daemon = self.start(575, workers=1, limits={"memory": "10gb"}, backend={**PATIENT, "reconnect_wait": "1m"})
        value = b"x" * 4 * MEGABYTE
        with daemon.connect() as good:
            for key in ("md:big", "big"):
                self.assertEqual(good.call("SET", key, value), "OK")
            for kind, field in (("market_data", b"m"), ("order_request", b"o")):
                for _ in range(8):
                    self.assertIsInstance(good.call("XADD", "s", "*", "message_type", kind, field, value), bytes)
            answered = 0
            for lines in requests:
                with daemon.connect() as client:
                    client.send_raw(b"".join(encode(*line) for line in lines))
                    try:
                        reply = [client.read() for _ in lines][-1]
                    except ConnectionError:
                        continue
                    finally:
                        self.assertEqual(good.call("GET", "big"), value)
                answered += isinstance(reply, list)
            self.assertGreater(answered, 0)
            self.assertLess(answered, len(requests), "nothing was too large")
            self.assertEqual(good.call("SET", "k", 1), "OK")
        self.assertTrue(daemon.running(), daemon.log())
        self.assertEqual(daemon.terminate(), 0)

    def test_what_cannot_be_merged_for_lack_of_memory_ends_its_client_only(self):
        self.outgrow([[("MGET", *["md:big", "big"] * count)] for count in (2, *range(10, 26))])

    def test_so_does_a_transaction_whose_reply_is_too_large(self):
        self.outgrow([[("MULTI",), *[("GET", "big")] * count, ("EXEC",)] for count in (2, 8, 16, 24, 32, 40, 48, 56)])


if __name__ == "__main__":
    unittest.main()
