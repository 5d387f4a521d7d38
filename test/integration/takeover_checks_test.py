"""Objections and notes of deploy/takeover.sh about clients that would not be served after the move, and entries that would not be read."""
import hashlib
import os
import subprocess
import unittest

from support import resp
from support.harness import ROOT
from support.takeover_stack import IdleStack


class ObjectionTest(IdleStack):
    def test_users_of_clients_that_are_not_there_now(self):
        self.client.call("ACL", "SETUSER", "engine", "on", ">secret", "+@all", "~*")
        self.refused("objection: the Redis has a user engine, and auth.users has not")
        engine = {"password_hashes": [hashlib.sha256(b"other").hexdigest()], "commands": ["+@all"], "keys": ["*"]}
        everybody = {"nopass": True, "commands": ["+@all"], "keys": ["*"], "channels": ["*"]}
        self.change_config(lambda config: config.update(auth={"users": {"engine": engine, "default": everybody}}))
        self.refused("objection: user engine: a password of the Redis is not among those in auth.users")
        engine["password_hashes"].append(hashlib.sha256(b"secret").hexdigest())
        self.change_config(lambda config: config.update(auth={"users": {"engine": engine}}))
        self.refused("objection: auth.users has no user default with nopass")
        self.change_config(lambda config: config.update(auth={"users": {"engine": engine, "default": everybody}}))
        self.assertNotIn("objection", self.run_script("--dry-run"))

    def test_addresses_that_the_daemon_does_not_serve(self):
        self.client.call("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
        self.assertIn("note: it listens on 127.0.0.2, dualbusd will listen on 127.0.0.1", self.run_script("--dry-run"))
        other = resp.Connection(("127.0.0.2", self.port))
        self.addCleanup(other.close)
        other.call("PING")
        self.refused("objection: 1 client connected to 127.0.0.2, and listen.address is 127.0.0.1")
        self.change_config(lambda config: config["listen"].update(address="127.0.0.3"))
        self.refused("listen.address is 127.0.0.3, which is not reached at --host 127.0.0.1", "--force")

    def test_more_clients_than_can_be_served(self):
        for _ in range(10):
            self.connect().call("PING")
        self.change_config(lambda config: config.update(limits={"max_clients": 5}))
        with self.marketdata.client() as bus:
            bus.config_set("maxclients", 4)
        done = subprocess.run(["bash", "-c", 'ulimit -n 262 && exec "$@"', "limited", *self.command()], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "objection: [0-9]+ clients are connected, and limits.max_clients is 5")
        self.assertRegex(done.stdout, r"objection: [0-9]+ clients are connected, and dualbusd may open 262 files \(ulimit -Hn\), which leaves 6")
        self.assertRegex(done.stdout, r"objection: bus 'marketdata' takes 4 clients \(maxclients\), of which [0-9]+ are there: dualbusd needs up to [0-9]+ more")
        self.unchanged()

    def test_keys_of_any_database_on_a_new_bus_but_not_what_a_failed_attempt_leaves(self):
        with self.marketdata.client() as bus, self.engine_logic.client(db=3) as other:
            bus.xgroup_create("s", "g", "0", mkstream=True)
            self.assertIn("note: bus 'marketdata' holds 1 empty stream of an earlier attempt", self.run_script("--dry-run"))
            bus.xadd("s", {"a": 1})
            other.set("k", 1)
            text = self.run_script(status=1)
        for name in ("marketdata", "engine_logic"):
            self.assertIn(f"objection: bus '{name}' holds 1 key;", text)
        self.unchanged()

    def test_sequences_that_clients_cannot_see_until_they_are_cleared(self):
        for number in range(1200):
            self.client.call("XADD", "long", f"{number + 1}-{10**12 if number in (700, 900) else 1}", "a", 1)
        self.client.call("XGROUP", "CREATE", "long", "g", 0)
        self.client.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 800, "STREAMS", "long", ">")
        self.client.call("XADD", "gone", f"5-{10**13}", "a", 1)
        self.client.call("XGROUP", "CREATE", "gone", "g", 0)
        self.client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "gone", ">")
        self.client.call("XDEL", "gone", f"5-{10**13}")
        text = self.run_script(status=1)
        self.assertIn(f"objection: stream 'long' has 2 entries with sequences of 10^12 and more, such as 701-{10**12}:", text)
        self.assertIn("objection: stream 'gone' has 1 entries with sequences", text, "pending ones count, too")
        self.unchanged()
        subprocess.run([os.path.join(ROOT, "deploy", "takeover", "streams.py"), "clear", "127.0.0.1", str(self.port), "long", "gone"],
                       check=True, stdout=subprocess.DEVNULL)
        self.assertEqual((self.client.call("XLEN", "long"), self.client.call("XPENDING", "long", "g")[0], self.client.call("XPENDING", "gone", "g")[0]),
                         (1198, 799, 0))
        self.assertNotIn("objection", self.run_script("--dry-run"))

    def test_streams_that_cannot_be_looked_at(self):
        self.client.call("ACL", "SETUSER", "default", "-xinfo")
        self.refused(r"objection: not all of its streams could be looked at \(streams.py look: .*permissions.*xinfo")
        self.client.call("ACL", "SETUSER", "default", "+xinfo")

    def test_groups_that_nobody_reads_are_named(self):
        self.client.call("XGROUP", "CREATE", "s", "left", 0)
        self.client.call("XGROUP", "CREATE", "s", "read", 0)
        self.client.call("XREADGROUP", "GROUP", "read", "c", "STREAMS", "s", ">")
        text = self.run_script("--dry-run")
        self.assertIn("note: nobody reads group 'left' of stream 's' (entries to read)", text)
        self.assertNotIn("group 'read'", text)

    def test_a_state_folder_without_room_is_seen_before_anything_is_changed(self):
        folder = os.path.join(self.directory, "bin")
        os.mkdir(folder)
        with open(os.path.join(folder, "df"), "w") as file:
            file.write("#!/bin/sh\necho Filesystem\necho disk 100 92 8 92% /\n")
        os.chmod(os.path.join(folder, "df"), 0o700)
        done = subprocess.run(self.command(), env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "only 8 KiB are free in .*, 1024 are needed; nothing was changed")
        self.unchanged()

    def test_somebody_else_is_at_work_on_the_same_redis(self):
        other = self.connect()
        other.call("CLIENT", "SETNAME", "dualbus-takeover:1")
        self.refused(r"another takeover.sh \(process 1\) is at work on the Redis on port")


if __name__ == "__main__":
    unittest.main()
