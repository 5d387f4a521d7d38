"""The transcripts of test/transcripts to a bare Redis and through the daemon before one: the same replies, byte for byte.

Once as config/plain.yaml has it: all of them, one by one, at once, in pieces, inline, and with wrong words. Once with two buses
and a rule for every key.
"""
import functools
import os
import unittest

from support import transcripts
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest
from support.plain_stack import PlainStackTest
from support.resp import Connection, encode
from support.transcripts import EXACT

# Commands about keys; and those and the scripts, which are also tried with wrong words.
DATA = ("bitmap", "generic", "geo", "hash", "hyperloglog", "list", "set", "sorted_set", "stream", "string")
WITH_WRONG_WORDS = DATA + ("scripting",)
# Requests that may have more or fewer replies than one.
NOT_ONE_REPLY = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "QUIT"}
# The commands that no line names, and those that no line shows succeeding.
NOT_COMPARED = {
    "acl|load": "refused: users stand in the YAML file", "acl|save": "as ACL LOAD", "acl|log": "refused: it is in the log",
    "failover": "refused by the daemon, whatever its arguments",
    "replconf": "refused by the daemon; Redis goes on as with a replica",
    "shutdown": "refused by the daemon; the end of the other Redis",
}
NEVER_SUCCEEDS = {
    "asking": "refused outside of a cluster", "cluster": "refused outside of a cluster", "readonly": "refused outside of a cluster",
    "readwrite": "refused outside of a cluster", "restore-asking": "RESTORE between the nodes of a cluster",
    "bgrewriteaof": "goes on behind its reply; see passed_commands_test.py", "bgsave": "as BGREWRITEAOF",
    "pfselftest": "takes a second; see passed_commands_test.py", "monitor": "shows what others send; see server_commands_test.py",
    "psync": "refused by the daemon", "replicaof": "refused by the daemon",
    "slaveof": "refused by the daemon", "sync": "refused by the daemon",
}


@functools.lru_cache(maxsize=None)
def load(name):
    return transcripts.load(name)


def everything():
    return [paragraph for name in transcripts.names() for paragraph in load(name)]


def request_bytes(lines):
    return transcripts.stream(lines) + encode("QUIT")


def run_split(server, other, data, offset):
    """The replies to `data` when the server reads it in two pieces."""
    with Connection(server.address) as connection:
        assert connection.call("FLUSHALL") == "OK"
        connection.send_raw(data[:offset])
        assert other.call("PING") == "PONG"  # whoever answers has read what came before
        try:
            connection.send_raw(data[offset:])
        except ConnectionError:
            pass
        return transcripts.split(connection.read_rest())


def run(server, lines, protocol=2, piece=None, inline=False):
    """The replies to `lines`, and one to QUIT, on a connection of their own and without keys at the beginning."""
    data = b"".join(line.text + b"\r\n" for line in lines) + encode("QUIT") if inline else request_bytes(lines)
    with Connection(server.address, protocol=protocol) as connection:
        assert connection.call("FLUSHALL") == "OK"
        try:
            for start in range(0, len(data), piece or len(data)):
                connection.send_raw(data[start:start + piece] if piece else data)
        except ConnectionError:
            pass  # what comes behind a QUIT among the lines is not read
        return transcripts.split(connection.read_rest())


def run_one_by_one(server, lines, protocol):
    with Connection(server.address, protocol=protocol) as connection:
        assert connection.call("FLUSHALL") == "OK"
        return [connection.call_raw(*line.words) for line in lines]


class Comparison(unittest.TestCase):
    def compare(self, lines, mine, theirs, how):
        """Fails with the first reply that differs in what its line's mark says."""
        one_each = len(theirs) in (len(lines), len(lines) + 1)
        for at, (one, other) in enumerate(zip(mine, theirs)):
            line = lines[at] if one_each and at < len(lines) else None
            if not transcripts.same(line.mark if line else EXACT, one, other):
                request = " ".join(map(repr, line.words)) if line else f"reply {at} of {lines[0].text}"
                before = [previous.words for previous in lines[max(0, at - 3):at]] if line else []
                self.fail(f"{how}: {request}\n  daemon: {one!r}\n  redis:  {other!r}\n  after: {before}")
        self.assertEqual(len(mine), len(theirs), (how, lines[0].text))


