"""WAIT, WAITAOF, SCRIPT KILL and FUNCTION KILL: asked of every bus, on connections of their own."""
import os
import signal
import time
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for

POOL = 2
LOOP = "while true do end"
WRITING_LOOP = "redis.call('SET', KEYS[1], 'x') while true do end"
LIBRARY = "#!lua name=loops\nredis.register_function('loop', function() while true do end end)"


class Replica:
    """A replica of a bus, which can be stopped: then it acknowledges nothing."""

    def __init__(self, server, master):
        self.server, self.stopped = server, False
        with server.client() as client:
            client.replicaof("127.0.0.1", master.port)
        with master.client() as client:
            wait_for(lambda: client.info("replication").get("slave0", {}).get("state") == "online", "the replica is there")

    def stop(self):
        os.kill(self.server.process.pid, signal.SIGSTOP)
        self.stopped = True

    def go_on(self):
        if self.stopped:
            os.kill(self.server.process.pid, signal.SIGCONT)
        self.stopped = False


class WaitingTest(StackTest):
    config = {"workers": 1, "backend": {"dedicated_connections": POOL, "request_timeout": "500ms", "health_timeout": "20s"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.replicas = {name: Replica(cls.stack.add_redis("replica-" + name), bus) for name, bus in cls.stack.buses.items()}

    def setUp(self):
        for replica in self.replicas.values():
            replica.go_on()
            self.addCleanup(replica.go_on)
        with self.stack.marketdata.client() as one, self.stack.engine_logic.client() as other:
            for bus in (one, other):
                bus.flushall()
        self.addCleanup(self.stack.check, self)

    def blocked(self, bus, count):
        with bus.client() as client:
            wait_for(lambda: client.info("clients")["blocked_clients"] == count, f"{count} wait at {bus.name}")

    def test_wait_answers_what_every_bus_can_vouch_for(self):
        client = self.connect()
        client.call("MSET", "md:k", 1, "el:k", 1)
        self.assertEqual(client.call("WAIT", 1, 5000), 1)
        with self.stack.marketdata.client() as bare:
            for request in (("WAIT", "x", 0), ("WAIT", 0, "x"), ("WAIT", 0, -1), ("WAIT", 0), ("WAITAOF", 0, 0, 0)):
                theirs = resp.Connection(self.stack.marketdata.address)
                self.addCleanup(theirs.close)
                if request[0] == "WAITAOF":  # not in Redis 7.0: its own words, as the bus says them
                    self.assertEqual(client.call(*request)[:4], theirs.call(*request)[:4])
                else:
                    self.assertEqual(client.call_raw(*request), theirs.call_raw(*request), request)
            self.assertTrue(bare.ping())

    def test_wait_counts_what_others_wrote_before_over_shared_connections(self):
        writer, client = self.connect(), self.connect()
        self.assertEqual(client.call("WAIT", 1, 5000), 1)
        for name, replica in self.replicas.items():
            replica.stop()
            self.assertEqual(writer.call("SET", {MARKETDATA: "md:k", ENGINE_LOGIC: "el:k"}[name], time.time()), "OK")
            self.assertEqual(client.call("WAIT", 1, 30), 0, name)
            replica.go_on()
            self.assertEqual(client.call("WAIT", 1, 5000), 1, name)

    def test_requests_around_it_keep_their_order_and_others_go_on(self):
        self.replicas[MARKETDATA].stop()
        client, other = self.connect(), self.connect()
        client.send_raw(b"".join(resp.encode(*request) for request in (("SET", "md:k", 1), ("WAIT", 1, 0), ("GET", "md:k"))))
        self.assertEqual(client.read(), "OK")
        self.blocked(self.stack.marketdata, 1)
        for _ in range(5):
            self.assertEqual(other.call("SET", "md:other", 1), "OK")
        self.assertIn("flags=b", other.call("CLIENT", "LIST").decode())
        self.replicas[MARKETDATA].go_on()
        self.assertEqual([client.read(), client.read()], [1, b"1"])

    def test_a_client_that_leaves_frees_the_connections_at_once(self):
        self.replicas[MARKETDATA].stop()
        for _ in range(2 * POOL):
            client = self.connect()
            client.send_raw(resp.encode("SET", "md:k", 1) + resp.encode("WAIT", 1, 0))
            client.read()
            self.blocked(self.stack.marketdata, 1)
            client.close()
            self.blocked(self.stack.marketdata, 0)

    def acknowledged(self, *buses):
        """Waits until all that was written is acknowledged, and somebody waits for more."""
        def everything(bus):
            with bus.client() as client:
                info = client.info("everything")
            return info["blocked_clients"] == 1 and info["slave0"]["offset"] == info["master_repl_offset"]
        wait_for(lambda: all(map(everything, buses)), "it is acknowledged")

    def unblock(self, server, protocol, *words):
        """The effect of CLIENT UNBLOCK on the wait of a client that has written."""
        client, admin = self.connect(protocol, to=server), self.connect(to=server)
        number = client.call("CLIENT", "ID")
        client.call("SET", "md:k", 1)
        client.send("WAIT", 5, 0)
        if not self.replicas[MARKETDATA].stopped:
            self.acknowledged(self.stack.marketdata, *([self.stack.engine_logic] if server is self.daemon else []))
        # The bus need not have seen the request yet.
        wait_for(lambda: admin.call("CLIENT", "UNBLOCK", number, *words) == 1, "unblocked", 20)
        reply = client.read_raw()
        self.assertEqual(admin.call("CLIENT", "UNBLOCK", number, *words), 0)
        self.assertEqual(client.call("PING"), "PONG")
        return reply

    def test_client_unblock_ends_waiting_with_the_number_that_was_reached(self):
        for protocol in (2, 3):
            for server in (self.stack.marketdata, self.daemon):
                self.replicas[MARKETDATA].go_on()
                self.assertEqual(self.unblock(server, protocol), b":1\r\n", server.name)
                self.replicas[MARKETDATA].stop()
                for words in ((), ("TIMEOUT",)):
                    self.assertEqual(self.unblock(server, protocol, *words), b":0\r\n", server.name)
                self.assertEqual(self.unblock(server, protocol, "ERROR"), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n", server.name)

    def test_when_all_connections_wait_the_next_client_is_told_so(self):
        self.replicas[MARKETDATA].stop()
        waiting = [self.connect() for _ in range(POOL)]
        for client in waiting:
            client.send_raw(resp.encode("SET", "md:k", 1) + resp.encode("WAIT", 1, 0))
            client.read()
        self.blocked(self.stack.marketdata, POOL)
        self.assertRegex(self.connect().call("WAIT", 1, 10), r"^ERR dualbus: all 2 connections to bus 'marketdata'")
        self.replicas[MARKETDATA].go_on()
        self.assertEqual([client.read() for client in waiting], [1] * POOL)

    def test_in_a_transaction_it_does_not_wait(self):
        self.replicas[ENGINE_LOGIC].stop()
        client, bare = self.connect(), self.connect(to=self.stack.engine_logic)
        replies = []
        for connection in (client, bare):
            connection.call("SET", "el:k", 1)
            for request in (("MULTI",), ("SET", "el:k", 2), ("WAIT", 1, 0)):
                connection.call(*request)
            replies.append(connection.call("EXEC"))
        self.assertEqual(replies[0], replies[1])
        self.assertEqual(replies[0], ["OK", 0])


class KillingTest(StackTest):
    config = {"workers": 1, "backend": {"dedicated_connections": POOL, "request_timeout": "3s", "health_timeout": "20s"}}
    redis_options = ("--busy-reply-threshold", "50")

    def loop(self, *request):
        runner = self.connect()
        runner.send(*request)
        bus = self.stack.marketdata
        def busy():
            with bus.client() as client:
                try:
                    client.get("k")
                except Exception as error:  # pylint: disable=broad-exception-caught
                    return "BUSY" in str(error) or "busy" in str(error)
            return False
        wait_for(busy, "the script runs")
        return runner

    def test_without_a_script_it_says_what_redis_says(self):
        bare = self.connect(to=self.stack.marketdata)
        for protocol in (2, 3):
            for request in (("SCRIPT", "KILL"), ("FUNCTION", "KILL"), ("SCRIPT", "KILL", "x"), ("FUNCTION", "KILL", "x")):
                self.assertEqual(self.connect(protocol).call_raw(*request), bare.call_raw(*request), request)

    def test_who_has_closed_its_half_of_the_connection_is_still_answered(self):
        self.stack.marketdata.pause()
        self.addCleanup(self.stack.marketdata.proceed)
        for request in (("SCRIPT", "KILL"), ("FUNCTION", "KILL"), ("SCRIPT", "KILL", "x")):
            client, other = self.connect(), self.connect()
            client.send(*request)
            other.call("ECHO", "it has arrived")
            client.end_requests()
            other.call("ECHO", "so has the end")
            self.stack.marketdata.proceed()
            self.assertRegex(client.read(), "^NOTBUSY |^ERR ")
            self.stack.marketdata.pause()

    def test_a_script_that_loops_is_ended_though_it_holds_the_shared_connection(self):
        self.assertIsNone(self.connect().call("GET", "md:k"))
        runner = self.loop("EVAL", LOOP, 1, "md:k")
        self.assertEqual(self.connect().call("SCRIPT", "KILL"), "OK")
        self.assertRegex(runner.read(), "^ERR Error running script|^ERR .*killed by user")

    def test_so_is_a_function(self):
        self.connect().call("FUNCTION", "LOAD", LIBRARY)
        self.addCleanup(lambda: self.connect().call("FUNCTION", "FLUSH"))
        runner = self.loop("FCALL", "loop", 1, "md:k")
        # Redis tells the wrong of the two so.
        self.assertRegex(self.connect().call("SCRIPT", "KILL"), "^BUSY ")
        self.assertEqual(self.connect().call("FUNCTION", "KILL"), "OK")
        self.assertRegex(runner.read(), "^ERR ")

    def test_one_that_has_written_cannot_be_ended(self):
        runner = self.loop("EVAL", WRITING_LOOP, 1, "md:k")
        self.assertRegex(self.connect().call("SCRIPT", "KILL"), "^UNKILLABLE ")
        runner.close()
        self.stack.marketdata.kill()
        self.stack.marketdata.start()
        self.await_connections()


if __name__ == "__main__":
    unittest.main()
