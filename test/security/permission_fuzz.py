#!/usr/bin/env python3
"""Tries to get at keys that are not the user's own. A Redis with the same users is the oracle.

    positions   COMMAND GETKEYS of the daemon and of Redis find the same keys behind odd option words
    verdicts    what Redis refuses the daemon refuses, and what Redis carries out it does not call forbidden; keys of others
                neither change nor show, whatever was asked, also in MULTI
    injection   requests made of CRLF, zero bytes and pieces of RESP get one reply each, and touch no keys of others

permission_fuzz.py [--seconds 30] [--seed N] [--daemon PATH] [--only CLASS]

The seconds are shared out among the three. Exit status 1, with the seed and the requests, if something is found.
"""
import argparse
import hashlib
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from support import resp  # noqa: E402
from support.harness import Stack  # noqa: E402
from permission_requests import FOREIGN, NUMBERS, OWN, WORDS, Requests, bare  # noqa: E402

USERS = {"admin": ["*"], "team": ["a:*"], "numbers": ["[0-9]*"]}
SECRET = b"TOPSECRET"
BATCH = 100


def password_hash(name):
    return hashlib.sha256(name.encode()).hexdigest()


CONFIG = {
    "auth": {"users": {name: {"password_hashes": [password_hash(name)], "commands": ["+@all"], "keys": keys, "channels": ["*"]}
                       for name, keys in USERS.items()}},
    "limits": {"max_block": "20ms"},
}


def data_of(prefix, value):
    """Fills the keys of one heap."""
    return [("XADD", prefix + "s", "0-1", "f", value), ("XADD", prefix + "s", "5-1", "f", value), ("XGROUP", "CREATE", prefix + "s", "g", "0"),
            ("RPUSH", prefix + "l", value, "1", "2"), ("ZADD", prefix + "z", "1", value, "2", "m"), ("GEOADD", prefix + "g", "1", "1", "m", "1", "1", value),
            ("SADD", prefix + "set", value, "m"), ("HSET", prefix + "h", "f", value), ("SET", prefix + "x", value), ("SET", prefix + "1", value)]


class World:
    """The daemon before two buses, and a Redis that knows the same users."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.stack = Stack(CONFIG)
        self.bare = self.stack.add_redis("bare")
        with self.bare.connect() as client:
            for name, keys in USERS.items():
                assert client.call("ACL", "SETUSER", name, "on", "#" + password_hash(name), "+@all", "&*", *("~" + key for key in keys)) == "OK"
        # The bus with the keys that no rule pins; the other one holds no keys of others.
        self.bus = self.stack.engine_logic.connect()
        self.oracle_admin = self.bare.connect()
        self.counts = {}
        self.faults = []

    def log_in(self, server, user):
        client = resp.Connection(server.address)
        assert client.call("AUTH", user, user) == "OK"
        return client

    def pair(self, user):
        return self.log_in(self.stack.daemon, user), self.log_in(self.bare, user)

    def fill(self):
        """The same keys on the bus and on the oracle; the sums of those that belong to others."""
        requests = [("FLUSHALL",), *data_of("a:", b"own"), *data_of("b:", SECRET), *(("XADD", key, "0-1", "f", "own") for key in NUMBERS)]
        with self.stack.marketdata.connect() as other:
            other.call("FLUSHALL")
        self.oracle_admin.pipeline(requests)
        self.bus.pipeline(requests)
        return self.sums()

    def sums(self):
        """Of the keys that belong to others, on the bus; and whether any of them came into being on the other one."""
        groups = self.bus.call_raw("XINFO", "GROUPS", "b:s")
        with self.stack.marketdata.connect() as other:
            return self.bus.call_raw("DEBUG", "DIGEST-VALUE", *FOREIGN), groups, other.call("EXISTS", *FOREIGN)

    def fault(self, kind, text):
        self.faults.append(f"{kind}: {text}")
        print(f"FAULT {kind}: {text}"[:1000], flush=True)

    def count(self, kind, number):
        self.counts[kind] = self.counts.get(kind, 0) + number


# --- positions -----------------------------------------------------------------------------------------------------------


def check_positions(world, until):
    mine, theirs = world.pair("admin")
    requests = Requests(world.random, OWN + FOREIGN + NUMBERS + WORDS)
    while time.monotonic() < until and len(world.faults) < 20:
        batch = [("COMMAND", "GETKEYS", *requests.sound(repeats=False)) for _ in range(5 * BATCH)]
        for request, our, their in zip(batch, mine.pipeline(batch), theirs.pipeline(batch)):
            if our != their and not (isinstance(our, resp.ReplyError) and isinstance(their, resp.ReplyError)):
                world.fault("positions", f"{request[2:]}: {our!r}, Redis {their!r}")
        world.count("positions", len(batch))


# --- verdicts ------------------------------------------------------------------------------------------------------------


def forbidden(reply):
    return isinstance(reply, resp.ReplyError) and (reply.startswith("NOPERM") or "insufficient ACL permissions" in reply)


def failed(reply):
    return isinstance(reply, resp.ReplyError)


def stores_twice(request):
    return request[0].startswith(("GEORADIUS", "SORT")) and sum(bare(word) in (b"store", b"storedist") for word in request) > 1


def misleads_redis(request):
    """The consumer is called `streams` or there are two GROUPs: Redis's ACL takes keys from where it does not read any."""
    words = [bare(word) for word in request]
    return request[0] == "XREADGROUP" and (words.count(b"group") > 1 or words[4:].count(b"streams") > 1)


