"""XRANGE and XREVRANGE of logical streams against a plain list that holds what both buses hold."""
import itertools
import random
import threading
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, SLOT, SLOT_STEP, Daemon, StackTest, make_config, shown, wait_for

MAX = 2**64 - 1
TYPES = {MARKETDATA: "market_data", ENGINE_LOGIC: "order_request"}


class Model:
    """The view that a reader of one logical stream should have: a sorted list, and the rules of Redis for bounds."""

    def __init__(self):
        self.entries = {}  # (ms, seq) in client form -> fields

    @staticmethod
    def parse(text):
        milliseconds, sequence = text.split("-")
        return int(milliseconds), int(sequence)

    def bound(self, text, start):
        exclusive = text.startswith("(")
        text = text.lstrip("(")
        if text == "-":
            return (0, 0), exclusive
        if text == "+":
            return (MAX, MAX), exclusive
        if "-" not in text:
            return (int(text), 0 if start else MAX), exclusive
        return self.parse(text), exclusive

    def range(self, start, end, count=None, reverse=False):
        (low, above), (high, below) = self.bound(start, True), self.bound(end, False)
        chosen = [key for key in sorted(self.entries, reverse=reverse)
                  if (low < key if above else low <= key) and (key < high if below else key <= high)]
        if count is not None:
            chosen = chosen[:count]
        return [["%d-%d" % key, self.entries[key]] for key in chosen]


def decoded(reply):
    return [[entry.decode(), [field.decode() for field in fields]] for entry, fields in reply]


