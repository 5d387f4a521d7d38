"""Leaving a Redis behind: when the daemon calls it drained, what it says holds it back, and that nothing is written to it."""
import json
import os
import subprocess
import threading
import time
import unittest

from support.draining_stack import DRAINING, MAIN, QUIET, DrainingStackTest
from support.harness import MARKETDATA, ROOT, Daemon, StackTest, free_port, wait_for


class VerdictTest(DrainingStackTest):
    def prepare(self, key="s", entries=3):
        ids = [self.old.xadd(key, {"n": number}) for number in range(entries)]
        self.old.xgroup_create(key, "g", "0")
        return ids

    def read(self, count=None, key="s", group="g", consumer="c"):
        reply = self.old.xreadgroup(group, consumer, {key: ">"}, count=count)
        return [entry for entry, _ in reply[0][1]] if reply else []

    def test_undelivered_then_pending_then_drained(self):
        ids = self.prepare()
        self.settle()
        row = self.group()
        self.assertEqual((row["undelivered"], row["next_id"], row["pending"], row["first_pending"], row["missing_on"]),
                         (True, ids[0].decode(), 0, None, []))
        self.assertEqual((self.bus()["drained"], self.bus()["state"], self.bus()["drained_since"]), (False, "draining", None))
        self.assertGreaterEqual(row["quiet_for_ms"], QUIET * 1000)

        self.read(2)
        wait_for(lambda: (row := self.group()) and row["pending"] == 2, "two are pending")
        self.assertEqual((self.group()["undelivered"], self.group()["next_id"]), (True, ids[2].decode()))
        self.read()
        wait_for(lambda: not self.group()["undelivered"], "all are delivered")
        row = wait_for(lambda: (row := self.group()) and row["consumer_idle_ms"] > 100 and row, "the consumer is idle")
        self.assertEqual((row["pending"], row["next_id"]), (3, None))
        self.assertEqual((row["first_pending"]["id"], row["first_pending"]["consumer"], row["first_pending"]["deliveries"]), (ids[0].decode(), "c", 1))
        self.assertGreaterEqual(row["first_pending"]["idle_ms"], row["consumer_idle_ms"])
        self.assertFalse(self.checked()["drained"])

        self.old.xack("s", "g", *ids[:2])
        wait_for(lambda: self.group()["pending"] == 1, "one is pending")
        self.assertFalse(self.checked()["drained"])
        self.old.xack("s", "g", ids[2])
        bus = self.wait_drained()
        self.assertEqual((bus["state"], bus["held_by"], bus["streams"]), ("drained", {"total": 0, "listed": []}, {"total": 1, "drained": 1}))
        self.assertAlmostEqual(bus["checked_at"], time.time(), delta=30)
        self.assertEqual(self.checked()["drained_since"], bus["drained_since"], "it stays")

    def test_every_group_counts_and_every_stream(self):
        self.prepare("a")
        self.prepare("b")
        self.old.xgroup_create("a", "late", "$")
        self.read(key="a")
        self.old.xack("a", "g", *[entry for entry, _ in self.old.xrange("a")])
        self.settle()
        wait_for(lambda: self.bus()["streams"] == {"total": 2, "drained": 1}, "one stream is drained")
        self.assertEqual({(row["stream"], row["group"]) for row in self.bus()["held_by"]["listed"]}, {("b", "g")})
        self.old.xadd("a", {"one": "more"})
        wait_for(lambda: self.group("late", "a"), "the other group has to read it, too")

    def test_a_lag_above_zero_with_nothing_to_deliver_is_drained(self):
        ids = self.prepare()
        self.read(1)
        self.old.xack("s", "g", ids[0])
        self.old.xtrim("s", maxlen=0, approximate=False)
        raw = self.connect(to=self.main).call("XINFO", "GROUPS", "s")[0]
        self.assertEqual(dict(zip(raw[::2], raw[1::2]))[b"lag"], 2)
        self.wait_drained()

    def test_an_unknown_lag_is_drained_as_well(self):
        ids = self.prepare()
        self.read(1)
        self.old.xack("s", "g", ids[0])
        self.old.xdel("s", ids[2])
        self.old.xdel("s", ids[1])
        raw = self.connect(to=self.main).call("XINFO", "GROUPS", "s")[0]
        self.assertNotEqual(dict(zip(raw[::2], raw[1::2]))[b"lag"], 0)
        self.wait_drained()

    def test_a_pending_entry_whose_message_was_deleted_holds_it(self):
        ids = self.prepare()
        self.read()
        self.old.xack("s", "g", *ids[:2])
        self.old.xdel("s", ids[2])
        self.settle()
        self.assertFalse(self.checked()["drained"])
        self.assertEqual(self.group()["pending"], 1)
        self.old.xautoclaim("s", "g", "c", 0)  # drops it
        self.wait_drained()

    def test_ignored_groups_are_reported_and_hold_nothing(self):
        self.prepare()
        self.old.xgroup_create("s", "abandoned", "0")
        self.old.xgroup_create("s", "test-7", "$")
        self.read(2, group="abandoned")
        self.read()
        self.old.xack("s", "g", *[entry for entry, _ in self.old.xrange("s")])
        bus = self.wait_drained()
        ignored = {row["group"]: row for row in bus["ignored_groups"]["listed"]}
        self.assertEqual(set(ignored), {"abandoned", "test-7"})
        self.assertEqual((ignored["abandoned"]["pending"], ignored["abandoned"]["undelivered"]), (2, True))
        self.assertEqual((bus["undelivered_groups"], bus["pending_entries"], bus["ignored_groups"]["total"]), (0, 0, 2))
        for server in self.stack.buses.values():
            self.assertEqual([group["name"] for group in self.client(server).xinfo_groups("s")], [b"g"], "an abandoned group was carried along")

    def test_a_group_is_ignored_on_the_streams_of_its_rule_and_holds_on_others(self):
        self.prepare("alive")
        self.old.xgroup_destroy("alive", "g")
        self.prepare("s-left")
        self.old.xgroup_destroy("s-left", "g")
        for key in ("alive", "s-left"):
            self.old.xgroup_create(key, "abandoned", "0")
        self.settle()
        bus = self.checked()
        self.assertEqual([(row["stream"], row["group"]) for row in bus["held_by"]["listed"]], [("alive", "abandoned")])
        self.assertEqual([row["stream"] for row in bus["ignored_groups"]["listed"]], ["s-left"])
        self.assertFalse(bus["drained"])

    def test_the_list_of_ignored_groups_changes_with_a_reload(self):
        self.prepare()
        self.old.xgroup_create("s", "other", "0")
        self.read()
        self.old.xack("s", "g", *[entry for entry, _ in self.old.xrange("s")])
        self.settle()
        self.assertEqual([row["group"] for row in self.checked()["held_by"]["listed"]], ["other"])
        self.daemon.reload({**self.wanted, "draining": {**DRAINING, "ignore_groups": [{"key": "s", "group": "oth*"}]}})
        self.addCleanup(self.daemon.reload, self.wanted)
        self.wait_drained()

    def test_a_foreign_writer_keeps_it_from_being_drained(self):
        ids = self.prepare()
        self.read()
        self.old.xack("s", "g", *ids)
        self.wait_drained()
        entry = self.old.xadd("s", {"foreign": 1})
        self.read()
        self.old.xack("s", "g", entry)
        row = wait_for(lambda: next((row for row in self.bus()["held_by"]["listed"] if row["group"] is None), None), "it is not quiet")
        self.assertEqual(row["stream"], "s")
        self.assertLess(row["quiet_for_ms"], QUIET * 1000)
        self.wait_drained()

        stop = threading.Event()

        def write():
            writer = self.client(self.main)
            while not stop.is_set():
                writer.xadd("ungrouped", {"foreign": 1}, maxlen=5, approximate=False)
                stop.wait(QUIET / 6)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            wait_for(lambda: not self.bus()["drained"], "writes to a stream that no group reads count, too")
            for _ in range(5):
                self.assertFalse(self.checked()["drained"])
        finally:
            stop.set()
            thread.join()
        self.wait_drained()

    def test_what_no_group_reads_and_what_is_no_stream_is_reported(self):
        self.old.xadd("solo", {"a": 1})
        self.old.xadd("solo", {"a": 2})
        self.old.xgroup_create("hollow", "g", "$", mkstream=True)
        self.old.set("k", 1)
        self.old.hset("h", "f", "v")
        bus = self.wait_drained()
        wait_for(lambda: self.bus()["other_keys"] == 2, "two keys are no streams")
        self.assertEqual(bus["ungrouped_streams"], {"total": 1, "listed": [{"stream": "solo", "database": 0, "entries": 2}]})
        self.assertEqual(bus["streams"], {"total": 2, "drained": 2})

    def test_other_databases_of_its_redis_count(self):
        """The Redis is switched off as a whole."""
        other = self.client(self.main, db=3)
        entry = other.xadd("s", {"a": 1})
        other.xgroup_create("s", "g", "0")
        other.set("k", 1)
        self.client(self.main, db=5).xadd("solo", {"a": 1})
        bus = wait_for(lambda: (bus := self.bus())["other_keys"] == 3 and self.group() and bus, "they are seen")
        self.assertFalse(bus["drained"])
        self.assertEqual((self.group()["database"], self.group()["next_bus_id"], self.group()["missing_on"]), (3, entry.decode(), []))
        self.assertEqual((bus["streams"]["total"], bus["undelivered_groups"]), (2, 1))
        self.assertEqual([(row["database"], row["stream"]) for row in bus["ungrouped_streams"]["listed"]], [(5, "solo")])
        metrics = self.daemon.metrics()
        self.assertEqual([self.metric(name, metrics) for name in ("dualbus_bus_drained", "dualbus_drain_undelivered_groups", "dualbus_drain_other_keys")], [0, 1, 3])
        other.xreadgroup("g", "c", {"s": ">"})
        wait_for(lambda: self.bus()["pending_entries"] == 1, "it is pending")
        other.xack("s", "g", entry)
        self.wait_drained()
        for server in self.stack.buses.values():
            self.assertEqual(self.client(server).dbsize(), 0, "a group of another database was made there")

    def test_an_entry_that_clients_cannot_name_has_its_id_on_the_bus(self):
        for entry in ("5-1999999999999", "6-2000000000000"):
            self.old.execute_command("XADD", "s", entry, "a", 1)
        self.old.xgroup_create("s", "g", "0")
        row = wait_for(lambda: (row := self.group()) and row["undelivered"] and row, "it is held")
        self.assertEqual((row["next_id"], row["next_bus_id"]), (None, "5-1999999999999"))
        self.read(1)
        row = wait_for(lambda: (row := self.group()) and row["pending"] and row, "it is pending")
        self.assertEqual((row["first_pending"]["id"], row["first_pending"]["bus_id"]), (None, "5-1999999999999"))
        subprocess.run([os.path.join(ROOT, "deploy", "takeover", "streams.py"), "clear", *map(str, self.main.address), "s"], check=True, stdout=subprocess.DEVNULL)
        self.wait_drained()

    def test_pinned_streams_are_no_logical_ones(self):
        for key in ("legacy:s", "md:s"):
            self.prepare(key)
        self.prepare("s")
        self.read()
        self.old.xack("s", "g", *[entry for entry, _ in self.old.xrange("s")])
        bus = self.wait_drained()
        self.assertEqual(sorted((row["stream"], row["bus"]) for row in bus["pinned_streams"]["listed"]), [("legacy:s", MAIN), ("md:s", MARKETDATA)])
        self.assertEqual((bus["streams"]["total"], bus["pinned_streams"]["total"], bus["other_keys"]), (1, 2, 0))
        for server in self.stack.buses.values():
            self.assertEqual(self.client(server).keys("*"), [b"s"], "a pinned stream's group was carried along")

    def test_keys_and_names_may_be_any_bytes(self):
        key, group = b'odd "key"\n\xff', b"<g>\\"
        self.old.xadd(key, {"a": 1})
        self.old.xgroup_create(key, group, "0")
        row = wait_for(lambda: next((row for row in self.bus()["held_by"]["listed"] if row["group"]), None), "it is listed")
        self.assertEqual((row["stream"], row["group"]), ('odd "key"\\x0a\\xff', "<g>\\"))

    def test_lists_are_bounded_and_totals_are_not(self):
        with self.old.pipeline(transaction=False) as pipe:
            for number in range(1100):
                pipe.xadd(f"s{number}", {"a": 1})
            pipe.execute()
        bus = wait_for(lambda: (bus := self.bus())["ungrouped_streams"]["total"] == 1100 and bus, "all are seen")
        self.assertEqual(len(bus["ungrouped_streams"]["listed"]), 1000)
        self.wait_drained()

    def test_metrics_and_page_agree(self):
        self.prepare("a", 4)
        self.prepare("b")
        self.prepare("legacy:s")
        self.old.xadd("solo", {"a": 1})
        self.old.set("k", 1)
        self.read(2, "a")
        self.settle()
        self.checked()
        bus, metrics = self.bus(), self.daemon.metrics()
        expected = {"dualbus_bus_drained": 0, "dualbus_drain_streams": 3, "dualbus_drain_streams_drained": 1, "dualbus_drain_undelivered_groups": 2,
                    "dualbus_drain_pending_entries": 2, "dualbus_drain_missing_groups": 0, "dualbus_drain_ungrouped_streams": 1,
                    "dualbus_drain_pinned_streams": 1, "dualbus_drain_other_keys": 1}
        self.assertEqual({name: self.metric(name, metrics) for name in expected}, expected)
        shown = {"dualbus_drain_streams": bus["streams"]["total"], "dualbus_drain_streams_drained": bus["streams"]["drained"],
                 "dualbus_drain_undelivered_groups": bus["undelivered_groups"], "dualbus_drain_pending_entries": bus["pending_entries"],
                 "dualbus_drain_missing_groups": bus["missing_groups"], "dualbus_drain_ungrouped_streams": bus["ungrouped_streams"]["total"],
                 "dualbus_drain_pinned_streams": bus["pinned_streams"]["total"], "dualbus_drain_other_keys": bus["other_keys"]}
        self.assertEqual({name: expected[name] for name in shown}, shown)
        self.assertGreaterEqual(self.metric("dualbus_drain_checks_total", metrics), bus["checks"])
        self.assertEqual(self.metric("dualbus_drain_healed_groups_total", metrics), bus["healed_groups"])
        self.assertAlmostEqual(self.metric("dualbus_drain_last_check_timestamp_seconds", metrics), time.time(), delta=30)
        self.assertEqual(metrics.labels("dualbus_drain_streams", "bus"), {MAIN}, "active buses have none")
        page = self.daemon.fetch("/")[1]
        self.assertIn("<h2>Draining</h2>", page)
        self.assertIn('href="/drain"', page)
        self.assertIn("<td>1 of 3</td>", page)

    def test_between_checks_it_has_no_connection_of_its_own(self):
        self.prepare()
        for server in (self.main, *self.stack.buses.values()):
            with self.client(server) as client:
                wait_for(lambda: self.own_connections(client) == 1, "a check has a connection to each bus")
                wait_for(lambda: self.own_connections(client) == 0, "and gives it back")

    def own_connections(self, client):
        return [other["name"] for other in client.client_list()].count("dualbusd-drain")


