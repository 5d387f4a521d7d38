"""DUALBUS: the daemon explains to operators what it does."""
import hashlib
import json
import random
import subprocess
import unittest
import urllib.parse

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, Stack, StackTest, merge, wait_for


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
        self.assertEqual(self.client.call("DUALBUS", "SHOW", "NOSUCH"), "ERR SHOW knows BUSES, CLIENTS, CONFIG, ENGINES, PARKED, POOLS, RULES, TYPES and VERSION")
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
        self.assertEqual(lines[0], ["matched", "pattern", "bus", "messages", "messages_1s", "messages_10s", "messages_60s"])
        self.assertIn(["type", "'market_*'", MARKETDATA], [line[:3] for line in lines])
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


class ShowTest(StackTest):
    """Tables, and the same ones as JSON."""
    config = {"workers": 2}

    def setUp(self):
        super().setUp()
        self.maps = self.connect(3)

    def show(self, what):
        return [{name.decode(): value.decode() if isinstance(value, bytes) else value for name, value in row.items()}
                for row in self.maps.call("DUALBUS", "SHOW", what)]

    def api(self, page):
        status, text = self.daemon.fetch("/api/v1/" + page)
        return status, json.loads(text)

    def await_row(self, what, fits):
        """The first row that fits, once there is one; the API has such a row, too."""
        found = []

        def there():
            found[:] = [row for row in self.show(what) if fits(row)]
            return found

        wait_for(there, f"a row of {what}")
        wait_for(lambda: any(fits({name: str(value) if isinstance(value, float) else value for name, value in row.items()})
                             for row in self.api(what)[1]), f"a row of {what} in the API")
        return found[0]

    def publish(self, engine, message_type, count):
        client = self.connect()
        self.assertEqual(client.call("CLIENT", "SETNAME", engine), "OK")
        for _ in range(count):
            self.assertIsInstance(client.call("XADD", "shown", "*", "message_type", message_type), bytes)
        return client

    def test_rates_of_types_engines_and_rules(self):
        client = self.publish("loud", "risk_loud", 90)
        for number in range(9):
            client.call("GET", "shown")  # WRONGTYPE
        row = self.await_row("types", lambda row: row["type"] == "risk_loud" and float(row["messages_10s"]) > 0)
        self.assertEqual((row["bus"], row["messages"]), (ENGINE_LOGIC, 90))
        row = self.await_row("engines", lambda row: row["engine"] == "loud" and float(row["failed_10s"]) > 0)
        self.assertEqual((row["connections"], row["address"]), (1, "127.0.0.1"))
        self.assertGreater(float(row["requests_10s"]), float(row["failed_10s"]))
        row = self.await_row("rules", lambda row: row["pattern"] == "'risk_*'" and float(row["messages_10s"]) > 0)
        self.assertGreaterEqual(row["messages"], 90)

    def test_buses_and_pools(self):
        self.publish("loud", "risk_buses", 20)
        row = self.await_row("buses", lambda row: row["bus"] == ENGINE_LOGIC and row["p99_10s_ms"] is not None)
        self.assertEqual((row["health"], row["anchor"], row["endpoint"]), ("up", "yes", self.stack.engine_logic.endpoint))
        self.assertGreater(float(row["p99_10s_ms"]), 0)
        self.assertLessEqual(float(row["p50_10s_ms"]), float(row["p99_10s_ms"]))
        row = self.await_row("pools", lambda row: row["bus"] == MARKETDATA and row["up"] >= 2)  # two workers
        self.assertEqual(row["disconnected"], 0)

    def test_the_configuration_that_holds(self):
        values = {row["key"]: row["value"] for row in self.show("config")}
        self.assertEqual((values["workers"], values["limits.max_clients"]), ("2", "10000"))
        self.assertEqual(values[f"buses.{MARKETDATA}.endpoint"], f"'{self.stack.marketdata.endpoint}'")
        self.assertEqual(self.api("config")[1], self.show("config"))

    def test_clients_and_those_that_wait(self):
        waiting = self.connect()
        self.assertEqual(waiting.call("CLIENT", "SETNAME", "patient"), "OK")
        number = waiting.call("CLIENT", "ID")
        address = dict(pair.split("=", 1) for pair in waiting.call("CLIENT", "INFO").decode().split())["addr"]
        waiting.send("XREAD", "BLOCK", "0", "STREAMS", "waited for", "$")
        row = self.await_row("parked", lambda row: row["id"] == number)
        self.assertEqual((row["engine"], row["request"]), ("patient", "XREAD STREAMS waited for $"))
        row = self.await_row("clients", lambda row: row["id"] == number)
        self.assertEqual((row["name"], row["cmd"], row["owed"]), ("patient", "xread", 1))
        self.assertEqual(row["address"], address)
        with self.daemon.client() as other:
            other.xadd("waited for", {"a": "b"})
        self.assertIsNotNone(waiting.read())
        wait_for(lambda: self.show("parked") == [], "nobody waits any more")

    def test_more_clients_than_one_turn_describes(self):
        for _ in range(230):
            self.connect()
        before = self.connect()
        before.call("PING")
        wait_for(lambda: len(self.show("clients")) >= 232, "all clients")
        numbers = [row["id"] for row in self.show("clients")]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(sorted(row["id"] for row in self.api("clients")[1]), numbers)

    def test_an_engine_is_sent_away(self):
        bad, good = self.publish("bad", "risk_bad", 1), self.publish("good", "risk_good", 1)
        others = [self.connect() for _ in range(20)]
        for other in others:
            other.call("CLIENT", "SETNAME", "bad")
        self.maps.call("CLIENT", "SETNAME", "bad")  # it stays, since it asks
        self.assertEqual(self.maps.call("DUALBUS", "KILL", "ENGINE", "bad"), 21)
        for client in (bad, *others):
            self.assertTrue(client.is_closed())
        self.assertEqual(good.call("PING"), "PONG")
        self.assertEqual(self.maps.call("DUALBUS", "KILL", "ENGINE", "bad"), 0)
        self.assertEqual(self.maps.call("DUALBUS", "KILL", "CLIENT", "bad"), "ERR KILL knows ENGINE")

    def test_the_api_explains(self):
        words = ["XADD", "el:a b", "*", "message_type", "odd & \u00e9"]
        query = "&".join("arg=" + urllib.parse.quote(word) for word in words)
        said = self.api("explain?" + query)[1]
        lines = {name.decode(): value.decode() for name, value in self.maps.call("DUALBUS", "EXPLAIN", *words).items()}
        lines.pop("permission")  # nobody asks as a user
        lines["bus"] = lines["bus"].split(",")[0]
        said["bus"] = said["bus"].split(",")[0]
        self.assertEqual(said, lines)
        typed = self.api("explain?command=" + urllib.parse.quote('XADD "el:a b" * message_type "odd & \u00e9"'))[1]
        typed["bus"] = typed["bus"].split(",")[0]
        self.assertEqual(typed, said)
        several = self.api("explain?command=MGET+el:a+el:b")[1]
        self.assertEqual(len(several["key"]), 2)

    def test_the_api_says_what_is_wrong(self):
        for page, text in (("explain", "arg=WORD"), ("explain?command=NOSUCH", "unknown command"), ("explain?command=GET+%22a", "arg=WORD"),
                           ("history?after=yesterday", "Unix time")):
            status, said = self.api(page)
            self.assertEqual(status, 400)
            self.assertIn(text, said["error"])
        self.assertEqual(self.daemon.fetch("/api/v1/nosuch")[0], 404)
        self.assertIn("wrong number of arguments", self.api("explain?arg=GET")[1]["sent"])

    def test_the_history_grows_by_what_is_new(self):
        self.publish("loud", "risk_history", 5)
        first = self.api("history")[1]
        self.assertEqual(first["buses"], [MARKETDATA, ENGINE_LOGIC])
        wait_for(lambda: {"bus": ENGINE_LOGIC, "type": "risk_history"} in self.api("history")[1]["types"], "the type")
        last = first["points"][-1]["time"]
        wait_for(lambda: self.api(f"history?after={last}")[1]["points"], "a new point")
        for point in self.api(f"history?after={last}")[1]["points"]:
            self.assertGreater(point["time"], last)
            self.assertEqual([len(bus) for bus in point["buses"]], [5, 5])


