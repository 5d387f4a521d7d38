"""Groups of a Redis that is being left behind: made on the other buses, and never lost."""
import unittest

import redis

from support.draining_stack import DrainingStackTest
from support.harness import ENGINE_LOGIC, MARKETDATA, wait_for


class HealingTest(DrainingStackTest):
    def groups(self, server, key="s"):
        try:
            return {group["name"].decode(): group for group in self.client(server).xinfo_groups(key)}
        except redis.ResponseError:
            return {}

    def xgroup_calls(self, server):
        return self.client(server).info("commandstats").get("cmdstat_xgroup|create", {"calls": 0})["calls"]

    def test_a_missing_group_is_made_on_every_active_bus_from_the_start(self):
        entry = self.client(self.stack.marketdata).xadd("s", {"older": 1})
        before = self.bus()["healed_groups"]
        self.old.xgroup_create("s", "g", "$", mkstream=True)
        for server in self.stack.buses.values():
            wait_for(lambda: "g" in self.groups(server), f"{server.name} has the group")
            self.assertEqual(self.groups(server)["g"]["last-delivered-id"], b"0-0")
        self.wait_drained()
        self.assertEqual(self.bus()["healed_groups"], before + 2)
        self.assertEqual(self.client(self.stack.marketdata).xreadgroup("g", "c", {"s": ">"})[0][1][0][0], entry)
        # Nothing more to do, nothing more is done.
        calls = {name: self.xgroup_calls(server) for name, server in self.stack.buses.items()}
        self.checked(3)
        self.assertEqual({name: self.xgroup_calls(server) for name, server in self.stack.buses.items()}, calls)

    def test_a_group_that_one_active_bus_has_keeps_its_position_there(self):
        other = self.client(self.stack.engine_logic)
        entry = other.xadd("s", {"a": 1})
        other.xgroup_create("s", "g", "$")
        self.old.xgroup_create("s", "g", "$", mkstream=True)
        wait_for(lambda: "g" in self.groups(self.stack.marketdata), "it is healed")
        self.assertEqual(self.groups(self.stack.engine_logic)["g"]["last-delivered-id"], entry)

    def test_the_anchor_comes_last_and_not_before_the_others(self):
        self.stack.marketdata.kill()
        try:
            self.old.xgroup_create("s", "g", "$", mkstream=True)
            row = wait_for(lambda: next((row for row in self.bus()["held_by"]["listed"] if row["group"] == "g"), None), "the group is seen")
            self.assertEqual((row["missing_on"], row["unknown_on"]), ([ENGINE_LOGIC], [MARKETDATA]))
            self.checked(3)
            self.assertEqual(self.groups(self.stack.engine_logic), {}, "the anchor was healed before the others")
        finally:
            self.stack.marketdata.start()
        wait_for(lambda: "g" in self.groups(self.stack.engine_logic), "the anchor is healed")
        self.assertIn("g", self.groups(self.stack.marketdata))
        self.wait_drained()

    def test_a_draining_bus_is_never_healed(self):
        for server in self.stack.buses.values():
            self.client(server).xgroup_create("s", "new", "0", mkstream=True)
        self.old.xadd("s", {"a": 1})
        calls = self.xgroup_calls(self.main)
        self.checked(3)
        self.assertEqual(self.groups(self.main), {})
        self.assertEqual(self.xgroup_calls(self.main), calls)

    def test_a_destroyed_group_is_not_made_again(self):
        self.old.xgroup_create("s", "g", "$", mkstream=True)
        wait_for(lambda: all("g" in self.groups(server) for server in self.stack.buses.values()), "it is healed")
        # The order in which the daemon destroys: draining buses, the anchor, the others.
        for server in (self.main, self.stack.engine_logic, self.stack.marketdata):
            self.client(server).xgroup_destroy("s", "g")
        self.checked(3)
        for server in (self.main, *self.stack.buses.values()):
            self.assertEqual(self.groups(server), {})

    def test_a_group_destroyed_between_check_and_creation_is_destroyed_again(self):
        for slow in self.stack.buses.values():
            client = self.client(slow)

            def held_up():
                return any(peer["name"] == "dualbusd-drain" and peer["cmd"] == "xgroup|create" for peer in client.client_list())

            name = f"for-{slow.name}"
            healed = self.bus()["healed_groups"]
            client.client_pause(20_000, all=False)  # writes wait
            try:
                self.old.xgroup_create("s", name, "$", mkstream=True)
                wait_for(held_up, "the creation waits")
                for server in (self.main, self.stack.marketdata):
                    if server is not slow:
                        self.client(server).xgroup_destroy("s", name)
            finally:
                client.client_unpause()
            bus = self.checked()
            for server in (self.main, *self.stack.buses.values()):
                self.assertNotIn(name, self.groups(server), server.name)
            # marketdata comes before the anchor.
            self.assertEqual(bus["healed_groups"] - healed, 0 if slow is self.stack.marketdata else 1)

    def test_a_group_destroyed_before_creation_is_not_created(self):
        self.old.xadd("s", {"a": 1})
        self.wait_drained()
        calls = self.xgroup_calls(self.stack.marketdata)
        self.client(self.stack.marketdata).client_pause(700)  # everything waits: the question for groups comes first there
        self.old.xgroup_create("s", "g", "$")
        looks = self.old.info("commandstats")["cmdstat_xinfo|stream"]["calls"]
        wait_for(lambda: self.old.info("commandstats")["cmdstat_xinfo|stream"]["calls"] > looks, "the monitor has seen it")
        self.old.xgroup_destroy("s", "g")
        self.checked()
        self.assertEqual(self.xgroup_calls(self.stack.marketdata), calls)

    def test_destroying_while_the_monitor_heals_leaves_nothing(self):
        for number in range(40):
            name = f"g{number}"
            self.old.xgroup_create("s", name, "$", mkstream=True)
            if number % 2:
                wait_for(lambda: name in self.groups(self.stack.marketdata), "the first bus is healed")
            for server in (self.main, self.stack.engine_logic, self.stack.marketdata):
                try:
                    self.client(server).xgroup_destroy("s", name)
                except redis.ResponseError:
                    pass  # no such key there yet
        self.checked(3)
        for server in self.stack.buses.values():
            self.assertEqual(self.groups(server), {})

    def test_a_key_of_another_type_on_an_active_bus_is_named(self):
        self.client(self.stack.engine_logic).set("s", 1)
        self.old.xgroup_create("s", "g", "$", mkstream=True)
        self.old.xgroup_create("t", "g", "$", mkstream=True)
        error = wait_for(lambda: next((error for error in self.bus()["errors"] if error["bus"] == ENGINE_LOGIC), None), "it is reported")
        self.assertRegex(error["error"], "group 'g' of stream 's': WRONGTYPE ")
        wait_for(lambda: "g" in self.groups(self.stack.engine_logic, "t"), "other streams go on")
        rows = wait_for(lambda: (rows := [row for row in self.bus()["held_by"]["listed"] if row["group"]]) and
                        [row["stream"] for row in rows] == ["s"] and rows, "only that one holds it back")
        self.assertEqual(rows[0]["missing_on"], [ENGINE_LOGIC])
        self.assertFalse(self.checked()["drained"])


if __name__ == "__main__":
    unittest.main()