class UnknownTest(DrainingStackTest):
    def test_a_bus_that_is_down_is_not_known_to_be_drained(self):
        self.old.xgroup_create("s", "g", "$", mkstream=True)
        self.wait_drained()
        failures = self.metric("dualbus_drain_check_failures_total")
        last = self.metric("dualbus_drain_last_check_timestamp_seconds")
        self.main.kill()
        try:
            bus = wait_for(lambda: (bus := self.bus())["state"] == "unknown" and bus, "it is unknown")
            self.assertEqual((bus["drained"], bus["drained_since"]), (None, None))
            self.assertEqual(bus["errors"][0]["bus"], MAIN)
            self.assertRegex(bus["errors"][0]["error"], "(?i)connect|closed")
            metrics = self.daemon.metrics()
            for name in ("dualbus_bus_drained", "dualbus_drain_streams", "dualbus_drain_pending_entries"):
                self.assertIsNone(self.metric(name, metrics), name)
            wait_for(lambda: self.metric("dualbus_drain_check_failures_total") > failures + 1, "failures are counted")
            self.assertLess(self.metric("dualbus_drain_last_check_timestamp_seconds"), last + 30)
            self.assertIn("<td>unknown: ", self.daemon.fetch("/")[1])
        finally:
            self.main.start()
        wait_for(lambda: self.bus()["drained"] is not None, "it is known again")

    def test_a_hanging_bus_hangs_neither_page_nor_metrics(self):
        self.wait_drained()
        self.main.pause()
        try:
            for _ in range(10):
                self.assertEqual(self.daemon.fetch("/drain", timeout=2)[0], 200)
                self.assertEqual(self.daemon.fetch("/metrics", timeout=2)[0], 200)
            wait_for(lambda: self.bus()["state"] == "unknown", "it is unknown")
            self.assertRegex(self.bus()["errors"][0]["error"], "no answer in time")
        finally:
            self.main.proceed()
        self.wait_drained()

    def test_an_active_bus_that_is_down_makes_it_unknown_not_drained(self):
        self.old.xgroup_create("s", "g", "$", mkstream=True)
        self.wait_drained()
        self.stack.marketdata.kill()
        try:
            bus = wait_for(lambda: (bus := self.bus())["state"] == "unknown" and bus, "it is unknown")
            self.assertEqual([error["bus"] for error in bus["errors"]], [MARKETDATA])
            self.assertEqual(bus["held_by"]["listed"][0]["unknown_on"], [MARKETDATA])
            self.assertIsNone(self.metric("dualbus_bus_drained"))
            self.assertEqual(self.metric("dualbus_drain_streams"), 1, "the draining bus itself answers")
            entry = self.old.xadd("s", {"a": 1})
            wait_for(lambda: self.bus()["drained"] is False, "the entry that certainly holds it back counts")
            self.old.xreadgroup("g", "c", {"s": ">"})
            self.old.xack("s", "g", entry)
        finally:
            self.stack.marketdata.start()
        self.wait_drained()

    def test_the_daemon_ends_in_the_middle_of_a_check(self):
        other = Daemon(self.stack.directory, {**self.wanted, "listen": {"address": "127.0.0.1", "port": free_port()},
                                              "admin": {"address": "127.0.0.1", "port": free_port()}}, name="other")
        other.start("/healthz")
        self.addCleanup(other.kill)
        wait_for(lambda: '"state": "drained"' in other.fetch("/drain")[1], "the other is running")
        self.main.pause()
        try:
            # The next check hangs, within an interval; the end does not wait for it.
            began = time.monotonic()
            self.assertEqual(other.terminate(), 0)
            self.assertLess(time.monotonic() - began, 5)
        finally:
            self.main.proceed()
        self.assertEqual(other.sanitizer_report(), "")
        self.wait_drained()


