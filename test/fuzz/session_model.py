"""A RESP server's duties to a connection: how many replies a request has, of which form, and when it may close."""
import collections
import re

from session_requests import Reader

PUSHED = (b"message", b"pmessage", b"smessage", b"invalidate")
SUBSCRIBING = {b"subscribe", b"psubscribe", b"ssubscribe"}
UNSUBSCRIBING = {b"unsubscribe", b"punsubscribe", b"sunsubscribe"}
WHILE_SUBSCRIBED = SUBSCRIBING | UNSUBSCRIBING | {b"ping", b"quit", b"reset"}


class Violation(Exception):
    """The daemon did what no Redis does."""


class Reply:
    """Its type, its value (text, number, None or a list of replies), and its bytes."""

    def __init__(self, kind, value):
        self.kind, self.value, self.raw = kind, value, b""

    def is_error(self):
        return self.kind in (b"-", b"!")

    def first(self):
        return self.value[0].value if isinstance(self.value, list) and self.value else None


class StrictReader(Reader):
    """Takes nothing but what RESP2 or RESP3, whichever `protocol` says (0: either), allows to the letter."""

    protocol = 2

    def __init__(self, receive):
        super().__init__(receive)
        self.last = collections.deque(maxlen=12)

    NUMBER = re.compile(rb"-?(0|[1-9]\d*)$")
    LENGTH = re.compile(rb"(0|[1-9]\d*)$")

    def next(self):
        self._position = 0
        reply = self._value()
        reply.raw = bytes(self._buffer[:self._position])
        del self._buffer[:self._position]
        self.last.append(reply.raw)
        return reply

    def _demand(self, condition, line):
        if not condition:
            raise Violation(f"not RESP{self.protocol or ''}: {line[:200]!r} in {bytes(self._buffer[:200])!r}")

    def _value(self):  # pylint: disable=too-many-return-statements
        line = self._line()
        kind, text = line[:1], line[1:]
        self._demand(len(kind) == 1 and kind in b"+-:$*" or self.protocol != 2 and kind in b"_#,(!=%~>|", line)
        if kind in b"+-":
            self._demand(b"\r" not in text and b"\n" not in text, line)
            return Reply(kind, text)
        if kind == b"_":
            self._demand(text == b"", line)
            return Reply(kind, None)
        if kind in b":(":
            self._demand(self.NUMBER.match(text), line)
            return Reply(kind, int(text))
        if kind == b"#":
            self._demand(text in (b"t", b"f"), line)
            return Reply(kind, text)
        if kind == b",":
            self._demand(text in (b"nan", b"-nan", b"inf", b"-inf") or float(text) is not None, line)
            return Reply(kind, text)
        if kind in b"$*" and text == b"-1":
            self._demand(self.protocol != 3, line)
            return Reply(kind, None)
        self._demand(self.LENGTH.match(text), line)
        if kind in b"$!=":
            body = self._body(int(text))
            self._demand(bytes(self._buffer[self._position - 2:self._position]) == b"\r\n", line)
            return Reply(kind, body)
        values = [self._value() for _ in range(int(text) * (2 if kind in b"%|" else 1))]
        return self._value() if kind == b"|" else Reply(kind, values)


class Model:
    """The state of a connection, moved on by requests and their replies in order."""

    def __init__(self, reader):
        self.reader = reader
        self.in_multi, self.queued = False, 0
        self.off = self.skip = False
        self.names = {b"subscribe": set(), b"psubscribe": set(), b"ssubscribe": set()}
        self.ends = False  # what was sent makes the server close

    def subscribed(self):
        return any(self.names.values())

    def take(self, request):
        """Reads what is owed for `request`; returns the last reply or None if none was owed."""
        name = request[0].lower()
        if name == b"client" and len(request) == 3 and request[1].lower() == b"reply" and not self.in_multi and not (
                self.subscribed() and self.reader.protocol == 2):
            return self._reply_mode(request[2].lower())
        if self.off:
            return None
        if self.skip:
            self.skip = False
            return None
        if name == b"hello":
            protocol, self.reader.protocol = self.reader.protocol, 0
            reply = self.one()
            self.reader.protocol = {b"%": 3, b"*": 2}.get(reply.kind, protocol)
            return reply
        reply = self.one()
        if name in SUBSCRIBING | UNSUBSCRIBING and not reply.is_error():
            return self._subscriptions(name, request, reply)
        self._follow(name, request, reply)
        return reply

    def _reply_mode(self, mode):
        if mode == b"on":
            self.off = self.skip = False
        elif mode == b"off":
            self.off = True
            return None
        elif mode == b"skip":
            self.skip = not self.off
            return None
        elif self.off or self.skip:
            self.skip = False
            return None
        return self.one()

    def one(self):
        """The next reply, behind what other clients published."""
        while True:
            reply = self.reader.next()
            if reply.kind == b">" or (self.reader.protocol != 3 and reply.kind == b"*" and self.subscribed()):
                if reply.first() in PUSHED:
                    continue
            return reply

    def _subscriptions(self, name, request, reply):
        names = self.names[name.replace(b"un", b"", 1)]
        owed = max(1, len(request) - 1) if name in SUBSCRIBING or len(request) > 1 else max(1, len(names))
        for left in range(owed, 0, -1):
            if reply.first() != name or len(reply.value) != 3 or (self.reader.protocol == 3) != (reply.kind == b">"):
                raise Violation(f"confirmation {owed - left + 1} of {owed} of {request[:5]} is {reply.raw[:200]!r}")
            (names.add if name in SUBSCRIBING else names.discard)(reply.value[1].value)
            if left > 1:
                reply = self.one()
        return reply

    def _follow(self, name, request, reply):
        if name == b"reset" and reply.raw == b"+RESET\r\n":
            self.in_multi, self.reader.protocol = False, 2
            for names in self.names.values():
                names.clear()
            return
        if name == b"quit":
            self.ends = True
        elif self.reader.protocol == 2 and self.subscribed() and name not in WHILE_SUBSCRIBED:
            if not reply.is_error():
                raise Violation(f"{request[:5]} of a subscriber is answered {reply.raw[:200]!r}")
        elif name == b"multi" and reply.raw == b"+OK\r\n":
            if self.in_multi:
                raise Violation("MULTI within MULTI is +OK")
            self.in_multi, self.queued = True, 0
        elif self.in_multi and (name == b"exec" or name == b"discard" and len(request) == 1):  # a wrong EXEC ends it, too
            self.in_multi = False
            if name == b"exec" and reply.kind == b"*" and reply.value is not None and len(reply.value) != self.queued:
                raise Violation(f"EXEC of {self.queued} requests is answered {reply.raw[:200]!r}")
        elif self.in_multi:
            if reply.raw == b"+QUEUED\r\n":
                self.queued += 1
            elif not reply.is_error():
                raise Violation(f"{request[:5]} within MULTI is answered {reply.raw[:200]!r}")
        elif reply.raw == b"+QUEUED\r\n":
            raise Violation(f"{request[:5]} outside MULTI is queued")
        if name == b"echo" and len(request) == 2 and not reply.is_error() and reply.raw != b"+QUEUED\r\n" and reply.value != request[1]:
            raise Violation(f"ECHO {request[1][:100]!r} is answered {reply.raw[:200]!r}")
