#!/usr/bin/python3
"""The part of deploy/takeover.sh that bash cannot do: configurations (see configurations.py), and the admin listener's answers.

    tool.py show CONFIG                        listen and admin addresses, buses, limits, users; one a line
    tool.py forward SOURCE TARGET PORT ENDPOINT [PASSWORD_FILE]
                    SOURCE with a draining bus `main` of slot 0 at ENDPOINT, which keeps the keys that are no streams, and
                    with clients on PORT; comments stay
    tool.py back SOURCE TARGET [allowed]       the reverse: everything goes to `main`, the other buses drain; with `allowed`
                    although pinned streams move
    tool.py without SOURCE TARGET [allowed]    SOURCE without `main` and its rules, its slot retired; comments stay
    tool.py role ADDRESS                       which part `main` has in the running daemon: active, draining, or none
    tool.py reload ADDRESS PID ROLE SECONDS LOG [TRIES]
                    SIGHUP, until `main` has that role: status 0; 1 when the daemon refuses, with its reasons from LOG;
                    2 when the time is over; 3 when the daemon ends
    tool.py metric ADDRESS NAME                the sum of a metric's samples
    tool.py report ADDRESS                     which engines have come, whether they are served, and what the draining
                    buses still hold
    tool.py drained ADDRESS SECONDS            waits until nothing holds them: status 0; 1 when the time is over;
                    2 when they are drained but hold what no group reads; 3 when only ignored groups have left something
    tool.py retirable ADDRESS                  the same of `main`, without waiting
"""
import collections
import json
import os
import re
import signal
import sys
import time
import urllib.request

import yaml

from configurations import OLD, back, forward, show, without

def fetch(address, page):
    with urllib.request.urlopen(f"http://{address}{page}", timeout=10) as reply:
        return reply.read().decode()


def samples(address, name):
    """(labels, value) of each."""
    for line in fetch(address, "/metrics").splitlines():
        if line.startswith((name + " ", name + "{")):
            yield dict(re.findall(r'([a-z_]+)="((?:[^"\\\\]|\\\\.)*)"', line)), float(line.rpartition(" ")[2])


def metric(address, name):
    print(f"{sum(value for _, value in samples(address, name)):.0f}")


def outcomes(address):
    counts = collections.Counter()
    for labels, value in samples(address, "dualbus_requests_total"):
        counts[labels["outcome"]] += int(value)
    return counts