class SharedRedisTest(DrainingStackTest):
    def test_the_database_of_another_bus_in_the_same_redis_does_not_count(self):
        """Its endpoint is written in another way."""
        config = {**self.wanted, "listen": {"address": "127.0.0.1", "port": free_port()}, "admin": {"address": "127.0.0.1", "port": free_port()}}
        config["buses"] = {**config["buses"], MARKETDATA: {"id_slot": 1, "endpoint": "unix:" + self.main.unix_socket, "database": 5}}
        other = Daemon(self.stack.directory, config, name="shared")
        other.start("/healthz")
        self.addCleanup(other.kill)
        for database in (5, 6):
            self.client(self.main, db=database).set("k", 1)

        def keys():
            bus, = json.loads(other.fetch("/drain")[1])["buses"]
            return bus.get("other_keys"), bus["checks"]
        wait_for(lambda: keys()[0] == 1, "the key of database 6 is seen")
        before = keys()[1]
        wait_for(lambda: keys()[1] > before + 2, "more checks")
        self.assertEqual(keys()[0], 1)
        self.old.flushall()
        self.assertEqual(other.terminate(), 0)


class NoDrainingTest(StackTest):
    def test_without_a_draining_bus_nothing_is_asked(self):
        status, text = self.daemon.fetch("/drain")
        self.assertEqual((status, json.loads(text)), (200, {"buses": []}))
        self.assertNotIn("dualbus_drain_", self.daemon.metrics().text)
        self.assertNotIn("<h2>Draining</h2>", self.daemon.fetch("/")[1])
        for server in self.stack.buses.values():
            self.assertNotIn("dualbusd-drain", [client["name"] for client in self.client(server).client_list()])


