"""INFO and CONFIG GET: figures under Redis's names are the buses', taken together, or absent."""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for

MEGABYTE = 1 << 20


class FiguresTest(StackTest):
    def setUp(self):
        super().setUp()
        self.direct = {name: self.client(bus) for name, bus in self.stack.buses.items()}
        self.addCleanup(self.set, {"maxmemory": 0, "maxmemory-policy": "noeviction", "appendonly": "no", "save": ""})

    def set(self, settings, *buses):
        for name in buses or self.direct:
            for setting, value in settings.items():
                self.direct[name].config_set(setting, value)

    def info(self, *sections):
        text = self.connect().call("INFO", *sections).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def settings(self, *patterns):
        return {name.decode(): value.decode() for name, value in self.connect(3).call("CONFIG", "GET", *patterns).items()}

    def test_memory_is_that_of_the_buses(self):
        self.direct[MARKETDATA].set("large", "x" * 10 * MEGABYTE)
        mine = {}

        def differences():
            of_buses = [client.info("memory") for client in self.direct.values()]
            mine.update(self.info("memory"))
            expected = {field: sum(each[field] for each in of_buses) for field in ("used_memory", "used_memory_peak", "used_memory_dataset")}
            return {field: (int(mine[field]), value) for field, value in expected.items() if abs(int(mine[field]) - value) > 0.2 * value}

        # A Redis frees what the large request took a second or two later, perhaps between the two looks.
        wait_for(lambda: not differences(), "the sums fit")
        for field in ("used_memory", "used_memory_rss", "used_memory_peak", "used_memory_dataset"):
            self.assertRegex(mine[field + "_human"], r"^\d+\.\d\d[KMG]$")
        self.assertGreater(int(mine["dualbus_memory_rss"]), MEGABYTE)
        self.assertGreaterEqual(int(mine["dualbus_memory_peak"]), int(mine["dualbus_memory_rss"]))
        self.assertNotIn("total_system_memory", mine)

    def test_the_limit_is_the_sum_of_all_limits_and_the_policy_the_one_that_evicts_most(self):
        for one, other, limit in ((100, 200, 300), (0, 0, 0), (100, 0, None), (0, 200, None)):
            self.set({"maxmemory": one * MEGABYTE}, MARKETDATA)
            self.set({"maxmemory": other * MEGABYTE}, ENGINE_LOGIC)
            expected = None if limit is None else str(limit * MEGABYTE)
            self.assertEqual((self.info().get("maxmemory"), self.settings("maxmemory").get("maxmemory")), (expected, expected), (one, other))
        for one, other, policy in (("noeviction", "noeviction", "noeviction"), ("noeviction", "allkeys-lru", "allkeys-lru"),
                                   ("volatile-ttl", "noeviction", "volatile-ttl"), ("allkeys-lfu", "volatile-ttl", "allkeys-lfu")):
            self.set({"maxmemory-policy": one}, MARKETDATA)
            self.set({"maxmemory-policy": other}, ENGINE_LOGIC)
            self.assertEqual((self.info("memory")["maxmemory_policy"], self.settings("maxmemory-policy")), (policy, {"maxmemory-policy": policy}), (one, other))

    def test_what_is_written_to_disk_is_so_only_if_every_bus_does(self):
        self.assertEqual((self.info()["aof_enabled"], self.settings("appendonly")), ("0", {"appendonly": "no"}))
        self.set({"appendonly": "yes"}, MARKETDATA)
        self.assertEqual((self.info()["aof_enabled"], self.settings("appendonly")), ("0", {"appendonly": "no"}))
        self.set({"appendonly": "yes"}, ENGINE_LOGIC)
        self.assertEqual((self.info()["aof_enabled"], self.settings("appendonly")), ("1", {"appendonly": "yes"}))
        self.set({"save": "3600 1"})
        self.assertEqual(self.settings("save"), {"save": "3600 1"})
        self.set({"save": "60 7"}, MARKETDATA)
        self.assertEqual(self.settings("save"), {})

    def test_a_pattern_finds_settings_of_the_daemon_and_of_the_buses(self):
        self.assertEqual(self.settings("max*"), {"maxclients": "10000", "maxmemory": "0", "maxmemory-policy": "noeviction"})
        self.assertEqual(self.settings("PORT", "appendONLY", "port"), {"port": str(self.daemon.port), "appendonly": "no"})
        self.assertEqual(self.settings("nosuch"), {})

    def test_a_bus_that_is_a_replica_shows(self):
        self.assertEqual((self.info()["role"], self.info()["connected_slaves"]), ("master", "0"))
        master = self.stack.add_redis("master")
        self.direct[MARKETDATA].replicaof("127.0.0.1", master.port)
        self.addCleanup(self.direct[MARKETDATA].replicaof, "NO", "ONE")
        wait_for(lambda: self.direct[MARKETDATA].info("replication")["master_link_status"] == "up", "the replica is there")
        self.assertEqual((self.info()["role"], self.info()["master_link_status"], self.info()["connected_slaves"]), ("slave", "up", "0"))

    def test_nothing_is_made_up_when_no_bus_is_asked(self):
        """Within MULTI none is."""
        client = self.connect()
        info, got = client.pipeline([("MULTI",), ("INFO",), ("CONFIG", "GET", "*m*"), ("EXEC",)])[3]
        fields = {line.split(":")[0] for line in info.decode().splitlines() if ":" in line}
        invented = {"used_memory", "maxmemory", "maxmemory_policy", "loading", "aof_enabled", "connected_slaves", "master_repl_offset", "expired_keys"}
        self.assertEqual(fields & invented, set())
        self.assertLessEqual({"connected_clients", "dualbus_memory_rss", "role", "cluster_enabled"}, fields)
        self.assertEqual({name for name in got[::2] if b"maxmemory" in name}, set())
        self.assertIn(b"maxclients", got)

    def test_a_bus_that_is_away_is_left_out(self):
        self.set({"maxmemory": 100 * MEGABYTE, "maxmemory-policy": "allkeys-lru"}, MARKETDATA)
        self.stack.engine_logic.pause()
        try:
            info = self.info("memory")  # after a second
        finally:
            self.stack.engine_logic.proceed()
        self.assertEqual((info["maxmemory"], info["maxmemory_policy"]), (str(100 * MEGABYTE), "allkeys-lru"))


class RefusedWritesTest(StackTest):
    def test_writes_that_a_full_bus_refuses_are_counted_from_the_first_one(self):
        labels = {"bus": MARKETDATA, "err": "OOM"}
        wait_for(lambda: self.daemon.metrics().value("redis_up", bus=MARKETDATA) == 1, "INFO has been asked")
        self.assertEqual([value for _, value in self.daemon.metrics().matching("redis_errors_total", **labels)], [0])
        direct = self.client(self.stack.marketdata)
        direct.config_set("maxmemory", 1)
        self.addCleanup(direct.config_set, "maxmemory", 0)
        client = self.connect()
        for _ in range(5):
            self.assertRegex(client.call("XADD", "s", "*", "message_type", "market_data"), "^OOM ")
        wait_for(lambda: self.daemon.metrics().value("redis_errors_total", **labels) >= 5, "they are counted")  # and what the daemon itself tries
        self.assertEqual(self.daemon.metrics().value("redis_commands_rejected_calls_total", bus=MARKETDATA, cmd="xadd"), 5)
        self.assertEqual([value for _, value in self.daemon.metrics().matching("dualbus_request_outcomes_total", outcome="bus_timeout")], [0])


if __name__ == "__main__":
    unittest.main()
