"""Clients of streams: those that publish, those that read in groups, those that follow, and heirs of dead consumers."""
import collections
import json

from client import DONE, REFUSED, UNKNOWN, Client, Stopped, short
from support.harness import ENGINE_LOGIC, MARKETDATA
from support.resp import ReplyError
from support.stream_load import entries, fields_of, position

TYPE_BUS = {"market_data": MARKETDATA, "price_update": MARKETDATA, "order_request": ENGINE_LOGIC, "risk_limit": ENGINE_LOGIC,
            "nobody_knows": ENGINE_LOGIC}
TYPES = tuple(TYPE_BUS)
# The time between the two looks after an unknown outcome (docs/differences.md).
LOOK_AGAIN_AFTER = 1.0


class Message:
    """One XADD. `part` names those that are stored together or not at all. `tries` is how often it was sent."""

    __slots__ = ("key", "bus", "fate", "id", "part", "tries", "answer", "done_at")

    def __init__(self, key, bus, part=None):
        self.key, self.bus, self.part = key, bus, part
        self.fate, self.id, self.tries, self.answer, self.done_at = UNKNOWN, None, 1, None, None

    def take(self, answer, reply):
        self.answer = answer
        if answer.fate == UNKNOWN or answer.doubtful:
            self.fate = UNKNOWN
        elif isinstance(reply, ReplyError):
            self.fate = UNKNOWN if reply.startswith(("BUSLOST ", "BUSTIMEOUT ")) else REFUSED
        elif isinstance(reply, bytes):
            self.fate, self.id, self.done_at = DONE, reply, answer.received


def bus_of(key, message_type):
    return TYPE_BUS[message_type] if len(buses_of(key)) > 1 else buses_of(key)[0]


def buses_of(key):
    return (MARKETDATA, ) if key.startswith("md:") else (ENGINE_LOGIC, ) if key.startswith("el:") else (MARKETDATA, ENGINE_LOGIC)


class Publisher(Client):
    """Has names for its messages, and knows what became of each."""

    def __init__(self, world, name, daemon, chance, keys):
        super().__init__(world, name, daemon, chance)
        self.keys = keys
        self.messages = {}  # name -> Message

    def xadd(self, key=None, message_type=None, part=None):
        """A request with a new name, and its Message."""
        key = key or self.random.choice(self.keys)
        message_type = message_type or self.random.choice(TYPES)
        name = f"{self.name}-{len(self.messages)}".encode()
        self.messages[name] = message = Message(key, bus_of(key, message_type), part)
        if self.random.random() < 0.25:
            fields = ("name", name, "payload", json.dumps({"message_type": message_type, "text": "y" * self.random.randrange(100)}))
        else:
            fields = ("message_type", message_type, "name", name, "payload", "x" * self.random.choice((10, 200, 200, 3000)))
        return ("XADD", key, "*", *fields), message

    def taken(self, message, answer, reply=None):
        reply = answer.reply if reply is None else reply
        message.take(answer, reply)
        if answer.fate == DONE and not isinstance(reply, (bytes, ReplyError)):
            self.finding("wrong reply", f"{short(answer.request)} was answered {str(reply)[:100]!r}", answer)


class Producer(Publisher):
    """Pipelines of XADD."""

    def step(self):
        made = [self.xadd() for _ in range(self.random.choice((1, 1, 4, 12)))]
        answers = self.ask(*(request for request, _ in made))
        for answer, (_, message) in zip(answers, made):
            self.taken(message, answer)
        self.world.count("XADD", len(made))
        self.pause(self.random.uniform(0, 0.06))


