"""prometheus-redis-exporter pointed at the daemon: it sees a healthy Redis with the daemon's figures, and logs no error."""
import os
import unittest
import urllib.error
import urllib.request

from support.client_programs import ClientTest
from support.harness import Metrics, free_port, wait_for


class ExporterTest(ClientTest):
    config = {**ClientTest.config, "slowlog": {"threshold": "1us", "max_entries": 100}}

    def scrape(self, *options):
        port = free_port()
        exporter = self.start_program("exporter", ["prometheus-redis-exporter", "-redis.addr", f"redis://127.0.0.1:{self.daemon.port}",
                                                   "-web.listen-address", f"127.0.0.1:{port}", *options])

        def page():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
                    return Metrics(reply.read().decode())
            except urllib.error.URLError:
                return None

        metrics = wait_for(page, "the exporter answers")
        self.assertNotRegex(exporter.log(), "level=(warning|error|fatal)")
        exporter.end()
        return metrics

    def assert_figures(self, metrics, expected):
        self.assertEqual({name: metrics.value("redis_" + name) for name in expected}, expected)

    def test_the_figures_of_usual_dashboards(self):
        others = [self.connect() for _ in range(3)]
        others[0].send("BLPOP", "nothing", 60)
        for number in range(20):
            others[1].call("SET", ("md:k", "k")[number % 2] + str(number), "value")
        others[1].call("XADD", "s", "*", "message_type", "market_data")
        others[2].call("LPUSH", "k1", "x")
        wait_for(lambda: b"blocked_clients:1" in others[1].call("INFO", "clients"), "a client waits")
        seen = self.scrape()
        self.assert_figures(seen, {"up": 1, "exporter_last_scrape_error": 0, "connected_clients": 4, "blocked_clients": 1, "config_maxclients": 10000,
                                   "rejected_connections_total": 0, "connected_slaves": 0, "loading_dump_file": 0, "cluster_enabled": 0})
        counted = self.daemon.metrics()
        for cmd in ("set", "xadd", "lpush"):
            self.assertEqual(seen.value("redis_commands_total", cmd=cmd), counted.value("dualbus_requests_total", cmd=cmd))
        self.assertEqual(seen.value("redis_commands_failed_calls_total", cmd="lpush"), 1)
        self.assertEqual(seen.matching("redis_instance_info", role="master", redis_mode="standalone")[0][1], 1)
        for name in ("commands_processed_total", "connections_received_total", "memory_used_bytes", "memory_used_rss_bytes", "net_input_bytes_total",
                     "net_output_bytes_total", "start_time_seconds", "slowlog_length", "slowlog_last_id",
                     "last_slow_execution_duration_seconds", "memory_used_peak_bytes"):
            self.assertGreater(seen.value("redis_" + name), 0, name)
        # At this early time the kernel may have counted all of it as one or the other.
        self.assertGreater(seen.value("redis_cpu_user_seconds_total") + seen.value("redis_cpu_sys_seconds_total"), 0)
        self.assertIn("redis_uptime_in_seconds", seen.text)
        others[0].close()
        self.assert_nothing_refused()

    def test_keys_and_streams_that_it_is_asked_about(self):
        client = self.client()
        for number in range(10):
            client.xadd("s", {"message_type": ("market_data", "order_request")[number % 2]})
        client.xgroup_create("s", "g", "0")
        client.xreadgroup("g", "c", {"s": ">"}, count=4)
        client.rpush("md:list", 1, 2, 3)
        client.set("number", 42)
        seen = self.scrape("-check-streams", "s*", "-check-keys", "md:*", "-check-single-keys", "number", "-count-keys", "*", "-export-client-list",
                           "-include-config-metrics", "-include-system-metrics", "-ping-on-connect")
        self.assert_figures(seen, {"up": 1, "exporter_last_scrape_error": 0, "stream_length": 10, "stream_groups": 1, "stream_group_consumers": 1,
                                   "stream_group_messages_pending": 4, "key_value": 42})
        self.assertEqual(seen.value("redis_key_size", key="md:list"), 3)
        # SCAN names a stream once on each bus that has a part of it.
        self.assertEqual(seen.value("redis_keys_count", key="*"), 4)
        self.assertEqual(seen.labels("redis_connected_clients_details", "name"), {"", "redis_exporter"})
        self.assert_nothing_refused()


if __name__ == "__main__":
    unittest.main()
