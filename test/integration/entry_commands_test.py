"""Commands that name entries of a stream that lies on two buses."""
import unittest

from support.group_tests import GroupTest, OTHER, TYPES, WRONGTYPE
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, shown, wait_for


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
        # No bus has to be asked about slots that no bus has.
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


if __name__ == "__main__":
    unittest.main()
