"""Client libraries of another language, with their default settings, doing real work over both buses."""
import json
import os
import subprocess
import unittest

from harness import ENGINE_LOGIC, MARKETDATA, PATIENCE, StackTest, stored

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")


class LanguagesTest(StackTest):
    def run_client(self, script, *arguments):
        self.assertTrue(os.path.isdir(os.path.join(CLIENTS, "node_modules")), f"the libraries are missing: npm ci --prefix {CLIENTS}")
        done = subprocess.run(["node", script, str(self.daemon.port), *map(str, arguments)], cwd=CLIENTS, capture_output=True,
                              text=True, timeout=2 * PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr + self.daemon.log()[-2000:])
        return json.loads(done.stdout)

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
        self.assertEqual(self.client(self.stack.marketdata).get("md:t"), b"2", "what was watched had changed")

    def check_transaction(self, seen):
        """Both buses' parts, in order; the last but one is an error of its own."""
        self.assertEqual([stored(entry)[0] for entry in seen[:2]], [MARKETDATA, ENGINE_LOGIC])
        self.assertEqual(seen[2:5] + seen[6:], ["OK", ["1", None], "value", 2])
        self.assertRegex(seen[5], "^WRONGTYPE ")

    def test_ioredis(self):
        seen = self.run_client("ioredis.mjs")
        self.check_streams(seen)
        self.check_keys(seen)
        self.assertIsNone(seen["changed"])
        self.assertEqual(seen["pipelined"][:4], [1, 1, ["1", "ä☃"], 1])
        self.assertRegex(seen["pipelined"][4], "^WRONGTYPE ")
        self.assertEqual(bytes.fromhex(seen["buffer"]).decode(), "ä☃")

    def test_node_redis_in_both_protocols(self):
        for protocol in (2, 3):
            with self.subTest(f"RESP{protocol}"):
                self.stack.flush()
                seen = self.run_client("node_redis.mjs", protocol)
                self.check_streams(seen)
                self.check_keys(seen)
                self.assertEqual(seen["changed"], "WatchError")
                self.assertEqual((seen["score"], seen["ping"]), (1.5, "PONG"))
                self.assertGreater(seen["clientId"], 0)


if __name__ == "__main__":
    unittest.main()
