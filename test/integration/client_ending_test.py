"""The ends of connections: clients that vanish at any byte, half-closed ones, and the daemon's own end."""
import signal
import socket
import threading
import time
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, Stack, StackTest, running, wait_for
from support.resp import encode

REQUEST = encode("XADD", "s", "*", "message_type", "market_data", "payload", "x" * 50)


class VanishTest(StackTest):
    config = {"backend": {"request_timeout": 0, "health_timeout": "5m"}}

    def test_a_client_may_vanish_at_every_byte_of_a_request(self):
        marketdata = self.client(self.stack.marketdata)
        witness = self.connect()
        for abort in (False, True):
            for cut in range(len(REQUEST)):
                client = resp.Connection(self.daemon.address)
                client.send_raw(REQUEST[:cut])
                if cut % 7 == 0:
                    self.assertEqual(witness.call("PING"), "PONG")
                if abort:
                    client.abort()
                else:
                    client.close()
        wait_for(lambda: self.daemon.metrics().value("dualbus_clients") == 1, "all of them are gone")
        self.assertEqual(marketdata.xlen("s"), 0)
        witness.send_raw(REQUEST)
        self.assertIsInstance(witness.read(), bytes)
        self.assertEqual(marketdata.xlen("s"), 1)

    def test_a_whole_request_counts_though_its_client_does_not_wait(self):
        for _ in range(20):
            with resp.Connection(self.daemon.address) as client:
                client.send_raw(REQUEST)
        wait_for(lambda: self.client(self.stack.marketdata).xlen("s") == 20, "all messages are stored")

    def test_replies_to_vanished_clients_reach_nobody_else(self):
        stayers = [self.connect() for _ in range(5)]
        for number, stayer in enumerate(stayers):
            stayer.call("SET", f"md:{number}", f"value {number}")
        self.stack.marketdata.pause()
        try:
            for round_number in range(20):
                leaver = resp.Connection(self.daemon.address)
                # Nothing may stand behind the last one, which has several steps: it would be carried out before its client goes.
                last = (("XRANGE", "s", "-", "+"), ("DEL", "a", "md:b"), ("XADD", "s", "NOMKSTREAM", "*", "message_type", "market_data"))[round_number // 2 % 3]
                leaver.send_raw(b"".join([encode("GET", "md:wrong"), encode("MGET", "md:0", "x"), encode("EXISTS", "s"), encode(*last)]))
                for number, stayer in enumerate(stayers):
                    stayer.send("GET", f"md:{number}")
                # One that closes without a reset may still be reading, as far as the daemon knows: it stays for now.
                staying = round_number // 2
                wait_for(lambda: self.daemon.metrics().value("dualbus_clients") == 6 + staying, "the leaver is there")
                if round_number % 2:
                    leaver.close()
                else:
                    leaver.abort()
                    wait_for(lambda: self.daemon.metrics().value("dualbus_clients") == 5 + staying, "the leaver has gone")
            self.assertGreaterEqual(self.daemon.metrics().value("dualbus_requests_abandoned", bus=MARKETDATA), 10)
        finally:
            self.stack.marketdata.proceed()
        for number, stayer in enumerate(stayers):
            self.assertEqual([stayer.read() for _ in range(20)], [f"value {number}".encode()] * 20)

    def test_a_half_closed_client_gets_all_replies(self):
        client = self.connect()
        requests = [encode("INCR", "n"), encode("INCR", "md:n"), encode("MGET", "n", "md:n"), encode("PING", "x")] * 1500
        with running(client.send_raw, b"".join(requests)):
            replies = []
            for number in range(1, 1501):
                replies += [client.read() for _ in range(4)]
                if number == 1000:
                    self.assertEqual(replies[-4:], [1000, 1000, [b"1000", b"1000"], b"x"])
        client.end_requests()
        self.assertEqual(client.read_rest(), b"")

        client = self.connect()
        self.stack.marketdata.pause()
        try:
            client.send_raw(b"".join(requests[:400]) + b"*1\r\n$4\r\nPI")
            client.end_requests()
            wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=MARKETDATA) > 0, "requests are in flight")
        finally:
            self.stack.marketdata.proceed()
        received = client.read_rest()
        self.assertEqual(received.count(b"\r\nx\r\n"), 100)
        self.assertTrue(received.endswith(b":1600\r\n:1600\r\n*2\r\n$4\r\n1600\r\n$4\r\n1600\r\n$1\r\nx\r\n"), received[-80:])


