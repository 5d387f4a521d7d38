"""Clients of keys: whose replies must be their own and not stale, lists, optimistic locks, atomic pairs, and questions about streams."""
from client import DONE, REFUSED, UNKNOWN, Client, short
from support.resp import ReplyError


class Write:
    """One SET. If its outcome is unknown it may still come into effect until a moment after the bus has answered something else."""

    __slots__ = ("value", "answer", "settled")

    def __init__(self, value, answer):
        self.value, self.answer = value, answer
        self.settled = None  # when an unknown one has happened or never will


class Owner(Client):
    """Sets and gets keys of its own, and lets values be echoed, in pipelines: every reply names whom it is for."""

    GHOST = 1.0  # that moment, docs/differences.md

    def __init__(self, world, name, daemon, chance, prefix):
        super().__init__(world, name, daemon, chance)
        # key -> writes that may count
        self._keys = {f"{where}{prefix}:{name}:{number}": [] for where in ("md:", "el:", "") for number in range(2)}
        self._count = 0

    def step(self):
        requests, checks = [], []
        for _ in range(self.random.choice((1, 1, 3, 10))):
            self._count += 1
            kind = self.random.random()
            key = self.random.choice(list(self._keys))
            token = f"{self.name}/{key}/{self._count}".encode()
            if kind < 0.35:
                requests.append(("SET", key, token))
                checks.append((self._set, key, token))
            elif kind < 0.75:
                requests.append(("GET", key))
                checks.append((self._got, key, None))
            elif kind < 0.9:
                requests.append(("ECHO", token))
                checks.append((self._echoed, key, token))
            else:
                requests.append(("PING", token))
                checks.append((self._echoed, key, token))
        for answer, (check, key, token) in zip(self.ask(*requests), checks):
            check(answer, key, token)
        self.world.count("own keys and echo", len(requests))
        self.pause(self.random.uniform(0, 0.04))

    def _set(self, answer, key, token):
        if answer.fate == REFUSED:
            return
        if answer.fate == DONE:
            if answer.reply != "OK":
                self.finding("wrong reply", f"{short(answer.request)} was answered {str(answer.reply)[:100]!r}", answer)
            # Earlier writes count no more, but a write of unknown outcome may still arrive.
            self._keys[key] = [write for write in self._keys[key]
                               if write.answer.fate == UNKNOWN and (write.settled is None or write.settled > answer.sent)]
            self._settle(key, answer)
        self._keys[key].append(Write(token, answer))

    def _settle(self, key, answer):
        """The bus of this key has answered."""
        for other, writes in self._keys.items():
            if other[:3] == key[:3]:
                for write in writes:
                    if write.settled is None and answer.sent >= write.answer.received:
                        write.settled = answer.received + self.GHOST + self.world.ledger.slack / 2

    def _got(self, answer, key, _):
        if answer.fate != DONE:
            return
        self._settle(key, answer)
        writes = self._keys[key]
        certain = any(write.answer.fate == DONE for write in writes)
        if answer.reply is None:
            if certain:
                self.finding("stale", f"GET {key} has nothing; the last write that was acknowledged is {writes[-1].value!r}", answer)
        elif not any(write.value == answer.reply for write in writes):
            text = str(answer.reply)[:120]
            if not isinstance(answer.reply, bytes) or not answer.reply.startswith(f"{self.name}/{key}/".encode()):
                self.finding("wrongly addressed", f"GET {key} was answered {text!r}", answer)
            else:
                self.finding("stale", f"GET {key} was answered {text!r} instead of {[write.value for write in writes]!r}", answer)

    def _echoed(self, answer, _, token):
        if answer.fate == DONE and answer.reply != token:
            self.finding("wrongly addressed", f"{short(answer.request)} was answered {str(answer.reply)[:100]!r}", answer)