class RangeTest(StackTest):
    def setUp(self):
        super().setUp()
        self.seed = random.SystemRandom().randrange(1 << 32)
        print(f"{self.id()}: seed {self.seed}")
        self.chance = random.Random(self.seed)

    def fill(self, model, key, count):
        """Entries with IDs in the past, close together, so that buses share milliseconds and even raw IDs."""
        client = self.connect()
        last = dict.fromkeys(TYPES, (0, 0))
        requests, expected = [], []
        for number in range(count):
            bus = self.chance.choice(list(TYPES))
            milliseconds, sequence = last[bus]
            if self.chance.random() < 0.5 or milliseconds == 0:
                milliseconds, sequence = milliseconds + self.chance.randrange(1, 4), self.chance.randrange(3)
            else:
                sequence += self.chance.randrange(1, 3)
            last[bus] = milliseconds, sequence
            fields = ["message_type", TYPES[bus], "n", str(number)]
            entry = shown(f"{milliseconds}-{sequence}", bus)
            requests.append(("XADD", key, entry, *fields))
            expected.append(entry.encode())
            model.entries[Model.parse(entry)] = fields
        self.assertEqual(client.pipeline(requests), expected)

    def any_bound(self, model):
        key = self.chance.choice(list(model.entries))
        kind = self.chance.randrange(8)
        prefix = self.chance.choice(["", "", "("])
        if kind == 0:
            return "-"
        if kind == 1:
            return "+"
        if kind == 2:
            return prefix + str(key[0])
        if kind == 3:
            return f"{prefix}{key[0]}-{self.chance.randrange(5) + self.chance.randrange(5) * SLOT_STEP}"
        if kind == 4:
            return f"{prefix}{self.chance.randrange(1, key[0] + 5)}-{self.chance.choice([0, 1, SLOT_STEP - 1, SLOT_STEP, MAX - 1])}"
        return f"{prefix}{key[0]}-{key[1]}"

    def test_all_kinds_of_bounds_and_counts_equal_the_merged_list(self):
        model = Model()
        self.fill(model, "s", 300)
        clients = [self.connect(2), self.connect(3)]
        whole = model.range("-", "+")
        for client in clients:
            self.assertEqual(decoded(client.call("XRANGE", "s", "-", "+")), whole)
            self.assertEqual(decoded(client.call("XREVRANGE", "s", "+", "-")), whole[::-1])
            self.assertEqual(client.call("XLEN", "s"), 300)
        cases = []
        for _ in range(400):
            start, end = self.any_bound(model), self.any_bound(model)
            count = self.chance.choice([None, None, 1, 2, 3, 7, 50, 299, 300, 301, 10**6])
            cases.append((start, end, count, self.chance.random() < 0.5))
        for client in clients:
            requests = [(("XREVRANGE", "s", end, start) if reverse else ("XRANGE", "s", start, end)) + (("COUNT", count) if count else ())
                        for start, end, count, reverse in cases]
            for (start, end, count, reverse), request, reply in zip(cases, requests, client.pipeline(requests)):
                self.assertEqual(decoded(reply), model.range(start, end, count, reverse), f"seed {self.seed}: {request}")

    def test_paging_in_both_directions_meets_every_entry_once(self):
        model = Model()
        self.fill(model, "s", 200)
        client = self.connect()
        for size, reverse in itertools.product((1, 3, 64), (False, True)):
            seen, cursor = [], "+" if reverse else "-"
            while page := decoded(client.call("XREVRANGE" if reverse else "XRANGE", "s", cursor, "-" if reverse else "+", "COUNT", size)):
                seen += page
                cursor = "(" + page[-1][0]
            self.assertEqual(seen, model.range("-", "+", reverse=reverse))

    def test_xdel_takes_exactly_the_entries_named(self):
        model = Model()
        self.fill(model, "s", 200)
        client = self.connect(3)
        while model.entries:
            keys = self.chance.sample(list(model.entries), min(len(model.entries), self.chance.randrange(1, 40)))
            # The same raw ID on the other bus must stay; IDs of slots that no bus has match nothing.
            foreign = [(keys[0][0], keys[0][1] % SLOT_STEP + 9 * SLOT_STEP), (0, 0)]
            ids = ["%d-%d" % key for key in keys + foreign]
            self.chance.shuffle(ids)
            self.assertEqual(client.call("XDEL", "s", *ids), len(keys))
            for key in keys:
                del model.entries[key]
            self.assertEqual(decoded(client.call("XRANGE", "s", "-", "+")), model.range("-", "+"), f"seed {self.seed}")

    def test_count_zero_and_missing_keys_answer_as_redis(self):
        self.client(self.stack.marketdata).xadd("s", {"a": "b"}, id="5-1")
        bare = self.stack.engine_logic
        self.client(bare).xadd("el:s", {"a": "b"}, id="5-1")
        for protocol in (2, 3):
            client, direct = self.connect(protocol), self.connect(protocol, to=bare)
            for words in ("{} - + COUNT 0", "{} - + COUNT -5", "{} 9 1", "{} - + COUNT 1 COUNT 0", "{} - + COUNT 0 COUNT 1"):
                ours = client.call_raw("XRANGE", *words.format("s").split())
                theirs = direct.call_raw("XRANGE", *words.format("el:s").split())
                self.assertEqual(ours.replace(shown("5-1", MARKETDATA).encode(), b"5-1").replace(b"$15\r\n", b"$3\r\n"), theirs, words)
                self.assertEqual(client.call_raw("XRANGE", *words.format("none").split()), direct.call_raw("XRANGE", *words.format("none").split()), words)
        self.client(bare).set("text", 1)
        wrong = "WRONGTYPE Operation against a key holding the wrong kind of value"
        replies = self.connect().pipeline([("XRANGE", "text", "-", "+"), ("XLEN", "text"), ("XREVRANGE", "text", "+", "-"),
                                           ("XDEL", "text", shown("1-1", ENGINE_LOGIC))])
        self.assertEqual(replies, [wrong] * 4)

    def test_a_range_right_after_an_acknowledgement_contains_the_entry(self):
        writer, reader = self.connect(), self.connect()
        acknowledged = []
        for number in range(150):
            bus = self.chance.choice(list(TYPES))
            acknowledged.append(writer.call("XADD", "hot", "*", "message_type", TYPES[bus], "n", number))
            newest = [entry for entry, _ in reader.call("XREVRANGE", "hot", "+", "-", "COUNT", 3)]
            self.assertIn(acknowledged[-1], newest)
            if number % 10 == 0:
                self.assertLessEqual(set(acknowledged), {entry for entry, _ in reader.call("XRANGE", "hot", "-", "+")})
        numbers = [int(fields[3]) for _, fields in reader.call("XRANGE", "hot", "-", "+")]
        self.assertEqual(sorted(numbers), list(range(150)))

    def test_following_a_hot_stream_loses_and_repeats_nothing(self):
        stop, failure = threading.Event(), []
        written = [[] for _ in range(4)]

        def write(number):
            try:
                with self.daemon.connect() as client:
                    count = 0
                    while not stop.is_set() and count < 2000:
                        bus = (MARKETDATA, ENGINE_LOGIC)[(count + number) % 2]
                        written[number].append(client.call("XADD", "hot", "*", "message_type", TYPES[bus], "n", count))
                        count += 1
            except BaseException as error:  # pylint: disable=broad-except
                failure.append(error)

        threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        reader, seen, cursor = self.connect(), [], "-"

        def follow(size):
            nonlocal cursor
            page = [entry.decode() for entry, _ in reader.call("XRANGE", "hot", cursor, "+", "COUNT", size)]
            if page:
                seen.extend(page)
                cursor = "(" + page[-1]
            return page

        try:
            wait_for(lambda: (follow(self.chance.choice([1, 10, 1000])) or True) and len(seen) >= 1500 or failure, "1500 entries are read")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        while follow(1000):
            pass
        self.assertEqual(failure, [])
        everything = [entry.decode() for each in written for entry in each]
        self.assertEqual(seen, sorted(everything, key=Model.parse), "lost, repeated, or out of order")


