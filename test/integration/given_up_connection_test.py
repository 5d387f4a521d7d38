"""Requests on a connection that was given up never reach the bus: a client that looks and then sends again has its message once."""
import re
import signal
import time
import unittest

from support import resp
from support.harness import MARKETDATA, Stack, wait_for
from support.valve import Valve

# More than the valve's kernel takes, so that the daemon's keeps most of it.
LARGE = b"x" * 400_000
ADD = ("XADD", "md:s", "*", "message_type", "market_data", "payload", LARGE)
UNKNOWN = "BUS(TIMEOUT|LOST) bus 'marketdata'"


def of_workers(passages):
    return [passage for passage in passages if b"dualbusd-info" not in passage.asked]


class GivenUpTest(unittest.TestCase):
    # No marker is on its way when a connection is closed.
    TIME = 0.6  # seconds
    backend = {"request_timeout": "600ms", "health_timeout": "1h", "health_interval": "10m", "backoff_min": "5ms", "backoff_max": "20ms"}

    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.end)
        self.daemon, self.bus = self.stack.daemon, self.stack.marketdata
        self.valve = Valve(self.bus.address)
        self.addCleanup(self.valve.stop)
        # The same Redis, behind the valve.
        self.daemon.terminate()
        self.daemon.config["buses"][MARKETDATA]["endpoint"] = self.valve.endpoint
        self.daemon.config["backend"] = self.backend
        self.daemon.config["workers"] = 1
        self.daemon.write_config(self.daemon.config)
        self.daemon.start()

    def connect(self, protocol=2):
        connection = resp.Connection(self.daemon.address, protocol=protocol)
        self.addCleanup(connection.close)
        return connection

    @staticmethod
    def release(passages):
        """Lets pass what is still there; returns when Redis has had all of a connection that the daemon has ended."""
        for passage in passages:
            passage.open.set()
        wait_for(lambda: any(passage.ended and passage.finished for passage in of_workers(passages)), "a connection has ended")

    def length(self):
        with self.bus.client() as client:
            return client.xlen("md:s")

    def test_a_timed_out_request_does_not_arrive_behind_its_repetition_on_another_connection(self):
        client, other = self.connect(), self.connect(3)
        self.assertEqual(client.call("GET", "md:k"), None)
        shut = self.valve.shut()
        self.assertRegex(client.call(*ADD), UNKNOWN)
        self.assertEqual(other.call("XLEN", "md:s"), 0)
        self.assertIsInstance(other.call(*ADD), bytes)
        self.release(shut)
        self.assertEqual(self.length(), 1, "stored twice")
        self.assertIn("reset", [passage.ended for passage in shut])
        self.assertEqual(client.call("XLEN", "md:s"), 1)

    def test_so_it_is_with_a_transaction_on_a_connection_of_its_own(self):
        client, other = self.connect(), self.connect(3)
        self.assertEqual(client.call("WATCH", "md:k"), "OK")
        shut = self.valve.shut()
        self.assertEqual(client.pipeline([("MULTI",), ("RPUSH", "md:l", LARGE)]), ["OK", "QUEUED"])
        self.assertRegex(client.call("EXEC"), UNKNOWN)
        self.assertEqual(other.call("LLEN", "md:l"), 0)
        self.assertEqual(other.call("RPUSH", "md:l", "again"), 1)
        self.release(shut)
        self.assertEqual(other.call("LLEN", "md:l"), 1)

    def test_so_it_is_when_a_later_round_is_out_whose_own_time_is_not_over(self):
        # The first round asks the anchor, which takes most of the request's time for it.
        key, anchor = b"k" * 400_000, self.stack.engine_logic
        with self.bus.client() as client:
            client.set(key, "kept")
        for _ in range(5):
            client = self.connect()
            shut = self.valve.shut()
            anchor.pause()
            client.send("DEL", key)
            time.sleep(0.65 * self.TIME)
            anchor.proceed()
            reply = client.read()
            if re.search(UNKNOWN, reply):
                self.release(shut)
                break
            for passage in shut:  # the machine was too slow for the second round
                passage.open.set()
        self.assertRegex(reply, UNKNOWN)
        with self.bus.client() as client:
            self.assertEqual(client.exists(key), 1, "carried out after all")

    def test_so_it_is_when_the_daemon_is_killed(self):
        client = self.connect()
        client.call("GET", "md:k")
        shut = self.valve.shut()
        sent = self.daemon.metrics().value("dualbus_bus_sent_bytes_total", bus=MARKETDATA)
        client.send(*ADD)
        wait_for(lambda: self.daemon.metrics().value("dualbus_bus_sent_bytes_total", bus=MARKETDATA) > sent + len(LARGE), "the kernel has it")
        self.daemon.kill()
        self.release(shut)
        self.assertEqual(self.length(), 0)
        self.daemon.start()

    def test_a_daemon_that_leaves_with_everything_answered_closes_in_order(self):
        client = self.connect()
        self.assertIsInstance(client.call(*ADD), bytes)
        self.assertEqual(self.connect(3).call("GET", "md:k"), None)
        self.assertEqual(client.pipeline([("WATCH", "md:k"), ("MULTI",), ("SET", "md:k", 1), ("EXEC",)])[-1], ["OK"])
        client.close()
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.terminate(), 0)
        wait_for(lambda: all(passage.ended for passage in self.valve.passages), "all connections have ended")
        self.assertEqual({passage.ended for passage in of_workers(self.valve.passages)}, {"in order"})
        self.daemon.start()


class SilentTest(GivenUpTest):
    """The connection is given up before the request's time is over."""

    backend = {"request_timeout": "1m", "health_timeout": "400ms", "health_interval": "100ms", "backoff_min": "5ms", "backoff_max": "20ms"}

    # There only request_timeout ends a wait; and markers are on their way.
    test_so_it_is_with_a_transaction_on_a_connection_of_its_own = None
    test_so_it_is_when_a_later_round_is_out_whose_own_time_is_not_over = None
    test_a_daemon_that_leaves_with_everything_answered_closes_in_order = None


if __name__ == "__main__":
    unittest.main()