class Bystander(Client):
    """Uses one bus only: whatever befalls the other one is not to be felt."""

    PROMPTLY = 1.0  # seconds
    NO_EXCUSE = ("crowd", "reload")

    def __init__(self, world, name, daemon, chance, bus, key):
        super().__init__(world, name, daemon, chance)
        self._bus, self._key = bus, key

    def step(self):
        answer, = self.ask(self.random.choice((("SET", self._key, "1"), ("GET", self._key), ("INCR", self._key))))
        if not answer.lost:
            self.check(answer)
        self.world.count("bystanders' requests")
        self.pause(self.random.uniform(0.02, 0.1))

    def check(self, answer):
        """A slow answer needs a fault of this bus or daemon."""
        ledger = self.world.ledger

        def excused():
            took = answer.received - answer.sent - 2 * ledger.stalls.within(answer.sent, answer.received)
            excuses = tuple(kind for kind in ledger.kinds if kind not in self.NO_EXCUSE)
            return took < self.PROMPTLY + ledger.slack / 2 or ledger.found(excuses, self.daemon.number, self._bus, answer.sent, answer.received)

        if not self.surely(excused):
            self.finding("held up", f"{short(answer.request)} took {answer.received - answer.sent:.2f} s though nothing befell {self._bus}", answer)


class Pairs(Client):
    """Writes two keys of one bus in one transaction, and reads both with one command: they are never apart."""

    def __init__(self, world, name, daemon, chance, prefix):
        super().__init__(world, name, daemon, chance)
        self._key = f"{chance.choice(('md:', 'el:'))}{prefix}:{name}"
        self._count, self._certain = 0, 0

    def step(self):
        self._count += 1
        one, two = self._key + ":1", self._key + ":2"
        answers = self.ask(("MULTI", ), ("SET", one, self._count), ("SET", two, self._count), ("EXEC", ), ("MGET", one, two))
        executed, both = answers[3:]
        if executed.fate == DONE:
            if executed.reply != ["OK", "OK"]:
                self.finding("wrong reply", f"EXEC of two SET was answered {str(executed.reply)[:200]!r}", executed)
            self._certain = self._count
        if both.fate == DONE:
            if not isinstance(both.reply, list) or len(both.reply) != 2 or both.reply[0] != both.reply[1]:
                self.finding("torn", f"MGET of {self._key} was answered {str(both.reply)[:200]!r}", both)
            elif executed.fate == DONE and both.reply[0] != str(self._count).encode():
                self.finding("stale", f"MGET of {self._key} was answered {both.reply!r} behind the EXEC of {self._count}", both)
        self.world.count("MULTI of SET")
        self.pause(self.random.uniform(0, 0.2))


class Locker(Client):
    """Counts up under WATCH. Several do so with one key: nobody's step may be lost."""

    def __init__(self, world, name, daemon, chance, key):
        super().__init__(world, name, daemon, chance)
        self.key = key
        self.steps, self.unknown = [], 0

    def step(self):
        # With WATCH a connection of its own may be refused for want of one, or be lost before EXEC: then nothing happens.
        watched, read = self.ask(("WATCH", self.key), ("GET", self.key))
        if watched.fate != DONE or read.fate != DONE:
            if watched.fate == DONE and not watched.lost and self.connection:
                self.ask(("UNWATCH", ))
            self.pause(0.05)
            return
        if read.reply is not None and not (isinstance(read.reply, bytes) and read.reply.isdigit()):
            self.finding("wrongly addressed", f"GET {self.key} was answered {str(read.reply)[:100]!r}", read)
            return
        if self.connection is None:
            return
        if self.random.random() < 0.2:
            self.ask(self.random.choice((("UNWATCH", ), ("RESET", ))))
            if self.protocol == 3:
                self.close()
            return
        value = int(read.reply or 0) + 1
        executed = self.ask(("MULTI", ), ("SET", self.key, value), ("EXEC", ))[-1]
        if executed.fate == DONE and executed.reply == ["OK"]:
            self.steps.append((value, executed))
        elif executed.fate == UNKNOWN:
            self.unknown += 1
            self.close()
        elif executed.fate == DONE and executed.reply is not None:
            self.finding("wrong reply", f"EXEC of one SET was answered {str(executed.reply)[:200]!r}", executed)
        self.world.count("WATCH")
        self.pause(self.random.uniform(0, 0.15))


