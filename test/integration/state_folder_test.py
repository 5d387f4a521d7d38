"""The folder of quickstart.sh and takeover.sh: they believe what stands in it, so nobody else may have put it there."""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from support.harness import ROOT, free_port

QUICKSTART, TAKEOVER = (os.path.join(ROOT, "deploy", name) for name in ("quickstart.sh", "takeover.sh"))
NOBODY = 65534


class StateFolderTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.state = os.path.join(self.directory, "state")
        self.bystander = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(self.bystander.wait)
        self.addCleanup(self.bystander.kill)

    def plant(self):
        """A folder as if both scripts had started the bystander, and takeover.sh with a daemon that tells that it ran."""
        with open(f"/proc/{self.bystander.pid}/stat") as file:
            started = file.read().rpartition(")")[2].split()[19]
        self.program = os.path.join(self.directory, "program")
        with open(self.program, "w") as file:
            file.write(f"#!/bin/sh\ntouch {self.directory}/ran\n")
        os.chmod(self.program, 0o700)
        os.makedirs(self.state, 0o700)
        for name, text in {"dualbusd.pid": f"{self.bystander.pid} {started}\n", "settings": "1 2 3 4\n", "dualbus.yaml": "",
                           "state": f"phase=moving\nport=1\nnew_port={free_port()}\ndaemon={self.program}\n"}.items():
            with open(os.path.join(self.state, name), "w") as file:
                file.write(text)
            os.chmod(os.path.join(self.state, name), 0o600)

    def refuses(self, reason, *commands):
        for command in commands or ((QUICKSTART, "stop"), (QUICKSTART, "status"), (QUICKSTART, "start"), (TAKEOVER,), (TAKEOVER, "--rollback"),
                                    (TAKEOVER, "--dry-run")):
            done = subprocess.run([*command, "--state", self.state], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1, (command, done.stdout))
            self.assertRegex(done.stdout, reason)
            self.assertRegex(done.stdout, "--state")
            self.assertIsNone(self.bystander.poll(), command)
            self.assertFalse(os.path.exists(os.path.join(self.directory, "ran")), command)
            self.assertTrue(os.path.exists(self.state), command)

    def test_a_folder_of_ones_own_is_believed(self):
        self.plant()
        done = subprocess.run([QUICKSTART, "stop", "--state", self.state], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        self.assertIn("dualbusd stopped", done.stdout)
        self.assertEqual(self.bystander.wait(20), -signal.SIGTERM)
        self.assertFalse(os.path.exists(self.state))

    def test_what_others_may_write_is_refused(self):
        self.plant()
        for name in ("", "dualbusd.pid", "state"):
            path = os.path.join(self.state, name)
            mode = os.stat(path).st_mode
            for more in (0o002, 0o020):
                os.chmod(path, mode | more)
                self.refuses("others may write to")
            os.chmod(path, mode)

    def test_links_and_pipes_are_refused(self):
        self.plant()
        elsewhere = os.path.join(self.directory, "elsewhere")
        for name in ("dualbusd.pid", "settings", "state"):
            path = os.path.join(self.state, name)
            os.rename(path, elsewhere)
            os.symlink(elsewhere, path)
            self.refuses("is a symbolic link")
            os.remove(path)
            os.mkfifo(path)
            self.refuses("is a fifo")
            os.remove(path)
            os.rename(elsewhere, path)
        os.rename(self.state, elsewhere)
        os.symlink(elsewhere, self.state)
        self.refuses("is a symbolic link; name the folder itself")

    def test_a_folder_that_others_can_exchange_is_refused(self):
        self.plant()
        os.chmod(self.directory, 0o777)
        self.refuses("everybody may write in .* chmod o-w")
        os.chmod(self.directory, 0o1777)
        subprocess.run([QUICKSTART, "stop", "--state", self.state], stdout=subprocess.DEVNULL, timeout=60, check=True)

    @unittest.skipIf(os.geteuid() != 0, "only root gives files away")
    def test_what_belongs_to_others_is_refused(self):
        self.plant()
        for name in ("dualbusd.pid", "state", ""):
            path = os.path.join(self.state, name)
            os.chown(path, NOBODY, NOBODY)
            self.refuses("belongs to .*: work as that user")
            os.chown(path, 0, 0)
        os.chown(self.directory, NOBODY, NOBODY)
        self.refuses("belongs to .* who can put another folder in the place of")

    def test_a_new_folder_is_for_its_owner_alone(self):
        for script in (QUICKSTART, TAKEOVER):
            shutil.rmtree(self.state, ignore_errors=True)
            options = ["--daemon", "/bin/false", "--port", str(free_port())]
            subprocess.run(["sh", "-c", 'umask 0; exec "$@"', "sh", script, *options, "--state", self.state], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300, check=False)
            for folder, _, files in os.walk(self.state):
                for path in (folder, *(os.path.join(folder, name) for name in files)):
                    self.assertEqual(os.stat(path).st_mode & 0o022, 0, path)
            self.assertEqual(os.stat(self.state).st_mode & 0o777, 0o700)


if __name__ == "__main__":
    unittest.main()
