#!/usr/bin/python3
"""Holds alerts, their tests, the runbook, the dashboard and the metrics of the daemon against each other.

    check_alerts.py [--root ROOT] [DUALBUSD]   prints every mistake; exit status 0 when there is none
    check_alerts.py --self-test                breaks a copy in many ways and expects to be told of each

Without a daemon the metrics are those of docs/metrics.md. Needs promtool.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

import breakages
from breakages import ROOT

PARTS = ("**Meaning.**", "**Engines notice:**", "**Look", "**Do:**")
# Labels that Prometheus adds.
ADDED = {"instance", "job", "le"}
NAME = re.compile(r"\b(?:dualbus|redis|process)_\w+")
SELECTOR = re.compile(r"\b((?:dualbus|redis|process)_\w+)\s*(\{[^}]*\})?")


def alerts_in(root):
    groups = yaml.safe_load((root / "deploy/alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def metrics_in(reference):
    """Name -> labels, for each row of the reference's tables of metrics."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:`([^`]*)`)? \|", reference, re.MULTILINE)
    found = {}
    for name, kind, labels in rows:
        for suffix in ("_bucket", "_count", "_sum") if kind == "histogram" else ("",):
            found[name + suffix] = set(filter(None, labels.split(", ")))
    return found


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def check_rules(alerts):
    for name, rule in alerts.items():
        notes = rule.get("annotations", {})
        for wanted in ("summary", "description", "runbook_url"):
            if not notes.get(wanted):
                yield f"{name}: no {wanted}"
        description = notes.get("description", "")
        if not re.search(r"\$value|\$labels\.(state|err)\b", description):
            yield f"{name}: the description does not have the value"
        if notes.get("runbook_url") != f"docs/runbook.md#{slug(name)}":
            yield f"{name}: runbook_url is {notes.get('runbook_url')}"
        if rule.get("labels", {}).get("severity") not in ("critical", "warning", "info"):
            yield f"{name}: no severity"