class NobodyTest(StackTest):
    def test_a_daemon_without_clients_has_empty_tables(self):
        for table in ("clients", "engines", "parked"):
            self.assertEqual(self.daemon.fetch("/api/v1/" + table), (200, "[]\n"))


class DrainTest(unittest.TestCase):
    def test_it_drains(self):
        stack = Stack({"limits": {"drain_delay": "1s"}})
        self.addCleanup(stack.end)
        client = resp.Connection(stack.daemon.address)
        self.addCleanup(client.close)
        self.assertEqual(client.call("DUALBUS", "DRAIN"), "OK")
        wait_for(lambda: stack.daemon.fetch("/readyz")[0] == 503, "it says that it drains")
        self.assertEqual(client.call("SET", "el:a", "b"), "OK")  # served as before
        wait_for(lambda: not stack.daemon.running(), "its end")


class LogTest(StackTest):
    def test_the_level_of_the_log_holds_until_the_next_reload(self):
        client = self.connect()
        self.assertEqual(client.call("DUALBUS", "LOG", "LEVEL"), "info")
        self.assertEqual(client.call("DUALBUS", "LOG", "LEVEL", "Error"), "OK")
        self.assertEqual(client.call("DUALBUS", "LOG", "LEVEL"), "error")
        client.call("DUALBUS", "RELOAD")
        wait_for(lambda: client.call("DUALBUS", "LOG", "LEVEL") == "info", "the file's level")
        self.assertRegex(client.call("DUALBUS", "LOG", "LEVEL", "loud"), "^ERR the levels are trace, ")
        self.assertEqual(client.call("DUALBUS", "LOG", "FILE"), "ERR LOG knows LEVEL")


