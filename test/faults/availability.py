#!/usr/bin/python3
"""The legacy fleet runs while the configuration of its daemon changes again and again, and a table says what it noticed.

    test/faults/availability.py --daemon build/release/src/app/dualbusd --fleet build/release/src/fleet/dualbus-fleet
                                [--reloads 10] [--every 1.0] [--seed N]

Beside the fleet, a few clients measure how long one request takes. Each reload changes something of another kind, in turn: the
address of a bus, its password, its state, the anchor, rules for message types, users, limits; and a file that is wrong. The
table has one row for each kind. The status is 1 if a client got an error, lost its connection, missed an entry or got it twice,
or if a request took longer than --slowest milliseconds (0: however long). DUALBUSD and DUALBUS_FLEET are the defaults of
--daemon and --fleet.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import paths  # noqa: F401 pylint: disable=unused-import
from support.fleet_engine import ENGINE_LOGIC_TYPES, MARKETDATA_TYPES
from support.harness import ENGINE_LOGIC, MARKETDATA, make_config, merge
from support.servers import Daemon, Redis, wait_for


class Canary(threading.Thread):
    """One client that sends one request after the other, to both buses, and notes how long the slowest took."""

    def __init__(self, daemon, number):
        super().__init__(daemon=True)
        self.connection = daemon.connect(timeout=30)
        self.key = ("md:canary", "el:canary")[number % 2] + str(number)
        self.stopping = threading.Event()
        self.requests, self.errors = 0, []
        self._slowest = 0.0

    def run(self):
        try:
            while not self.stopping.is_set():
                begun = time.monotonic()
                reply = self.connection.call("INCR", self.key)
                self._slowest = max(self._slowest, time.monotonic() - begun)
                self.requests += 1
                if reply != self.requests:
                    self.errors.append(f"INCR {self.key}: {reply!r} instead of {self.requests}")
                    return
                time.sleep(0.001)
        except (OSError, EOFError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def take_slowest(self):
        slowest, self._slowest = self._slowest, 0.0
        return slowest


class Changes:
    """The reloads, each of which leaves a working configuration of the same buses."""

    def __init__(self, daemon, buses, config, secret_file):
        self.daemon, self.buses, self.config, self.secret_file = daemon, buses, config, secret_file
        self.count = 0

    def reload(self, changes, accepted=True):
        wanted = merge(self.config, changes)
        self.daemon.reload(wanted)
        if self.daemon.metrics().value("dualbus_config_last_reload_successful") != accepted:
            raise AssertionError(f"the reload was {'refused' if accepted else 'accepted'}: {self.daemon.log()[-1500:]}")
        if accepted:
            self.config = wanted

    def address(self):
        name = (MARKETDATA, ENGINE_LOGIC)[self.count % 2]
        bus, now = self.buses[name], self.config["buses"][name]["endpoint"]
        there = bus.unix_socket if now == bus.endpoint else bus.endpoint
        self.reload({"buses": {name: {"endpoint": there}}})
        self.daemon.wait_for_log(f"bus '{name}': is at {there} now")

    def password(self):
        bus, secret = self.buses[MARKETDATA], f"secret{self.count}"
        with bus.client() as client:
            client.config_set("requirepass", secret)
        bus.password = secret
        with open(self.secret_file, "w", encoding="utf-8") as file:
            file.write(secret)
        self.reload({"buses": {MARKETDATA: {"password_file": self.secret_file}}})

    def state(self):
        types = self.config["routing"]["types"]
        self.reload({"buses": {MARKETDATA: {"state": "draining"}}, "anchor": ENGINE_LOGIC,
                     "routing": {"types": {MARKETDATA: None, ENGINE_LOGIC: sum(types.values(), [])}}})
        time.sleep(0.2)
        self.reload({"buses": {MARKETDATA: {"state": "active"}}, "routing": {"types": types}})

    def anchor(self):
        self.reload({"anchor": MARKETDATA if self.config["anchor"] == ENGINE_LOGIC else ENGINE_LOGIC})

    def types(self):
        types = {name: list(listed) for name, listed in self.config["routing"]["types"].items()}
        types[ENGINE_LOGIC].append(types[MARKETDATA].pop(0))
        types[MARKETDATA].append(types[ENGINE_LOGIC].pop(0))
        self.reload({"routing": {"types": types}})

    def users(self):
        self.reload({"auth": {"users": {"default": {"nopass": True, "commands": ["+@all"], "keys": ["*"], "channels": ["*"]},
                                        f"user{self.count}": {"nopass": True}}}})

    def limits(self):
        self.reload({"limits": {"max_clients": 5000 + self.count}, "backend": {"request_timeout": f"{5000 + self.count}ms"}})

    def wrong_file(self):
        self.reload({"buses": {ENGINE_LOGIC: {"endpoint": "127.0.0.1:1"}}, "limits": {"max_clients": 1}}, accepted=False)

    kinds = (address, password, state, anchor, types, users, limits, wrong_file)

    def next(self):
        """The name of what was done."""
        kind = self.kinds[self.count % len(self.kinds)]
        self.count += 1
        kind(self)
        return kind.__name__


def run(options, directory):
    buses = {name: Redis(name, directory).start() for name in (MARKETDATA, ENGINE_LOGIC)}
    config = make_config({name: bus.endpoint for name, bus in buses.items()}, {
        "missing_group": {"action": "create"}, "draining": {"interval": "200ms", "quiet": "200ms"},
        "routing": {"types": {MARKETDATA: list(MARKETDATA_TYPES), ENGINE_LOGIC: list(ENGINE_LOGIC_TYPES)}}})
    daemon = Daemon(directory, config)
    report = os.path.join(directory, "fleet.json")
    fleet = None
    try:
        daemon.start("/readyz?all")
        changes = Changes(daemon, buses, config, os.path.join(directory, "secret"))
        canaries = [Canary(daemon, number) for number in range(4)]
        for canary in canaries:
            canary.start()
        fleet = subprocess.Popen([options.fleet, "--port", str(daemon.port), "--seconds", "0", "--rate", str(options.rate), "--seed", str(options.seed),
                                  "--drain", "60", "--json", report], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in fleet.stderr:
            if "measuring" in line:
                break
        rows = {}
        for _ in range(options.reloads):
            time.sleep(options.every / 2)
            for canary in canaries:
                canary.take_slowest()
            kind = changes.next()
            time.sleep(options.every / 2)
            row = rows.setdefault(kind, {"times": 0, "slowest": 0.0})
            row["times"] += 1
            row["slowest"] = max(row["slowest"], *(canary.take_slowest() for canary in canaries))
        fleet.send_signal(2)
        fleet.wait(120)
        for canary in canaries:
            canary.stopping.set()
        for canary in canaries:
            canary.join(60)
        with open(report, encoding="utf-8") as file:
            figures = json.load(file)
        lost = daemon.metrics().value("dualbus_backend_connections_lost_total")
        status = daemon.terminate()
        return rows, figures, canaries, lost, status
    finally:
        if fleet is not None and fleet.poll() is None:
            fleet.kill()
            fleet.wait()
        daemon.kill()
        for bus in buses.values():
            bus.kill()


def judge(options, rows, figures, canaries, lost, status):
    """Prints the table; the list of what should not be."""
    print("| change | times | slowest request, ms |\n|---|---|---|")
    for kind, row in sorted(rows.items()):
        print(f"| {kind.replace('_', ' ')} | {row['times']} | {1e3 * row['slowest']:.1f} |")
    deliveries, calls = figures["deliveries"], figures["calls"]
    errors = [error for canary in canaries for error in canary.errors]
    print(f"\nThe fleet published {figures['published']['entries']} entries, and {deliveries['delivered']} were delivered to groups: {deliveries['missing']} missing, "
          f"{deliveries['duplicates']} twice. {calls['total']} calls, {calls['failed']} failed {calls['errors'] or ''}; {figures['reconnects']} reconnects. "
          f"{sum(canary.requests for canary in canaries)} requests of the measuring clients, {len(errors)} errors. {lost:.0f} connections to buses were lost.")
    found = list(errors)
    for what, count in (("missing", deliveries["missing"]), ("twice", deliveries["duplicates"]), ("wrong", deliveries["wrong"]),
                        ("failed calls", calls["failed"]), ("reconnects", figures["reconnects"]), ("lost connections to buses", lost)):
        if count:
            found.append(f"{what}: {count}")
    slowest = max(row["slowest"] for row in rows.values())
    if options.slowest and 1e3 * slowest > options.slowest:
        found.append(f"a request took {1e3 * slowest:.1f} ms")
    if status != 0:
        found.append(f"the daemon ended with status {status}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", default=os.environ.get("DUALBUSD"), help="the program")
    parser.add_argument("--fleet", default=os.environ.get("DUALBUS_FLEET"), help="the load tool")
    parser.add_argument("--reloads", type=int, default=10, help="how many")
    parser.add_argument("--every", type=float, default=1.0, help="seconds from one to the next")
    parser.add_argument("--rate", type=int, default=20, help="messages per second of each engine, each to 18 streams")
    parser.add_argument("--slowest", type=float, default=0, help="the most milliseconds that a request may take; 0: any")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    options = parser.parse_args()
    os.environ["DUALBUSD"] = options.daemon
    directory = tempfile.mkdtemp(prefix="dualbus-availability-")
    try:
        found = judge(options, *run(options, directory))
    finally:
        shutil.rmtree(directory)
    for problem in found:
        print("FAULT:", problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
