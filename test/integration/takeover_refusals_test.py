"""The checks that deploy/takeover.sh makes before it changes anything, and that everything is as before when it cannot go on."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest

import yaml

from support import resp
from support.harness import ROOT, wait_for
from support.servers import daemon_program
from support.takeover_stack import IdleStack

sys.path.insert(0, os.path.join(ROOT, "deploy", "takeover"))
import tool  # noqa: E402 pylint: disable=wrong-import-position


class RefusalTest(IdleStack):
    def test_a_dry_run_changes_nothing(self):
        self.assertIn("Nothing was changed.", self.run_script("--dry-run"))
        self.assertFalse(os.path.exists(self.state))
        self.unchanged()

    def test_ports_must_be_free(self):
        for port, option in ((self.new_port, "port"), (self.admin_port, "the admin port")):
            with socket.create_server(("127.0.0.1", port)):
                self.assertRegex(self.run_script(status=1), f"{option} {port} is taken")
        self.unchanged()

    def test_the_program_must_be_the_daemon(self):
        self.refused("is no dualbusd", daemon="/bin/true")

    def test_the_buses_must_answer_and_be_empty(self):
        self.marketdata.kill()
        self.refused("bus 'marketdata' at .* does not answer")
        self.marketdata.start()
        with self.marketdata.client() as bus:
            bus.set("left", "over")
        self.refused("objection: bus 'marketdata' holds 1 key;")

    def test_the_configuration_must_be_accepted(self):
        self.change_config(lambda config: config["listen"].update(backlog=0))
        self.refused("listen.backlog: must be between")
        self.change_config(lambda config: config["listen"].update(backlog=5))
        self.change_config(lambda config: config["buses"].update(main={"id_slot": 9, "endpoint": "127.0.0.1:1"}))
        self.refused("there is a bus 'main' already")

    def test_a_redis_that_may_not_change_its_port_is_left_alone(self):
        with self.old.client() as old:
            old.execute_command("ACL", "SETUSER", "default", "-config|set")
            self.refused("CONFIG SET port is not permitted: NOPERM")
            old.execute_command("ACL", "SETUSER", "default", "+config|set")

    def test_so_is_one_that_may_not_lose_its_clients(self):
        with self.old.client() as old:
            for command, rule in (("CLIENT KILL", "client|kill"), ("CLIENT PAUSE", "client|pause"), ("CLIENT LIST", "client|list")):
                old.execute_command("ACL", "SETUSER", "default", "-" + rule)
                self.refused(command + " is not permitted: NOPERM")
                old.execute_command("ACL", "SETUSER", "default", "+" + rule)

    def test_the_old_redis_is_no_bus(self):
        self.change_config(lambda config: config["buses"]["marketdata"].update(endpoint="unix:" + self.old.unix_socket))
        self.refused("bus 'marketdata' is the old Redis itself", "--force")

    def test_what_the_daemon_refuses_is_an_objection(self):
        for request in ("MULTI", "EXEC", "SCRIPT EXISTS x", "MOVE nosuch 1", "SWAPDB 0 0", "PUBLISH c m"):
            self.client.call(*request.split())
        self.refused("objection: (?=.*move=1).*swapdb=1")
        self.assertIn("objection: ", self.run_script("--dry-run", "--force"))
        self.unchanged()

    def test_so_are_pinned_keys_other_databases_passwords_and_the_unix_socket(self):
        self.change_config(lambda config: config["routing"].update(keys=[{"match": "md:*", "bus": "marketdata"}]))
        other = self.old.connect()
        self.addCleanup(other.close)
        other.call("SELECT", 3)
        other.call("SET", "k", "v")
        local = resp.Connection(self.old.unix_socket)
        self.addCleanup(local.close)
        local.call("PING")
        text = self.run_script(status=1)
        for reason in ("routing.keys pins keys", "other databases than 0 hold keys (db3: 1)", "clients use database 3:", "clients use its Unix socket",
                       "4 objections, nothing was changed"):
            self.assertIn(reason, text)
        self.unchanged()

    def test_so_is_a_replica(self):
        replica = self.start_redis("replica")
        with replica.client() as client:
            client.replicaof("127.0.0.1", self.port)
            wait_for(lambda: client.info("replication")["master_link_status"] == "up", "it replicates")
        self.refused("objection: 1 replica:")

    def test_so_is_a_password(self):
        self.client.call("CONFIG", "SET", "requirepass", "secret")
        self.addCleanup(self.client.call, "CONFIG", "SET", "requirepass", "")
        self.assertIn("no Redis answers", self.run_script(status=1))
        path = os.path.join(self.directory, "password")
        with open(path, "w") as file:
            file.write("secret\n")
        os.chmod(path, 0o600)
        text = self.run_script("--password-file", path, status=1)
        self.assertIn("objection: clients give a password", text)
        self.client.call("CONFIG", "SET", "requirepass", "")
        self.unchanged()

    def test_so_are_users(self):
        self.client.call("ACL", "SETUSER", "engine", "on", ">secret", "+@all", "~*")
        engine = self.connect()
        self.assertEqual(engine.call("AUTH", "engine", "secret"), "OK")
        self.refused("objection: clients are engine: the take-over works without users alone")

    def test_every_command_that_the_daemon_refuses_is_known_to_the_script(self):
        with open(os.path.join(ROOT, "src", "command", "command_table.cpp")) as file:
            table = dict(re.findall(r'^    \{"([a-z_-]+)", .*route::(\w+)\},$', file.read(), re.M))
        self.assertGreater(len(table), 200)
        with open(os.path.join(ROOT, "deploy", "takeover", "checks.sh")) as file:
            known = set(re.search(r'^refused_commands="([^"]*)"', file.read(), re.M)[1].replace("\\", " ").split())
        refused = {name for name, route in table.items() if route == "xother"}
        self.assertEqual(refused - known, set())
        self.assertEqual(known - refused, {"flushall", "flushdb", "swapdb", "move", "migrate"}, "or may be an operator's")

    def test_there_is_nothing_to_take_back(self):
        """Least of all with a folder whose name is mistyped."""
        self.assertIn(f"nothing was ever taken over with the folder {self.state};", self.run_script("--rollback", status=2))
        self.assertFalse(os.path.exists(self.state))
        self.unchanged()
        self.run_script(status=1, daemon=self.program("exit 1"))
        self.assertIn("Nothing to take back.", self.run_script("--rollback"))
        self.unchanged()


class ConfigurationTest(unittest.TestCase):
    """Every way in which a file may be written."""

    def setUp(self):
        self.path = os.path.join(ROOT, "config", "dualbus.yaml")

    def converted(self, text, way, *more):
        with tempfile.TemporaryDirectory() as directory:
            source, target = os.path.join(directory, "source.yaml"), os.path.join(directory, "target.yaml")
            with open(source, "w") as file:
                file.write(text)
            getattr(tool, way)(source, target, *more)
            subprocess.run([daemon_program(), "--check-config", target], check=True, stdout=subprocess.DEVNULL)
            with open(target) as file:
                return file.read()

    def forward(self, text):
        return self.converted(text, "forward", "7000", "127.0.0.1:7001")

    def test_comments_and_everything_else_stay(self):
        with open(self.path) as file:
            before = file.read()
        after = self.forward(before)
        added = [line for line in after.splitlines() if line not in before.splitlines()]
        self.assertEqual(added, ["listen: {address: 127.0.0.1, port: 7000}   # where the engines connect",
                                 '  main: {id_slot: 0, endpoint: "127.0.0.1:7001", state: draining}', "  default_key_bus: main"])
        self.assertEqual(len(after.splitlines()), len(before.splitlines()) + 2)

    def test_short_files_and_json(self):
        for text in ('buses: {a: {id_slot: 1, endpoint: "h:1"}}\n', "buses:\n    a:\n        id_slot: 1\n        endpoint: h:1\nlisten:\n    port: 5\n",
                     json.dumps({"buses": {"a": {"id_slot": 1, "endpoint": "h:1"}}, "routing": {"default_bus": "a"}}, indent=1)):
            after = yaml.safe_load(self.forward(text))
            self.assertEqual((after["listen"]["port"], after["routing"]["default_key_bus"]), (7000, "main"), text)
            self.assertEqual(after["buses"]["main"], {"id_slot": 0, "endpoint": "127.0.0.1:7001", "state": "draining"})
            self.assertEqual(after["buses"]["a"], {"id_slot": 1, "endpoint": "h:1"})

    def test_back_everything_goes_to_the_old_redis(self):
        with open(self.path) as file:
            text = self.converted(self.forward(file.read()), "back")
        after = yaml.safe_load(text)
        self.assertEqual({name: bus["state"] for name, bus in after["buses"].items()},
                         {"main": "active", "marketdata": "draining", "engine_logic": "draining"})
        routing = after["routing"]
        self.assertEqual((after["anchor"], routing["default_bus"], routing["default_key_bus"]), ("main", "main", "main"))
        self.assertNotIn("types", routing)


if __name__ == "__main__":
    unittest.main()
