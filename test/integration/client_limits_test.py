"""The most that one client may cost: limits that cut off or hold back exactly the client that goes too far."""
import os
import socket
import stat
import threading
import time
import unittest

from support import resp
from support.harness import MARKETDATA, Daemon, Stack, StackTest, make_config, merge, sanitized, wait_for
from support.resp import encode

MEGABYTE = 1 << 20


class MaxClientsTest(StackTest):
    config = {"limits": {"max_clients": 20}}

    def test_one_client_too_many_is_told_so_and_closed(self):
        connections = [self.connect() for _ in range(20)]
        self.assertEqual({connection.call("PING") for connection in connections}, {"PONG"})
        metrics = self.daemon.metrics()
        self.assertEqual((metrics.value("dualbus_clients"), metrics.value("dualbus_clients_limit")), (20, 20))
        with self.counted("dualbus_clients_rejected_total") as rejected:
            for _ in range(3):
                self.assertEqual(self.connect().read_rest(), b"-ERR max number of clients reached\r\n")
            self.assertEqual(rejected.value, 3)
        self.assertEqual({connection.call("PING") for connection in connections}, {"PONG"})
        connections.pop().close()
        wait_for(lambda: self.daemon.metrics().value("dualbus_clients") == 19, "one client has gone")
        self.assertEqual(self.connect().call("PING"), "PONG")


class TurnShareTest(StackTest):
    config = {"workers": 1}

    def test_what_a_client_has_sent_beyond_its_share_waits_for_the_requests_of_the_others(self):
        flooder, other = self.connect(), self.connect()
        flooder.call("CLIENT", "SETNAME", "flooder")
        other.call("PING")
        commands = 40_000
        self.daemon.pause()
        flooder.send_raw(b"P\r\n" * commands)  # one read takes them all
        other.send_raw(encode("CLIENT", "LIST"))
        self.daemon.proceed()
        line = next(line for line in other.read().decode().splitlines() if "name=flooder" in line)
        waiting = int(line.partition(" qbuf=")[2].split()[0])
        self.assertGreater(waiting, commands)  # bytes: the other one came after some thousand commands at most
        for _ in range(commands):
            self.assertTrue(flooder.read().startswith("ERR unknown command 'P'"))
        self.assertGreater(self.daemon.metrics().value("dualbus_client_shares_used_up_total"), 0)

    def test_the_order_of_a_long_pipeline_is_kept(self):
        client = self.connect()
        client.send_raw(b"".join(encode("ECHO", i) for i in range(3000)) + encode("MULTI") +
                        b"".join(encode("SET", "el:order", i) for i in range(2000)) + encode("EXEC") + encode("GET", "el:order"))
        self.assertEqual([client.read() for _ in range(3000)], [b"%d" % i for i in range(3000)])
        self.assertEqual([client.read() for _ in range(2001)], ["OK"] + ["QUEUED"] * 2000)
        self.assertEqual((client.read(), client.read()), (["OK"] * 2000, b"1999"))


class OutputLimitTest(StackTest):
    config = {"limits": {"client_output_buffer": "8mb"}}

    def test_a_client_that_does_not_read_is_cut_off_and_nobody_else_notices(self):
        other = self.connect()
        other.call("SET", "big", b"x" * MEGABYTE)
        before = self.daemon.resident_bytes()
        deaf = resp.Connection(self.daemon.address)
        self.addCleanup(deaf.close)
        with self.counted("dualbus_clients_closed_total", reason="output_limit") as cut:
            deaf.send_raw(encode("GET", "big") * 100)
            slowest = 0
            deadline = time.monotonic() + 20
            while cut.value == 0 and time.monotonic() < deadline:
                start = time.monotonic()
                self.assertEqual(other.call("PING"), "PONG")
                slowest = max(slowest, time.monotonic() - start)
            self.assertEqual(cut.value, 1)
        self.assertLess(slowest, 2)
        if not sanitized():
            # 100 MB of replies were asked for.
            self.assertLess(self.daemon.resident_bytes() - before, 64 * MEGABYTE)
        self.daemon.wait_for_log("client_output_buffer; closing")
        received = deaf.read_rest()
        self.assertLess(len(received), 100 * MEGABYTE)

    def test_replies_larger_than_sockets_take_at_once_arrive_whole(self):
        client = self.connect()
        value = os.urandom(7 * MEGABYTE)
        client.call("SET", "big", value)
        for _ in range(5):
            self.assertEqual(client.call("GET", "big"), value)
        # A client that reads now and then keeps below the limit.
        client.send_raw(encode("GET", "big"))
        for _ in range(4):
            client.send_raw(encode("ECHO", "x"))
        self.assertEqual(client.read(), value)
        self.assertEqual([client.read() for _ in range(4)], [b"x"] * 4)


