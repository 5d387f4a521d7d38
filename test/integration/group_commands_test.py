"""XGROUP, and groups while a bus is being left."""
import threading
import unittest

from support.group_tests import BUSY, GroupTest, KEY_REQUIRED, OTHER, TYPES, WRONGTYPE
from support.harness import Daemon, ENGINE_LOGIC, MARKETDATA, make_config, shown, wait_for


class XGroupTest(GroupTest):
    def test_create_puts_the_group_on_every_bus_at_the_same_place_of_the_merged_stream(self):
        self.add("s", MARKETDATA, "5-0", "7-3")
        self.add("s", ENGINE_LOGIC, "5-1", "6-0")
        client = self.connect()
        for group, position, there in (("begin", "0", ("0-0", "0-0")),
                                       ("end", "$", ("7-3", "6-0")),
                                       ("entry", shown("7-3", MARKETDATA), ("7-3", "6-999999999999")),
                                       ("other", shown("5-1", ENGINE_LOGIC), ("5-999999999999", "5-1")),
                                       ("ms", "6", ("5-999999999999", "5-999999999999"))):
            self.assertEqual(client.call("XGROUP", "CREATE", "s", group, position), "OK")
            self.assertEqual([self.positions("s")[bus][group] for bus in (MARKETDATA, ENGINE_LOGIC)], list(there), group)
            self.assertEqual(client.call("XGROUP", "CREATE", "s", group, "0"), BUSY)

    def test_create_without_a_key_needs_mkstream(self):
        client = self.connect(3)
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "$"), KEY_REQUIRED)
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "$", "ENTRIESREAD", "5"), KEY_REQUIRED)
        self.assertEqual(self.positions("s"), {MARKETDATA: None, ENGINE_LOGIC: None})
        self.assertEqual(client.call("xgroup", "create", "s", "g", "$", "mkstream", "entriesread", "7"), "OK")
        self.assertEqual(self.positions("s"), {MARKETDATA: {"g": "0-0"}, ENGINE_LOGIC: {"g": "0-0"}})
        for bus in TYPES:
            self.assertIsNone(self.direct[bus].xinfo_groups("s")[0].get("entries-read"), "ENTRIESREAD is not passed on")
        # A key that only one bus has is there.
        for number, bus in enumerate(TYPES):
            self.add(f"one{number}", bus, "1-1")
            self.assertEqual(client.call("XGROUP", "CREATE", f"one{number}", "g", "0"), "OK")
            self.assertEqual(self.positions(f"one{number}"), {MARKETDATA: {"g": "0-0"}, ENGINE_LOGIC: {"g": "0-0"}})

    def test_the_anchor_decides_whether_the_group_is_there(self):
        self.add("s", MARKETDATA, "5-0")
        self.add("s", ENGINE_LOGIC, "5-1")
        self.direct[MARKETDATA].xgroup_create("s", "leftover", "3-0")
        client = self.connect()
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "leftover", "$"), "OK")
        self.assertEqual(self.positions("s"), {MARKETDATA: {"leftover": "3-0"}, ENGINE_LOGIC: {"leftover": "5-1"}})
        self.daemon.wait_for_log("group 'leftover' of stream 's' was there already on bus 'marketdata' and keeps its position")
        self.direct[ENGINE_LOGIC].xgroup_create("s", "half", "0")
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "half", "$"), BUSY)
        self.assertNotIn("half", self.positions("s")[MARKETDATA], "the group must not begin at '$' where it was missing")

    def test_destroy_takes_it_from_everywhere(self):
        self.add("s", MARKETDATA, "5-0")
        client = self.connect()
        self.assertEqual(client.call("XGROUP", "DESTROY", "none", "g"), KEY_REQUIRED)
        self.assertEqual(client.call("XGROUP", "DESTROY", "s", "g"), 0)
        for where in ((MARKETDATA,), (ENGINE_LOGIC,), (MARKETDATA, ENGINE_LOGIC)):
            for bus in where:
                self.direct[bus].xgroup_create("s", "g", "0", mkstream=True)
            self.assertEqual(client.call("XGROUP", "DESTROY", "s", "g"), 1)
            self.assertEqual(client.call("XGROUP", "DESTROY", "s", "g"), 0)
        self.assertEqual(self.positions("s"), {MARKETDATA: {}, ENGINE_LOGIC: {}})

    def test_setid_moves_it_on_every_bus(self):
        self.add("s", MARKETDATA, "5-0", "7-3")
        self.add("s", ENGINE_LOGIC, "5-1", "6-0")
        client = self.connect()
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "0"), "OK")
        most, last = 2**64 - 1, 10**12 - 1
        for position, there in (("$", ("7-3", "6-0")), ("-", ("0-0", "0-0")), ("+", (f"{most}-{last}", f"{most}-{last}")),
                                (shown("5-0", MARKETDATA), ("5-0", f"4-{last}")), (shown("5-1", ENGINE_LOGIC), (f"5-{last}", "5-1"))):
            self.assertEqual(client.call("XGROUP", "SETID", "s", "g", position, "ENTRIESREAD", "1"), "OK")
            self.assertEqual([self.positions("s")[bus]["g"] for bus in (MARKETDATA, ENGINE_LOGIC)], list(there), position)

    def test_setid_and_createconsumer_first_heal_what_is_missing(self):
        for number, words in enumerate((("SETID", "{}", "g", "0"), ("CREATECONSUMER", "{}", "g", "alice"))):
            for present in (False, True):
                key = f"s{number}{present}"
                self.add(key, ENGINE_LOGIC, "5-1")
                self.direct[ENGINE_LOGIC].xgroup_create(key, "g", "$")
                if present:
                    self.add(key, MARKETDATA, "5-0")
                with self.counted("dualbus_groups_healed_total", bus=MARKETDATA) as healed:
                    self.assertIn(self.connect().call("XGROUP", *[word.format(key) for word in words]), ("OK", 1))
                self.assertEqual(healed.value, 1)
                self.assertEqual(self.positions(key)[MARKETDATA], {"g": "0-0"})
        self.daemon.wait_for_log("group 'g' of stream 's0False' was missing on bus 'marketdata' and has been created there")
        # A group that only another bus than the anchor has does not exist.
        self.direct[MARKETDATA].xgroup_create("stray", "g", "0", mkstream=True)
        for words in ("SETID stray g 0", "CREATECONSUMER stray g alice", "DELCONSUMER stray g alice"):
            self.assertEqual(self.connect().call("XGROUP", *words.split()), "NOGROUP No such consumer group 'g' for key name 'stray'")
        self.assertEqual(self.positions("stray")[ENGINE_LOGIC], None)

    def test_consumers_are_made_and_removed_on_every_bus(self):
        self.add("s", MARKETDATA, "5-0", "7-3")
        self.add("s", ENGINE_LOGIC, "5-1")
        client = self.connect()
        client.call("XGROUP", "CREATE", "s", "g", "0")
        self.assertEqual(client.call("XGROUP", "CREATECONSUMER", "s", "g", "alice"), 1)
        self.assertEqual(client.call("XGROUP", "CREATECONSUMER", "s", "g", "alice"), 0)
        self.deliver("s", "g", "bob", MARKETDATA)
        self.assertEqual(client.call("XGROUP", "CREATECONSUMER", "s", "g", "bob"), 0, "one bus knew him")
        self.assertEqual(client.call("XGROUP", "CREATECONSUMER", "s", "g", "bob"), 0)
        self.deliver("s", "g", "bob", ENGINE_LOGIC)
        self.assertEqual(client.call("XGROUP", "DELCONSUMER", "s", "g", "bob"), 3)
        self.assertEqual(client.call("XGROUP", "DELCONSUMER", "s", "g", "bob"), 0)
        self.assertEqual(client.call("XGROUP", "DELCONSUMER", "s", "g", "alice"), 0)
        for direct in self.direct.values():
            self.assertEqual(direct.xinfo_consumers("s", "g"), [])

    def test_faults_are_worded_as_redis_words_them(self):
        with self.client(self.bare) as bare:
            bare.xgroup_create("s", "g", "0", mkstream=True)
        self.client().xgroup_create("s", "g", "0", mkstream=True)
        for words in ("XGROUP", "XGROUP NONSENSE", "XGROUP nonsense s g", "XGROUP CREATE", "XGROUP CREATE s", "XGROUP CREATE s g", "XGROUP create s g x",
                      "XGROUP CREATE s g -", "XGROUP CREATE s g 1-2-3", "XGROUP CREATE s h 0 NONSENSE", "XGROUP CREATE s h 0 ENTRIESREAD",
                      "XGROUP CREATE s h 0 ENTRIESREAD x", "XGROUP CREATE s h 0 ENTRIESREAD -2", "XGROUP CREATE s g 0 MKSTREAM MKSTREAM MKSTREAM",
                      "XGROUP CREATE s h 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM", "XGROUP SETID s g", "XGROUP SETID s g x", "XGROUP SETID s g 0 MKSTREAM",
                      "XGROUP SETID s g 0 ENTRIESREAD", "XGROUP SETID s none 0", "XGROUP SETID none g 0", "XGROUP SETID s g 0 ENTRIESREAD 1 ENTRIESREAD 1",
                      "XGROUP DESTROY s", "XGROUP DESTROY s g x", "XGROUP DESTROY none g", "XGROUP CREATECONSUMER s g", "XGROUP CREATECONSUMER s none c",
                      "XGROUP CREATECONSUMER none g c", "XGROUP DELCONSUMER s g", "XGROUP DELCONSUMER s g c x", "XGROUP DELCONSUMER s none c",
                      "XGROUP DELCONSUMER none g c", "XGROUP HELP s", "XGROUP HELP s g", "XGROUP HELP"):
            self.assert_same_as_bare(*words.split())
        self.assert_same_as_bare("XGROUP", "SETID", "s", "a\r\nb\0c", "0")

    def test_a_key_that_is_no_stream_on_any_bus_is_refused_before_anything_happens(self):
        for number, bus in enumerate(TYPES):
            self.direct[bus].set(f"text{number}", "x")
            for words in ("CREATE {} g 0 MKSTREAM", "CREATE {} g 0", "SETID {} g 0", "DESTROY {} g", "CREATECONSUMER {} g c", "DELCONSUMER {} g c"):
                self.assertEqual(self.connect().call("XGROUP", *words.format(f"text{number}").split()), WRONGTYPE, words)
            self.assertFalse(self.direct[OTHER[bus]].exists(f"text{number}"))

    def test_racing_creates_yield_one_ok_and_a_racing_destroy_leaves_nothing_visible(self):
        """I12"""
        results = []

        def create():
            with self.daemon.connect() as client:
                results.append(client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"))

        for _ in range(30):
            results.clear()
            threads = [threading.Thread(target=create) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(results), [BUSY] * 3 + ["OK"])
            self.assertEqual(self.positions("s"), {MARKETDATA: {"g": "0-0"}, ENGINE_LOGIC: {"g": "0-0"}})
            self.assertEqual(self.connect().call("XGROUP", "DESTROY", "s", "g"), 1)
        # Healing (CREATECONSUMER heals) while the group is destroyed: on the anchor it must not come back.
        for _ in range(50):
            self.direct[ENGINE_LOGIC].xgroup_create("s", "g", "0")
            one, two = self.connect(), self.connect()
            one.send("XGROUP", "CREATECONSUMER", "s", "g", "c")
            two.send("XGROUP", "DESTROY", "s", "g")
            self.assertEqual(two.read(), 1)
            one.read()
            self.assertEqual(self.positions("s")[ENGINE_LOGIC], {})
            self.direct[MARKETDATA].xgroup_destroy("s", "g")

    def test_a_bus_that_is_down_stops_it_before_the_group_exists(self):
        client = self.connect()
        self.add("s", MARKETDATA, "5-0")
        self.stack.marketdata.kill()
        try:
            wait_for(lambda: self.daemon.metrics().value("dualbus_backend_connections", bus=MARKETDATA, state="up") == 0, "the loss is noticed")
            for words in ("CREATE s g 0 MKSTREAM", "SETID s g 0", "CREATECONSUMER s g c", "DELCONSUMER s g c"):
                self.assertRegex(client.call("XGROUP", *words.split()), "^BUS(DOWN|LOST) bus 'marketdata'", words)
            self.assertEqual(self.direct[ENGINE_LOGIC].exists("s"), 0)
        finally:
            self.stack.marketdata.start()
        wait_for(lambda: client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM") == "OK", "it is back")
        self.await_connections()


class DrainingGroupTest(GroupTest):
    """A third bus that is being left behind: what it has is a group, too, and nothing is created there by healing."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.old = cls.stack.add_redis("main")
        config = make_config({name: bus.endpoint for name, bus in cls.stack.buses.items()},
                             {"buses": {"main": {"id_slot": 0, "endpoint": cls.old.endpoint, "state": "draining"}}})
        cls.stack.daemon.terminate()
        cls.stack.daemon = cls.daemon = Daemon(cls.stack.directory, config, name="draining").start()

    def setUp(self):
        super().setUp()
        self.direct["main"] = self.client(self.old)

    def test_a_group_of_the_draining_bus_exists_and_comes_to_the_others(self):
        old = self.direct["main"]
        client = self.connect()
        for number, (words, answer) in enumerate(((("CREATE", "g", "$"), BUSY), (("CREATE", "g", "$", "MKSTREAM"), BUSY),
                                                  (("SETID", "g", "0"), "OK"), (("CREATECONSUMER", "g", "c"), 1))):
            key = f"s{number}"
            old.xadd(key, {"a": "b"}, id="5-5")
            old.xgroup_create(key, "g", "5-5")
            self.assertEqual(client.call("XGROUP", words[0], key, *words[1:]), answer)
            position = "0-0" if words[0] == "SETID" else "5-5"
            self.assertEqual(self.positions(key), {MARKETDATA: {"g": "0-0"}, ENGINE_LOGIC: {"g": "0-0"}, "main": {"g": position}})

    def test_create_reaches_it_only_where_it_has_the_key_and_destroy_clears_it(self):
        old = self.direct["main"]
        client = self.connect()
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), "OK")
        self.assertEqual(self.positions("s"), {MARKETDATA: {"g": "0-0"}, ENGINE_LOGIC: {"g": "0-0"}, "main": None})
        old.xadd("t", {"a": "b"}, id="5-5")
        self.assertEqual(client.call("XGROUP", "CREATE", "t", "g", "5-5"), "OK")
        last = 10**12 - 1
        self.assertEqual(self.positions("t"), {MARKETDATA: {"g": f"4-{last}"}, ENGINE_LOGIC: {"g": f"4-{last}"}, "main": {"g": "5-5"}})
        # A group that the draining bus lacks is not made there: it was there before, or never.
        old.xadd("s", {"a": "b"})
        self.assertEqual(client.call("XGROUP", "CREATECONSUMER", "s", "g", "c"), 1)
        self.assertEqual(self.positions("s")["main"], {})
        self.assertEqual(client.call("XGROUP", "DESTROY", "t", "g"), 1)
        self.assertEqual(self.positions("t"), {MARKETDATA: {}, ENGINE_LOGIC: {}, "main": {}})

    def test_its_groups_and_entries_are_part_of_what_is_told(self):
        old = self.direct["main"]
        client = self.connect(3)
        old.xadd("s", {"a": "b"}, id="5-5")
        old.xgroup_create("s", "old", "0")
        old.xreadgroup("old", "alice", {"s": ">"})
        ids = self.add("s", ENGINE_LOGIC, "4-0") + self.add("s", MARKETDATA, "6-0")
        self.direct[ENGINE_LOGIC].xgroup_create("s", "new", "0")
        self.direct[MARKETDATA].xgroup_create("s", "stray", "0")
        stream = client.call("XINFO", "STREAM", "s")
        self.assertEqual((stream[b"length"], stream[b"groups"], stream[b"first-entry"][0], stream[b"last-entry"][0]), (3, 2, ids[0].encode(), ids[1].encode()))
        self.assertEqual([(group[b"name"], group[b"pending"], group[b"consumers"]) for group in client.call("XINFO", "GROUPS", "s")], [(b"new", 0, 0), (b"old", 1, 1)])
        self.assertEqual([group[b"name"] for group in client.call("XINFO", "STREAM", "s", "FULL")[b"groups"]], [b"new", b"old"])
        self.assertEqual([consumer[b"name"] for consumer in client.call("XINFO", "CONSUMERS", "s", "old")], [b"alice"])
        self.assertEqual(client.call("XPENDING", "s", "old"), [1, b"5-5", b"5-5", [[b"alice", b"1"]]])
        self.assertEqual(client.call("XAUTOCLAIM", "s", "old", "bob", "0", "0-0", "JUSTID"), [b"0-0", [b"5-5"], []])
        self.assertEqual(client.call("XCLAIM", "s", "old", "carol", "0", "5-5", "JUSTID"), [b"5-5"])
        self.assertEqual(client.call("XACK", "s", "old", "5-5"), 1)
        self.assertEqual(client.call("XGROUP", "DELCONSUMER", "s", "old", "carol"), 0)
        self.assertEqual(client.call("XTRIM", "s", "MINID", "5-6"), 2)


if __name__ == "__main__":
    unittest.main()
