"""The rules that always hold for a logical stream, each by a test that names it. The merged stream is a plain sorted list here."""
import itertools
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, SLOT_STEP
from support.stream_commands import LIMIT, OLD
from support.stream_ids import MAX, ZERO, parse, raw_of, show, slot_of
from support.stream_world import OLD_BUS, TYPES, World, seeded

SLOTS = {OLD_BUS: 0, MARKETDATA: 1, ENGINE_LOGIC: 2}
BUS_OF = {slot: bus for bus, slot in SLOTS.items()}
EDGES = (0, 1, 2, SLOT_STEP - 2, SLOT_STEP - 1)


class InvariantTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(SLOTS)

    @classmethod
    def tearDownClass(cls):
        cls.world.end()

    def setUp(self):
        self.world.fresh_model()
        self.addCleanup(self.world.check, self)
        self.chance, self.seed = seeded(self)
        self.client = self.connect(self.chance.choice((2, 3)))

    def connect(self, protocol):
        connection = self.world.daemon.connect(protocol=protocol)
        self.addCleanup(connection.close)
        return connection

    def fill(self, ids, key="s"):
        """Entries with these client IDs, ascending, through the daemon or, on the bus that is being left, directly."""
        with self.world.servers[OLD_BUS].connect() as old:
            direct = [("XADD", key, show(raw_of(entry)), "n", show(entry)) for entry in sorted(ids) if slot_of(entry) == 0]
            self.assertEqual(old.pipeline(direct), [request[2] for request in direct])
        requests = [("XADD", key, show(entry), "message_type", TYPES[BUS_OF[slot_of(entry)]][0], "n", show(entry))
                    for entry in sorted(ids) if slot_of(entry)]
        self.assertEqual(self.client.pipeline(requests), [request[2] for request in requests])

    def some_ids(self, count, milliseconds=40):
        """Close together, so that buses share milliseconds and raw IDs. Sequences start at 1: 0-0 is no ID."""
        ids = set()
        while len(ids) < count:
            ids.add((self.chance.randrange(milliseconds), 1 + self.chance.randrange(3) + self.chance.randrange(3) * SLOT_STEP))
        return ids

    def deliver(self, group="g", key="s", consumers=(b"alice",), start="0"):
        """A group that has delivered everything, with entries of several buses in each reply."""
        self.assertEqual(self.client.call("XGROUP", "CREATE", key, group, start), "OK")
        pending = {}
        while entries := self.read(group, (consumer := self.chance.choice(consumers)), ">", self.chance.randrange(1, 9), key):
            self.assertFalse({entry for entry, _ in entries} & set(pending))
            pending.update((entry, consumer) for entry, _ in entries)
        return pending

    def read(self, group, consumer, entry, count=None, key="s"):
        options = ["COUNT", count] if count is not None else []
        return entries_of(self.client.call("XREADGROUP", "GROUP", group, consumer, *options, "STREAMS", key, entry), key)

    def autoclaim(self, consumer, min_idle, start, *options):
        reply = self.client.call("XAUTOCLAIM", "s", "g", consumer, min_idle, start, *options)
        self.assertIsInstance(reply, list)
        return reply

    def pending(self, *condition, key="s", group="g"):
        """(ID, consumer, deliveries) of pending entries."""
        return [(parse(entry), consumer, deliveries) for entry, consumer, _, deliveries in
                self.client.call("XPENDING", key, group, *(condition or ("-", "+", 10**6)))]

    # --- the tests -----------------------------------------------------------------------------------------------------

    def test_I1_every_bound_selects_exactly_the_entries_whose_shown_id_satisfies_it(self):
        ids = {(milliseconds, sequence + slot * SLOT_STEP) for milliseconds in (0, 1, 5, MAX // 10**6) for sequence in EDGES for slot in range(3)}
        ids -= {(0, slot * SLOT_STEP) for slot in range(3)}
        self.fill(ids)
        self.assertEqual({entry[0] for entry in self.client.call("XRANGE", "s", "-", "+")}, {show(entry) for entry in ids})
        bounds = [(milliseconds, sequence + slot * SLOT_STEP) for milliseconds in (0, 1, 2, 4, 5, 6, MAX)
                  for sequence in EDGES for slot in (0, 1, 2, 3, 127)] + [(5, MAX), (MAX, MAX - 1), (MAX, MAX)]
        everything, requests, expected = sorted(ids), [], []
        for bound in bounds:
            here = show(bound)
            requests += [("XRANGE", "s", here, "+"), ("XRANGE", "s", "-", here), ("XREVRANGE", "s", "+", here)]
            expected += [[one for one in everything if one >= bound], [one for one in everything if one <= bound],
                         [one for one in reversed(everything) if one >= bound]]
            if bound != (MAX, MAX):
                requests.append(("XRANGE", "s", b"(" + here, "+"))
                expected.append([one for one in everything if one > bound])
            if bound != ZERO:
                requests.append(("XRANGE", "s", "-", b"(" + here))
                expected.append([one for one in everything if one < bound])
        for milliseconds in (0, 1, 2, 5, 6, MAX):
            requests += [("XRANGE", "s", milliseconds, "+"), ("XRANGE", "s", "-", milliseconds)]
            expected += [[one for one in everything if one[0] >= milliseconds], [one for one in everything if one[0] <= milliseconds]]
        for request, right, reply in zip(requests, expected, self.client.pipeline(requests)):
            self.assertEqual([entry for entry, _ in reply], list(map(show, right)), f"seed {self.seed}: {request}")

    def test_I1_reading_acknowledging_and_trimming_convert_ids_exactly(self):
        ids = {(milliseconds, sequence + slot * SLOT_STEP) for milliseconds in (1, 2) for sequence in EDGES for slot in range(3)}
        self.fill(ids)
        self.deliver()
        everything = sorted(ids)
        bounds = [(milliseconds, sequence + slot * SLOT_STEP) for milliseconds in (0, 1, 2, 3) for sequence in EDGES for slot in (0, 1, 2, 3)]
        for bound in bounds:
            behind = list(map(show, (one for one in everything if one > bound)))
            self.assertEqual([entry for entry, _ in entries_of(self.client.call("XREAD", "STREAMS", "s", show(bound)), "s")], behind)
            self.assertEqual([entry for entry, _ in self.read("g", "alice", show(bound))], behind)
            self.assertEqual([show(entry) for entry, _, _ in self.pending(b"(" + show(bound), "+", 1000)], behind)
            self.client.call("XGROUP", "SETID", "s", "g", show(bound))
            self.assertEqual([entry for entry, _ in self.read("g", "alice", ">")], behind, f"set to {bound}")
        for bound in bounds:
            gone = [one for one in everything if one < bound]
            everything = [one for one in everything if one >= bound]
            self.assertEqual(self.client.call("XTRIM", "s", "MINID", show(bound)), len(gone), f"below {bound}")
            self.assertEqual([entry for entry, _ in self.client.call("XRANGE", "s", "-", "+")], list(map(show, everything)))
        for entry in sorted(ids):
            self.assertEqual(self.client.call("XACK", "s", "g", show((entry[0], entry[1] + 3 * SLOT_STEP)), show(entry)), 1)

    def test_I2_reads_with_every_count_are_the_beginning_of_the_merged_list(self):
        ids = sorted(self.some_ids(60))
        self.fill(ids)
        self.deliver()
        bounds = [ZERO, (MAX, MAX), *self.chance.sample(ids, 6), *((entry[0], 5 * SLOT_STEP) for entry in self.chance.sample(ids, 3))]
        for low, high in itertools.product(bounds, bounds):
            chosen = [show(entry) for entry in ids if low <= entry <= high]
            for count in (1, 2, 7, 59, 60, 61):
                replies = self.client.pipeline([
                    ("XRANGE", "s", show(low), show(high), "COUNT", count), ("XREVRANGE", "s", show(high), show(low), "COUNT", count),
                    ("XPENDING", "s", "g", show(low), show(high), count)])
                self.assertEqual([entry[0] for entry in replies[0]], chosen[:count], f"seed {self.seed}")
                self.assertEqual([entry[0] for entry in replies[1]], chosen[::-1][:count], f"seed {self.seed}")
                self.assertEqual([entry[0] for entry in replies[2]], chosen[:count], f"seed {self.seed}")
        for low, count in itertools.product(bounds, (1, 2, 7, 60)):
            read = entries_of(self.client.call("XREAD", "COUNT", count, "STREAMS", "s", show(low)), "s")
            self.assertEqual([entry for entry, _ in read], [show(entry) for entry in ids if entry > low][:count], f"seed {self.seed}")
        while ids:
            gone = self.chance.sample(ids, min(len(ids), 7))
            self.assertEqual(self.client.call("XDEL", "s", *map(show, gone)), len(gone))
            ids = sorted(set(ids) - set(gone))
            self.assertEqual([entry for entry, _ in self.client.call("XRANGE", "s", "-", "+")], list(map(show, ids)))

    def test_I3_no_group_read_returns_more_than_count_entries(self):
        self.fill(self.some_ids(100))
        self.fill(self.some_ids(100), "other")
        for count in (1, 2, 3, 10, 40):
            group = f"g{count}"
            for key in ("s", "other"):
                self.client.call("XGROUP", "CREATE", key, group, "0")
            delivered = {"s": 0, "other": 0}
            while True:
                reply = self.client.call("XREADGROUP", "GROUP", group, "c", "COUNT", count, "STREAMS", "s", "other", ">", ">")
                if reply is None:
                    break
                for key in delivered:
                    size = len(entries_of(reply, key))
                    delivered[key] += size
                    self.assertTrue(size == count or delivered[key] == 100, f"{size} of {key} with COUNT {count}")
            self.assertEqual(delivered, {"s": 100, "other": 100})
            for key in delivered:
                self.assertEqual(len(self.read(group, "c", "0", count, key)), count)

    def test_I5_commands_affect_only_the_entry_named_where_buses_share_a_raw_id(self):
        raws = [(milliseconds, sequence) for milliseconds in (3, 4) for sequence in (1, 2)]
        ids = {(milliseconds, sequence + slot * SLOT_STEP) for milliseconds, sequence in raws for slot in range(3)}
        self.fill(ids)
        self.assertEqual(len(self.deliver()), 12)
        left, owners = set(ids), dict.fromkeys(ids, b"alice")
        for entry in self.chance.sample(sorted(ids), 4):
            self.assertEqual([one for one, _ in self.client.call("XCLAIM", "s", "g", "bob", 0, show(entry))], [show(entry)])
            owners[entry] = b"bob"
            self.assertEqual({one: consumer for one, consumer, _ in self.pending()}, owners)
        for entry in self.chance.sample(sorted(ids), 4):
            self.assertEqual(self.client.call("XACK", "s", "g", show(entry)), 1)
            del owners[entry]
            self.assertEqual({one: consumer for one, consumer, _ in self.pending()}, owners)
        for entry in self.chance.sample(sorted(ids), 4):
            self.assertEqual(self.client.call("XDEL", "s", show(entry)), 1)
            left.remove(entry)
            self.assertEqual([one for one, _ in self.client.call("XRANGE", "s", "-", "+")], list(map(show, sorted(left))))

    def test_I10_a_full_autoclaim_walk_meets_every_pending_entry_once_and_ends(self):
        for count, justid in itertools.product((1, 2, 5, 33, 100), ([], ["JUSTID"])):
            self.world.fresh_model()
            ids = self.some_ids(60)
            self.fill(ids)
            self.assertEqual(len(self.deliver(consumers=(b"alice", b"bob"))), 60)
            deleted = set(self.chance.sample(sorted(ids), 15))
            self.client.call("XDEL", "s", *map(show, deleted))
            cursor, claimed, gone = b"0-0", [], []
            for _ in range(200):
                cursor, some, lost = self.autoclaim("carol", 0, cursor, "COUNT", count, *justid)
                self.assertLessEqual(len(some) + len(lost), count)
                claimed += some if justid else [entry for entry, _ in some]
                gone += lost
                if cursor == b"0-0":
                    break
            self.assertEqual(cursor, b"0-0", f"seed {self.seed}: the walk does not end")
            self.assertEqual(sorted(claimed), sorted(map(show, ids - deleted)), f"seed {self.seed}, COUNT {count}")
            self.assertEqual(sorted(gone), sorted(map(show, deleted)), f"seed {self.seed}, COUNT {count}")
            self.assertEqual({consumer for _, consumer, _ in self.pending()}, {b"carol"})

    def test_I10_calls_that_always_begin_at_zero_reach_the_idle_entries_of_every_bus(self):
        ids = sorted(self.some_ids(60))
        self.fill(ids)
        self.deliver()
        idle = set(self.chance.sample(ids, 30))
        self.client.call("XCLAIM", "s", "g", "alice", 0, *map(show, idle), "IDLE", OLD, "JUSTID")
        claimed = []
        while some := self.autoclaim("bob", LIMIT, "0-0", "COUNT", 4, "JUSTID")[1]:
            claimed += some
        self.assertEqual(sorted(claimed), sorted(map(show, idle)), f"seed {self.seed}")

    def test_I11_paging_through_history_meets_each_pending_entry_once_and_counts_one_delivery(self):
        ids = self.some_ids(80)
        self.fill(ids)
        owners = self.deliver(consumers=(b"alice", b"bob"))
        gone = set(map(show, self.chance.sample(sorted(ids), 10)))
        self.client.call("XDEL", "s", *gone)
        deliveries = dict.fromkeys(owners, 1)
        for size, consumer in itertools.product((1, 3, 10, 79, None), (b"alice", b"bob")):
            cursor, seen = b"0", []
            while page := self.read("g", consumer, cursor, size):
                self.assertLessEqual(len(page), size or len(page))
                for entry, fields in page:
                    self.assertEqual(fields is None, entry in gone)
                    seen.append(entry)
                cursor = seen[-1]
            mine = [show(entry) for entry in sorted(ids) if owners[show(entry)] == consumer]
            self.assertEqual(seen, mine, f"seed {self.seed}, COUNT {size}")
            for entry in mine:
                deliveries[entry] += entry not in gone
            self.assertEqual({show(entry): count for entry, _, count in self.pending()}, deliveries, f"seed {self.seed}, COUNT {size}")


def entries_of(reply, key):
    """The entries of one key in the reply to XREAD or XREADGROUP."""
    pairs = reply.items() if isinstance(reply, dict) else reply or ()
    if isinstance(reply, str):
        raise AssertionError(reply)
    return next((entries for name, entries in pairs if name == key.encode()), [])


if __name__ == "__main__":
    unittest.main()
