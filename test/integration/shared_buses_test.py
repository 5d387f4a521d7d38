"""Several daemons before the same two Redis servers: none of them knows of the others, and their clients cannot tell."""
import random
import time
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, wait_for
from support.stream_load import (ALL_TYPES, TYPES, Consumer, DaemonsTest, Producer, Runner, await_delivery, by_key, delivered_once, entries,
                         names_stored_once, run_for, scaled, started, stop_all, xadd)

GROUPS = ("g1", "g2", "g3")


class DeliveryTest(DaemonsTest):
    def test_I4_two_daemons_deliver_every_entry_exactly_once_per_group(self):
        self.deliver(self.daemons[:2])

    def test_I4_three_daemons_deliver_every_entry_exactly_once_per_group(self):
        self.deliver(self.daemons)

    def deliver(self, daemons):
        """Producers and two consumers of each group at every daemon, and producers at the buses themselves."""
        creator = self.connect(to=daemons[0])
        # An entry that is there already belongs to a group that starts at 0 and not to one that starts at $.
        early = {name: creator.call(*xadd("s", kind, name)) for kind, name in ((TYPES[MARKETDATA][0], b"early-m"), (TYPES[ENGINE_LOGIC][0], b"early-e"))}
        for group, start in zip(GROUPS, ("0", "$", "$")):
            self.assertEqual(creator.call("XGROUP", "CREATE", "s", group, start), "OK")
        consumers = {group: [] for group in GROUPS}
        for number, daemon in enumerate(daemons):
            for group in GROUPS:
                # Those who wait, those who ask all the time, those who take everything, in both protocols.
                for which, (count, block) in enumerate(random.sample([(1, 50), (10, 200), (None, 100), (7, None), (50, 1000)], 2)):
                    consumers[group].append(started(self, Consumer(daemon.address, "s", group, f"c{number}-{which}", count=count, block=block,
                                                                   protocol=2 + (number + which) % 2)))
        everybody = sum(consumers.values(), [])
        producers = [Producer(daemon.address, "s", f"via-{number}", depth=3) for number, daemon in enumerate(daemons)]
        producers += [Producer(bus.address, "s", f"at-{name}", types=TYPES[name], depth=3) for name, bus in self.stack.buses.items()]
        for producer in producers:
            started(self, producer)
        run_for(scaled(40) / 20, *producers, *everybody)
        stop_all(producers)
        names = names_stored_once(self, self.stack, "s")
        self.assertEqual(names, set(early).union(*(producer.acknowledged for producer in producers)))
        for group in GROUPS:
            expected = names if group == "g1" else names - set(early)
            await_delivery(consumers[group], expected)
        stop_all(everybody)
        for group in GROUPS:
            delivered_once(self, consumers[group], names if group == "g1" else names - set(early), group)
        self.assertEqual([consumer.unexpected for consumer in everybody if consumer.unexpected or consumer.bus_errors], [])
        for daemon in daemons:
            client = self.connect(to=daemon)
            for group in GROUPS:
                self.assertEqual(client.call("XPENDING", "s", group), [0, None, None, None])
                self.assertIsNone(client.call("XREADGROUP", "GROUP", group, "late", "STREAMS", "s", ">"))
        # Each daemon shows an entry under the same ID.
        for consumer in everybody:
            for producer in producers[:len(daemons)]:
                for number, name in consumer.received:
                    self.assertEqual(number, producer.acknowledged.get(name, number))


