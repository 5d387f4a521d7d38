"""Readers that follow a stream which lies on two buses, and what a read may leave out: nothing that was acknowledged before."""
import random
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for
from support.resp import ReplyError
from support.stream_load import ALL_TYPES, TYPES, Producer, Runner, entries, names_stored_once, position, run_for, scaled, started, stop_all, xadd


class Follower(Runner):
    """Reads a stream from one ID to the next, by XREAD or by XRANGE."""

    def __init__(self, address, how, count=None, block=None, from_the_end=False, **options):
        super().__init__(address, **options)
        self._how, self._count, self._block, self._from_the_end = how, count, block, from_the_end
        self.begin, self.cursor = None, b"0-0"
        self.read = []  # (ID, name)
        self.problems = []
        self.done = False  # until a read that came after everything else found nothing

    def step(self):
        if self.begin is None:
            self.begin = b"0-0"
            if self._from_the_end:
                for number, _ in self.connection.call("XREVRANGE", "s", "+", "-", "COUNT", 1):
                    self.begin = self.cursor = number
        last = self.stopping()
        count = ("COUNT", self._count) if self._count else ()
        if self._how == "XREAD":
            block = () if self._block is None else ("BLOCK", self._block)
            reply = self.connection.call("XREAD", *count, *block, "STREAMS", "s", self.cursor)
            found = reply if isinstance(reply, ReplyError) else entries(reply)
        else:
            reply = self.connection.call("XRANGE", "s", b"(" + self.cursor, "+", *count)
            found = reply if isinstance(reply, ReplyError) else [(number, flat[3]) for number, flat in reply]
        if isinstance(found, ReplyError) or (self._count and len(found) > self._count):
            self.problems.append(found)
            self.done = True
            return
        for number, name in found:
            if position(number) <= position(self.cursor):
                self.problems.append(f"{number} after {self.cursor}")
            self.cursor = number
            self.read.append((number, name))
        if not found:
            self.pause(0.001)
        self.done = last and not found


class FollowerTest(StackTest):
    def follow(self, *followers):
        """Several producers write to both buses, also past the daemon, and everybody must see everything once, in order."""
        producers = [Producer(self.daemon.address, "s", f"via-{number}", depth=depth, pause=pause, protocol=2 + number % 2)
                     for number, (depth, pause) in enumerate([(1, 0.001), (8, 0.004), (4, 0)])]
        producers += [Producer(bus.address, "s", f"at-{name}", types=TYPES[name], depth=2, pause=0.002) for name, bus in self.stack.buses.items()]
        for producer in producers:
            started(self, producer)
        run_for(0.1, *producers)
        for follower in followers:
            started(self, follower)
        with self.counted("dualbus_unstable_reads_total") as unstable:
            run_for(scaled(30) / 15, *producers, *followers)
            stop_all(producers)
            stop_all(followers)
        names = names_stored_once(self, self.stack, "s")
        everything = [(number, flat[3]) for number, flat in self.connect().call("XRANGE", "s", "-", "+")]
        self.assertEqual({name for _, name in everything}, names)
        for follower in followers:
            self.assertEqual(follower.problems, [])
            expected = [entry for entry in everything if position(entry[0]) > position(follower.begin)]
            lost = set(expected) - set(follower.read)
            self.assertEqual(lost, set(), f"{len(lost)} of {len(expected)} lost; reads that were not stable: {unstable.value}")
            self.assertEqual(follower.read, expected)

    def test_I8_following_by_xread_loses_and_repeats_nothing(self):
        address = self.daemon.address
        self.follow(Follower(address, "XREAD"), Follower(address, "XREAD", count=3, protocol=3), Follower(address, "XREAD", count=50, block=100),
                    Follower(address, "XREAD", block=500, protocol=3))

    def test_I8_following_by_xrange_loses_and_repeats_nothing(self):
        address = self.daemon.address
        self.follow(Follower(address, "XRANGE"), Follower(address, "XRANGE", count=10, protocol=3), Follower(address, "XRANGE", count=1000))

    def test_I8_following_by_xread_from_the_last_entry_loses_and_repeats_nothing(self):
        address = self.daemon.address
        self.follow(*(Follower(address, "XREAD", count=random.choice((None, 20)), block=random.choice((None, 50)), from_the_end=True)
                      for _ in range(6)))


    def test_I8_a_read_that_one_bus_answers_late_loses_nothing(self):
        """The late bus has newer entries to show than the other one had when it answered."""
        for number, (how, late) in enumerate((how, late) for how in ("XRANGE", "XREAD") for late in (0.03, 0.15, 0.4)):
            key = f"late{number}"
            reader, writer, other = self.connect(), self.connect(), self.connect()
            self.stack.engine_logic.pause()
            try:
                writer.send(*xadd(key, "order_request", "newest"))
                wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=ENGINE_LOGIC) >= 1, "it is in flight")
                reader.send(*(("XRANGE", key, "-", "+") if how == "XRANGE" else ("XREAD", "STREAMS", key, "0")))
                wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=ENGINE_LOGIC) >= 3, "the read is, too")
                other.call(*xadd(key, "market_data", "between"))
                time.sleep(late)
            finally:
                self.stack.engine_logic.proceed()
            writer.read()
            reply = reader.read()
            found = entries(reply) if how == "XREAD" else [(entry, flat[3]) for entry, flat in reply]
            cursor = found[-1][0] if found else b"0-0"
            rest = [(entry, flat[3]) for entry, flat in reader.call("XRANGE", key, b"(" + cursor, "+")]
            self.assertEqual([name for _, name in found + rest], [b"between", b"newest"], f"{how}, {late} s late, first {found}")


