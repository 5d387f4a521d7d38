"""The end of a round: what the clients noted, held against what the buses really have.

    lost        acknowledged, and not stored under that ID; stored, and delivered to nobody
    doubled     stored more than once; delivered to a group more than once
    refused     an error said that it was not carried out, and yet it is stored
    torn        of a transaction one part on a bus is stored and another one on the same bus is not
    misrouted   on a bus where its type does not belong
    missed      an entry that a follower was not shown
The clients themselves find what is wrong with a single answer: wrongly addressed, stale, in the wrong order, late, an error that no
fault explains, held up by a bus that it does not need.
A fate that is unknown by the documents may be stored once or not at all.
"""
import collections
import time

from client import DONE, REFUSED, UNKNOWN
from support.harness import shown
from support.stream_load import position


def client_id(key, bus_id, bus):
    return bus_id if key.startswith(("md:", "el:")) else shown(bus_id, bus).encode()


class Contents:
    """The entries that the buses have in the streams of a round."""

    def __init__(self, world, keys):
        self.places = collections.defaultdict(list)  # name -> [(key, bus, client's ID)]
        self.names = collections.defaultdict(dict)  # key -> client's ID -> name
        for bus in world.buses.values():
            with bus.direct(60) as connection:
                for key in keys:
                    start = b"-"
                    while entries := connection.call("XRANGE", key, start, "+", "COUNT", 5000):
                        for number, flat in entries:
                            name = dict(zip(flat[::2], flat[1::2])).get(b"name")
                            shown_id = client_id(key, number, bus.name)
                            self.places[name].append((key, bus.name, shown_id))
                            self.names[key][shown_id] = name
                        start = b"(" + entries[-1][0]


