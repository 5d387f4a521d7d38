#!/usr/bin/python3
"""Runs the fleet in every scenario and measures; deploy/compare.sh is what people call."""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from report import write_report
from servers import die_with_parent, one_redis, two_buses

ENGINES = ("portfolio", "collateral", "ml", "factor", "strategy", "websocket", "features")
# Seconds. An engine that gets no messages waits one in each of its five streams, so that it knows them all only then.
WARM_UP, WARM_UP_IDLE = 1, 6


class Scenario:
    """One run: which fleet, against what."""

    def __init__(self, key, part, title, through_daemon, arguments, share=1.0):
        self.key, self.part, self.title, self.through_daemon = key, part, title, through_daemon
        self.arguments, self.share = arguments, share
        self.warm_up = WARM_UP_IDLE if part == "useless" else WARM_UP


def scenarios(rate):
    """In the order in which they run. A part is run and shown as a whole; direct and through the daemon stand side by side."""
    missing, parallel = ["--missing-groups"], ["--readers", "parallel"]
    # As many messages as seven engines publish.
    crowd = ["--engines", "200", "--rate", f"{rate * len(ENGINES) / 200:g}"]
    # Engine logic only, as much of it as otherwise: nothing of its own waits behind the flood.
    noisy = parallel + ["--pipeline", "--batch-acks", "--marketdata-share", "0", "--rate", f"{rate / 2:g}"]
    slow, third = ["--rate", f"{rate / 10:g}"], 1 / 3
    return [
        Scenario("broken", "main", "one Redis, groups missing", False, missing + ["--no-check"]),
        Scenario("healthy", "main", "one Redis, healthy", False, []),
        Scenario("daemon", "main", "through dualbusd", True, missing),
        Scenario("parallel_direct", "latency", "one Redis", False, parallel, third),
        Scenario("parallel_daemon", "latency", "through dualbusd", True, missing + parallel, third),
        Scenario("slow_direct", "slow", "one Redis, in turn", False, slow, third),
        Scenario("slow_daemon", "slow", "through dualbusd, in turn", True, missing + slow, third),
        Scenario("slow_parallel_direct", "slow", "one Redis, at once", False, parallel + slow, third),
        Scenario("slow_parallel_daemon", "slow", "through dualbusd, at once", True, missing + parallel + slow, third),
        Scenario("useless_direct", "useless", "one Redis", False, missing + ["--rate", "0", "--no-check"], third),
        Scenario("useless_daemon", "useless", "through dualbusd", True, missing + ["--rate", "0"], third),
        Scenario("crowd_direct", "crowd", "one Redis", False, crowd, third),
        Scenario("crowd_daemon", "crowd", "through dualbusd", True, missing + crowd, third),
        Scenario("quiet_direct", "noisy", "one Redis, quiet", False, noisy, third),
        Scenario("noisy_direct", "noisy", "one Redis, flooded", False, noisy + ["--flood", "marketdata"], third),
        Scenario("quiet_daemon", "noisy", "through dualbusd, quiet", True, noisy, third),
        Scenario("noisy_daemon", "noisy", "through dualbusd, flooded", True, noisy + ["--flood", "marketdata"], third),
    ]


class Watch:
    """Looks at the servers while the fleet runs."""

    def __init__(self, buses, daemon):
        self.buses, self.daemon = buses, daemon
        self.connections, self.engines_moved = {}, None
        self.before = self.after = None

    def snapshot(self):
        found = {bus.name: bus.snapshot() for bus in self.buses}
        if self.daemon:
            found["dualbusd"] = self.daemon.snapshot()
        return found

    def look_around(self):
        """Takes the figures that are only there while the fleet is."""
        for bus in self.buses:
            self.connections[bus.name] = bus.connections()
        connected = [(labels.get("engine"), value) for name, labels, value in (self.daemon.samples() if self.daemon else ())
                     if name == "dualbus_engine_connections"]
        if connected:
            self.engines_moved = len({name for name, value in connected if value > 0 and name in ENGINES})

    def idle_cpu(self, seconds):
        """The CPU of the servers while nobody uses them, in percent of a core."""
        before = self.snapshot()
        time.sleep(seconds)
        return {name: percent(before[name], after, "cpu") for name, after in self.snapshot().items()}

    def figures(self):
        """Per server: what happened between `before` and `after`."""
        servers = {}
        for bus in self.buses:
            first, last = self.before[bus.name], self.after[bus.name]
            seconds = last["time"] - first["time"]
            servers[bus.name] = {
                "cpu_percent": percent(first, last, "cpu"), "connections": self.connections[bus.name],
                "commands_per_s": (last["commands"] - first["commands"]) / seconds,
                "transfers_per_s": (last["transfers"] - first["transfers"]) / seconds,
                "failed_reads_per_s": (last["failed_reads"] - first["failed_reads"]) / seconds,
                # Since its start, so the first ones, which heal, are among them.
                "failed_reads": last["failed_reads"],
                "by_command": by_command(first["calls"], last["calls"], seconds),
            }
        return servers


