"""Group reads that the daemon answers from memory: never before what has happened, except as late as the documentation says,
and without any bus."""
import functools
import random
import threading
import time
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, merge, sanitized, wait_for
from support.servers import Daemon, free_port
from support.stream_load import ALL_TYPES, TYPES, DaemonsTest, Runner, Stopwatch, entries, run_for, scaled, started, stop_all, xadd

NO_GROUP = "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option"


def poll(key, group="g", consumer="c"):
    return "XREADGROUP", "GROUP", group, consumer, "STREAMS", key, ">"


def reads_sent(stack):
    """XREADGROUP calls that reached a Redis."""
    calls = 0
    for bus in stack.buses.values():
        with bus.client() as client:
            calls += client.info("commandstats").get("cmdstat_xreadgroup", {}).get("calls", 0)
    return calls


class Adder(Runner):
    """Adds entries and notes since when each is certainly there."""

    def __init__(self, address, key, name, types, **options):
        super().__init__(address, **options)
        self._key, self._name, self._types = key, name, types
        self.there = {}  # name -> when it was acknowledged

    def step(self):
        name = f"{self._name}-{len(self.there)}".encode()
        reply = self.connection.call(*xadd(self._key, random.choice(self._types), name))
        if isinstance(reply, resp.ReplyError):
            raise AssertionError(reply)
        self.there[name] = time.monotonic()
        # Polls must find nothing in between, however slow the daemon is.
        self.pause(random.choice((0, 0.005, 0.02, 0.06)) * (4 if sanitized() else 1))


class Poller(Runner):
    """The only consumer of its group: what it has not got is still to come. Notes every poll that found nothing."""

    def __init__(self, address, key, group, count=None, pause=0.0, **options):
        super().__init__(address, **options)
        self._words = ("XREADGROUP", "GROUP", group, "c", *(("COUNT", count) if count else ()), "NOACK", "STREAMS", key, ">")
        self._pause = pause
        self.got = {}  # name -> when
        self.empty = []  # when each was sent
        self.polls = 0

    def step(self):
        sent = time.monotonic()
        reply = self.connection.call(*self._words)
        self.polls += 1
        found = entries(reply)
        if not found:
            self.empty.append(sent)
        for _, name in found:
            if name in self.got:
                raise AssertionError(f"{name} came twice")
            self.got[name] = time.monotonic()
        if self._pause:
            self.pause(self._pause)

    def oldest_missed(self, there):
        """The longest time that an entry had been there when a poll was sent that did not find it."""
        worst = 0.0
        for name, since in there.items():
            came = self.got.get(name, float("inf"))
            worst = max([worst] + [sent - since for sent in self.empty if since < sent < came])
        return worst


class StalenessTest(DaemonsTest):
    """Entries come through the daemon that is asked, through another one, and past both."""

    number_of_daemons = 2

    # Announcements take as long as a machine with other work lets them; a hanging connection is given up after 250 ms.
    FOREIGN = 0.25

    def run_load(self, absorb, workers=1):
        asked = self.start_daemon({"absorb": absorb, "workers": workers, "absorb_delay": random.choice(("0", "1ms"))})
        creator = self.connect(to=asked)
        groups = [f"g{number}" for number in range(4)]
        for group in groups:
            self.assertEqual(creator.call("XGROUP", "CREATE", "s", group, "$", "MKSTREAM"), "OK")
        pollers = [started(self, Poller(asked.address, "s", group, count=(None, 1, 7, None)[number], pause=(0, 0, 0.001, 0.01)[number],
                                        protocol=2 + number % 2)) for number, group in enumerate(groups)]
        own = [started(self, Adder(asked.address, "s", f"own-{number}", ALL_TYPES, protocol=2 + number)) for number in range(2)]
        foreign = [started(self, Adder(self.daemons[1].address, "s", "other", ALL_TYPES))]
        foreign += [started(self, Adder(bus.address, "s", name, TYPES[name])) for name, bus in self.stack.buses.items()]
        run_for(scaled(60) / 20, *pollers, *own, *foreign)
        for poller in pollers:
            wait_for(lambda: len(poller.empty) > 10 or poller.check(), "polls that find nothing")  # pylint: disable=cell-var-from-loop
        stop_all(own + foreign)
        everything = set().union(*(adder.there for adder in own + foreign))
        for poller in pollers:
            wait_for(lambda: everything <= set(poller.got) or poller.check(), "all is delivered")  # pylint: disable=cell-var-from-loop
        stop_all(pollers)
        for poller in pollers:
            self.assertEqual(set(poller.got), everything)
            self.assertEqual(max(poller.oldest_missed(adder.there) for adder in own), 0, "a poll knew nothing of what came before it")
            self.assertLessEqual(max(poller.oldest_missed(adder.there) for adder in foreign), self.FOREIGN if absorb == "relaxed" else 0)
        absorbed = asked.metrics().value("dualbus_polls_absorbed_total", reason="empty")
        if absorb == "off":
            self.assertEqual(absorbed, 0)
        else:
            self.assertGreater(absorbed, 10)

    def start_daemon(self, changes):
        ports = {"listen": {"port": free_port()}, "admin": {"port": free_port()}}
        daemon = Daemon(self.stack.directory, merge(merge(self.stack.config, ports), changes), name="asked")
        self.addCleanup(daemon.kill)
        daemon.start()
        self.addCleanup(lambda: self.assertEqual((daemon.terminate(), daemon.sanitizer_report()), (0, "")))
        return daemon

    def test_I15_no_poll_is_answered_from_before_an_entry_of_the_same_daemon(self):
        self.run_load("relaxed")

    def test_I15_nor_if_its_workers_are_several(self):
        self.run_load("relaxed", workers=2)

    def test_I15_strict_answers_know_of_every_entry(self):
        self.run_load("strict")

    def test_the_same_holds_when_every_poll_is_sent(self):
        self.run_load("off")


