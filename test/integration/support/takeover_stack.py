"""The base of the tests of deploy/takeover.sh: three Redis, and the script."""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import yaml

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, ROOT, Redis, free_port, make_config
from support.servers import daemon_program

SCRIPT = os.path.join(ROOT, "deploy", "takeover.sh")


class TakeoverStack(unittest.TestCase):
    """A Redis that serves, the two that are to come, and what takeover.sh is told. The daemon is the script's."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(self.end_daemon)
        self.old, self.marketdata, self.engine_logic = (self.start_redis(name) for name in ("old", MARKETDATA, ENGINE_LOGIC))
        self.port, self.new_port = self.old.port, free_port()
        self.address = ("127.0.0.1", self.port)
        config = make_config({MARKETDATA: self.marketdata.endpoint, ENGINE_LOGIC: self.engine_logic.endpoint},
                             {"routing": {"keys": None}, "missing_group": "create", "draining": {"interval": "100ms", "quiet": "300ms", "ignore_groups": [{"key": "*", "group": "ignored-*"}]}})
        self.admin_port = config["admin"]["port"]
        self.config = os.path.join(self.directory, "template.yaml")
        with open(self.config, "w") as file:
            yaml.safe_dump(config, file)
        self.state = os.path.join(self.directory, "state")

    def start_redis(self, name):
        server = Redis(name, self.directory).start()
        self.addCleanup(server.kill)
        return server

    def end_daemon(self):
        try:
            with open(os.path.join(self.state, "dualbusd.pid")) as file:
                pid = int(file.read().split()[0])
            with open(f"/proc/{pid}/cmdline") as file:
                if self.state not in file.read():
                    return
            os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError, IndexError):
            pass

    def command(self, *options, daemon=None):
        return [SCRIPT, "--port", str(self.port), "--new-port", str(self.new_port), "--config", self.config, "--state", self.state,
                "--daemon", daemon or daemon_program(), "--watch", "1", *options]

    def run_script(self, *options, status=0, daemon=None):
        """Its output; it must end with that status."""
        done = subprocess.run(self.command(*options, daemon=daemon), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done.stdout + self.daemon_log()[-3000:])
        return done.stdout

    def daemon_log(self):
        try:
            with open(os.path.join(self.state, "dualbusd.log"), errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def connect(self, port=None):
        connection = resp.Connection(("127.0.0.1", port or self.port))
        self.addCleanup(connection.close)
        return connection

    def serves(self, port):
        """"redis", "dualbusd", or "nobody"."""
        try:
            with resp.Connection(("127.0.0.1", port)) as connection:
                info = connection.call("INFO", "server")
        except OSError:
            return "nobody"
        return "dualbusd" if b"dualbus_version" in info else "redis"

    def program(self, text):
        """A daemon that checks its configuration like the real one, and then does something else."""
        path = os.path.join(self.directory, "program")
        with open(path, "w") as file:
            file.write(f'#!/bin/sh\ncase "$1" in --version | --check-config) exec {daemon_program()} "$@" ;; esac\n{text}\n')
        os.chmod(path, 0o700)
        return path


class IdleStack(TakeoverStack):
    """One client, which does nothing by itself."""

    def setUp(self):
        super().setUp()
        self.client = self.connect()
        self.client.call("XADD", "s", "*", "message_type", "order_request", "name", "n")

    def unchanged(self):
        """The Redis listens where it did, and its client is still connected; the daemon does not run."""
        self.assertEqual((self.serves(self.port), self.serves(self.new_port), self.serves(self.admin_port)), ("redis", "nobody", "nobody"))
        self.assertEqual(self.client.call("XLEN", "s"), 1)

    def refused(self, reason, *options, **more):
        self.assertRegex(self.run_script(*options, status=1, **more), reason)
        self.unchanged()

    def change_config(self, change):
        with open(self.config) as file:
            config = yaml.safe_load(file)
        change(config)
        with open(self.config, "w") as file:
            yaml.safe_dump(config, file)
