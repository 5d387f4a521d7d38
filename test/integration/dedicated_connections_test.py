"""Connections to the buses that serve one client at a time: who gets one, and when it serves the next one."""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for

WATCH = ("WATCH", "md:a")
MIXED = [("MULTI",), ("XADD", "s", "*", "message_type", "market_data"), ("XADD", "s", "*", "message_type", "x")]
LEAVE, RESET_CONNECTION = "leave", "reset the connection"
# Name -> what a client does, again and again.
USES = {
    "UNWATCH": [WATCH, ("UNWATCH",)],
    "DISCARD": [WATCH, ("MULTI",), ("GET", "md:a"), ("DISCARD",)],
    "EXEC": [WATCH, ("MULTI",), ("GET", "md:a"), ("EXEC",)],
    "EXEC of nothing": [WATCH, ("MULTI",), ("EXEC",)],
    "EXEC after a change": [WATCH, ("SET", "md:a", 1), ("MULTI",), ("GET", "md:a"), ("EXEC",)],
    "EXECABORT": [WATCH, ("MULTI",), ("NOSUCH",), ("EXEC",)],
    "RESET": [WATCH, ("RESET",)],
    "leaving": [WATCH, LEAVE],
    "vanishing": [WATCH, RESET_CONNECTION],
    "WATCH in two databases": [WATCH, ("SELECT", 1), ("WATCH", "md:b"), ("UNWATCH",), ("SELECT", 0)],
    "EXEC after WATCH in another database": [WATCH, ("SELECT", 1), ("MULTI",), ("SET", "md:b", 1), ("EXEC",), ("SELECT", 0)],
    "EXEC with a SELECT": [("MULTI",), ("SELECT", 1), ("SET", "md:b", 1), ("SELECT", 0), ("EXEC",)],
    "EXEC over buses": [*MIXED, ("EXEC",)],
    "EXEC over buses after a change": [WATCH, ("SET", "md:a", 1), *MIXED, ("EXEC",)],
    "EXEC over buses that one refuses": [("MULTI",), ("SET", "md:a", 1), ("OBJECT", "NOSUCH", "el:a"), ("EVALSHA", "x", 1, "el:a"), ("EXEC",)],
    "BLPOP, nil": [("BLPOP", "md:none", 0.01)],
    "BLPOP, an element": [("RPUSH", "md:l", 1), ("BLPOP", "md:l", 0)],
    "BLPOP, leaving": [("BLPOP", "md:none", 0), LEAVE],
    "BLPOP, vanishing": [("BLPOP", "md:none", 0), RESET_CONNECTION],
    "WAIT": [("WAIT", 0, 0)],
    "WAIT, leaving": [("WAIT", 1, 0), LEAVE],
    "a stream of another database, leaving": [("SELECT", 1), ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), LEAVE],
}


class ReuseTest(StackTest):
    config = {"workers": 1, "databases": 2}

    def connects(self):
        return self.daemon.metrics().value("dualbus_backend_connects_total")

    def use(self, requests):
        client = self.connect()
        for number, request in enumerate(requests):
            if requests[number + 1:] in ([LEAVE], [RESET_CONNECTION]) and request != WATCH:
                client.send(*request)
                wait_for(lambda: any(self.client(bus).info("clients")["blocked_clients"] for bus in self.stack.buses.values()), "it waits")
            elif request == RESET_CONNECTION:
                client.abort()
            elif request != LEAVE:
                client.call(*request)
        client.close()

    def test_they_serve_the_next_client_whatever_the_last_one_left_behind(self):
        times = 12
        for name, requests in USES.items():
            with self.subTest(name):
                self.use(requests)
                before, log = self.connects(), self.daemon.full_log()
                for _ in range(times):
                    self.use(requests)
                    # Another one would be made while this one is being tidied up.
                    wait_for(self.daemon.gauges_are_zero, "nothing is under way")
                self.assertLess(self.connects() - before, times / 2)
                self.assertEqual(self.daemon.full_log()[len(log):], "")
                # A clean one: nothing is watched, queued or selected.
                client, other = self.connect(), self.connect()
                self.assertEqual(client.pipeline([WATCH, ("MULTI",), ("SET", "md:a", 2), ("EXEC",)])[-1], ["OK"])
                self.assertEqual(client.pipeline([("RPUSH", "md:l2", "x"), ("BLPOP", "md:l2", 0)]), [1, [b"md:l2", b"x"]])
                self.assertEqual([client.call(*WATCH), other.call("SET", "md:a", 3)], ["OK", "OK"])
                self.assertIsNone(client.pipeline([("MULTI",), ("SET", "md:a", 2), ("EXEC",)])[-1])
                client.close(), other.close()

    def test_what_was_watched_before_spoils_no_later_transaction(self):
        first, second = self.connect(), self.connect()
        for _ in range(30):
            first.pipeline([WATCH, ("UNWATCH",)])
            self.assertEqual(second.call("WATCH", "md:b"), "OK")
            first.call("SET", "md:a", 1)
            self.assertEqual(second.pipeline([("MULTI",), ("SET", "md:b", 1), ("EXEC",)])[-1], ["OK"])


