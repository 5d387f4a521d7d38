#!/usr/bin/python3
"""The legacy fleet runs while its daemon gets other configurations, is replaced by other processes, and loses masters; a table
says what the clients noticed.

    test/faults/availability.py --daemon build/release/src/app/dualbusd --fleet build/release/src/fleet/dualbus-fleet
                                [--reloads 10] [--hand-overs 10] [--failovers 5] [--every 1.0] [--slowest 250] [--seed N]

Beside the fleet, a few clients raise counters, and measure how long one request takes. There are three phases, each with a fleet of
its own, which in the end waits until everything is delivered:

- Reloads. Each changes something of another kind, in turn: the address of a bus, its password, its state, the anchor, rules for
  message types, users, limits; a file that is wrong; and the list of buses, the listeners and the number of workers, for which
  new workers take the clients over.
- Hand-overs. A new process (dualbusd --take-over) takes the place of the running one, again and again.
- Failovers. One bus has a master, two replicas and three Sentinels, and `acknowledge: {replicas: 1}`. Its master is killed or
  stopped, in turn, the daemon follows the Sentinels to the next one, and the old one comes back as a replica.

The status is 1 if a group missed an entry; if outside failovers a client got an error, lost its connection, or a group got an
entry twice, or a request took longer than --slowest milliseconds (0: however long); if a counter is not what it must be. Errors
during failovers are shown. So are entries that come again behind one, as T4 in docs/invariants.md allows: only such that a group
had before the old master was gone; and those that wait in a group's pending list because the answer to the read died with the
master. DUALBUSD and DUALBUS_FLEET are the defaults of --daemon and --fleet.
"""
import argparse
import collections
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time

import paths  # noqa: F401 pylint: disable=unused-import
from canaries import Load
from changes import Changes
from support.fleet_engine import ENGINE_LOGIC_TYPES, MARKETDATA_TYPES
from support.hand_over import Chain, summary_of
from support.harness import ENGINE_LOGIC, MARKETDATA, Stack
from support.servers import wait_for

CONFIG = {"missing_group": {"action": "create"}, "draining": {"interval": "200ms", "quiet": "200ms"},
          "routing": {"types": {MARKETDATA: list(MARKETDATA_TYPES), ENGINE_LOGIC: list(ENGINE_LOGIC_TYPES)}}}


class Phase:
    """What the clients noticed while something was done several times."""

    def __init__(self, name):
        self.name = name
        self.times, self.slowest, self.faults = 0, 0.0, []
        self.kinds = collections.OrderedDict()  # what was done -> [times, slowest request in seconds]
        self.errors = collections.Counter()
        self.reconnects = self.missing = self.twice = self.repeats = self.pending = self.unread = self.wrong = 0
        self.entries = self.delivered = self.calls = 0

    def note(self, kind, slowest):
        times, before = self.kinds.get(kind, (0, 0.0))
        self.kinds[kind] = (times + 1, max(before, slowest))
        self.times += 1
        self.slowest = max(self.slowest, slowest)

    def take(self, load):
        """The figures of a load that has ended."""
        figures = load.figures
        self.entries, self.delivered = figures["published"]["entries"], figures["deliveries"]["delivered"]
        self.missing, self.twice, self.wrong = (figures["deliveries"][name] for name in ("missing", "duplicates", "wrong"))
        self.calls = figures["calls"]["total"] + sum(load.requests())
        self.errors.update(figures["calls"]["errors"])
        self.errors.update(error.split(" ", 1)[0] for error in load.errors())
        self.reconnects = figures["reconnects"] + sum(canary.reconnects for canary in load.canaries)
        self.faults += load.wrong()

    def judge(self, slowest):
        """What should not be."""
        found = [f"{self.name}: {fault}" for fault in self.faults]
        for what, count in (("missing", self.missing), ("twice", self.twice), ("wrong", self.wrong),
                            ("that the groups have not come to in a minute (a busy machine? a lower --rate helps)", self.unread)):
            if count:
                found.append(f"{self.name}: {count} entries {what}")
        if self.times and not self.delivered:
            found.append(f"{self.name}: nothing was delivered")
        if self.name == "failovers":
            return found
        if self.errors or self.reconnects:
            found.append(f"{self.name}: errors {dict(self.errors)}, {self.reconnects} reconnects")
        if slowest and 1e3 * self.slowest > slowest:
            found.append(f"{self.name}: a request took {1e3 * self.slowest:.1f} ms")
        return found


def each(options, load, phase, kind, act):
    """Does one thing in the middle of a while, and notes the slowest request of that while."""
    time.sleep(options.every / 2)
    load.slowest()
    kind = act() or kind
    time.sleep(options.every / 2)
    phase.note(kind, load.slowest())


def connections_lost(daemon):
    return daemon.metrics().value("dualbus_backend_connections_lost_total")


def reload(options, stack, phase):
    changes = Changes(stack)
    before = connections_lost(stack.daemon)
    with Load(options, stack.daemon, stack.directory, phase.name) as load:
        for _ in range(options.reloads):
            each(options, load, phase, None, changes.next)
        load.finish()
    phase.take(load)
    if lost := connections_lost(stack.daemon) - before:
        phase.faults.append(f"{lost:.0f} connections to buses were lost")


