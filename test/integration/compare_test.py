"""deploy/compare.sh on a short run: what it writes, and that nothing of what it started goes on."""
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree

from support.harness import PATIENCE, ROOT, wait_for
from support.servers import daemon_program

FLEET = os.environ.get("DUALBUS_FLEET") or os.path.join(os.path.dirname(daemon_program()), "../fleet/dualbus-fleet")


def started_in(folder):
    """The processes whose working directory is below `folder`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(folder):
                found.append(int(pid))
        except OSError:
            pass
    return found


class CompareTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="dualbus-test-")
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name
        self.out = os.path.join(self.folder, "results")
        os.mkdir(os.path.join(self.folder, "tmp"))

    def compare(self, *arguments):
        return subprocess.Popen([os.path.join(ROOT, "deploy/compare.sh"), "--daemon", daemon_program(), "--fleet", FLEET, "--out",
                                 self.out, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
                                env={**os.environ, "TMPDIR": os.path.join(self.folder, "tmp")})

    def read(self, name):
        with open(os.path.join(self.out, name)) as file:
            return file.read()

    def test_the_table_shows_the_fleet_before_and_after(self):
        process = self.compare("--seconds", "1.5", "--rate", "20", "--only", "main")
        output, errors = process.communicate(timeout=2 * PATIENCE)
        self.assertEqual(process.returncode, 0, output + errors)
        results = json.loads(self.read("compare.json"))
        broken, healthy, daemon = (results["scenarios"][key] for key in ("broken", "healthy", "daemon"))
        self.assertEqual([each["fleet"]["check"] for each in (broken, healthy, daemon)], ["off", "passed", "passed"])
        self.assertEqual(broken["fleet"]["deliveries"]["delivered"], 0)
        self.assertGreater(broken["servers"]["redis"]["failed_reads_per_s"], 100)
        self.assertEqual(healthy["servers"]["redis"]["failed_reads"], 0)
        self.assertEqual(healthy["servers"]["redis"]["connections"], 14)
        self.assertEqual(set(daemon["servers"]), {"marketdata", "engine_logic"})
        for bus in daemon["servers"].values():
            self.assertLessEqual(bus["connections"], 4)
            self.assertGreater(bus["cpu_percent"], 0)
            self.assertGreater(bus["commands_per_s"], 100)
        self.assertGreater(daemon["daemon_cpu_percent"], 0)
        self.assertIn(daemon["engines_moved"], (7, None))
        goals = {goal["goal"]: goal for goal in results["goals"]}
        self.assertIn("every message delivered exactly once to every group", goals)
        direct, through = (sum(server["by_command"]["xreadgroup"]["calls_per_s"] for server in each["servers"].values())
                           for each in (healthy, daemon))
        reads = goals["group reads at Redis at most 1.1 times those of one Redis"]
        self.assertEqual(reads["measured"], f"in turn {through / direct:.2f}")
        self.assertEqual(reads["reached"], through / direct <= 1.1)

        self.assertEqual(output.replace(self.out, ""), self.read("compare.md") + "written: /compare.{md,json,svg}\n")
        for command in ("XREADGROUP", "XACK", "XADD"):
            self.assertRegex(output, rf"\| … {command} +\| [\d,]+ +\| [\d,]+ +\| [\d,]+: marketdata [\d,]+, engine_logic [\d,]+ +\|")
        self.assertRegex(output, r"\| +\| one Redis, groups missing +\| one Redis, healthy +\| through dualbusd +\|")
        for line in output.splitlines():
            if line.startswith("|"):
                self.assertIn(line.count("|"), (4, 5))
        texts = [text.text for text in xml.etree.ElementTree.fromstring(self.read("compare.svg")).iter("{http://www.w3.org/2000/svg}text")]
        self.assertEqual(sum(text == "through dualbusd" for text in texts), 6)
        self.assertEqual(os.listdir(os.path.join(self.folder, "tmp")), [])

    def test_interrupted_it_ends_what_it_started(self):
        process = self.compare("--seconds", "60", "--only", "main")
        work = os.path.join(self.folder, "tmp")
        wait_for(lambda: len(started_in(work)) > 0, "a server")
        for line in process.stderr:
            if re.match("main: one Redis", line):
                break
        time.sleep(0.2)  # at whatever it is just doing
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 143)
        wait_for(lambda: not started_in(self.folder), "nothing goes on")
        self.assertEqual(os.listdir(work), [])
        self.assertFalse(os.path.exists(self.out))

    def test_it_refuses_what_it_does_not_know(self):
        for arguments, reason in ((["--only", "main,mine"], "unknown: mine"), (["--seconds", "0"], "out of range"),
                                  (["--second"], "unknown argument '--second'"), (["--out"], "--out needs a value")):
            process = self.compare(*arguments)
            output, errors = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 2, arguments)
            self.assertIn(reason, errors)


if __name__ == "__main__":
    unittest.main()
