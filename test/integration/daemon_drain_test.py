#!/usr/bin/python3
"""A daemon is taken out of service with SIGUSR1.

A3: a daemon that drains answers /readyz with 503, and serves old and new clients until limits.drain_delay is over.
"""
import signal
import time
import unittest

from support.harness import MARKETDATA, Stack, merge, wait_for

ALL, ONE = "/readyz?all", f"/readyz?bus={MARKETDATA}"


class DrainTest(unittest.TestCase):
    def start(self, delay):
        stack = Stack({"limits": {"drain_delay": delay}})
        self.addCleanup(stack.end)
        return stack, stack.daemon

    def test_A3_clients_are_served_and_accepted_until_the_delay_is_over(self):
        stack, daemon = self.start("3s")
        old = daemon.connect()
        self.addCleanup(old.close)
        self.assertEqual(old.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), "OK")
        self.assertEqual(daemon.metrics().matching("dualbus_draining"), [({}, 0)])
        daemon.signal(signal.SIGUSR1)
        wait_for(lambda: daemon.fetch("/readyz")[0] == 503, "it drains")
        started = time.monotonic()
        for page in ("/readyz", ALL, ONE):
            status, text = daemon.fetch(page)
            self.assertEqual((status, text.split(":")[0]), (503, "draining"))
        self.assertEqual(daemon.metrics().matching("dualbus_draining"), [({}, 1)])
        self.assertEqual(daemon.fetch("/healthz")[0], 200)
        old.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        with daemon.connect() as new:
            self.assertIsInstance(new.call("XADD", "s", "*", "message_type", "order_request"), bytes)
        self.assertEqual(len(old.read()), 1)
        daemon.signal(signal.SIGUSR1)  # which changes nothing
        served = 0
        try:
            while old.call("SET", "k", served) == "OK":
                served += 1
                time.sleep(0.01)
        except OSError:
            pass
        self.assertGreaterEqual(time.monotonic() - started, 2)
        self.assertEqual(daemon.process.wait(30), 0)
        self.assertGreater(served, 0)
        self.assertEqual(daemon.log().count("draining: "), 1)
        self.assertLess(daemon.log().index("draining: "), daemon.log().index("stopping: no new clients"))
        with stack.engine_logic.client() as server:
            self.assertIn(int(server.get("k")), (served - 1, served))

    def test_sigterm_ends_the_waiting(self):
        _, daemon = self.start("1h")
        daemon.signal(signal.SIGUSR1)
        wait_for(lambda: daemon.fetch("/readyz")[0] == 503, "it drains")
        self.assertEqual(daemon.terminate(), 0)

    def test_the_delay_of_the_last_reload_counts(self):
        stack, daemon = self.start("1h")
        daemon.reload(merge(stack.config, {"limits": {"drain_delay": "0"}}))
        daemon.signal(signal.SIGUSR1)
        self.assertEqual(daemon.process.wait(30), 0)


if __name__ == "__main__":
    unittest.main()
