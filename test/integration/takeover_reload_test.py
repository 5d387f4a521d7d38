"""The begin of the way back with deploy/takeover.sh: the running daemon gets another configuration, and no client is disconnected."""
import os
import shutil
import signal
import sys
import unittest

import yaml

from support.harness import ROOT, wait_for
from support.takeover_stack import IdleStack

sys.path.insert(0, os.path.join(ROOT, "deploy", "takeover"))
import tool  # noqa: E402 pylint: disable=wrong-import-position


class ReloadTest(IdleStack):
    """Rollbacks end at an entry that no group reads, so that the daemon still serves."""

    unread = "stream 't' has 1 entries that no group reads"

    def taken_over(self, *options):
        self.run_script("--watch", "0", *options)
        self.client = self.connect()
        self.client.call("XADD", "t", "*", "message_type", "market_data")
        self.pid = self.daemon_pid()

    def daemon_pid(self):
        return int(self.read("dualbusd.pid").split()[0])

    def path(self, name):
        return os.path.join(self.state, name)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def phase(self):
        return self.read("state").split()[0].removeprefix("phase=")

    def reload(self):
        count = self.daemon_log().count("configuration reloaded: changed")
        os.kill(self.pid, signal.SIGHUP)
        wait_for(lambda: self.daemon_log().count("configuration reloaded: changed") > count, "it reads the file")

    def rollback(self, *options, status=1):
        return self.run_script("--rollback", "--timeout", "60", "--watch", "0", *options, status=status)

    def still_served(self, client):
        self.assertEqual((client.call("PING"), self.daemon_pid()), ("PONG", self.pid))

    def goes_to(self, client, name):
        """On which bus a message lies that is sent now."""
        slot = client.call("XADD", "u", "*", "message_type", "market_data").partition(b"-")[2]
        self.assertEqual(len(slot) > 12, name != "old", slot)

    def the_way_back_has_begun(self):
        self.assertEqual((self.phase(), yaml.safe_load(self.read("dualbus.yaml"))["anchor"]), ("returning", "main"))
        self.goes_to(self.client, "old")

    def back_at_last(self):
        self.client.call("DEL", "t", "u")
        self.assertIn("Taken back.", self.rollback(status=0))
        self.client = self.connect()
        self.unchanged()
        self.assertEqual((self.phase(), os.path.exists(self.path("forward.yaml"))), ("returned", False))

    def test_no_client_is_disconnected_until_the_old_redis_has_its_port_and_there_again(self):
        self.taken_over()
        forward = self.read("dualbus.yaml")
        reader = self.connect()
        self.assertEqual(reader.call("XGROUP", "CREATE", "u", "g", "$", "MKSTREAM"), "OK")
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "u", ">")
        self.goes_to(self.client, "marketdata")
        [[_, [[entry, _]]]] = reader.read()
        self.assertEqual(reader.call("XACK", "u", "g", entry), 1)
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "u", ">")
        text = self.rollback()
        self.assertIn(self.unread, text)
        self.assertIn("no client was disconnected", text)
        self.assertNotIn("were refused for", text)
        self.still_served(self.client)
        self.the_way_back_has_begun()
        self.assertEqual(len(reader.read()[0][1]), 1, "the reader that waited gets it")
        self.assertEqual(self.read("forward.yaml"), forward)
        self.assertIn("a rollback has begun", self.run_script(status=1))
        self.assertIn(self.unread, self.rollback())
        self.still_served(self.client)

        # A daemon that has died starts with what it had.
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: self.serves(self.port) == "nobody", "it is gone")
        self.rollback()
        self.client = self.connect()
        self.the_way_back_has_begun()
        self.back_at_last()
        self.assertEqual(self.read("dualbus.yaml"), forward)
        for bus in (self.marketdata, self.engine_logic):
            with bus.client() as direct:
                direct.flushall()
        self.assertIn("Taken over.", self.run_script("--watch", "0"))
        self.assertEqual(self.serves(self.port), "dualbusd")

    def test_a_reload_that_is_refused_changes_nothing(self):
        self.taken_over()
        before = self.read("dualbus.yaml")
        self.old.port = self.new_port
        with self.old.client() as old:
            old.execute_command("ACL", "SETUSER", "default", "-xinfo")
        text = self.rollback()
        self.assertRegex(text, r"\| anchor: bus 'main' could not be asked for its groups: .*NOPERM")
        self.assertIn("the way back is not begun; nothing was changed", text)
        self.assertEqual((self.phase(), self.read("dualbus.yaml"), os.path.exists(self.path("forward.yaml"))), ("pushed", before, False))
        self.still_served(self.client)
        self.goes_to(self.client, "marketdata")
        with self.old.client() as old:
            old.execute_command("ACL", "SETUSER", "default", "+xinfo")
        self.assertIn(self.unread, self.rollback())
        self.still_served(self.client)
        self.the_way_back_has_begun()

    def test_an_ignored_group_that_only_the_old_redis_has_does_not_hinder_it(self):
        self.client.call("XGROUP", "CREATE", "s", "ignored-group", "$")
        self.taken_over()
        text = self.rollback()
        self.assertIn("no client was disconnected", text)
        self.assertIn(self.unread, text)
        self.still_served(self.client)
        self.the_way_back_has_begun()
        self.back_at_last()

    def test_pinned_keys_are_left_when_it_is_forced(self):
        self.change_config(lambda config: config["routing"].update(keys=[{"match": "p*", "bus": "marketdata"}]))
        self.taken_over("--force")
        self.client.call("XADD", "p", "5-5", "a", "b")
        self.assertIn("routing.keys pins keys", self.rollback())
        text = self.rollback("--force", status=2)
        self.assertIn("no client was disconnected", text)
        self.assertIn("Taken back. The entries and keys above were left behind", text)

    # --- a run that is killed while the daemon's file is another one

    def broken_off(self, loaded):
        """As a killed run leaves it, before or after the daemon has read the file."""
        shutil.copy(self.path("dualbus.yaml"), self.path("forward.yaml"))
        tool.back(self.path("forward.yaml"), self.path("dualbus.yaml"))
        if loaded:
            self.reload()

    def test_after_a_kill_the_way_back_goes_on(self):
        for loaded in (False, True):
            with self.subTest(loaded=loaded):
                self.taken_over()
                self.broken_off(loaded)
                self.assertIn(self.unread, self.rollback())
                self.still_served(self.client)
                self.the_way_back_has_begun()
                self.back_at_last()

    def test_after_a_kill_the_way_forward_can_be_gone(self):
        self.taken_over()
        forward = self.read("dualbus.yaml")
        for loaded in (False, True):
            self.broken_off(loaded)
            self.assertIn("Taken over.", self.run_script("--watch", "0"))
            self.assertEqual((self.read("dualbus.yaml"), os.path.exists(self.path("forward.yaml"))), (forward, False))
            self.still_served(self.client)
            self.goes_to(self.client, "marketdata")


if __name__ == "__main__":
    unittest.main()
