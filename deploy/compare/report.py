"""The results of deploy/compare.sh, as Markdown, JSON and a chart."""
import json
import os

BUSES = ("marketdata", "engine_logic")
PART_TITLES = {
    "main": "The fleet, before and after",
    "latency": "Latency of the servers alone",
    "slow": "The same fleet with a tenth of the messages",
    "useless": "Useless calls only: the same fleet publishes nothing",
    "crowd": "The same messages from 200 engines",
    "noisy": "Noisy neighbour: writers saturate market data",
}
PART_NOTES = {
    "main": "The engines read as the legacy ones do: one stream after the other, an XACK per message, 1 ms of pause. Most of "
            "their latency is that loop's.",
    "latency": "Each engine reads every stream over a connection of its own and without a pause, so that no message waits for its "
               "reader.",
    "slow": "Engines that read their streams in turn, as in the first table, and over a connection for each, as in the second.",
    "useless": "No message, so every call is useless. The CPU of idle servers is to be taken off.",
    "crowd": "Only the number of engines differs from the first table.",
    "noisy": "The engines exchange engine logic only, and acknowledge what they read together in one call. The flood has streams and "
             "connections of its own.",
}


# --- figures of a result ---------------------------------------------------------------------------------------------


def total(result, what):
    return sum(server[what] for server in result["servers"].values())


def useful_cpu(result):
    """All Redis instances together, less what they use when nobody uses them."""
    return total(result, "cpu_percent") - sum(result["idle_cpu_percent"][name] for name in result["servers"])


def latency(result, bus, which):
    return result["fleet"]["latency_ms"][bus][which]


def each_server(result, what, pattern):
    return ", ".join(f"{name} {pattern.format(server[what])}" for name, server in result["servers"].items())


def number(value, pattern="{:,.0f}"):
    return "n/a" if value is None else pattern.format(value)


def calls(result, command):
    """Per second, at all Redis instances together."""
    return sum(server["by_command"].get(command, {}).get("calls_per_s", 0) for server in result["servers"].values())


def common_commands(results):
    """Those that make a hundredth of what reaches Redis in any of the runs, the most frequent first."""
    most = {}
    for result in results:
        for command in {name for server in result["servers"].values() for name in server["by_command"]}:
            share = calls(result, command) / (total(result, "commands_per_s") or 1)
            most[command] = max(most.get(command, 0), share)
    return sorted((command for command, share in most.items() if share >= 0.01), key=lambda command: (-most[command], command))


def calls_of_each(result, command):
    if len(result["servers"]) == 1:
        return number(calls(result, command))
    each = ", ".join(f"{name} {number(server['by_command'].get(command, {}).get('calls_per_s', 0))}"
                     for name, server in result["servers"].items())
    return f"{number(calls(result, command))}: {each}"


def rows_of(results):
    """(name of the figure, a cell per result)"""
    def row(name, cell):
        rows.append((name, [cell(result) for result in results]))

    rows = []
    row("Redis CPU, all together", lambda r: f"{total(r, 'cpu_percent'):.1f} %")
    row("Redis CPU, each", lambda r: each_server(r, "cpu_percent", "{:.1f} %"))
    row("… when idle", lambda r: f"{sum(r['idle_cpu_percent'][name] for name in r['servers']):.1f} %")
    row("dualbusd CPU", lambda r: number(r.get("daemon_cpu_percent"), "{:.1f} %") if r["through_daemon"] else "–")
    row("connections, each Redis", lambda r: each_server(r, "connections", "{}"))
    row("commands/s reaching Redis", lambda r: number(total(r, "commands_per_s")))
    for command in common_commands(results):
        row(f"… {command.upper().replace('|', ' ')}", lambda r, c=command: calls_of_each(r, c))
    row("reads and writes of sockets/s at Redis", lambda r: number(total(r, "transfers_per_s")))
    row("failed XREADGROUP/s at Redis", lambda r: number(total(r, "failed_reads_per_s")))
    row("failed XREADGROUP at Redis since the start", lambda r: number(total(r, "failed_reads")))
    row("messages published", lambda r: number(r["fleet"]["published"]["entries"]))
    row("deliveries to groups", lambda r: number(r["fleet"]["deliveries"]["delivered"]))
    row("… missing / twice / wrong", lambda r: " / ".join(number(r["fleet"]["deliveries"][what])
                                                         for what in ("missing", "duplicates", "wrong")))
    for bus in BUSES:
        if any(latency(result, bus, "count") for result in results):
            row(f"{bus}: publish → delivered p50 / p99 / p99.9, ms",
                lambda r, b=bus: " / ".join(number(latency(r, b, which), "{:.2f}") for which in ("p50", "p99", "p99.9"))
                if latency(r, b, "count") else "nothing delivered")
    row("client calls that failed", lambda r: number(r["fleet"]["calls"]["failed"]))
    row("availability", lambda r: f"{100 * r['fleet']['calls']['availability']:.3f} %")
    row("polls answered by dualbusd alone", lambda r: number(sum((r.get("polls_absorbed") or {}).values())
                                                             if r.get("polls_absorbed") else None)
        if r["through_daemon"] else "–")
    row("engines moved", lambda r: (f"{r['engines_moved']}/7" if r["engines_moved"] is not None else "n/a")
        if r["through_daemon"] else "–")
    if any("flood" in result["fleet"] for result in results):
        row("flood, messages/s", lambda r: number(r["fleet"]["flood"]["stored"] / r["fleet"]["flood"]["seconds"])
            if "flood" in r["fleet"] else "–")
    return rows


