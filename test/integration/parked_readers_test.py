"""Readers that wait for entries of streams that lie on two buses: what wakes them, in which order, and how waiting ends."""
import random
import select
import time

import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, merge, sanitized, shown, wait_for
from support.resp import ReplyError
from support.stream_load import ALL_TYPES, TYPES, Stopwatch, by_key, entries, scaled, xadd

# A reader that is not told of an entry would look for itself after a second.
SOON = 0.7
SLACK = 0.6 if sanitized() else 0.2
NO_GROUP = "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"


def group_read(*options, key="s", group="g", consumer="c", block=0):
    return ("XREADGROUP", "GROUP", group, consumer, *options, "BLOCK", block, "STREAMS", key, ">")


class ParkedTest(StackTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.nobody_waits)
        self.admin = self.connect()
        self.create("s", "g")

    def nobody_waits(self):
        for connection in self.readers:
            connection.close()
        self.await_parked(0)
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 0, "no reader is left over")

    readers = ()

    def reader(self, *request, protocol=2):
        """A connection that has sent a read; it waits already."""
        connection = self.connect(protocol)
        self.readers = (*self.readers, connection)
        before = self.parked()
        connection.send(*request)
        wait_for(lambda: self.parked() == before + 1 or select.select([connection.socket], [], [], 0)[0], "it waits")
        if self.parked() != before + 1:
            self.fail(f"instead of waiting it got {connection.read()!r:.1000}")
        return connection

    def config_workers(self):
        return self.stack.config["workers"]

    def stopwatch(self):
        return Stopwatch(self.daemon, *self.stack.buses.values())

    def parked(self):
        with self.daemon.connect() as client:
            return int(client.call("INFO", "clients").split(b"blocked_clients:")[1].split(b"\r\n")[0])

    def await_parked(self, count):
        wait_for(lambda: self.parked() == count, f"{count} wait")

    def create(self, key, group):
        self.assertEqual(self.admin.call("XGROUP", "CREATE", key, group, "$", "MKSTREAM"), "OK")

    def add(self, kind, name="n", key="s"):
        reply = self.admin.call(*xadd(key, kind, name))
        self.assertIsInstance(reply, bytes, reply)
        return reply

    def add_directly(self, bus, name="n", key="s"):
        return shown(self.client(self.stack.buses[bus]).xadd(key, {"message_type": "x", "name": name}), bus).encode()


