"""Reads that have a bus watch their stream, on the connection that they share with entries: how much they cost, and what a bus
that does not let them, or a lost connection, changes about it."""
import re
import unittest

from support import resp
from support.harness import MARKETDATA, StackTest, wait_for
from support.stream_load import Stopwatch, entries, xadd

# A reader that is not told of an entry would look for itself after a second.
SOON = 0.7


class ArmedReadsTest(StackTest):
    config = {"workers": 1, "absorb_ttl": "1m", "backend": {"backoff_min": "10ms", "backoff_max": "50ms", "reconnect_wait": "5s"}}

    def setUp(self):
        super().setUp()
        self.bus = self.stack.marketdata
        self.bare = self.connect(to=self.bus)
        self.writer, self.reader = self.connect(), self.connect()
        self.assertEqual(self.writer.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), "OK")

    def calls(self, command):
        with self.bus.client() as client:
            return client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)

    def wait(self):
        self.reader.send("XREADGROUP", "GROUP", "g", "c", "COUNT", 10, "BLOCK", 30_000, "STREAMS", "s", ">")
        wait_for(lambda: b"blocked_clients:1" in self.connect().call("INFO", "clients"), "the reader waits")

    def brought(self):
        return [name for _, name in entries(self.reader.read())]

    def deliver(self, name, connection):
        """To a reader that waits, at once."""
        self.wait()
        watch = Stopwatch(self.daemon, self.bus)
        self.assertNotIsInstance(connection.call(*xadd("s", "market_data", name)), resp.ReplyError)
        self.assertEqual(self.brought(), [name])
        self.assertLess(watch.elapsed(), SOON)

    def deliver_several(self, kind):
        for number in range(10):
            self.deliver(f"{kind} {number}".encode(), (self.writer, self.bare)[number % 2])

    def connections(self, condition):
        """CLIENT IDs at the bus, of the daemon's connections."""
        lines = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in self.bare.call("CLIENT", "LIST").decode().splitlines()]
        return [line["id"] for line in lines if condition(line)]

    def test_a_bus_that_does_not_let_reads_arm_is_watched_by_the_watcher(self):
        for refused in ("-client|caching", "-exists"):
            self.assertEqual(self.bare.call("ACL", "SETUSER", "default", refused), "OK")
            try:
                before = self.calls("xreadgroup")
                self.deliver_several(refused)
                self.assertLess(self.calls("xreadgroup") - before, 10 * 20, "somebody asks in a loop")
                self.daemon.wait_for_log(f"bus '{MARKETDATA}' does not let reads watch their streams [(]NOPERM ")
            finally:
                self.assertEqual(self.bare.call("ACL", "SETUSER", "default", "+@all"), "OK")
            self.deliver_several("again")

    def test_another_connection_of_the_reads_arms_anew(self):
        self.deliver_several("before")
        for _ in range(5):
            self.wait()
            ids = self.connections(lambda line: "t" in line["flags"] and line["redir"] not in ("-1", "0"))
            self.assertEqual(len(ids), 1, "the connection that arms")
            self.assertEqual(self.bare.call("CLIENT", "KILL", "ID", ids[0]), 1)
            watch = Stopwatch(self.daemon, self.bus)
            self.assertIsInstance(self.bare.call(*xadd("s", "market_data", b"x")), bytes)
            self.assertEqual(self.brought(), [b"x"])
            self.assertLess(watch.elapsed(), SOON)
            wait_for(lambda: self.connections(lambda line: "t" in line["flags"] and line["redir"] not in ("-1", "0")), "it arms again")
        self.deliver_several("after")

    def test_another_watcher_hears_what_reads_arm(self):
        self.deliver_several("before")
        for _ in range(5):
            self.wait()
            ids = self.connections(lambda line: "t" in line["flags"] and line["redir"] in ("-1", "0"))
            self.assertEqual(len(ids), 1, "the watcher")
            self.assertEqual(self.bare.call("CLIENT", "KILL", "ID", ids[0]), 1)
            watch = Stopwatch(self.daemon, self.bus)
            self.assertIsInstance(self.bare.call(*xadd("s", "market_data", b"x")), bytes)
            self.assertEqual(self.brought(), [b"x"])
            self.assertLess(watch.elapsed(), SOON)
        self.deliver_several("after")

    def test_readers_of_both_protocols_get_every_entry(self):
        others = [self.connect(protocol=3), self.connect(protocol=2), self.connect(protocol=3)]
        for number, other in enumerate(others):
            self.assertEqual(self.writer.call("XGROUP", "CREATE", "s", f"g{number}", "$", "MKSTREAM"), "OK")
        for number in range(20):
            name = b"%d" % number
            for place, other in enumerate(others):
                other.send("XREADGROUP", "GROUP", f"g{place}", "c", "BLOCK", 30_000, "STREAMS", "s", ">")
            wait_for(lambda: b"blocked_clients:3" in self.connect().call("INFO", "clients"), "they wait")
            watch = Stopwatch(self.daemon, self.bus)
            writer = (self.writer, others[0], self.bare)[number % 3]
            if writer is others[0]:
                writer = self.connect(protocol=3)
            self.assertIsInstance(writer.call(*xadd("s", "market_data", name)), bytes)
            for other in others:
                self.assertEqual([each for _, each in entries(other.read())], [name])
            self.assertLess(watch.elapsed(), SOON)

    def test_entries_of_a_transaction_wake_as_others_do(self):
        for number in range(10):
            self.wait()
            watch = Stopwatch(self.daemon, self.bus)
            replies = self.writer.pipeline([("MULTI",), xadd("s", "market_data", b"a"), xadd("s", "market_data", b"b"), ("EXEC",)])
            self.assertEqual(len(replies[-1]), 2)
            got = self.brought()
            while len(got) < 2:
                got += [name for _, name in entries(self.reader.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 1000, "STREAMS", "s", ">"))]
            self.assertEqual(got, [b"a", b"b"])
            self.assertLess(watch.elapsed(), SOON)
            if number % 2:
                self.deliver(b"other", self.bare)


