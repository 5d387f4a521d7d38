"""Reloads whose rules for keys would take entries of streams, or other keys, out of reach."""
import re
import signal
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, Stack, StackTest, merge, wait_for
from support.stream_load import xadd

REFUSED = "configuration not reloaded: nothing was changed; have the entries read"


def rules(*keys, **routing):
    return {"routing": {"keys": [{"match": match, "bus": bus} for match, bus in keys], **routing}}


PINNED, PINNED_TO_OTHER, LOGICAL = rules(("s*", MARKETDATA)), rules(("s*", ENGINE_LOGIC)), rules()


class MovedStreamsTest(StackTest):
    config = {"workers": 2, "databases": 2, **LOGICAL}

    def setUp(self):
        super().setUp()
        self.client = self.connect()

    def begin(self, changes):
        """Without keys, since a reload is refused that would hide some."""
        self.stack.flush()
        self.reload(changes)

    def reload(self, changes):
        """The lines of log that a reload makes, and whether it was accepted."""
        before = len(self.daemon.log())
        succeeded = self.daemon.metrics().value("dualbus_config_reloads_total", result="success")
        self.daemon.reload(merge(self.stack.config, changes))
        accepted = self.daemon.metrics().value("dualbus_config_reloads_total", result="success") > succeeded
        end = "configuration reloaded: .*\n" if accepted else "configuration not reloaded.*\n"
        wait_for(lambda: re.search(end, self.daemon.log()[before:]), "the log says what became of it")
        return self.daemon.log()[before:], accepted

    def add(self, kind="market_data", key="s", count=3):
        for _ in range(count):
            self.assertIsInstance(self.client.call(*xadd(key, kind, "n")), bytes)

    def read(self, count=2, key="s"):
        return self.client.call("XREADGROUP", "GROUP", "g", "c", "COUNT", count, "STREAMS", key, ">")

    def refused(self, changes, *patterns):
        text, accepted = self.reload(changes)
        self.assertFalse(accepted, text)
        self.assertIn(REFUSED, text)
        self.assertIn("moved_streams: allowed", text)
        for pattern in patterns:
            self.assertRegex(text, pattern)

    def accepted(self, changes, *patterns):
        text, accepted = self.reload(changes)
        self.assertTrue(accepted, text)
        for pattern in patterns:
            self.assertRegex(text, pattern)
        return text

    def test_a_stream_is_not_pinned_away_from_entries_on_other_buses(self):
        self.begin(LOGICAL)
        self.client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        self.add("order_request")
        self.add("market_data")
        line = rf"stream 's' goes from all buses to bus '{MARKETDATA}': 3 entries on bus '{ENGINE_LOGIC}' would get out of sight, and 0 pending there; not read to the end by 'g'"
        self.refused(PINNED, line)
        self.assertEqual(self.client.call("XLEN", "s"), 6)
        # Other keys of the file do not count either.
        self.refused(merge(PINNED, {"limits": {"max_clients": 77}}))
        self.assertEqual(self.client.call("CONFIG", "GET", "maxclients")[1], b"10000")
        text = self.accepted(rules(("s*", MARKETDATA), moved_streams="allowed"), rf" warning {line}", "changed routing.moved_streams, routing.keys")
        self.assertNotIn(" error ", text)
        self.assertEqual(self.client.call("XLEN", "s"), 3)

    def test_a_stream_with_pending_entries_is_neither_pinned_nor_unpinned(self):
        for before, after in ((PINNED, LOGICAL), (LOGICAL, PINNED)):
            self.begin(before)
            self.client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
            self.add()
            ids = [entry for entry, _ in self.read()[0][1]]
            self.refused(after, rf"stream 's' goes from .* to .*: 2 entries are pending on bus '{MARKETDATA}', and the IDs that consumers hold")
            self.assertEqual(self.client.call("XACK", "s", "g", *ids), 2)
            self.accepted(after)
            self.assertEqual(self.client.call("XLEN", "s"), 3)

    def test_groups_of_a_stream_that_is_pinned_no_more_and_that_the_anchor_lacks_are_named(self):
        self.begin(PINNED)
        self.client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        self.add()
        self.accepted(LOGICAL, rf" warning group 'g' of stream 's' is on bus '{MARKETDATA}', but not on the anchor '{ENGINE_LOGIC}': ")
        self.assertEqual(len(self.read(count=2)[0][1]), 2)
        self.assertEqual(self.client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), "OK")
        self.assertEqual(len(self.read(count=2)[0][1]), 1)
        self.assertIsNone(self.read())
        # One that reads create is not hidden.
        self.begin(PINNED)
        self.client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        text = self.accepted(merge(LOGICAL, {"missing_group": {"action": "create"}}))
        self.assertNotIn(" warning ", text)

    def test_a_pinned_stream_does_not_lose_its_entries_to_another_bus(self):
        self.begin(PINNED)
        self.add(count=1)
        self.refused(PINNED_TO_OTHER, rf"from bus '{MARKETDATA}' to bus '{ENGINE_LOGIC}': 1 entry on bus '{MARKETDATA}' would get out of sight, and 0 pending there")
        self.client.call("DEL", "s")
        self.accepted(PINNED_TO_OTHER)

    def test_streams_of_other_databases_count(self):
        self.begin(PINNED)
        self.client.call("SELECT", 1)
        self.add(count=1)
        self.refused(PINNED_TO_OTHER, r"stream 's' of database 1 goes from")

    def test_of_many_streams_the_first_are_named(self):
        self.begin(PINNED)
        for number in range(30):
            self.add(key=f"s{number}\n", count=1)
        text, _ = self.reload(PINNED_TO_OTHER)
        self.assertEqual(text.count("would get out of sight"), 10)
        self.assertIn("and 20 more such streams", text)

    def test_other_keys_that_get_out_of_reach_are_a_warning(self):
        self.begin(PINNED)
        for number in range(3):
            self.client.call("SET", f"s{number}", 1)
        self.client.call("SET", "k", 1)
        self.accepted(PINNED_TO_OTHER, rf" warning bus '{MARKETDATA}' has 3 keys that are no streams and get out of reach, such as 's[012]': nothing is moved")

    def test_a_default_bus_that_takes_other_keys_along_is_a_warning(self):
        self.begin(LOGICAL)
        self.client.call("INCR", "counter")
        moved = rules(default_bus=MARKETDATA)
        self.accepted(moved, rf"routing.default_bus and routing.default_key_bus go from '{ENGINE_LOGIC}' to '{MARKETDATA}'", "has 1 key that is no stream and gets out of reach",
                      "changed routing.default_bus, routing.default_key_bus\n")
        self.assertIsNone(self.client.call("GET", "counter"))
        self.begin(LOGICAL)
        self.client.call("INCR", "counter")
        text = self.accepted(rules(default_bus=MARKETDATA, default_key_bus=ENGINE_LOGIC))
        self.assertNotIn(" warning ", text)

    def test_rules_that_move_nothing_ask_nobody(self):
        self.begin(LOGICAL)
        self.stack.marketdata.pause()
        try:
            self.accepted(merge(LOGICAL, {"limits": {"max_clients": 50}, "log": {"level": "debug"}}), "reloaded: changed log.level, limits.max_clients\n")
            self.accepted(merge(LOGICAL, {"limits": {"max_clients": 50}, "log": {"level": "debug"}}), "reloaded: nothing is different\n")
        finally:
            self.stack.marketdata.proceed()

    def test_a_bus_that_does_not_answer_holds_up_only_the_reload(self):
        self.begin(merge(LOGICAL, {"backend": {"connect_timeout": "300ms"}}))
        changes = merge(PINNED, {"backend": {"connect_timeout": "300ms"}})
        self.stack.marketdata.pause()
        try:
            self.daemon.write_config(merge(self.stack.config, changes))
            self.daemon.signal(signal.SIGHUP)
            self.assertEqual(self.client.call("SET", "k", 1), "OK")
            self.daemon.wait_for_log(rf"bus '{MARKETDATA}' could not be asked what its keys are: ")
            self.daemon.wait_for_log("remove them, wait for the bus, or say")
        finally:
            self.stack.marketdata.proceed()
        self.accepted(changes)


class LeavingTest(unittest.TestCase):
    def test_a_reload_that_waits_for_a_bus_does_not_hold_up_the_end(self):
        stack = Stack({"backend": {"connect_timeout": "60s"}})
        self.addCleanup(stack.end)
        stack.marketdata.pause()
        try:
            stack.daemon.write_config(merge(stack.config, PINNED))
            stack.daemon.signal(signal.SIGHUP)
            stack.daemon.signal(signal.SIGTERM)
            self.assertEqual(stack.daemon.process.wait(20), 0)
        finally:
            stack.marketdata.proceed()


if __name__ == "__main__":
    unittest.main()
