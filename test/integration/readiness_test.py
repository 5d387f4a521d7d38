#!/usr/bin/python3
"""/readyz: which fault makes the daemon, or one bus, not ready.

A1: one bus that is away leaves the daemon ready. A2: a Redis that hangs is noticed within two seconds, also by a daemon that
nobody uses.
"""
import re
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, free_port, wait_for

ALL, ONE, OTHER = "/readyz?all", f"/readyz?bus={MARKETDATA}", f"/readyz?bus={ENGINE_LOGIC}"


class BusTest(StackTest):
    # Markers come too late to show anything: what is noticed here is noticed by INFO.
    config = {"backend": {"health_interval": "10m", "health_timeout": "20m", "backoff_min": "10ms", "backoff_max": "100ms"}}

    def setUp(self):
        super().setUp()
        wait_for(lambda: self.status(ALL) == 200, "ready")

    def status(self, page):
        return self.daemon.fetch(page)[0]

    def line(self):
        """The words of /readyz about marketdata."""
        return re.search(rf"^bus {MARKETDATA} \({self.stack.marketdata.endpoint}\): (.*)$", self.daemon.fetch("/readyz")[1], re.MULTILINE)[1]

    def state(self):
        return next(labels["state"] for labels, value in self.daemon.metrics().matching("dualbus_bus_state", bus=MARKETDATA) if value)

    def check_only_marketdata_is_out(self):
        self.assertEqual([self.status(page) for page in ("/readyz", OTHER, ONE, ALL)], [200, 200, 503, 503])

    def check_since(self, began):
        since = self.daemon.metrics().value("dualbus_bus_down_since_timestamp_seconds", bus=MARKETDATA)
        self.assertGreaterEqual(since, began - 2.5)  # INFO may have been asked a moment before
        self.assertLessEqual(since, time.time())
        self.assertIn(time.strftime("since %Y-%m-%dT%H:%M:", time.gmtime(since)), self.line())

    def test_A1_one_dead_redis_leaves_the_daemon_ready(self):
        began = time.time()
        self.stack.marketdata.kill()
        try:
            wait_for(lambda: self.status(ALL) == 503, "it is noticed")
            self.check_only_marketdata_is_out()
            self.assertRegex(self.line(), "^has no connection since ")
            self.check_since(began)
            since = self.daemon.metrics().value("dualbus_bus_down_since_timestamp_seconds", bus=MARKETDATA)
            self.assertEqual(self.daemon.metrics().value("dualbus_ready"), 1)
            self.stack.engine_logic.kill()
            wait_for(lambda: self.status("/readyz") == 503, "none is left")
            wait_for(lambda: self.daemon.metrics().matching("dualbus_ready") == [({}, 0)], "the metric says so")
            self.assertAlmostEqual(self.daemon.metrics().value("dualbus_bus_down_since_timestamp_seconds", bus=MARKETDATA), since, delta=0.1)
        finally:
            for bus in self.stack.buses.values():
                bus.kill()
                bus.start()
        wait_for(lambda: self.status(ALL) == 200, "ready again")
        self.assertEqual(self.daemon.metrics().matching("dualbus_bus_down_since_timestamp_seconds"), [])

    def test_A2_a_hung_redis_is_noticed_within_two_seconds_though_nobody_uses_it(self):
        times = []
        for _ in range(3):
            began, started = time.time(), time.monotonic()
            self.stack.marketdata.pause()
            try:
                wait_for(lambda: self.status(ALL) == 503, "it is noticed")
                times.append(time.monotonic() - started)
                self.assertEqual((self.state(), self.daemon.metrics().value("redis_up", bus=MARKETDATA)), ("silent", 0))
                self.check_only_marketdata_is_out()
                self.assertRegex(self.line(), "^does not answer since ")
                self.check_since(began)
                self.assertIn("does not answer since ", self.daemon.fetch("/")[1])
            finally:
                self.stack.marketdata.proceed()
            wait_for(lambda: self.status(ALL) == 200 and self.daemon.metrics().value("redis_up") == 2, "ready again")
        # A machine that is busy is late; not every time.
        self.assertLess(min(times), 2)

    def test_a_master_that_has_become_a_replica_is_not_ready(self):
        server = self.client(self.stack.marketdata)
        for writable in (False, True):
            with self.subTest(writable=writable):
                server.config_set("replica-read-only", "no" if writable else "yes")
                began = time.time()
                server.replicaof("127.0.0.1", free_port())
                try:
                    wait_for(lambda: self.state() == "replica", "it is noticed")
                    self.check_only_marketdata_is_out()
                    self.assertRegex(self.line(), r"^is a replica and refuses writes \(READONLY\) since ")
                    self.check_since(began)
                finally:
                    server.replicaof("NO", "ONE")
                wait_for(lambda: self.status(ALL) == 200 and self.state() == "up", "it is a master again")
        server.config_set("replica-read-only", "yes")

    def test_mistaken_questions_are_told_so(self):
        self.assertEqual(self.daemon.fetch("/readyz?bus=md"), (404, f"there is no bus 'md': the buses are {MARKETDATA}, {ENGINE_LOGIC}\n"))
        self.assertEqual(self.daemon.fetch("/readyz?al"), (400, "unknown parameter 'al': /readyz takes bus=NAME and all\n"))


if __name__ == "__main__":
    unittest.main()
