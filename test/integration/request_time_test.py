"""No request takes much longer than backend.request_timeout, whatever it consists of, while a bus is silent. The time of one
plain request, with whatever the machine does besides, is measured beside the others."""
import selectors
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, sanitized, wait_for
from odd_replies_test import LEFT_OUT, chosen_lines
from support.resp import Connection, ReplyError, encode
from support.stream_load import entries, xadd

TIMEOUT = 0.6
# Ten percent, and one look at the clock of the daemon more than the plain request had.
MARGIN = 0.1 * TIMEOUT + 0.2
PLAIN = ("GET", "md:k")


class RequestTimeTest(StackTest):
    # Requests of several buses come to the silent one early and late.
    config = {"workers": 1, "flush": "allowed", "backend": {"request_timeout": "600ms", "health_timeout": "10m", "dedicated_connections": 1000}}

    def setUp(self):
        super().setUp()
        client = self.connect()
        for key in ("s", "md:s", "k1", "k2", "k3", "k4"):
            self.assertEqual(client.call("XGROUP", "CREATE", key, "g", "0", "MKSTREAM"), "OK")
        self.assertEqual(client.pipeline([("SET", key, 1) for key in ("a", "b", "md:a", "md:b", "k")]), ["OK"] * 5)

    def stop(self, bus):
        server = self.stack.buses[bus]
        server.pause()

        def proceed():
            server.proceed()
            wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready again")

        self.addCleanup(proceed)

    def times(self, requests):
        """Sends all at the same time, each on a connection of its own. The seconds until each was answered, by request."""
        connections = {request: Connection(self.daemon.address, timeout=60) for request in requests}
        try:
            with selectors.DefaultSelector() as selector:
                sent = {}
                for request, connection in connections.items():
                    selector.register(connection.socket, selectors.EVENT_READ, request)
                    sent[request] = time.monotonic()
                    connection.socket.sendall(encode(*request))
                took = {}
                deadline = time.monotonic() + 30
                while len(took) < len(requests) and time.monotonic() < deadline:
                    for key, _ in selector.select(1):
                        took[key.data] = time.monotonic() - sent[key.data]
                        selector.unregister(key.fileobj)
                return took, [request for request in requests if request not in took]
        finally:
            for connection in connections.values():
                connection.close()

    def check(self, lines, batch=300):
        late = {}
        for start in range(0, len(lines), batch):
            requests = list(dict.fromkeys([PLAIN, *lines[start:start + batch]]))
            took, unanswered = self.times(requests)
            self.assertEqual(unanswered, [])
            late.update((request, seconds) for request, seconds in took.items() if seconds > max(TIMEOUT, took[PLAIN]) + MARGIN)
        self.assertEqual(late, {})

    def test_every_command_is_answered_in_time_while_a_bus_is_silent(self):
        # Commands that wait by contract are left out by name.
        everything = [line for line in chosen_lines() if line[0].decode().upper() not in LEFT_OUT]
        self.assertGreater(len(everything), 1500)
        self.stop(MARKETDATA)
        self.check([tuple(line) for line in everything[::10 if sanitized() else 1]])

    def test_so_is_what_takes_several_rounds_while_the_anchor_is_silent(self):
        self.stop(ENGINE_LOGIC)
        self.check([tuple(line.split()) for line in (
            "XGROUP CREATE n g $ MKSTREAM", "XGROUP DESTROY s g", "DEL s", "XREADGROUP GROUP new c STREAMS md:s >", "XREADGROUP GROUP new c STREAMS s >",
            "XREADGROUP GROUP g c COUNT 5 STREAMS s 0", "XAUTOCLAIM s g c 0 0", "XADD s NOMKSTREAM * message_type market_data a 1", "RENAME s t",
            "COPY s t", "SCRIPT KILL", "FUNCTION KILL", "KEYS *", "RANDOMKEY", "FLUSHALL", "MSET md:a 1 b 2", "INFO", "XREAD STREAMS s $")])

    def test_a_sweep_with_a_silent_bus_ends_in_time_and_brings_what_the_other_bus_delivered(self):
        client = self.connect()
        added = {(key.encode(), client.call(*xadd(key, "order_request", "n"))) for key in ("k1", "k2", "k3", "k4")}
        self.stop(MARKETDATA)
        reader = self.connect()
        start = time.monotonic()
        plain = self.connect()
        plain.send(*PLAIN)
        reader.send("XREADGROUP", "GROUP", "g", "c", "COUNT", 10, "BLOCK", 50, "STREAMS", "k1", "k2", "k3", "k4", *">>>>")
        plain.read()
        limit = max(TIMEOUT, time.monotonic() - start) + MARGIN
        reply = reader.read()
        self.assertLess(time.monotonic() - start, limit)
        pending = {key for key in ("k1", "k2", "k3", "k4") if self.client(self.stack.engine_logic).xpending(key, "g")["pending"] == 1}
        # All that was delivered to the consumer stands in the reply; the next read brings the rest.
        got = {(key, number) for key, found in reply for number, _ in found} if isinstance(reply, list) else set()
        self.assertEqual({key for key, _ in got}, set(map(str.encode, pending)))
        self.assertLessEqual(got, added)
        while got != added:
            reply = reader.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 10, "BLOCK", 1000, "STREAMS", "k1", "k2", "k3", "k4", *">>>>")
            if isinstance(reply, ReplyError):  # the silent bus is asked until it has owed an answer for a second
                self.assertRegex(reply, "^BUSTIMEOUT ")
                continue
            more = {(key, number) for key, found in reply for number, _ in found}
            self.assertTrue(more and more.isdisjoint(got), (got, more))
            got |= more


if __name__ == "__main__":
    unittest.main()
