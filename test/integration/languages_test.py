"""Client libraries of another language, with their default settings, doing real work over both buses."""
import json
import os
import unittest

from support.client_programs import CLIENTS, ClientTest
from support.harness import ENGINE_LOGIC, MARKETDATA, stored


class LanguagesTest(ClientTest):
    def same_as_at_one_redis(self, command, *refused):
        """Runs the same against one bus without the daemon, and with it; both must show the same."""
        expected = command(self.stack.engine_logic.port)
        self.stack.flush()
        self.assertEqual(command(self.daemon.port), expected)
        self.assert_nothing_refused(*refused)

    def check_streams(self, seen):
        """400 messages, of market_data and order_request in turn."""
        self.assertEqual(len(seen["ids"]), 400)
        self.assertEqual([stored(entry)[0] for entry in seen["ids"]], [ENGINE_LOGIC, MARKETDATA] * 200)
        expected = {entry: ["message_type", ("order_request", "market_data")[number % 2], "n", str(number)] for number, entry in enumerate(seen["ids"])}
        in_order = sorted(expected, key=lambda text: tuple(map(int, text.split("-"))))
        self.assertEqual(seen["range"], [[entry, expected[entry]] for entry in in_order])
        self.assertEqual(seen["reversed"], in_order[:-4:-1])
        self.assertEqual((seen["length"], seen["deleted"]), (400, 2))
        for bus, server in self.stack.buses.items():
            there = [entry.decode() for entry, _ in self.client(server).xrange("s")]
            self.assertEqual(there, [stored(entry)[1] for entry in in_order if stored(entry)[0] == bus and entry not in seen["ids"][:2]])

    def check_keys(self, seen):
        self.assertEqual(seen["mget"], ["1", "ä☃", None])
        self.assertEqual(seen["hash"], {"field": "value", "other": "2"})
        self.assertEqual(seen["exists"], 3)
        self.assertTrue(seen["info"])
        self.check_transaction(seen["transaction"])
        self.assertEqual(self.client(self.stack.marketdata).get("md:a"), b"1")
        self.assertEqual(self.client(self.stack.marketdata).get("md:t"), b"2", "the watched key had changed")

    def check_transaction(self, seen):
        """Both buses' parts, in order; the last but one is an error of its own."""
        self.assertEqual([stored(entry)[0] for entry in seen[:2]], [MARKETDATA, ENGINE_LOGIC])
        self.assertEqual(seen[2:5] + seen[6:], ["OK", ["1", None], "value", 2])
        self.assertRegex(seen[5], "^WRONGTYPE ")

    def test_ioredis(self):
        for library in ("ioredis", "ioredis-5"):
            with self.subTest(library):
                self.stack.flush()
                seen = self.run_node("ioredis.mjs", self.daemon.port, library)
                self.check_streams(seen)
                self.check_keys(seen)
                self.assertIsNone(seen["changed"])
                self.assertEqual(seen["pipelined"][:4], [1, 1, ["1", "ä☃"], 1])
                self.assertRegex(seen["pipelined"][4], "^WRONGTYPE ")
                self.assertEqual(bytes.fromhex(seen["buffer"]).decode(), "ä☃")

    def test_node_redis_in_both_protocols(self):
        for library, protocol in (("redis-5", 2), ("redis-5", 3), ("redis", 0)):
            with self.subTest(f"{library}, RESP{protocol}"):
                self.stack.flush()
                seen = self.run_node("node_redis.mjs", self.daemon.port, library, protocol)
                self.check_streams(seen)
                self.check_keys(seen)
                self.assertEqual(seen["changed"], "WatchError")
                self.assertEqual((seen["score"], seen["ping"]), (1.5, "PONG"))
                self.assertGreater(seen["clientId"], 0)

    def test_subscribers_scripts_scans_and_waiting_of_ioredis(self):
        self.same_as_at_one_redis(lambda port: self.run_node("ioredis_work.mjs", port, "ioredis"))

    def test_subscribers_scripts_scans_and_waiting_of_node_redis(self):
        # CLIENT MAINT_NOTIFICATIONS, which it does without.
        self.same_as_at_one_redis(lambda port: self.run_node("node_redis_work.mjs", port, "redis"), "client")

    def test_ruby(self):
        script = os.path.join(CLIENTS, "ruby_client.rb")
        self.same_as_at_one_redis(lambda port: json.loads(self.run_program(["ruby", script, str(port)])))


if __name__ == "__main__":
    unittest.main()
