"""Commands on keys that lie on different buses: split, asked everywhere, merged, or refused before anything happens."""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, running, shown, wait_for
from support.resp import encode


class KeysTest(StackTest):
    """Keys md:* are pinned to marketdata, el:* to engine_logic; others go to the default bus, engine_logic."""

    def keys(self, bus):
        return {key.decode() for key in self.client(self.stack.buses[bus]).keys()}

    def make_stream(self, key, buses):
        for number, bus in enumerate(buses, 1):
            self.client(self.stack.buses[bus]).xadd(key, {"a": "b"}, id=f"{number}-1")

    def test_mset_and_mget_are_split_by_key_and_merged_in_the_order_asked(self):
        client = self.connect()
        self.assertEqual(client.call("MSET", "md:1", "a", "x", "b", "md:2", "c", "el:1", "d", "x", "e"), "OK")
        self.assertEqual(self.keys(MARKETDATA), {"md:1", "md:2"})
        self.assertEqual(self.keys(ENGINE_LOGIC), {"x", "el:1"})
        self.assertEqual(client.call("MGET", "x", "md:2", "none", "el:1", "md:1", "md:none", "x"),
                         [b"e", b"c", None, b"d", b"a", None, b"e"])
        self.assertEqual(self.connect(3).call("MGET", "md:1", "none", "x"), [b"a", None, b"e"])
        self.client(self.stack.marketdata).lpush("md:list", "x")
        self.assertEqual(client.call("MGET", "md:list", "x"), [None, b"e"])
        self.assertEqual(client.call("MSET", "md:1", "a", "x"), "ERR wrong number of arguments for 'mset' command")

    def test_del_and_unlink_count_each_key_once_wherever_its_parts_lie(self):
        client = self.connect()
        for command in ("DEL", "UNLINK"):
            client.call("MSET", "md:1", 1, "x", 2, "el:1", 3)
            self.make_stream("stream", (MARKETDATA, ENGINE_LOGIC))
            self.make_stream("half", (MARKETDATA,))
            self.assertEqual(client.call(command, "md:1", "x", "none", "stream", "half", "x", "el:1"), 5)
            self.assertEqual(self.keys(MARKETDATA) | self.keys(ENGINE_LOGIC), set())
            self.assertEqual(client.call(command, "stream", "md:1"), 0)

    def test_exists_and_touch_count_keys_not_parts(self):
        client = self.connect()
        client.call("MSET", "md:1", 1, "x", 2)
        self.make_stream("stream", (MARKETDATA, ENGINE_LOGIC))
        for command in ("EXISTS", "TOUCH"):
            self.assertEqual(client.call(command, "md:1", "x", "stream", "none"), 3)
            self.assertEqual(client.call(command, "stream", "stream", "md:1", "md:1"), 4)
            self.assertEqual(client.call(command, "stream"), 1)
            self.assertEqual(client.call(command, "none"), 0)

    def test_type_finds_a_stream_on_any_bus(self):
        client = self.connect()
        self.make_stream("stream", (MARKETDATA,))
        client.call("SET", "md:1", 1)
        client.call("HSET", "hash", "a", "b")
        self.assertEqual([client.call("TYPE", key) for key in ("stream", "md:1", "hash", "none", "md:none")],
                         ["stream", "string", "hash", "none", "none"])

    def test_a_key_renamed_to_its_own_name_stays_as_it_is(self):
        client, bare = self.connect(), self.connect(to=self.stack.add_redis("bare"))
        for connection in (client, bare):
            connection.call("SET", "plain", 1)
            connection.call("XADD", "stream", "*", "message_type", "market_data")
        for request in ("RENAME none none", "RENAMENX none none", "COPY none none", "RENAME plain plain", "RENAMENX plain plain", "COPY plain plain",
                        "RENAME stream stream", "RENAMENX stream stream", "COPY stream stream", "GET plain", "XLEN stream"):
            self.assertEqual(client.call(*request.split()), bare.call(*request.split()), request)

    def test_entries_are_not_lost_while_their_stream_is_renamed_to_its_own_name(self):
        renaming, client = self.connect(), self.connect()
        for number in range(300):
            key = f"stream{number}"
            # There is something to rename on one bus, and nothing yet on the other.
            kinds = ("market_data", "order_request")[::1 - 2 * (number % 2)]
            entries = [client.call("XADD", key, "*", "message_type", kinds[0])]
            renaming.send_raw(encode("RENAME", key, key) * 5)
            entries += [client.call("XADD", key, "*", "message_type", kind) for kind in kinds[::-1]]
            self.assertEqual([renaming.read() for _ in range(5)], ["OK"] * 5)
            self.assertEqual(client.call("XLEN", key), len(entries), f"acknowledged and lost: {entries}")
            client.call("DEL", key)

    def test_time_to_live_covers_all_parts_of_a_stream(self):
        client = self.connect()
        self.make_stream("stream", (MARKETDATA, ENGINE_LOGIC))
        self.assertEqual(client.call("TTL", "stream"), -1)
        self.assertEqual(client.call("EXPIRE", "stream", 100), 1)
        for bus in self.stack.buses.values():
            self.assertGreater(self.client(bus).ttl("stream"), 90)
        self.assertIn(client.call("TTL", "stream"), (99, 100))
        self.client(self.stack.marketdata).expire("stream", 5000)
        self.assertGreater(client.call("PTTL", "stream"), 4_000_000)
        self.client(self.stack.marketdata).persist("stream")
        self.assertEqual(client.call("TTL", "stream"), -1)
        self.assertEqual(client.call("PERSIST", "stream"), 1)
        self.assertEqual(client.call("PERSIST", "stream"), 0)
        self.assertEqual(client.call("EXPIREAT", "stream", 9999999999), 1)
        self.assertEqual(client.call("EXPIRETIME", "stream"), 9999999999)
        self.assertEqual(client.call("TTL", "none"), -2)
        self.assertEqual(client.call("EXPIRE", "none", 5), 0)
        self.assertEqual(client.call("EXPIRE", "stream", "x"), "ERR value is not an integer or out of range")
        self.assertEqual(client.call("EXPIRE", "stream", -1), 1)
        self.assertEqual(client.call("EXISTS", "stream"), 0)

    def test_object_and_memory_usage_find_the_parts(self):
        client = self.connect()
        self.make_stream("stream", (MARKETDATA,))
        self.assertEqual(client.call("OBJECT", "ENCODING", "stream"), b"stream")
        one_part = client.call("MEMORY", "USAGE", "stream")
        self.assertEqual(one_part, self.client(self.stack.marketdata).memory_usage("stream"))
        self.make_stream("stream", (ENGINE_LOGIC,))
        self.assertEqual(client.call("MEMORY", "USAGE", "stream", "SAMPLES", 0),
                         sum(self.client(bus).memory_usage("stream", samples=0) for bus in self.stack.buses.values()))
        client.call("SET", "md:1", 12)
        self.assertEqual(client.call("OBJECT", "ENCODING", "md:1"), b"int")
        self.assertIsNone(client.call("OBJECT", "ENCODING", "none"))
        self.assertIsNone(client.call("MEMORY", "USAGE", "none"))
        self.assertRegex(client.call("MEMORY", "STATS"), "^NOTSUPPORTED ")

    def test_commands_that_would_need_two_buses_are_refused_and_do_nothing(self):
        client = self.connect()
        client.call("MSET", "md:a", 1, "b", 2)
        for request in ("MSETNX md:n 1 n 2", "RPOPLPUSH md:l l", "LMOVE md:l l LEFT LEFT", "SINTER md:s s", "SUNIONSTORE d md:s s",
                        "SMOVE md:s s 1", "ZUNIONSTORE d 2 md:z z", "ZRANGESTORE md:z z 0 -1", "PFMERGE md:h h", "PFCOUNT md:h h",
                        "BITOP AND md:d b", "LCS md:a b", "RENAME md:a el:a", "COPY md:a el:a", "SORT b STORE md:d",
                        "GEOSEARCHSTORE md:g g FROMLONLAT 1 1 BYRADIUS 1 km", "SINTERCARD 2 md:s s", "LMPOP 2 md:l l LEFT",
                        "GEORADIUS g 1 1 1 km STORE md:d"):
            reply = client.call(*request.split())
            self.assertRegex(reply, f"^CROSSBUS command '{request.split()[0]}' has keys on different buses", request)
        self.assertEqual(self.keys(MARKETDATA), {"md:a"})
        self.assertEqual(self.keys(ENGINE_LOGIC), {"b"})
        # On one bus they work.
        self.assertEqual(client.call("RENAME", "md:a", "md:b"), "OK")
        self.assertEqual(client.call("SUNIONSTORE", "md:d", "md:s", "md:t"), 0)

    def test_sort_reads_what_its_patterns_stand_for_or_says_that_it_cannot(self):
        client = self.connect()
        for bus, prefix in ((MARKETDATA, "md:"), (ENGINE_LOGIC, "")):
            direct = self.client(self.stack.buses[bus])
            direct.rpush(prefix + "l", 3, 1, 2)
            direct.mset({prefix + "w_1": 30, prefix + "w_2": 20, prefix + "w_3": 10})
            direct.hset(prefix + "h_2", "f", "two")
        for command in ("SORT", "SORT_RO"):
            self.assertEqual(client.call(command, "md:l", "BY", "md:w_*", "GET", "#", "GET", "md:h_*->f"), [b"3", None, b"2", b"two", b"1", None])
            self.assertEqual(client.call(command, "l", "BY", "w_*"), [b"3", b"2", b"1"])
            self.assertEqual(client.call(command, "md:l", "BY", "nosort", "GET", "none"), [None] * 3)
            for rest in ("md:l BY w_*", "l BY md:w_*", "l BY nosort GET md:w_*", "l BY m*"):
                self.assertRegex(client.call(command, *rest.split()), f"^CROSSBUS command '{command}' has keys and the pattern '")
        self.assertEqual(client.call("SORT", "l", "BY", "w_*", "STORE", "sorted"), 3)
        self.assertEqual(client.call("LRANGE", "sorted", 0, -1), [b"3", b"2", b"1"])
        # In a transaction, too, whether it asks one bus or more.
        for others in ((), (("GET", "md:w_1"),)):
            replies = [client.call(*request) for request in (("MULTI",), *others, ("SORT_RO", "l", "BY", "w_*"), ("EXEC",))]
            self.assertEqual(replies[-1][-1], [b"3", b"2", b"1"])
            self.assertEqual(client.call("MULTI"), "OK")
            self.assertRegex(client.call("SORT_RO", "l", "BY", "md:w_*"), "^CROSSBUS ")
            self.assertRegex(client.call("EXEC"), "^EXECABORT ")

    def test_commands_without_support_say_so_and_the_connection_goes_on(self):
        for protocol in (2, 3):
            client = self.connect(protocol)
            for request in ("SCRIPT DEBUG YES", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "MOVE k 1",
                            "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "DEBUG SLEEP 0", "SYNC", "MIGRATE h 1 k 0 0", "BGSAVE", "CONFIG SET maxmemory 1"):
                self.assertRegex(client.call(*request.split()), "^NOTSUPPORTED ", request)
            self.assertEqual(client.call("PING"), "PONG")
        self.assertEqual(self.keys(MARKETDATA) | self.keys(ENGINE_LOGIC), set())
        self.assertTrue(all(bus.running() for bus in self.stack.buses.values()))

    def test_pinned_streams_have_all_commands_of_streams(self):
        client = self.connect()
        ids = [client.call("XADD", "md:s", f"{number}-1", "f", number) for number in range(1, 5)]
        self.assertEqual(client.call("XGROUP", "CREATE", "md:s", "g", "0"), "OK")
        got = client.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "STREAMS", "md:s", ">")
        self.assertEqual([entry for entry, _ in got[0][1]], ids[:2])
        self.assertEqual(client.call("XACK", "md:s", "g", ids[0]), 1)
        self.assertEqual(client.call("XPENDING", "md:s", "g"), [1, ids[1], ids[1], [[b"c", b"1"]]])
        self.assertEqual(client.call("XTRIM", "md:s", "MINID", "3"), 2)
        self.assertEqual(client.call("XLEN", "md:s"), 2)
        self.assertEqual(client.call("XREAD", "COUNT", 1, "STREAMS", "md:s", "3-1")[0][1][0][0], ids[3])
        self.assertEqual(client.call("XINFO", "GROUPS", "md:s")[0][1], b"g")
        self.assertEqual(self.keys(ENGINE_LOGIC), set())

    def test_answers_come_in_order_though_one_bus_is_slow(self):
        client = self.connect()
        client.call("MSET", "md:1", "slow", "x", "fast")
        with self.connect(to=self.stack.marketdata) as sleeper, running(lambda: sleeper.call("DEBUG", "SLEEP", "0.5")):
            wait_for(lambda: not self._answers_quickly(self.stack.marketdata), "the bus sleeps")
            other = self.connect()
            client.send_raw(b"".join(map(lambda words: b" ".join(words) + b"\r\n",
                                         [(b"GET", b"md:1"), (b"GET", b"x"), (b"MGET", b"x", b"md:1"), (b"PING",), (b"EXISTS", b"x")])))
            # A client that does not need the slow bus is not kept waiting.
            self.assertEqual(other.call("GET", "x"), b"fast")
            self.assertEqual([client.read() for _ in range(5)], [b"slow", b"fast", [b"fast", b"slow"], "PONG", 1])

    @staticmethod
    def _answers_quickly(server):
        with server.connect(timeout=0.05) as probe:
            try:
                return probe.call("PING") == "PONG"
            except TimeoutError:
                return False

    def test_a_stream_part_is_found_whichever_bus_holds_it(self):
        client = self.connect()
        self.client(self.stack.marketdata).xadd("s", {"a": "b"}, id="5-1")
        self.assertEqual(client.call("XLEN", "s"), 1)
        self.assertEqual(client.call("XRANGE", "s", "-", "+"), [[shown("5-1", MARKETDATA).encode(), [b"a", b"b"]]])
        self.assertEqual(client.call("XDEL", "s", shown("5-1", ENGINE_LOGIC), "5-1", shown("5-1", MARKETDATA)), 1)


if __name__ == "__main__":
    unittest.main()