def check_runbook(root, alerts):
    text = (root / "docs/runbook.md").read_text()
    sections = dict(re.findall(r"^### (.*)\n((?:(?!##).*\n?)*)", text, re.MULTILINE))
    for name in alerts:
        if name not in sections:
            yield f"runbook.md: no section {name}"
            continue
        for part in PARTS:
            if part not in sections[name]:
                yield f"runbook.md: {name} has no {part}"
    for name in sections.keys() - alerts.keys():
        yield f"runbook.md: {name} is no alert"
    for target in re.findall(r"\]\(([^)]*)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = root / "docs" / path if path else root / "docs/runbook.md"
        if not file.exists():
            yield f"runbook.md: {target} leads nowhere"
        elif anchor and anchor not in {slug(line.lstrip("#")) for line in file.read_text().splitlines() if line.startswith("#")}:
            yield f"runbook.md: {target} leads to no heading"


def check_tests(root, alerts):
    fires, rests = {}, {}
    for file in sorted((root / "test/alerts").glob("*.yml")):
        for test in yaml.safe_load(file.read_text())["tests"]:
            given = {re.match(r"\w+", series["series"])[0] for series in test["input_series"]}
            for case in test.get("promql_expr_test", []):
                about = re.fullmatch(r'ALERTS\{alertname="(\w+)",alertstate="firing"\}', case["expr"])
                if not about:
                    continue
                name, samples = about[1], case.get("exp_samples") or []
                if name not in alerts:
                    yield f"{file.name}: {name} is no alert"
                    continue
                (fires if samples else rests)[name] = True
                for missing in sorted(names_in(alerts[name]["expr"]) - given):
                    yield f"{file.name}: the test {test['name']!r} gives no {missing}"
                for sample in samples:
                    has = set(re.findall(r'(\w+)="', sample["labels"]))
                    notes = " ".join(alerts[name]["annotations"].values())
                    for label in sorted(set(re.findall(r"\$labels\.(\w+)", notes)) - has):
                        yield f"{name}: its texts use the label {label}, which it does not have"
    for name in alerts:
        if name not in fires:
            yield f"{name}: no test in which it fires"
        if name not in rests:
            yield f"{name}: no test in which it does not fire"


def names_in(expression):
    """The metrics of an expression, without what only looks like one: label names and texts."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)', " ", expression)
    return set(NAME.findall(bare)) | ({"up"} if re.search(r"\bup\b", bare) else set())


def check_metrics(where, expressions, metrics):
    for expression in expressions:
        for name in sorted(names_in(expression) - {"up"} - metrics.keys()):
            yield f"{where}: {name} is no metric of the daemon"
        for name, matchers in SELECTOR.findall(expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers)))
            if name in metrics:
                for label in sorted(labels - metrics[name] - ADDED):
                    yield f"{where}: {name} has no label {label}"


def panels_of(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def check_dashboards(root, metrics):
    sources = yaml.safe_load((root / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    uids = {source["uid"] for source in sources}
    for file in sorted((root / "deploy/grafana/dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        panels = list(panels_of(dashboard))
        seen, places, expressions = set(), set(), []
        for panel in panels:
            where = f"{file.name}: {panel.get('title')!r}"
            if panel["id"] in seen:
                yield f"{where}: another panel has the id {panel['id']}"
            seen.add(panel["id"])
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            if cells & places or place["x"] + place["w"] > 24:
                yield f"{where}: lies over another panel or the edge"
            places |= cells
            if panel["type"] == "row":
                continue
            if not panel.get("description"):
                yield f"{where}: no description"
            if panel["datasource"]["uid"] not in uids:
                yield f"{where}: no such data source is provisioned"
            if not panel.get("targets"):
                yield f"{where}: asks for nothing"
            expressions += [target["expr"] for target in panel.get("targets", [])]
        for variable in dashboard["templating"]["list"]:
            expressions += re.findall(r"label_values\((.*), \w+\)", str(variable.get("definition", "")))
        yield from check_metrics(file.name, expressions, metrics)
        yield from check_syntax(file.name, expressions)


def check_syntax(where, expressions):
    """promtool reads the expressions, with values in the place of Grafana's variables."""
    plain = [re.sub(r"\$__(?:rate_)?interval|\$__range", "5m", expression) for expression in expressions]
    plain = [re.sub(r"\$\w+", ".*", expression) for expression in plain]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        rules = [{"record": f"expression:{number}", "expr": expression} for number, expression in enumerate(plain)]
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        checked = run("promtool", "check", "rules", file.name)
    if checked.returncode != 0:
        yield f"{where}: {checked.stdout}{checked.stderr}"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def mistakes(root, daemon=None):
    reference = run(daemon, "--metrics-reference").stdout if daemon else (root / "docs/metrics.md").read_text()
    metrics, alerts = metrics_in(reference), alerts_in(root)
    if len(metrics) < 100 or len(alerts) < 20:
        return [f"only {len(metrics)} metrics and {len(alerts)} alerts were found"]
    found = [*check_rules(alerts), *check_runbook(root, alerts), *check_tests(root, alerts), *check_dashboards(root, metrics)]
    for name, rule in alerts.items():
        found += check_metrics(name, [rule["expr"]], metrics)
    return found


def failed_tests(root, files="*.yml"):
    tested = run("promtool", "test", "rules", *map(str, sorted((root / "test/alerts").glob(files))))
    return [f"promtool: {tested.stdout}{tested.stderr}"] if tested.returncode != 0 else []


# The breakages: where, the text, its replacement, and what must be said about it.
BREAKAGES = [
    ("deploy/alerts.yml", "dualbus_memory_refusals_total[5m]", "dualbus_memory_refused_total[5m]", "dualbus_memory_refused_total is no metric"),
    ("deploy/alerts.yml", '{reason="output"}', '{cause="output"}', "dualbus_log_lines_dropped_total has no label cause"),
    ("deploy/alerts.yml", "runbook.md#dualbusdown", "runbook.md#dualbusup", "DualbusDown: runbook_url"),
    ("deploy/alerts.yml", "annotations:\n          summary:", "annotations:\n          title:", "no summary"),
    ("deploy/alerts.yml", " (up is {{ $value }})", "", "DualbusDown: the description does not have the value"),
    ("deploy/alerts.yml", "Redis of bus {{ $labels.bus }} does not", "Redis of bus {{ $labels.name }} does not", "use the label name"),
    ("deploy/alerts.yml", "severity: critical", "severity: high", "no severity"),
    ("docs/runbook.md", "### DualbusBusDown", "### DualbusBusUp", "no section DualbusBusDown"),
    ("docs/runbook.md", "**Do:** Start the daemon.", "Start the daemon.", "DualbusDown has no **Do:**"),
    ("docs/runbook.md", "(#dualbusbusdown)", "(#dualbusbusgone)", "#dualbusbusgone leads to no heading"),
    ("test/alerts/redis.yml", 'expr: ALERTS{alertname="DualbusSnapshotFailed"', 'expr: ALERTS{alertname="DualbusLogRewriteFailed"',
     "DualbusSnapshotFailed: no test in which it fires"),
    ("test/alerts/buses.yml", "redis_up{bus", "redis_down{bus", "gives no redis_up"),
    ("docs/metrics.md", "| `redis_max_clients` |", "| `redis_most_clients` |", "redis_max_clients is no metric"),
    ("deploy/grafana/dashboards/dualbus.json", "dualbus_parked_readers", "dualbus_parked_reader", "dualbus_parked_reader is no metric"),
    ("deploy/grafana/dashboards/dualbus.json", "redis_cpu_ratio{", "redis_cpu_ratio{{", "dualbus.json: "),
    ("deploy/grafana/provisioning/datasources/prometheus.yml", "uid: ", "uid: other-", "no such data source"),
]


# Breakages of rules that only their tests notice: the file of the tests, the rest as above.
WRONG_RULES = [
    ("daemon.yml", "for: 15s", "for: 15m", "DualbusDown"),
    ("buses.yml", "redis_up == 0", "redis_up == 1", "DualbusBusDown"),
    ("daemon.yml", "dualbus_clients_limit > 0.85", "dualbus_clients_limit > 0.75", "DualbusClientsNearLimit"),
    ("requests.yml", "increase(dualbus_elements_lost_total[10m]) > 0", "dualbus_elements_lost_total > 0", "DualbusElementsLost"),
    ("healthy.yml", "dualbus_requests_waiting[30s]) > 100", "dualbus_requests_waiting[30s]) > 10", "ALERTS"),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    parser.add_argument("daemon", nargs="?")
    wanted = parser.parse_args()
    if wanted.self_test:
        cases = [(*breakage, mistakes) for breakage in BREAKAGES]
        for tests, old, new, expected in WRONG_RULES:
            cases.append(("deploy/alerts.yml", old, new, expected, lambda copy, tests=tests: failed_tests(copy, tests)))
        return breakages.report_self_test("check_alerts.py", ["deploy", "docs", "config", "test/", "test/alerts"], cases)
    return breakages.report("check_alerts.py", mistakes(wanted.root, wanted.daemon) + failed_tests(wanted.root))


if __name__ == "__main__":
    sys.exit(main())
