"""Buses that change their place while clients wait there, on connections of their own (R1). See docs/invariants.md."""
import threading
import time
import unittest

from changed_places_test import ChangingTest
from support.harness import MARKETDATA, make_config, wait_for


class WaitingTest(ChangingTest):
    """Clients that wait at the old place, on connections of their own, when the bus moves."""

    WAITS = ((("BLPOP", "md:1", 0), ("RPUSH", "md:1", "v"), [b"md:1", b"v"]), (("BRPOP", "md:none", "md:2", 0), ("RPUSH", "md:2", "v"), [b"md:2", b"v"]),
             (("BLMOVE", "md:3", "md:to", "LEFT", "RIGHT", 0), ("RPUSH", "md:3", "v"), b"v"), (("BRPOPLPUSH", "md:4", "md:to", 0), ("RPUSH", "md:4", "v"), b"v"),
             (("BLMPOP", 0, 2, "md:none", "md:5", "LEFT"), ("RPUSH", "md:5", "v"), [b"md:5", [b"v"]]), (("BZPOPMIN", "md:6", 0), ("ZADD", "md:6", 1, "v"), [b"md:6", b"v", b"1"]),
             (("BZMPOP", 0, 1, "md:7", "MAX"), ("ZADD", "md:7", 1, "v"), [b"md:7", [[b"v", b"1"]]]))

    def blocked(self, server, count):
        with server.client() as client:
            wait_for(lambda: client.info("clients")["blocked_clients"] == count, f"{count} wait at {server.name}")

    def nobody_is_left_at(self, server, address=""):
        wait_for(lambda: not self.connections(server, address or server.endpoint), "the old place has no connection any more")

    def test_R1_blpop_and_its_kin_wait_on_at_the_new_place(self):
        # As many connections as there are waits: none lacks one because of the move.
        self.start({"backend": {"dedicated_connections": len(self.WAITS)}})
        readers = [self.connect() for _ in self.WAITS]
        for reader, (request, _, _) in zip(readers, self.WAITS):
            reader.send(*request)
        self.blocked(self.marketdata, len(self.WAITS))
        successor = self.replica_of(self.marketdata, "successor")
        successor.client().replicaof("NO", "ONE")
        self.move(MARKETDATA, successor.endpoint)
        self.blocked(successor, len(self.WAITS))
        self.nobody_is_left_at(self.marketdata)
        for reader, (_, push, answer) in zip(readers, self.WAITS):
            successor.client().execute_command(*push)
            self.assertEqual(reader.read(), answer)
            self.assertEqual(reader.call("PING"), "PONG")

    def test_R1_a_wait_keeps_its_time_and_can_be_ended_after_a_move(self):
        self.start()
        short, unblocked, gone, admin = (self.connect() for _ in range(4))
        number = unblocked.call("CLIENT", "ID")
        begun = time.monotonic()
        for client, limit in ((short, 3), (unblocked, 0), (gone, 0)):
            client.send("BLPOP", "md:k", limit)
        self.blocked(self.marketdata, 3)
        self.move(MARKETDATA, self.marketdata.unix_socket)
        self.nobody_is_left_at(self.marketdata)
        self.blocked(self.marketdata, 3)
        self.assertEqual(admin.call("CLIENT", "UNBLOCK", number), 1)
        self.assertIsNone(unblocked.read())
        gone.close()
        self.blocked(self.marketdata, 1)
        self.assertIsNone(short.read())
        self.assertGreaterEqual(time.monotonic() - begun, 3)
        self.assertLess(time.monotonic() - begun, 5)

    def test_R1_no_element_is_lost_or_popped_twice_while_a_bus_moves_between_addresses_of_its_redis(self):
        self.start()
        stop, popped, errors = threading.Event(), [], []

        def pop(client, which):
            while not stop.is_set():
                answer = client.call("BLPOP", f"md:{which % 2}", 0) if which < 4 else client.call("BLMOVE", "md:0", "md:1", "LEFT", "RIGHT", "0.05")
                if isinstance(answer, str):
                    errors.append(answer)
                elif which < 4 and answer[1] != b"end":
                    popped.append(int(answer[1]))
        threads = [threading.Thread(target=pop, args=(self.connect(protocol=2 + which % 2), which), daemon=True) for which in range(6)]
        for thread in threads:
            thread.start()
        through, directly, pushed = self.connect(), self.marketdata.client(), 0
        for endpoint in 2 * (self.marketdata.unix_socket, self.marketdata.endpoint):
            mover = threading.Thread(target=self.move, args=(MARKETDATA, endpoint))
            mover.start()
            until = pushed + 300
            while mover.is_alive() or pushed < until:
                through.call("RPUSH", f"md:{pushed % 2}", pushed)
                directly.rpush(f"md:{pushed % 3 % 2}", pushed + 1)
                pushed += 2
        wait_for(lambda: len(popped) >= pushed, "everything is popped")
        stop.set()
        while any(thread.is_alive() for thread in threads):
            directly.rpush("md:0", "end")
            directly.rpush("md:1", "end")
            threads[0].join(0.05)
        self.assertEqual(errors, [])
        self.assertEqual(sorted(popped), list(range(pushed)))

    def test_R1_what_was_watched_at_the_old_place_counts_as_changed(self):
        self.start()
        client = self.connect()
        self.assertEqual(client.call("WATCH", "md:k"), "OK")
        successor = self.redis("successor")
        self.move(MARKETDATA, successor.endpoint)
        self.nobody_is_left_at(self.marketdata)
        self.assertEqual(client.pipeline((("MULTI", ), ("SET", "md:k", 1), ("EXEC", ))), ["OK", "QUEUED", None])
        self.assertEqual(client.pipeline((("WATCH", "md:k"), ("MULTI", ), ("SET", "md:k", 2), ("EXEC", ))), ["OK", "OK", "QUEUED", ["OK"]])
        self.assertEqual((self.marketdata.client().get("md:k"), successor.client().get("md:k")), (None, b"2"))

    def test_R1_wait_asks_the_new_place(self):
        self.replica_of(self.engine_logic, "replica")
        successor = self.redis("successor")
        self.replica_of(successor, "replica-of-successor")
        self.start()
        client = self.connect()
        client.send("WAIT", 1, 0)
        self.blocked(self.marketdata, 1)
        self.move(MARKETDATA, successor.endpoint)
        self.assertEqual(client.read(), 1)

    def test_R1_reads_that_wait_in_the_bus_itself_go_along(self):
        self.config = make_config({MARKETDATA: self.marketdata.endpoint}, {"anchor": None, "routing": None, "buses": {MARKETDATA: {"id_slot": 0}}})
        self.start({"server_commands": "passed"})
        reader, latest = self.connect(), self.connect()
        reader.send("XREAD", "BLOCK", 0, "STREAMS", "md:s", "0")
        latest.send("XREAD", "BLOCK", 0, "STREAMS", "md:s", "$")
        self.blocked(self.marketdata, 2)
        successor = self.redis("successor")
        self.move(MARKETDATA, successor.endpoint)
        self.assertIsNone(latest.read(), "`$` would mean something else there: as if its time were over")
        self.blocked(successor, 1)
        successor.client().xadd("md:s", {"n": "1"})
        self.assertEqual(reader.read()[0][1][0][1], [b"n", b"1"])


if __name__ == "__main__":
    unittest.main()