class GroupChangesTest(DaemonsTest):
    def setUp(self):
        super().setUp()
        self.admin, self.reader = self.connect(protocol=3), self.connect(protocol=2)
        self.bare = {name: bus.client() for name, bus in self.stack.buses.items()}

    def stopwatch(self):
        return Stopwatch(*self.daemons, *self.stack.buses.values())

    def known_empty(self, *words):
        """Polls until the answer comes from memory."""
        def absorbed():
            before = reads_sent(self.stack)
            self.assertIsNone(self.reader.call(*words))
            return reads_sent(self.stack) == before
        wait_for(absorbed, "a poll that reaches no Redis")

    def known_missing(self, *words):
        def absorbed():
            before = reads_sent(self.stack)
            self.assertRegex(str(self.reader.call(*words)), "^NOGROUP ")
            return reads_sent(self.stack) == before
        wait_for(absorbed, "a poll that reaches no Redis")

    def test_I15_what_changes_groups_or_entries_through_the_daemon_shows_in_the_next_poll(self):
        for key in ("s", "md:pinned"):
            names = {"market_data": b"one", "risk_limit": b"two"}
            for attempt in range(scaled(20)):
                self.admin.call("XGROUP", "CREATE", key, "g", "$", "MKSTREAM")
                self.known_empty(*poll(key))
                for kind, name in names.items():
                    self.admin.call(*xadd(key, kind, name))
                self.assertEqual({name for _, name in entries(self.reader.call(*poll(key)))}, set(names.values()), (key, attempt))
                self.known_empty(*poll(key))
                self.assertEqual(self.admin.call("XGROUP", "SETID", key, "g", "0"), "OK")
                self.assertEqual({name for _, name in entries(self.reader.call(*poll(key)))}, set(names.values()), (key, attempt))
                self.known_empty(*poll(key))
                if attempt % 2:
                    self.admin.call("XGROUP", "DESTROY", key, "g")
                else:
                    self.admin.call("DEL", key)
                self.assertEqual(self.reader.call(*poll(key)), NO_GROUP.format(key, "g"))
                self.known_missing(*poll(key))
                self.admin.call("XGROUP", "CREATE", key, "g", "0", "MKSTREAM")
                self.assertNotIsInstance(self.reader.call(*poll(key)), resp.ReplyError)
                self.admin.call("DEL", key)

    def test_groups_changed_behind_its_back_are_noticed_in_time(self):
        self.admin.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        self.admin.call(*xadd("s", "market_data", b"m"))
        self.admin.call(*xadd("s", "risk_limit", b"r"))
        self.assertEqual(len(entries(self.reader.call(*poll("s")))), 2)
        self.known_empty(*poll("s"))
        self.bare[MARKETDATA].xgroup_setid("s", "g", "0")
        watch = self.stopwatch()
        wait_for(lambda: [name for _, name in entries(self.reader.call(*poll("s")))] == [b"m"], "the group's new position")
        self.assertLess(watch.elapsed(), 1 + 0.5)
        self.known_missing(*poll("s", "new"))
        for bus in self.bare.values():
            bus.xgroup_create("s", "new", "0")
        watch = self.stopwatch()

        def delivered():
            reply = self.reader.call(*poll("s", "new"))
            return not isinstance(reply, resp.ReplyError) and len(entries(reply)) > 0
        wait_for(delivered, "the new group")
        self.assertLess(watch.elapsed(), 0.2 + 0.5)

    def test_a_stream_that_others_delete_or_make_is_noticed(self):
        for attempt in range(scaled(20)):
            self.admin.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
            self.known_empty(*poll("s"))
            if attempt % 2:
                for bus in self.bare.values():
                    bus.delete("s")
            else:
                for bus in self.bare.values():
                    bus.flushall()
            watch = self.stopwatch()
            wait_for(lambda: str(self.reader.call(*poll("s"))) == NO_GROUP.format("s", "g"), "the stream is gone")
            self.assertLess(watch.elapsed(), 0.9)
            self.known_missing(*poll("s"))
            for bus in self.bare.values():
                bus.xgroup_create("s", "g", "0", mkstream=True)
            watch = self.stopwatch()
            wait_for(lambda: self.reader.call(*poll("s")) is None, "the group is there")
            self.assertLess(watch.elapsed(), 0.9)
            self.admin.call("DEL", "s")


