"""The transcripts of test/transcripts: requests by group of commands, and how replies to them are compared.

test/transcripts/README.md explains the notation.
"""
import os
import re
from typing import NamedTuple

from support.resp import Reader, encode

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "transcripts")
EXACT, ANY_ORDER, NO_NUMBERS, KIND = "", "~", "%", "?"

_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_WORD = re.compile(rb'"(?P<double>(?:[^"\\]|\\.)*)"|\'(?P<single>(?:[^\'\\]|\\.)*)\'|(?P<plain>\S+)')
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)


class Line(NamedTuple):
    """A request, as words and as it stands in the file, and what of the reply is compared."""
    words: tuple
    text: bytes
    mark: str = EXACT

    name = property(lambda self: self.words[0].decode(errors="replace").upper())


def load(name):
    """The paragraphs of a file, named without its ending: lists of lines."""
    paragraphs = [[]]
    with open(os.path.join(FOLDER, name + ".txt"), "rb") as file:
        for text in map(bytes.strip, file):
            if not text:
                paragraphs.append([])
            elif not text.startswith(b"#"):
                paragraphs[-1].append(_line(text))
    return [paragraph for paragraph in paragraphs if paragraph]


def names():
    return sorted(name[:-4] for name in os.listdir(FOLDER) if name.endswith(".txt"))


def _line(text):
    mark = EXACT
    if text[:2] in (b"~ ", b"% ", b"? "):
        mark, text = text[:1].decode(), text[2:]
    return Line(tuple(_value(word) for word in _WORD.finditer(text)), text, mark)


def _value(word):
    if word["double"] is not None:
        return _ESCAPE.sub(lambda found: _unescape(found[1]), word["double"])
    return word["single"].replace(b"\\'", b"'") if word["single"] is not None else word["plain"]


def _unescape(match):
    return bytes([int(match[1:], 16)]) if len(match) == 3 else _ESCAPES.get(match, match)


# --- replies ---------------------------------------------------------------------------------------------------------


def split(raw):
    """The replies in `raw`, the last one possibly incomplete."""
    chunks = [raw]
    reader = Reader(lambda: chunks.pop() if chunks else b"")
    replies, found = [], 0
    try:
        while found < len(raw):
            replies.append(reader.read_raw())
            found += len(replies[-1])
    except ConnectionError:
        replies.append(raw[found:])
    return replies


def same(mark, one, other):
    """True if two replies agree in the parts that `mark` says have to be compared."""
    if one == other:
        return True
    if mark == ANY_ORDER:
        return sorted(one.split(b"\r\n")) == sorted(other.split(b"\r\n"))
    if mark == NO_NUMBERS:
        return re.sub(rb"\d+", b"0", one) == re.sub(rb"\d+", b"0", other)
    return mark == KIND and one[:1] == other[:1] != b"-"


# --- wrong requests --------------------------------------------------------------------------------------------------

# Each of these in place of each word. The two keys exist, so that each command meets one of the wrong type.
WRONG_WORDS = (b"", b"-1", b"1.5", b"9223372036854775808", b"\0\xff\r\n", b"a_string", b"a_list")
SETUP = (Line((b"SET", b"a_string", b"text"), b""), Line((b"RPUSH", b"a_list", b"a", b"b"), b""))
# The commands that a wrong word could make wait forever, and those that depend on chance.
NEVER_WRONG = {"BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT", "SPOP"}
BY_CHANCE = {"SORT", "SORT_RO", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY", "SCAN", "HSCAN", "SSCAN", "ZSCAN"}
WITH_TIMES = {"XPENDING", "XINFO", "PTTL"}


def among_wrong_requests(line):
    """The request itself between wrong ones, which leave behind what depends on chance and on the order of hash tables."""
    if line.name in WITH_TIMES:
        return line._replace(mark=NO_NUMBERS)
    return line._replace(mark=KIND if line.name in BY_CHANCE else line.mark or ANY_ORDER)


def wrong_requests(line):
    """The request without its last word, without any, with one more, and with each word replaced by a wrong one."""
    words = line.words
    if line.mark or line.name in NEVER_WRONG | BY_CHANCE or b"BLOCK" in words:
        return
    mark = NO_NUMBERS if line.name in WITH_TIMES else ANY_ORDER
    candidates = [words[:-1], words[:1], words + (b"x",)]
    candidates += [words[:at] + (wrong,) + words[at + 1:] for at in range(1, len(words)) for wrong in WRONG_WORDS]
    for candidate in dict.fromkeys(candidates):
        if candidate and candidate != words:
            yield Line(candidate, b"", mark)


def stream(lines):
    """The requests as a client sends them."""
    return b"".join(encode(*line.words) for line in lines)