def run_all(client, batch, wrapped):
    """One reply per request; those at the indices in `wrapped` are sent in a transaction of their own."""
    sent = []
    for index, request in enumerate(batch):
        sent += [("MULTI",), request, ("EXEC",)] if index in wrapped else [request]
    replies = iter(client.pipeline(sent))
    result = []
    for index in range(len(batch)):
        if index not in wrapped:
            result.append(next(replies))
            continue
        next(replies)
        queued, done = next(replies), next(replies)
        result.append(done[0] if queued == "QUEUED" and isinstance(done, list) else done if queued == "QUEUED" else queued)
    return result


def check_verdicts(world, until):
    heaps = {"team": (OWN, OWN * 2 + FOREIGN), "numbers": (NUMBERS, NUMBERS * 3 + FOREIGN + ["STREAMS"])}
    clients = {user: world.pair(user) for user in heaps}
    while time.monotonic() < until and len(world.faults) < 20:
        user = world.random.choice(list(heaps))
        mine, theirs = clients[user]
        requests = Requests(world.random, heaps[user][1])
        batch = [requests.odd() for _ in range(BATCH)]
        wrapped = {index for index in range(BATCH) if world.random.random() < 0.2}
        before = world.fill()
        ours, theirs_said = run_all(mine, batch, wrapped), run_all(theirs, batch, wrapped)
        for index, (request, our, their) in enumerate(zip(batch, ours, theirs_said)):
            where = f"{user} {request}{' in MULTI' if index in wrapped else ''}: {our!r}, Redis {their!r}"
            world.count("forbidden to both", forbidden(our) and forbidden(their))
            world.count("carried out by both", not failed(our) and not failed(their))
            if stores_twice(request):
                continue  # Redis may look at another one than the last, which counts: it takes SORT's STORE GET for an option GET
            if misleads_redis(request):
                continue  # Redis's ACL looks for STREAMS from the fifth word on, and may find the name of the last consumer
            if forbidden(their) and not failed(our):
                world.fault("carried out", where)
            elif forbidden(our) and not failed(their):
                world.fault("refused", where)
            elif SECRET in repr(our).encode():
                world.fault("leaked", where)
        if world.sums() != before:
            world.fault("changed", find_change(world, mine, batch, wrapped, user))
        world.count("verdicts", len(batch))


def find_change(world, mine, batch, wrapped, user):
    """The first request of the batch that changes what belongs to others."""
    before = world.fill()
    for index, request in enumerate(batch):
        run_all(mine, [request], {0} if index in wrapped else set())
        if world.sums() != before:
            return f"{user} {request}"
    return f"{user}, one of {batch}"


# --- injection -----------------------------------------------------------------------------------------------------------

PIECES = [b"\r\n", b"\r", b"\n", b"\0", b"*1\r\n$8\r\nFLUSHALL\r\n", b"*3\r\n$3\r\nSET\r\n$3\r\nb:x\r\n$1\r\nX\r\n", b"$-1\r\n", b"+OK\r\n", b"-ERR x\r\n", b":1\r\n",
          b"*2\r\n", b"$5\r\n", b"SET b:x X\r\n", b"DEL b:x\r\n", b"\x1b[2J", b"\xff\xfe", b"a:x", b"b:x", b"GET", b"%s%n", b"'", b"\"", b"\\", b"{}", b"-", b"(", b"$"]
