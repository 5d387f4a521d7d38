"""XPENDING, XCLAIM and XAUTOCLAIM."""
import unittest

from support.group_tests import GroupTest, TYPES
from support.harness import ENGINE_LOGIC, MARKETDATA, shown, wait_for


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


if __name__ == "__main__":
    unittest.main()
