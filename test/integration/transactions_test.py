"""MULTI, EXEC, DISCARD, WATCH: as Redis answers for keys of one bus, in one piece per bus for the rest."""
import asyncio
import time
import unittest

import redis
import redis.asyncio

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, merge, running, stored, wait_for

# Each is one client's requests, sent at once; the keys are pinned to one bus.
TRANSCRIPTS = {
    "plain": [("MULTI",), ("SET", "md:a", 1), ("INCR", "md:a"), ("GET", "md:a"), ("EXEC",), ("GET", "md:a")],
    "empty": [("MULTI",), ("EXEC",), ("PING",)],
    "errors at the end": [("SET", "md:a", "x"), ("MULTI",), ("INCR", "md:a"), ("LPUSH", "md:a", 1), ("GET", "md:a"), ("EXEC",)],
    "nulls and nesting": [("MULTI",), ("GET", "md:none"), ("HGETALL", "md:none"), ("RPUSH", "md:l", "a", "b"), ("LRANGE", "md:l", 0, -1),
                          ("ZADD", "md:z", 1, "a"), ("ZSCORE", "md:z", "a"), ("HSET", "md:h", "f", "v"), ("HGETALL", "md:h"),
                          ("SADD", "md:s", "x"), ("SMEMBERS", "md:s"), ("LPOP", "md:none", 3), ("EXEC",)],
    "nested": [("MULTI",), ("SET", "md:a", 1), ("MULTI",), ("EXEC",), ("GET", "md:a")],
    "unknown command": [("MULTI",), ("NOSUCH", "x"), ("SET", "md:a", 1), ("EXEC",), ("GET", "md:a")],
    "arity": [("MULTI",), ("GET",), ("SET", "md:a", 1), ("EXEC",), ("GET", "md:a")],
    "arity of EXEC": [("MULTI",), ("SET", "md:a", 1), ("EXEC", "x"), ("GET", "md:a"), ("EXEC",)],
    "arity of MULTI": [("MULTI", "x"), ("MULTI",), ("MULTI", "x"), ("EXEC",), ("EXEC",)],
    "discard": [("MULTI",), ("SET", "md:a", 1), ("DISCARD",), ("GET", "md:a"), ("DISCARD",)],
    "discard of what is spoiled": [("MULTI",), ("GET",), ("DISCARD",), ("MULTI",), ("SET", "md:a", 1), ("EXEC",)],
    "without MULTI": [("EXEC",), ("DISCARD",), ("UNWATCH",)],
    "watch inside": [("MULTI",), ("WATCH", "md:a"), ("SET", "md:a", 1), ("EXEC",), ("GET", "md:a")],
    "unwatch inside": [("WATCH", "md:a"), ("MULTI",), ("UNWATCH",), ("SET", "md:a", 1), ("EXEC",)],
    "watch, unchanged": [("SET", "md:a", 1), ("WATCH", "md:a", "md:b"), ("GET", "md:a"), ("MULTI",), ("SET", "md:a", 2), ("EXEC",), ("GET", "md:a")],
    "watch, changed by itself": [("WATCH", "md:a"), ("SET", "md:a", 1), ("MULTI",), ("SET", "md:a", 2), ("EXEC",), ("GET", "md:a"),
                                 ("MULTI",), ("SET", "md:a", 3), ("EXEC",)],
    "watch, changed, nothing queued": [("WATCH", "md:a"), ("SET", "md:a", 1), ("MULTI",), ("EXEC",)],
    "watch, spoiled": [("WATCH", "md:a"), ("SET", "md:a", 1), ("MULTI",), ("GET",), ("EXEC",)],
    "unwatch": [("WATCH", "md:a"), ("UNWATCH",), ("SET", "md:a", 1), ("MULTI",), ("SET", "md:a", 2), ("EXEC",)],
    "watch, discard": [("WATCH", "md:a"), ("MULTI",), ("DISCARD",), ("SET", "md:a", 1), ("MULTI",), ("SET", "md:a", 2), ("EXEC",)],
    "watch without keys": [("WATCH",)],
    "answered by the daemon": [("MULTI",), ("PING",), ("SET", "md:a", 1), ("ECHO", "hi"), ("SELECT", 0), ("PING", "x"), ("GET", "md:a"),
                               ("CLIENT", "SETNAME", "n"), ("CLIENT", "GETNAME"), ("SELECT", 99), ("EXEC",), ("CLIENT", "GETNAME")],
    "does not wait": [("MULTI",), ("BLPOP", "md:none", 0), ("RPUSH", "md:l", 1), ("BLPOP", "md:l", 0), ("XREAD", "BLOCK", 0, "STREAMS", "md:x", "$"),
                      ("BLMOVE", "md:none", "md:l", "LEFT", "LEFT", 0), ("EXEC",)],
    "streams": [("MULTI",), ("XADD", "md:x", "1-1", "a", "b"), ("XADD", "md:x", "1-1", "a", "b"), ("XLEN", "md:x"), ("XRANGE", "md:x", "-", "+"),
                ("XGROUP", "CREATE", "md:x", "g", "0"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "md:x", ">"), ("XACK", "md:x", "g", "1-1"),
                ("XREADGROUP", "GROUP", "none", "c", "STREAMS", "md:x", ">"), ("EXEC",)],
    "many keys": [("MULTI",), ("MSET", "md:a", 1, "md:b", 2), ("MGET", "md:a", "md:none", "md:b"), ("EXISTS", "md:a", "md:a", "md:none"),
                  ("DEL", "md:a", "md:none"), ("TYPE", "md:b"), ("TTL", "md:b"), ("EXPIRE", "md:b", 100), ("EXEC",)],
    "reset": [("MULTI",), ("SET", "md:a", 1), ("RESET",), ("EXEC",), ("GET", "md:a")],
    "quit": [("MULTI",), ("SET", "md:a", 1), ("QUIT",)],
    "silent MULTI": [("CLIENT", "REPLY", "SKIP"), ("MULTI",), ("SET", "md:a", 1), ("EXEC",), ("GET", "md:a")],
    "silent for a while": [("CLIENT", "REPLY", "OFF"), ("MULTI",), ("SET", "md:a", 1), ("EXEC",), ("CLIENT", "REPLY", "ON"), ("GET", "md:a")],
    "EXEC skipped": [("MULTI",), ("SET", "md:a", 1), ("EXEC",), ("CLIENT", "REPLY", "SKIP"), ("EXEC",), ("PING",)],
    "monitor inside": [("MULTI",), ("MONITOR",), ("SET", "md:a", 1), ("EXEC",), ("GET", "md:a")],
    "with a subscription": [("SUBSCRIBE", "c"), ("EXEC",), ("MULTI",), ("SET", "md:a", 1), ("EXEC", "x"), ("exec",), ("DISCARD",), ("PING",)],
    "not allowed": [("MULTI",), ("SAVE",), ("SET", "md:a", 1), ("EXEC",), ("GET", "md:a")],
    "two": [("MULTI",), ("SET", "md:a", 1), ("EXEC",), ("MULTI",), ("INCR", "md:a"), ("EXEC",), ("INCR", "md:a"), ("MULTI",), ("GET", "md:a"), ("EXEC",)],
}


