"""One of the two buses stops, hangs or dies, under load and at rest: the other one goes on, nothing acknowledged is lost,
nothing runs twice, and what one bus handed over is delivered whatever the other one does."""
import random
import select
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, running, sanitized, shown, wait_for
from support.resp import ReplyError
from support.stream_load import (TYPES, Consumer, Producer, Stopwatch, entries, names_stored_once, run_for, scaled, started, stop_all, xadd)

REQUEST_TIMEOUT = 0.8
BACKEND = {"reconnect_wait": "100ms", "connect_timeout": "300ms", "backoff_min": "10ms", "backoff_max": "100ms", "request_timeout": "800ms",
           "health_interval": "100ms", "health_timeout": "1500ms"}
# The time that another reader's timed out sweep, one's own, and a slow machine may cost.
DELAY_LIMIT = 8 if sanitized() else 4
DOWN = "BUSDOWN bus 'marketdata' is unreachable: command not sent"


def other(bus):
    return ENGINE_LOGIC if bus == MARKETDATA else MARKETDATA


class OutageTest(StackTest):
    config = {"backend": BACKEND}
    # Handed to the kernel before it is acknowledged: that survives the end of the process, and no disk is waited for.
    redis_options = ("--appendonly", "yes", "--appendfsync", "no")

    def setUp(self):
        super().setUp()
        self.watch = Stopwatch(self.daemon)

    def await_ready(self):
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready again")
        self.await_connections()

    def restore(self, *buses):
        """They work again, however they were left."""
        for server in map(self.stack.buses.get, buses):
            if server.running():
                server.proceed()
            else:
                server.start()
        self.await_ready()

    def await_unreachable(self, bus):
        wait_for(lambda: self.daemon.metrics().value("dualbus_backend_connections", bus=bus, state="up") == 0, "the loss is noticed")

    def stop(self, bus):
        self.stack.buses[bus].pause()
        self.addCleanup(self.restore, bus)

    def kill(self, bus):
        self.stack.buses[bus].kill()
        self.addCleanup(self.restore, bus)
        self.await_unreachable(bus)

    def claim_everything(self, key="s", group="g"):
        client, claimed, cursor = self.connect(), {}, b"0-0"
        while True:
            cursor, found, _ = client.call("XAUTOCLAIM", key, group, "heir", 0, cursor, "COUNT", 100)
            claimed.update((number, flat[3]) for number, flat in found)
            if cursor == b"0-0":
                return claimed