class GroupTest(DaemonsTest):
    # Another daemon would notice a little later what one does to groups.
    config = {"absorb": "off"}

    def test_I12_racing_creates_yield_exactly_one_ok(self):
        clients = [self.connect(2 + number % 2, to=daemon) for daemon in self.daemons for number in range(3)]
        for attempt in range(scaled(100)):
            key, start = f"s{attempt}", random.choice(("0", "$"))
            if attempt % 3:
                self.client().xadd(key, {"message_type": random.choice(ALL_TYPES)})
            random.shuffle(clients)
            for client in clients:
                client.send("XGROUP", "CREATE", key, "g", start, "MKSTREAM")
            replies = [client.read() for client in clients]
            self.assertEqual(replies.count("OK"), 1, replies)
            self.assertEqual(replies.count("BUSYGROUP Consumer Group name already exists"), len(clients) - 1, replies)
            for name, bus in self.stack.buses.items():
                self.assertEqual([each["name"] for each in self.client(bus).xinfo_groups(key)], [b"g"], name)
            self.assertEqual([name for name, _ in self.groups(random.choice(clients), key)], [b"g"])

    @staticmethod
    def groups(client, key):
        """[(name, everything)] as XINFO GROUPS has them."""
        described = client.call("XINFO", "GROUPS", key)
        described = [each if isinstance(each, dict) else dict(zip(each[::2], each[1::2])) for each in described]
        return [(each[b"name"], each) for each in described]

    def test_I12_polls_never_bring_a_destroyed_group_back(self):
        pollers = [self.connect(2 + number % 2, to=daemon) for daemon in self.daemons for number in range(2)]
        waiters = [self.connect(to=daemon) for daemon in self.daemons]
        admin = [self.connect(to=daemon) for daemon in self.daemons]
        bare = self.client(self.stack.marketdata)
        destroyed = resp.ReplyError("NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")
        for attempt in range(scaled(30)):
            creator, destroyer, witness = (random.choice(admin) for _ in range(3))
            self.assertEqual(creator.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK", attempt)
            for kind in ALL_TYPES:
                creator.call(*xadd("s", kind, f"{attempt}-{kind}"))
            for waiter in waiters:
                waiter.send("XREADGROUP", "GROUP", "g", "w", "BLOCK", 0, "STREAMS", "s", ">")
            if attempt % 2:
                bare.xgroup_destroy("s", "g")  # so that the polls heal the group while it is being destroyed
            for round_number in range(12):
                for poller in pollers:
                    poller.send("XREADGROUP", "GROUP", "g", "p", "COUNT", 1, "STREAMS", "s", ">")
                if round_number == attempt % 12:
                    destroyer.send("XGROUP", "DESTROY", "s", "g")
            self.assertEqual(destroyer.read(), 1)
            replies = [[poller.read() for _ in range(12)] for poller in pollers]
            for reply in (reply for each in replies for reply in each if isinstance(reply, resp.ReplyError)):
                self.assertEqual(reply, destroyed)
            for waiter in waiters:  # they had an entry each, or are told within the time that unannounced changes take
                reply = waiter.read()
                if reply != destroyed:
                    self.assertGreater(len(entries(reply)), 0)
            # Every poll from now on finds nothing, whichever daemon is asked, and nothing brings it back.
            for poller in pollers:
                self.assertEqual(poller.call("XREADGROUP", "GROUP", "g", "p", "STREAMS", "s", ">"), destroyed)
            self.assertEqual(self.groups(witness, "s"), [])
            self.assertEqual(self.client(self.stack.engine_logic).xinfo_groups("s"), [])
            self.assertRegex(witness.call("XPENDING", "s", "g"), "^NOGROUP ")
            bare.xgroup_destroy("s", "g")  # a healing poll may have left it there, where nobody sees it

    def test_I12_a_group_missing_on_one_bus_is_healed_and_nothing_is_lost(self):
        publisher, bare = self.connect(), self.client(self.stack.marketdata)
        self.assertEqual(publisher.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), "OK")
        there = set()  # names on the bus that loses the group
        for attempt in range(scaled(25)):
            if attempt % 5 == 4:
                bare.delete("s")
                there.clear()
            else:
                self.assertEqual(bare.xgroup_destroy("s", "g"), 1)
            for kind in ("market_data", "order_request"):
                publisher.call(*xadd("s", kind, f"{kind}-{attempt}"))
            bare.xadd("s", {"name": f"direct-{attempt}"})
            there |= {f"market_data-{attempt}".encode(), f"direct-{attempt}".encode()}
            consumers = [started(self, Consumer(daemon.address, "s", "g", f"c{number}-{attempt}", count=random.choice((1, 3, None)),
                                                block=random.choice((None, 20)))) for number, daemon in enumerate(self.daemons)]
            # From the beginning, because nobody knows what the group had had of it. On the other bus it had everything.
            expected = there | {f"order_request-{attempt}".encode()}
            await_delivery(consumers, expected)
            stop_all(consumers)
            delivered_once(self, consumers, expected, f"attempt {attempt}")
            self.assertEqual([consumer.unexpected for consumer in consumers if consumer.unexpected], [])
            self.assertEqual([name for name, _ in self.groups(publisher, "s")], [b"g"])
            self.assertEqual(publisher.call("XPENDING", "s", "g"), [0, None, None, None])


class Client(Runner):
    """A consumer at a daemon that is killed again and again: it takes what it gets, acknowledges most of it, and connects anew."""

    def __init__(self, address, name, seed):
        super().__init__(address, reconnect=True)
        self._name, self._random = name, random.Random(seed)
        self.received, self.ack_sent, self.acknowledged = [], set(), set()
        self.unexpected = []

    def step(self):
        chance = self._random
        reply = self.connection.call("XREADGROUP", "GROUP", "g", self._name, "COUNT", chance.choice((1, 5, 20)), "BLOCK",
                                     chance.choice((1, 50, 500)), "STREAMS", "s", ">")
        found = entries(reply)
        self.received.extend(found)
        numbers = [number for number, _ in found if chance.random() < 0.8]  # an engine crashes, too
        if numbers:
            self.ack_sent.update(numbers)
            reply = self.connection.call("XACK", "s", "g", *numbers)
            if reply != len(numbers):
                self.unexpected.append(reply)
            self.acknowledged.update(numbers)