def traffic(address, seconds=1):
    before = outcomes(address)
    time.sleep(seconds)
    counts = outcomes(address) - before
    return f"requests in {seconds} s: " + (", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()) or "none")


def engines(address, most=30):
    rows = [(labels["engine"], value) for labels, value in samples(address, "dualbus_engine_connections") if value]
    names = ", ".join(f"{name} ({value:.0f})" for name, value in sorted(rows)[:most])
    return f"engines (connections): {names or 'none has told its name'}" + (f" and {len(rows) - most} more" if len(rows) > most else "")


def drain(address):
    return json.loads(fetch(address, "/drain"))["buses"]


def held(bus):
    """The contents of a bus, as a line."""
    if "streams" not in bus:
        return f"{bus['bus']}: {bus['state']}"
    streams = bus["streams"]
    return (f"{bus['bus']}: {bus['state']}; {streams['drained']} of {streams['total']} streams drained, "
            f"{bus['undelivered_groups']} groups with entries to read, {bus['pending_entries']} pending entries, "
            f"{bus['missing_groups']} groups missing elsewhere, {bus['other_keys']} keys that are no streams")


def stream_of(bus, row):
    """With its database, unless that is the bus's own, 0 as a rule."""
    return f"{bus['bus']}: " + (f"database {row['database']}, " if row.get("database") else "") + f"stream '{row['stream']}'"


def holders(bus, most=20, which="held_by"):
    """The streams and groups that hold it, as lines."""
    held_by = bus.get(which, {"total": 0, "listed": []})
    for row in held_by["listed"][:most]:
        if row["group"] is None:
            yield f"{stream_of(bus, row)}: written to {row['quiet_for_ms']} ms ago"
            continue
        first = row["next_id"] or f"{row['next_bus_id']} (its ID on the bus; clients cannot name it)"
        reasons = [f"entries to read from {first} on"] if row["undelivered"] else []
        if row["pending"]:
            reasons.append(f"{row['pending']} pending, the first of consumer '{(row['first_pending'] or {}).get('consumer')}'")
        reasons += [f"missing on {name}" for name in row["missing_on"]] + [f"unknown on {name}" for name in row["unknown_on"]]
        yield f"{stream_of(bus, row)}, group '{row['group']}': {', '.join(reasons)}"
    if held_by["total"] > most:
        yield f"{bus['bus']}: and {held_by['total'] - most} more, see /drain"


def unread(bus):
    """The data that would be lost with a drained bus."""
    for row in bus["ungrouped_streams"]["listed"]:
        yield f"{stream_of(bus, row)} has {row['entries']} entries that no group reads"
    for row in bus["pinned_streams"]["listed"]:
        yield f"{bus['bus']}: stream '{row['stream']}' is pinned"
    if bus["other_keys"]:
        yield f"{bus['bus']}: {bus['other_keys']} keys are no streams, or in other databases"


def ignored(bus):
    """Entries that ignored groups have not read or acknowledged: lost with the bus as well."""
    rows = [row for row in bus["ignored_groups"]["listed"] if row["undelivered"] or row["pending"]]
    return holders({**bus, "ignored_groups": {"total": len(rows), "listed": rows}}, which="ignored_groups")


def report(address):
    deadline = time.monotonic() + 15
    buses = drain(address)
    while not all(bus.get("checks") for bus in buses) and time.monotonic() < deadline:
        time.sleep(0.1)
        buses = drain(address)
    print(engines(address), traffic(address), sep="\n")
    for bus in buses:
        print(held(bus), *holders(bus, 10), sep="\n")


def drained(address, seconds):
    deadline = time.monotonic() + float(seconds)
    told, told_at = None, 0
    while True:
        buses = drain(address)
        if not buses or any(bus["bus"] == OLD for bus in buses):
            raise LookupError("the daemon does not run with the configuration for the way back")
        lines = [held(bus) for bus in buses]
        done = all(bus["drained"] for bus in buses)
        if done or (lines != told and time.monotonic() - told_at > 2):
            print(*lines, sep="\n", flush=True)
            told, told_at = lines, time.monotonic()
        if done:
            break
        if time.monotonic() > deadline:
            print(*(line for bus in buses for line in holders(bus)), sep="\n")
            return 1
        time.sleep(0.2)
    return left_behind(buses)


def left_behind(buses):
    """Prints it; the status that says what it is."""
    left = [line for bus in buses for line in unread(bus)]
    by_rule = [line + " (ignored by a rule)" for bus in buses for line in ignored(bus)]
    for line in left + by_rule:
        print(line)
    return 2 if left else 3 if by_rule else 0


# --- reloads ----------------------------------------------------------------------------------------------------------


def old_bus(address):
    return next((bus for bus in drain(address) if bus["bus"] == OLD), None)


def role_of(address):
    if old_bus(address):
        return "draining"
    return "active" if any(labels.get("bus") == OLD for labels, _ in samples(address, "dualbus_bus_shares_redis")) else "none"


def role(address):
    print(role_of(address))


def lacks_only_time(bus):
    """True if streams have not been quiet for long enough, and nothing else holds the bus: workers that are new have only begun to
    look."""
    rows = bus["held_by"]["listed"]
    return bool(rows) and all(row["group"] is None for row in rows)


def retirable(address, seconds=15):
    deadline = time.monotonic() + seconds
    while True:
        bus = old_bus(address)
        if bus is None:
            raise LookupError(f"the daemon has no draining bus '{OLD}'")
        known = bus["drained"] is not None and not lacks_only_time(bus)
        if known or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    print(held(bus))
    if bus["drained"]:
        return left_behind([bus])
    print(*(f"bus '{row['bus']}' could not be asked: {row['error']}" for row in bus["errors"]), *holders(bus), sep="\n")
    return 1


def reloads(address):
    counts = {labels["result"]: value for labels, value in samples(address, "dualbus_config_reloads_total")}
    return counts["success"], counts["failure"]


def refusal(log, start):
    """The daemon's reasons, as lines of its log say them from `start` on. These are written a moment later than they are counted."""
    deadline = time.monotonic() + 2
    while True:
        with open(log, encoding="utf-8", errors="replace") as file:
            file.seek(start)
            found = re.findall(r"(?m)^\S+ error (.*)$", file.read())
        if any(line.startswith("configuration not reloaded") for line in found) or time.monotonic() > deadline:
            return [line for line in found if not line.startswith("configuration not reloaded: nothing")] or ["no reason is in " + log]
        time.sleep(0.05)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def reload(address, pid, wanted, seconds, log, tries="1"):
    """A success or failure may be that of a reload which somebody else has begun: hence the role, and TRIES."""
    deadline = time.monotonic() + float(seconds)
    before, failed = reloads(address)
    start = os.path.getsize(log)
    for number in range(int(tries)):
        if not alive(pid):
            return 3
        os.kill(int(pid), signal.SIGHUP)
        failures = failed + number
        while failures <= failed + number:
            if time.monotonic() > deadline:
                return 2
            time.sleep(0.05)
            try:
                successes, failures = reloads(address)
                if successes > before and role_of(address) == wanted:
                    return 0
            except OSError:
                if not alive(pid):
                    return 3
    print(*refusal(log, start), sep="\n")
    return 1


def main(command="", *arguments):
    commands = {"show": show, "forward": forward, "back": back, "without": without, "metric": metric, "report": report, "drained": drained,
                "role": role, "retirable": retirable, "reload": reload}
    if command not in commands:
        sys.exit(__doc__)
    try:
        return commands[command](*arguments)
    except (LookupError, OSError, ValueError, yaml.YAMLError) as error:
        sys.exit(f"tool.py {command} {arguments[0] if arguments else ''}: {error}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
