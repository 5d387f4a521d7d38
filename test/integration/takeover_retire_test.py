"""deploy/takeover.sh --retire: the daemon goes on without the old Redis, and no client notices."""
import os
import signal
import subprocess
import sys
import tempfile
import unittest

import yaml

from support.harness import ROOT, wait_for
from support.servers import daemon_program
from support.takeover_stack import IdleStack

sys.path.insert(0, os.path.join(ROOT, "deploy", "takeover"))
import tool  # noqa: E402 pylint: disable=wrong-import-position


class RetireTest(IdleStack):
    def path(self, name):
        return os.path.join(self.state, name)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def phase(self):
        return self.read("state").split()[0].removeprefix("phase=")

    def daemon_pid(self):
        return int(self.read("dualbusd.pid").split()[0])

    def taken_over(self):
        self.client.call("XGROUP", "CREATE", "s", "g", "0")
        self.client.call("SET", "k", "v")
        self.run_script("--watch", "0")
        self.old.port = self.new_port
        self.client = self.connect()
        self.pid = self.daemon_pid()

    def drain(self):
        """What the old Redis holds is read, and its keys are moved."""
        [[_, [[entry, _]]]] = self.client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        self.assertEqual(self.client.call("XACK", "s", "g", entry), 1)
        with self.old.client() as old, self.engine_logic.client() as there:
            there.restore("k", 0, old.dump("k"))
            old.delete("k")
        self.await_drained()

    def await_drained(self):
        wait_for(lambda: not subprocess.run([sys.executable, tool.__file__, "retirable", f"127.0.0.1:{self.admin_port}"], stdout=subprocess.DEVNULL,
                                            check=False).returncode, "it is drained")

    def retire(self, *options, status=0):
        return self.run_script("--retire", "--timeout", "60", *options, status=status)

    def kept(self, *reasons, text, phase="pushed"):
        """Nothing was changed, for these reasons."""
        for reason in reasons:
            self.assertRegex(text, reason)
        self.assertEqual((self.phase(), self.daemon_pid(), self.client.call("PING")), (phase, self.pid, "PONG"))
        self.assertIn("main", yaml.safe_load(self.read("dualbus.yaml"))["buses"])
        self.assertFalse(os.path.exists(self.path("forward.yaml")))

    def retired(self):
        config = yaml.safe_load(self.read("dualbus.yaml"))
        self.assertEqual((self.phase(), self.daemon_pid(), self.client.call("PING")), ("retired", self.pid, "PONG"))
        self.assertEqual((sorted(config["buses"]), config["retired_slots"]), (["engine_logic", "marketdata"], [0]))
        self.assertNotIn("default_key_bus", config["routing"])
        self.assertFalse(os.path.exists(self.path("forward.yaml")))
        with self.old.client() as old:
            self.assertEqual([each for each in old.client_list() if each["name"].startswith("dualbusd")], [])

    def test_no_client_notices_and_there_is_no_way_back(self):
        self.assertIn("nothing was ever taken over", self.retire(status=2))
        self.taken_over()
        self.kept("group 'g': entries to read", "the old Redis is not drained; nothing was changed", text=self.retire("--force", status=1))
        self.client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        self.client.call("XACK", "s", "g", self.client.call("XPENDING", "s", "g")[1])
        self.client.call("XADD", "alone", "*", "message_type", "market_data")
        with self.old.client() as old:
            old.xadd("alone", {"a": 1})
        self.await_line("alone")
        self.kept("stream 'alone' has 1 entries that no group reads", "main: 1 keys are no streams", "would be left behind on the old Redis",
                  text=self.retire(status=1))
        with self.old.client() as old, self.engine_logic.client() as there:
            there.restore("k", 0, old.dump("k"))
            old.delete("k", "alone")
        self.await_drained()
        self.assertIn("Nothing was changed.", self.retire("--dry-run"))

        reader, popper, subscriber = (self.connect() for _ in range(3))
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        popper.send("BLPOP", "list", 0)
        subscriber.call("SUBSCRIBE", "news")
        identity = self.client.call("CLIENT", "ID")
        text = self.retire()
        self.assertIn("no client was disconnected", text)
        self.assertIn("it serves nobody, and can be stopped", text)
        self.retired()
        self.old.kill()
        self.assertEqual((self.client.call("CLIENT", "ID"), self.client.call("GET", "k")), (identity, b"v"))
        self.client.call("XADD", "s", "*", "message_type", "market_data", "n", "2")
        self.assertEqual(reader.read()[0][1][0][1], [b"message_type", b"market_data", b"n", b"2"])
        self.client.call("RPUSH", "list", "e")
        self.assertEqual(popper.read(), [b"list", b"e"])
        self.client.call("PUBLISH", "news", "hello")
        self.assertEqual(subscriber.read(), [b"message", b"news", b"hello"])

        self.assertIn("the old Redis was retired: ", self.run_script("--rollback", status=1))
        self.assertIn("was retired already", self.retire())
        self.assertEqual(self.client.call("PING"), "PONG")
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: self.serves(self.port) == "nobody", "it is gone")
        self.assertIn("dualbusd serves; the old Redis was retired.", self.run_script())
        self.assertEqual((self.serves(self.port), self.phase()), ("dualbusd", "retired"))

    def await_line(self, words):
        """Until the checks know of it."""
        wait_for(lambda: words in tool.fetch(f"127.0.0.1:{self.admin_port}", "/drain"), f"{words} is seen")
        wait_for(lambda: tool.old_bus(f"127.0.0.1:{self.admin_port}")["drained"], "the bus is quiet")

    def test_what_it_is_forced_to_leave_is_named(self):
        self.taken_over()
        self.client.call("XREADGROUP", "GROUP", "g", "c", "NOACK", "STREAMS", "s", ">")
        wait_for(lambda: tool.old_bus(f"127.0.0.1:{self.admin_port}")["drained"], "it is drained")
        text = self.retire("--force", status=2)
        self.assertIn("main: 1 keys are no streams, or in other databases", text)
        self.assertIn("are left behind there", text)
        self.retired()

    def test_the_daemon_has_the_last_word(self):
        """Somebody writes to the old Redis while the daemon looks whether it is quiet."""
        self.change_config(lambda config: config["draining"].update(quiet="2s"))
        self.taken_over()
        self.drain()
        process = subprocess.Popen(self.command("--retire"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        wait_for(lambda: self.phase() == "retiring", "it has begun")
        with self.old.client() as old:
            while process.poll() is None:
                old.xadd("s", {"a": 1})
        self.kept(r"\| buses.main: is removed, but it is not drained: stream 's' has entries that group 'g' has not read", "the old Redis is not retired",
                  text=process.stdout.read())

    # --- a run that ends while the daemon looks

    def broken_off(self, end):
        self.change_config(lambda config: config["draining"].update(quiet="2s"))
        self.taken_over()
        self.drain()
        process = subprocess.Popen(self.command("--retire"), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(process.wait, 60)
        wait_for(lambda: "looking whether the bus can be removed" in self.daemon_log(), "the daemon looks")
        os.killpg(process.pid, end)
        process.wait(60)
        self.assertEqual(self.phase(), "retiring")

    def test_after_a_kill_it_goes_on(self):
        self.broken_off(signal.SIGKILL)
        self.assertIn("can be stopped", self.retire())
        self.retired()

    def test_after_a_kill_the_daemon_has_retired_it(self):
        self.broken_off(signal.SIGKILL)
        wait_for(lambda: tool.role_of(f"127.0.0.1:{self.admin_port}") == "none", "the daemon has done it")
        self.assertIn("the old Redis was retired: ", self.run_script("--rollback", status=1))
        self.retired()

    def test_after_an_end_in_an_orderly_way_the_way_back_is_open(self):
        self.broken_off(signal.SIGTERM)
        with self.engine_logic.client() as there:
            there.delete("k")
        self.assertIn("Taken back.", self.run_script("--rollback", "--timeout", "60"))
        self.assertEqual((self.serves(self.port), self.phase()), ("redis", "returned"))


class ConfigurationTest(unittest.TestCase):
    """Every way in which a file may be written."""

    def converted(self, text, way, *more):
        with tempfile.TemporaryDirectory() as directory:
            source, target = os.path.join(directory, "source.yaml"), os.path.join(directory, "target.yaml")
            with open(source, "w") as file:
                file.write(text)
            getattr(tool, way)(source, target, *more)
            subprocess.run([daemon_program(), "--check-config", target], check=True, stdout=subprocess.DEVNULL)
            with open(target) as file:
                return file.read()

    def test_comments_and_everything_else_stay(self):
        with open(os.path.join(ROOT, "config", "dualbus.yaml")) as file:
            before = file.read()
        after = self.converted(self.converted(before, "forward", "6379", "127.0.0.1:7001"), "without")
        self.assertEqual(after.replace("retired_slots: [0]\n", "", 1), before)

    def test_its_rules_go(self):
        block = ("buses:\n  a: {id_slot: 1, endpoint: 'h:1'}  # stays\n  main:\n    id_slot: 0\n    endpoint: h:2\n    state: draining\n"
                 "# kept\nrouting:\n  default_bus: a\n  default_key_bus: main\n  keys:\n    - match: x\n      bus: main\n    - {match: y, bus: a}\n"
                 "  channels:\n  - {match: c, bus: main}\nretired_slots:\n- 7\n")
        self.assertEqual(self.converted(block, "without"), "retired_slots: [7, 0]\nbuses:\n  a: {id_slot: 1, endpoint: 'h:1'}  # stays\n# kept\nrouting:\n"
                         "  default_bus: a\n  keys:\n    - {match: y, bus: a}\n")
        flow = '{"buses": {"a": {"id_slot": 1, "endpoint": "h:1"}, "main": {"id_slot": 0, "endpoint": "h:2", "state": "draining"}}, "routing": {"default_key_bus": "main"}}'
        self.assertEqual(yaml.safe_load(self.converted(flow, "without")), {"buses": {"a": {"id_slot": 1, "endpoint": "h:1"}}, "retired_slots": [0]})
        self.assertRaises(LookupError, self.converted, "buses: {a: {id_slot: 1, endpoint: 'h:1'}}\n", "without")


if __name__ == "__main__":
    unittest.main()
