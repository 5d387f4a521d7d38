"""The form of the log and its places: text and JSON, a file that is rotated, the journal of systemd."""
import json
import os
import re
import signal
import unittest

from support.harness import Stack, merge, wait_for
from support.servers import Daemon


class LogOutputTest(unittest.TestCase):
    def make(self, log, **daemon):
        self.stack = Stack(daemon)
        self.addCleanup(self.stack.end)
        self.file = os.path.join(self.stack.directory, "file.log")
        self.daemon = self.stack.daemon
        self.daemon.reload(merge(self.daemon.config, {"log": {key: value.replace("FILE", self.file) for key, value in log.items()}}))

    def content(self, path=None):
        if not os.path.exists(path or self.file):
            return ""
        with open(path or self.file, encoding="utf-8") as file:
            return file.read()

    def events(self, path=None):
        return [json.loads(line)["event"] for line in self.content(path).splitlines()]

    def hang_up(self):
        """SIGHUP, and the reload that it causes."""
        before = self.daemon.metrics().value("dualbus_config_reloads_total")
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: self.daemon.metrics().value("dualbus_config_reloads_total") == before + 1, "a reload")
        self.daemon.full_log()

    def test_every_line_is_an_object_also_in_the_file(self):
        self.make({"format": "json", "file": "FILE"})
        self.stack.marketdata.kill()
        self.daemon.wait_for_log('"subject":"marketdata')
        with self.daemon.connect() as client:
            client.send_raw(b'GET "\r\n')
            client.read_rest()
        self.daemon.wait_for_log("unbalanced quotes")
        self.daemon.full_log()
        lines = self.content().splitlines()
        for line in lines:
            entry = json.loads(line)
            self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$")
            self.assertIn(entry["level"], ("info", "warning", "error"))
            self.assertRegex(entry["event"], r"^[a-z]+(_[a-z]+)*$")
            self.assertEqual(entry["pid"], self.daemon.pid)
            self.assertTrue(entry["message"])
        self.assertIn("configuration_reloaded", self.events())
        wait_for(lambda: self.daemon.log().endswith("".join(line + "\n" for line in lines)), "standard error has the same")
        self.assertEqual(os.stat(self.file).st_mode & 0o777 & ~0o640, 0)

    def test_a_file_that_was_renamed_is_made_anew_by_a_hang_up(self):
        self.make({"format": "json", "file": "FILE"})
        self.hang_up()
        old = self.file + ".1"
        os.rename(self.file, old)
        with self.daemon.connect() as client:
            client.send_raw(b'GET "\r\n')
            client.read_rest()
        wait_for(lambda: "unbalanced quotes" in self.content(old), "the old file is still written")
        before = self.content(old)
        self.hang_up()
        self.assertEqual(self.content(old), before)
        self.assertEqual(self.events(), ["configuration_reloaded"])
        # Also when the configuration has a mistake.
        os.rename(self.file, old)
        self.daemon.write_config("nonsense: true\n")
        self.hang_up()
        self.assertIn("configuration_not_reloaded", self.events())
        self.assertEqual(self.events(old), ["configuration_reloaded"])

    def test_a_reload_changes_form_file_and_level_at_once(self):
        self.make({"file": "FILE"})
        self.assertRegex(self.content(), r"(?m)^\S+ info configuration reloaded: changed log.file$")
        other = self.file + ".other"
        self.daemon.reload(merge(self.daemon.config, {"log": {"format": "json", "file": other}}))
        self.daemon.full_log()
        self.assertEqual(self.events(other)[-1], "configuration_reloaded")
        self.daemon.reload(self.daemon.config)
        before = self.content(other)
        self.daemon.full_log()
        self.assertRegex(self.daemon.log().splitlines()[-1], r"^\S+ info configuration reloaded: ")
        self.assertEqual(self.content(other), before)

    def test_a_reload_that_needs_new_workers_changes_it_too(self):
        self.make({"level": "info"})
        self.daemon.reload(merge(self.daemon.config, {"workers": 2 if self.daemon.config["workers"] == 1 else 1, "log": {"format": "json"}}))
        self.daemon.wait_for_log('"event":"configuration_reloaded","message":"configuration reloaded: new workers serve"')

    def test_a_file_that_cannot_be_opened_holds_nobody_up(self):
        self.make({"file": "/nowhere/at/all.log"})
        self.daemon.wait_for_log("error log.file '/nowhere/at/all.log' cannot be opened: No such file or directory")
        with self.daemon.connect() as client:
            self.assertEqual(client.call("SET", "k", 1), "OK")
        wait_for(lambda: self.daemon.metrics().value("dualbus_log_lines_dropped_total", reason="output") > 0, "lost lines are counted")


class DaemonOfJournal(Daemon):
    """JOURNAL_STREAM names its standard error, as systemd does."""

    def launch(self, command, **options):
        with open(self.log_path, "ab") as log:
            status = os.fstat(log.fileno())
        self.env["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        super().launch(command, **options)


class JournalTest(unittest.TestCase):
    def test_lines_for_the_journal_carry_their_priority_and_those_for_the_file_do_not(self):
        stack = Stack()
        self.addCleanup(stack.end)
        stack.daemon.terminate()
        self.assertNotRegex(stack.daemon.log(), r"(?m)^<")
        file = os.path.join(stack.directory, "file.log")
        daemon = DaemonOfJournal(stack.directory, merge(stack.config, {"log": {"file": file}}), name="journal")
        self.addCleanup(daemon.kill)
        daemon.start()
        daemon.reload("nonsense: true\n")
        log = daemon.full_log()
        self.assertRegex(log, r"(?m)^<6>\S+ info serving on ")
        self.assertRegex(log, r"(?m)^<3>\S+ error configuration not reloaded: ")
        self.assertEqual(daemon.terminate(), 0)
        with open(file, encoding="utf-8") as written:
            text = written.read()
        self.assertNotRegex(text, r"(?m)^<")
        self.assertTrue(re.sub(r"(?m)^<\d>", "", daemon.log()).endswith(text))


if __name__ == "__main__":
    unittest.main()
