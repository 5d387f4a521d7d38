"""DUALBUS: the daemon explains to operators what it does."""
import hashlib
import json
import random
import subprocess
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for


class ConsoleTest(StackTest):
    config = {"routing": {"types": {MARKETDATA: ["market_*", "tick"], ENGINE_LOGIC: ["order_*"]}, "json_fields": ["data"]}}

    def setUp(self):
        super().setUp()
        self.client, self.maps = self.connect(), self.connect(3)

    def explain(self, *request):
        return {name.decode(): value for name, value in self.maps.call("DUALBUS", "EXPLAIN", *request).items()}

    def test_an_explanation_is_true(self):
        """Each message lies on the bus that the explanation named before it was sent."""
        pick = random.Random(17)
        buses = {MARKETDATA: self.client_of(self.stack.marketdata), ENGINE_LOGIC: self.client_of(self.stack.engine_logic)}
        types = ["market_data", "tick", "order_request", "order_x", "nobody_knows", ""]
        for number in range(60):
            key = pick.choice(["md:", "el:", "s:"]) + str(number)
            name = pick.choice(types)
            field = pick.choice([("message_type", name), ("data", json.dumps({"message_type": name})), ("other", name)])
            request = ("XADD", key, "*", *field)
            said = self.explain(*request)["bus"].decode()
            self.assertIsInstance(self.client.call(*request), bytes)
            [where] = [bus for bus, client in buses.items() if client.exists(key)]
            self.assertTrue(said.startswith(f"'{where}' at "), (request, said, where))

    def client_of(self, bus):
        client = bus.client()
        self.addCleanup(client.close)
        return client

    def test_nothing_is_sent_or_counted(self):
        before = self.daemon.metrics()
        self.assertEqual(self.explain("XADD", "s", "*", "message_type", "tick")["type"], b"'tick', in the field 'message_type'")
        after = self.daemon.metrics()
        self.assertEqual(self.client.call("EXISTS", "s"), 0)
        name = "dualbus_messages_total"
        self.assertEqual([line for line in before.text.splitlines() if line.startswith(name)], [line for line in after.text.splitlines() if line.startswith(name)])

    def test_requests_that_nobody_could_send(self):
        self.assertEqual(self.client.call("DUALBUS", "EXPLAIN", "NOSUCH"), "ERR Invalid command specified")
        self.assertIn(b"wrong number of arguments", self.explain("GET")["sent"])
        self.assertEqual(self.client.call("DUALBUS", "EXPLAIN"), "ERR wrong number of arguments for 'dualbus|explain' command")
        self.assertEqual(self.client.call("DUALBUS", "SHOW", "NOSUCH"), "ERR SHOW knows BUSES, RULES and VERSION")
        self.assertRegex(self.client.call("DUALBUS", "NOSUCH"), "^ERR unknown subcommand 'NOSUCH'. Try DUALBUS HELP.")

    def test_within_a_transaction(self):
        self.assertEqual(self.client.call("MULTI"), "OK")
        self.assertEqual(self.client.call("DUALBUS", "SHOW", "VERSION"), "QUEUED")
        self.assertEqual(self.client.call("GET", "k"), "QUEUED")
        version, value = self.client.call("EXEC")
        self.assertTrue(version[0].startswith("version: "), version)
        self.assertIsNone(value)

    def test_people_read_lines(self):
        run = subprocess.run(["redis-cli", "-p", str(self.daemon.port), "DUALBUS", "SHOW", "RULES"], capture_output=True, text=True, check=True)
        lines = [line.split() for line in run.stdout.splitlines()]
        self.assertEqual(lines[0], ["matched", "pattern", "bus"])
        self.assertIn(["type", "'market_*'", MARKETDATA], lines)
        self.assertEqual(lines[-1][:3], ["any", "other", "key"])

    def test_a_bus_that_is_down_is_shown(self):
        def health():
            return {row[b"bus"].decode(): row[b"health"] for row in self.maps.call("DUALBUS", "SHOW", "BUSES")}

        self.assertEqual(health(), {MARKETDATA: b"up", ENGINE_LOGIC: b"up"})
        self.stack.marketdata.kill()
        self.addCleanup(self.stack.marketdata.start)
        wait_for(lambda: health()[MARKETDATA] == b"disconnected", "it is seen to be down")
        self.assertEqual(health()[ENGINE_LOGIC], b"up")
        self.assertIn(b"no connection", self.explain("GET", "md:k")["bus"].replace(b"is not connected", b"no connection"))

    def test_the_version_is_the_one_of_info(self):
        version = {name.decode(): value.decode() for name, value in self.maps.call("DUALBUS", "SHOW", "VERSION").items()}
        info = self.client.call("INFO", "server").decode()
        self.assertIn(f"run_id:{version['run_id']}\r\n", info)
        self.assertIn(f"process_id:{version['process_id']}\r\n", info)


class ConsoleRightsTest(StackTest):
    config = {"auth": {"users": {
        "engine": {"password_hashes": [hashlib.sha256(b"e").hexdigest()], "commands": ["+@all", "-@admin"], "keys": ["a:*"]},
        "operator": {"password_hashes": [hashlib.sha256(b"o").hexdigest()], "commands": ["+@all"], "keys": ["a:*"]}}}}

    def test_it_is_for_administrators(self):
        with resp.Connection(self.daemon.address) as engine, resp.Connection(self.daemon.address) as operator:
            self.assertEqual(engine.call("DUALBUS", "SHOW", "BUSES"), "NOAUTH Authentication required.")
            self.assertEqual((engine.call("AUTH", "engine", "e"), operator.call("AUTH", "operator", "o")), ("OK", "OK"))
            for request in (("SHOW", "BUSES"), ("EXPLAIN", "GET", "a:k")):
                self.assertRegex(engine.call("DUALBUS", *request), "^NOPERM ")
                self.assertIsInstance(operator.call("DUALBUS", *request), list)
            said = operator.call("DUALBUS", "EXPLAIN", "GET", "b:k")
            self.assertTrue([line for line in said if line.startswith("permission: NOPERM ")], said)

    def test_passwords_within_an_explanation_are_not_kept(self):
        with resp.Connection(self.daemon.address) as operator, resp.Connection(self.daemon.address) as watching:
            for client in (operator, watching):
                self.assertEqual(client.call("AUTH", "operator", "o"), "OK")
            self.assertEqual(watching.call("MONITOR"), "OK")
            operator.call("DUALBUS", "EXPLAIN", "AUTH", "engine", "t0psecret")
            operator.call("ECHO", "end")
            seen = ""
            while '"end"' not in seen:
                seen += watching.read()
            self.assertNotIn("t0psecret", seen)


if __name__ == "__main__":
    unittest.main()