class ReadersAndWriters(StackTest):
    def setUp(self):
        super().setUp()
        self.writers = {"daemon": self.connect(), "daemon, RESP3": self.connect(3)}
        self.writers.update((name, self.connect(to=bus)) for name, bus in self.stack.buses.items())
        self.readers = [self.connect(2 + number % 2) for number in range(4)]
        self.count = 0

    def add(self, writer, key="s"):
        """The name of a new entry."""
        self.count += 1
        name = f"n{self.count}".encode()
        kind = random.choice(TYPES.get(writer, ALL_TYPES))
        reply = self.writers[writer].call(*xadd(key, kind, name))
        self.assertIsInstance(reply, bytes, reply)
        return name


class FreshnessTest(ReadersAndWriters):
    """Reads find what was acknowledged before they came, whoever added it."""

    # The relaxed form may answer group reads from what it knew a moment ago.
    config = {"absorb": "strict"}

    def test_I9_every_read_contains_what_was_acknowledged_before_it(self):
        names = []
        self.writers["daemon"].call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        for _ in range(scaled(150)):
            names.append(self.add(random.choice(list(self.writers))))
            reader = random.choice(self.readers)
            for request in (("XRANGE", "s", "-", "+"), ("XREVRANGE", "s", "+", "-"), ("XREVRANGE", "s", "+", "-", "COUNT", 10)):
                found = [flat[3] for _, flat in reader.call(*request)]
                self.assertEqual(set(found), set(names[-10:] if "COUNT" in request else names), request)
            self.assertEqual({name for _, name in entries(reader.call("XREAD", "STREAMS", "s", "0"))}, set(names))
            self.assertEqual(reader.call("XLEN", "s"), len(names))

    def test_I9_a_group_read_contains_what_was_acknowledged_before_it(self):
        self.writers["daemon"].call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        for number in range(scaled(300)):
            reader = random.choice(self.readers)
            if number % 3 == 0:
                self.assertIsNone(reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))
            name = self.add(random.choice(list(self.writers)))
            self.assertEqual([got for _, got in entries(reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))], [name])


class InvalidationTest(ReadersAndWriters):
    """The daemon's knowledge of empty streams and missing groups never outlives the answer to what makes it untrue."""

    # One worker, because it learns of other workers' clients only as quickly as of other daemons' clients.
    config = {"workers": 1}

    def poll(self, reader=None, key="s"):
        return (reader or random.choice(self.readers)).call("XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">")

    def poll_often(self, expected):
        for _ in range(random.choice((1, 3, 10))):
            for reader in self.readers:
                self.assertEqual(self.poll(reader), expected)

    def test_I15_no_empty_answer_follows_the_reply_to_an_entry(self):
        self.writers["daemon"].call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        for _ in range(scaled(80)):
            self.poll_often(None)
            name = self.add(random.choice(("daemon", "daemon, RESP3")))
            self.assertEqual([got for _, got in entries(self.poll())], [name])

    def test_I15_no_stale_answer_follows_the_reply_to_a_change_of_groups(self):
        no_group = "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"
        admin = self.writers["daemon"]
        self.poll_often(no_group)
        first = self.add("daemon")
        for _ in range(scaled(40)):
            self.poll_often(no_group)
            self.assertEqual(admin.call("XGROUP", "CREATE", "s", "g", "$"), "OK")
            self.poll_often(None)
            self.assertEqual(admin.call("XGROUP", "SETID", "s", "g", "0"), "OK")
            self.assertEqual([name for _, name in entries(self.poll())], [first])
            self.poll_often(None)
            self.assertEqual(admin.call("XGROUP", "DESTROY", "s", "g"), 1)
        self.poll_often(no_group)

    def test_the_dollar_is_fixed_when_the_request_arrives(self):
        for number in range(scaled(100)):
            reader, writer = self.connect(2 + number % 2), self.connect(2 + number % 2)
            # The answer to the PING says that the read behind it has arrived, too.
            reader.send_raw(b"".join((b"XADD s * message_type market_data name before\r\n" * (number % 3 > 0), b"PING\r\nXREAD BLOCK 0 STREAMS s $\r\n")))
            while reader.read() != "PONG":
                pass
            name = b"n%d" % number
            added = writer.call(*xadd("s", ALL_TYPES[number % 4], name))
            self.assertEqual(entries(reader.read()), [(added, name)])

    def test_the_dollar_is_not_asked_for_again_when_nothing_but_a_change_woke_the_reader(self):
        buses = {name: self.client(bus) for name, bus in self.stack.buses.items()}
        for number in range(scaled(40)):
            touched, written = (MARKETDATA, ENGINE_LOGIC) if number % 2 else (ENGINE_LOGIC, MARKETDATA)
            self.add(written)
            reader = self.connect()
            reader.send_raw(b"PING\r\nXREAD BLOCK 0 STREAMS s $\r\n")
            reader.read()
            pipeline = buses[touched].pipeline(transaction=True)
            pipeline.xadd("s", {"a": "b"})
            pipeline.xtrim("s", maxlen=0, approximate=False)
            pipeline.execute()  # a change that leaves nothing to read
            name = self.add("daemon")
            self.assertEqual([got for _, got in entries(reader.read())], [name])


if __name__ == "__main__":
    unittest.main()
