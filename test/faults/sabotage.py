"""A test that the checker finds what it looks for: a round without faults, after which something is done that no daemon may do."""
import time

from client import DONE, REFUSED, UNKNOWN, Answer
from keys import Bystander, Owner
from support.resp import ReplyError
from round import Round
from streams import Consumer, TransactionProducer


def stored_on(world, message):
    """The bus of a stored message, and its ID there."""
    milliseconds, sequence = message.id.split(b"-")
    return world.buses[message.bus], milliseconds + b"-" + str(int(sequence) % 10**12).encode()


def done(client):
    return [(name, message) for name, message in client.messages.items() if message.fate == DONE and message.id]


class Sabotage(Round):
    """Does one thing for each kind of finding, and knows which kinds must be found."""

    expected = {"lost", "doubled", "refused", "torn", "misrouted", "missed", "foreign", "wrong reply", "wrongly addressed", "stale", "error", "late",
                "order", "closed", "pending", "held up"}

    def before_checking(self):
        world, publishers = self.world, self.clients["publishers"]
        names = iter(done(publishers[0]))
        _, message = next(names)
        bus, number = stored_on(world, message)
        bus.admin("XDEL", message.key, number)  # lost

        _, message = next(names)
        bus, number = stored_on(world, message)
        fields = bus.admin("XRANGE", message.key, number, number)[0][1]
        for other in world.buses.values():  # doubled, and on one bus misrouted
            other.admin("XADD", message.key, "*", *fields)
        bus.admin("XADD", message.key, "*", "name", "nobody sent this")  # foreign, and missed by followers

        _, message = next(names)
        message.fate = REFUSED

        transactions = next(client for client in publishers if isinstance(client, TransactionProducer))
        parts = {}
        for _, message in done(transactions):
            message.fate = UNKNOWN
            parts.setdefault(message.part, []).append(message)
        message = next(members[0] for members in parts.values() if len(members) > 1)
        bus, number = stored_on(world, message)
        bus.admin("XDEL", message.key, number)  # torn

        consumer = next(client for client in self.clients["consumers"] if client.received)
        consumer.received.append(consumer.received[0])  # delivered twice
        popper = next(client for client in self.clients["poppers"] if len(client.taken) > 1)
        popper.taken.reverse()  # order
        world.buses["engine_logic"].admin("SET", self.clients["lockers"][0].key, 10**6)
        self.ask_wrongly()

    def ask_wrongly(self):
        """Answers that a client must not get, given to clients as if they had come."""
        owner = next(client for client in self.clients["others"] if isinstance(client, Owner))
        key = next(iter(owner._keys))  # pylint: disable=protected-access
        for value in (b"somebody else's", f"{owner.name}/{key}/0".encode()):
            owner._got(self.answer(("GET", key), value), key, None)  # pylint: disable=protected-access
        owner._judge(self.answer(("GET", key), ReplyError("BUSDOWN bus 'marketdata' is unreachable")), 0)  # pylint: disable=protected-access
        consumer = next(client for client in self.clients["consumers"] if isinstance(client, Consumer))
        consumer._judge(self.answer(("XREADGROUP", "STREAMS", consumer.keys[0], ">"), ReplyError("READONLY")), 0)  # pylint: disable=protected-access
        owner._judge(self.answer(("GET", key), b"x", took=60), 0)  # pylint: disable=protected-access
        bystander = next(client for client in self.clients["others"] if isinstance(client, Bystander))
        bystander.check(self.answer(("GET", key), b"x", took=60))
        owner.lose(ConnectionError("closed"), [self.answer(("GET", key), None)])

    @staticmethod
    def answer(request, reply, took=0.001):
        answer = Answer(request, time.monotonic() - took)
        answer.reply, answer.fate, answer.received = reply, DONE, time.monotonic()
        return answer

    def inherit(self, streams_):
        """Leaves something pending, as if a claim had been lost."""
        for bus in self.world.buses.values():
            bus.admin("XADD", streams_[0], "*", "name", "nobody sent this either")
            bus.admin("XREADGROUP", "GROUP", "g0", "nobody", "STREAMS", streams_[0], ">")
        for heir in self.clients["heirs"]:
            heir.claim = lambda key: True
        super().inherit(streams_)

    def run(self):
        super().run()
        found = set(self.world.findings.counts)
        print(f"found: {', '.join(sorted(found))}")
        if missing := self.expected - found:
            print(f"NOT FOUND: {', '.join(sorted(missing))}")
        return not missing
