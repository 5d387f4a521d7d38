#!/usr/bin/python3
"""A fault campaign: several daemons before two real Redis servers, all kinds of clients, and faults of all kinds at random.

    test/faults/campaign.py --daemon build/release/src/app/dualbusd [--seconds 60] [--seed N] [--workers 1,2]
                            [--faults kill,stop,…] [--without lie,…] [--round N] [--keep] [--verbose] [--list] [--table] [--self-test]

A campaign is a row of rounds. In each, clients publish, read in groups, follow, push and pop, lock, subscribe and ask for what
is theirs, while faults come and go: a bus is killed, stopped, cut off, refuses, is full, lies; a daemon is killed, stopped,
reloaded; clients leave in the middle. Then the faults end; it is measured how long it takes until everything works. Then what
the clients were told is held against what the buses have: client.py and checker.py say what must not be. Everything that the
documents leave open (docs/differences.md: BUSLOST, BUSTIMEOUT, a connection that is lost) is allowed, nothing else.

A finding names its seed and round; `--seed S --round N` repeats that round: the same clients and faults in the same order,
though never at the same instants. Findings end the program with status 1, and files and logs are kept. DUALBUSD and
DUALBUS_FAULT_SEED are the defaults of --daemon and --seed.

`--table` measures steady states instead: CPU and log while a bus is away, refuses or hangs, and how soon all works afterwards.

Partitions drop packets in a network namespace of the campaign's own, as root or with user namespaces; without them, the
links only stop to read, which leaves the kernels out.

`--slack` is how many seconds a machine may be slower than the documents promise. On a quiet machine say `--slack 0.5`.

    schedule.py faults.py network.py   what is done to daemons, buses, and what lies between
    client.py streams.py keys.py pubsub.py crowds.py   who uses them meanwhile
    ledger.py checker.py findings.py   what is allowed
    round.py world.py report.py        how it comes together
    steady.py sabotage.py              the table; whether the checker finds what it looks for
"""
import argparse
import os
import random
import sys
import time

import paths  # noqa: F401 pylint: disable=unused-import


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DUALBUS_FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 10**9))
    parser.add_argument("--daemon", help="the program")
    parser.add_argument("--workers", default="1,2", type=lambda text: [int(part) for part in text.split(",")], help="of each daemon")
    parser.add_argument("--faults", default="", help="these kinds only")
    parser.add_argument("--without", default="", help="all kinds but these")
    parser.add_argument("--list", action="store_true", help="the kinds of faults")
    parser.add_argument("--table", nargs="?", const="", metavar="STATE,…", help="only the table of steady states, or these states of it")
    parser.add_argument("--self-test", action="store_true", help="whether the checker finds what it looks for")
    parser.add_argument("--round", type=int, help="only this one")
    parser.add_argument("--length", type=float, help="seconds of faults in a round")
    parser.add_argument("--most", type=int, default=3, help="faults at a time")
    parser.add_argument("--slack", type=float, help="4, with a sanitizer in the daemon 8")
    parser.add_argument("--fsync", default="no", choices=("always", "everysec", "no"),
                        help="appendfsync of the buses: what a process has written before it is killed is there in any case")
    parser.add_argument("--no-namespace", action="store_true", help="do not take a network of its own, in which packets can be dropped")
    parser.add_argument("--keep", action="store_true", help="keep files and logs")
    parser.add_argument("--verbose", action="store_true", help="print every fault")
    options = parser.parse_args(arguments)
    if options.daemon:
        os.environ["DUALBUSD"] = os.path.abspath(options.daemon)
    return options


def enter_namespace():
    """Starts this program again in a network of its own, if it can have one."""
    from network import namespace  # pylint: disable=import-outside-toplevel
    if words := namespace():
        os.environ["DUALBUS_FAULTS_NETWORK"] = "own"
        os.execvp(words[0], [*words, sys.executable, "-B", *sys.argv])


def kinds_of(options, known):
    def split(text):
        kinds = set(filter(None, text.split(",")))
        if unknown := kinds - set(known):
            sys.exit(f"there is no fault {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        return kinds

    return (split(options.faults) or set(known)) - split(options.without)


def main():
    options = parse(None)
    # Behind the environment, which names the program.
    from faults import KINDS  # pylint: disable=import-outside-toplevel
    from report import report  # pylint: disable=import-outside-toplevel
    from round import Round  # pylint: disable=import-outside-toplevel
    from sabotage import Sabotage  # pylint: disable=import-outside-toplevel
    from support.servers import sanitized  # pylint: disable=import-outside-toplevel
    from steady import Table  # pylint: disable=import-outside-toplevel
    from world import World  # pylint: disable=import-outside-toplevel
    if options.list:
        for kind, (at, function) in KINDS.items():
            print(f"{kind:12} {at:8} {function.__doc__ or ''}")
        return 0
    kinds = kinds_of(options, KINDS)
    if "DUALBUS_FAULTS_NETWORK" not in os.environ and not options.no_namespace:
        enter_namespace()
    if options.slack is None:
        options.slack = 8 if sanitized() else 4
    length = options.length or min(30.0, max(8.0, options.seconds / 5))
    how = "dropped packets" if "DUALBUS_FAULTS_NETWORK" in os.environ else "links that do not read"
    print(f"seed {options.seed}, {options.seconds:.0f} s, partitions by {how}, faults: {', '.join(sorted(kinds))}", flush=True)
    world = World(options)
    try:
        world.start()
        if options.table is not None:
            Table(world).run(list(filter(None, options.table.split(","))))
            world.stop()
            return 1 if world.findings.list else 0
        if options.self_test:
            sound = Sabotage(world, 1, [], 3).run()
            world.findings.list.clear()
            return 0 if sound else 1
        end = time.monotonic() + options.seconds
        number = options.round or 1
        while True:
            hopeful = Round(world, number, kinds, length).run()
            number += 1
            if not hopeful or options.round or time.monotonic() + length + 4 > end:
                break
        world.stop()
        world.check_processes()
        report(world)
        return 1 if world.findings.list else 0
    finally:
        world.end()


if __name__ == "__main__":
    sys.exit(main())
