"""Replies that a test expects, to the byte, with holes for what depends on the clock.

Texts are bytes, numbers int, arrays list. A hole takes the value that was received, if it may be the one.
"""
from support.resp import ReplyError


class Status(bytes):
    pass


class Error(bytes):
    """Without the leading '-'."""


class ErrorStarting(bytes):
    """An error of which only the beginning is said anywhere."""


class Map(list):
    """A list of keys and values in turn."""


class Streams(list):
    """XREAD's answer: pairs of a key and its entries."""


class Near(tuple):
    """A number between two others."""


class _Nil:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return "nil" if self.text == b"$-1\r\n" else "nil array"


NIL, NIL_ARRAY = _Nil(b"$-1\r\n"), _Nil(b"*-1\r\n")
OK = Status(b"OK")
WRONGTYPE = Error(b"WRONGTYPE Operation against a key holding the wrong kind of value")
SYNTAX = Error(b"ERR syntax error")
NOT_A_NUMBER = Error(b"ERR value is not an integer or out of range")
BAD_ID = Error(b"ERR Invalid stream ID specified as stream command argument")


def settle(expected, received):
    """`expected` with its holes filled from the parsed reply, as far as that is possible."""
    if isinstance(expected, Near):
        return received if type(received) is int and expected[0] <= received <= expected[1] else expected
    if isinstance(expected, ErrorStarting):
        if isinstance(received, ReplyError) and received.encode().startswith(expected):
            return Error(received.encode())
        return expected
    if isinstance(expected, Map):
        if isinstance(received, dict):
            received = [part for pair in received.items() for part in pair]
        return Map(map(settle, expected, received)) if _same_length(expected, received) else expected
    if isinstance(expected, list) and not isinstance(expected, Streams):
        return list(map(settle, expected, received)) if _same_length(expected, received) else expected
    return expected


def _same_length(expected, received):
    return isinstance(received, list) and len(received) == len(expected)


def encode(value, protocol):
    parts = []
    _write(value, protocol, parts)
    return b"".join(parts)


def _write(value, protocol, parts):
    if isinstance(value, Status):
        parts.append(b"+%s\r\n" % value)
    elif isinstance(value, (Error, ErrorStarting)):
        parts.append(b"-%s\r\n" % value)
    elif isinstance(value, bytes):
        parts.append(b"$%d\r\n%s\r\n" % (len(value), value))
    elif isinstance(value, int):
        parts.append(b":%d\r\n" % value)
    elif isinstance(value, Near):
        parts.append(b":between %d and %d\r\n" % value)
    elif isinstance(value, _Nil):
        parts.append(value.text if protocol == 2 else b"_\r\n")
    elif isinstance(value, Streams) and protocol == 3:
        parts.append(b"%%%d\r\n" % len(value))
        for key, entries in value:
            _write(key, protocol, parts)
            _write(entries, protocol, parts)
    elif isinstance(value, Map) and protocol == 3:
        parts.append(b"%%%d\r\n" % (len(value) // 2))
        for part in value:
            _write(part, protocol, parts)
    else:
        parts.append(b"*%d\r\n" % len(value))
        for part in value:
            _write(part, protocol, parts)


def tokens(raw):
    """The headers and texts of a reply in turn; a text has "$" before it instead of its length."""
    parts, position = [], 0
    while position < len(raw):
        end = raw.index(b"\r\n", position)
        line = raw[position:end]
        position = end + 2
        if line[:1] == b"$" and line != b"$-1":
            size = int(line[1:])
            line = b"$" + raw[position:position + size]
            position += size + 2
        parts.append(line)
    return parts
