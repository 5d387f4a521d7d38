"""Clients, disks and servers that make a move with deploy/takeover.sh difficult."""
import os
import socket
import subprocess
import unittest

from support import resp
from support.harness import wait_for
from support.servers import daemon_program
from support.takeover_stack import IdleStack


class DifficultClientsTest(IdleStack):
    def deaf_client(self):
        """Asks for more than fits anywhere, and reads nothing."""
        self.client.call("SET", "large", b"x" * (8 << 20))
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(self.address)
        deaf.sendall(resp.encode("GET", "large") * 4)
        wait_for(lambda: b" oll=0 " not in self.client.call("CLIENT", "LIST").splitlines()[-1], "it is owed replies")

    def test_writes_are_held_back_once_and_every_client_is_moved(self):
        named = self.connect()
        named.call("CLIENT", "SETNAME", "dualbusd-mine")
        impostor = self.connect()
        impostor.call("CLIENT", "SETNAME", "dualbusd")
        self.deaf_client()
        text = self.run_script()
        self.assertEqual(text.count("writes held back for"), 1)
        self.assertRegex(text, "held back for [0-9]{1,4} ms, [0-9]+ connections closed, 1 with unread replies")
        self.assertIn("1 client did not read the replies", text)
        self.assertIn("other clients of the old Redis: 0", text)
        for client in (self.client, named, impostor):
            self.assertRaises(OSError, client.call, "PING")
        self.assertIn("not back yet: 1 from 127.0.0.1 (dualbusd-mine)", text)


class DeathTest(IdleStack):
    def test_an_old_redis_that_dies_meanwhile_is_no_success(self):
        process = subprocess.Popen([*self.command(), "--watch", "30"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.stdout.close)
        text = ""
        for line in process.stdout:
            text += line
            if "Watching the old Redis" in line:
                self.old.kill()
        self.assertEqual(process.wait(60), 1, text)
        self.assertRegex(text, f"the old Redis does not answer on 127.0.0.1:{self.new_port} .*: start it with --port {self.new_port}, then run this again")
        self.assertNotIn("Taken over.", text)
        self.assertEqual(self.serves(self.port), "dualbusd")
        self.assertIn("the old Redis does not answer", self.run_script(status=1))
        self.old.port = self.new_port
        self.old.start()
        self.assertIn("Taken over.", self.run_script())


@unittest.skipIf(os.geteuid() != 0, "needs a file system of its own")
class FullDiskTest(IdleStack):
    def setUp(self):
        super().setUp()
        folder = os.path.join(self.directory, "small")
        os.mkdir(folder)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", folder], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest("a file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        self.addCleanup(self.end_daemon)  # before that
        self.state = os.path.join(folder, "state")
        self.fill = os.path.join(folder, "fill")

    def test_a_disk_that_fills_up_meanwhile_stops_nothing(self):
        program = self.program(f"until [ -s {self.state}/dualbusd.pid ]; do sleep 0.01; done\n"
                               f"[ -e {self.fill} ] || dd if=/dev/zero of={self.fill} bs=1k 2>/dev/null\n"
                               f"exec {daemon_program()} \"$@\"")
        self.assertIn("Taken over.", self.run_script(daemon=program))
        self.assertEqual(self.serves(self.port), "dualbusd")
        with open(os.path.join(self.state, "state")) as file:
            self.assertIn("phase=pushed\n", file.read(), "it knows how far it was")
        self.assertRegex(self.run_script("--rollback", status=1), "No space left on device|1024 are needed")
        self.assertEqual(self.serves(self.port), "dualbusd")
        os.truncate(self.fill, 0)
        self.assertIn("Taken back.", self.run_script("--rollback", "--timeout", "60"))
        self.client = self.connect()
        self.unchanged()


if __name__ == "__main__":
    unittest.main()
