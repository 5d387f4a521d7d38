"""dualbusctl: the answers of the API in a terminal, and exit codes for scripts."""
import contextlib
import copy
import json
import os
import pty
import select
import subprocess
import termios
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, free_port, wait_for

PROGRAM = os.environ["DUALBUSCTL"]


class CtlTest(StackTest):
    def ctl(self, *args, url=None):
        """Status, output and errors."""
        url = url or f"http://127.0.0.1:{self.daemon.admin_port}"
        run = subprocess.run([PROGRAM, "--url", url, *args], capture_output=True, text=True, timeout=30, check=False)
        return run.returncode, run.stdout, run.stderr

    def publish(self):
        client = self.connect()
        client.call("CLIENT", "SETNAME", "loud")
        for _ in range(50):
            client.call("XADD", "s", "*", "message_type", "market_data")

        def counted():
            return any(row["engine"] == "loud" and row["requests_10s"] for row in json.loads(self.ctl("--json", "show", "engines")[1]))

        wait_for(counted, "the engine's rate")
        return client

    def test_tables(self):
        client = self.publish()
        status, text, _ = self.ctl("show", "engines", "--sort", "requests_60s")
        self.assertEqual(status, 0)
        lines = text.splitlines()
        self.assertEqual(lines[0].split()[:3], ["engine", "connections", "address"])
        self.assertEqual(lines[1].split()[:3], ["loud", "1", "127.0.0.1"])
        rows = json.loads(self.ctl("--json", "show", "types")[1])
        self.assertEqual([row["bus"] for row in rows if row["type"] == "market_data"], [MARKETDATA])
        for table in ("buses", "clients", "parked", "pools", "rules", "version"):
            status, text, errors = self.ctl("show", table)
            self.assertEqual((status, errors), (0, ""))
            if table != "parked":
                self.assertNotEqual(text, "")
        self.assertEqual(client.call("PING"), "PONG")

    def test_explanations(self):
        status, text, _ = self.ctl("explain", "XADD", "el:s", "MAXLEN", "~", "5", "*", "message_type", "a b")
        self.assertEqual(status, 0)
        self.assertIn(f"sent: to bus '{ENGINE_LOGIC}'", text)
        self.assertIn("type: 'a b'", text)
        status, text, _ = self.ctl("explain", "LRANGE", "md:l", "0", "-1")
        self.assertEqual(status, 0)
        self.assertIn(f"'{MARKETDATA}'", text)
        status, _, errors = self.ctl("explain", "NOSUCH", "x")
        self.assertEqual((status, errors), (1, "dualbusctl: unknown command\n"))

    def test_a_changed_rule_is_tried_before_it_holds(self):
        self.publish()
        config = copy.deepcopy(self.stack.config)
        config["routing"]["types"] = {ENGINE_LOGIC: ["market_*", "never_seen"]}
        path = os.path.join(self.stack.directory, "changed.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        status, text, errors = self.ctl("dryrun", path)
        self.assertEqual((status, errors), (0, ""))
        row = next(line.split() for line in text.splitlines() if line.startswith("market_data "))
        self.assertEqual((row[:4], row[-1]), (["market_data", MARKETDATA, ENGINE_LOGIC, "'market_*'"], "yes"))
        self.assertIn("rule 'never_seen': no message of the last minute needs it", text)
        self.assertRegex(text, r"\n[0-9.]+ messages per second would go to another bus")
        with open(path, "w", encoding="utf-8") as file:
            file.write("routing: {types: 7}\n")
        status, text, errors = self.ctl("dryrun", path)
        self.assertEqual((status, text), (1, ""))
        self.assertIn("changed.yaml:1:", errors)

    def test_readiness(self):
        self.assertEqual(self.ctl("ready", "--all")[0], 0)
        self.assertEqual(self.ctl("ready", "--bus", "nosuch")[0], 1)
        self.stack.marketdata.kill()
        self.addCleanup(self.await_connections)
        self.addCleanup(self.stack.marketdata.start)
        wait_for(lambda: self.ctl("ready", "--bus", MARKETDATA)[0] == 1, "the bus is not ready")
        self.assertIn(MARKETDATA, self.ctl("ready", "--all")[2])
        self.assertEqual(self.ctl("ready")[0], 0)  # one bus is enough

    def test_top(self):
        self.publish()
        status, text, _ = self.ctl("top", "--once")
        self.assertEqual(status, 0)
        for part in (MARKETDATA, ENGINE_LOGIC, "loud", "requests_10s"):
            self.assertIn(part, text)
        # On a terminal it takes keys, and gives the screen back at the end.
        process, terminal = pty.fork()
        if process == 0:
            termios.tcsetwinsize(0, (40, 120))
            os.execv(PROGRAM, [PROGRAM, "--url", f"http://127.0.0.1:{self.daemon.admin_port}", "top"])
        shown = b""

        def screen_has(text):
            nonlocal shown
            with contextlib.suppress(OSError):  # the program has ended
                while select.select([terminal], [], [], 0)[0]:
                    shown += os.read(terminal, 65536)
            return text in shown

        wait_for(lambda: screen_has(b"loud"), "the engine")
        os.write(terminal, b"t")
        wait_for(lambda: screen_has(b"messages_10s"), "the types")
        os.write(terminal, b"q")
        self.assertEqual(os.waitpid(process, 0)[1], 0)
        self.assertTrue(screen_has(b"\x1b[?1049l"))
        os.close(terminal)

    def test_wrong_usage(self):
        for args in ((), ("nosuch",), ("show",), ("show", "nosuch"), ("show", "types", "--sort", "nosuch"), ("top",), ("explain",)):
            if args[:2] == ("show", "types"):
                self.publish()
            status, _, errors = self.ctl(*args)
            self.assertEqual(status, 2, args)
            self.assertNotEqual(errors, "")
        self.assertEqual(self.ctl("show", "buses", url="nonsense")[0], 2)

    def test_nobody_there(self):
        port = free_port()
        status, _, errors = self.ctl("show", "buses", url=f"http://127.0.0.1:{port}")
        self.assertEqual((status, errors), (3, f"dualbusctl: no answer from 127.0.0.1:{port}: Connection refused\n"))


if __name__ == "__main__":
    unittest.main()