class LoadTest(OutageTest):
    def setUp(self):
        super().setUp()
        self.connect().call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        # To load one bus only, producers keep to its types.
        self.producers = {bus: [started(self, Producer(self.daemon.address, "s", f"{bus}-{number}", types=TYPES[bus], protocol=2 + number))
                                for number in range(2)] for bus in TYPES}
        self.consumers = [started(self, Consumer(self.daemon.address, "s", "g", f"c{number}", count=count, block=block, protocol=2 + number % 2))
                          for number, (count, block) in enumerate([(10, 100), (None, 1000), (5, None), (10, 2000)])]
        self.direct = set()

    def everybody(self):
        return (*sum(self.producers.values(), []), *self.consumers)

    def await_acknowledged(self, bus, more):
        producer = self.producers[bus][0]
        goal = len(producer.acknowledged) + more
        wait_for(lambda: len(producer.acknowledged) >= goal or producer.check(), f"{more} more are added to {bus}")

    def outage(self, victim, begin, end, seconds):
        """One outage with load; the other bus must not feel it."""
        fine = other(victim)
        self.await_acknowledged(victim, 20)
        begin()
        before = len(self.producers[fine][0].acknowledged)
        run_for(seconds, *self.everybody())
        self.assertGreater(len(self.producers[fine][0].acknowledged), before + 2 * seconds, "the other bus hardly moves")
        end()
        server = self.stack.buses[victim].client()
        for _ in range(20):  # past the daemon, so that there is a backlog whatever was refused
            name = f"direct-{len(self.direct)}".encode()
            server.xadd("s", {"message_type": "x", "name": name})
            self.direct.add(name)
        self.await_acknowledged(victim, 20)

    def finish(self):
        """Everybody ends, after the last entry has been handed over."""
        stop_all(sum(self.producers.values(), []))

        def nothing_undelivered():
            for server in self.stack.buses.values():
                group, = server.client().xinfo_groups("s")
                if group["last-delivered-id"] != server.client().xinfo_stream("s")["last-generated-id"]:
                    return False
            return True

        wait_for(nothing_undelivered, "the backlog is delivered")
        stop_all(self.consumers)

    def check(self, victim):
        fine = other(victim)
        names = names_stored_once(self, self.stack, "s")
        for bus, producers in self.producers.items():
            for producer in producers:
                self.assertEqual(producer.unexpected, [])
                self.assertEqual(set(producer.acknowledged) - names, set(), "acknowledged and lost")
                self.assertEqual(set(producer.refused) & names, set(), "refused, and yet stored")
                if bus == fine:
                    self.assertEqual((producer.refused, producer.unknown), ([], []))
                    self.assertLess(producer.slowest, DELAY_LIMIT + self.watch.waited())
        self.assertLessEqual(self.direct, names)
        for consumer in self.consumers:
            self.assertEqual(consumer.unexpected, [])
        received = [entry for consumer in self.consumers for entry in consumer.received]
        self.assertEqual(len(received), len({number for number, _ in received}), "delivered twice")
        # A reply that came when nobody waited for it any more leaves its entries pending, as one does that is lost on its way.
        claimed = self.claim_everything()
        known = {**dict(received), **claimed}
        self.assertEqual(names - set(known.values()), set(), "neither delivered nor pending")
        self.assertEqual(set().union(*(consumer.acknowledged for consumer in self.consumers)) & set(claimed), set())
        self.check_delays(fine)

    def check_delays(self, fine):
        """Entries of the other bus were delivered soon after they had been acknowledged, all the time."""
        published = {name: when for producer in self.producers[fine] for name, when in producer.times.items()}
        delays = [when - published[name] for consumer in self.consumers
                  for (_, name), when in zip(consumer.received, consumer.arrived) if name in published]
        self.assertGreater(len(delays), 0.9 * len(published))
        self.assertLess(max(delays), DELAY_LIMIT + self.watch.waited())

    def test_I19_while_marketdata_hangs_engine_logic_goes_on(self):
        self.hang(MARKETDATA)

    def test_I19_while_engine_logic_hangs_marketdata_goes_on(self):
        self.hang(ENGINE_LOGIC)

    def hang(self, victim):
        server = self.stack.buses[victim]
        self.addCleanup(self.restore, victim)
        for seconds in (0.3, 2.2):
            self.outage(victim, server.pause, server.proceed, seconds)
        self.finish()
        self.check(victim)

    def test_I19_while_marketdata_is_dead_engine_logic_goes_on(self):
        self.die(MARKETDATA)

    def test_I19_while_engine_logic_is_dead_marketdata_goes_on(self):
        self.die(ENGINE_LOGIC)

    def die(self, victim):
        server = self.stack.buses[victim]
        self.addCleanup(self.restore, victim)
        for seconds in (0.05, 0.8):
            self.outage(victim, server.kill, server.start, seconds)
        self.finish()
        self.check(victim)

    def test_I7_nothing_is_sent_twice_when_connections_break_again_and_again(self):
        for _ in range(scaled(20)):
            for server in self.stack.buses.values():
                server.client().execute_command("CLIENT", "KILL", "TYPE", "normal")
            run_for(random.uniform(0.02, 0.08), *self.everybody())
        self.await_ready()
        self.await_acknowledged(MARKETDATA, 5)
        self.finish()
        names_stored_once(self, self.stack, "s")
        received = [number for consumer in self.consumers for number, _ in consumer.received]
        self.assertEqual(len(received), len(set(received)), "delivered twice")
        for consumer in self.consumers:
            self.assertEqual(consumer.unexpected, [])
        for server in self.stack.buses.values():
            for pending in server.client().xpending_range("s", "g", "-", "+", 100000):
                self.assertEqual(pending["times_delivered"], 1)


