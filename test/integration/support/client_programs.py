"""Other people's programs in front of the daemon: its configuration as shipped, and whether anything was refused them."""
import json
import os
import signal
import subprocess

import yaml

from support.harness import MARKETDATA, PATIENCE, ROOT, Process, StackTest

CLIENTS = os.path.join(ROOT, "test", "integration", "clients")
PYTHON = ["/usr/bin/python3", "-B"]


def shipped_configuration():
    """The settings of config/dualbus.yaml, but for ports; `md:*` is pinned to the bus that is not the default one."""
    with open(os.path.join(ROOT, "config", "dualbus.yaml"), encoding="utf-8") as file:
        shipped = yaml.safe_load(file)
    changes = {key: value for key, value in shipped.items() if key not in ("listen", "admin", "workers", "buses", "log")}
    changes["routing"]["keys"] = [{"match": "md:*", "bus": MARKETDATA}]
    return changes


class Program(Process):
    """A client program with all its children."""

    def start(self, command, **options):
        self.launch(command, start_new_session=True, **options)
        return self

    def end(self, number=signal.SIGTERM):
        """Asks it to end; its exit status. Any remaining process is ended without asking."""
        try:
            self.signal(number)
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def kill(self):
        super().kill()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class ClientTest(StackTest):
    """Tests of a client program. After each of them the daemon must not have refused anything that it was not expected to."""

    config = shipped_configuration()

    def setUp(self):
        super().setUp()
        self._before = self.refused()

    def refused(self):
        """The number of errors of the daemon's own, by command."""
        return {labels["cmd"] + ": " + labels["outcome"]: count for labels, count in self.daemon.metrics().matching("dualbus_requests_total")
                if labels["outcome"] not in ("ok", "redis_error")}

    def assert_nothing_refused(self, *expected):
        """`expected` names commands that a client may do without."""
        new = {what for what, count in self.refused().items() if count != self._before.get(what, 0)}
        self.assertEqual(new - {command + ": refused" for command in expected}, set())

    def start_program(self, name, command, **options):
        """Runs until the test ends, if it does not end by itself."""
        program = Program(f"{name}-{self._testMethodName}", self.stack.directory)
        self.addCleanup(program.kill)
        return program.start(command, **options)

    def run_program(self, command, **options):
        """Its output; it has to end with status 0."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, **options)
        self.assertEqual(done.returncode, 0, f"{command}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}\n{self.daemon.log()[-1000:]}")
        return done.stdout

    def run_node(self, script, *arguments):
        """The JSON that a script of the folder clients/ printed."""
        self.assertTrue(os.path.isdir(os.path.join(CLIENTS, "node_modules")), f"the libraries are missing: npm ci --prefix {CLIENTS}")
        return json.loads(self.run_program(["node", script, *map(str, arguments)], cwd=CLIENTS))
