"""XINFO."""
import unittest

from support.group_tests import GroupTest, TYPES
from support.harness import ENGINE_LOGIC, MARKETDATA, shown


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

    def test_where_a_group_is_missing_all_is_undelivered(self):
        daemon = self.connect()
        self.add("s", MARKETDATA, "3-0")
        self.add("s", ENGINE_LOGIC, "4-0")
        daemon.call("XGROUP", "CREATE", "s", "g", "0")
        while daemon.call("XREADGROUP", "GROUP", "g", "c", "NOACK", "STREAMS", "s", ">"):
            pass
        self.direct[MARKETDATA].flushall()  # evicted, or restarted without its data
        lost = self.add("s", MARKETDATA, "1-0", "2-0", "2-1")
        for protocol in (2, 3):
            group, = self.ask(protocol, "GROUPS", "s")
            self.assertEqual((group[b"lag"], group[b"entries-read"], group[b"last-delivered-id"]), (3, 1, b"0-0"))
            group, = self.ask(protocol, "STREAM", "s", "FULL")[b"groups"]
            self.assertEqual((group[b"lag"], group[b"entries-read"], group[b"last-delivered-id"]), (3, 1, b"0-0"))
        # A client that trims to what the group has had loses nothing.
        self.assertEqual(daemon.call("XTRIM", "s", "MINID", group[b"last-delivered-id"]), 0)
        (_, entries), = daemon.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        self.assertEqual([entry.decode() for entry, _ in entries], lost)
        group, = self.ask(2, "GROUPS", "s")
        self.assertEqual((group[b"lag"], group[b"entries-read"], group[b"last-delivered-id"]), (0, 4, shown("4-0", ENGINE_LOGIC).encode()))

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


if __name__ == "__main__":
    unittest.main()
