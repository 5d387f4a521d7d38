"""Every command with typical, edge and wrong arguments: config/plain.yaml before one Redis, and a bare Redis beside it, answer the
same, byte for byte. The requests stand in test/transcripts."""
import glob
import os
import shlex
import unittest

from differential_test import TRANSCRIPT
from harness import ROOT, Daemon, Redis, make_config
from plain_stack import PlainStackTest
from resp import encode

FILES = sorted(glob.glob(os.path.join(ROOT, "test", "transcripts", "*.txt")))

# What no transcript can hold, and why.
NOT_COMPARED = {
    "acl asking auth cluster failover hotkeys module readonly readwrite replconf role": "the daemon's own, or of a cluster",
    "debug lolwut migrate pfdebug pfselftest": "about the server's inside, or another server",
    "bgrewriteaof bgsave lastsave save shutdown": "about files of one server",
    "psync replicaof slaveof sync": "refused",
    "monitor quit": "end or change the connection: tests of their own",
    "restore-asking waitaof time": "of clusters, of Redis 7.2, of the clock",
}


def words_of(line):
    """As a shell's words; \\xNN, \\r and \\n in them are bytes."""
    return [word.encode("latin-1").decode("unicode_escape").encode("latin-1") if "\\" in word else word.encode()
            for word in shlex.split(line.replace("\\", "\\\\"))]


def load(path):
    with open(path, encoding="ascii") as file:
        return [words_of(line) for line in file if line.strip() and not line.startswith("#")]


GROUPS = {os.path.splitext(os.path.basename(path))[0]: load(path) for path in FILES}


class DifferentialCommandsTest(PlainStackTest):
    def pair(self, protocol, daemon=None):
        """Connections to both, which hold nothing."""
        self.flush()
        return self.connect(daemon, protocol), self.connect(self.bare, protocol)

    @staticmethod
    def replies(connection, request):
        """All that a request is owed: of subscriptions one for each name."""
        name = request[0].lower()
        several = name.endswith(b"subscribe") and len(request) > 2
        return [connection.read_raw() for _ in range(len(request) - 1 if several else 1)]

    def compare(self, requests, through, direct):
        differences = []
        for request in requests:
            answers = []
            for connection in (through, direct):
                connection.send_raw(encode(*request))
                answers.append(self.replies(connection, request))
            if answers[0] != answers[1]:
                differences.append((request, *answers))
        return differences

    def same(self, differences):
        self.assertEqual(differences, [], "\n".join(f"{r}\n  {a}\n  {b}" for r, a, b in differences))

    def test_one_by_one(self):
        for protocol in (2, 3):
            for name, requests in GROUPS.items():
                with self.subTest(group=name, protocol=protocol):
                    self.same(self.compare(requests, *self.pair(protocol)))

    def test_in_one_piece_and_in_small_ones(self):
        for name, requests in GROUPS.items():
            everything = b"".join(encode(*request) for request in requests)
            for size in (len(everything), 1, 7, 101):
                with self.subTest(group=name, size=size):
                    through, direct = self.pair(3)
                    direct.send_raw(everything)
                    expected = [self.replies(direct, request) for request in requests]
                    for start in range(0, len(everything), size):
                        through.send_raw(everything[start:start + size])
                    got = [self.replies(through, request) for request in requests]
                    self.same([found for found in zip(requests, got, expected) if found[1] != found[2]])

    def test_keys_that_a_rule_pins_to_one_of_two_buses(self):
        other = Redis("other", self.directory).start()
        self.addCleanup(other.kill)
        config = make_config({"pinned": self.bus.endpoint, "other": other.endpoint},
                             {"anchor": "other", "routing": {"default_bus": "other", "keys": [{"match": "*", "bus": "pinned"}]},
                              "buses": {"pinned": {"id_slot": 1}, "other": {"id_slot": 2}}})
        config["routing"]["types"] = {"other": ["market_data"]}
        daemon = Daemon(self.directory, config, name="pinning").start()
        self.addCleanup(daemon.kill)
        self.addCleanup(self.check, daemon)
        for protocol in (2, 3):
            for name, requests in GROUPS.items():
                if name in ("generic", "session"):  # about servers and databases, too
                    continue
                with self.subTest(group=name, protocol=protocol):
                    self.same(self.compare(requests, *self.pair(protocol, daemon)))

    def test_every_command_is_compared(self):
        with self.daemon.client() as client:
            known = set(client.execute_command("COMMAND"))
        with self.bare.client() as client:
            known &= set(client.execute_command("COMMAND"))
        compared = {request[0].lower() for requests in GROUPS.values() for request in requests}
        compared = {name.decode() for name in compared} | {str(request[0]).lower() for request in TRANSCRIPT}
        excused = {name for names in NOT_COMPARED for name in names.split()}
        self.assertEqual(known - compared - excused, set())
        self.assertGreater(len(known), 200)


if __name__ == "__main__":
    unittest.main()