def undisturbed(test):
    """Once, after groups were made, everybody looks at every bus, whenever the bus's statistics show it: then it is tried again."""
    @functools.wraps(test)
    def run(self):
        for attempt in range(3):
            try:
                return test(self)
            except AssertionError:
                if attempt == 2:
                    raise
                self.settle()
    return run


class EndOfStreamTest(StackTest):
    """The reads that still ask a bus on which their group has had everything."""

    # Nothing but a change shall make anybody ask.
    config = {"workers": 1, "absorb_ttl": "1m", "absorb_delay": "0"}

    def setUp(self):
        super().setUp()
        self.client_ = self.connect()
        for group in ("g", "other"):
            self.assertEqual(self.client_.call("XGROUP", "CREATE", "s", group, "$", "MKSTREAM"), "OK")
        self.settle()

    def read(self, *options, group="g"):
        """The names that a read brings, and by bus how many reads have reached it."""
        before = {name: self.reads_at(bus) for name, bus in self.stack.buses.items()}
        names = [name for _, name in entries(self.client_.call("XREADGROUP", "GROUP", group, "c", *options, "STREAMS", "s", ">"))]
        return names, {name: self.reads_at(bus) - before[name] for name, bus in self.stack.buses.items()}

    @staticmethod
    def reads_at(bus):
        with bus.client() as client:
            return client.info("commandstats").get("cmdstat_xreadgroup", {}).get("calls", 0)

    def settle(self):
        for group in ("g", "other"):
            wait_for(lambda: sum(self.read(group=group)[1].values()) == 0, "a poll that reaches no Redis")  # pylint: disable=cell-var-from-loop

    def add(self, *names):
        for name in names:
            self.assertNotIsInstance(self.client_.call(*xadd("s", "market_data", name)), resp.ReplyError)

    def watched(self):
        """The other group reads until the bus watches the stream again."""
        wait_for(lambda: sum(self.read(group="other")[1].values()) == 0, "the other group has had everything")

    @undisturbed
    def test_an_entry_on_one_bus_makes_nobody_ask_the_other(self):
        for number in range(5):
            self.add(b"%d" % number)
            self.assertEqual(self.read(), ([b"%d" % number], {MARKETDATA: 1, ENGINE_LOGIC: 0}))
            self.settle()

    @undisturbed
    def test_what_changes_groups_makes_everybody_ask_both(self):
        self.assertEqual(self.client_.call("XGROUP", "SETID", "s", "g", "$"), "OK")
        self.assertEqual(self.read(), ([], {MARKETDATA: 1, ENGINE_LOGIC: 1}))

    @undisturbed
    def test_a_read_that_brings_fewer_than_it_might_is_the_last(self):
        for options in ((), ("COUNT", 3), ("NOACK", ), ("COUNT", 3, "NOACK")):
            self.add(b"a", b"b")
            self.watched()
            self.assertEqual(self.read(*options), ([b"a", b"b"], {MARKETDATA: 1, ENGINE_LOGIC: 0}), options)
            self.assertEqual(self.read(*options), ([], {MARKETDATA: 0, ENGINE_LOGIC: 0}), options)

    @undisturbed
    def test_one_that_brings_all_that_it_may_is_not(self):
        self.add(b"a", b"b", b"c")
        self.watched()
        self.assertEqual(self.read("COUNT", 1), ([b"a"], {MARKETDATA: 1, ENGINE_LOGIC: 0}))
        self.assertEqual(self.read("COUNT", 2), ([b"b", b"c"], {MARKETDATA: 1, ENGINE_LOGIC: 0}))
        self.assertEqual(self.read("COUNT", 2), ([], {MARKETDATA: 1, ENGINE_LOGIC: 0}))
        self.assertEqual(self.read("COUNT", 2), ([], {MARKETDATA: 0, ENGINE_LOGIC: 0}))

    @undisturbed
    def test_a_read_has_the_bus_watch_the_stream_itself(self):
        for name in (b"a", b"b"):
            self.add(name)
            self.assertEqual(self.read(), ([name], {MARKETDATA: 1, ENGINE_LOGIC: 0}))
            self.assertEqual(self.read(), ([], {MARKETDATA: 0, ENGINE_LOGIC: 0}))

    @undisturbed
    def test_one_with_another_protocol_is_sent_before_the_bus_watches(self):
        self.client_ = self.connect(protocol=3)
        self.add(b"a")
        self.assertEqual(self.read(), ([b"a"], {MARKETDATA: 1, ENGINE_LOGIC: 0}))
        self.assertEqual(self.read(), ([], {MARKETDATA: 1, ENGINE_LOGIC: 0}))
        self.settle()

    @undisturbed
    def test_an_entry_that_is_sent_together_with_the_read_is_brought_by_it(self):
        reads = [("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")]
        for number in range(20):
            replies = self.client_.pipeline([xadd("s", "market_data", b"%d" % number), *reads])
            self.assertEqual([name for _, name in entries(replies[1])], [b"%d" % number])
            self.assertEqual(self.read()[0], [])

    @undisturbed
    def test_a_reader_that_waits_reads_once_for_each_entry(self):
        wait = ("XREADGROUP", "GROUP", "g", "c", "COUNT", 10, "BLOCK", 30_000, "STREAMS", "s", ">")
        reader = self.connect()
        reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        before = reads_sent(self.stack)
        for number in range(30):
            reader.send(*wait)
            self.wait_until_blocked()
            self.add(b"%d" % number)
            self.assertEqual([name for _, name in entries(reader.read())], [b"%d" % number])
        self.assertLessEqual(reads_sent(self.stack) - before, 30 + 6)

    def wait_until_blocked(self):
        wait_for(lambda: "blocked_clients:1" in self.connect().call("INFO", "clients").decode(), "the reader waits")

    @undisturbed
    def test_an_entry_that_is_refused_leaves_no_reader_asleep(self):
        self.assertEqual(self.client_.call("XGROUP", "CREATE", "md:pinned", "g", "$", "MKSTREAM"), "OK")
        reader = self.connect()
        for number in range(1, 20):
            reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 30_000, "STREAMS", "md:pinned", ">")
            self.wait_until_blocked()
            refused = self.client_.pipeline([("XADD", "md:pinned", "0-0", "a", "b"), ("XADD", "md:pinned", "0-0", "a", "b")])
            self.assertTrue(all(isinstance(reply, resp.ReplyError) for reply in refused), refused)
            with self.stack.marketdata.connect() as bare:
                bare.call("XADD", "md:pinned", f"{number}-1", "a", "b")
            watch = Stopwatch(self.daemon)
            self.assertEqual(reader.read()[0][1][0][0], b"%d-1" % number)
            self.assertLess(watch.elapsed(), 0.5)  # nobody waits for the look once a second

    @undisturbed
    def test_what_comes_behind_it_is_read(self):
        self.add(b"a")
        self.watched()
        self.assertEqual(self.read()[0], [b"a"])
        self.add(b"b")
        self.assertEqual(self.read()[0], [b"b"])
        self.watched()
        with self.stack.marketdata.connect() as bare:
            bare.call(*xadd("s", "market_data", b"c"))
        wait_for(lambda: self.read()[0] == [b"c"], "an entry of somebody else")


