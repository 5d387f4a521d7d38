"""The order in which many waiting readers are served, and the cost of a thousand: two connections, and nothing while nothing happens."""
import random
import re
import resource
import select
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, sanitized, shown, wait_for
from support.resp import ReplyError
from support.stream_load import ALL_TYPES, TYPES, Consumer, check_connections, entries, run_for, scaled, started, xadd


class CrowdTest(StackTest):
    def setUp(self):
        super().setUp()
        self.admin = self.connect()

    def await_parked(self, count):
        wait_for(lambda: f"blocked_clients:{count}\r\n" in self.admin.call("INFO", "clients").decode(), f"{count} wait")

    def create(self, key, group="g"):
        self.assertEqual(self.admin.call("XGROUP", "CREATE", key, group, "$", "MKSTREAM"), "OK")

    def wait_in_order(self, requests):
        """Connections that have sent these reads, one after the other."""
        connections = []
        for number, request in enumerate(requests):
            connections.append(self.connect(2 + number % 2))
            connections[-1].send(*request)
            self.await_parked(number + 1)
        return connections

    def add_somewhere(self, number, key="s"):
        """An entry on either bus, by way of the daemon or directly; its ID."""
        bus = (MARKETDATA, ENGINE_LOGIC)[number % 2]
        if number // 2 % 2:
            return shown(self.stack.buses[bus].client().xadd(key, {"message_type": "x"}), bus).encode()
        return self.admin.call(*xadd(key, TYPES[bus][0], "n"))


def group_read(consumer, *keys, group="g", options=()):
    keys = keys or ("s",)
    return ("XREADGROUP", "GROUP", group, consumer, *options, "BLOCK", 0, "STREAMS", *keys, *(">" * len(keys)))


