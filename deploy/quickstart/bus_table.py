#!/usr/bin/python3
"""A table of the messages on each bus, from the daemon's /metrics and the keys of the buses.

    bus_table.py [--admin-port 9121] [--port 6379] [--bus marketdata=6380] [--bus engine_logic=6381]

Messages are counted since the daemon started; CPU is that of two seconds. The mean time is that of requests from the daemon to
the bus and back; on the line of dualbusd it is their time in the daemon itself.
"""
import argparse
import collections
import re
import shutil
import textwrap
import time
import urllib.request

import redis

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


class Scrape:
    """One reading of /metrics."""

    def __init__(self, admin_port):
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        self.time = time.monotonic()
        self.samples = collections.defaultdict(list)
        for line in text.splitlines():
            match = SAMPLE.match(line)
            if match:
                labels = dict(LABEL.findall(match[2] or ""))
                self.samples[match[1]].append((labels, float(match[3])))

    def sum(self, name, **wanted):
        """Sum of the samples that carry these labels; None when there is none."""
        values = [value for labels, value in self.samples[name]
                  if all(labels.get(key) == text for key, text in wanted.items())]
        return sum(values) if values else None

    def by_label(self, name, label, **wanted):
        result = collections.Counter()
        for labels, value in self.samples[name]:
            if all(labels.get(key) == text for key, text in wanted.items()):
                result[labels.get(label, "")] += value
        return result

    def redis_cpu_seconds(self, bus):
        parts = [self.sum(f"redis_cpu_{kind}_seconds_total", bus=bus) for kind in ("sys", "user")]
        return None if None in parts else sum(parts)


    def connections(self, buses):
        """Connections of each bus, and of the daemon under its own name."""
        figures = {bus: self.sum("redis_connected_clients", bus=bus) for bus in buses}
        return figures | {"dualbusd": self.sum("dualbus_clients")}


def number(value, pattern="{:,.0f}"):
    return "-" if value is None else pattern.format(value)


def cpu_share(before, after, seconds_of):
    """CPU seconds per second between two scrapes, as text."""
    first, last = seconds_of(before), seconds_of(after)
    if None in (first, last) or after.time <= before.time:
        return "-"
    return f"{100 * (last - first) / (after.time - before.time):.1f} %"


def mean_time(before, after, histogram, **labels):
    """Mean of a duration histogram between two scrapes, as text; all the time when nothing happened in between."""
    def sums(scrape):
        return [scrape.sum(f"{histogram}_{part}", **labels) or 0 for part in ("sum", "count")]
    (old_sum, old_count), (new_sum, new_count) = sums(before), sums(after)
    if new_count == old_count:
        old_sum = old_count = 0
    return f"{1000 * (new_sum - old_sum) / (new_count - old_count):.2f} ms" if new_count > old_count else "-"


def count_streams(port):
    client = redis.Redis(host="127.0.0.1", port=port, socket_timeout=5)
    try:
        return sum(1 for _ in client.scan_iter(count=1000, _type="stream"))
    except redis.RedisError:
        return None
    finally:
        client.close()


def print_table(buses, before, after, daemon_port, connections):
    """buses: name -> port; before, after: the scrapes between which CPU and times are measured."""
    rows = [("", "port", "messages", "streams", "CPU", "connections", "mean time", "types")]
    for bus, port in buses.items():
        types = after.by_label("dualbus_messages_routed_total", "message_type", bus=bus)
        # A name and its count stay on one line: textwrap does not break at a no-break space.
        listed = ", ".join(f"{name}\N{NO-BREAK SPACE}{count:,.0f}" for name, count in sorted(types.items()) if count)
        rows.append((bus, str(port), number(sum(types.values())), number(count_streams(port)),
                     cpu_share(before, after, lambda scrape, name=bus: scrape.redis_cpu_seconds(name)),
                     number(connections[bus]),
                     mean_time(before, after, "dualbus_request_bus_duration_seconds", bus=bus), listed or "-"))
    total = sum(after.by_label("dualbus_messages_routed_total", "bus").values())
    rows.append(("dualbusd", str(daemon_port), number(total), "",
                 cpu_share(before, after, lambda scrape: scrape.sum("process_cpu_seconds_total")),
                 number(connections["dualbusd"]),
                 mean_time(before, after, "dualbus_request_daemon_duration_seconds"), ""))
    narrow = len(rows[0]) - 1
    widths = [max(len(row[column]) for row in rows) for column in range(narrow)]
    indent = sum(widths) + 2 * narrow + 2
    # The last column wraps within the terminal, and continues below itself.
    room = max(30, shutil.get_terminal_size((120, 24)).columns - indent)
    for index, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [row[column].rjust(widths[column]) for column in range(1, narrow)]
        lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in textwrap.wrap(row[-1], room)] or [""]
        print(("  " + "  ".join(cells) + "  " + lines[0]).rstrip())
        for line in lines[1:]:
            print(" " * indent + line)
        if index == 0:
            print("  " + "-" * (indent + max(len("types"), min(room, 40)) - 2))


def bus_and_port(text):
    name, _, port = text.partition("=")
    return name, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--admin-port", type=int, default=9121)
    parser.add_argument("--port", type=int, default=6379)
    parser.add_argument("--bus", type=bus_and_port, action="append", metavar="NAME=PORT")
    options = parser.parse_args()
    before = Scrape(options.admin_port)
    time.sleep(2)  # the daemon asks the buses for their CPU once a second
    buses = dict(options.bus or [("marketdata", 6380), ("engine_logic", 6381)])
    after = Scrape(options.admin_port)
    print_table(buses, before, after, options.port, after.connections(buses))


if __name__ == "__main__":
    main()