class AsRedisTest(StackTest):
    def bytes_of(self, server, protocol, requests):
        """Everything that comes back, from a server that has none of the keys."""
        with self.stack.marketdata.client() as bus:
            bus.flushall()
        connection = self.connect(protocol, to=server)
        ending = [] if requests[-1] == ("QUIT",) else [("ECHO", "end")]
        connection.send_raw(b"".join(resp.encode(*request) for request in [*requests, *ending]))
        if ending:
            connection.end_requests()
        return connection.read_rest()

    def test_pinned_keys_get_what_redis_says(self):
        for name, requests in TRANSCRIPTS.items():
            for protocol in (2, 3):
                with self.subTest(name, protocol=protocol):
                    expected = self.bytes_of(self.stack.marketdata, protocol, requests)
                    self.assertEqual(self.bytes_of(self.daemon, protocol, requests), expected)

    def test_requests_one_by_one_get_what_redis_says(self):
        for name in ("plain", "errors at the end", "watch, changed by itself", "answered by the daemon", "arity"):
            replies = []
            for server in (self.stack.marketdata, self.daemon):
                self.stack.flush()
                connection = self.connect(to=server)
                replies.append([connection.call_raw(*request) for request in TRANSCRIPTS[name]])
            with self.subTest(name):
                self.assertEqual(*replies)

    def test_inline_commands_are_queued(self):
        connection = self.connect()
        connection.send_raw(b"MULTI\r\nSET md:a 'x y'\r\nEXEC\r\n")
        self.assertEqual([connection.read() for _ in range(3)], ["OK", "QUEUED", ["OK"]])
        self.assertEqual(self.client(self.stack.marketdata).get("md:a"), b"x y")

    def test_one_bus_gets_it_in_one_piece(self):
        with self.stack.marketdata.client().monitor() as monitor:
            lines = monitor.listen()
            self.connect().pipeline([("MULTI",), ("SET", "md:a", 1), ("INCR", "md:a"), ("EXEC",)])
            seen = []
            while "EXEC" not in seen:
                seen.append(next(lines)["command"])
        self.assertEqual(seen[-4:], ["MULTI", "SET md:a 1", "INCR md:a", "EXEC"])

    def test_a_client_that_changes_its_protocol_behind_watch_is_answered_in_it(self):
        for first, second, nothing in ((2, 3, b"_\r\n"), (3, 2, b"*-1\r\n")):
            client, other = self.connect(first), self.connect()
            for changed, answer in ((False, b"%0\r\n" if second == 3 else b"*0\r\n"), (True, nothing)):
                self.assertEqual(client.call("HELLO", first) and client.call("WATCH", "md:a"), "OK")
                client.call("HELLO", second)
                if changed:
                    other.call("SET", "md:a", second)
                client.call("MULTI")
                client.call("HGETALL", "md:none")
                raw = client.call_raw("EXEC")
                self.assertEqual(raw, answer if changed else b"*1\r\n" + answer)

    def test_nothing_runs_before_exec(self):
        connection = self.connect()
        connection.pipeline([("MULTI",), ("SET", "md:a", 1)])
        self.assertIsNone(self.client(self.stack.marketdata).get("md:a"))
        connection.close()
        wait_for(lambda: self.daemon.metrics().value("dualbus_clients") == 0, "the client has gone")
        self.assertIsNone(self.client(self.stack.marketdata).get("md:a"))

    def test_a_client_in_a_transaction_is_listed_as_such(self):
        connection = self.connect()
        connection.pipeline([("CLIENT", "SETNAME", "queuing"), ("MULTI",), ("SET", "md:a", 1), ("SET", "md:b", 1)])
        line = next(c for c in self.client().client_list() if c["name"] == "queuing")
        self.assertEqual((line["multi"], line["flags"]), ("2", "x"))
        connection.call("DISCARD")

    def test_several_answers_of_all_workers_in_one_transaction(self):
        connection = self.connect()
        replies = connection.pipeline([("MULTI",), ("CLIENT", "LIST"), ("SET", "md:a", 1), ("INFO", "server"), ("GET", "md:a"), ("EXEC",)])
        self.assertEqual(len(replies[-1]), 4)
        self.assertIn(b"multi=", replies[-1][0])
        self.assertIn(b"redis_version", replies[-1][2])
        self.assertEqual(replies[-1][1::2], ["OK", b"1"])

    def test_each_command_is_counted_once(self):
        counted = {name: self.counted("dualbus_requests_total", cmd=name) for name in ("set", "multi", "exec")}
        connection = self.connect()
        for growth in counted.values():
            growth.__enter__()
        connection.pipeline([("MULTI",), ("SET", "md:a", 1), ("SET", "md:b", 1), ("EXEC",)])
        self.assertEqual({name: growth.value for name, growth in counted.items()}, {"set": 2, "multi": 1, "exec": 1})


