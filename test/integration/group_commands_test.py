"""XGROUP, XACK, XPENDING, XCLAIM, XAUTOCLAIM, XINFO and the trimming commands of logical streams: examples by hand, with
entries of one stream on two buses, and the words of a bare Redis where the client is at fault."""
import threading
import unittest

from harness import ENGINE_LOGIC, MARKETDATA, Daemon, StackTest, make_config, shown, wait_for

TYPES = {MARKETDATA: "market_data", ENGINE_LOGIC: "order_request"}
OTHER = {MARKETDATA: ENGINE_LOGIC, ENGINE_LOGIC: MARKETDATA}
WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
KEY_REQUIRED = ("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an "
                "empty stream automatically.")
BUSY = "BUSYGROUP Consumer Group name already exists"


class GroupTest(StackTest):
    """Entries have IDs of the test's choice; `direct` reads and changes what a bus itself holds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def setUp(self):
        super().setUp()
        self.direct = {name: self.client(server) for name, server in self.stack.buses.items()}

    def add(self, key, bus, *ids):
        """Entries on a bus; their IDs in client form."""
        for entry in ids:
            self.direct[bus].xadd(key, {"n": entry}, id=entry)
        return [shown(entry, bus) for entry in ids]

    def deliver(self, key, group, consumer, bus, count=None):
        """Has a consumer read what is new on one bus."""
        return self.direct[bus].xreadgroup(group, consumer, {key: ">"}, count=count)

    def positions(self, key):
        """Bus -> group -> last-delivered-id, as the buses have them."""
        return {bus: {group["name"].decode(): group["last-delivered-id"].decode() for group in direct.xinfo_groups(key)} if direct.exists(key) else None
                for bus, direct in self.direct.items()}

    def assert_same_as_bare(self, *words, key="s"):
        """Daemon and bare Redis answer the same bytes in both protocols."""
        for protocol in (2, 3):
            expected = self.connect(protocol, to=self.bare).call_raw(*words)
            self.assertEqual(self.connect(protocol).call_raw(*words), expected, words)


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
        self.assertNotIn("half", self.positions("s")[MARKETDATA], "where it is missing it must not begin at '$'")

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
        # What only another bus than the anchor has is no group.
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


class EntryCommandsTest(GroupTest):
    """XACK, XDEL, XTRIM, and XDELEX and XACKDEL as far as a Redis without them shows it."""

    def fill(self):
        one, two = self.add("s", MARKETDATA, "5-0", "6-0", "7-3"), self.add("s", ENGINE_LOGIC, "5-0", "6-1", "9-0")
        for bus in TYPES:
            self.direct[bus].xgroup_create("s", "g", "0")
            self.deliver("s", "g", "alice", bus)
        return one, two

    def pending(self):
        return {bus: [entry["message_id"].decode() for entry in direct.xpending_range("s", "g", "-", "+", 99)] for bus, direct in self.direct.items()}

    def test_xack_acknowledges_on_the_bus_that_the_id_names(self):
        """I5"""
        one, two = self.fill()
        client = self.connect(3)
        with self.counted("dualbus_unknown_slot_ids_total") as unknown:
            self.assertEqual(client.call("XACK", "s", "g", one[0], "5-0", "5-7000000000000"), 1)
            self.assertEqual(client.call("XACK", "s", "g", "5-0", "5", "5-128000000000000"), 0)
        self.assertEqual(unknown.value, 5)
        self.assertEqual(self.pending(), {MARKETDATA: ["6-0", "7-3"], ENGINE_LOGIC: ["5-0", "6-1", "9-0"]})
        self.assertEqual(client.call("XACK", "s", "g", one[0]), 0)
        self.assertEqual(client.call("XACK", "s", "g", two[2], one[2], two[0], two[0], shown("77-0", MARKETDATA)), 3)
        self.assertEqual(self.pending(), {MARKETDATA: ["6-0"], ENGINE_LOGIC: ["6-1"]})
        for words in (("XACK", "s", "none", one[1]), ("XACK", "none", "g", one[1], two[1])):
            self.assertEqual(client.call(*words), 0)
        self.assertEqual(client.call("XACK", "s", "g", one[1], two[1]), 2)

    def test_one_bad_id_spoils_the_whole_command(self):
        one, two = self.fill()
        for name, group in (("XACK", ("g",)), ("XDEL", ())):
            for bad in ("x", "-", "+", "1-1-1", "(5-0", "", "18446744073709551616-0"):
                self.assertEqual(self.connect().call(name, "s", *group, one[0], two[0], bad), "ERR Invalid stream ID specified as stream command argument")
        self.assertEqual(self.pending(), {MARKETDATA: ["5-0", "6-0", "7-3"], ENGINE_LOGIC: ["5-0", "6-1", "9-0"]})

    def test_xtrim_by_length_cuts_each_bus_and_adds_up(self):
        self.fill()
        client = self.connect()
        self.assertEqual(client.call("XTRIM", "s", "MAXLEN", "~", "2"), 0)
        self.assertEqual(client.call("XTRIM", "s", "MAXLEN", "2"), 2)
        self.assertEqual(client.call("xtrim", "s", "maxlen", "=", "1"), 2)
        self.assertEqual([entry for entry, _ in client.call("XRANGE", "s", "-", "+")], [shown("7-3", MARKETDATA).encode(), shown("9-0", ENGINE_LOGIC).encode()])
        self.assertEqual(client.call("XTRIM", "none", "MAXLEN", "0"), 0)

    def test_xtrim_by_id_cuts_the_merged_stream(self):
        one, two = self.add("s", MARKETDATA, "5-0", "6-0", "7-3"), self.add("s", ENGINE_LOGIC, "5-0", "6-1", "9-0")
        client = self.connect(3)
        merged = [one[0], two[0], one[1], two[1], one[2], two[2]]
        for threshold, removed in (("5", 0), (one[0], 0), (two[0], 1), ("6", 1), ("6-3000000000000", 2), ("7-0", 0), (two[2], 1), ("9-3000000000000", 1)):
            self.assertEqual(client.call("XTRIM", "s", "MINID", threshold), removed, threshold)
            merged = merged[removed:]
            self.assertEqual([entry.decode() for entry, _ in client.call("XRANGE", "s", "-", "+")], merged)

    def test_faults_are_worded_as_redis_words_them(self):
        for words in ("XTRIM s MAXLEN", "XTRIM s MAXLEN x", "XTRIM s MAXLEN -1", "XTRIM s MINID x", "XTRIM s MINID -", "XTRIM s MAXLEN 1 MINID 1",
                      "XTRIM s MAXLEN 1 LIMIT 5", "XTRIM s MAXLEN ~ 1 LIMIT -5", "XTRIM s MAXLEN ~ 1 LIMIT x", "XTRIM s LIMIT 5", "XTRIM s LIMIT 0",
                      "XTRIM s NONSENSE 1", "XTRIM s MAXLEN 1 NONSENSE", "XTRIM s MAXLEN ~ 1 LIMIT 5", "XTRIM s MAXLEN = 1 LIMIT 0", "XTRIM s MINID = 1",
                      "XTRIM s MAXLEN ~ 1 LIMIT", "XTRIM s", "XACK s g", "XDEL s"):
            self.assert_same_as_bare(*words.split())
        refused = "ERR dualbus: option 'DELREF' not supported on logical stream 's'"
        self.assertEqual(self.connect().call("XTRIM", "s", "MAXLEN", "1", "delref"), refused)
        for words, text in (("XDELEX s IDS 0 1-1", "Number of IDs must be a positive integer"), ("XACKDEL s g IDS x 1-1", "Number of IDs must be a positive integer"),
                            ("XDELEX s IDS 2 1-1", "The `numids` parameter must match the number of arguments"),
                            ("XACKDEL s g KEEPREF IDS 1 1-1 1-2", "The `numids` parameter must match the number of arguments"),
                            ("XDELEX s NONSENSE IDS 1 1-1", "syntax error"), ("XDELEX s KEEPREF ACKED IDS", "syntax error"),
                            ("XACKDEL s g IDS 1 x", "Invalid stream ID specified as stream command argument")):
            self.assertEqual(self.connect().call(*words.split()), "ERR " + text)

    def test_commands_of_later_redis_versions_answer_as_the_buses_do(self):
        one, two = self.fill()
        for words in (("XDELEX", "s", "IDS", "2", one[0], two[0]), ("XACKDEL", "s", "g", "DELREF", "IDS", "1", one[0])):
            self.assertRegex(self.connect().call(*words), "^ERR unknown command '" + words[0])
        # Of slots that no bus has, no bus has to be asked.
        self.assertEqual(self.connect().call("XDELEX", "s", "IDS", "2", "5-1", "5-2"), [-1, -1])

    def test_wrong_types_and_missing_buses_are_told(self):
        one, two = self.fill()
        self.direct[MARKETDATA].set("text", "x")
        client = self.connect()
        replies = client.pipeline([("XTRIM", "text", "MAXLEN", "0"), ("XACK", "text", "g", one[0], two[0]), ("XACK", "text", "g", one[0]),
                                   ("XDEL", "text", two[0], one[0]), ("XLEN", "text")])
        self.assertEqual(replies, [WRONGTYPE] * 5)
        self.stack.engine_logic.kill()
        try:
            wait_for(lambda: self.daemon.metrics().value("dualbus_backend_connections", bus=ENGINE_LOGIC, state="up") == 0, "the loss is noticed")
            self.assertEqual(client.call("XACK", "s", "g", one[0]), 1, "the bus that is up needs no other")
            for words in (("XACK", "s", "g", one[1], two[0]), ("XDEL", "s", two[0]), ("XTRIM", "s", "MAXLEN", "0")):
                self.assertRegex(client.call(*words), "^BUSDOWN bus 'engine_logic'")
            self.assertEqual(client.call("XTRIM", "text", "MAXLEN", "0"), WRONGTYPE)
        finally:
            self.stack.engine_logic.start()
        wait_for(lambda: client.call("XLEN", "s") == 0, "it is back")
        self.await_connections()


class PendingTest(GroupTest):
    def fill(self):
        one, two = self.add("s", MARKETDATA, "5-0", "6-0", "7-3"), self.add("s", ENGINE_LOGIC, "5-0", "6-1", "9-0")
        for bus in TYPES:
            self.direct[bus].xgroup_create("s", "g", "0")
        self.deliver("s", "g", "bob", MARKETDATA, count=1)
        self.deliver("s", "g", "alice", MARKETDATA)
        self.deliver("s", "g", "alice", ENGINE_LOGIC, count=2)
        self.deliver("s", "g", "Carol", ENGINE_LOGIC)
        return [one[0], two[0], one[1], two[1], one[2], two[2]]

    def test_summary_adds_up(self):
        merged = self.fill()
        for protocol in (2, 3):
            self.assertEqual(self.connect(protocol).call("XPENDING", "s", "g"),
                             [6, merged[0].encode(), merged[-1].encode(), [[b"Carol", b"1"], [b"alice", b"4"], [b"bob", b"1"]]])
        for server in (self.stack.marketdata, self.bare):
            with self.client(server) as client:
                client.xgroup_create("empty", "g", "0", mkstream=True)
        self.client().xgroup_create("empty", "g", "0", mkstream=True)
        self.assert_same_as_bare("XPENDING", "empty", "g")
        self.assert_same_as_bare("XPENDING", "empty", "g", "-", "+", "10")
        self.direct[ENGINE_LOGIC].xack("s", "g", "5-0", "6-1", "9-0")
        self.assertEqual(self.connect().call("XPENDING", "s", "g"), [3, merged[0].encode(), merged[4].encode(), [[b"alice", b"2"], [b"bob", b"1"]]])

    def test_range_merges_and_cuts(self):
        merged = self.fill()
        owners = ["bob", "alice", "alice", "alice", "alice", "Carol"]
        everything = [[entry.encode(), owner.encode(), 1] for entry, owner in zip(merged, owners)]

        def ask(client, *words):
            reply = client.call("XPENDING", "s", "g", *words)
            return [[entry, owner, count] for entry, owner, idle, count in reply if 0 <= idle < 60000]

        for client in (self.connect(2), self.connect(3)):
            self.assertEqual(ask(client, "-", "+", "100"), everything)
            for count in range(8):
                self.assertEqual(ask(client, "-", "+", count), everything[:count])
            self.assertEqual(ask(client, "-", "+", "-1"), [])
            self.assertEqual(ask(client, merged[1], "(" + merged[4], 100), everything[1:4])
            self.assertEqual(ask(client, "(" + merged[1], merged[4], 2), everything[2:4])
            self.assertEqual(ask(client, "6", "6", 100), everything[2:4])
            self.assertEqual(ask(client, "-", "+", 3, "alice"), everything[1:4])
            self.assertEqual(ask(client, "-", "+", 100, "nobody"), [])
            self.assertEqual(ask(client, "IDLE", 0, "-", "+", 2, "alice"), everything[1:3])
            self.assertEqual(ask(client, "idle", 600000, "-", "+", 10), [])
            self.assertEqual(ask(client, "+", "-", 10), [])
            self.assertEqual(ask(client, "+", "+", 10), [])
            self.assertEqual(ask(client, "-", "-", 10), [])
        # Paging, as engines do it.
        client, seen, start = self.connect(), [], "-"
        while page := ask(client, start, "+", 2):
            seen += page
            start = "(" + page[-1][0].decode()
        self.assertEqual(seen, everything)

    def test_pending_ids_without_a_client_form_are_left_out_and_take_no_place(self):
        last = 10**12 - 1
        self.add("s", MARKETDATA, "5-0", f"5-{last + 1}", f"5-{last + 2}", "6-0")
        self.add("s", ENGINE_LOGIC, "7-0")
        for bus in TYPES:
            self.direct[bus].xgroup_create("s", "g", "0")
            self.deliver("s", "g", "a", bus)
        client = self.connect()
        with self.counted("dualbus_entries_omitted_total", bus=MARKETDATA) as omitted:
            self.assertEqual([row[0] for row in client.call("XPENDING", "s", "g", "-", "+", 2)], [shown("5-0", MARKETDATA).encode(), shown("6-0", MARKETDATA).encode()])
        self.assertEqual(omitted.value, 2)

    def test_what_only_one_bus_lacks_is_empty_there(self):
        """A group that the anchor has exists; one that only another bus has does not."""
        one, two = self.add("s", MARKETDATA, "5-0"), self.add("s", ENGINE_LOGIC, "5-0")
        self.direct[ENGINE_LOGIC].xgroup_create("s", "g", "0")
        self.direct[MARKETDATA].xgroup_create("s", "stray", "0")
        self.deliver("s", "g", "a", ENGINE_LOGIC)
        self.deliver("s", "stray", "a", MARKETDATA)
        client = self.connect(3)
        self.assertEqual(client.call("XPENDING", "s", "g"), [1, two[0].encode(), two[0].encode(), [[b"a", b"1"]]])
        self.assertEqual(len(client.call("XPENDING", "s", "g", "-", "+", 9)), 1)
        missing = "NOGROUP No such key 's' or consumer group 'stray'"
        for words in ("XPENDING s stray", "XPENDING s stray - + 9", "XPENDING s stray + - 9"):
            self.assertEqual(client.call(*words.split()), missing)
        # Nothing pending is named, so nothing is claimed from a group that does not exist.
        self.assertEqual(client.call("XCLAIM", "s", "stray", "b", "0", "77-1000000000000"), missing)
        self.assertEqual(client.call("XCLAIM", "s", "g", "b", "0", one[0]), [])
        self.assertEqual(client.call("XAUTOCLAIM", "s", "stray", "b", "600000", "0"), missing)
        self.assertEqual(client.call("XAUTOCLAIM", "s", "g", "b", "600000", "0"), [b"0-0", [], []])

    def test_faults_are_worded_as_redis_words_them(self):
        with self.client(self.bare) as bare:
            bare.xgroup_create("s", "g", "0", mkstream=True)
            bare.set("text", "x")
        self.client().xgroup_create("s", "g", "0", mkstream=True)
        self.direct[ENGINE_LOGIC].set("text", "x")
        for words in ("XPENDING s", "XPENDING s none", "XPENDING none g", "XPENDING text g", "XPENDING s g -", "XPENDING s g - +", "XPENDING s g - + x",
                      "XPENDING s g x + 1", "XPENDING s g - x 1", "XPENDING s g (- + 1", "XPENDING s g (18446744073709551615-18446744073709551615 + 1",
                      "XPENDING s g - (0-0 1", "XPENDING s g x x x", "XPENDING s g IDLE x - + 1", "XPENDING s g IDLE 5 -", "XPENDING s g IDLE 5 - + ",
                      "XPENDING s g IDLE 5 - + x", "XPENDING s g - + 1 c x x", "XPENDING s g - + 1 c x x x", "XPENDING text g - + 1", "XPENDING s none - + 1",
                      "XPENDING text g + - 1", "XPENDING s none + - 0", "XPENDING s g - + 5 nobody",
                      "XCLAIM s g c 0", "XCLAIM s none c 0 1-1", "XCLAIM none g c 0 1-1", "XCLAIM text g c 0 1-1", "XCLAIM s g c x 1-1", "XCLAIM s g c 0 NONSENSE",
                      "XCLAIM s g c 0 1-1 x", "XCLAIM s g c 0 1-1 IDLE", "XCLAIM s g c 0 1-1 IDLE x", "XCLAIM s g c 0 1-1 TIME x", "XCLAIM s g c 0 1-1 RETRYCOUNT x",
                      "XCLAIM s g c 0 1-1 LASTID x", "XCLAIM s g c 0 1-1 LASTID", "XCLAIM s g c 0 FORCE", "XCLAIM s g c 0 1-1 2-2 FORCE JUSTID",
                      "XCLAIM s g c 0 1-1 - FORCE", "XCLAIM s g c -5 1-1 IDLE -5 JUSTID",
                      "XAUTOCLAIM s g c 0", "XAUTOCLAIM s none c 0 0", "XAUTOCLAIM none g c 0 0", "XAUTOCLAIM text g c 0 0", "XAUTOCLAIM s g c x 0",
                      "XAUTOCLAIM s g c 0 x", "XAUTOCLAIM s g c 0 (x", "XAUTOCLAIM s g c 0 (18446744073709551615-18446744073709551615", "XAUTOCLAIM s g c 0 0 COUNT",
                      "XAUTOCLAIM s g c 0 0 COUNT 0", "XAUTOCLAIM s g c 0 0 COUNT x", "XAUTOCLAIM s g c 0 0 COUNT -1", "XAUTOCLAIM s g c 0 0 COUNT 9223372036854775807",
                      "XAUTOCLAIM s g c 0 0 NONSENSE", "XAUTOCLAIM s g c 0 0 JUSTID COUNT 5", "XAUTOCLAIM s g c 0 + COUNT 5", "XAUTOCLAIM s none c 0 +",
                      "XAUTOCLAIM text g c 0 +", "XAUTOCLAIM s g c -1 -"):
            self.assert_same_as_bare(*words.split())


class ClaimTest(GroupTest):
    def fill(self, group="g", consumer="alice"):
        one, two = self.add("s", MARKETDATA, "5-0", "6-0", "7-3"), self.add("s", ENGINE_LOGIC, "5-0", "6-1", "9-0")
        for bus in TYPES:
            self.direct[bus].xgroup_create("s", group, "0")
            self.deliver("s", group, consumer, bus)
        return [one[0], two[0], one[1], two[1], one[2], two[2]]

    def owners(self, group="g"):
        """ID in client form -> (consumer, deliveries)"""
        return {row[0].decode(): (row[1].decode(), row[3]) for row in self.connect().call("XPENDING", "s", group, "-", "+", 1000)}

    def test_xclaim_answers_in_the_order_of_the_ids_and_claims_only_those(self):
        """I5"""
        merged = self.fill()
        entry = {name: [name.encode(), [b"n", name.split("-")[0].encode() + b"-" + str(int(name.split("-")[1]) % 10**12).encode()]] for name in merged}
        for protocol in (2, 3):
            client = self.connect(protocol)
            order = [merged[3], merged[0], merged[4], merged[3]]
            self.assertEqual(client.call("XCLAIM", "s", "g", "bob", "0", *order), [entry[name] for name in order])
            self.assertEqual(client.call("XCLAIM", "s", "g", "bob", "0", merged[2], "5-7", merged[1], "JUSTID"), [merged[2].encode(), merged[1].encode()])
            self.assertEqual(client.call("XCLAIM", "s", "g", "bob", "0", merged[0]), [entry[merged[0]]])
        owners = self.owners()
        self.assertEqual(owners[merged[5]], ("alice", 1))
        self.assertEqual([owners[name] for name in merged[:5]], [("bob", 5), ("bob", 1), ("bob", 1), ("bob", 5), ("bob", 3)])

    def test_xclaim_passes_its_options_to_every_bus(self):
        merged = self.fill()
        client = self.connect()
        self.assertEqual(client.call("XCLAIM", "s", "g", "bob", "600000", *merged), [])
        self.assertEqual(len(client.call("XCLAIM", "s", "g", "bob", "0", *merged, "IDLE", "700000", "RETRYCOUNT", "7")), 6)
        self.assertEqual(set(self.owners().values()), {("bob", 7)})
        # The claim makes them young again: named twice, an entry comes once.
        self.assertEqual(client.call("XCLAIM", "s", "g", "carol", "600000", merged[1], merged[1], merged[0], merged[1], "JUSTID"),
                         [merged[1].encode(), merged[0].encode()])
        for bus in TYPES:
            self.direct[bus].xgroup_create("s", "fresh", "0")
        self.assertEqual(client.call("XCLAIM", "s", "fresh", "bob", "0", merged[0], merged[1]), [])
        self.assertEqual(client.call("XCLAIM", "s", "fresh", "bob", "0", merged[1], merged[0], "FORCE", "JUSTID", "LASTID", merged[3]), [merged[1].encode(), merged[0].encode()])
        self.assertEqual({bus: groups["fresh"] for bus, groups in self.positions("s").items()}, {MARKETDATA: "6-999999999999", ENGINE_LOGIC: "6-1"})
        # LASTID never goes back, and reaches only the buses of the IDs.
        client.call("XCLAIM", "s", "fresh", "bob", "0", merged[0], "LASTID", merged[5])
        self.assertEqual({bus: groups["fresh"] for bus, groups in self.positions("s").items()}, {MARKETDATA: "9-999999999999", ENGINE_LOGIC: "6-1"})

    def test_xclaim_of_deleted_entries_clears_them(self):
        merged = self.fill()
        client = self.connect()
        client.call("XDEL", "s", merged[0], merged[5])
        self.assertEqual(client.call("XCLAIM", "s", "g", "bob", "0", merged[5], merged[1], merged[0], "JUSTID"), [merged[1].encode()])
        self.assertEqual(list(self.owners()), merged[1:5])

    def test_xautoclaim_walks_over_the_buses(self):
        """I10"""
        merged = self.fill()
        # Bus by bus, the lower slot first.
        walk = [merged[0], merged[2], merged[4], merged[1], merged[3], merged[5]]
        begin = f"0-{2 * 10**12}"
        for count, pages in ((1, 6), (2, 3), (3, 2), (4, 2), (5, 2), (6, 1), (7, 1)):
            client = self.connect(2 + count % 2)
            cursor, seen, cursors = "0-0", [], []
            while not cursors or cursor != "0-0":
                cursor, claims, deleted = client.call("XAUTOCLAIM", "s", "g", f"c{count}", "0", cursor, "COUNT", count, "JUSTID")
                self.assertLessEqual(len(claims), count)
                self.assertEqual(deleted, [])
                seen += [claim.decode() for claim in claims]
                cursor = cursor.decode()
                cursors.append(cursor)
            self.assertEqual(seen, walk, count)
            self.assertEqual(len(cursors), pages, cursors)
            if count == 3:
                self.assertEqual(cursors[0], begin)
        self.assertEqual(set(self.owners().values()), {("c7", 1)})
        reply = self.connect().call("XAUTOCLAIM", "s", "g", "dave", "0", "-", "COUNT", "2")
        self.assertEqual(reply, [merged[4].encode(), [[merged[0].encode(), [b"n", b"5-0"]], [merged[2].encode(), [b"n", b"6-0"]]], []])
        self.assertEqual(self.connect().call("XAUTOCLAIM", "s", "g", "dave", "0", "(" + merged[1])[1], [[merged[3].encode(), [b"n", b"6-1"]], [merged[5].encode(), [b"n", b"9-0"]]])
        self.assertEqual([claim.decode() for claim in self.connect().call("XAUTOCLAIM", "s", "g", "dave", "0", "6-999999999999", "JUSTID")[1]], walk)
        self.assertEqual(self.connect().call("XAUTOCLAIM", "s", "g", "dave", "0", "5-3000000000000"), [b"0-0", [], []])

    def test_xautoclaim_reports_every_deleted_id_once(self):
        """I10"""
        merged = self.fill()
        client = self.connect(3)
        client.call("XDEL", "s", merged[0], merged[3], merged[5])
        cursor, claims, deleted = "0", [], []
        while cursor != "0-0":
            cursor, claimed, gone = client.call("XAUTOCLAIM", "s", "g", "bob", "0", cursor, "COUNT", 2, "JUSTID")
            self.assertLessEqual(len(claimed) + len(gone), 2)
            cursor = cursor.decode()
            claims += claimed
            deleted += gone
        self.assertEqual([entry.decode() for entry in claims], [merged[2], merged[4], merged[1]])
        self.assertEqual([entry.decode() for entry in deleted], [merged[0], merged[3], merged[5]])
        self.assertEqual(sorted(self.owners()), sorted([merged[1], merged[2], merged[4]]))

    def test_xautoclaim_from_the_beginning_reaches_every_bus_though_young_entries_come_first(self):
        """I10: Redis looks at ten times COUNT entries and gives up; those of later buses must not wait for ever."""
        for number in range(1, 31):
            self.add("s", MARKETDATA, f"{number}-0")
        two = self.add("s", ENGINE_LOGIC, "5-0", "6-0")
        for bus in TYPES:
            self.direct[bus].xgroup_create("s", "g", "0")
            self.deliver("s", "g", "alice", bus)
        self.direct[ENGINE_LOGIC].xclaim("s", "g", "alice", 0, ["5-0", "6-0"], idle=700000)
        cursor, claims, _ = self.connect().call("XAUTOCLAIM", "s", "g", "bob", "600000", "0-0", "COUNT", "1", "JUSTID")
        self.assertEqual((cursor.decode(), [claim.decode() for claim in claims]), (shown("11-0", MARKETDATA), two[:1]))
        _, claims, _ = self.connect().call("XAUTOCLAIM", "s", "g", "bob", "600000", "0-0", "COUNT", "1", "JUSTID")
        self.assertEqual([claim.decode() for claim in claims], two[1:])

    def test_xautoclaim_gets_past_entries_without_a_client_form(self):
        """I10"""
        last = 10**12 - 1
        self.add("s", MARKETDATA, "5-0", f"5-{last + 1}", f"5-{last + 2}", f"5-{last + 3}", "6-0")
        self.direct[MARKETDATA].xgroup_create("s", "g", "0")
        self.direct[ENGINE_LOGIC].xgroup_create("s", "g", "0", mkstream=True)
        self.deliver("s", "g", "alice", MARKETDATA)
        client, cursor, seen, calls = self.connect(), "0-0", [], 0
        while calls == 0 or cursor != "0-0":
            cursor, claims, _ = client.call("XAUTOCLAIM", "s", "g", "bob", "0", cursor, "COUNT", "1", "JUSTID")
            cursor = cursor.decode()
            seen += [claim.decode() for claim in claims]
            calls += 1
            self.assertLess(calls, 10)
        self.assertEqual(seen, [shown("5-0", MARKETDATA), shown("6-0", MARKETDATA)])

    def test_claims_are_answered_though_another_bus_is_down(self):
        """I6"""
        merged = self.fill()
        client = self.connect()
        self.stack.engine_logic.kill()
        try:
            wait_for(lambda: self.daemon.metrics().value("dualbus_backend_connections", bus=ENGINE_LOGIC, state="up") == 0, "the loss is noticed")
            self.assertEqual(client.call("XCLAIM", "s", "g", "bob", "0", merged[1], merged[0], "JUSTID"), [merged[0].encode()])
            self.assertRegex(client.call("XCLAIM", "s", "g", "bob", "0", merged[1], "JUSTID"), "^BUSDOWN bus 'engine_logic'")
            cursor, claims, _ = client.call("XAUTOCLAIM", "s", "g", "bob", "0", "0-0", "JUSTID")
            self.assertEqual([claim.decode() for claim in claims], [merged[0], merged[2], merged[4]])
            self.assertEqual(cursor.decode(), f"0-{2 * 10**12}", "the walk is not over")
            for words in (("XAUTOCLAIM", "s", "g", "bob", "0", cursor), ("XPENDING", "s", "g"), ("XPENDING", "s", "g", "-", "+", "1")):
                self.assertRegex(client.call(*words), "^BUSDOWN bus 'engine_logic'")
        finally:
            self.stack.engine_logic.start()
        wait_for(lambda: str(client.call("XPENDING", "s", "g")).startswith("NOGROUP"), "it is back")
        self.await_connections()


class InfoTest(GroupTest):
    def fill(self):
        """Two groups; one consumer reads on both buses, one on each."""
        one, two = self.add("s", MARKETDATA, "5-0", "6-0", "7-3"), self.add("s", ENGINE_LOGIC, "5-0", "6-1", "9-0")
        for bus in TYPES:
            for group in ("h", "g"):
                self.direct[bus].xgroup_create("s", group, "0")
        self.deliver("s", "g", "bob", MARKETDATA, count=1)
        self.deliver("s", "g", "alice", MARKETDATA)
        self.deliver("s", "g", "alice", ENGINE_LOGIC, count=2)
        self.direct[ENGINE_LOGIC].xgroup_createconsumer("s", "g", "Carol")
        return [one[0], two[0], one[1], two[1], one[2], two[2]]

    def ask(self, protocol, *words):
        """The reply with all maps as dicts, whose order is that of the reply."""
        def as_dict(value, maps):
            return dict(zip(value[::2], value[1::2])) if maps and isinstance(value, list) else value

        reply = self.connect(protocol).call("XINFO", *words)
        if isinstance(reply, str):
            return reply
        if words[0] != "STREAM":
            return [as_dict(each, protocol == 2) for each in reply]
        reply = as_dict(reply, protocol == 2)
        if len(words) > 2:
            reply[b"groups"] = [as_dict(group, protocol == 2) for group in reply[b"groups"]]
            for group in reply[b"groups"]:
                group[b"consumers"] = [as_dict(consumer, protocol == 2) for consumer in group[b"consumers"]]
        return reply

    def test_stream_describes_the_merged_stream(self):
        merged = self.fill()
        self.direct[MARKETDATA].xdel("s", "5-0")
        self.direct[ENGINE_LOGIC].xdel("s", "6-1", "9-0")
        self.direct[MARKETDATA].xgroup_create("s", "stray", "0")
        for protocol in (2, 3):
            reply = self.ask(protocol, "STREAM", "s")
            nodes = reply.pop(b"radix-tree-nodes")
            self.assertEqual(nodes, sum(direct.xinfo_stream("s")["radix-tree-nodes"] for direct in self.direct.values()))
            self.assertEqual(list(reply.items()), [
                (b"length", 3), (b"radix-tree-keys", 2), (b"last-generated-id", merged[5].encode()), (b"max-deleted-entry-id", merged[5].encode()),
                (b"entries-added", 6), (b"recorded-first-entry-id", merged[1].encode()), (b"groups", 2),
                (b"first-entry", [merged[1].encode(), [b"n", b"5-0"]]), (b"last-entry", [merged[4].encode(), [b"n", b"7-3"]])])

    def test_groups_describes_groups_over_all_buses(self):
        merged = self.fill()
        self.direct[MARKETDATA].xgroup_create("s", "stray", "0")
        for protocol in (2, 3):
            reply = self.ask(protocol, "GROUPS", "s")
            self.assertEqual([list(group.items()) for group in reply], [
                [(b"name", b"g"), (b"consumers", 3), (b"pending", 5), (b"last-delivered-id", merged[3].encode()), (b"entries-read", 5), (b"lag", 1)],
                [(b"name", b"h"), (b"consumers", 0), (b"pending", 0), (b"last-delivered-id", b"0-0"), (b"entries-read", None), (b"lag", 6)]])
        # All has been delivered: the last entry counts, on whichever bus.
        self.deliver("s", "g", "alice", ENGINE_LOGIC)
        group = self.ask(2, "GROUPS", "s")[0]
        self.assertEqual((group[b"last-delivered-id"], group[b"lag"], group[b"pending"]), (merged[5].encode(), 0, 6))
        # One bus cannot tell, so nobody can.
        self.direct[MARKETDATA].xgroup_setid("s", "g", "5-7")
        self.direct[MARKETDATA].xdel("s", "6-0")
        group = self.ask(3, "GROUPS", "s")[0]
        self.assertEqual((group[b"last-delivered-id"], group[b"lag"], group[b"entries-read"]), (shown("5-7", MARKETDATA).encode(), None, None))

    def test_consumers_describes_consumers_over_all_buses(self):
        self.fill()
        for protocol in (2, 3):
            reply = self.ask(protocol, "CONSUMERS", "s", "g")
            self.assertTrue(all(0 <= consumer.pop(b"idle") < 60000 for consumer in reply))
            self.assertEqual([list(consumer.items()) for consumer in reply], [[(b"name", b"Carol"), (b"pending", 0)], [(b"name", b"alice"), (b"pending", 4)],
                                                                               [(b"name", b"bob"), (b"pending", 1)]])
            self.assertEqual(self.ask(protocol, "CONSUMERS", "s", "h"), [])

    def test_full_merges_everything(self):
        merged = self.fill()
        entries = [[entry.encode(), [b"n", f"{entry.split('-')[0]}-{int(entry.split('-')[1]) % 10**12}".encode()]] for entry in merged]
        for protocol, words, count in ((2, (), 10), (3, ("COUNT", "2"), 2), (2, ("COUNT", "0"), None), (3, ("COUNT", "-1"), 10), (2, ("COUNT", "1"), 1)):
            reply = self.ask(protocol, "STREAM", "s", "FULL", *words)
            groups = reply.pop(b"groups")
            reply.pop(b"radix-tree-nodes")
            self.assertEqual(list(reply.items()), [(b"length", 6), (b"radix-tree-keys", 2), (b"last-generated-id", merged[5].encode()), (b"max-deleted-entry-id", b"0-0"),
                                                   (b"entries-added", 6), (b"recorded-first-entry-id", merged[0].encode()), (b"entries", entries[:count])])
            self.assertEqual([(group[b"name"], group[b"last-delivered-id"], group[b"entries-read"], group[b"lag"], group[b"pel-count"]) for group in groups],
                             [(b"g", merged[3].encode(), 5, 1, 5), (b"h", b"0-0", None, 6, 0)])
            owners = [b"bob", b"alice", b"alice", b"alice", b"alice"]
            self.assertEqual([(entry, owner, deliveries) for entry, owner, _, deliveries in groups[0][b"pending"]],
                             [(entry.encode(), owner, 1) for entry, owner in zip(merged, owners)][:count])
            consumers = groups[0][b"consumers"]
            now = max(direct.time()[0] for direct in self.direct.values()) * 1000
            self.assertTrue(all(abs(now - consumer.pop(b"seen-time")) < 60000 for consumer in consumers))
            self.assertEqual([(consumer[b"name"], consumer[b"pel-count"], [entry.decode() for entry, *_ in consumer[b"pending"]]) for consumer in consumers],
                             [(b"Carol", 0, []), (b"alice", 4, merged[1:5][:count]), (b"bob", 1, merged[:1])])
            self.assertEqual(list(consumers[0]), [b"name", b"pel-count", b"pending"])

    def test_a_stream_on_one_bus_only_is_described_as_it_is_there(self):
        for bus, key in ((MARKETDATA, "m"), (ENGINE_LOGIC, "e")):
            ids = self.add(key, bus, "5-0", "6-0")
            for protocol in (2, 3):
                reply = self.ask(protocol, "STREAM", key)
                self.assertEqual((reply[b"length"], reply[b"last-generated-id"], reply[b"groups"], reply[b"first-entry"][0]), (2, ids[1].encode(), 0, ids[0].encode()))
                self.assertEqual(self.ask(protocol, "GROUPS", key), [])
                self.assertEqual(len(self.ask(protocol, "STREAM", key, "FULL")[b"entries"]), 2)
                self.assertEqual(self.ask(protocol, "CONSUMERS", key, "g"), f"NOGROUP No such consumer group 'g' for key name '{key}'")

    def test_an_empty_stream_has_the_bytes_of_a_bare_one(self):
        with self.client(self.bare) as bare:
            bare.xgroup_create("s", "g", "0", mkstream=True)
        # On the anchor only: sums are those of one stream.
        self.direct[ENGINE_LOGIC].xgroup_create("s", "g", "0", mkstream=True)
        for words in ("STREAM s", "STREAM s FULL", "STREAM s FULL COUNT 5", "stream s full count 0", "GROUPS s", "CONSUMERS s g"):
            self.assert_same_as_bare("XINFO", *words.split())

    def test_faults_are_worded_as_redis_words_them(self):
        with self.client(self.bare) as bare:
            bare.xgroup_create("s", "g", "0", mkstream=True)
            bare.set("text", "x")
        self.direct[MARKETDATA].xgroup_create("s", "g", "0", mkstream=True)
        self.direct[MARKETDATA].set("text", "x")
        for words in ("XINFO", "XINFO NONSENSE", "XINFO NONSENSE s", "XINFO STREAM", "XINFO STREAM none", "XINFO STREAM text", "XINFO STREAM s NONSENSE",
                      "XINFO STREAM s FULL COUNT", "XINFO STREAM s FULL COUNT x", "XINFO STREAM s FULL NONSENSE 5", "XINFO STREAM s FULL COUNT 5 5",
                      "XINFO STREAM none NONSENSE", "XINFO GROUPS", "XINFO GROUPS none", "XINFO GROUPS text", "XINFO GROUPS s g", "XINFO CONSUMERS", "XINFO CONSUMERS s",
                      "XINFO CONSUMERS s none", "XINFO CONSUMERS none g", "XINFO CONSUMERS text g", "XINFO CONSUMERS s g g", "XINFO HELP", "XINFO HELP s"):
            self.assert_same_as_bare(*words.split())


class RemapTest(StackTest):
    config = {"routing": {"explicit_ids": "remap"}}

    def test_ids_without_a_slot_are_stored_as_they_are_and_shown_with_one(self):
        client = self.connect()
        fields = {bus: ("message_type", TYPES[bus]) for bus in TYPES}
        for bus, direct in ((bus, self.client(server)) for bus, server in self.stack.buses.items()):
            self.assertEqual(client.call("XADD", "s", "7-3", *fields[bus]), shown("7-3", bus).encode())
            self.assertEqual(client.call("XADD", "s", "NOMKSTREAM", "MAXLEN", "9", "8", *fields[bus]), shown("8-0", bus).encode())
            self.assertEqual(client.call("XADD", "s", shown("9-5", bus), *fields[bus]), shown("9-5", bus).encode())
            self.assertEqual([entry for entry, _ in direct.xrange("s")], [b"7-3", b"8-0", b"9-5"])
            self.assertEqual(client.call("XADD", "s", "9-5", *fields[bus]), "ERR The ID specified in XADD is equal or smaller than the target stream top item")
            self.assertEqual(client.call("XADD", "s", "0-0", *fields[bus]), "ERR The ID specified in XADD must be greater than 0-0")
            self.assertRegex(client.call("XADD", "s", shown("10-0", OTHER[bus]), *fields[bus]), "^ERR dualbus: explicit ID")
            self.assertRegex(client.call("XADD", "s", "10-7000000000000", *fields[bus]), "^ERR dualbus: explicit ID")
        self.assertEqual(client.call("XLEN", "s"), 6)

    def test_it_can_be_changed_while_the_daemon_runs(self):
        config = {**self.stack.config, "routing": {**self.stack.config["routing"], "explicit_ids": "match"}}
        self.daemon.reload(config)
        try:
            self.assertRegex(self.connect().call("XADD", "s", "7-3", "message_type", "market_data"), "^ERR dualbus: explicit ID")
        finally:
            self.daemon.reload(self.stack.config)
        self.assertEqual(self.connect().call("XADD", "s", "7-3", "message_type", "market_data"), shown("7-3", MARKETDATA).encode())


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