class WakingTest(ParkedTest):
    def ways_to_add(self):
        """name -> function that adds one entry and returns its ID."""
        ways = {f"through the daemon, {kind}": lambda kind=kind: self.add(kind) for kind in ALL_TYPES[:2]}
        for bus, server in self.stack.buses.items():
            bare = self.client(server)
            ways[f"directly on {bus}"] = lambda bus=bus, bare=bare: shown(bare.xadd("s", {"name": "n"}), bus).encode()
            ways[f"by a script on {bus}"] = lambda bus=bus, bare=bare: shown(
                bare.eval("return redis.call('XADD', KEYS[1], '*', 'name', 'n')", 1, "s"), bus).encode()
            ways[f"in a transaction on {bus}"] = lambda bus=bus, bare=bare: shown(
                bare.pipeline(transaction=True).xadd("s", {"name": "n"}).execute()[0], bus).encode()
        return ways

    def test_I13_an_entry_reaches_a_parked_reader_without_a_recheck(self):
        requests = {"group": group_read(), "plain": ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), "count": group_read("COUNT", 1),
                    "with acknowledgement": group_read("NOACK")}
        for way, add in self.ways_to_add().items():
            for which, request in requests.items():
                self.admin.call("XGROUP", "SETID", "s", "g", "$")
                slowest = 0
                for number in range(scaled(12)):
                    reader = self.reader(*request, protocol=2 + number % 2)
                    watch = self.stopwatch()
                    expected = add()
                    self.assertEqual([entry for entry, _ in entries(reader.read())], [expected])
                    slowest = max(slowest, watch.elapsed())
                    reader.close()
                self.assertLess(slowest, SOON, f"{way}, {which}")

    def test_I13_an_entry_that_comes_while_a_reader_begins_to_wait_reaches_it(self):
        """At every moment from the read's arrival until the buses have been told to watch the key."""
        reader = self.connect()
        slowest = (0.0,)
        ways = list(self.ways_to_add().items())
        for number in range(scaled(300)):
            if number % 3 == 0:
                self.admin.call("DEL", "s")  # nothing is known of the key any more
                self.create("s", "g")
            if number % 2:
                reader = self.connect(2 + number % 4 // 2)
            reader.send(*group_read())
            time.sleep(random.choice((0, 0, random.uniform(0, 0.003))))
            way, add = random.choice(ways)
            watch = self.stopwatch()
            expected = add()
            self.assertEqual([entry for entry, _ in entries(reader.read())], [expected])
            slowest = max(slowest, (watch.elapsed(), number, way))
        self.assertLess(slowest, (SOON,))

    def test_I13_readers_of_a_stream_that_does_not_exist_yet_are_woken(self):
        for number, bus in enumerate((MARKETDATA, ENGINE_LOGIC) * 3):
            key = f"new{number}"
            readers = [self.reader("XREAD", "BLOCK", 0, "STREAMS", key, start, protocol=protocol)
                       for start in ("$", "0") for protocol in (2, 3)]
            watch = self.stopwatch()
            expected = self.add_directly(bus, key=key) if number % 3 else self.add(TYPES[bus][0], key=key)
            for reader in readers:
                self.assertEqual([entry for entry, _ in entries(reader.read())], [expected])
            self.assertLess(watch.elapsed(), SOON)

    def test_one_entry_wakes_one_reader_of_each_group_and_every_reader_without_a_group(self):
        self.create("s", "h")
        groups = {group: [self.reader(*group_read(group=group, consumer=number)) for number in range(3)] for group in ("g", "h")}
        plain = [self.reader("XREAD", "BLOCK", 0, "STREAMS", "s", "$", protocol=2 + number % 2) for number in range(5)]
        for number, bus in enumerate((MARKETDATA, ENGINE_LOGIC, MARKETDATA)):
            expected = self.add_directly(bus) if number else self.add(TYPES[bus][0])
            for reader in plain if number == 0 else ():
                self.assertEqual(entries(reader.read()), [(expected, b"n")])
            self.await_parked(2 * (2 - number))
            got = [readers.pop(0).read() for readers in groups.values()] if self.config_workers() == 1 else self.whoever(groups)
            self.assertEqual([entries(reply) for reply in got], [[(expected, b"n")]] * 2)

    @staticmethod
    def whoever(groups):
        """One reply of each group, whichever reader has it: workers have queues of their own."""
        replies = []
        for readers in groups.values():
            def served(readers=readers):
                for reader in readers:
                    reader.socket.settimeout(0.01)
                    try:
                        reply = reader.read()
                    except TimeoutError:
                        continue
                    readers.remove(reader)
                    return reply
                return None
            replies.append(wait_for(served, "somebody is served"))
        return replies

    def test_a_reader_of_several_streams_gets_what_comes_to_any_of_them(self):
        keys = ("a", "b", "md:pinned", "c")
        for key in keys:
            self.create(key, "g")
        for protocol in (2, 3):
            for key in keys:
                for request in (("XREADGROUP", "GROUP", "g", "me", "BLOCK", 0, "STREAMS", *keys, *">>>>"),
                                ("XREAD", "BLOCK", 0, "STREAMS", *keys, *"$$$$")):
                    reader = self.reader(*request, protocol=protocol)
                    expected = self.add(random.choice(ALL_TYPES), key=key)
                    self.assertEqual(by_key(reader.read()), {key.encode(): [(expected, b"n")]})
                    for each in keys:
                        self.admin.call("XGROUP", "SETID", each, "g", "$")
        # Entries that are there at once come in the order of the request, all of them.
        added = {key.encode(): [(self.add(kind, key=key), b"n") for kind in ALL_TYPES[:2]] for key in ("c", "a")}
        reply = by_key(self.connect().call("XREADGROUP", "GROUP", "g", "me", "BLOCK", 0, "STREAMS", *keys, *">>>>"))
        self.assertEqual(list(reply), [b"a", b"c"])
        self.assertEqual({key: sorted(found) for key, found in reply.items()}, {key: sorted(found) for key, found in added.items()})

    def test_a_read_of_history_never_waits(self):
        self.create("t", "g")
        added = self.add("market_data")
        client = self.connect()
        self.assertEqual(entries(client.call(*group_read())), [(added, b"n")])
        for protocol in (2, 3):
            client = self.connect(protocol)
            self.assertEqual(by_key(client.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", "t", "0", ">")), {b"s": [(added, b"n")]})
            self.assertEqual(by_key(client.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "t", "s", ">", "0")), {b"s": [(added, b"n")]})
            self.assertEqual(by_key(client.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "t", "s", ">", added)), {b"s": []})
            self.assertEqual(by_key(client.call("XREADGROUP", "GROUP", "g", "nobody", "BLOCK", 0, "STREAMS", "s", "0")), {b"s": []})
        other = self.add("order_request", key="t")
        self.assertEqual(by_key(client.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", "t", "0", ">")),
                         {b"s": [(added, b"n")], b"t": [(other, b"n")]})


class EndingTest(ParkedTest):
    def test_waiting_ends_at_its_time(self):
        for protocol, nil in ((2, b"*-1\r\n"), (3, b"_\r\n")):
            for request in (group_read, lambda block: ("XREAD", "BLOCK", block, "STREAMS", "s", "$")):
                for block in (1, 30, 250):
                    client = self.connect(protocol)
                    start, watch = time.monotonic(), self.stopwatch()
                    self.assertEqual(client.call_raw(*request(block=block)), nil)
                    self.assertLess(watch.elapsed(), block / 1000 + SLACK)
                    self.assertGreaterEqual(time.monotonic() - start, block / 1000 - 0.001)
        # Many at once, each with a time of its own.
        times = sorted(random.sample(range(20, 800), 40))
        clients = [self.connect() for _ in times]
        start = time.monotonic()
        for block, client in random.sample(list(zip(times, clients)), len(times)):
            client.send(*group_read(block=block))
        watch = self.stopwatch()
        for block, client in zip(times, clients):
            self.assertIsNone(client.read())
            self.assertLess(watch.elapsed(), block / 1000 + SLACK)
            self.assertGreaterEqual(time.monotonic() - start, block / 1000 - 0.001)

    def test_waiting_without_end_outlives_every_timeout(self):
        readers = [self.reader(*group_read()), self.reader("XREAD", "BLOCK", 0, "STREAMS", "s", "$", protocol=3)]
        for reader in readers:
            reader.socket.settimeout(0.8)
            self.assertRaises(TimeoutError, reader.read)
            reader.socket.settimeout(20)
        expected = self.add("market_data")
        for reader in readers:
            self.assertEqual(entries(reader.read()), [(expected, b"n")])

    def test_times_that_are_none_are_refused_in_redis_words(self):
        client, bare = self.connect(), self.connect(to=self.stack.engine_logic)
        for block in ("-1", "x", "1.5", "9223372036854775808", ""):
            for request in (group_read(block=block), ("XREAD", "BLOCK", block, "STREAMS", "s", "$")):
                self.assertEqual(client.call(*request), bare.call(*request), request)
                self.assertIsInstance(client.call(*request), ReplyError)

    def test_I6_the_end_of_the_time_never_swallows_an_entry(self):
        reader = self.connect()
        received = set()
        bare = [self.client(bus) for bus in self.stack.buses.values()]
        for number in range(scaled(150)):
            reader.send(*group_read(block=6))
            time.sleep(random.uniform(0.0045, 0.0065))
            if number % 3:
                self.add(ALL_TYPES[number % 4])
            else:
                bare[number % 2].xadd("s", {"name": "n"})
            received.update(entry for entry, _ in entries(reader.read()))
        self.assert_had(received)

    def assert_had(self, received):
        """The entries that the buses say were handed over are those received."""
        pending = {shown(each["message_id"], name).encode() for name, bus in self.stack.buses.items()
                   for each in self.client(bus).xpending_range("s", "g", "-", "+", 10000)}
        self.assertEqual(pending, received)

    def test_client_unblock(self):
        for protocol, nil in ((2, b"*-1\r\n"), (3, b"_\r\n")):
            for request in (group_read(), ("XREAD", "BLOCK", 0, "STREAMS", "s", "$")):
                reader = self.connect(protocol)
                number = reader.call("CLIENT", "ID")
                for words, reply in (((), nil), (("TIMEOUT",), nil), (("ERROR",), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")):
                    reader.send(*request)
                    self.await_parked(1)
                    # 0 while a read is out for it, as at the beginning of the wait.
                    wait_for(lambda: self.admin.call("CLIENT", "UNBLOCK", number, *words) == 1, "unblocked")  # pylint: disable=cell-var-from-loop
                    self.assertEqual(reader.read_raw(), reply)
                    self.assertEqual(self.admin.call("CLIENT", "UNBLOCK", number, *words), 0)
                    self.assertEqual(reader.call("PING"), "PONG")
        self.assertEqual(self.admin.call("CLIENT", "UNBLOCK", 10**9), 0)
        bare = self.connect(to=self.stack.marketdata)
        for words in (("x",), (1, "NONSENSE"), (), (1, 2, 3)):
            self.assertEqual(self.admin.call("CLIENT", "UNBLOCK", *words), bare.call("CLIENT", "UNBLOCK", *words), words)

    def test_I6_client_unblock_never_swallows_an_entry(self):
        reader, writer = self.connect(), self.connect()
        number = reader.call("CLIENT", "ID")
        received, ended = set(), set()
        for attempt in range(3000):
            if attempt >= scaled(150) and len(ended) == 2:
                break
            reader.send(*group_read())
            self.await_parked(1)
            requests = [(writer, xadd("s", ALL_TYPES[attempt % 4], "n")), (self.admin, ("CLIENT", "UNBLOCK", number, "ERROR"))]
            if attempt % 3 == 0:
                requests.reverse()
            for client, request in requests:
                client.send(*request)
            added, unblocked = writer.read(), self.admin.read()
            reply = reader.read()
            ended.add(isinstance(reply, ReplyError))
            self.assertEqual(unblocked, int(isinstance(reply, ReplyError)))
            if unblocked:
                self.assertEqual(reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK")
                reply = self.connect().call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
            self.assertEqual([entry for entry, _ in entries(reply)], [added])
            received.add(added)
        self.assert_had(received)
        self.assertEqual(ended, {False, True})

    def test_client_kill_and_what_vanishes_while_waiting_leave_nothing_behind(self):
        for number in range(scaled(10)):
            for request in (group_read(consumer="gone"), ("XREAD", "BLOCK", 0, "STREAMS", "s", "$")):
                reader = self.reader(*request, protocol=2 + number % 2)
                if number % 3 == 0:
                    self.assertEqual(self.admin.call("CLIENT", "KILL", "ID", self.id_of_waiting()), 1)
                    self.assertEqual(reader.read_rest(), b"")
                elif number % 3 == 1:
                    reader.abort()
                else:
                    reader.close()
                self.await_parked(0)
        expected = self.add("market_data")
        self.assertEqual(entries(self.connect().call(*group_read(consumer="there"))), [(expected, b"n")])
        self.assertEqual(self.admin.call("XPENDING", "s", "g")[3], [[b"there", b"1"]])

    def id_of_waiting(self):
        line, = [line for line in self.admin.call("CLIENT", "LIST").decode().splitlines() if " flags=b " in line]
        self.assertRegex(line, " cmd=xread")
        return int(line.split()[0].removeprefix("id="))

    def test_a_reader_that_vanishes_at_the_moment_of_an_entry_takes_at_most_that_one_along(self):
        for number in range(scaled(40)):
            self.reader(*group_read(consumer="gone")).abort()
            if number % 2:
                time.sleep(random.uniform(0, 0.002))
            expected = self.add(ALL_TYPES[number % 4])
            reply = entries(self.connect().call("XREADGROUP", "GROUP", "g", "there", "STREAMS", "s", ">"))
            pending = {each[0]: each[1] for each in self.admin.call("XPENDING", "s", "g", "-", "+", 10)}
            self.assertEqual(pending, {expected: b"there" if reply else b"gone"})
            self.assertEqual(self.admin.call("XACK", "s", "g", expected), 1)

    def test_without_its_stream_or_group_a_group_read_ends_and_a_plain_read_waits_on(self):
        # As the daemon does it: first where groups are decided on.
        both = [self.client(bus) for bus in (self.stack.engine_logic, self.stack.marketdata)]
        for way, remove in {"DEL": lambda: self.admin.call("DEL", "s"), "DESTROY": lambda: self.admin.call("XGROUP", "DESTROY", "s", "g"),
                            "UNLINK": lambda: self.admin.call("UNLINK", "s"), "direct DEL": lambda: [bare.delete("s") for bare in both],
                            "direct DESTROY": lambda: [bare.xgroup_destroy("s", "g") for bare in both],
                            "SET": lambda: [bare.pipeline(transaction=True).delete("s").set("s", "x").execute() for bare in both]}.items():
            plain = self.reader("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
            readers = [self.reader(*group_read(), protocol=2 + number) for number in range(2)]
            watch = self.stopwatch()
            remove()
            for reader in readers:
                self.assertEqual(reader.read(), NO_GROUP if way != "SET" else "WRONGTYPE Operation against a key holding the wrong kind of value", way)
            # A group that goes away past a worker is nothing that the bus announces.
            unannounced = ("DESTROY", "direct DESTROY")[self.config_workers() == 1:]
            self.assertLess(watch.elapsed(), 2.5 if way in unannounced else SOON, way)
            self.await_parked(1)
            if way == "SET":
                for bare in both:
                    bare.delete("s")
            expected = self.add("market_data")
            self.assertEqual(entries(plain.read()), [(expected, b"n")], way)
            self.create("s", "g")

    def test_the_longest_wait_can_be_bounded(self):
        self.addCleanup(lambda: self.daemon.reload(self.stack.config))
        self.daemon.reload(merge(self.stack.config, {"limits": {"max_block": "150ms"}}))
        for block, expected in ((0, 0.15), (60000, 0.15), (20, 0.02)):
            start, watch = time.monotonic(), self.stopwatch()
            self.assertIsNone(self.connect().call(*group_read(block=block)))
            self.assertLess(watch.elapsed(), expected + SLACK)
            self.assertGreaterEqual(time.monotonic() - start, expected - 0.001)


if __name__ == "__main__":
    unittest.main()