class CarefulProducer(Publisher):
    """Sends each message until it is there: after an unknown outcome it looks twice, as docs/differences.md says, and then sends it again."""

    def step(self):
        request, message = self.xadd(self.keys[0])
        name = next(reversed(self.messages))
        while True:
            answer, = self.ask(request)
            if answer.doubtful:
                # The claim of a bus that lies cannot be looked up by the same means; such a message is sent once.
                message.fate = UNKNOWN
                break
            self.taken(message, answer)
            if message.fate == DONE:
                break
            if message.fate == UNKNOWN:
                found = self.look(message.key, name)
                if found == b"":
                    self.pause(LOOK_AGAIN_AFTER)
                    found = self.look(message.key, name)
                if found is None:
                    message.fate = UNKNOWN
                    break
                if found:
                    message.fate, message.id, message.done_at = DONE, found, None
                    break
                self.world.count("sent again after two looks")
            if self.stopping():
                break
            self.pause(0.05)
            message.tries += 1
        self.world.count("careful XADD")
        self.pause(self.random.uniform(0, 0.1))

    def look(self, key, name):
        """The ID of the message of that name; b"" if it is not there, None if that could not be found out."""
        while not self.stopping():
            answer, = self.ask(("XREVRANGE", key, "+", "-", "COUNT", 50))
            if answer.doubtful:
                return None
            if answer.fate == DONE:
                return next((number for number, flat in answer.reply if name in flat), b"")
            self.pause(0.1)
        return None


class TransactionProducer(Publisher):
    """MULTI with XADDs of mixed types: over several buses, or of one."""

    def step(self):
        part = f"{self.name}-{len(self.messages)}"
        key = self.random.choice(self.keys)
        types = ("order_request", "risk_limit") if self.random.random() < 0.4 else TYPES
        made = []
        for _ in range(self.random.randrange(1, 6)):
            message_type = self.random.choice(types)
            made.append(self.xadd(key, message_type, part + "-" + bus_of(key, message_type)))
        answers = self.ask(("MULTI", ), *(request for request, _ in made), ("EXEC", ))
        executed = answers[-1]
        if executed.fate == DONE and isinstance(executed.reply, list) and len(executed.reply) == len(made):
            for (_, message), reply in zip(made, executed.reply):
                self.taken(message, executed, reply)
                if isinstance(reply, ReplyError) and not self.explained(executed, reply):
                    self.finding("error", f"EXEC has {reply!r} within, which no fault explains", executed)
        elif executed.fate == DONE:
            self.finding("wrong reply", f"EXEC of {len(made)} was answered {str(executed.reply)[:200]!r}", executed)
        elif executed.fate == REFUSED:
            for _, message in made:
                message.fate, message.answer = REFUSED, executed
        else:
            for _, message in made:
                message.answer = executed
        self.world.count("MULTI of XADD")
        self.pause(self.random.uniform(0, 0.15))


class Consumer(Client):
    """Reads with a group and acknowledges. Now and then it dies with what it has, and comes back under another name."""

    def __init__(self, world, name, daemon, chance, group, keys, dies=False):
        super().__init__(world, name, daemon, chance)
        self.group, self.keys, self._dies, self._lives = group, keys, dies, 0
        self.received = []  # (key, ID, name, answer)
        self.acknowledged = {}  # (key, ID) -> when
        self._to_acknowledge = collections.defaultdict(list)

    def explained(self, answer, error):
        """A key is read on the other buses unless none of its is left; only what was under way to a bus may be lost with it."""
        if answer.request[0] == "XREADGROUP" and not error.startswith(("BUSLOST ", "BUSTIMEOUT ")):
            keys = answer.request[answer.request.index("STREAMS") + 1:-1]
            return any(self.world.ledger.every_bus_disturbed(buses_of(key), self.daemon.number, answer.sent, answer.received)
                       for key in keys if key in self.keys)
        return super().explained(answer, error)

    def step(self):
        block = self.random.choice((50, 300, 1500))
        keys = self.random.sample(self.keys, self.random.randrange(1, len(self.keys) + 1))
        count = self.random.choice(((), ("COUNT", 3), ("COUNT", 20)))
        answer, = self.ask(("XREADGROUP", "GROUP", self.group, f"{self.name}.{self._lives}", *count, "BLOCK", block,
                            "STREAMS", *keys, *(">" for _ in keys)), block=block / 1000)
        if answer.fate == DONE:
            self._take(answer, keys, count)
        elif answer.fate == REFUSED:
            self.pause(0.05)
        if self._dies and self.random.random() < 0.05:
            self.close()
            self._lives += 1
            self._to_acknowledge.clear()
            return
        self._acknowledge()

    def _take(self, answer, keys, count):
        found = by_key(answer.reply)
        for key, items in found.items():
            if key not in keys:
                self.finding("wrong reply", f"{short(answer.request)} has entries of {key}", answer)
            if count and len(items) > count[1]:
                self.finding("wrong reply", f"{len(items)} entries for COUNT {count[1]} of {key}", answer)
            for number, name in items:
                self.received.append((key, number, name, answer))
                self._to_acknowledge[key].append(number)
        self.world.count("delivered to groups", sum(map(len, found.values())))

    def _acknowledge(self):
        for key, numbers in list(self._to_acknowledge.items()):
            answer, = self.ask(("XACK", key, self.group, *numbers))
            if answer.fate == DONE and answer.reply == len(numbers):
                self.acknowledged.update(((key, number), answer.received) for number in numbers)
            if answer.fate == DONE:  # fewer are taken if an earlier one, whose outcome was unknown, did its work
                del self._to_acknowledge[key]

    def last(self):
        for _ in range(100):
            if not self._to_acknowledge:
                return
            try:
                self._stopping.clear()
                self._acknowledge()
            finally:
                self._stopping.set()


