"""Entries whose IDs have no client form: somebody gave them, on one bus, a sequence of 10^12 or more."""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, SLOT_STEP, StackTest, shown


class ForeignIdsTest(StackTest):
    def setUp(self):
        super().setUp()
        self.daemon_client = self.connect(2)
        self.bus = self.connect(to=self.stack.marketdata)
        # On marketdata every second entry has no client form.
        for number in range(6):
            self.bus.call("XADD", "s", f"{number + 1}-{SLOT_STEP + number if number % 2 else number}", "n", number)
        self.connect(to=self.stack.engine_logic).call("XADD", "s", "3-7", "n", "other")
        self.visible = [shown("1-0", MARKETDATA), shown("3-2", MARKETDATA), shown("3-7", ENGINE_LOGIC), shown("5-4", MARKETDATA)]

    def ids(self, entries):
        return [entry.decode() for entry, _ in entries]

    def call(self, *request):
        return self.daemon_client.call(*request)

    def test_reads_leave_them_out_and_still_fill_their_count(self):
        self.assertEqual(self.ids(self.call("XRANGE", "s", "-", "+")), self.visible)
        self.assertEqual(self.ids(self.call("XREVRANGE", "s", "+", "-")), self.visible[::-1])
        for count in (1, 2, 3, 4, 5):
            self.assertEqual(self.ids(self.call("XRANGE", "s", "-", "+", "COUNT", count)), self.visible[:count])
            self.assertEqual(self.ids(self.call("XREVRANGE", "s", "+", "-", "COUNT", count)), self.visible[::-1][:count])
        self.assertEqual(self.ids(self.call("XREAD", "STREAMS", "s", "0")[0][1]), self.visible)
        self.daemon.wait_for_log("left out")

    def test_a_reader_with_small_counts_passes_them(self):
        seen, cursor = [], "0"
        while reply := self.call("XREAD", "COUNT", 1, "STREAMS", "s", cursor):
            seen += self.ids(reply[0][1])
            cursor = seen[-1]
        self.assertEqual(seen, self.visible)

    def test_a_group_keeps_them_pending_on_their_bus(self):
        self.assertEqual(self.call("XGROUP", "CREATE", "s", "g", "0"), "OK")
        seen = []
        for _ in range(20):
            if reply := self.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "STREAMS", "s", ">"):
                seen += self.ids(reply[0][1])
        self.assertEqual(sorted(seen), sorted(self.visible))
        self.assertEqual(self.bus.call("XPENDING", "s", "g")[0], 6)
        self.assertEqual(self.call("XACK", "s", "g", *self.visible), 4)
        self.assertEqual(self.bus.call("XPENDING", "s", "g")[0], 3)

    def test_what_was_stored_under_such_an_id_is_said_and_gets_no_other_id(self):
        self.call("XADD", "t", f"5-{2 * SLOT_STEP - 1}", "message_type", "market_data", "n", 1)
        add = ("XADD", "t", "5-*", "message_type", "market_data", "n", 2)
        careful = (*add[:2], "NOMKSTREAM", *add[2:])

        def refused(number):
            return f"ERR dualbus: the entry is stored, do not repeat it, but its ID on bus 'marketdata', 5-{number}, has no form for clients"

        with self.counted("dualbus_entries_omitted_total", bus=MARKETDATA) as omitted:
            self.assertTrue(self.call(*add).startswith(refused(SLOT_STEP)))
            self.assertTrue(self.call(*careful).startswith(refused(SLOT_STEP + 1)))
            self.assertTrue(self.connect(3).call(*add).startswith(refused(SLOT_STEP + 2)))
            self.assertEqual(omitted.value, 3)
        self.call("MULTI")
        self.call(*add)
        self.assertTrue(self.call("EXEC")[0].startswith(refused(SLOT_STEP + 3)))
        self.call("MULTI")
        self.call(*add)
        self.call("XADD", "t", "*", "message_type", "order_request", "n", 1)
        self.call(*add)
        first, second, third = self.call("EXEC")
        self.assertTrue(first.startswith(refused(SLOT_STEP + 4)) and third.startswith(refused(SLOT_STEP + 5)), (first, third))
        self.assertEqual(second.split(b"-")[1][:1], b"2")
        self.assertEqual(self.bus.call("XLEN", "t"), 7)
        self.assertEqual(self.ids(self.call("XRANGE", "t", "-", "+"))[0], f"5-{2 * SLOT_STEP - 1}")
        # The slot of the bus with the ID that Redis has seen as the largest.
        self.assertTrue(self.call("XADD", "t", f"5-{2 * SLOT_STEP - 1}", "message_type", "market_data", "n", 1).startswith("ERR The ID specified in XADD is equal or smaller"))

    def test_ids_are_read_as_redis_reads_them(self):
        for text, bus_id in ((" 7-1000000000001", "7-1"), ("+7-+1000000000002", "7-2"), ("007-01000000000003", "7-3")):
            self.assertEqual(self.call("XADD", "u", text, "message_type", "market_data"), shown(bus_id, MARKETDATA).encode())
        self.assertIn("explicit ID", self.call("XADD", "u", " 8-1", "message_type", "market_data"))
        self.assertEqual(self.call("XADD", "u", "MINID", " 7-1000000000002", "9-1000000000000", "message_type", "market_data"), b"9-1000000000000")
        self.assertEqual(self.ids(self.call("XRANGE", "u", " 7", "+")), [shown(one, MARKETDATA) for one in ("7-2", "7-3", "9-0")])
        for bad in ("7--1", "7-1 ", "7-1x", "0" * 128):
            self.assertEqual(self.call("XRANGE", "u", bad, "+"), self.bus.call("XRANGE", "s", bad, "+"), bad)

    def test_a_group_read_that_waits_passes_them(self):
        self.assertEqual(self.call("XGROUP", "CREATE", "s", "g", "0"), "OK")
        seen = []
        for _ in self.visible:
            (_, entries), = self.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "BLOCK", 20000, "STREAMS", "s", ">")
            seen += self.ids(entries)
        self.assertEqual(sorted(seen), sorted(self.visible))

    def test_a_consumer_pages_through_its_own_entries_past_them(self):
        self.call("XGROUP", "CREATE", "s", "g", "0")
        self.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        for count in (1, 2, 3):
            seen, cursor = [], "0"
            while entries := self.call("XREADGROUP", "GROUP", "g", "c", "COUNT", count, "STREAMS", "s", cursor)[0][1]:
                self.assertLessEqual(len(entries), count)
                seen += self.ids(entries)
                cursor = seen[-1]
            self.assertEqual(seen, self.visible, count)
        # A count without end is none, also when what is left out is asked for once more.
        self.assertEqual(self.ids(self.call("XREAD", "COUNT", 2**63 - 1, "STREAMS", "s", "0")[0][1]), self.visible)

    def test_positions_show_as_the_last_id_that_clients_can_have(self):
        self.call("XGROUP", "CREATE", "s", "g", "$")
        stream = self.call("XINFO", "STREAM", "s")
        group = self.call("XINFO", "GROUPS", "s")[0]
        last = shown(f"6-{SLOT_STEP - 1}", MARKETDATA).encode()
        self.assertEqual(dict(zip(stream[::2], stream[1::2]))[b"last-generated-id"], last)
        self.assertEqual(dict(zip(group[::2], group[1::2]))[b"last-delivered-id"], last)


if __name__ == "__main__":
    unittest.main()