class DrainingTest(StackTest):
    """A third bus that is being left behind: slot 0, read and deleted from, never written to."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.old = cls.stack.add_redis("main")
        config = make_config({name: bus.endpoint for name, bus in cls.stack.buses.items()},
                             {"buses": {"main": {"id_slot": 0, "endpoint": cls.old.endpoint, "state": "draining"}},
                              "routing": {"keys": [{"match": "legacy:*", "bus": "main"}]}})
        cls.stack.daemon.terminate()
        cls.stack.daemon = cls.daemon = Daemon(cls.stack.directory, config, name="draining").start()

    def test_new_messages_never_go_there_and_old_ones_are_read(self):
        old = self.client(self.old)
        client = self.connect()
        ids = [old.xadd("s", {"n": number}) for number in range(20)]
        new = [client.call("XADD", "s", *options, "*", "message_type", message_type) for message_type in ("market_data", "order_request", "unknown", "risk_1")
               for options in ((), ("NOMKSTREAM",), ("MAXLEN", "~", "100"))]
        self.assertEqual(old.xlen("s"), 20)
        self.assertEqual({int(entry.split(b"-")[1]) // SLOT_STEP for entry in new}, set(SLOT.values()))
        listed = [entry for entry, _ in client.call("XRANGE", "s", "-", "+")]
        self.assertEqual(sorted(listed), sorted(ids + new))
        self.assertEqual([entry for entry, _ in client.call("XREVRANGE", "s", "+", "-")], listed[::-1])
        self.assertEqual(client.call("XLEN", "s"), 32)
        # IDs of slot 0 are as they were, so cursors of before stay good.
        self.assertEqual(client.call("XRANGE", "s", ids[3], ids[3]), [[ids[3], [b"n", b"3"]]])
        self.assertEqual(client.call("XDEL", "s", *ids[:5], new[0]), 6)
        self.assertEqual(old.xlen("s"), 15)
        self.assertRegex(client.call("XADD", "s", "99-1", "message_type", "market_data"), "^ERR dualbus: explicit ID")
        self.assertEqual(client.call("DEL", "s"), 1)
        self.assertEqual(old.exists("s"), 0)

    def test_streams_that_exist_only_there_count_as_existing(self):
        old = self.client(self.old)
        old.xadd("s", {"a": "b"})
        client = self.connect()
        self.assertEqual(client.call("TYPE", "s"), "stream")
        self.assertEqual(client.call("EXISTS", "s"), 1)
        self.assertIsInstance(client.call("XADD", "s", "NOMKSTREAM", "*", "message_type", "market_data"), bytes)
        self.assertEqual(client.call("SET", "legacy:k", 1), "OK")
        self.assertEqual(old.get("legacy:k"), b"1")
        self.assertIsNone(client.call("GET", "k"))

    def test_it_is_ready_without_the_bus_that_is_left_behind(self):
        self.old.kill()
        try:
            wait_for(lambda: self.daemon.metrics().value("dualbus_backend_connections", bus="main", state="up") == 0, "the loss is noticed")
            self.assertEqual(self.daemon.fetch("/readyz?all")[0], 200)
            client = self.connect()
            self.assertIsInstance(client.call("XADD", "s", "*", "message_type", "market_data"), bytes)
            self.assertRegex(client.call("XRANGE", "s", "-", "+"), "^BUSDOWN bus 'main'")
        finally:
            self.old.start()
        wait_for(lambda: isinstance(self.connect().call("XRANGE", "s", "-", "+"), list), "it is back")


if __name__ == "__main__":
    unittest.main()
