"""Keys that a reload leads to another bus while somebody waits for them, or watches them, where they were."""
import unittest

from support.harness import ENGINE_LOGIC, StackTest, merge, wait_for
from support.resp import encode

MOVED = {"routing": {"keys": [{"match": "md:*", "bus": ENGINE_LOGIC}, {"match": "el:*", "bus": ENGINE_LOGIC}]}}
PUSH, ADD = ("RPUSH", "md:q", "job"), ("XADD", "md:st", "*", "field", "entry")
WAITING = [(("BLPOP", "md:q", 0), PUSH), (("BLMOVE", "md:q", "md:done", "LEFT", "RIGHT", 0), PUSH),
           (("XREAD", "BLOCK", 0, "STREAMS", "md:st", "$"), ADD), (("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "md:st", ">"), ADD)]


class MovedKeysTest(StackTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.daemon.reload, self.stack.config)

    def move(self):
        self.daemon.reload(merge(self.stack.config, MOVED))

    def test_who_waits_is_served_from_the_new_bus_or_told_to_ask_again(self):
        for request, push in WAITING:
            for protocol in (2, 3):
                self.check_waiting(request, push, protocol)

    def test_who_waits_behind_an_earlier_request_is_told_as_well(self):
        patient = merge(self.stack.config, {"routing": {"moved_streams": "allowed"}, "backend": {"request_timeout": "1m", "health_timeout": "5m"}})
        self.daemon.reload(patient)
        reader, other = self.connect(), self.connect()
        self.stack.engine_logic.pause()
        try:
            reader.send_raw(encode("GET", "el:k") + encode("XREAD", "BLOCK", 0, "STREAMS", "md:st", "$"))
            wait_for(lambda: b"blocked_clients:1\r\n" in other.call("INFO", "clients"), "it waits")
            self.daemon.reload(merge(patient, MOVED))
        finally:
            self.stack.engine_logic.proceed()
        self.assertEqual([reader.read(), reader.read()], [None, None])

    def check_waiting(self, request, push, protocol):
        self.daemon.reload(self.stack.config)
        self.stack.flush()
        for bus in self.stack.buses.values():
            self.client(bus).xgroup_create("md:st", "g", mkstream=True)
        reader, other = self.connect(protocol), self.connect()
        reader.send(*request)
        wait_for(lambda: b"blocked_clients:1\r\n" in other.call("INFO", "clients"), "it waits")
        self.move()
        other.call(*push)
        reply = reader.read()
        if reply is None:
            reader.send(*request)
            reader.socket.settimeout(0.05)

            def served():
                other.call(*push)
                try:
                    return reader.read()
                except TimeoutError:
                    return None

            reply = wait_for(served, "the wait is served")
        self.assertIn(push[-1].encode(), str(reply).encode(), request)
        self.assertNotIsInstance(reply, str, request)
        reader.close()

    def test_who_watches_does_not_miss_what_others_change_on_the_new_bus(self):
        for queueing in (False, True):
            client, other = self.connect(), self.connect()
            self.daemon.reload(self.stack.config)
            other.call("SET", "md:k", "old")
            self.assertEqual(client.call("WATCH", "md:k"), "OK")
            if queueing:
                client.call("MULTI")
            self.move()
            self.assertEqual(other.call("SET", "md:k", "other"), "OK")
            requests = [("SET", "md:k", "mine"), ("EXEC",), ("GET", "md:k")]
            if not queueing:
                requests.insert(0, ("MULTI",))
            self.assertEqual(client.pipeline(requests)[-2:], [None, b"other"])
            # With that the matter is closed.
            self.assertEqual(client.pipeline([("MULTI",), ("SET", "md:k", "mine"), ("EXEC",)])[-1], ["OK"])

    def test_who_waits_for_keys_that_stay_is_not_disturbed(self):
        other = self.connect()
        readers = [self.connect(), self.connect(3)]
        for reader, request in zip(readers, (("BLPOP", "el:q", 0), ("XREAD", "BLOCK", 0, "STREAMS", "el:st", "$"))):
            reader.send(*request)
        wait_for(lambda: b"blocked_clients:2\r\n" in other.call("INFO", "clients"), "they wait")
        self.move()
        self.assertIn(b"blocked_clients:2\r\n", other.call("INFO", "clients"))
        other.call("RPUSH", "el:q", "job")
        entry = other.call("XADD", "el:st", "*", "a", "b")
        self.assertEqual([reader.read() for reader in readers], [[b"el:q", b"job"], {b"el:st": [[entry, [b"a", b"b"]]]}])


if __name__ == "__main__":
    unittest.main()
