"""The fate of the clients' port when deploy/takeover.sh cannot go on, is stopped, or is killed."""
import os
import re
import signal
import subprocess
import sys
import threading
import unittest

from support import resp
from support.harness import free_port, wait_for
from support.servers import daemon_program
from support.takeover_stack import IdleStack


class BrokenOffTest(IdleStack):
    def launched(self, *options, daemon=None):
        """The script in a group of its own; its output can be read line by line."""
        process = subprocess.Popen(self.command(*options, daemon=daemon), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.stdout.close)
        return process

    def await_line(self, process, words):
        for line in process.stdout:
            if words in line:
                return
        self.fail(f"it never says {words!r}")

    def test_a_daemon_that_does_not_start_gives_the_port_back(self):
        text = self.run_script(status=1, daemon=self.program("echo broken >&2; exit 1"))
        self.assertIn("| broken", text)
        self.assertIn("serves port", text)
        self.unchanged()
        self.run_script("--dry-run")

    def test_so_does_one_that_serves_without_its_buses(self):
        """It accepts clients, and never gets ready."""
        text = self.run_script(status=1, daemon=self.program(f"exec {sys.executable} -m http.server --bind 127.0.0.1 {self.port}"))
        self.assertIn("dualbusd does not get ready", text)
        self.unchanged()

    def test_a_script_that_was_killed_half_way_is_taken_back(self):
        process = subprocess.Popen(self.command(daemon=self.program("exec sleep 1000")), stdout=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(process.wait)
        wait_for(lambda: self.serves(self.new_port) == "redis", "the port is moved")
        wait_for(lambda: os.path.exists(os.path.join(self.state, "dualbusd.pid")), "the daemon runs")
        os.killpg(process.pid, signal.SIGKILL)
        self.assertIn("as before", self.run_script("--rollback"))
        self.unchanged()
        self.assertIn("Nothing to take back.", self.run_script("--rollback"))

    def test_messages_that_came_meanwhile_are_told_of(self):
        """The daemon serves, but not where its admin listener is looked for."""
        served = os.path.join(self.state, "served.yaml")
        program = self.program(f"sed 's/port: {self.admin_port}/port: {free_port()}/' \"$2\" >{served}\n"
                               f"exec {daemon_program()} --config {served}")
        process = self.launched(daemon=program)
        wait_for(lambda: self.serves(self.port) == "dualbusd", "the daemon serves", timeout=20)
        wait_for(lambda: not isinstance(self.connect().call("XADD", "t", "*", "message_type", "market_data"), resp.ReplyError), "it publishes")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        text = self.run_script("--rollback")
        self.assertIn("as before", text)
        self.assertRegex(text, "CLIENTS PUBLISHED WHILE DUALBUSD SERVED: bus 'marketdata' at [0-9.:]+ holds 1 entry")
        self.assertNotIn("bus 'engine_logic' at", text)
        self.unchanged()
        self.assertIn("Taken over.", self.run_script("--force"))
        self.assertEqual(self.connect().call("XLEN", "t"), 1)

    # --- nobody reads what it says

    def test_without_a_reader_it_takes_over(self):
        process = self.launched()
        process.stdout.close()
        self.assertEqual(process.wait(60), 0)
        self.assertEqual((self.serves(self.port), self.serves(self.new_port)), ("dualbusd", "redis"))

    def test_without_a_reader_it_puts_everything_back(self):
        process = self.launched(daemon=self.program("exit 1"))
        self.await_line(process, "The old Redis goes to port")
        process.stdout.close()
        self.assertEqual(process.wait(60), 1)
        self.unchanged()

    # --- the way back is stopped when the daemon has left and the old Redis has not got its port yet

    def stop_while_nobody_serves(self, end):
        """The old Redis is busy then, so that this takes a while."""
        self.run_script()
        self.client = self.connect(self.new_port)
        process = self.launched("--rollback", "--timeout", "60")
        self.await_line(process, "dualbusd leaves")
        busy = threading.Thread(target=self.client.call, args=("DEBUG", "SLEEP", "1"))
        busy.start()
        self.addCleanup(busy.join)
        self.await_line(process, "dualbusd stopped")
        end(process)
        process.stdout.close()
        process.wait(60)
        busy.join()

    def back_at_last(self):
        self.assertRegex(self.run_script("--rollback", "--timeout", "60"), "Taken back|has port .* already|Nothing to take back")
        self.unchanged()
        self.assertIn("Nothing to take back.", self.run_script("--rollback"))

    def test_a_rollback_that_is_stopped_leaves_no_port_unserved(self):
        self.stop_while_nobody_serves(lambda process: process.terminate())
        self.assertIn(self.serves(self.port), ("redis", "dualbusd"))
        self.back_at_last()

    def test_nor_when_its_whole_group_is_stopped(self):
        self.stop_while_nobody_serves(lambda process: os.killpg(process.pid, signal.SIGINT))
        self.assertIn(self.serves(self.port), ("redis", "dualbusd"))
        self.back_at_last()

    def test_a_rollback_that_was_killed_can_be_run_again(self):
        self.stop_while_nobody_serves(lambda process: os.killpg(process.pid, signal.SIGKILL))
        self.back_at_last()

    def use(self, daemon):
        """The program that the script starts from now on."""
        path = os.path.join(self.state, "state")
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(re.sub("(?m)^daemon=.*", f"daemon={daemon}", text))

    def test_a_daemon_that_does_not_start_for_the_way_back_is_followed_by_the_one_before(self):
        self.run_script()
        self.connect().call("XADD", "t", "*", "message_type", "market_data")
        unread = "stream 't' has 1 entries that no group reads"
        self.assertIn(unread, self.run_script("--rollback", "--timeout", "60", status=1))
        self.end_daemon()
        wait_for(lambda: self.serves(self.port) == "nobody", "it is gone")
        self.use(self.program(f'grep -q "^anchor: main" "$2" && exit 1; exec {daemon_program()} "$@"'))
        self.assertIn("it serves as before", self.run_script("--rollback", status=1))
        self.assertEqual(self.serves(self.port), "dualbusd")
        self.use(daemon_program())
        self.assertIn(unread, self.run_script("--rollback", "--timeout", "60", status=1))


if __name__ == "__main__":
    unittest.main()