class OtherConnectionTest(StackTest):
    """A read that begins before the connection of the armings becomes another one."""

    config = {"workers": 1, "absorb": "off"}

    def test_it_is_not_taken_for_one_on_the_new_connection(self):
        bus, keys = self.stack.marketdata, [f"md:s{number}" for number in range(10)]
        bare, writer = self.connect(to=bus), self.connect(protocol=3)
        for key in (*keys, "md:other"):
            self.assertEqual(bare.call("XGROUP", "CREATE", key, "g", "$", "MKSTREAM"), "OK")
        self.assertIsNone(writer.call("GET", "md:x"))
        readers = [self.connect() for _ in (*keys, "md:other")]
        readers[-1] = self.connect(protocol=3)
        # The first reads are out while the daemon finds that nobody waits any more.
        self.assertEqual(bare.call("CLIENT", "PAUSE", 300, "ALL"), "OK")
        for reader, key in zip(readers[:-1], keys):
            reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 30_000, "STREAMS", key, ">")
        self.await_waiting(len(keys))
        readers[-1].send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 30_000, "STREAMS", "md:other", ">")
        self.await_waiting(len(keys) + 1)
        wait_for(lambda: re.search(rb" redir=[1-9]", bare.call("CLIENT", "LIST")), "reads arm")
        before = self.looks(bus)
        for key in keys:
            self.assertEqual(bare.call("EXPIRE", key, 1000), 1)
        wait_for(lambda: self.looks(bus) >= before + len(keys), "everybody has looked")
        watch = Stopwatch(self.daemon, bus)
        for reader, key in zip(readers[:-1], keys):
            self.assertIsInstance(writer.call(*xadd(key, "market_data", b"x")), bytes)
            self.assertEqual([name for _, name in entries(reader.read())], [b"x"])
        self.assertLess(watch.elapsed(), SOON)

    def await_waiting(self, count):
        wait_for(lambda: b"blocked_clients:%d\r\n" % count in self.connect().call("INFO", "clients"), "they wait")

    @staticmethod
    def looks(bus):
        with bus.client() as client:
            return client.info("commandstats").get("cmdstat_xreadgroup", {}).get("calls", 0)


class StrictTest(StackTest):
    config = {"workers": 1, "absorb": "strict", "absorb_ttl": "1m", "absorb_delay": "0", "backend": {"backoff_min": "10ms", "backoff_max": "50ms"}}

    def test_no_answer_is_built_on_a_connection_that_may_be_lost(self):
        bus = self.stack.marketdata
        bare, reader = self.connect(to=bus), self.connect()
        self.assertEqual(bare.call("XGROUP", "CREATE", "md:s", "g", "$", "MKSTREAM"), "OK")
        poll = ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "md:s", ">")
        absorbed = 0
        for number in range(10):
            with self.counted("dualbus_polls_absorbed_total", bus=MARKETDATA, reason="empty") as known:
                wait_for(lambda: reader.call(*poll) is None and known.value > 0, "a poll that needs no bus")  # pylint: disable=cell-var-from-loop
                absorbed += known.value
            lines = [line for line in bare.call("CLIENT", "LIST").decode().splitlines() if " redir=-1 " not in line and " redir=0 " not in line]
            for line in lines:
                bare.call("CLIENT", "KILL", "ID", line.split()[0].removeprefix("id="))
            self.assertIsInstance(bare.call(*xadd("md:s", "market_data", b"%d" % number)), bytes)
            self.assertEqual([name for _, name in entries(reader.call(*poll))], [b"%d" % number])
        self.assertGreaterEqual(absorbed, 10)


if __name__ == "__main__":
    unittest.main()