class Checker:
    """`clients` by kind, as campaign.py has them."""

    def __init__(self, world, clients, keys, groups):
        self.world, self.clients, self.keys, self.groups = world, clients, keys, groups

    def run(self):
        contents = Contents(self.world, self.keys)
        self.check_messages(contents)
        for group in self.groups:
            self.check_group(group, contents)
        self.check_followers(contents)
        self.check_lists()
        self.check_locks()

    def add(self, kind, text, client=None, answer=None):
        self.world.findings.add(kind, text, client and client.daemon.number, answer and answer.sent, answer and answer.received)

    # --- messages

    def check_messages(self, contents):
        parts = collections.defaultdict(list)
        known = set()
        for client in self.clients["publishers"]:
            for name, message in client.messages.items():
                known.add(name)
                places = contents.places.get(name, [])
                self._check_message(client, name, message, places)
                if message.part:
                    parts[message.part].append((client, name, message, bool(places)))
                self.world.count(f"messages {message.fate}")
                if message.fate == UNKNOWN and places:
                    self.world.count("messages unknown and stored")
        for part, members in parts.items():
            if len({stored for *_, stored in members}) > 1:
                client, _, message, _ = members[0]
                # Each command of a transaction may be refused for a reason of its own (an error at EXEC).
                if not all(stored or message.fate == REFUSED for *_, message, stored in members):
                    there = [name for _, name, _, stored in members if stored]
                    self.add("torn", f"{part}: {there} of {[name for _, name, *_ in members]} are stored", client, message.answer)
        for name in set(contents.places) - known:
            self.add("foreign", f"nobody sent {name!r}: {contents.places[name]}")

    def _check_message(self, client, name, message, places):
        what = f"{name.decode()} ({message.fate} by {client}, sent {message.tries} times): "
        if message.answer is not None:
            what += f"last answer {str(message.answer.reply)[:100]!r}; "
        if len(places) > 1:
            self.add("doubled", what + f"stored at {places}", client, message.answer)
        if message.fate == DONE and (not places or message.id not in [number for *_, number in places]):
            self.add("lost", what + f"acknowledged as {message.id!r}, stored {places}", client, message.answer)
        if message.fate == REFUSED and places:
            self.add("refused", what + f"stored at {places}", client, message.answer)
        for key, bus, _ in places:
            if (key, bus) != (message.key, message.bus):
                self.add("misrouted", what + f"stored at {places}, not on {message.bus} as {message.key}", client, message.answer)

    # --- groups

    def check_group(self, group, contents):
        delivered, claimed, acknowledged = collections.defaultdict(list), {}, {}
        for client in self.clients["consumers"]:
            if client.group == group:
                for key, number, name, answer in client.received:
                    delivered[key, number].append((client, name, answer))
                acknowledged.update(client.acknowledged)
        for heir in self.clients["heirs"]:
            if heir.group == group:
                for key, number, name, answer in heir.claimed:
                    claimed[key, number] = (heir, name)
                    # An XACK that was acknowledged before the claim was sent has left nothing to claim.
                    if (when := acknowledged.get((key, number))) and when < answer.sent:
                        self.add("doubled", f"{number!r} of {key} was claimed {answer.sent - when:.2f} s after its XACK was answered", heir, answer)
        for (key, number), got in delivered.items():
            if len(got) > 1:
                whom = "; ".join(f"{client} {answer.received - got[0][2].received:+.2f} s" for client, _, answer in got)
                self.add("doubled", f"{number!r} of {key} was delivered {len(got)} times to {group}: {whom}", got[1][0], got[1][2])
            if (right := contents.names[key].get(number)) != got[0][1]:
                self.add("wrong reply", f"{number!r} of {key} was delivered as {got[0][1]!r} and is {right!r}", got[0][0], got[0][2])
        for key, names in contents.names.items():
            if key not in self.keys or not self._read_by(group, key):
                continue
            missing = [number for number in names if (key, number) not in delivered and (key, number) not in claimed]
            if missing:
                self.add("lost", f"{len(missing)} of {len(names)} entries of {key} were delivered to nobody in {group}, e.g. " +
                         f"{[(number, names[number]) for number in missing[:4]]}")

    def _read_by(self, group, key):
        return any(client.group == group and key in client.keys for client in self.clients["heirs"])

    # --- followers

    def check_followers(self, contents):
        for follower in self.clients["followers"]:
            names = contents.names[follower.key]
            wrong = [number for number, name in follower.read.items() if names.get(number) != name]
            if wrong:
                samples = [(number, follower.read[number], names.get(number)) for number in wrong[:3]]
                self.add("wrong reply", f"{follower} read {len(wrong)} entries of {follower.key} that are not there, e.g. {samples}", follower)
            missed = sorted((number for number in names if number not in follower.read), key=position)
            if missed:
                behind = sum(position(number) <= position(follower.cursor) for number in missed)
                self.add("missed", f"{follower} was not shown {len(missed)} of {len(names)} entries of {follower.key}, {behind} of them below its "
                         f"cursor {follower.cursor!r}: {[(number, names[number]) for number in missed[:4]]}", follower)

    # --- lists, locks

    def check_lists(self):
        poppers = self.clients["poppers"]
        for key in {client.key for client in poppers}:
            values = {}
            for pusher in self.clients["pushers"]:
                if pusher.key == key:
                    values.update(pusher.values)
            taken = collections.Counter()
            for popper in poppers:
                if popper.key != key:
                    continue
                taken.update(value for value, _ in popper.taken)
                self._check_order(popper, values)
            left = []
            for bus in self.world.buses.values():
                left += bus.admin("LRANGE", key, 0, -1)
            taken.update(left)
            for value, count in taken.items():
                if count > 1:
                    self.add("doubled", f"{value!r} of {key} was taken {count} times")
                if value not in values:
                    self.add("foreign", f"nobody pushed {value!r} to {key}")
                elif values[value].fate == REFUSED:
                    self.add("refused", f"{value!r} of {key} is there though RPUSH was answered {values[value].reply!r}", None, values[value])
            lost = [value for value, answer in values.items() if answer.fate == DONE and value not in taken]
            maybe = sum(client.unknown for client in poppers if client.key == key)
            maybe += sum(client.unknown_pops for client in self.clients["leavers"] if client.list_key == key)
            if len(lost) > maybe:
                self.add("lost", f"{len(lost)} elements of {key} are gone, and only {maybe} BLPOP have an unknown outcome, e.g. {lost[:5]}")
            self.world.count("elements that went with a BLPOP of unknown outcome", len(lost))

    def _check_order(self, popper, values):
        """Elements that a pusher was told are in the list come out in its order; one of unknown fate may have come later."""
        last = {}
        for value, answer in popper.taken:
            if value not in values or values[value].fate != DONE:
                continue
            name, _, number = value.decode().rpartition("-")
            if last.get(name, 0) >= int(number):
                self.add("order", f"{popper} took {value!r} after {last[name]}", popper, answer)
            last[name] = int(number)

    def check_locks(self):
        for key in {client.key for client in self.clients["lockers"]}:
            lockers = [client for client in self.clients["lockers"] if client.key == key]
            steps = collections.Counter(value for client in lockers for value, _ in client.steps)
            for value, count in steps.items():
                if count > 1:
                    self.add("lost", f"{count} transactions under WATCH took {key} to {value}: one of them overwrote the other's")
            final = max(int(bus.admin("GET", key) or 0) for bus in self.world.buses.values())
            unknown = sum(client.unknown for client in lockers)
            if not len(steps) <= final <= len(steps) + unknown:
                self.add("lost", f"{key} is {final} after {len(steps)} steps that were acknowledged and {unknown} of unknown outcome")


def drained(world, keys, groups):
    """True if every group has been delivered everything, by what each bus itself says."""
    for bus in world.buses.values():
        with bus.direct(20) as connection:
            for key in keys:
                last = connection.call("XREVRANGE", key, "+", "-", "COUNT", 1)
                for info in connection.call("XINFO", "GROUPS", key) if last else ():
                    fields = dict(zip(info[::2], info[1::2]))
                    if fields[b"name"].decode() in groups and position(fields[b"last-delivered-id"]) < position(last[0][0]):
                        return False
    return True


def pending(world, keys, groups):
    """The number of entries that are delivered and not acknowledged."""
    total = 0
    for bus in world.buses.values():
        with bus.direct(20) as connection:
            for key in keys:
                for group in groups:
                    reply = connection.call("XPENDING", key, group)
                    total += reply[0] if isinstance(reply, list) else 0
    return total


def await_true(condition, seconds):
    """True if the condition became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.03)
    return False