class ReserveTest(StackTest):
    config = {"workers": 1, "backend": {"dedicated_connections": 2}}

    def test_those_who_wait_leave_connections_to_transactions(self):
        waiting = [self.connect() for _ in range(4)]
        for number, client in enumerate(waiting):
            client.send("BLPOP", ("md:l", "el:l")[number % 2], 0)
        for bus in self.stack.buses.values():
            wait_for(lambda bus=bus: self.client(bus).info("clients")["blocked_clients"] == 2, "two wait")
        client = self.connect()
        self.assertRegex(client.call("BLPOP", "md:l", 0), "^ERR dualbus: all 2 connections to bus 'marketdata'")
        self.assertEqual(len(client.pipeline([*MIXED, ("EXEC",)])[-1]), 2)
        self.assertEqual(client.pipeline([WATCH, ("MULTI",), ("SET", "md:a", 1), ("EXEC",)])[-1], ["OK"])
        self.assertRegex(client.call("SCRIPT", "KILL"), "^NOTBUSY")
        # Those who watch for long leave some, too.
        watching = [self.connect() for _ in range(2)]
        self.assertEqual([other.call(*WATCH) for other in watching], ["OK", "OK"])
        self.assertRegex(client.call(*WATCH), "^ERR dualbus: all 2 connections to bus 'marketdata'")
        self.assertEqual(len(client.pipeline([*MIXED, ("EXEC",)])[-1]), 2)
        client.pipeline([("RPUSH", "md:l", 1, 2), ("RPUSH", "el:l", 1, 2)])
        self.assertEqual(len([other.read() for other in waiting]), 4)


class NoConnectionTest(StackTest):
    """If no connection may be taken, requests that need none still work."""
    config = {"workers": 1, "backend": {"dedicated_connections": 0}}
    STATES = {
        "nothing": [],
        "a string": [("SET", "k", "v"), ("EXPIRE", "k", 1000)],
        "a stream on one bus": [("XADD", "k", "*", "message_type", "market_data")],
        "a stream on the other": [("XADD", "k", "*", "message_type", "x")],
    }
    REQUESTS = [("DEL", "k"), ("UNLINK", "k", "md:k"), ("EXISTS", "k", "k", "x"), ("TOUCH", "k"), ("TYPE", "k"), ("EXPIRE", "k", 500), ("EXPIRE", "k", 500, "NX"),
                ("PEXPIREAT", "k", 1), ("PERSIST", "k"), ("OBJECT", "ENCODING", "k"), ("OBJECT", "REFCOUNT", "k"), ("EXPIRETIME", "none"), ("TTL", "none"), ("MEMORY", "USAGE", "none")]

    def test_a_transaction_about_keys_of_one_bus_needs_none(self):
        for protocol in (2, 3):
            client = self.connect(protocol)
            for state, preparation in self.STATES.items():
                for request in self.REQUESTS:
                    with self.subTest(state, request=request):
                        seen = []
                        for requests in ([request], [("MULTI",), request, ("EXEC",)]):
                            self.stack.flush()
                            client.pipeline(preparation)
                            reply = client.pipeline(requests)[-1]
                            seen.append([reply] if len(requests) == 1 else reply)
                            seen[-1] = [seen[-1], client.call("TYPE", "k"), client.call("TTL", "k")]
                        self.assertEqual(seen[1], seen[0])

    def test_other_requests_on_one_bus_beside_them_need_none(self):
        client = self.connect()
        self.assertEqual(client.pipeline([("MULTI",), ("INCR", "n"), ("EXPIRE", "n", 100), ("TTL", "n"), ("DEL", "md:gone"), ("EXEC",)])[-1], [1, 1, 100, 0])
        client.call("XADD", "s", "*", "message_type", "market_data")
        replies = client.pipeline([("MULTI",), ("XADD", "s", "*", "message_type", "market_data"), ("EXPIRE", "s", 100), ("TYPE", "s"), ("EXEC",)])[-1]
        self.assertEqual(replies[1:], [1, "stream"])

    def test_a_stream_with_parts_on_both_buses_needs_them_and_says_so(self):
        client = self.connect()
        client.pipeline([("XADD", "s", "*", "message_type", kind) for kind in ("market_data", "x")])
        refusal = "^EXECABORT Transaction discarded because of: ERR dualbus: all 0 connections to bus '.*backend.dedicated_connections"
        self.assertRegex(client.pipeline([("MULTI",), ("DEL", "s"), ("EXEC",)])[-1], refusal)
        self.assertEqual(client.call("XLEN", "s"), 2)
        self.assertRegex(client.pipeline([("MULTI",), ("SET", "n", 1), ("SET", "md:n", 1), ("EXEC",)])[-1], refusal)
        self.assertIsNone(client.call("GET", "n"))

    def test_a_bus_that_cannot_be_asked_ends_the_transaction(self):
        client = self.connect()
        self.stack.marketdata.kill()
        try:
            replies = client.pipeline([("MULTI",), ("INCR", "n"), ("EXPIRE", "n", 100), ("EXEC",), ("GET", "n")])
            self.assertRegex(replies[3], "^EXECABORT Transaction discarded because of: BUS(DOWN|LOST) bus 'marketdata'")
            self.assertIsNone(replies[4])
        finally:
            self.stack.buses[MARKETDATA].start()
            self.await_connections()
        self.assertEqual(self.client(self.stack.buses[ENGINE_LOGIC]).get("n"), None)


if __name__ == "__main__":
    unittest.main()
