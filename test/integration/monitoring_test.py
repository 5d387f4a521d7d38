"""Prometheus with the files of deploy/: every alert can be evaluated and rests, the dashboard shows something, and dashboards
made for redis_exporter see each Redis by itself."""
import json
import os
import re
import sys
import unittest
import urllib.error
import urllib.parse
import urllib.request

import yaml

from support.harness import ENGINE_LOGIC, MARKETDATA, Process, StackTest, free_port, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))
import check_alerts  # noqa: E402  (it lies beside this folder)

DEPLOY = os.path.join(ROOT, "deploy")
# These series exist for buses that are draining or have Sentinels only.
ABSENT = re.compile(r"dualbus_(bus_drained|drain_|sentinel_|failovers)|allkeys")
# So do these panels; others have nothing to show while all is well.
EMPTY = {"Drained", "Work that is left", "Streams that are left", "Calls that fail or are rejected", "Errors of Redis", "Memory of Redis"}


class MonitoringTest(StackTest):
    # Targets that a busy machine meets, too.
    config = {"buses": {MARKETDATA: {"latency_target": "1m"}, ENGINE_LOGIC: {"latency_target": "1m"}}}

    def setUp(self):
        super().setUp()
        with open(os.path.join(DEPLOY, "prometheus.yml"), encoding="utf-8") as file:
            config = yaml.safe_load(file.read().replace("127.0.0.1:9121", f"127.0.0.1:{self.daemon.admin_port}"))
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "500ms"}
        config["rule_files"] = [os.path.join(DEPLOY, "alerts.yml")]
        path, self.port = os.path.join(self.stack.directory, "prometheus.yml"), free_port()
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        self.prometheus = Process("prometheus", self.stack.directory)
        self.prometheus.launch(["prometheus", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{self.port}",
                                f"--storage.tsdb.path={os.path.join(self.stack.directory, 'tsdb-' + str(self.port))}"])
        self.addCleanup(self.prometheus.kill)
        wait_for(lambda: self.sum_of('up{job="redis"} == 1') == 2, "both buses are scraped")

    def api(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            if error.code != 503:  # as long as it starts
                self.fail(f"{parameters}: {error.read().decode()}")
            return None
        except OSError:
            self.assertTrue(self.prometheus.running(), self.prometheus.log())
            return None

    def series(self, expression):
        return (self.api("query", query=expression) or {}).get("result") or []

    def sum_of(self, expression):
        return sum(float(series["value"][1]) for series in self.series(expression))

    def work(self):
        client = self.connect()
        client.call("CLIENT", "SETNAME", "risk-engine-1")
        for number in range(30):
            client.call("XADD", "s", "*", "message_type", "market_data", "n", number)
            client.call("XADD", "s", "*", "message_type", "nobody_named_it")
        client.call("XGROUP", "CREATE", "s", "g", "0")
        for _ in range(3):
            client.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 100, "STREAMS", "s", ">")
        client.call("PUBLISH", "channel", "text")
        client.close()

    def test_every_alert_can_be_evaluated_and_rests_while_all_is_well(self):
        def rules():
            groups = (self.api("rules") or {"groups": []})["groups"]
            return [rule for group in groups for rule in group["rules"]]

        self.work()
        alerts = check_alerts.alerts_in(check_alerts.ROOT)
        wait_for(lambda: len(rules()) == len(alerts) and all(rule["health"] == "ok" for rule in rules()), "every rule is evaluated")
        self.work()
        evaluated = {rule["name"]: rule["lastEvaluation"] for rule in rules()}
        wait_for(lambda: all(rule["lastEvaluation"] > evaluated[rule["name"]] for rule in rules()), "they are evaluated again")
        # On a busy machine a scrape may fail, which does not last; what fires does.
        self.assertEqual([rule["name"] for rule in rules() if rule["state"] == "firing"], [])
        wait_for(lambda: all(rule["state"] == "inactive" for rule in rules()), "no alert waits")

    def test_what_the_alerts_wait_for_is_there_before_it_happens(self):
        """A matcher with a mistake in it, or a series that begins with its first event, would keep an alert silent."""
        self.work()
        for name, rule in check_alerts.alerts_in(check_alerts.ROOT).items():
            for metric, matchers in check_alerts.SELECTOR.findall(rule["expr"]):
                selector = metric + matchers
                if metric in check_alerts.names_in(rule["expr"]) and not ABSENT.search(selector):
                    wait_for(lambda: self.series(selector) or self.work(), f"{name}: {selector} selects something")

    def test_the_dashboard_shows_something(self):
        with open(os.path.join(DEPLOY, "grafana/dashboards/dualbus.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        self.work()
        for panel in check_alerts.panels_of(dashboard):
            for target in panel.get("targets", []):
                expression = re.sub(r"\$__rate_interval", "1m", target["expr"])
                expression = re.sub(r"\$\w+", ".+", expression)
                self.series(expression)  # fails if it is wrong
                if panel["title"] not in EMPTY:
                    wait_for(lambda: self.series(expression) or self.work(), f"{panel['title']} shows {expression}")

    def test_dashboards_for_redis_exporter_see_each_redis_by_itself(self):
        direct = {bus: self.client(server) for bus, server in self.stack.buses.items()}
        for number, (bus, client) in enumerate(direct.items()):
            for key in range(3 + number):
                client.set(f"{bus}{key}", "x" * 100_000)
        wait_for(lambda: self.sum_of("redis_db_keys") >= 7, "the keys are scraped")
        self.assertEqual({series["metric"]["instance"] for series in self.series("redis_up")}, {MARKETDATA, ENGINE_LOGIC})
        self.assertEqual(len(self.series('redis_up{namespace="dualbus"}')), 2)
        for bus, client in direct.items():
            def of(expression):
                return self.sum_of(expression.replace("$instance", bus).replace("$namespace", "dualbus"))

            info = client.info("all")
            # As dashboard 763 and the redis mixin ask.
            wait_for(lambda: of('sum(redis_db_keys{instance=~"$instance"}) by (db, instance)') == client.dbsize(), "keys")
            wait_for(lambda: of('sum(redis_connected_clients{namespace=~"$namespace", instance=~"$instance"})') == client.info()["connected_clients"],
                     "clients")
            used = of('sum(redis_memory_used_bytes{instance=~"$instance"})')
            self.assertAlmostEqual(used, info["used_memory"], delta=0.3 * info["used_memory"])
            for expression in ('max(max_over_time(redis_uptime_in_seconds{namespace=~"$namespace", instance=~"$instance"}[1m]))',
                               'redis_memory_used_rss_bytes{instance=~"$instance"} / redis_memory_used_bytes{instance=~"$instance"}',
                               'redis_total_system_memory_bytes{instance=~"$instance"}'):
                self.assertGreater(of(expression), 0, expression)
            self.assertTrue(self.series(f'sum(redis_connected_slaves{{instance=~"{bus}"}}) by (instance)'))
            wait_for(lambda: of('sum(rate(redis_commands_total{namespace=~"$namespace", instance=~"$instance"} [1m]))') > 0, "commands")

    def test_the_page_of_one_redis(self):
        status, page = self.daemon.fetch(f"/metrics/redis?bus={MARKETDATA}")
        self.assertEqual(status, 200)
        self.assertIn("\nredis_up 1\n", page)
        self.assertNotIn("dualbus_", page)
        self.assertNotIn("bus=", page)
        status, page = self.daemon.fetch("/metrics/redis?bus=nosuch")
        self.assertEqual((status, page), (404, f"there is no bus 'nosuch': the buses are {MARKETDATA}, {ENGINE_LOGIC}\n"))
        self.assertEqual(self.daemon.fetch("/metrics/redis")[0], 404)


if __name__ == "__main__":
    unittest.main()