class InvariantTest(DrainingStackTest):
    def xadd_calls(self):
        return self.old.info("commandstats").get("cmdstat_xadd", {"calls": 0, "rejected_calls": 0})

    def test_I17_NoXaddReachesADrainingBus(self):  # pylint: disable=invalid-name
        self.old.xadd("s", {"old": 1})
        self.old.xadd("legacy:s", {"old": 1})
        before = self.xadd_calls()
        client = self.connect()
        refused = "^ERR dualbus: bus 'main' is draining and takes no XADD: pin key 'legacy:[a-z]+' to an active bus with routing.keys, or to none"
        for message_type in ("market_data", "order_request", "risk_1", "unknown", ""):
            for options in ((), ("NOMKSTREAM",), ("MAXLEN", "~", "5"), ("MAXLEN", "=", "5"), ("MINID", "~", "1-1")):
                for key in ("s", "fresh"):
                    reply = client.call("XADD", key, *options, "*", "message_type", message_type)
                    self.assertNotIsInstance(reply, Exception)
                for key in ("legacy:s", "legacy:fresh"):
                    self.assertRegex(client.call("XADD", key, *options, "*", "message_type", message_type), refused)
        # Explicit IDs: those without a slot are the draining bus's.
        for entry in ("5-1", "5-*", "99999999999999-0", "0-1"):
            client.call("XADD", "s", entry, "message_type", "market_data")
            self.assertRegex(client.call("XADD", "legacy:s", entry, "message_type", "market_data"), refused)
        self.assertRegex(client.call("XADD", "legacy:s", "KEEPREF", "*", "a", "b"), refused)
        self.assertRegex(client.call("XADD", "legacy:s", "*", "a", "b", "c"), refused)
        self.assertEqual(self.xadd_calls(), before)
        self.assertEqual(self.old.xlen("s"), 1)
        # Any other use of such keys goes on.
        self.assertEqual(client.call("XLEN", "legacy:s"), 1)
        self.assertEqual(client.call("XGROUP", "CREATE", "legacy:s", "g", "0"), "OK")
        self.assertEqual(len(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "legacy:s", ">")[0][1]), 1)
        self.assertEqual(client.call("SET", "legacy:k", "v"), "OK")
        self.assertEqual(client.call("GET", "legacy:k"), b"v")
        self.assertEqual(client.call("DEL", "legacy:s", "legacy:k"), 2)


if __name__ == "__main__":
    unittest.main()