# --- what was to be reached ------------------------------------------------------------------------------------------


# (directly, through the daemon, how the fleet reads and publishes, most that all Redis together may use beside the one)
PAIRS = (
    ("healthy", "daemon", "in turn", 0.8),
    ("parallel_direct", "parallel_daemon", "at once", 0.6),
    ("slow_direct", "slow_daemon", "in turn, a tenth of the messages", 1.0),
    ("slow_parallel_direct", "slow_parallel_daemon", "at once, a tenth of the messages", 1.0),
    ("crowd_direct", "crowd_daemon", "200 engines", 0.5),
)
LATENCY_PAIRS = [pair for pair in PAIRS if "at once" in pair[2]]


def ratio_goals(scenarios):
    """The commands that reach Redis through the daemon, beside those that do directly."""
    found, reads, arming = [], [], []
    for direct, through, how, most in PAIRS:
        if direct not in scenarios:
            continue
        before, after = scenarios[direct], scenarios[through]
        ratio = total(after, "cpu_percent") / total(before, "cpu_percent")
        found.append((f"Redis CPU at most {most} times that of one healthy Redis: {how}", ratio <= most, f"{ratio:.2f}"))
        reads.append((how, calls(after, "xreadgroup") / (calls(before, "xreadgroup") or 1)))
        # Each delivery is acknowledged once.
        arming.append((how, calls(after, "exists") / (calls(after, "xack") or 1)))
    for what, figures, most in (("group reads at Redis at most 1.1 times those of one Redis", reads, 1.1),
                                ("watching a key again at most once in ten deliveries", arming, 0.1)):
        if figures:
            found.append((what, all(value <= most for _, value in figures), "; ".join(f"{how} {value:.2f}" for how, value in figures)))
    return found


def latency_goals(scenarios):
    found = []
    for direct, through, how, _ in LATENCY_PAIRS:
        if direct not in scenarios:
            continue
        before, after = ({which: [latency(scenarios[key], bus, which) for bus in BUSES] for which in ("p50", "p99")}
                         for key in (direct, through))
        if None in before["p50"] + after["p50"]:
            continue
        for which, reached, what in (
                ("p50", max(after["p50"]) <= 1.6 * max(before["p50"]), "p50 publish → delivered at most 1.6 times the direct one"),
                ("p99", max(after["p99"]) < 1, "p99 publish → delivered under 1 ms on both buses")):
            found.append((f"{what}: {how}", reached, " and ".join(number(each, "{:.2f}") for each in after[which]) + " ms; directly "
                          + " and ".join(number(each, "{:.2f}") for each in before[which])))
    return found


def goals(scenarios):
    """(what, reached or not, the figure) of those that were measured."""
    found = []
    daemon, broken = (scenarios.get(key) for key in ("daemon", "broken"))
    if daemon:
        failed = total(daemon, "failed_reads_per_s")
        found.append(("no failed XREADGROUP at Redis once the groups are healed", failed == 0, f"{failed:,.1f}/s"))
        lost = [daemon["fleet"]["deliveries"][what] for what in ("missing", "duplicates", "wrong")]
        found.append(("every message delivered exactly once to every group", daemon["fleet"]["check"] == "passed",
                      "missing {} / twice {} / wrong {}".format(*lost)))
        ratio = total(daemon, "cpu_percent") / total(broken, "cpu_percent")
        found.append(("Redis CPU beside that of one broken Redis: in turn", None, f"{ratio:.2f}"))
    found += ratio_goals(scenarios)
    for key, who in (("daemon", "7"), ("crowd_daemon", "200")):
        if key in scenarios:
            most = max(server["connections"] for server in scenarios[key]["servers"].values())
            found.append((f"at most 4 connections per bus with {who} engines", most <= 4, str(most)))
    if "useless_daemon" in scenarios:
        before, after = useful_cpu(scenarios["useless_direct"]), useful_cpu(scenarios["useless_daemon"])
        less = 100 * (1 - max(after, 0) / before) if before > 0 else 0
        found.append(("CPU of useless calls at least 99 % less", less >= 99, f"{before:.2f} % → {after:.2f} %: {less:.1f} % less"))
    found += latency_goals(scenarios)
    if "quiet_daemon" in scenarios:
        # A consumer is seen by every bus once a second, and so is a change that is not announced.
        there = scenarios["quiet_daemon"]["servers"]["marketdata"]["by_command"].get("xreadgroup", {}).get("calls_per_s", 0)
        found.append(("no read of a bus on which nothing happens, but two a second of each engine in its five streams", there <= 2 * 5 * 7,
                      f"{there:.1f}/s"))
    if "noisy_daemon" in scenarios:
        def growth(kind):
            quiet, noisy = (latency(scenarios[f"{how}_{kind}"], "engine_logic", "p99") for how in ("quiet", "noisy"))
            return noisy / quiet if quiet and noisy else float("inf")

        found.append(("p99 of the other bus at most 2 times its quiet value", growth("daemon") <= 2,
                      f"{growth('daemon'):.1f} times; on one Redis {growth('direct'):.1f} times"))
    return found


