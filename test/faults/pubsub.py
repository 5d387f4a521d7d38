"""Publishers, and subscribers who get each message at most once, in the order of each publisher, and nothing else."""
import json
import time

from client import DONE, Client, Stopped, short
from streams import TYPE_BUS, TYPES


class Announcer(Client):
    """PUBLISH of numbered messages, by the type in their JSON to either bus."""

    def __init__(self, world, name, daemon, chance, channels):
        super().__init__(world, name, daemon, chance)
        self._channels, self._count = channels, 0
        self.certain = {}  # name#number -> (bus, the answer)

    def step(self):
        self.publish()
        self.pause(self.random.uniform(0.01, 0.08))

    def publish(self, message_type=None):
        self._count += 1
        text = f"{self.name}#{self._count}"
        channel = self.random.choice(self._channels)
        message_type = message_type or self.random.choice(TYPES)
        answer, = self.ask(("PUBLISH", channel, json.dumps({"message_type": message_type, "text": text})))
        if answer.fate == DONE:
            if not isinstance(answer.reply, int):
                self.finding("wrong reply", f"{short(answer.request)} was answered {str(answer.reply)[:100]!r}", answer)
            self.certain[text] = (TYPE_BUS[message_type], answer)
        self.world.count("PUBLISH")
        return text, channel, answer


class Subscriber(Client):
    """Subscribes to channels, or to a pattern."""

    def __init__(self, world, name, daemon, chance, channels, pattern=None):
        super().__init__(world, name, daemon, chance)
        self._channels, self._pattern = channels, pattern
        self.heard = {}  # name#number -> (channel, when)
        self.since = None  # subscribed without a break since then

    def connected(self):
        words = ("PSUBSCRIBE", self._pattern) if self._pattern else ("SUBSCRIBE", *self._channels)
        self.connection.socket.settimeout(self.daemon.longest_request + 25)
        self.connection.send(*words)
        sent, confirmed = time.monotonic(), 0
        while confirmed < len(words) - 1:
            reply = self.connection.read()
            if isinstance(reply, list) and reply[0] in (b"subscribe", b"psubscribe"):
                confirmed += 1
            elif isinstance(reply, list) and reply[0] in (b"message", b"pmessage"):
                self._hear(reply)
            else:
                if not isinstance(reply, str) or not self.world.ledger.explains(str(reply), self.daemon.number, sent, time.monotonic()):
                    self.finding("error", f"{words[0]} was answered {str(reply)[:200]!r}")
                raise ConnectionError("not subscribed")
        self.since = time.monotonic()

    def step(self):
        self.connect()
        self.connection.socket.settimeout(0.3)
        try:
            self._hear(self.connection.read())
        except TimeoutError:
            pass
        except (OSError, ValueError) as error:
            self.close()
            now = time.monotonic()
            if isinstance(error, ValueError):
                self.finding("not RESP", str(error))
            elif not self.world.ledger.found(("slay", "leave"), self.daemon.number, None, now, now):
                self.finding("closed", f"the daemon closed a subscriber's connection: {error!r}")

    def _hear(self, reply):
        now = time.monotonic()
        if not isinstance(reply, list) or reply[0] not in (b"message", b"pmessage"):
            self.finding("wrongly addressed", f"a subscriber got {str(reply)[:200]!r}")
            return
        channel, payload = reply[-2].decode(), reply[-1]
        try:
            text = json.loads(payload)["text"]
        except (ValueError, KeyError, TypeError):
            self.finding("wrongly addressed", f"a subscriber got {str(reply)[:200]!r}")
            return
        if channel not in self._channels:
            self.finding("wrongly addressed", f"a subscriber of {self._channels} got a message of {channel}")
        if text in self.heard:
            self.finding("doubled", f"{text} was delivered twice to a subscriber, {now - self.heard[text][1]:.2f} s apart")
        self.heard[text] = (channel, now)
        self.world.count("messages to subscribers")


def check_subscribers(announcers, subscribers, since):
    """Acknowledged messages came in order, per publisher and bus; those since a moment when all was well came to everybody."""
    for subscriber in subscribers:
        for announcer in announcers:
            check_order(announcer, subscriber)
            late = [text for text, (_, answer) in announcer.certain.items() if answer.sent >= since and text not in subscriber.heard]
            if late and subscriber.since and subscriber.since < since:
                subscriber.finding("lost", f"{len(late)} messages of {announcer.name} were not delivered though nothing was wrong, e.g. {late[:3]}")


def check_order(announcer, subscriber):
    last = {}
    for text in subscriber.heard:
        if text in announcer.certain:
            bus, answer = announcer.certain[text]
            number = int(text.rpartition("#")[2])
            if number < last.get(bus, 0):
                subscriber.finding("order", f"{text} came after number {last[bus]}, both by way of {bus}", answer)
            last[bus] = number


def await_hearing(world, announcer, subscribers, timeout=30):
    """Publishes until everybody has heard something of each bus; how long that took, None if it does not come to that."""
    began, sent, deaf = time.monotonic(), {"market_data": [], "order_request": []}, subscribers
    try:
        while time.monotonic() < began + timeout:
            for message_type, texts in sent.items():
                texts.append(announcer.publish(message_type)[0])
            deaf = [each for each in subscribers if not all(any(text in each.heard for text in texts) for texts in sent.values())]
            if not deaf:
                return time.monotonic() - began
            time.sleep(0.02)
    except Stopped:
        pass
    world.findings.add("subscriber", "a subscriber does not hear every bus: " + ", ".join(map(str, deaf)))
    return None
