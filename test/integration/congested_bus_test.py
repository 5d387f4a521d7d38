"""A bus that is up and takes bytes slowly: who writes to it waits, is not told that it is down, and does not fill the memory."""
import unittest

from support.harness import MARKETDATA, StackTest, running, wait_for
from support.resp import encode

MB = 1 << 20


class CongestedBusTest(StackTest):
    config = {"workers": 1, "limits": {"bus_output_buffer": "1mb", "max_request": "16mb"},
              "backend": {"reconnect_wait_bytes": "1mb", "request_timeout": "1m", "health_timeout": "2m"}}

    def test_large_requests_wait_at_their_clients_and_everybody_is_served(self):
        large, clients = b"x" * (4 * MB), [self.connect(timeout=60) for _ in range(10)]
        small, other = self.connect(timeout=60), self.connect()
        self.assertEqual(small.call("SET", "md:small", 1), "OK")
        request = b"".join((encode("SET", "md:a", large), encode("MULTI"), encode("SET", "md:b", large), encode("EXEC")))
        self.stack.marketdata.pause()
        try:
            with self.counted("dualbus_client_received_bytes_total") as received, \
                    running(lambda: [client.send_raw(request) for client in clients]):
                wait_for(lambda: received.value > len(clients) * len(large), "the daemon has a request of each")
                small.send("SET", "md:small", 2)
                # A client that has nothing to do with that bus goes on.
                self.assertEqual(other.call("SET", "k", large), "OK")
                self.stack.marketdata.proceed()
                for client in clients:
                    self.assertEqual([client.read() for _ in range(4)], ["OK", "OK", "QUEUED", ["OK"]])
        finally:
            self.stack.marketdata.proceed()
        self.assertEqual(small.read(), "OK")
        self.assertEqual(self.daemon.metrics().value("dualbus_backend_connections_lost_total", bus=MARKETDATA), 0)

    def test_commands_over_several_buses_wait_too(self):
        large = b"x" * (4 * MB)
        clients = [self.connect(timeout=60) for _ in range(6)]
        self.stack.marketdata.pause()
        try:
            with self.counted("dualbus_client_received_bytes_total") as received, \
                    running(lambda: [client.send("MSET", "md:a", large, "k", large) for client in clients]):
                wait_for(lambda: received.value > 2 * len(clients) * len(large), "the daemon has all of them")
                self.stack.marketdata.proceed()
                self.assertEqual([client.read() for client in clients], ["OK"] * len(clients))
        finally:
            self.stack.marketdata.proceed()


if __name__ == "__main__":
    unittest.main()