class OrderTest(CrowdTest):
    # Each worker has queues of its own.
    config = {"workers": 1}

    def test_I14_parked_readers_of_a_group_are_served_in_the_order_of_their_coming(self):
        self.create("s")
        self.create("s", "h")
        for attempt in range(scaled(3)):
            count = 8
            options = ("COUNT", 1) if attempt % 2 else ()
            readers = self.wait_in_order([group_read(number // 2, group="gh"[number % 2], options=options) for number in range(2 * count)])
            for number in range(count):
                expected = self.add_somewhere(number + attempt)
                for reader in readers[2 * number:2 * number + 2]:
                    self.assertEqual([entry for entry, _ in entries(reader.read())], [expected], number)
                self.await_parked(2 * (count - number - 1))

    def test_I14_a_burst_is_handed_out_in_that_order_too(self):
        self.create("s")
        count = 12
        readers = self.wait_in_order([group_read(number, options=("COUNT", 1)) for number in range(count)])
        added = self.admin.pipeline([xadd("s", "market_data", number) for number in range(count)])
        # On one bus entries go out in their order, and so each reader's says how early he was.
        self.assertEqual([entries(reader.read())[0][0] for reader in readers], added)

    def test_I14_who_leaves_the_queue_does_not_hold_up_the_others(self):
        self.create("s")
        for attempt in range(scaled(10)):
            readers = self.wait_in_order([group_read(number) for number in range(6)])
            ids = {int(line.split("id=")[1].split()[0]) for line in self.admin.call("CLIENT", "LIST").decode().splitlines() if " flags=b " in line}
            self.assertEqual(len(ids), 6)
            leaving = random.sample(range(6), 3)
            for way, number in enumerate(leaving):
                if way == 0:
                    readers[number].abort()
                elif way == 1:
                    readers[number].close()
                else:
                    self.assertEqual(self.admin.call("CLIENT", "UNBLOCK", sorted(ids)[number]), 1)
                    self.assertIsNone(readers[number].read())
            self.await_parked(3)
            for number in sorted(set(range(6)) - set(leaving)):
                expected = self.add_somewhere(number + attempt)
                self.assertEqual([entry for entry, _ in entries(readers[number].read())], [expected])

    def test_I14_readers_of_several_streams_have_their_place_in_the_queue_of_each(self):
        for key in "abc":
            self.create(key)
        readers = self.wait_in_order([group_read(1, "a", "b"), group_read(2, "b", "c"), group_read(3, "c"), group_read(4, "a"), group_read(5, "b")])
        for key, number in (("b", 0), ("c", 1), ("a", 3), ("b", 4), ("c", 2)):
            expected = self.add_somewhere(number, key)
            self.assertEqual([entry for entry, _ in entries(readers[number].read())], [expected], key)


class BreakingTest(CrowdTest):
    config = {"backend": {"backoff_min": "5ms", "backoff_max": "20ms", "reconnect_wait": "2s"}}

    def test_I13_connections_that_break_again_and_again_leave_no_reader_asleep(self):
        keys = [f"s{number}" for number in range(30)]
        for key in keys:
            self.create(key)
        readers = {key: self.connect(2 + number % 2) for number, key in enumerate(keys)}
        waiting = set()

        def wait_again():
            for key, reader in readers.items():
                if key not in waiting:
                    reader.send(*group_read("c", key))
                    waiting.add(key)

        def take_replies(seconds):
            """key -> replies that came."""
            found = {}
            for key in [key for key in keys if select.select([readers[key].socket], [], [], seconds)[0]]:
                found[key] = readers[key].read()
                waiting.discard(key)
            return found

        for attempt in range(scaled(100)):
            wait_again()
            for bus in self.stack.buses.values():
                client = bus.client()
                pipeline = client.pipeline(transaction=False)
                for key in random.sample(keys, 10):
                    pipeline.xadd(key, {"message_type": "x"})
                if attempt % 4:  # the news that wakes, and then the end of the connection that brings it
                    for watcher in (each["id"] for each in client.client_list() if "t" in each["flags"]):
                        pipeline.execute_command("CLIENT", "KILL", "ID", watcher)
                else:
                    pipeline.execute_command("CLIENT", "KILL", "TYPE", "normal")
                pipeline.execute()
            time.sleep(random.uniform(0, 0.03))
            for reply in take_replies(0).values():
                if isinstance(reply, ReplyError):
                    self.assertRegex(reply, "^BUS(LOST|DOWN) ")
        self.await_connections()
        # A connection that broke off costs what it had in hand; from here on everybody gets what comes.
        while take_replies(0.01):
            pass
        wait_again()
        while any(not isinstance(reply, ReplyError) for reply in take_replies(0.05).values()):
            wait_again()
        wait_again()
        for number in range(4):
            expected = {key: self.add_somewhere(number, key) for key in keys}
            for key, reader in readers.items():
                self.assertIn(expected[key], [entry for entry, _ in entries(reader.read())], key)
            waiting.clear()
            wait_again()


    def test_I13_a_bus_that_refuses_for_a_while_to_have_its_keys_watched_leaves_no_reader_asleep(self):
        keys = [f"s{number}" for number in range(12)]
        for key in keys:
            self.create(key)
        bare = {name: bus.client() for name, bus in self.stack.buses.items()}
        self.addCleanup(lambda: [client.execute_command("ACL", "SETUSER", "default", "+exists") for client in bare.values()])
        consumers = [started(self, Consumer(self.daemon.address, key, "g", "c", count=None, block=random.choice((3, 20, 1000)), ack=False)) for key in keys]
        expected = {key: set() for key in keys}
        for attempt in range(scaled(60)):
            refusing = attempt % 3 < 2
            for name, client in bare.items():
                client.execute_command("ACL", "SETUSER", "default", "-exists" if refusing else "+exists")
                for key in random.sample(keys, 4):
                    expected[key].add(shown(client.xadd(key, {"message_type": "x"}), name).encode())
            run_for(random.uniform(0, 0.03), *consumers)
        for client in bare.values():
            client.execute_command("ACL", "SETUSER", "default", "+exists")
        self.await_connections()
        for key, consumer in zip(keys, consumers):
            wait_for(lambda: expected[key] <= {number for number, _ in list(consumer.received)} or consumer.check(),  # pylint: disable=cell-var-from-loop
                     f"{key} is delivered")
        for name in bare:
            for key, consumer in zip(keys, consumers):
                number = self.add_somewhere(2 + (name == ENGINE_LOGIC), key)
                wait_for(lambda: number in [each for each, _ in list(consumer.received)], f"{key} is watched")  # pylint: disable=cell-var-from-loop
        for consumer in consumers:
            consumer.stop()
            self.assertEqual(consumer.unexpected, [])


class CostTest(CrowdTest):
    READERS = 400 if sanitized() else 1000

    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))

    def test_a_thousand_parked_readers_have_two_connections_and_cost_pings(self):
        keys = [f"s{number}" for number in range(20)]
        for key in keys:
            self.create(key)
        readers = []
        for number in range(self.READERS):
            reader = self.connect(2)
            key = keys[number // 4 % len(keys)]
            reader.send(*(("XREAD", "BLOCK", 0, "STREAMS", key, "$") if number % 4 == 3 else group_read(number, key)))
            readers.append((reader, key, number % 4 == 3))
        self.await_parked(self.READERS)
        self.assertEqual(self.daemon.metrics().value("dualbus_parked_readers"), self.READERS)
        check_connections(self, self.stack)
        self.check_idle()
        # One entry is one reader's of the group, and everybody's without a group.
        expected = {key: self.add_somewhere(number, key) for number, key in enumerate(keys)}
        plain = [(reader, key) for reader, key, without_group in readers if without_group]
        for reader, key in plain:
            self.assertEqual([entry for entry, _ in entries(reader.read())], [expected[key]])
        self.await_parked(self.READERS - len(plain) - len(keys))
        check_connections(self, self.stack)
        self.check_idle()
        for reader, _, _ in readers:
            reader.close()
        self.await_parked(0)
        self.assertEqual(self.daemon.metrics().value("dualbus_parked_readers"), 0)
        for key in keys:
            self.assertEqual(self.admin.call("XPENDING", key, "g")[0], 1)

    def check_idle(self):
        """While nothing happens, a bus hears the watchers' PINGs, the markers of connections and an INFO per second of each, and the INFO poller."""
        workers = self.stack.config["workers"]
        buses = {name: bus.client() for name, bus in self.stack.buses.items()}
        before = {name: self.calls(bus) for name, bus in buses.items()}
        cpu, start = self.daemon.cpu_seconds(), time.monotonic()
        time.sleep(1.5)  # the length of the measurement
        seconds = time.monotonic() - start
        for name, bus in buses.items():
            now = self.calls(bus)
            grown = {command: calls - before[name].get(command, 0) for command, calls in now.items() if calls > before[name].get(command, 0)}
            self.assertLessEqual(set(grown), {"ping", "info", "echo"}, name)
            # A watcher's ten in a second, and one for the connection that serves requests.
            self.assertLessEqual(grown.get("ping", 0) + grown.get("echo", 0), workers * (11 * seconds + 4), name)
            # Once a second each, with those of this test.
            self.assertLessEqual(grown.get("info", 0), (workers + 1) * (seconds + 2), name)
        self.assertLess(self.daemon.cpu_seconds() - cpu, 0.5 * seconds)

    @staticmethod
    def calls(client):
        return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in client.info("commandstats").items()}

    def test_client_list_shows_who_waits(self):
        self.create("s")
        self.wait_in_order([group_read(1), ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), group_read(2)])
        listed = [line for line in self.admin.call("CLIENT", "LIST").decode().splitlines() if " flags=b " in line]
        self.assertEqual(sorted(re.search(" cmd=([^ ]*)", line)[1] for line in listed), ["xread", "xreadgroup", "xreadgroup"])
        for _ in range(2):  # one entry for one reader of the group
            self.admin.call(*xadd("s", ALL_TYPES[0], "n"))
        self.await_parked(0)


if __name__ == "__main__":
    unittest.main()