class Heir(Client):
    """Claims what others left pending, and acknowledges it."""

    def __init__(self, world, name, daemon, chance, group, keys):
        super().__init__(world, name, daemon, chance)
        self.group, self.keys = group, keys
        self.claimed = []  # (key, ID, name, answer)
        self.acknowledged = {}
        self.idle = 1500

    def step(self):
        self.claim(self.random.choice(self.keys))
        self.pause(0.5)

    def claim(self, key):
        """One walk; whether it came to its end."""
        cursor = "0-0"
        while True:
            answer, = self.ask(("XAUTOCLAIM", key, self.group, self.name, self.idle, cursor, "COUNT", 100))
            if answer.fate != DONE:
                return False
            cursor, found, _ = answer.reply
            ids = [number for number, _ in found]
            self.claimed.extend((key, number, fields_of(flat).get(b"name"), answer) for number, flat in found)
            if ids:
                acknowledged, = self.ask(("XACK", key, self.group, *ids))
                if acknowledged.fate == DONE and acknowledged.reply == len(ids):
                    self.acknowledged.update(((key, number), acknowledged.received) for number in ids)
                self.world.count("claimed", len(ids))
            if cursor == b"0-0":
                return True


class Follower(Client):
    """XREAD from one ID to the next."""

    def __init__(self, world, name, daemon, chance, key):
        super().__init__(world, name, daemon, chance)
        self.key, self.cursor = key, b"0-0"
        self.read = {}  # ID -> name
        self.last_found = None

    def step(self):
        block = self.random.choice((None, 200, 1000))
        count = self.random.choice(((), ("COUNT", 5), ("COUNT", 100)))
        answer, = self.ask(("XREAD", *count, *(() if block is None else ("BLOCK", block)), "STREAMS", self.key, self.cursor),
                           block=(block or 0) / 1000)
        if answer.fate != DONE:
            self.pause(0.05)
            return
        try:
            found = entries(answer.reply)
        except (TypeError, ValueError, AttributeError):
            self.finding("wrong reply", f"{short(answer.request)} was answered {str(answer.reply)[:200]!r}", answer)
            return
        for number, name in found:
            if position(number) <= position(self.cursor):
                self.finding("order", f"{number} after {self.cursor} of {self.key}", answer)
            self.cursor = number
            self.read[number] = name
        self.world.count("followed", len(found))
        self.pause(0.02 if not found and block is None else 0.003)

    def finish(self):
        """Reads on until nothing comes; on a connection of the caller's thread."""
        self._stopping.clear()
        try:
            for _ in range(10000):
                answer, = self.ask(("XREAD", "COUNT", 500, "STREAMS", self.key, self.cursor))
                if answer.fate == DONE:
                    found = entries(answer.reply)
                    if not found:
                        return
                    for number, name in found:
                        self.cursor = number
                        self.read[number] = name
                else:
                    self.pause(0.1)
        except Stopped:
            pass
        finally:
            self.close()
            self._stopping.set()


def by_key(reply):
    """key -> [(ID, name)] of a reply to XREADGROUP in either protocol."""
    pairs = reply.items() if isinstance(reply, dict) else reply or ()
    return {key.decode(): [(number, fields_of(flat or []).get(b"name")) for number, flat in found] for key, found in pairs}
