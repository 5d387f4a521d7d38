"""The metrics, as Prometheus sees them: well formed, and in agreement with what was done."""
import json
import os
import subprocess
import unittest
import urllib.parse
import urllib.request

from support.harness import ENGINE_LOGIC, MARKETDATA, Daemon, Process, Redis, Stack, StackTest, free_port, make_config, wait_for

BUSES = (MARKETDATA, ENGINE_LOGIC)


class MetricsTest(StackTest):
    config = {"buses": {MARKETDATA: {"latency_target": "1us"}, ENGINE_LOGIC: {"latency_target": "1m"}}}

    def work(self):
        """A bit of everything; returns what it was, by command and outcome."""
        client = self.connect()
        for number in range(30):
            client.call("XADD", "s", "*", "message_type", "market_data", "n", number)
        for _ in range(20):
            client.call("XADD", "s", "*", "message_type", "risk_level")
        client.call("XADD", "s", "*", "payload", '{"message_type":"order_request"}')
        client.call("XADD", "md:s", "*", "message_type", "order_request")
        client.call("XADD", "s", "*", "message_type", 'odd "name"\\ \n\xff'.encode("latin-1"))
        client.call("XADD", "s", "*", "no", "type")
        client.call("XADD", "s", "bad id", "a", "b")
        for _ in range(7):
            client.call("GET", "k")
        client.call("SET", "k", "x" * 10000)
        client.call("LPUSH", "k", 1)
        client.call("MGET", "k", "md:k")
        client.call("NOSUCH")
        client.call("SAVE")
        client.call("GET")
        client.close()
        return {("xadd", "ok"): 54, ("xadd", "redis_error"): 1, ("get", "ok"): 7, ("set", "ok"): 1, ("lpush", "redis_error"): 1, ("mget", "ok"): 1,
                ("unknown", "refused"): 1, ("save", "refused"): 1, ("get", "refused"): 1}

    def test_counters_agree_with_what_was_done(self):
        before = self.daemon.metrics()
        expected = self.work()
        wait_for(lambda: self.daemon.metrics().value("dualbus_clients") == 0, "the client has gone")
        after = self.daemon.metrics()

        def grown(name, **labels):
            return after.value(name, **labels) - before.value(name, **labels)

        for (command, outcome), count in expected.items():
            self.assertEqual(grown("dualbus_requests_total", cmd=command, outcome=outcome), count, (command, outcome))
        self.assertEqual(grown("dualbus_requests_total"), sum(expected.values()))
        routed = {("type", MARKETDATA, "market_data"): 30, ("glob", ENGINE_LOGIC, "risk_level"): 20, ("json", ENGINE_LOGIC, "order_request"): 1,
                  ("key", MARKETDATA, "order_request"): 1}
        for (rule, bus, message_type), count in routed.items():
            self.assertEqual(grown("dualbus_messages_routed_total", rule=rule, bus=bus, message_type=message_type), count, (rule, bus))
        self.assertEqual(grown("dualbus_messages_routed_total", rule="default"), 3)  # the one that Redis refuses, too
        self.assertEqual(grown("dualbus_messages_routed_total"), 55)
        self.assertEqual((grown("dualbus_clients_accepted_total"), grown("dualbus_clients_closed_total", reason="client")), (1, 1))
        self.assertGreater(grown("dualbus_client_received_bytes_total"), 10000)
        self.assertGreater(grown("dualbus_client_sent_bytes_total"), 1000)
        self.assertGreater(grown("dualbus_bus_sent_bytes_total", bus=ENGINE_LOGIC), 10000)
        # 31 messages and a part of MGET; health checks may come on top.
        self.assertGreaterEqual(grown("dualbus_bus_requests_total", bus=MARKETDATA), 32)
        for name in ("dualbus_request_bus_duration_seconds", "dualbus_request_daemon_duration_seconds"):
            self.assertGreaterEqual(grown(name + "_count", bus=MARKETDATA), 31, name)
            self.assertGreater(grown(name + "_sum", bus=MARKETDATA), 0)
            self.assertEqual(after.value(name + "_bucket", bus=MARKETDATA, le="+Inf"), after.value(name + "_count", bus=MARKETDATA))
        self.assertGreaterEqual(grown("dualbus_latency_target_missed_total", bus=MARKETDATA), 31)
        self.assertEqual(after.value("dualbus_latency_target_missed_total", bus=ENGINE_LOGIC), 0)
        self.assertEqual(after.value("dualbus_latency_target_seconds", bus=ENGINE_LOGIC), 60)

    def test_the_figures_of_redis_are_those_of_its_info(self):
        self.work()
        for bus, server in self.stack.buses.items():
            client = self.client(server)
            done = client.info("commandstats").get("cmdstat_xadd", {}).get("calls")
            wait_for(lambda: self.daemon.metrics().value("redis_commands_total", bus=bus, cmd="xadd") == done, "the poller has seen all")
            metrics = self.daemon.metrics()
            info = client.info("all")
            self.assertEqual(metrics.value("redis_up", bus=bus), 1)
            self.assertAlmostEqual(metrics.value("redis_connected_clients", bus=bus), info["connected_clients"], delta=2)
            self.assertAlmostEqual(metrics.value("redis_connections_received_total", bus=bus), info["total_connections_received"], delta=3)
            self.assertLessEqual(metrics.value("redis_commands_processed_total", bus=bus), info["total_commands_processed"])
            self.assertEqual(metrics.value("redis_blocked_clients", bus=bus), 0)
            self.assertLessEqual(metrics.value("redis_cpu_sys_seconds_total", bus=bus), info["used_cpu_sys"])
            self.assertGreater(metrics.value("redis_memory_used_bytes", bus=bus), 500_000)
            self.assertEqual(metrics.matching("redis_instance_info", bus=bus, redis_version=info["redis_version"], role="master",
                                              maxmemory_policy="noeviction")[0][1], 1)
        failed = self.client(self.stack.engine_logic).info("commandstats")["cmdstat_lpush"]["failed_calls"]
        self.assertEqual(self.daemon.metrics().value("redis_commands_failed_calls_total", bus=ENGINE_LOGIC, cmd="lpush"), failed)
        self.assertGreaterEqual(self.daemon.metrics().value("redis_errors_total", bus=ENGINE_LOGIC, err="WRONGTYPE"), 1)

    def test_promtool_has_nothing_to_say(self):
        self.work()
        checked = subprocess.run(["promtool", "check", "metrics"], input=self.daemon.metrics().text, capture_output=True, text=True, check=False)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))

    def test_prometheus_scrapes_and_answers_queries(self):
        self.work()
        port = free_port()
        config = os.path.join(self.stack.directory, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"},
                       "scrape_configs": [{"job_name": "dualbus", "static_configs": [{"targets": [f"127.0.0.1:{self.daemon.admin_port}"]}]}]}, file)
        prometheus = Process("prometheus", self.stack.directory)
        prometheus.launch(["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                           f"--storage.tsdb.path={os.path.join(self.stack.directory, 'tsdb')}"])
        self.addCleanup(prometheus.kill)

        def query(expression):
            """The value of an expression, added up over its series; None if there is none."""
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
            try:
                with urllib.request.urlopen(url, timeout=10) as reply:
                    result = json.load(reply)["data"]["result"]
            except OSError:
                self.assertTrue(prometheus.running(), prometheus.log())
                return None
            return sum(float(series["value"][1]) for series in result) if result else None

        wait_for(lambda: query('up{job="dualbus"}') == 1, "a scrape succeeds")
        live = self.daemon.metrics()
        for expression, name, labels in (('dualbus_messages_routed_total{message_type="market_data"}',
                                          "dualbus_messages_routed_total", {"message_type": "market_data"}),
                                         ('dualbus_requests_total{cmd="xadd",outcome="ok"}', "dualbus_requests_total", {"cmd": "xadd", "outcome": "ok"}),
                                         ("sum(redis_up)", "redis_up", {}), ("dualbus_latency_target_seconds", "dualbus_latency_target_seconds", {})):
            wait_for(lambda: query(expression) == live.value(name, **labels) > 0, f"{expression} is {live.value(name, **labels)}")
        for bus in BUSES:
            wait_for(lambda: (query(f'redis_connected_clients{{bus="{bus}"}}') or 0) >= 2, f"connections of {bus}")
            wait_for(lambda: query(f'rate(redis_cpu_user_seconds_total{{bus="{bus}"}}[1m]) + rate(redis_cpu_sys_seconds_total{{bus="{bus}"}}[1m])') is not None,
                     f"CPU of {bus}")
            wait_for(lambda: query(f'redis_cpu_ratio{{bus="{bus}"}}') is not None, f"CPU ratio of {bus}")
        self.assertIsNotNone(query("histogram_quantile(0.99, dualbus_request_bus_duration_seconds_bucket)"))
        self.assertEqual(query("scrape_samples_scraped") is not None and query('count({__name__=~"dualbus_.*|redis_.*"}) > bool 100'), 1)

    def test_pages_for_machines(self):
        self.assertEqual(self.daemon.fetch("/healthz")[0], 200)
        for page in ("/readyz", "/readyz?all", f"/readyz?bus={MARKETDATA}"):
            self.assertEqual(self.daemon.fetch(page)[0], 200)
        self.assertEqual(self.daemon.fetch("/nosuch")[0], 404)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.daemon.admin_port}/metrics") as reply:
            self.assertTrue(reply.headers["Content-Type"].startswith("text/plain; version=0.0.4"), reply.headers["Content-Type"])
        self.assertIn(MARKETDATA, self.daemon.fetch("/")[1])

    def test_a_bus_that_goes_away_shows_and_one_that_evicts_streams_is_warned_about(self):
        metrics = self.daemon.metrics()
        self.assertEqual([metrics.value("dualbus_bus_evicts_streams", bus=bus) for bus in BUSES], [0, 0])
        server = self.client(self.stack.marketdata)
        server.config_set("maxmemory", "1gb")
        server.config_set("maxmemory-policy", "allkeys-lru")
        wait_for(lambda: self.daemon.metrics().value("dualbus_bus_evicts_streams", bus=MARKETDATA) == 1, "the policy is noticed")
        self.daemon.wait_for_log("warning .*marketdata.*allkeys-lru")
        server.config_set("maxmemory-policy", "noeviction")
        server.config_set("maxmemory", "0")
        wait_for(lambda: self.daemon.metrics().value("dualbus_bus_evicts_streams", bus=MARKETDATA) == 0, "the policy is noticed again")
        self.stack.marketdata.kill()
        try:
            wait_for(lambda: self.daemon.metrics().value("redis_up", bus=MARKETDATA) == 0, "it is down")
            metrics = self.daemon.metrics()
            self.assertEqual(metrics.value("redis_up", bus=ENGINE_LOGIC), 1)
            self.assertEqual(metrics.matching("redis_connected_clients", bus=MARKETDATA), [])
        finally:
            self.stack.marketdata.start()
        wait_for(lambda: self.daemon.metrics().value("redis_up") == 2 and self.daemon.fetch("/readyz?all")[0] == 200, "it is back")


class HangingBusTest(StackTest):
    """A bus that does not answer must not keep the scrape waiting, nor the other bus's figures."""

    def test_a_scrape_does_not_wait_for_a_bus(self):
        server: Redis = self.stack.marketdata
        server.pause()
        try:
            wait_for(lambda: self.daemon.metrics().value("redis_up", bus=MARKETDATA) == 0, "it counts as down")
            for _ in range(20):
                status, _ = self.daemon.fetch("/metrics", timeout=2)
                self.assertEqual(status, 200)
            before = self.daemon.metrics().value("redis_commands_processed_total", bus=ENGINE_LOGIC)
            wait_for(lambda: self.daemon.metrics().value("redis_commands_processed_total", bus=ENGINE_LOGIC) > before, "the other is still asked")
        finally:
            server.proceed()
        wait_for(lambda: self.daemon.metrics().value("redis_up") == 2, "it is back")


class OneRedisTwiceTest(unittest.TestCase):
    """A mistake that the configuration cannot show: two endpoints that lead to one Redis."""

    def test_it_is_said_loudly_and_the_daemon_is_not_ready(self):
        stack = Stack()
        self.addCleanup(stack.end)
        server = stack.marketdata
        daemon = Daemon(stack.directory, make_config({MARKETDATA: server.endpoint, ENGINE_LOGIC: server.unix_socket}), name="twice")
        self.addCleanup(daemon.kill)
        daemon.start("/healthz")
        wait_for(lambda: daemon.fetch("/readyz")[1].endswith("\nbuses 'marketdata' and 'engine_logic' are the same Redis\n"), "it is noticed")
        self.assertEqual(daemon.fetch("/readyz")[0], 503)
        self.assertEqual([daemon.metrics().value("dualbus_bus_shares_redis", bus=bus) for bus in BUSES], [1, 1])
        daemon.wait_for_log("error buses 'marketdata' and 'engine_logic' are the same Redis .*: every message there is delivered twice")
        self.assertEqual(stack.daemon.metrics().value("dualbus_bus_shares_redis"), 0)
        self.assertEqual(daemon.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
