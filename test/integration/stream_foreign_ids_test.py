"""Entries whose IDs have no client form: somebody gave them, on one bus, a sequence of 10^12 or more."""
import unittest

from harness import ENGINE_LOGIC, MARKETDATA, SLOT_STEP, StackTest, shown


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

    def test_positions_show_as_the_last_id_that_clients_can_have(self):
        self.call("XGROUP", "CREATE", "s", "g", "$")
        stream = self.call("XINFO", "STREAM", "s")
        group = self.call("XINFO", "GROUPS", "s")[0]
        last = shown(f"6-{SLOT_STEP - 1}", MARKETDATA).encode()
        self.assertEqual(dict(zip(stream[::2], stream[1::2]))[b"last-generated-id"], last)
        self.assertEqual(dict(zip(group[::2], group[1::2]))[b"last-delivered-id"], last)


if __name__ == "__main__":
    unittest.main()
