"""The fate of clients that wait when their daemon is told to leave."""
import itertools
import random
import signal
import threading
import time
import unittest

from support import resp
from support.harness import Daemon, Stack, make_config, wait_for
from support.servers import daemon_program
from support.stream_load import Consumer, Producer, await_delivery, delivered_once, entries, run_for, started, stop_all, xadd

READ = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")


class LeavingTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.end)
        self.daemon, self.bus = self.stack.daemon, self.stack.engine_logic
        self.client = self.connect(self.daemon)
        self.client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        self.client.send(*READ)
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "the client waits")

    def connect(self, server):
        connection = resp.Connection(server.address)
        self.addCleanup(connection.close)
        return connection

    def wake_and_hold(self, *requests):
        """Changes the stream so that the daemon reads it again, and holds that read back; returns when it is on its way."""
        writer = self.connect(self.bus)
        before = self.held_back()
        # In one write: Redis executes all of it before the daemon's read.
        writer.send_raw(b"".join(resp.encode(*request) for request in (*requests, ("CLIENT", "PAUSE", 600000, "WRITE"))))
        for _ in range(len(requests) + 1):
            self.assertNotIsInstance(writer.read(), resp.ReplyError)
        wait_for(lambda: self.held_back() == before + 1, "the read is held back")
        return writer

    def held_back(self):
        with self.bus.client() as client:
            return client.info("clients")["blocked_clients"]

    def leave(self):
        """Tells the daemon to leave; returns when it accepts nobody any more."""
        self.daemon.signal(signal.SIGTERM)

        def closed():
            try:
                resp.Connection(self.daemon.address).close()
            except OSError:
                return True
            return False

        wait_for(closed, "the daemon does not listen any more")

    def test_a_read_that_is_on_its_way_is_still_answered(self):
        writer = self.wake_and_hold(xadd("s", "order_request", "n"))
        self.leave()
        timer = threading.Timer(0.2, lambda: writer.call("CLIENT", "UNPAUSE"))
        timer.start()
        self.addCleanup(timer.join)
        self.assertEqual([name for _, name in entries(self.client.read())], [b"n"])
        self.assertRaises(ConnectionError, self.client.read)

    def test_one_that_finds_nothing_does_not_hold_the_daemon_up(self):
        writer = self.wake_and_hold(xadd("s", "order_request", "n"), ("XTRIM", "s", "MAXLEN", 0))
        self.leave()
        writer.call("CLIENT", "UNPAUSE")
        start = time.monotonic()
        self.assertRaises(ConnectionError, self.client.read)
        wait_for(lambda: not self.daemon.running(), "the daemon has left")
        self.assertLess(time.monotonic() - start, 5)

    def test_what_was_sent_before_a_read_that_waits_is_answered_first(self):
        with self.connect(self.daemon) as other:
            other.call("XGROUP", "CREATE", "md:s", "g", "0", "MKSTREAM")
            writer = self.connect(self.bus)
            writer.call("CLIENT", "PAUSE", 600000, "WRITE")
            other.send_raw(resp.encode(*xadd("s2", "order_request", "n")) +
                           resp.encode("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "md:s", ">"))
            wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 2, "it waits")
            self.leave()
            timer = threading.Timer(0.2, lambda: writer.call("CLIENT", "UNPAUSE"))
            timer.start()
            self.addCleanup(timer.join)
            self.assertIsInstance(other.read(), bytes)
            self.assertRaises(ConnectionError, other.read)

    def test_who_only_waits_is_closed_at_once(self):
        self.leave()
        self.assertRaises(ConnectionError, self.client.read)

    def test_who_is_told_again_and_again_leaves_as_if_told_once(self):
        deadline = time.monotonic() + 30
        for told in itertools.cycle((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
            if not self.daemon.running():
                break
            self.assertLess(time.monotonic(), deadline)
            self.daemon.signal(told)
        self.assertEqual(self.daemon.process.returncode, 0)


class LeavingUnderLoadTest(unittest.TestCase):
    STREAMS, GROUPS = [f"s{n}" for n in range(4)], [f"g{n}" for n in range(3)]

    def test_an_orderly_stop_loses_neither_an_answer_nor_a_delivery(self):
        stack = Stack()
        self.addCleanup(stack.end)
        daemon = stack.daemon
        with daemon.connect() as client:
            for stream, group in itertools.product(self.STREAMS, self.GROUPS):
                self.assertEqual(client.call("XGROUP", "CREATE", stream, group, "0", "MKSTREAM"), "OK")
        consumers = {(stream, group): started(self, Consumer(daemon.address, stream, group, "c", reconnect=True))
                     for stream, group in itertools.product(self.STREAMS, self.GROUPS)}
        producers = {stream: started(self, Producer(daemon.address, stream, stream, ("market_data", "order_request"), depth=5,
                                                    pause=0.002, reconnect=True)) for stream in self.STREAMS}
        for _ in range(20):
            run_for(random.uniform(0.05, 0.3), *producers.values(), *consumers.values())
            self.assertEqual(daemon.terminate(), 0)
            daemon.start()
        stop_all(producers.values())
        for (stream, group), consumer in consumers.items():
            # A message without an answer was not stored: the daemon answers all that it has sent.
            published = set(producers[stream].acknowledged)
            await_delivery([consumer], published, f"{stream} {group}")
            delivered_once(self, [consumer], published, f"{stream} {group}")
        stop_all(consumers.values())


class BeginningTest(unittest.TestCase):
    def test_a_reload_that_is_asked_for_before_the_daemon_listens_comes_then(self):
        stack = Stack()
        self.addCleanup(stack.end)
        daemon = Daemon(stack.directory, make_config({name: bus.endpoint for name, bus in stack.buses.items()}), name="beginning")
        self.addCleanup(daemon.kill)
        daemon.launch([daemon_program(), "--config", daemon.config_path], env=daemon.env)
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log("configuration reloaded")
        self.assertEqual(daemon.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