class UselessCallsTest(StackTest):
    SECONDS = 2.0

    def spin(self, requests, clients=7, **options):
        """Seven clients that ask as fast as they can; (polls made, those that reached a Redis)."""
        made = [0] * clients
        end = time.monotonic() + self.SECONDS

        def run(number):
            with resp.Connection(self.daemon.address, **options) as connection:
                while time.monotonic() < end:
                    for words in requests(number):
                        connection.call(*words)
                        made[number] += 1

        before = reads_sent(self.stack)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(made), reads_sent(self.stack) - before

    def absorbed(self, reason):
        return self.daemon.metrics().value("dualbus_polls_absorbed_total", reason=reason)

    def test_polls_of_missing_groups_reach_redis_five_times_a_second(self):
        keys = [f"s{number}" for number in range(6)]
        for key in keys:
            self.client().xadd(key, {"message_type": "x"})
        made, sent = self.spin(lambda number: [poll(key, f"g{number}") for key in keys])
        # Each group of each stream may be asked on two buses whenever what is known of it has grown old.
        self.assertLessEqual(sent, 7 * len(keys) * 2 * (self.SECONDS / 0.2 + 2))
        self.assertGreater(self.absorbed("no_group"), made / 4)

    def test_empty_polls_reach_redis_once_a_second(self):
        keys = [f"s{number}" for number in range(5)] + ["md:pinned", "md:too"]
        for key in keys:
            for number in range(7):
                self.client().xgroup_create(key, f"g{number}", "0", mkstream=True)
        together = ("STREAMS", "md:pinned", "md:too", ">", ">")
        made, sent = self.spin(lambda number: [poll(key, f"g{number}") for key in keys[:6]] +
                               [("XREADGROUP", "GROUP", f"g{number}", "c", *together)])
        self.assertLessEqual(sent, 7 * len(keys) * 2 * (self.SECONDS / 1.0 + 3))
        self.assertGreater(self.absorbed("empty"), made / 4)

    def test_a_client_that_spins_is_answered_about_a_thousand_times_a_second(self):
        self.client().xgroup_create("s", "g", "0", mkstream=True)
        made, _ = self.spin(lambda number: [poll("s", consumer=f"c{number}")], clients=3)
        self.assertLessEqual(made, 3 * (self.SECONDS * 1000 + 100))

    def test_what_a_spinning_client_waits_for_ends_its_delay(self):
        stack = self.stack
        keys = [f"s{number}" for number in range(10)]
        for key in keys:
            self.client().xgroup_create(key, "g", "0", mkstream=True)
        stack.daemon.reload({**stack.config, "absorb_delay": "100ms"})
        self.addCleanup(stack.daemon.reload, stack.config)
        got, stop = {}, threading.Event()

        def run():
            with resp.Connection(self.daemon.address) as connection:
                while not stop.is_set():
                    for key in keys:
                        for _, name in entries(connection.call(*poll(key))):
                            got[name] = time.monotonic()

        reader = threading.Thread(target=run)
        reader.start()
        self.addCleanup(reader.join)
        self.addCleanup(stop.set)
        writer = self.connect()
        slowest = []
        for attempt in range(20):
            time.sleep(random.uniform(0.2, 0.3))  # until it is delayed again
            name = str(attempt).encode()
            sent = time.monotonic()
            writer.call(*xadd(random.choice(keys), random.choice(ALL_TYPES), name))
            wait_for(lambda: name in got, "delivery")  # pylint: disable=cell-var-from-loop
            slowest.append(got[name] - sent)
        # A round over all keys with delays takes a second.
        self.assertLess(sorted(slowest)[len(slowest) // 2], 0.1)

    def test_readers_that_wait_with_block_ask_redis_once_a_second(self):
        for number in range(7):
            self.client().xgroup_create("s", f"g{number}", "0", mkstream=True)
        made, sent = self.spin(lambda number: [("XREADGROUP", "GROUP", f"g{number}", "c", "BLOCK", 20, "STREAMS", "s", ">")])
        self.assertGreater(made, 7 * self.SECONDS * 20)
        self.assertLessEqual(sent, 7 * 2 * (self.SECONDS / 1.0 + 3))


if __name__ == "__main__":
    unittest.main()