class RestTest(OutageTest):
    """The same at rest, one request at a time. A worker whose connection has yet to be made counts the bus as down."""

    config = {**OutageTest.config, "workers": 1}

    def setUp(self):
        super().setUp()
        self.publisher = self.connect()
        self.publisher.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")

    def add(self, name="n"):
        """bus -> ID of a new entry on it."""
        return {bus: self.publisher.call(*xadd("s", TYPES[bus][0], f"{bus}-{name}")) for bus in TYPES}

    def test_I7_each_of_these_runs_once_at_most_on_a_bus_that_hangs(self):
        added = self.add()
        reader = self.connect()
        self.assertEqual(len(entries(reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))), 2)
        bare = self.client(self.stack.marketdata)
        bare.config_resetstat()
        self.stop(MARKETDATA)
        requests = [xadd("s", "market_data", "once"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"),
                    ("XCLAIM", "s", "g", "d", 0, added[MARKETDATA]), ("XAUTOCLAIM", "s", "g", "d", 0, "0"),
                    ("XGROUP", "CREATE", "s", "new", "$"), ("XGROUP", "CREATECONSUMER", "s", "g", "new"), ("XACK", "s", "g", added[MARKETDATA])]
        clients = [self.connect(2 + number % 2) for number in range(len(requests))]
        for client, request in zip(clients, requests):
            client.send(*request)
        for client, request in zip(clients, requests):
            self.assertRegex(str(client.read()), "^BUS(TIMEOUT|LOST|DOWN) ", request[0])
        self.daemon.wait_for_log("has been silent for")  # the connection is given up
        self.restore(MARKETDATA)
        wait_for(lambda: self.publisher.call("XLEN", "s") in (2, 3), "it answers")
        called = {name: stat["calls"] for name, stat in bare.info("commandstats").items()}
        for name in ("xadd", "xreadgroup", "xclaim", "xautoclaim", "xgroup|create", "xgroup|createconsumer"):
            self.assertLessEqual(called.get("cmdstat_" + name, 0), 1, name)

    def test_I6_entries_of_one_bus_are_delivered_although_the_other_one_hangs(self):
        reader = self.connect()
        for options in ((), ("COUNT", 5), ("BLOCK", 50), ("COUNT", 5, "BLOCK", 50), ("BLOCK", 0)):
            self.restore(MARKETDATA)
            self.assertIsNone(self.drain(reader))
            expected = self.add(len(options))[ENGINE_LOGIC]
            self.stack.marketdata.pause()
            self.addCleanup(self.restore, MARKETDATA)
            start = time.monotonic()
            reply = reader.call("XREADGROUP", "GROUP", "g", "c", *options, "STREAMS", "s", ">")
            self.assertIn(expected, [number for number, _ in entries(reply)], options)
            self.assertLess(time.monotonic() - start, REQUEST_TIMEOUT + DELAY_LIMIT + self.watch.waited())
        # Its late reply, or that of nobody, leaves the others pending; nothing is lost.
        self.restore(MARKETDATA)
        self.drain(reader)
        self.assertEqual(len(self.claim_everything()), 10)

    def drain(self, reader):
        """Reads what is there; None at the end."""
        while entries(reply := reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")):
            pass
        return reply

    def test_I6_entries_of_one_bus_are_delivered_although_the_other_one_dies_meanwhile(self):
        reader = self.connect(3)
        added = self.add()
        self.stop(MARKETDATA)
        reader.send("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        engine_logic = self.client(self.stack.engine_logic)
        wait_for(lambda: engine_logic.xpending("s", "g")["pending"] == 1, "one bus has handed its entry over")
        self.stack.marketdata.kill()
        self.assertEqual([number for number, _ in entries(reader.read())], [added[ENGINE_LOGIC]])
        self.await_unreachable(MARKETDATA)
        self.restore(MARKETDATA)
        # A bus that loads its data is as good as down: the others answer for it.
        rest = []
        wait_for(lambda: rest.append(reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")) or rest[-1] is not None, "the rest")
        self.assertEqual([number for number, _ in entries(rest[-1])], [added[MARKETDATA]])

    def test_I6_claims_of_one_bus_are_in_the_reply_although_the_other_one_hangs(self):
        added = self.add()
        reader = self.connect()
        self.assertEqual(len(entries(reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))), 2)
        # The walk goes by slot, so this bus is the first.
        self.stop(ENGINE_LOGIC)
        reply = reader.call("XAUTOCLAIM", "s", "g", "d", 0, "0")
        self.assertNotIsInstance(reply, ReplyError, reply)
        self.assertEqual([number for number, _ in reply[1]], [added[MARKETDATA]])
        reply = reader.call("XCLAIM", "s", "g", "e", 0, *added.values())
        self.assertNotIsInstance(reply, ReplyError, reply)
        self.assertEqual([number for number, _ in reply], [added[MARKETDATA]])

    def test_without_a_bus_group_reads_go_on_and_what_needs_it_says_so(self):
        added = self.add()
        client = self.connect()
        self.kill(MARKETDATA)
        start = time.monotonic()
        self.assertEqual([number for number, _ in entries(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))], [added[ENGINE_LOGIC]])
        self.assertIsNone(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))
        self.assertIsNone(client.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 100, "STREAMS", "s", ">"))
        self.assertLess(time.monotonic() - start, 0.1 + DELAY_LIMIT + self.watch.waited())
        for words in ("XLEN s", "XRANGE s - +", "XREVRANGE s + - COUNT 1", "XREAD STREAMS s 0", "XPENDING s g", "XPENDING s g - + 10", "XINFO STREAM s",
                      "XINFO GROUPS s", "XINFO CONSUMERS s g", "XREADGROUP GROUP g c STREAMS s 0", "XTRIM s MAXLEN 100", "XGROUP CREATE s h $",
                      "XGROUP SETID s g $", "XGROUP CREATECONSUMER s g new", "XADD s * message_type market_data"):
            self.assertEqual(client.call(*words.split()), DOWN, words)
        for words in (("XACK", "s", "g", added[MARKETDATA]), ("XDEL", "s", added[MARKETDATA]), ("XACK", "s", "g", *added.values())):
            self.assertEqual(client.call(*words), DOWN, words)
        # It was refused before the anchor, so there is no such group; nor was a message sent elsewhere.
        bare = self.client(self.stack.engine_logic)
        self.assertEqual([each["name"] for each in bare.xinfo_groups("s")], [b"g"])
        self.assertEqual(bare.xlen("s"), 1)
        # A request that does not need it works.
        one = client.call(*xadd("s", "order_request", "more"))
        self.assertEqual([number for number, _ in entries(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))], [one])
        self.assertEqual(client.call("XACK", "s", "g", one), 1)
        self.assertEqual(client.call("XDEL", "s", one), 1)
        self.restore(MARKETDATA)
        self.assertEqual([number for number, _ in entries(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))], [added[MARKETDATA]])
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "h", "$"), "OK")

    def test_without_any_bus_group_reads_say_so(self):
        client = self.connect()
        self.addCleanup(self.restore, *TYPES)
        for bus in TYPES:
            self.stack.buses[bus].kill()
            self.await_unreachable(bus)
        self.assertRegex(str(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")), "^BUSDOWN ")
        self.restore(*TYPES)
        self.assertIsNone(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))

    def test_readers_that_wait_live_through_an_outage(self):
        readers = {f"g{number}": self.connect(2 + number % 2) for number in range(3)}

        def wait(group):
            readers[group].send("XREADGROUP", "GROUP", group, "c", "BLOCK", 0, "STREAMS", "s", ">")

        def all_get(number, name):
            start = time.monotonic()
            for group, reader in readers.items():
                self.assertEqual(entries(reader.read()), [(number, name)])
                wait(group)
            self.assertLess(time.monotonic() - start, DELAY_LIMIT + self.watch.waited())

        for group in readers:
            self.publisher.call("XGROUP", "CREATE", "s", group, "$")
            wait(group)
        wait_for(lambda: b"blocked_clients:3\r\n" in self.connect().call("INFO", "clients"), "they wait")
        self.kill(MARKETDATA)
        all_get(self.publisher.call(*xadd("s", "order_request", "meanwhile")), b"meanwhile")
        self.restore(MARKETDATA)
        all_get(shown(self.client(self.stack.marketdata).xadd("s", {"name": "direct"}), MARKETDATA).encode(), b"direct")
        all_get(self.publisher.call(*xadd("s", "market_data", "through the daemon")), b"through the daemon")

    def test_no_reader_that_waits_is_told_that_a_bus_was_killed(self):
        keys = [f"s{number}" for number in range(8)]
        readers = [self.connect() for _ in range(3 * len(keys))]
        for key in keys:
            self.publisher.call("XGROUP", "CREATE", key, "g", "$", "MKSTREAM")
        for number, reader in enumerate(readers):
            what = ("XREAD",) if number % 3 == 0 else ("XREADGROUP", "GROUP", "g", f"c{number}")
            reader.send(*what, "BLOCK", 0, "STREAMS", keys[number // 3], "$" if number % 3 == 0 else ">")
        wait_for(lambda: f"blocked_clients:{len(readers)}\r\n".encode() in self.connect().call("INFO", "clients"), "they wait")
        looks = lambda: self.daemon.metrics().value("dualbus_parked_reader_wakes_total", bus=MARKETDATA)  # noqa: E731
        for round_number in range(scaled(5)):
            before = looks()
            if round_number % 2 == 0:
                self.kill(MARKETDATA)
                self.restore(MARKETDATA)
            else:
                self.stack.marketdata.kill()
                self.stack.marketdata.start()
            # They have looked whether something came meanwhile, and found nothing.
            wait_for(lambda: looks() >= before + len(readers) * 2 // 3, "they look again")
            wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight") == 0, "nobody looks")
            self.assertEqual([reader for reader in readers if select.select([reader.socket], [], [], 0)[0]], [])

    def test_a_look_that_may_have_taken_an_entry_is_not_passed_over(self):
        bare = self.connect(to=self.stack.marketdata)
        follower, waiting, producer = self.connect(), self.connect(), self.connect()
        follower.send("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
        waiting.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: b"blocked_clients:2\r\n" in self.connect().call("INFO", "clients"), "they wait")
        # Without that they look every few milliseconds.
        wait_for(lambda: b" redir=0 " in bare.call("CLIENT", "LIST"), "the bus announces changes")
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=MARKETDATA) == 0, "nobody looks")
        self.stop(MARKETDATA)
        producer.send(*xadd("s", "market_data", "perhaps"))
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=MARKETDATA) >= 2, "the look is right behind the entry")
        self.stack.marketdata.kill()
        lost = "BUSLOST bus 'marketdata': connection lost after the command was sent, outcome unknown"
        self.assertEqual([producer.read(), waiting.read()], [lost, lost])
        self.restore(MARKETDATA)
        # XREAD takes nothing, so it is repeated.
        number = shown(self.client(self.stack.marketdata).xadd("s", {"name": "certain"}), MARKETDATA).encode()
        self.assertEqual(entries(follower.read())[-1], (number, b"certain"))

    def test_a_bus_that_is_busy_with_a_script_is_as_good_as_down(self):
        bare = self.client(self.stack.marketdata)
        bare.config_set("busy-reply-threshold", 50)
        client, script = self.connect(), self.connect(to=self.stack.marketdata)
        added = self.add()
        with running(lambda: self.assertRegex(str(script.call("EVAL", "while true do end", 0)), "killed")):
            try:
                wait_for(lambda: str(self.connect(to=self.stack.marketdata).call("PING")).startswith("BUSY"), "it is busy")
                read = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 50, "STREAMS", "s", ">")
                self.assertEqual([number for number, _ in entries(client.call(*read))], [added[ENGINE_LOGIC]])
                self.assertIsNone(client.call(*read))
                self.assertRegex(str(client.call(*xadd("s", "market_data", "n"))), "^BUS(Y|DOWN) ")
            finally:
                self.connect(to=self.stack.marketdata).call("SCRIPT", "KILL")
        # It is asked once a second whether it works again.
        read = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 20000, "STREAMS", "s", ">")
        self.assertEqual([number for number, _ in entries(client.call(*read))], [added[MARKETDATA]])


if __name__ == "__main__":
    unittest.main()