NAMES = ["GET", "SET", "MGET", "DEL", "XADD", "XREADGROUP", "XREAD", "XRANGE", "XGROUP", "XINFO", "XPENDING", "XCLAIM", "XAUTOCLAIM", "XACK", "SORT",
         "EVAL", "FCALL", "SCRIPT", "FUNCTION", "CLIENT", "CONFIG", "COMMAND", "ACL", "PUBLISH", "PUBSUB", "OBJECT", "MEMORY", "LATENCY", "SLOWLOG",
         "INFO", "ECHO", "AUTH", "COPY", "RENAME", "RESTORE", "SCAN", "KEYS", "LMPOP", "GEORADIUS", "MIGRATE", "MODULE", "CLUSTER", "DEBUG",
         "OBJECT", "SELECT", "EXPIRE", "TYPE", "NOSUCH", "XSETID", "HELLO"]
SECOND = {"XGROUP": ["CREATE", "SETID", "DESTROY", "CREATECONSUMER", "HELP"], "XINFO": ["STREAM", "GROUPS", "CONSUMERS"],
          "SCRIPT": ["EXISTS", "LOAD", "NOSUCH"], "FUNCTION": ["LIST", "LOAD", "DELETE"], "CLIENT": ["SETNAME", "SETINFO", "KILL", "LIST", "UNBLOCK", "NOSUCH"],
          "CONFIG": ["GET", "SET", "NOSUCH"], "COMMAND": ["GETKEYS", "INFO", "DOCS", "LIST"], "ACL": ["GETUSER", "DRYRUN", "CAT", "SETUSER"],
          "PUBSUB": ["NUMSUB", "CHANNELS", "NOSUCH"], "OBJECT": ["ENCODING", "NOSUCH"], "MEMORY": ["USAGE", "NOSUCH"], "SLOWLOG": ["GET", "NOSUCH"],
          "XREAD": ["STREAMS", "COUNT"], "XREADGROUP": ["GROUP"], "HELLO": ["2", "x", "AUTH"]}


def injected(world):
    rng = world.random
    name = rng.choice(NAMES)
    if rng.random() < 0.1:
        name = name.encode() + rng.choice(PIECES)
    request = [name]
    if name in SECOND and rng.random() < 0.8:
        request.append(rng.choice(SECOND[name]) if rng.random() < 0.8 else rng.choice(SECOND[name]).encode() + rng.choice(PIECES))
    for _ in range(rng.randrange(6)):
        pieces = [rng.choice(PIECES) for _ in range(rng.randrange(1, 4))]
        request.append(rng.choice([b"".join(pieces), rng.choice(OWN).encode(), rng.choice(["0", "1", "*"]).encode(),
                                   rng.choice(WORDS).encode() + pieces[0]]))
    return request


def check_injection(world, until):
    mine = world.log_in(world.stack.daemon, "team")
    before = world.fill()
    number = 0
    while time.monotonic() < until and len(world.faults) < 20:
        sent = []
        batch = [injected(world) for _ in range(BATCH)]
        for request in batch:
            number += 1
            sent += [request, ("ECHO", f"marker-{number}")]
        first = number - BATCH + 1
        try:
            replies = mine.pipeline(sent)
        except (OSError, ValueError) as error:
            world.fault("injection", f"{error}: one of {batch}")
            mine = world.log_in(world.stack.daemon, "team")
            continue
        for index, request in enumerate(batch):
            if replies[2 * index + 1] != f"marker-{first + index}".encode():
                world.fault("injection", f"{request}: {replies[2 * index]!r}, then {replies[2 * index + 1]!r}")
                break
            if SECRET in repr(replies[2 * index]).encode():
                world.fault("leaked", f"{request}: {replies[2 * index]!r}")
        if world.sums() != before:
            world.fault("changed", f"one of {batch}")
            before = world.fill()
        world.count("injection", len(batch))


CLASSES = {"positions": check_positions, "verdicts": check_verdicts, "injection": check_injection}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--daemon", help="the program; else the environment's DUALBUSD")
    parser.add_argument("--only", choices=CLASSES)
    options = parser.parse_args()
    if options.daemon:
        os.environ["DUALBUSD"] = os.path.abspath(options.daemon)
    print(f"seed {options.seed}", flush=True)
    world = World(options.seed)
    try:
        chosen = [options.only] if options.only else list(CLASSES)
        for name in chosen:
            CLASSES[name](world, time.monotonic() + options.seconds / len(chosen))
        if not world.stack.daemon.running() or world.stack.daemon.sanitizer_report():
            world.fault("daemon", world.stack.daemon.sanitizer_report() or world.stack.daemon.log()[-2000:])
    finally:
        try:
            world.stack.end()
        except AssertionError as error:
            world.fault("daemon", str(error))
    for name, count in world.counts.items():
        if count == 0:
            world.fault("test", f"nothing was {name}")
    print(", ".join(f"{count} {name}" for name, count in world.counts.items()) + f": {len(world.faults)} faults", flush=True)
    return 1 if world.faults else 0


if __name__ == "__main__":
    sys.exit(main())