class ReloadTest(StackTest):
    def write(self, changes):
        with open(self.daemon.config_path, "w", encoding="utf-8") as file:
            json.dump(merge(self.stack.config, changes), file)

    def test_a_reload_says_what_it_changes(self):
        client = self.connect()
        self.addCleanup(self.write, {})
        self.assertEqual(client.call("DUALBUS", "RELOAD", "CHECK"), ["nothing is different"])
        self.write({"limits": {"max_clients": 777}, "routing": {"types": {MARKETDATA: ["market_data", "price_update", "tick"]}}})
        said = client.call("DUALBUS", "RELOAD", "CHECK")
        self.assertTrue([line for line in said if line.startswith("limits.max_clients: ") and line.endswith("-> 777")], said)
        self.assertTrue([line for line in said if "'tick'" in line], said)
        self.assertEqual(client.call("CONFIG", "GET", "maxclients")[1], b"10000")  # only looked at
        self.assertEqual(client.call("DUALBUS", "RELOAD"), ["the reload has begun; the log says how it ends", *said])
        wait_for(lambda: client.call("CONFIG", "GET", "maxclients")[1] == b"777", "the change")
        self.write({"workers": 2})
        self.assertTrue([line for line in client.call("DUALBUS", "RELOAD", "CHECK") if line.startswith("new workers are started")])

    def test_a_file_with_mistakes_changes_nothing(self):
        client = self.connect()
        self.addCleanup(self.write, {})
        self.write({"routing": {"default_bus": "nosuch"}, "limits": {"max_clients": "many"}})
        said = client.call("DUALBUS", "RELOAD", "CHECK")
        self.assertEqual(len(said), 2)
        self.assertRegex(said[0], r":1:\d+: (routing|limits)")
        self.assertRegex(client.call("DUALBUS", "RELOAD"), r"^ERR the configuration has 2 mistake\(s\), nothing was changed: ")
        self.assertEqual(client.call("DUALBUS", "RELOAD", "NOW"), "ERR RELOAD knows CHECK")
        self.assertEqual(client.call("PING"), "PONG")


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
