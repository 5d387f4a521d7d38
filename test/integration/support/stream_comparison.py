"""Sends commands in batches and compares every reply with what the model says."""
import time

from support.resp import Reader, encode
from support.stream_replies import encode as encode_reply
from support.stream_replies import settle


def parse_reply(raw):
    return Reader(iter((raw, b"")).__next__).read()


def clock():
    return int(time.time() * 1000)


class Mismatch(AssertionError):
    pass


class Comparison:
    """`connections`: protocol version -> connection. `title` begins the message of a failure."""

    def __init__(self, model, connections, title):
        self.model, self.connections, self.title = model, connections, title
        self.count = 0
        self._log = []

    def run(self, requests, protocol):
        """Sends the requests at once on the connection of one protocol version."""
        connection = self.connections[protocol]
        started = clock()
        connection.send_raw(b"".join(encode(*request) for request in requests))
        replies = [connection.read_raw() for _ in requests]
        moments = started, clock()
        for request, raw in zip(requests, replies):
            self.check(request, raw, protocol, moments)

    def check(self, request, raw, protocol, moments):
        self.count += 1
        received = parse_reply(raw) if request[0] in (b"XREADGROUP", b"XADD") else None
        expected = self.model.expect(request, moments, received)
        self._log.append(request)
        if encode_reply(expected, protocol) == raw:
            return
        if encode_reply(settle(expected, parse_reply(raw)), protocol) != raw:
            raise Mismatch(self.story(request, raw, protocol, encode_reply(expected, protocol)))

    def story(self, request, raw, protocol, expected):
        keys = {word for word in request[1:] if any(word in bus.data for bus in self.model.buses)} or {request[1]}
        last = [one for one in self._log if keys & set(one)][-60:]
        before = "\n".join("  " + " ".join(text(word) for word in one) for one in last[:-1])
        return (f"{self.title}: command {self.count}, RESP{protocol}\nlast commands on the same keys:\n{before}\n"
                f"command:  {' '.join(map(text, request))}\nreceived: {raw}\n"
                f"expected: {expected}")


def text(word):
    return repr(word)[2:-1] or '""'
