"""Random commands on streams, most of which mean something to the streams that there are."""
from support.harness import SLOT_STEP
from support.stream_ids import MAX, show

OLD = 10**9  # milliseconds; entries are idle for at least that long, or for no longer than a test runs
LIMIT = 10**7  # milliseconds; tells the two apart
FUTURE = 32503680000000  # milliseconds: the year 3000

# The share of each command, in thousandths or so.
WEIGHTS = {
    "XADD": 180, "XLEN": 15, "XRANGE": 70, "XREVRANGE": 60, "XDEL": 30, "XTRIM": 20, "XREAD": 70, "XGROUP": 60,
    "XREADGROUP": 200, "XACK": 60, "XPENDING": 70, "XCLAIM": 60, "XAUTOCLAIM": 60, "XINFO": 60, "DEL": 2, "EXISTS": 8,
    "TYPE": 6, "SET": 1,
}
GROUPS, CONSUMERS = (b"g1", b"g2", b"h"), (b"alice", b"bob", b"carol")
COUNTS = (b"0", b"-1", b"1", b"1", b"2", b"3", b"5", b"10", b"100")


class Commands:
    """`bare`: only IDs that a client of one bus of slot 0 can have got."""

    def __init__(self, chance, model, keys, types, bare=False, clock_key=None, future_key=None, mixed_key=None):
        """`types`: name of a bus -> message types for it. `clock_key` alone has IDs made by the clock, `future_key` alone has
        IDs of the future. `mixed_key` is a text at times."""
        self.chance, self.model, self.keys, self.types, self.bare = chance, model, keys, types, bare
        self.clock_key, self.future_key, self.mixed_key = clock_key, future_key, mixed_key
        self._tips = {}
        self._number = 0

    def next(self):
        name = self.chance.choices(list(WEIGHTS), WEIGHTS.values())[0]
        return tuple(getattr(self, "_" + name.lower())())

    # --- parts of commands ---------------------------------------------------------------------------------------------

    def _maybe(self, probability):
        return self.chance.random() < probability

    def _key(self):
        return self.chance.choice(self.keys)

    def _any_key(self):
        """Now and then one that is no stream on one of the buses, or is nowhere."""
        if self.mixed_key and self._maybe(0.03):
            return self.mixed_key
        return b"nowhere" if self._maybe(0.02) else self._key()

    def _group(self, *keys):
        """Mostly one that these streams have."""
        there = {name for key in keys for name in self.model.known_groups(key)}
        if there and self._maybe(0.95):
            return self.chance.choice(sorted(there))
        return b"none" if self._maybe(0.1) else self.chance.choice(GROUPS)

    def _consumer(self):
        return self.chance.choice(CONSUMERS)

    def _message(self, bus):
        self._number += 1
        fields = [b"message_type", self.chance.choice(self.types[bus]), b"n", b"%d" % self._number]
        if self._maybe(0.1):
            fields += [b"", self.chance.choice((b"", b"\r\n$-1\r\n", b"\0\xff", b"x" * 300))]
        return fields

    def _shown_ids(self, key):
        """IDs of entries and of pending entries of a key."""
        ids = []
        for part in self.model.parts(key, checked=False):
            if part.stream and part.stream != "text":
                ids += [part.shown(entry) for entry in part.stream.ids]
                for group in part.stream.groups.values():
                    ids += [part.shown(entry) for entry in group.pending]
        return ids

    def _entry(self, key, probability=0.9):
        """An ID that is somewhere in the stream, or nearly so."""
        ids = self._shown_ids(key)
        if ids and self._maybe(probability):
            return show(self.chance.choice(ids))
        milliseconds = self.chance.choice(ids)[0] if ids else self.chance.randrange(50)
        slot = 0 if self.bare else self.chance.choice((0, 1, 2, 5, 9, 127))
        return show((milliseconds, self.chance.randrange(4) + slot * SLOT_STEP))

    def _position(self, key):
        """An ID to read behind, complete or not."""
        kind = self.chance.randrange(12)
        if kind == 0:
            return b"0"
        if kind == 1:
            return b"0-0"
        entry = self._entry(key, 0.7)
        milliseconds = entry.partition(b"-")[0]
        if kind == 2:
            return milliseconds
        if kind == 3:
            return b"%s-%d" % (milliseconds, self.chance.choice((0, 1, SLOT_STEP - 1, SLOT_STEP, MAX - 1, MAX)[:3 if self.bare else 6]))
        if kind == 4 and self._maybe(0.3) and not self.bare:
            return show((self.chance.choice((MAX, MAX - 1)), self.chance.choice((0, 1, SLOT_STEP, MAX - 1))))
        return entry

    def _bound(self, key, exclusive=True):
        kind = self.chance.randrange(10)
        if kind < 2:
            return b"-" if kind else b"+"
        if kind == 2 and self._maybe(0.05):
            return self.chance.choice((b"(-", b"(0-0", b"(18446744073709551615-18446744073709551615", b"(", b"x", b"1-", b"-1"))
        return (b"(" if exclusive and self._maybe(0.25) else b"") + self._position(key)

    def _range_bounds(self, key):
        if self._maybe(0.3):
            return b"-", b"+"
        low, high = self._bound(key), self._bound(key)
        if low[:1].isdigit() and high[:1].isdigit() and int(low.partition(b"-")[0]) > int(high.partition(b"-")[0]):
            low, high = high, low
        return low, high

    def _count(self, probability=0.5):
        return [b"COUNT", self.chance.choice(COUNTS)] if self._maybe(probability) else []

    def _block(self, keys):
        """With one bus, a blocking read is compared for one key only: of several, entries of one beat an error of another."""
        if self.bare:
            return [b"BLOCK", b"1"] if len(keys) == 1 and self._maybe(0.005) else []
        return [b"BLOCK", b"1"] if self._maybe(0.03) else []

    def _trimming(self, key):
        approximate = self.chance.choice(([], [b"="], [b"~"]))
        if self._maybe(0.6):
            words = [b"MAXLEN", *approximate, b"%d" % self.chance.choice((0, 1, 3, 5, 10, 20, 30))]
        else:
            words = [b"MINID", *approximate, self._position(key)]
        if self._maybe(0.2):
            words += [b"LIMIT", b"%d" % self.chance.choice((0, 3, 5, 6, 10, 100))]
        return words

    # --- entries -------------------------------------------------------------------------------------------------------

    def _xadd(self):
        key = self._any_key()
        bus = self.chance.choice(list(self.types))
        part = next((part for part in self.model.parts(key, checked=False) if part.bus.name == bus), None)
        if part is None:  # pinned
            part = self.model.parts(key, checked=False)[0]
        words = [b"XADD", key]
        if self._maybe(0.1):
            words.append(b"NOMKSTREAM")
        if self._maybe(0.15):
            words += self._trimming(key)
        return words + [self._new_id(key, part, len(words) == 2), *self._message(bus)]

    def _new_id(self, key, part, careless):
        """Mostly one that can be added. It is not fixed which of two mistakes is reported, so not more than one is made."""
        if key == self.clock_key:
            return b"*"
        last = part.stream.last if part.stream and part.stream != "text" else (0, 0)
        tip = self._tips.get((key, part.bus.name), (0, 0))
        milliseconds, sequence = max(last, tip) if part.stream else (FUTURE if key == self.future_key else 0, 0)
        step = self.chance.choice((0, 0, 1, 1, 2))
        raw = (milliseconds + step, self.chance.randrange(3) if step else sequence + self.chance.choice((1, 1, 2)))
        self._tips[key, part.bus.name] = raw
        if self._maybe(0.1):
            return b"%d-*" % raw[0]
        if careless and self._maybe(0.02):
            return self._entry(key)
        if careless and self._maybe(0.01):
            return self.chance.choice((b"0-0", b"0-%d" % (part.slot * SLOT_STEP), b"x", b"1-1-1", b"-", b"+", b"0-*", b"7"))
        return show(part.shown(raw))

    def _xlen(self):
        return b"XLEN", self._any_key()

    def _xrange(self):
        key = self._any_key()
        return [b"XRANGE", key, *self._range_bounds(key), *self._count()]

    def _xrevrange(self):
        key = self._any_key()
        return [b"XREVRANGE", key, *self._range_bounds(key)[::-1], *self._count()]

    def _xdel(self):
        key = self._key()
        return [b"XDEL", key, *(self._entry(key) for _ in range(self.chance.choice((1, 1, 2, 5))))]

    def _xtrim(self):
        key = self._any_key()
        return [b"XTRIM", key, *self._trimming(key)]

    def _xread(self):
        keys = [self._any_key() for _ in range(self.chance.choice((1, 1, 1, 2, 3)))]
        keys = list(dict.fromkeys(keys))
        if self.future_key in keys and self.clock_key in keys:  # whether the second is read then depends on the millisecond
            keys.remove(self.clock_key)
        return [b"XREAD", *self._block(keys), *self._count(), b"STREAMS", *keys, *(b"$" if self._maybe(0.05) else self._position(key) for key in keys)]

    # --- groups --------------------------------------------------------------------------------------------------------

    def _xgroup(self):
        key = b"nowhere" if self._maybe(0.02) else self._key()
        group = self._group() if self._maybe(0.7) else self._group(key)
        kind = self.chance.choices(("create", "setid", "destroy", "createconsumer", "delconsumer"), (12, 3, 1, 2, 2))[0]
        words = [b"XGROUP", kind.upper().encode(), key, group]
        if kind == "create":
            words.append(self.chance.choice((b"$", b"0", b"0", self._position(key))))
            words += [b"MKSTREAM"] if key != b"nowhere" and self._maybe(0.8) else []
            words += [b"ENTRIESREAD", b"3"] if key not in self.model.pinned and not self.bare and self._maybe(0.05) else []
        elif kind == "setid":
            words.append(self.chance.choice((b"$", b"-", b"0", b"0", self._position(key), b"$" if self.bare else b"+")))
        elif kind != "destroy":
            words.append(self._consumer())
        return words

    def _xreadgroup(self):
        keys = list(dict.fromkeys(self._key() for _ in range(self.chance.choice((1, 1, 1, 1, 2, 3)))))
        if self._maybe(0.01):
            keys.append(b"nowhere")
        words = [b"XREADGROUP", b"GROUP", self._group(*keys), self._consumer(), *self._count(0.7), *self._block(keys)]
        if self._maybe(0.1):
            words.append(b"NOACK")
        history = self._maybe(0.3)
        ids = [self._position(key) if history or self._maybe(0.05) else b">" for key in keys]
        return words + [b"STREAMS", *keys, *ids]

    def _xack(self):
        key = self._key()
        return [b"XACK", key, self._group(key), *(self._entry(key) for _ in range(self.chance.choice((1, 1, 2, 4, 10))))]

    def _xpending(self):
        key = self._any_key()
        words = [b"XPENDING", key, self._group(key)]
        if self._maybe(0.3):
            return words
        if self._maybe(0.25):
            words += [b"IDLE", self.chance.choice((b"0", b"%d" % LIMIT))]
        words += [*self._range_bounds(key), self.chance.choice(COUNTS)]
        return words + ([self._consumer()] if self._maybe(0.4) else [])

    def _xclaim(self):
        key = self._key()
        words = [b"XCLAIM", key, self._group(key), self._consumer(), self.chance.choice((b"0", b"0", b"-5", b"%d" % LIMIT))]
        words += [self._entry(key) for _ in range(self.chance.choice((1, 1, 2, 3, 6)))]
        if self._maybe(0.1):
            words.append(words[-1])
        options = []
        if self._maybe(0.4):
            options.append([b"IDLE", self.chance.choice((b"0", b"5", b"%d" % OLD, b"%d" % OLD, b"-7"))])
        if self._maybe(0.1):
            options.append([b"TIME", self.chance.choice((b"1000", b"99999999999999", b"-1"))])
        if self._maybe(0.2):
            options.append([b"RETRYCOUNT", self.chance.choice((b"0", b"1", b"7", b"-1"))])
        for word, probability in ((b"FORCE", 0.3), (b"JUSTID", 0.3)):
            if self._maybe(probability):
                options.append([word])
        if self._maybe(0.1):
            options.append([b"LASTID", self._position(key)])
        self.chance.shuffle(options)
        return words + sum(options, [])

    def _xautoclaim(self):
        key = self._key()
        start = self.chance.choice((b"0-0", b"0", b"-", b"+", self._bound(key), self._bound(key), self._position(key)))
        words = [b"XAUTOCLAIM", key, self._group(key), self._consumer(), self.chance.choice((b"0", b"0", b"%d" % LIMIT)), start]
        if self._maybe(0.6):
            words += [b"COUNT", self.chance.choice((b"1", b"1", b"2", b"3", b"5", b"10", b"0"))]
        return words + ([b"JUSTID"] if self._maybe(0.3) else [])

    # --- figures and keys ----------------------------------------------------------------------------------------------

    def _xinfo(self):
        kind = self.chance.choice(("STREAM", "STREAM", "FULL", "FULL", "GROUPS", "CONSUMERS"))
        key = self._any_key()
        if kind == "FULL":
            return [b"XINFO", b"STREAM", key, b"FULL", *self._count()]
        words = [b"XINFO", kind.encode(), key]
        return words + ([self._group(key)] if kind == "CONSUMERS" else [])

    def _del(self):
        return [b"DEL", *dict.fromkeys([self._key(), self._any_key(), self.mixed_key or self._key()][:self.chance.choice((1, 1, 3))])]

    def _exists(self):
        return b"EXISTS", self._any_key(), self._any_key()

    def _type(self):
        return b"TYPE", self._any_key()

    def _set(self):
        return b"SET", self.mixed_key or b"text", b"x"