def hand_over(options, stack, phase):
    chain = Chain(stack)

    def act():
        old, _ = chain.hand_over()
        figures = summary_of(old)
        if figures["left"] or figures["refused"]:
            phase.faults.append(f"clients stayed behind: {figures}")

    with Load(options, stack.daemon, stack.directory, phase.name) as load:
        for _ in range(options.hand_overs):
            each(options, load, phase, "take-over", act)
        load.finish()
    phase.take(load)
    if lost := connections_lost(stack.daemon):
        phase.faults.append(f"{lost:.0f} connections to buses were lost")


def fail_over(options, masters, phase):
    with Load(options, masters.daemon, masters.directory, phase.name) as load, masters.watch() as watch:
        def act(kind):
            masters.lose(kind)
            before = load.requests()
            wait_for(lambda: load.wrong() or all(now > then + 20 for now, then in zip(load.requests(), before)), "all are served")

        for number in range(options.failovers):
            kind = ("killed", "stopped")[number % 2]
            each(options, load, phase, f"master {kind}", lambda kind=kind: act(kind))
            masters.restore()
        load.finish()
        watch.finish()
    phase.take(load)
    phase.faults += watch.faults()
    # The fleet does not say when it got what comes twice; the watch does. All that the fleet had once more came with a failover.
    phase.repeats, phase.twice = phase.twice + watch.repeats, 0
    # The old master had read them for a group, and was gone before the answer was there: the new one has them among what is pending,
    # where a client finds them that asks for that after an error. The fleet does not.
    for where, count in load.missing().items():
        unread = min(count, masters.unread(*where))
        phase.unread += unread
        phase.pending += min(count - unread, masters.pending(*where))
    phase.missing -= phase.pending + phase.unread
    phase.pending += watch.pending


def print_tables(phases):
    print("| phase | times | calls | client errors | reconnects | deliveries | missing | twice | slowest request, ms |\n" + "|---" * 9 + "|")
    for phase in phases:
        twice = f"{phase.twice}, and {phase.repeats} repeats (T4)" if phase.repeats else phase.twice
        missing = f"{phase.missing}, and {phase.pending} pending" if phase.pending else phase.missing
        print(f"| {phase.name} | {phase.times} | {phase.calls:,} | {sum(phase.errors.values())} | {phase.reconnects} | {phase.delivered:,} | "
              f"{missing} | {twice} | {1e3 * phase.slowest:.1f} |")
    print("\n| phase | of a kind | times | slowest request, ms |\n|---|---|---|---|")
    for phase in phases:
        for kind, (times, slowest) in sorted(phase.kinds.items()):
            print(f"| {phase.name} | {kind.replace('_', ' ')} | {times} | {1e3 * slowest:.1f} |")
    for phase in phases:
        if phase.errors:
            print(f"\nErrors in {phase.name}: " + ", ".join(f"{count} {code}" for code, count in sorted(phase.errors.items())))


def run(options, directory):
    """All phases."""
    phases = []
    if options.reloads or options.hand_overs:
        stack = Stack({**CONFIG, "control": {"socket": os.path.join(directory, "control.sock")}})
        try:
            for name, number, act in (("reloads", options.reloads, reload), ("hand-overs", options.hand_overs, hand_over)):
                if number:
                    phases.append(Phase(name))
                    act(options, stack, phases[-1])
        finally:
            stack.end()
    if options.failovers:
        from masters import Masters  # needs the environment variable  pylint: disable=import-outside-toplevel
        phases.append(Phase("failovers"))
        with contextlib.closing(Masters(directory, CONFIG)) as masters:
            fail_over(options, masters, phases[-1])
    return phases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", default=os.environ.get("DUALBUSD"), help="the program")
    parser.add_argument("--fleet", default=os.environ.get("DUALBUS_FLEET"), help="the load tool")
    parser.add_argument("--reloads", type=int, default=10, help="how many")
    parser.add_argument("--hand-overs", type=int, default=10, help="how many")
    parser.add_argument("--failovers", type=int, default=5, help="how many")
    parser.add_argument("--every", type=float, default=1.0, help="seconds from one to the next, at least")
    parser.add_argument("--rate", type=int, default=20, help="messages per second of each engine, each to 18 streams")
    parser.add_argument("--slowest", type=float, default=250, help="the most milliseconds that a request may take outside failovers; 0: any")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    options = parser.parse_args()
    if not options.daemon or not options.fleet:
        parser.error("where are the programs? Give --daemon and --fleet")
    os.environ["DUALBUSD"] = options.daemon
    directory = tempfile.mkdtemp(prefix="dualbus-availability-")
    try:
        phases = run(options, directory)
    finally:
        shutil.rmtree(directory)
    print_tables(phases)
    found = [problem for phase in phases for problem in phase.judge(options.slowest)]
    for problem in found:
        print("FAULT:", problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
