#!/usr/bin/python3
"""Hand-overs from process to process, many of them, with more clients than the integration tests have.

    test/faults/hand_overs.py kills [--times 200] [--clients 120] [--seed N]
    test/faults/hand_overs.py crowd [--times 10] [--clients 1000] [--processes 4] [--pace 100] [--workers 1]

kills: one of the two processes is killed (SIGKILL) at a random moment, the new one and the old one in turn. No client may end but
with its owner, and none may be served twice.
crowd: clients publish, poll, wait, subscribe and run MULTI through hand-overs in a row. None may be closed, get an error, or miss
or get twice anything; the slowest request is shown. The status is 1 if something was wrong. DUALBUSD names the daemon.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import unittest

import paths  # noqa: F401 pylint: disable=unused-import
from support.hand_over import Chain, summary_of
from support.hand_over_crowds import Crowds
from support.hand_over_kills import Kills
from support.harness import Stack


def kills(options, stack):
    test, chain = unittest.TestCase(), Chain(stack)
    test.maxDiff = None
    run = Kills(test, stack, chain, options.seed, options.clients)
    run.measure()
    print(f"seed {options.seed}; a hand-over takes up to {1e3 * run.longest:.0f} ms; {options.clients} clients", flush=True)
    for number in range(options.times):
        (run.kill_new, run.kill_old)[number % 2]()
    chain.hand_over()
    stack.check(test)
    print(f"{options.times} processes killed: {run.served} clients were served on, {run.ended} ended with their owner; 0 lost otherwise, 0 served twice; {len(run.faults)} other faults")
    for outcome, count in sorted(run.outcomes.items()):
        print(f"  {count:3} {outcome}")
    return run.faults


def crowd(options, stack):
    chain = Chain(stack)
    crowds = Crowds(stack.daemon.address, options.clients, options.processes, options.pace)
    found = []
    try:
        for number in range(options.times):
            crowds.await_progress()
            old, _ = chain.hand_over()
            figures = summary_of(old)
            print(f"{number + 1}: {figures}", flush=True)
            if figures["left"] or figures["refused"]:
                found.append(f"hand-over {number + 1}: clients stayed behind")
        crowds.await_progress()
        figures = crowds.finish(chain.unmarked)
    finally:
        crowds.end()
    stack.check(unittest.TestCase())
    print(f"{figures['clients']} clients, {options.times} hand-overs, {figures['requests']} requests that do not wait, {figures['published']} entries published, "
          f"{figures['delivered']} deliveries of entries and messages; {len(figures['faults'])} faults; slowest request {1e3 * figures['slowest']:.1f} ms")
    return found + figures["faults"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "crowd"))
    parser.add_argument("--times", type=int, help="how many hand-overs; 200 or 10")
    parser.add_argument("--clients", type=int, help="120 or 1000")
    parser.add_argument("--processes", type=int, default=4, help="that the clients of the crowd run in")
    parser.add_argument("--pace", type=float, default=100, help="multiplies the pauses of the crowd's clients, of 2 to 10 ms")
    parser.add_argument("--workers", type=int, default=1, help="of the daemon")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    options = parser.parse_args()
    usual = {"kills": (200, 120), "crowd": (10, 1000)}[options.what]
    options.times, options.clients = options.times or usual[0], options.clients or usual[1]
    directory = tempfile.mkdtemp(prefix="dualbus-hand-overs-")
    begun = time.monotonic()
    stack = None
    try:
        stack = Stack({"control": {"socket": os.path.join(directory, "control.sock"), "handover_timeout": "8s"}, "workers": options.workers})
        found = {"kills": kills, "crowd": crowd}[options.what](options, stack)
        stack.end()
    finally:
        if stack is not None:
            stack._end_processes()  # pylint: disable=protected-access
        shutil.rmtree(directory)
    print(f"{time.monotonic() - begun:.0f} s")
    for problem in found:
        print("FAULT:", problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