class Pusher(Client):
    """RPUSH of values with a number each."""

    def __init__(self, world, name, daemon, chance, key):
        super().__init__(world, name, daemon, chance)
        self.key = key
        self.values = {}  # value -> the answer to its RPUSH
        self._count = 0

    def step(self):
        values = []
        for _ in range(self.random.choice((1, 1, 3))):
            self._count += 1
            values.append(f"{self.name}-{self._count}".encode())
        answer, = self.ask(("RPUSH", self.key, *values))
        self.values.update(dict.fromkeys(values, answer))
        if answer.fate == DONE and not isinstance(answer.reply, int):
            self.finding("wrong reply", f"{short(answer.request)} was answered {str(answer.reply)[:100]!r}", answer)
        self.world.count("RPUSH")
        self.pause(self.random.uniform(0, 0.1))


class Popper(Client):
    """BLPOP, one at a time."""

    def __init__(self, world, name, daemon, chance, key):
        super().__init__(world, name, daemon, chance)
        self.key = key
        self.taken = []  # (value, answer)
        self.unknown = 0

    def step(self):
        seconds = self.random.choice((0.2, 1))
        answer, = self.ask(("BLPOP", self.key, seconds), block=seconds)
        if answer.fate == DONE and answer.reply is not None:
            if not isinstance(answer.reply, list) or answer.reply[0] != self.key.encode():
                self.finding("wrongly addressed", f"{short(answer.request)} was answered {str(answer.reply)[:100]!r}", answer)
            else:
                self.taken.append((answer.reply[1], answer))
                self.world.count("BLPOP with an element")
        elif answer.fate == UNKNOWN:
            self.unknown += 1
        elif answer.fate == REFUSED:
            self.pause(0.05)


class Inspector(Client):
    """Asks for what needs several buses and several rounds, about streams that come and go."""

    expected = ("ERR no such key", "NOGROUP ", "ERR The XGROUP subcommand requires", "BUSYGROUP ")

    def __init__(self, world, name, daemon, chance, prefix, keys):
        super().__init__(world, name, daemon, chance)
        self._prefix, self._keys = prefix, keys

    def step(self):
        key = f"{self._prefix}:fleeting:{self.random.randrange(3)}"
        stays = self.random.choice(self._keys)
        choices = (
            ("XADD", key, "*", "message_type", self.random.choice(("market_data", "order_request")), "a", "b"),
            ("DEL", key), ("UNLINK", key, stays + ":none"), ("XGROUP", "CREATE", key, "g", "0", "MKSTREAM"), ("XGROUP", "DESTROY", key, "g"),
            ("XINFO", "STREAM", key), ("XINFO", "STREAM", key, "FULL"), ("XINFO", "GROUPS", key), ("XINFO", "CONSUMERS", key, "g"),
            ("XINFO", "STREAM", stays), ("XINFO", "GROUPS", stays), ("XPENDING", stays, "g0"), ("XPENDING", key, "g"), ("XLEN", stays),
            ("EXISTS", key, stays), ("TYPE", key), ("XRANGE", key, "-", "+", "COUNT", 3), ("SCAN", 0), ("DBSIZE", ), ("EXPIRE", key, 100),
            ("XTRIM", key, "MAXLEN", 1), ("INFO", "keyspace"),
        )
        for answer in self.ask(*self.random.sample(choices, self.random.randrange(1, 4))):
            if answer.fate == DONE and answer.request[0] == "XLEN" and not isinstance(answer.reply, int) and not isinstance(answer.reply, ReplyError):
                self.finding("wrong reply", f"{short(answer.request)} was answered {str(answer.reply)[:100]!r}", answer)
            self.world.count("questions")
        self.pause(self.random.uniform(0.02, 0.15))
