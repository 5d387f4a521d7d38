#!/usr/bin/python3
"""The part of deploy/takeover.sh that bash cannot do: configurations, and the admin listener's answers.

    tool.py show CONFIG                        listen and admin addresses, buses, limits, users; one a line
    tool.py forward SOURCE TARGET PORT ENDPOINT [PASSWORD_FILE]
                    SOURCE with a draining bus `main` of slot 0 at ENDPOINT, which keeps the keys that are no streams, and
                    with clients on PORT; comments stay
    tool.py back SOURCE TARGET                 the reverse: everything goes to `main`, the other buses drain
    tool.py metric ADDRESS NAME                the sum of a metric's samples
    tool.py report ADDRESS                     which engines have come, whether they are served, and what the draining
                    buses still hold
    tool.py drained ADDRESS SECONDS            waits until nothing holds them: status 0; 1 when the time is over;
                    2 when they are drained but hold what no group reads; 3 when only ignored groups have left something
"""
import collections
import hashlib
import json
import os
import re
import sys
import time
import urllib.request

import yaml

OLD = "main"


# --- configurations ---------------------------------------------------------------------------------------------------


def read(path):
    """A configuration as maps, lists and texts; `0777` and `1e3` stay what the daemon sees."""
    with open(path, encoding="utf-8") as file:
        config = yaml.load(file, Loader=yaml.BaseLoader)
    if not isinstance(config, dict) or not isinstance(config.get("buses"), dict):
        raise LookupError("no map 'buses'")
    return config


def section(config, name):
    return config.get(name) or {}


def show(path):
    config = read(path)
    for name, port in (("listen", "6379"), ("admin", "9121")):
        values = section(config, name)
        print(name, values.get("address", "127.0.0.1"), values.get("port", port))
    for name, bus in config["buses"].items():
        print("bus", name, bus.get("state", "active"), bus.get("endpoint", "").removeprefix("unix:"))
    print("pins", len(section(config, "routing").get("keys") or ()))
    print("limits", config.get("workers", "1"), config.get("databases", "1"), section(config, "limits").get("max_clients", "10000"),
          section(config, "backend").get("dedicated_connections", "64"))
    for name, user in section(section(config, "auth"), "users").items():
        print("user", name, *passwords(user, os.path.dirname(os.path.abspath(path))))


def passwords(user, folder):
    """`nopass`, or the SHA-256 of each password."""
    if user.get("enabled") == "false":
        return []
    if user.get("nopass") == "true":
        return ["nopass"]
    hashes = list(user.get("password_hashes") or ())
    texts = []
    if "password_file" in user:
        with open(os.path.join(folder, user["password_file"]), encoding="utf-8") as file:
            texts.append(file.read().rstrip("\r\n"))
    if "password_env" in user:
        texts.append(os.environ.get(user["password_env"], ""))
    return hashes + [hashlib.sha256(text.encode()).hexdigest() for text in texts]


class Editor:
    """A YAML text in which values are changed or added; everything else stays as it is."""

    def __init__(self, text):
        self.text = text

    def put(self, path, value):
        node = yaml.compose(self.text)
        names = path.split(".")
        for depth, name in enumerate(names):
            found = next((child for key, child in node.value if key.value == name), None)
            if found is None:
                return self._insert(node, names[depth:], value)
            node = found
        if not isinstance(node, yaml.ScalarNode):
            raise LookupError(f"'{path}' is not a plain value")
        self._replace(node.start_mark.index, node.end_mark.index, value)

    def _insert(self, node, names, value):
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise LookupError(f"no place for '{names[0]}'")
        for name in reversed(names[1:]):
            value = "{" + f"{name}: {value}" + "}"
        end = ", " if node.flow_style else "\n" + " " * node.value[0][0].start_mark.column
        start = node.value[0][0].start_mark.index
        self._replace(start, start, f"{names[0]}: {value}{end}")

    def _replace(self, start, end, value):
        self.text = self.text[:start] + value + self.text[end:]


def forward(source, target, port, endpoint, password_file=""):
    config = read(source)
    if OLD in config["buses"]:
        raise LookupError(f"there is a bus '{OLD}' already")
    with open(source, encoding="utf-8") as file:
        editor = Editor(file.read())
    users = section(section(config, "auth"), "users")
    for where, entries in (("buses", config["buses"]), ("auth.users", users)):
        for name, entry in entries.items():
            if "password_file" in entry:  # relative to the directory of the file, which has changed
                path = os.path.join(os.path.dirname(os.path.abspath(source)), entry["password_file"])
                editor.put(f"{where}.{name}.password_file", json.dumps(path))
    password = f", password_file: {json.dumps(os.path.abspath(password_file))}" if password_file else ""
    editor.put(f"buses.{OLD}", "{" + f'id_slot: 0, endpoint: "{endpoint}", state: draining{password}' + "}")
    editor.put("routing.default_key_bus", OLD)
    editor.put("listen.port", port)
    write(target, editor.text)


def back(source, target):
    config = read(source)
    for name, bus in config["buses"].items():
        bus["state"] = "active" if name == OLD else "draining"
    routing = config["routing"] = dict(section(config, "routing"), default_bus=OLD, default_key_bus=OLD)
    for rules in ("types", "keys"):
        routing.pop(rules, None)
    config["anchor"] = OLD
    write(target, yaml.safe_dump(config, sort_keys=False, width=120))


def write(target, text):
    with open(target + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(target + ".new", target)


# --- the admin listener -----------------------------------------------------------------------------------------------


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
    left = [line for bus in buses for line in unread(bus)]
    by_rule = [line + " (ignored by a rule)" for bus in buses for line in ignored(bus)]
    for line in left + by_rule:
        print(line)
    return 2 if left else 3 if by_rule else 0


def main(command="", *arguments):
    commands = {"show": show, "forward": forward, "back": back, "metric": metric, "report": report, "drained": drained}
    if command not in commands:
        sys.exit(__doc__)
    try:
        return commands[command](*arguments)
    except (LookupError, OSError, ValueError, yaml.YAMLError) as error:
        sys.exit(f"tool.py {command} {arguments[0] if arguments else ''}: {error}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