class TwoBusesTest(StackTest):
    config = {"backend": {"dedicated_connections": 3, "reconnect_wait": "300ms"}}

    def entries(self, bus, key="s"):
        return [entry.decode() for entry, _ in self.client(self.stack.buses[bus]).xrange(key)]

    def check_pipeline(self, ids):
        self.assertEqual([stored(entry)[0] for entry in ids], [MARKETDATA, ENGINE_LOGIC] * 5)
        for bus in (MARKETDATA, ENGINE_LOGIC):
            self.assertEqual(self.entries(bus), [stored(entry)[1] for entry in ids if stored(entry)[0] == bus])

    def test_pipeline_of_redis_py_with_mixed_types(self):
        client = self.client(decode_responses=True)
        with client.pipeline() as pipe:
            for _ in range(5):
                pipe.xadd("s", {"message_type": "market_data"}).xadd("s", {"message_type": "order_request"})
            pipe.set("x", 1).get("x").setex("md:y", 100, 2).hset("h", mapping={"a": 1}).xtrim("s", minid="0-1", approximate=True)
            replies = pipe.execute()
        self.check_pipeline(replies[:10])
        self.assertEqual(replies[10:], [True, "1", True, 1, 0])

    def test_pipeline_of_redis_py_asyncio(self):
        async def work():
            client = redis.asyncio.Redis(port=self.daemon.port, decode_responses=True, health_check_interval=30)
            async with client.pipeline() as pipe:
                for _ in range(5):
                    pipe.xadd("s", {"message_type": "market_data"}).xadd("s", {"message_type": "order_request"})
                replies = await pipe.execute()
            await client.close()
            return replies

        self.check_pipeline(asyncio.run(work()))

    def test_transaction_of_redis_py_counts_exactly(self):
        for key in ("counter", "md:counter"):
            def count(key=key):
                client = self.daemon.client()

                def step(pipe):
                    value = int(pipe.get(key) or 0)
                    pipe.multi()
                    pipe.set(key, value + 1)

                for _ in range(20):
                    client.transaction(step, key)
                client.close()

            with running(count), running(count):
                pass
            self.assertEqual(self.client().get(key), b"40")

    def test_requests_of_one_client_keep_their_order(self):
        for protocol in (2, 3):
            self.stack.flush()
            replies = self.connect(protocol).pipeline(
                [("SET", "a", 1), ("SET", "md:a", 1), ("MULTI",), ("INCR", "a"), ("INCR", "md:a"), ("EXEC",), ("INCR", "a"), ("INCR", "md:a")])
            self.assertEqual(replies, ["OK", "OK", "OK", "QUEUED", "QUEUED", [2, 2], 3, 3])

    def test_split_commands_are_merged_in_their_place(self):
        connection = self.connect()
        plain = [("MSET", "a", 1, "md:a", 2), ("MGET", "a", "md:a", "none"), ("EXISTS", "a", "md:a", "none"), ("TOUCH", "a", "md:a"),
                 ("TYPE", "a"), ("TTL", "a"), ("EXPIRE", "a", 100), ("PERSIST", "a"), ("OBJECT", "ENCODING", "a"), ("PING",), ("XLEN", "s"),
                 ("XRANGE", "s", "-", "+"), ("XREVRANGE", "s", "+", "-", "COUNT", 3), ("XREAD", "COUNT", 2, "STREAMS", "s", "0"),
                 ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), ("XPENDING", "s", "g"), ("XPENDING", "s", "g", "-", "+", 10), ("XINFO", "GROUPS", "s"),
                 ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0"), ("XTRIM", "s", "MAXLEN", 100), ("XLEN", "none"),
                 ("XREADGROUP", "GROUP", "none", "c", "STREAMS", "s", ">"), ("XRANGE", "a", "-", "+"), ("DEL", "a", "md:a", "none")]
        self.add_entries(connection)
        connection.call("XGROUP", "CREATE", "s", "g", "0")
        connection.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0")  # now the group has the consumer
        alone = [connection.call(*request) for request in plain if "BLOCK" not in request]
        replies = connection.pipeline([("MULTI",), *plain, ("EXEC",)])
        blocked = next(i for i, request in enumerate(plain) if "BLOCK" in request)
        self.assertEqual(replies[1:-1], ["QUEUED"] * len(plain))
        self.assertIsNone(replies[-1].pop(blocked))
        self.assertEqual(replies[-1], alone)

    @staticmethod
    def add_entries(connection):
        ids = [connection.call("XADD", "s", "*", "message_type", kind) for kind in ("market_data", "order_request") * 3]
        last = int(ids[-1].split(b"-")[0])
        # XREAD holds back an entry that is as young as the buses' clocks.
        wait_for(lambda: time.time() * 1000 > last + 2, "time passes")
        return ids

    def test_new_entries_of_a_group_come_once(self):
        connection = self.connect()
        ids = self.add_entries(connection)
        connection.call("XGROUP", "CREATE", "s", "g", "0")
        read = ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        replies = connection.pipeline([("MULTI",), read, ("XACK", "s", "g", *ids), read, ("XLEN", "s"), ("XDEL", "s", *ids[:2]), ("EXEC",)])[-1]
        self.assertEqual([entry for entry, _ in replies[0][0][1]], sorted(ids, key=lambda i: tuple(map(int, i.split(b"-")))))
        self.assertEqual(replies[1:], [6, None, 6, 2])

    def test_counted_reads_of_a_group_take_no_more(self):
        connection = self.connect()
        ids = self.add_entries(connection)
        connection.call("XGROUP", "CREATE", "s", "g", "0")
        seen = []
        for _ in range(10):
            read = connection.pipeline([("MULTI",), ("XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "STREAMS", "s", ">"), ("EXEC",)])[-1][0]
            self.assertLessEqual(len(read[0][1]) if read else 0, 2)
            seen += [entry for entry, _ in read[0][1]] if read else []
        self.assertEqual(sorted(seen), sorted(ids))

    def test_what_takes_several_rounds_is_refused_and_nothing_runs(self):
        for request in (("XGROUP", "CREATE", "s", "g", "0"), ("XAUTOCLAIM", "s", "g", "c", 0, "0"), ("XREAD", "STREAMS", "s", "+"),
                        ("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "s", "0"), ("XADD", "s", "NOMKSTREAM", "*", "a", "b"),
                        ("HELLO", 3), ("CLIENT", "REPLY", "OFF"), ("SUBSCRIBE", "c"), ("RENAME", "a", "md:a"), ("SINTER", "a", "md:a")):
            with self.subTest(request):
                replies = self.connect().pipeline([("MULTI",), ("SET", "x", 1), request, ("EXEC",), ("GET", "x")])
                self.assertRegex(replies[2], "^(NOTSUPPORTED|CROSSBUS) ")
                self.assertRegex(replies[3], "^EXECABORT Transaction discarded because of previous errors.")
                self.assertIsNone(replies[4])

    def test_parked_readers_are_woken(self):
        for kinds in (("market_data",), ("market_data", "order_request")):
            with self.subTest(kinds):
                reader = self.connect()
                reader.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
                reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 20000, "STREAMS", "s", ">")
                wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "the reader waits")
                ids = self.connect().pipeline([("MULTI",), *(("XADD", "s", "*", "message_type", kind) for kind in kinds), ("EXEC",)])[-1]
                self.assertIn(reader.read()[0][1][0][0], ids)
                reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")

    def test_messages_to_a_subscriber_come_between_its_replies(self):
        client, publisher = self.connect(protocol=3), self.connect()
        client.send("SUBSCRIBE", "c")
        self.assertEqual(client.read()[:2], [b"subscribe", b"c"])
        for _ in range(50):
            client.send_raw(b"".join(resp.encode(*words) for words in (
                ("MULTI",), ("SET", "md:k", 1), ("SET", "el:k", 2), ("PUBLISH", "c", "own"), ("GET", "md:k"), ("EXEC",))))
            publisher.call("PUBLISH", "c", "other")
            replies, messages = [], []
            while len(messages) < 2 or len(replies) < 6:
                reply = client.read()
                pushed = isinstance(reply, list) and reply[:1] == [b"message"]
                (messages if pushed else replies).append(reply)
            self.assertEqual(replies[:5], ["OK"] + ["QUEUED"] * 4)
            self.assertEqual(replies[5][:2] + replies[5][3:], ["OK", "OK", b"1"])
            self.assertEqual(sorted(message[2] for message in messages), [b"other", b"own"])

    def test_subscriptions_inside_are_refused(self):
        client = self.connect()
        self.assertEqual(client.call("MULTI"), "OK")
        self.assertRegex(client.call("SUBSCRIBE", "c"), "^NOTSUPPORTED ")
        self.assertRegex(client.call("EXEC"), "^EXECABORT ")
        self.assertEqual(client.call("PUBLISH", "c", "m"), 0)

    def test_the_bus_of_a_watched_key_decides_for_the_others(self):
        """`gone` is on no bus: DEL asks all of them."""
        crossing = [("MULTI",), ("SET", "b", 1), ("SET", "md:a", 1), ("DEL", "b", "gone"), ("XADD", "s", "*", "message_type", "market_data"),
                    ("EXEC",), ("EXISTS", "md:a", "s")]
        for protocol in (2, 3):
            for watched in ("md:w", "w"):
                self.stack.flush()
                connection, bus = self.connect(protocol), self.client(self.stack.buses[MARKETDATA if watched == "md:w" else ENGINE_LOGIC])
                self.assertEqual(connection.call("WATCH", watched), "OK")
                bus.incr(watched)
                self.assertEqual(connection.pipeline(crossing)[5:], [None, 0])
                self.assertEqual(connection.call("WATCH", watched), "OK")
                replies = connection.pipeline(crossing)
                self.assertEqual((replies[5][:3], replies[6]), (["OK", "OK", 1], 2))
                self.assertEqual(stored(replies[5][3])[0], MARKETDATA)

    def test_a_watched_key_and_commands_for_the_other_bus_only(self):
        connection = self.connect()
        replies = connection.pipeline([("WATCH", "md:w"), ("MULTI",), ("SET", "b", 1), ("EXEC",), ("GET", "b")])
        self.assertEqual(replies[3:], [["OK"], b"1"])
        connection.call("WATCH", "md:w")
        self.client(self.stack.marketdata).incr("md:w")
        self.assertEqual(connection.pipeline([("MULTI",), ("SET", "b", 2), ("EXEC",), ("GET", "b")])[2:], [None, b"1"])

    def test_keys_of_two_buses_cannot_be_watched_together(self):
        self.assertRegex(self.connect().call("WATCH", "a", "md:a"), "^CROSSBUS ")

    def test_changes_by_others_are_seen(self):
        for protocol in (2, 3):
            connection = self.connect(protocol)
            connection.call("WATCH", "md:a")
            self.client(self.stack.marketdata).incr("md:a")
            replies = [connection.call_raw("MULTI"), connection.call_raw("SET", "md:a", "mine"), connection.call_raw("EXEC")]
            self.assertEqual(replies, [b"+OK\r\n", b"+QUEUED\r\n", b"_\r\n" if protocol == 3 else b"*-1\r\n"])

    def test_a_lost_watch_aborts(self):
        connection = self.connect()
        connection.call("WATCH", "md:a")
        bus = self.client(self.stack.marketdata)
        bus.client_kill_filter(_type="normal", skipme=True)
        self.await_connections()
        self.assertEqual(connection.pipeline([("MULTI",), ("SET", "md:a", 1), ("EXEC",)]), ["OK", "QUEUED", None])
        self.assertIsNone(bus.get("md:a"))
        self.assertEqual(connection.pipeline([("MULTI",), ("SET", "md:a", 1), ("EXEC",)]), ["OK", "QUEUED", ["OK"]])

    def test_an_exhausted_pool_is_an_error_and_nothing_runs(self):
        watchers, connection = [], self.connect()
        while (reply := connection.call("WATCH", "md:w")) == "OK":
            watchers.append(connection)
            self.assertLessEqual(len(watchers), 3 * self.stack.config["workers"])
            connection = self.connect()
        self.assertGreaterEqual(len(watchers), 3)
        self.assertRegex(reply, "^ERR dualbus: all 3 connections to bus 'marketdata'")
        for watcher in watchers:
            watcher.close()
        wait_for(lambda: connection.call("WATCH", "md:w") == "OK", "a vanished client gives its connection back")

    def test_transactions_wait_for_a_connection_as_long_as_for_an_answer(self):
        crossing = [("MULTI",), ("SET", "a", 1), ("SET", "md:a", 1), ("EXEC",), ("GET", "a")]
        self.daemon.reload(merge(self.stack.config, {"backend": {"dedicated_connections": 1, "request_timeout": "1s"}}))
        self.addCleanup(self.daemon.reload, self.stack.config)
        first = [self.connect() for _ in range(2 * self.stack.config["workers"])]
        self.stack.marketdata.pause()
        try:
            for connection in first:
                connection.send_raw(b"".join(resp.encode(*request) for request in crossing))
            replies = [[connection.read() for _ in crossing][3] for connection in first]
        finally:
            self.stack.marketdata.proceed()
        for reply in replies:
            self.assertRegex(reply, "^EXECABORT Transaction discarded because of: (BUS(DOWN|TIMEOUT) bus 'marketdata'|ERR dualbus: all 1 connections)")
        self.await_connections()
        self.assertEqual(self.connect().pipeline(crossing)[3], ["OK", "OK"])

    def test_too_large_a_transaction_is_refused(self):
        self.daemon.reload(merge(self.stack.config, {"limits": {"max_request": "64kb"}}))
        self.addCleanup(self.daemon.reload, self.stack.config)
        large = "x" * 30000
        replies = self.connect().pipeline([("MULTI",), *[("SET", f"md:{i}", large) for i in range(4)], ("EXEC",), ("GET", "md:0")])
        self.assertEqual(replies[1:3], ["QUEUED", "QUEUED"])
        self.assertRegex(replies[3], "^ERR dualbus: .*limits.max_request")
        self.assertRegex(replies[5], "^EXECABORT ")
        self.assertIsNone(replies[6])

    def test_a_reload_between_multi_and_exec_counts(self):
        connection = self.connect()
        self.assertEqual(connection.pipeline([("MULTI",), ("SET", "moved", 1), ("GET", "moved")])[1:], ["QUEUED"] * 2)
        self.daemon.reload(merge(self.stack.config, {"routing": {"keys": [{"match": "moved", "bus": MARKETDATA}]}}))
        self.addCleanup(self.daemon.reload, self.stack.config)
        self.assertEqual(connection.call("EXEC"), ["OK", b"1"])
        self.assertEqual(self.client(self.stack.marketdata).get("moved"), b"1")

    def test_an_error_when_a_bus_queues_discards_everything(self):
        self.client(self.stack.marketdata).config_set("maxmemory", 1)
        self.addCleanup(lambda: self.client(self.stack.marketdata).config_set("maxmemory", 0))
        replies = self.connect().pipeline([("MULTI",), ("SET", "a", 1), ("SET", "md:a", 1), ("EXEC",), ("GET", "a")])
        self.assertRegex(replies[3], "^EXECABORT Transaction discarded because of: OOM ")
        self.assertIsNone(replies[4])
        replies = self.connect().pipeline([("MULTI",), ("SET", "md:a", 1), ("GET", "md:a"), ("EXEC",), ("PING",)])
        self.assertEqual(replies[3:], ["EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.", "PONG"])


if __name__ == "__main__":
    unittest.main()