def goal_lines(scenarios):
    marks = {True: "reached", False: "NOT REACHED", None: ""}
    return [(what, marks[reached], figure) for what, reached, figure in goals(scenarios)]


# --- Markdown --------------------------------------------------------------------------------------------------------


def aligned(header, rows):
    """A Markdown table that can also be read as it is."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]) + "\n"


def markdown(results):
    scenarios = results["scenarios"]
    text = (f"# The fleet before and after\n\n{results['engines']} engines, {results['rate']:g} messages/s each to 18 streams, main "
            f"runs of {results['seconds']:g} s, engines and servers together on {results['cores']} cores. Redis CPU is used_cpu_sys + "
            "used_cpu_user, in percent of one core.\n\n")
    lines = goal_lines(scenarios)
    if lines:
        text += aligned(("goal", "", "measured"), lines) + "\n"
    for part, title in PART_TITLES.items():
        there = [result for result in scenarios.values() if result["part"] == part]
        if there:
            text += f"## {title}\n\n{PART_NOTES[part]}\n\n"
            text += aligned(("", *(result["title"] for result in there)),
                            [(name, *cells) for name, cells in rows_of(there)]) + "\n"
    return text


# --- chart -----------------------------------------------------------------------------------------------------------

COLOURS = {False: "#b9c3cd", True: "#2f6f9f"}


def bars(title, unit, results, value, left, top, width):
    """One panel: a bar per result, longest = the panel's width."""
    values = [value(result) for result in results]
    largest = max(values) or 1
    lines = [f'<text x="{left}" y="{top}" font-weight="bold">{title}</text>']
    for index, (result, height) in enumerate(zip(results, values)):
        y = top + 14 + 42 * index
        length = height / largest * (width - 90)
        lines.append(f'<text x="{left}" y="{y + 11}" fill="#345">{result["title"]}</text>')
        lines.append(f'<rect x="{left}" y="{y + 16}" width="{length:.1f}" height="14" rx="2" '
                     f'fill="{COLOURS[result["through_daemon"]]}"/>')
        lines.append(f'<text x="{left + length + 6:.1f}" y="{y + 28}">{height:{",.1f" if unit else ",.0f"}}{unit}</text>')
    return lines


def svg(results):
    scenarios = results["scenarios"]
    wanted = (("broken", ""), ("healthy", ""), ("daemon", ""), ("parallel_direct", ", at once"), ("parallel_daemon", ", at once"),
              *((key, ", a tenth of the messages") for key, result in scenarios.items() if result["part"] == "slow"))
    shown = [dict(scenarios[key], title=scenarios[key]["title"] + more) for key, more in wanted if key in scenarios]
    shown = shown or list(scenarios.values())
    panels = [
        ("Redis CPU, all instances", " %", lambda r: total(r, "cpu_percent")),
        ("Connections at Redis", "", lambda r: total(r, "connections")),
        ("Failed XREADGROUP per second", "", lambda r: total(r, "failed_reads_per_s")),
        ("Commands per second at Redis", "", lambda r: total(r, "commands_per_s")),
        ("Deliveries to groups", "", lambda r: r["fleet"]["deliveries"]["delivered"]),
        ("Client calls that failed", "", lambda r: r["fleet"]["calls"]["failed"]),
    ]
    panel_width, panel_height = 300, 40 + 42 * len(shown)
    width, height = 3 * panel_width + 40, 60 + 2 * panel_height
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             "  <title>The fleet before and after</title>", f'<rect width="{width}" height="{height}" fill="#fff"/>',
             f'<text x="20" y="26" font-size="15" font-weight="bold">{results["engines"]} engines, {results["rate"]:g} messages/s each, '
             f'{shown[0]["fleet"]["seconds"]:.0f} s</text>']
    for index, (title, unit, value) in enumerate(panels):
        lines += bars(title, unit, shown, value, 20 + index % 3 * panel_width, 60 + index // 3 * panel_height, panel_width - 20)
    return "\n".join([*lines, "</svg>"]) + "\n"


def write_report(folder, results):
    """Prints the table, and writes all three forms."""
    text = markdown(results)
    print(text, end="")
    os.makedirs(folder, exist_ok=True)
    results["goals"] = [{"goal": what, "reached": reached, "measured": figure}
                        for what, reached, figure in goals(results["scenarios"])]
    for name, content in (("compare.md", text), ("compare.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n"),
                          ("compare.svg", svg(results))):
        with open(os.path.join(folder, name), "w") as file:
            file.write(content)
    print(f"written: {os.path.join(folder, 'compare.{md,json,svg}')}")
