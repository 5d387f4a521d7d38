"""The plain layout: one client before one Redis through the daemon, and one before a bare Redis: the same requests, the same bytes."""
import random
import shutil
import sys
import tempfile
import time

import yaml

from session_requests import ROOT, Generator

from support.harness import Daemon, Redis, free_port
from support.resp import Connection, encode

# Behind one of these the two need not have the same data any more: the daemon has not carried the request out.
REFUSALS = (b"-NOTSUPPORTED", b"-CROSSBUS", b"-ERR dualbus")
# Documented in docs/differences.md: errors that EXEC learns later than Redis, which then has queued nothing.
ONLY_IN_MULTI = (b"-", b"+QUEUED")


def differs(ours, theirs):
    """True if there is a fault; None if the two may part here."""
    if ours == theirs:
        return False
    if ours.startswith(REFUSALS):
        return None
    return True


def one_run(make, chance, daemon, bare):
    """Some requests on both sides; returns what was asked if a reply differs, else None. The number of requests comes with it."""
    asked = []
    in_multi = False
    for connection in (daemon, bare):
        connection.call("FLUSHALL")
    for _ in range(chance.randrange(5, 60)):
        requests = [make.deterministic() for _ in range(chance.choice((1, 1, 3, 10)))]
        for connection in (daemon, bare):
            connection.send_raw(b"".join(encode(*request) for request in requests))
        replies = [(daemon.read_raw(), bare.read_raw()) for _ in requests]
        for request, (ours, theirs) in zip(requests, replies):
            asked.append(request)
            name = request[0].lower()
            wrong = differs(ours, theirs)
            if in_multi and wrong and (ours == b"+QUEUED\r\n" and theirs.startswith(ONLY_IN_MULTI) or b"EXECABORT" in theirs):
                wrong = None
            if wrong:
                return asked, f"{ours[:300]!r}\ninstead of\n{theirs[:300]!r}"
            if wrong is None:
                return asked, None
            # With a word too many EXEC discards the transaction, DISCARD leaves it as it is.
            ends = name == b"exec" or name == b"discard" and len(request) == 1
            in_multi = ours == b"+QUEUED\r\n" or name == b"multi" and ours == b"+OK\r\n" or in_multi and not ends
    return asked, None


def compare(options):
    directory = tempfile.mkdtemp(prefix="dualbus-test-")
    processes = []
    try:
        bus, bare = (Redis(name, directory).start() for name in ("main", "bare"))
        processes += [bus, bare]
        with open(f"{ROOT}/config/plain.yaml", encoding="utf-8") as file:
            config = yaml.safe_load(file)
        config["listen"]["port"], config["admin"]["port"] = free_port(), free_port()
        config["buses"]["main"]["endpoint"] = bus.endpoint
        daemon = Daemon(directory, config)
        processes.append(daemon)
        daemon.start()
        end = time.monotonic() + options.seconds
        runs = requests = 0
        while time.monotonic() < end:
            chance = random.Random(f"{options.seed}:{runs}")
            protocol = chance.choice((2, 3))
            with Connection(daemon.address, protocol=protocol) as ours, Connection(bare.address, protocol=protocol) as theirs:
                asked, wrong = one_run(Generator(chance), chance, ours, theirs)
            runs += 1
            requests += len(asked)
            if wrong:
                shown = "\n".join("  " + " ".join(repr(word[:80])[1:] for word in request) for request in asked[-12:])
                print(f"\ndifference (seed {options.seed}, run {runs - 1}, RESP{protocol}):\n{shown}\n{wrong}", file=sys.stderr, flush=True)
                return 1
        assert daemon.terminate() == 0 and not daemon.sanitizer_report(), daemon.sanitizer_report() or daemon.log()
        print(f"seed {options.seed}: {runs} runs, {requests} requests", flush=True)
        return 0
    finally:
        for process in processes:
            process.kill()
        shutil.rmtree(directory, ignore_errors=True)