class ShutdownTest(unittest.TestCase):
    def make_stack(self, **config):
        stack = Stack(config)
        self.addCleanup(stack.end)
        return stack

    def connect(self, stack):
        connection = stack.daemon.connect()
        self.addCleanup(connection.close)
        return connection

    def refuses(self, stack):
        try:
            with socket.create_connection(stack.daemon.address, 1):
                return False
        except OSError:
            return True

    def test_what_is_in_flight_is_finished_before_the_end(self):
        stack = self.make_stack()
        clients = [self.connect(stack) for _ in range(10)]
        idle = self.connect(stack)
        self.assertEqual(idle.call("PING"), "PONG")
        stack.marketdata.pause()
        try:
            for client in clients:
                client.send_raw((encode("INCR", "md:n") + encode("INCR", "n")) * 50)
            wait_for(lambda: stack.daemon.metrics().value("dualbus_bus_requests_total", bus=MARKETDATA) >= 500, "all is in flight")
            stack.daemon.process.terminate()
            wait_for(lambda: self.refuses(stack), "new clients are refused")
            self.assertEqual(idle.read_rest(), b"")
            self.assertTrue(stack.daemon.running())
        finally:
            stack.marketdata.proceed()
        for client in clients:
            self.assertEqual(client.read_rest().count(b":"), 100)
        self.assertEqual(stack.daemon.process.wait(20), 0)
        self.assertEqual(stack.marketdata.client().get("md:n"), b"500")

    def test_what_was_sent_before_sigterm_is_answered(self):
        stack = self.make_stack()
        clients = [self.connect(stack) for _ in range(40)]
        for client in clients:
            self.assertEqual(client.call("PING"), "PONG")
        # Requests and signal are there at the same time when the daemon looks.
        stack.daemon.pause()
        for client in clients:
            client.send_raw(encode("INCR", "n") * 20)
        stack.daemon.process.terminate()
        stack.daemon.proceed()
        answered = [client.read_rest().count(b":") for client in clients]
        self.assertEqual(stack.daemon.process.wait(20), 0)
        stored = int(stack.engine_logic.client().get("n") or 0)
        self.assertEqual(sum(answered), stored, "something was done and not answered")
        self.assertEqual(answered, [20] * 40)

    def test_sigterm_in_the_middle_of_a_load_loses_nothing_that_was_acknowledged(self):
        stack = self.make_stack()
        acknowledged, started = [], threading.Barrier(9)

        def publish(number):
            with stack.daemon.connect() as client:
                count = 0
                try:
                    while True:
                        for _ in range(8):
                            client.send("XADD", "s", "*", "message_type", "market_data" if count % 2 else "risk_x", "id", f"{number}-{count}")
                            count += 1
                        for answered in range(count - 8, count):
                            reply = client.read()
                            assert isinstance(reply, bytes), reply
                            acknowledged.append(f"{number}-{answered}".encode())
                        if count == 80:
                            started.wait()
                except (ConnectionError, BrokenPipeError):
                    pass

        threads = [threading.Thread(target=publish, args=(number,), daemon=True) for number in range(8)]
        for thread in threads:
            thread.start()
        started.wait()
        stack.daemon.process.terminate()
        self.assertEqual(stack.daemon.process.wait(20), 0)
        for thread in threads:
            thread.join(10)
        there = [fields[b"id"] for bus in stack.buses.values() for _, fields in bus.client().xrange("s")]
        self.assertEqual(len(there), len(set(there)))
        self.assertEqual(set(acknowledged) - set(there), set())
        # All that was executed has been answered, too.
        self.assertEqual(set(there) - set(acknowledged), set())

    def test_a_bus_that_never_answers_does_not_keep_the_daemon_for_ever(self):
        stack = self.make_stack(limits={"shutdown_timeout": "500ms"})
        client = self.connect(stack)
        stack.marketdata.pause()
        try:
            client.send("GET", "md:k")
            wait_for(lambda: stack.daemon.metrics().value("dualbus_requests_in_flight", bus=MARKETDATA) > 0, "it is in flight")
            start = time.monotonic()
            self.assertEqual(stack.daemon.terminate(), 0)
            self.assertLess(time.monotonic() - start, 8)
            self.assertEqual(client.read_rest(), b"")
        finally:
            stack.marketdata.proceed()
        self.assertIn("shutdown_timeout is over", stack.daemon.log())

    def test_sigterm_while_a_bus_is_away(self):
        stack = self.make_stack(backend={"reconnect_wait": "300ms"})
        stack.buses[ENGINE_LOGIC].kill()
        client = self.connect(stack)
        client.send("GET", "k")
        self.assertEqual(stack.daemon.terminate(), 0)
        self.assertRegex(client.read_rest(), b"^(-BUS(DOWN|LOST) .*\r\n)?$")

    def test_sigint_ends_it_like_sigterm(self):
        stack = self.make_stack()
        stack.daemon.signal(signal.SIGINT)
        self.assertEqual(stack.daemon.process.wait(20), 0)


if __name__ == "__main__":
    unittest.main()