class PlainTest(PlainStackTest, Comparison):
    @classmethod
    @functools.lru_cache(maxsize=None)
    def expected(cls, protocol):
        """The bare Redis's answers to each paragraph."""
        return [run(cls.bare, lines, protocol) for lines in everything()]

    def test_each_reply_is_that_of_redis(self):
        for protocol in (2, 3):
            for lines in everything():
                if not any(line.name in NOT_ONE_REPLY or line.words[:2] == (b"CLIENT", b"REPLY") for line in lines):
                    with self.subTest(lines[0].text):
                        mine, theirs = (run_one_by_one(server, lines, protocol) for server in (self.daemon, self.bare))
                        self.compare(lines, mine, theirs, f"RESP{protocol}")

    def test_replies_are_the_same_when_everything_comes_at_once(self):
        for protocol in (2, 3):
            for lines, theirs in zip(everything(), self.expected(protocol)):
                with self.subTest(lines[0].text):
                    self.compare(lines, run(self.daemon, lines, protocol), theirs, f"at once, RESP{protocol}")

    def test_replies_are_the_same_when_requests_come_in_pieces(self):
        for piece in (1, 7, 61):
            for lines, theirs in zip(everything(), self.expected(2)):
                with self.subTest(lines[0].text):
                    self.compare(lines, run(self.daemon, lines, piece=piece), theirs, f"pieces of {piece}")

    def test_replies_are_the_same_wherever_the_requests_are_split(self):
        stride = 1 if os.environ.get("DUALBUS_EVERY_OFFSET") else 509  # a prime, so that no place in a request is always passed over
        offset = 1
        with Connection(self.daemon.address) as other:
            for lines, theirs in zip(everything(), self.expected(2)):
                data = request_bytes(lines)
                with self.subTest(lines[0].text):
                    while offset < len(data):
                        self.compare(lines, run_split(self.daemon, other, data, offset), theirs, f"split at {offset}")
                        offset += stride
                offset = max(1, offset - len(data))

    def test_replies_are_the_same_when_requests_come_as_lines_of_text(self):
        for lines, theirs in zip(everything(), self.expected(2)):
            with self.subTest(lines[0].text):
                self.compare(lines, run(self.daemon, lines, inline=True), theirs, "inline")

    def test_wrong_words_are_answered_as_by_redis(self):
        count = 0
        for name in WITH_WRONG_WORDS:
            for lines in load(name):
                if any(line.name == "SPOP" and line.mark for line in lines):
                    continue  # what it takes away is chance
                tried = list(transcripts.SETUP)
                for line in lines:
                    tried += [transcripts.among_wrong_requests(line), *transcripts.wrong_requests(line)]
                count += len(tried)
                with self.subTest(lines[0].text):
                    self.compare(tried, run(self.daemon, tried), run(self.bare, tried), "wrong words")
        self.assertGreater(count, 30000)

    # --- the transcripts themselves

    def test_every_command_has_lines_that_succeed_and_lines_that_fail(self):
        replies = {}
        for lines, theirs in zip(everything(), self.expected(2)):
            for line, reply in zip(lines, theirs):
                names = [line.name.lower(), b"|".join(line.words[:2]).decode(errors="replace").lower()]
                for name in names:
                    replies.setdefault(name, set()).add(reply[:1] == b"-")
        with Connection(self.daemon.address) as daemon, Connection(self.bare.address) as bare:
            known = {entry[0].decode() for entry in bare.call("COMMAND")}
            later = {entry[0].decode() for entry in daemon.call("COMMAND")} - known
            subcommands = {sub[0].decode() for entry in bare.call("COMMAND") for sub in entry[9]}
        subcommands = {name for name in subcommands if not name.startswith("cluster|")}  # refused outside of a cluster
        missing = (known | later | subcommands) - set(replies) - set(NOT_COMPARED)
        self.assertEqual(missing, set(), "no line names them")
        never = {name for name in known if True not in replies.get(name, ())}
        self.assertEqual(never - set(NOT_COMPARED), {"info", "punsubscribe", "quit", "sunsubscribe"}, "no line shows what they refuse")
        never = {name for name in known if False not in replies.get(name, ())}
        self.assertEqual(never - set(NOT_COMPARED), set(NEVER_SUCCEEDS), "no line shows them succeeding")


def bus_of(key):
    """The bus of a key by the rules of `TwoBusesTest`."""
    return MARKETDATA if key[-1:] and b"a" <= key[-1:] <= b"m" else ENGINE_LOGIC


def names_keys_by_patterns(line):
    return line.name.startswith("SORT") and any(
        option.upper() in (b"BY", b"GET") and b"*" in pattern for option, pattern in zip(line.words, line.words[1:]))


class TwoBusesTest(StackTest, Comparison):
    config = {"flush": "allowed",
              "routing": {"keys": [{"match": "*[a-m]", "bus": MARKETDATA}, {"match": "*", "bus": ENGINE_LOGIC}]}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def on_one_bus(self, oracle, line):
        """True if a request names keys, all of them on one bus."""
        keys = oracle.call("COMMAND", "GETKEYS", *line.words)
        if not isinstance(keys, list) or names_keys_by_patterns(line) or line.name in ("PFDEBUG", "MOVE") or (line.name == "COPY" and b"DB" in line.words):
            return False
        return len({bus_of(key) for key in keys}) == 1

    def test_commands_on_keys_of_one_bus_are_answered_as_by_redis(self):
        count = 0
        with Connection(self.bare.address) as oracle:
            for name in DATA:
                for lines in load(name):
                    chosen = [line for line in lines if self.on_one_bus(oracle, line)]
                    count += len(chosen)
                    if chosen:
                        with self.subTest(lines[0].text):
                            self.compare(chosen, run(self.daemon, chosen), run(self.bare, chosen), "two buses")
        self.assertGreater(count, 1000)

    def test_patterns_of_sort_that_may_name_keys_of_both_buses_are_refused(self):
        lines = [line for name in DATA for paragraph in load(name) for line in paragraph if names_keys_by_patterns(line)]
        self.assertGreater(len(lines), 5)
        for line, reply in zip(lines, run(self.daemon, lines)):
            self.assertRegex(reply, b"^-CROSSBUS ", line.words)


if __name__ == "__main__":
    unittest.main()
