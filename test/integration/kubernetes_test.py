"""The daemon as deploy/kubernetes runs it: with that configuration, as process 1, and ended as a kubelet ends it."""
import os
import signal
import subprocess
import threading
import time
import unittest

import yaml

from support.harness import MARKETDATA, PATIENCE, ROOT, Daemon, Stack, merge, stored, wait_for
from support.servers import daemon_program, free_port

FOLDER = os.path.join(ROOT, "deploy", "kubernetes")
DELAY = 2  # seconds, instead of 10


def manifest(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return yaml.safe_load(file)


class PodDaemon(Daemon):
    """Process 1 of a PID namespace of its own, as in a container."""

    def start(self, page="/readyz?all"):
        self.launch(["unshare", "--pid", "--fork", "--kill-child", daemon_program(), "--config", self.config_path], env=self.env)
        wait_for(lambda: not self.running() or self.fetch(page)[0] == 200, f"{page} is 200\n{self.log()}")
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            self.inside = int(children.read())
        return self


@unittest.skipUnless(os.geteuid() == 0, "a PID namespace needs root")
class KubernetesTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.end)
        buses = {name: {"endpoint": server.endpoint} for name, server in self.stack.buses.items()}
        config = merge(manifest("dualbus.yaml"), {"listen": {"address": "127.0.0.1", "port": free_port()},
                                                  "admin": {"address": "127.0.0.1", "port": free_port()},
                                                  "buses": buses, "limits": {"drain_delay": f"{DELAY}s"}})
        self.daemon = PodDaemon(self.stack.directory, config, name="pod")
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        container = manifest("deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
        self.probes = {name: container[name + "Probe"]["httpGet"]["path"] for name in ("readiness", "liveness")}
        command = container["lifecycle"]["preStop"]["exec"]["command"]
        self.pre_stop = [part.replace("sleep 10", f"sleep {DELAY}") for part in command]

    def statuses(self):
        return {name: self.daemon.fetch(page)[0] for name, page in self.probes.items()}

    def count(self, client, counted):
        """Raises a counter until the connection ends."""
        try:
            while True:
                counted.append(client.call("INCR", "n"))
                time.sleep(0.002)
        except OSError:
            pass

    def test_a_pod_that_is_deleted_drains_and_no_request_is_lost(self):
        self.assertEqual(self.statuses(), {"readiness": 200, "liveness": 200})
        old, counted = self.daemon.connect(), []
        self.addCleanup(old.close)
        thread = threading.Thread(target=self.count, args=(old, counted))
        thread.start()
        self.addCleanup(thread.join)
        started = time.monotonic()
        hook = subprocess.Popen(["nsenter", "--target", str(self.daemon.inside), "--pid", "--", *self.pre_stop])
        self.addCleanup(hook.kill)
        wait_for(lambda: self.statuses() == {"readiness": 503, "liveness": 200}, "the probes see that it drains")
        before = len(counted)
        with self.daemon.connect() as new:  # one that the Service still sends
            self.assertEqual(stored(new.call("XADD", "s", "*", "message_type", "market_data"))[0], MARKETDATA)
        wait_for(lambda: len(counted) > before, "the old client is served")
        # A container that ends takes the hook along; otherwise SIGTERM follows it.
        wait_for(lambda: hook.poll() is not None or not self.daemon.running(), "preStop has ended")
        self.assertGreaterEqual(time.monotonic() - started, DELAY - 0.5)
        if self.daemon.running():
            try:
                os.kill(self.daemon.inside, signal.SIGTERM)
            except ProcessLookupError:
                pass
        self.assertEqual(self.daemon.process.wait(PATIENCE), 0, self.daemon.log())
        thread.join(PATIENCE)
        with self.stack.engine_logic.client() as client:
            self.assertEqual(client.get("n"), b"%d" % len(counted))
        self.assertEqual(counted, list(range(1, len(counted) + 1)))


if __name__ == "__main__":
    unittest.main()