def by_command(first, last, seconds):
    """Command -> calls per second and mean time of one, of those that were called."""
    found = {}
    for name, (calls, usec) in last.items():
        calls_before, usec_before = first.get(name, (0, 0))
        if calls > calls_before:
            found[name] = {"calls_per_s": (calls - calls_before) / seconds, "usec_per_call": (usec - usec_before) / (calls - calls_before)}
    return found


def percent(first, last, what):
    return 100 * (last[what] - first[what]) / (last["time"] - first["time"])


def run_fleet(program, port, report, seconds, warm_up, arguments, watch):
    """Lets the fleet run and takes snapshots when it says so. Returns its report."""
    command = [program, "--port", str(port), "--seconds", f"{seconds:g}", "--warmup", str(warm_up), "--json", report, *arguments]
    with tempfile.TemporaryFile("w+") as output:
        fleet = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True,
                                 preexec_fn=die_with_parent)
        said = []
        try:
            for line in fleet.stderr:
                said.append(line)
                if "measuring" in line:
                    watch.before = watch.snapshot()
                    # In the middle; the fleet's next line comes when it is over.
                    middle = threading.Timer(seconds / 2, watch.look_around)
                    middle.start()
                elif "measured" in line:
                    middle.join()
                    watch.after = watch.snapshot()
            status = fleet.wait(timeout=60)
        finally:
            if fleet.poll() is None:
                fleet.kill()
                fleet.wait()
        if watch.after is None or status not in (0, 1):
            raise RuntimeError(f"{' '.join(command)}: status {status}\n{''.join(said)}")
    with open(report) as file:
        return json.load(file)


def polls_absorbed(daemon):
    """Reason -> polls that the daemon answered itself; None if it does not say."""
    absorbed = {}
    for name, labels, value in daemon.samples():
        if name == "dualbus_polls_absorbed_total":
            absorbed[labels["reason"]] = absorbed.get(labels["reason"], 0) + value
    return absorbed or None


def measure(scenario, options, folder):
    seconds = max(1.0, options.seconds * scenario.share)
    os.mkdir(folder)
    servers = two_buses(folder, options.daemon) if scenario.through_daemon else one_redis(folder)
    with servers as (buses, daemon):
        watch = Watch(buses, daemon)
        idle = watch.idle_cpu(min(5.0, seconds / 4))
        arguments = ["--rate", f"{options.rate:g}", *scenario.arguments]
        if "--rate" in scenario.arguments:
            arguments = scenario.arguments
        report = run_fleet(options.fleet, (daemon or buses[0]).port, os.path.join(folder, "fleet.json"), seconds,
                           scenario.warm_up, arguments, watch)
        result = {"title": scenario.title, "part": scenario.part, "through_daemon": scenario.through_daemon,
                  "servers": watch.figures(), "idle_cpu_percent": idle, "fleet": report}
        if daemon:
            first, last = watch.before["dualbusd"], watch.after["dualbusd"]
            result["daemon_cpu_percent"] = percent(first, last, "cpu")
            result["engines_moved"] = watch.engines_moved
            result["polls_absorbed"] = polls_absorbed(daemon)
    return result


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daemon", required=True, type=os.path.abspath)
    parser.add_argument("--fleet", required=True, type=os.path.abspath)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--only", default="main,latency,slow,useless,crowd,noisy")
    options = parser.parse_args()
    options.parts = options.only.split(",")
    unknown = set(options.parts) - {each.part for each in scenarios(1)}
    if unknown or not 1 <= options.seconds <= 86400 or not 0 < options.rate <= 1e6:
        parser.error(f"--only: unknown: {', '.join(sorted(unknown))}" if unknown else "--seconds or --rate is out of range")
    return options


def main():
    options = parse_options()
    # So that `finally` ends the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = {}
    with tempfile.TemporaryDirectory(prefix="dualbus-compare-") as folder:
        for scenario in scenarios(options.rate):
            if scenario.part not in options.parts:
                continue
            print(f"{scenario.part}: {scenario.title} …", file=sys.stderr, flush=True)
            results[scenario.key] = measure(scenario, options, os.path.join(folder, scenario.key))
    write_report(options.out, {"seconds": options.seconds, "rate": options.rate, "engines": len(ENGINES),
                               "cores": os.cpu_count(), "scenarios": results})
    failed = [key for key, result in results.items() if result["fleet"]["check"] == "failed"]
    if failed:
        print(f"compare.sh: messages were lost, came twice, or were wrong: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, OSError) as error:
        print(f"compare.sh: {error}", file=sys.stderr)
        sys.exit(2)
