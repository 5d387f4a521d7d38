"""Commands about all keys of all buses, and those that move whole keys."""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, SLOT, StackTest, merge, stored, wait_for

SCAN_SLOTS = 128


class KeyspaceTest(StackTest):
    config = {"flush": "allowed"}

    def keys(self, bus):
        return {key.decode() for key in self.client(self.stack.buses[bus]).keys()}

    def fill(self):
        """Plain keys on both buses, and a stream with a part on each."""
        client = self.connect()
        client.call("MSET", *[word for number in range(60) for word in (f"md:{number}", 1, f"key:{number}", 2)])
        client.call("XADD", "stream", "*", "message_type", "market_data")
        client.call("XADD", "stream", "*", "message_type", "order_request")
        self.assertIn("stream", self.keys(MARKETDATA) & self.keys(ENGINE_LOGIC))
        return client, self.keys(MARKETDATA) | self.keys(ENGINE_LOGIC)

    @staticmethod
    def scan(client, *options):
        """All names that a full SCAN brings, and the cursors on its way."""
        cursor, names, cursors = b"0", [], []
        while True:
            cursor, found = client.call("SCAN", cursor, *options)
            names += [name.decode() for name in found]
            if cursor == b"0":
                return names, cursors
            cursors.append(int(cursor))

    def test_keys_names_every_key_once(self):
        for protocol in (2, 3):
            self.fill()
            client = self.connect(protocol)
            found = [key.decode() for key in client.call("KEYS", "*")]
            self.assertEqual(sorted(found), sorted(self.keys(MARKETDATA) | self.keys(ENGINE_LOGIC)))
            self.assertEqual(sorted(client.call("KEYS", "*:1")), [b"key:1", b"md:1"])
            self.assertEqual(client.call("KEYS", "none*"), [])

    def test_scan_goes_through_all_buses_and_finds_every_key(self):
        client, everything = self.fill()
        for options in ((), ("COUNT", 7), ("COUNT", 1000)):
            names, cursors = self.scan(client, *options)
            self.assertEqual(set(names), everything)
            self.assertEqual(names.count("stream"), 2)
            self.assertEqual({cursor % SCAN_SLOTS for cursor in cursors[1:]} - set(SLOT.values()), set())
        self.assertEqual(set(self.scan(client, "MATCH", "md:1?")[0]), {f"md:{number}" for number in range(10, 20)})
        self.assertEqual(set(self.scan(client, "TYPE", "stream")[0]), {"stream"})
        self.assertEqual({key.decode() for key in self.client().scan_iter(count=9)}, everything)
        self.assertEqual(set(self.scan(self.connect(3))[0]), everything)

    def test_scan_goes_on_behind_a_bus_that_is_no_more(self):
        client, _ = self.fill()
        client.call("SET", "el:only", 1)
        for slot in (0, 100):
            self.assertEqual(client.call("SCAN", 5 * SCAN_SLOTS + slot, "MATCH", "md:*", "COUNT", 10000)[0],
                             str(SLOT[ENGINE_LOGIC]).encode())

    def test_mistakes_in_scan_are_refused_in_redis_words(self):
        client, bare = self.connect(), self.connect(to=self.stack.marketdata)
        for cursor in ("", "00", "+0", b"0\0x", b"\0", " 0", "0 ", "-", "0x0", "18446744073709551616"):
            self.assertEqual(client.call_raw("SCAN", cursor, "MATCH", "none"), bare.call_raw("SCAN", cursor, "MATCH", "none").replace(
                b"$1\r\n0\r\n", b"$1\r\n%d\r\n" % SLOT[ENGINE_LOGIC]), cursor)
        for request in ("SCAN x", "SCAN 0 COUNT 0", "SCAN 0 COUNT x", "SCAN 0 MATCH", "SCAN 0 NOSUCH 1", "SCAN 99999999999999999999",
                        "SCAN 0 TYPE", "KEYS", "DBSIZE x", "FLUSHALL NOSUCH", "FLUSHDB SYNC ASYNC", "COPY a b NOSUCH", "COPY a a", "RENAME a b",
                        "RENAMENX a b", "COPY a b", "RENAME a a", "RANDOMKEY", "DUMP a"):
            self.assertEqual(client.call_raw(*request.split()), bare.call_raw(*request.split()), request)

    def test_dbsize_is_the_sum_and_randomkey_finds_keys_of_every_bus(self):
        client, _ = self.fill()
        self.assertEqual(client.call("DBSIZE"), len(self.keys(MARKETDATA)) + len(self.keys(ENGINE_LOGIC)))
        kinds = set()
        wait_for(lambda: kinds.add(client.call("RANDOMKEY")[:3]) or kinds >= {b"md:", b"key"}, "keys of both buses")
        client.call("FLUSHALL")
        self.assertIsNone(client.call("RANDOMKEY"))
        client.call("SET", "md:x", 1)
        self.assertEqual({client.call("RANDOMKEY") for _ in range(10)}, {b"md:x"})

    def test_flush_removes_the_keys_of_all_buses_where_it_is_allowed(self):
        for request in (("FLUSHALL",), ("FLUSHDB",), ("FLUSHALL", "ASYNC"), ("FLUSHDB", "SYNC")):
            client, _ = self.fill()
            self.assertEqual(client.call(*request), "OK")
            self.assertEqual(self.keys(MARKETDATA) | self.keys(ENGINE_LOGIC), set())
            self.assertEqual(client.call("DBSIZE"), 0)

    def test_a_poll_behind_a_flush_sees_that_the_group_is_gone(self):
        client, poll = self.connect(), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        for _ in range(5):
            self.assertIsNone(client.call(*poll))
        client.call("FLUSHALL")
        self.assertRegex(client.call(*poll), "^NOGROUP ")

    def test_rename_takes_every_part_along_and_removes_the_old_destination_everywhere(self):
        client = self.connect()
        ids = [client.call("XADD", "a", "*", "message_type", kind) for kind in ("market_data", "order_request")]
        self.assertEqual([stored(entry)[0] for entry in ids], [MARKETDATA, ENGINE_LOGIC])
        self.assertEqual(client.call("RENAME", "a", "b"), "OK")
        self.assertEqual([self.keys(bus) for bus in (MARKETDATA, ENGINE_LOGIC)], [{"b"}, {"b"}])
        self.assertEqual({entry for entry, _ in client.call("XRANGE", "b", "-", "+")}, set(ids))
        client.call("SET", "plain", "value")
        self.assertEqual(client.call("RENAMENX", "plain", "b"), 0)
        self.assertEqual(client.call("RENAME", "plain", "b"), "OK")
        self.assertEqual([self.keys(bus) for bus in (MARKETDATA, ENGINE_LOGIC)], [set(), {"b"}])
        self.assertEqual(client.call("GET", "b"), b"value")
        self.assertEqual(client.call("RENAMENX", "b", "c"), 1)
        self.assertEqual(client.call("RENAME", "b", "c"), "ERR no such key")

    def test_copy_takes_every_part_and_replaces_only_if_told(self):
        client = self.connect()
        for kind in ("market_data", "order_request"):
            client.call("XADD", "a", "*", "message_type", kind)
        self.assertEqual(client.call("COPY", "a", "b"), 1)
        self.assertEqual(client.call("XRANGE", "a", "-", "+"), client.call("XRANGE", "b", "-", "+"))
        client.call("SET", "plain", "value")
        self.assertEqual(client.call("COPY", "plain", "b"), 0)
        self.assertEqual(client.call("COPY", "plain", "b", "REPLACE"), 1)
        self.assertEqual(self.keys(MARKETDATA), {"a"})
        self.assertEqual(client.call("GET", "b"), b"value")
        self.assertRegex(client.call("COPY", "plain", "x", "DB", 1), "^NOTSUPPORTED ")
        self.assertEqual(client.call("COPY", "none", "x"), 0)

    def test_keys_that_a_rule_pins_and_others_cannot_become_each_other(self):
        client = self.connect()
        client.call("MSET", "md:1", 1, "x", 2)
        for request in (("RENAME", "md:1", "y"), ("RENAME", "x", "md:2"), ("COPY", "x", "el:1"), ("RENAMENX", "md:1", "el:1")):
            self.assertRegex(client.call(*request), "^CROSSBUS ", request)
        self.assertEqual((self.keys(MARKETDATA), self.keys(ENGINE_LOGIC)), ({"md:1"}, {"x"}))

    def test_dump_takes_keys_of_one_bus_and_refuses_streams_of_several(self):
        client = self.connect()
        client.call("SET", "x", "value")
        self.assertEqual(client.call("RESTORE", "y", 0, client.call("DUMP", "x")), "OK")
        self.assertEqual(client.call("GET", "y"), b"value")
        client.call("XADD", "s", "*", "message_type", "market_data")
        self.assertRegex(client.call("DUMP", "s"), "^NOTSUPPORTED .*pinned")

    def test_a_reload_while_a_key_is_moved_leaves_no_part_behind(self):
        self.fill()
        client, other = self.connect(), self.connect()
        buses = [self.client(bus) for bus in self.stack.buses.values()]
        self.addCleanup(self.daemon.reload, self.stack.config)
        for limit, request, reply, source in ((77, ("COPY", "stream", "copy"), 1, 1), (78, ("RENAME", "stream", "new"), "OK", 0)):
            for bus in buses:
                bus.client_pause(20_000, all=False)  # what only reads goes on
            client.send(*request)
            wait_for(lambda: any(bus.info("clients")["blocked_clients"] for bus in buses), "a bus holds its part back")
            self.daemon.reload(merge(self.stack.config, {"limits": {"max_clients": limit}}))
            wait_for(lambda n=limit: other.call("CONFIG", "GET", "maxclients")[1] == b"%d" % n, "the reload")  # pylint: disable=cell-var-from-loop
            for bus in buses:
                bus.client_unpause()
            self.assertEqual(client.read(), reply)
            self.assertEqual([(bus.exists("stream"), bus.exists(request[2])) for bus in buses], [(source, 1)] * 2, request)


class RefusedFlushTest(StackTest):
    def test_flush_is_refused_unless_the_configuration_allows_it(self):
        client = self.connect()
        client.call("MSET", "md:1", 1, "x", 2)
        for request in ("FLUSHALL", "FLUSHDB", "flushall async"):
            self.assertRegex(client.call(*request.split()), "^NOTSUPPORTED .*flush: allowed")
        self.assertEqual(client.call("DBSIZE"), 2)


if __name__ == "__main__":
    unittest.main()