class HeldBackRepliesTest(StackTest):
    """Replies that are there, but must wait for that of a bus which hangs."""

    config = {"limits": {"client_output_buffer": "1mb"}, "backend": {"request_timeout": "1m", "health_timeout": "5m"}}

    def check(self, first, repeated):
        value = b"x" * 500_000
        self.client(self.stack.engine_logic).set("el:big", value)
        client, other = self.connect(), self.connect()
        before = self.daemon.resident_bytes()
        self.stack.marketdata.pause()
        try:
            with self.counted("dualbus_clients_closed_total", reason="output_limit") as cut:
                client.send_raw(b"".join(encode(*request) for request in first) + encode(*repeated) * 400)
                wait_for(lambda: cut.value == 1, "the client is cut off", 20)
            if not sanitized():
                # 200 MB of replies were asked for.
                self.assertLess(self.daemon.resident_bytes() - before, 64 * MEGABYTE)
            # It is counted for each client alone.
            self.assertEqual([other.call("GET", "el:big") for _ in range(5)], [value] * 5)
        finally:
            self.stack.marketdata.proceed()
        self.assertLess(len(client.read_rest()), 20 * MEGABYTE)

    def test_behind_a_plain_request(self):
        self.check([("GET", "md:x")], ("GET", "el:big"))

    def test_behind_exec(self):
        self.check([("MULTI",), ("SET", "md:x", 1), ("EXEC",)], ("GET", "el:big"))

    def test_behind_exec_on_several_buses(self):
        self.check([("MULTI",), ("SET", "md:x", 1), ("SET", "el:x", 1), ("EXEC",)], ("GET", "el:big"))

    def test_behind_a_command_that_waits(self):
        self.check([("BLPOP", "md:x", 0)], ("GET", "el:big"))

    def test_as_parts_of_replies_of_several_buses(self):
        self.check([], ("MGET", "el:big", "md:x"))

    def test_replies_that_are_merged_may_each_be_as_large_as_the_limit(self):
        client = self.connect()
        for _ in range(20):
            client.pipeline([("XADD", "s", "*", "message_type", kind, "p", "x" * 30_000) for kind in ("market_data", "order_request")])
        # Both buses send 20 entries, and one is asked again as long as newer ones may turn up.
        for request in (("XREVRANGE", "s", "+", "-", "COUNT", 20), ("XRANGE", "s", "-", "+", "COUNT", 20)):
            client.call("XADD", "s", "*", "message_type", "market_data", "p", "x" * 30_000)
            self.assertEqual(len(client.call(*request)), 20)


class IdleTest(StackTest):
    config = {"limits": {"idle_timeout": "1s"}}

    def test_only_the_silent_client_is_closed(self):
        silent, half, active = self.connect(), self.connect(), self.connect()
        silent.call("PING")
        half.send_raw(b"*1\r\n$4\r\nPI")
        waiting = self.connect()
        self.stack.marketdata.pause()
        try:
            waiting.send("GET", "md:k")
            with self.counted("dualbus_clients_closed_total", reason="idle") as closed:
                wait_for(lambda: active.call("PING") == "PONG" and closed.value == 2, "two clients are closed")
            self.assertTrue(silent.is_closed())
            self.assertTrue(half.is_closed())
        finally:
            self.stack.marketdata.proceed()
        # A client that waits for an answer is not idle.
        self.assertIsNone(waiting.read())

    def test_who_waited_is_silent_from_the_answer_on(self):
        self.addCleanup(self.daemon.reload, self.stack.config)
        self.daemon.reload(merge(self.stack.config, {"limits": {"idle_timeout": "3s"}}))
        waiting = [self.connect(), self.connect()]
        for client, request in zip(waiting, (("BLPOP", "el:none", 4), ("XREAD", "BLOCK", 4000, "STREAMS", "el:s", "$"))):
            client.send(*request)
        self.assertEqual([client.read() for client in waiting], [None, None])
        answered = time.monotonic()
        with self.counted("dualbus_clients_closed_total", reason="idle") as closed:
            wait_for(lambda: time.monotonic() > answered + 1.5, "half of the time passes")
            self.assertEqual([client.call("PING") for client in waiting], ["PONG", "PONG"])
            wait_for(lambda: closed.value == 2, "both are silent for too long")

    def test_who_is_held_back_by_a_pause_is_not_idle(self):
        admin, client = self.connect(), self.connect()
        self.assertEqual(admin.call("CLIENT", "PAUSE", 3000, "ALL"), "OK")
        self.assertEqual(client.call("SET", "el:k", 1), "OK")

    def test_who_monitors_is_not_idle(self):
        silent, monitor = self.connect(), self.connect()
        monitor.call("MONITOR")
        wait_for(silent.is_closed, "the silent one is closed")
        self.assertFalse(monitor.is_closed())


