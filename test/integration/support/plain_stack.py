"""config/plain.yaml before one Redis, and a bare Redis beside it."""
import os
import shutil
import tempfile
import unittest

import yaml

from support.harness import ROOT, Daemon, Redis, free_port, wait_for
from support.resp import Connection


class PlainStackTest(unittest.TestCase):
    """Tests that share them. After each the daemon must be alive and idle."""

    backend = {}

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.bus, cls.bare = (Redis(name, cls.directory).start() for name in ("main", "bare"))
        cls.addClassCleanup(cls.bus.kill)
        cls.addClassCleanup(cls.bare.kill)
        with open(os.path.join(ROOT, "config", "plain.yaml"), encoding="utf-8") as file:
            config = yaml.safe_load(file)
        config["listen"]["port"], config["admin"]["port"] = free_port(), free_port()
        config["buses"]["main"]["endpoint"] = cls.bus.endpoint
        config["backend"] = {**config.get("backend", {}), **cls.backend}
        cls.daemon = Daemon(cls.directory, config).start()
        cls.addClassCleanup(cls.daemon.kill)

    def setUp(self):
        self.addCleanup(self.check)  # behind the end of the connections
        self.flush()

    def flush(self):
        for server in (self.bus, self.bare):
            with server.client() as client:
                client.flushall()
                client.script_flush()
                client.execute_command("FUNCTION", "FLUSH")

    def check(self, daemon=None):
        daemon = daemon or self.daemon
        self.assertTrue(daemon.running(), daemon.log())
        self.assertEqual(daemon.sanitizer_report(), "")
        wait_for(daemon.gauges_are_zero, "gauges at zero")

    def connect(self, to=None, protocol=2):
        connection = Connection((to or self.daemon).address, protocol=protocol)
        self.addCleanup(connection.close)
        return connection