class KillTest(DaemonsTest):
    number_of_daemons = 2

    def test_I16_a_killed_daemon_loses_no_pending_entry_and_the_other_one_reads_its_ids(self):
        survivor, victim = self.daemons
        self.assertEqual(self.connect().call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), "OK")
        clients = [started(self, Client(daemon.address, f"{daemon.name}-{number}", number)) for daemon in self.daemons for number in range(3)]
        producers = [started(self, Producer(daemon.address, "s", f"{daemon.name}-{number}", reconnect=True, protocol=2 + number))
                     for daemon in self.daemons for number in range(2)]
        for _ in range(scaled(6)):
            run_for(random.uniform(0.1, 0.4), *clients, *producers)
            goal = len(producers[-1].acknowledged) + 20
            victim.kill()
            victim.start()
            wait_for(lambda: len(producers[-1].acknowledged) >= goal or producers[-1].check(), "it works again")  # pylint: disable=cell-var-from-loop
        run_for(0.2, *clients, *producers)
        stop_all(producers)
        stop_all(clients)
        for each in (*clients, *producers):
            self.assertEqual(each.unexpected, [])

        names = names_stored_once(self, self.stack, "s")
        for producer in producers:
            self.assertEqual(set(producer.acknowledged) - names, set(), "acknowledged and lost")
            self.assertEqual(set(producer.refused) & names, set())
        received = [entry for client in clients for entry in client.received]
        self.assertEqual(len(received), len({number for number, _ in received}), "delivered twice")

        # The survivor delivers what nobody had; then every entry was acknowledged by one who had it, or is pending.
        heir = self.connect(to=survivor)
        while rest := entries(heir.call("XREADGROUP", "GROUP", "g", "heir", "COUNT", 100, "STREAMS", "s", ">")):
            self.assertEqual({name for _, name in rest} & {name for _, name in received}, set(), "delivered twice")
            received += rest
        claimed = self.claim_everything(heir, "heir")
        known = {**dict(received), **claimed}
        self.assertEqual(set(known.values()), names)
        acknowledged = set().union(*(client.acknowledged for client in clients))
        attempted = set().union(*(client.ack_sent for client in clients))
        self.assertEqual(acknowledged & set(claimed), set(), "acknowledged and still pending")
        self.assertEqual(set(known) - attempted - set(claimed), set(), "neither acknowledged nor pending")
        self.assertEqual(self.connect(to=victim).call("XPENDING", "s", "g")[0], len(claimed))

        # One ID means one entry, whichever daemon says it.
        for daemon in self.daemons:
            client = self.connect(to=daemon)
            listed = {number: flat[3] for number, flat in client.call("XRANGE", "s", "-", "+")}
            self.assertEqual(listed, known)
            for producer in producers:
                self.assertEqual({number: listed[number] for number in producer.acknowledged.values()},
                                 {number: name for name, number in producer.acknowledged.items()})
        self.assertEqual(self.connect(to=victim).call("XACK", "s", "g", *claimed), len(claimed))
        self.assertEqual(heir.call("XPENDING", "s", "g")[0], 0)

    def claim_everything(self, client, consumer):
        """ID -> name of all pending entries by a walk of XAUTOCLAIM."""
        claimed, cursor = {}, b"0-0"
        for _ in range(10000):
            cursor, found, deleted = client.call("XAUTOCLAIM", "s", "g", consumer, 0, cursor, "COUNT", 50)
            self.assertEqual(deleted, [])
            self.assertLessEqual(len(found), 50)
            for number, flat in found:
                self.assertNotIn(number, claimed, "claimed twice in one walk")
                claimed[number] = flat[3]
            if cursor == b"0-0":
                return claimed
        raise AssertionError("the walk does not end")

    def test_I16_what_a_parked_reader_was_to_get_is_there_for_the_next_one(self):
        """The daemon dies at any moment between the entry's arrival and the reader's having it."""
        survivor, victim = self.daemons
        client = self.connect(to=survivor)
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), "OK")
        for attempt in range(scaled(8)):
            readers = [resp.Connection(victim.address) for _ in range(3)]
            for number, reader in enumerate(readers):
                reader.send("XREADGROUP", "GROUP", "g", f"r{number}", "BLOCK", 0, "STREAMS", "s", ">")
            wait_for(lambda: b"blocked_clients:3" in client_info(victim), "three wait")
            number = client.call(*xadd("s", ALL_TYPES[attempt % 4], f"n{attempt}"))
            time.sleep(random.uniform(0, 0.002))
            victim.kill()
            had = []
            for reader in readers:
                try:
                    had += entries(reader.read())
                except OSError:
                    pass
                reader.close()
            self.assertLessEqual(len(had), 1)
            left = by_key(client.call("XREADGROUP", "GROUP", "g", "heir", "STREAMS", "s", ">")).get(b"s", [])
            pending = self.claim_everything(client, "heir")
            self.assertEqual(pending, {number: f"n{attempt}".encode()})
            self.assertLessEqual(len(had) + len(left), 1, "delivered twice")
            self.assertEqual(client.call("XACK", "s", "g", number), 1)
            victim.start()


def client_info(daemon):
    with daemon.connect() as client:
        return client.call("INFO", "clients")


if __name__ == "__main__":
    unittest.main()