class BackPressureTest(StackTest):
    config = {"limits": {"client_in_flight": 100, "bus_output_buffer": "1mb"},
              "backend": {"request_timeout": 0, "health_timeout": "5m", "reconnect_wait": "1m"}}

    def outstanding(self):
        metrics = self.daemon.metrics()
        return sum(metrics.value(name) for name in ("dualbus_requests_waiting", "dualbus_requests_in_flight"))

    def test_a_client_has_no_more_requests_in_flight_than_allowed(self):
        client, other = self.connect(), self.connect()
        self.stack.marketdata.pause()
        try:
            client.send_raw(b"".join(encode("RPUSH", "md:l", number) for number in range(5000)))
            wait_for(lambda: self.outstanding() >= 100, "the limit is reached")
            for _ in range(50):
                self.assertEqual(other.call("SET", "k", 1), "OK")
            self.assertLessEqual(self.outstanding(), 102)  # and health checks
        finally:
            self.stack.marketdata.proceed()
        self.assertEqual([client.read() for _ in range(5000)], list(range(1, 5001)))
        self.assertEqual(client.call("LRANGE", "md:l", 0, -1), [b"%d" % number for number in range(5000)])

    def test_writers_to_a_stopped_bus_are_held_back_and_lose_nothing(self):
        payload = b"x" * 10000
        count, writers = 2000, 4  # 80 MB in all
        data = b"".join(encode("XADD", "s", "*", "message_type", "market_data", "n", number, "payload", payload) for number in range(count))
        connections = [self.connect() for _ in range(writers)]
        before = self.daemon.resident_bytes()
        sent = [0] * writers

        def write(number):
            for start in range(0, len(data), 65536):
                connections[number].send_raw(data[start:start + 65536])
                sent[number] += 65536

        self.stack.marketdata.pause()
        threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(writers)]
        try:
            for thread in threads:
                thread.start()
            other = self.connect()

            def stuck():
                before = list(sent)
                for _ in range(20):
                    self.assertEqual(other.call("SET", "k", 1), "OK")  # the other bus goes on
                    time.sleep(0.01)
                return before == sent and all(sent)

            wait_for(stuck, "the writers stand still")
            if not sanitized():
                self.assertLess(self.daemon.resident_bytes() - before, 40 * MEGABYTE)
            self.assertLess(sum(sent), 60 * MEGABYTE)
        finally:
            self.stack.marketdata.proceed()
        replies = [[connection.read() for _ in range(count)] for connection in connections]
        for thread in threads:
            thread.join()
        ids = [reply for each in replies for reply in each]
        self.assertEqual(len(set(ids)), writers * count)
        self.assertEqual(self.client(self.stack.marketdata).xlen("s"), writers * count)


class ManyClientsTest(StackTest):
    def test_thousands_of_clients_are_served(self):
        count = 3000
        self.assertEqual(self.connect().call("PING"), "PONG")
        before = self.daemon.resident_bytes()
        connections = [self.connect() for _ in range(count)]
        for number, connection in enumerate(connections):
            connection.send("XADD", f"s{number % 10}", "*", "message_type", "market_data" if number % 2 else "order_request", "n", number)
        self.assertEqual(len({(number % 10, connection.read()) for number, connection in enumerate(connections)}), count)
        self.assertEqual(sum(self.client(bus).xlen(f"s{number}") for bus in self.stack.buses.values() for number in range(10)), count)
        self.assertEqual(self.daemon.metrics().value("dualbus_clients"), count + 1)
        self.assertLess(self.daemon.metrics().value("dualbus_backend_connections"), 20)
        if not sanitized():
            self.assertLess((self.daemon.resident_bytes() - before) / count, 8192)
        self.assertEqual({connection.call("PING") for connection in connections}, {"PONG"})
        for connection in connections:
            connection.close()


class UnixSocketTest(unittest.TestCase):
    def test_the_unix_socket_serves_like_the_port(self):
        stack = Stack()
        self.addCleanup(stack.end)
        path = os.path.join(stack.directory, "client.sock")
        config = merge(make_config({name: bus.endpoint for name, bus in stack.buses.items()}),
                       {"listen": {"port": 0, "unix_socket": path, "unix_socket_mode": "0750"}})
        # The socket that a killed daemon leaves behind is no obstacle.
        leftover = socket.socket(socket.AF_UNIX)
        leftover.bind(path)
        leftover.close()
        daemon = Daemon(stack.directory, config, name="unix").start()
        self.addCleanup(daemon.kill)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o750)
        connections = [resp.Connection(path) for _ in range(10)]
        for connection in connections:
            self.assertEqual(connection.pipeline([("SET", "md:k", 1), ("GET", "md:k"), ("MGET", "x", "md:k")]), ["OK", b"1", [None, b"1"]])
        self.assertEqual(stack.marketdata.client().get("md:k"), b"1")
        self.assertIn(b"flags=U", connections[0].call("CLIENT", "INFO"))
        self.assertIn(MARKETDATA, daemon.fetch("/metrics")[1])
        for connection in connections:
            connection.close()
        wait_for(daemon.gauges_are_zero, "gauges at zero")
        self.assertEqual(daemon.terminate(), 0)
        self.assertEqual(daemon.sanitizer_report(), "")
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    unittest.main()
