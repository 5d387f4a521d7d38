"""Requests of many commands whose option words are odd: in any case, followed by a zero byte, cut by one, broken by CRLF.

Redis reads an option word up to its first zero byte (strcasecmp), so `STORE\\0x` is STORE. Keys come from three heaps: those
of the user (a:…, or numbers for the user whose keys look like IDs), those of others (b:…), and words that are options, too.
"""

OWN = ["a:s", "a:l", "a:z", "a:g", "a:set", "a:h", "a:x", "a:y", "a:STORE"]
FOREIGN = ["b:s", "b:l", "b:z", "b:g", "b:set", "b:h", "b:x", "b:y"]
NUMBERS = ["0", "1", "2", "0-1"]
WORDS = ["STORE", "STOREDIST", "STREAMS", "COUNT", "BLOCK", "GROUP", "NOACK", "BY", "GET", "LIMIT", "ASC", "ALPHA", "WEIGHTS", "AGGREGATE",
         "SUM", "WITHSCORES", "REPLACE", "DB", "LEFT", "MIN", "IDLE", "JUSTID", "MKSTREAM", "NOMKSTREAM", "MAXLEN", "MINID", "EX", "NX",
         "KEEPTTL", "PERSIST", "MATCH", "TYPE", "FULL", "SAMPLES", "WITHDIST", "ANY", "REV", "BYSCORE", "ENTRIESREAD", "FORCE"]
# By what the names of commands begin with: how the keys end that they work on.
TYPES = {"SORT": ":l", "L": ":l", "RPOP": ":l", "GEO": ":g", "X": ":s", "Z": ":z", "S": ":set", "H": ":h", "GET": ":x", "BITOP": ":x"}


class Requests:
    """`random` decides everything. `keys` are the keys that requests may name."""

    def __init__(self, random, keys):
        self.random = random
        self.keys = keys
        self.type = ""

    def key(self):
        """Most are of the type that the command takes."""
        suiting = [key for key in self.keys if key.endswith(self.type)]
        return self.random.choice(suiting if suiting and self.random.random() < 0.7 else self.keys)

    def word(self, text):
        """An option word as Redis takes it, written in some way."""
        kind = self.random.randrange(8)
        data = text.encode()
        if kind == 0:
            data = data.lower()
        elif kind == 1:
            data = data.title()
        elif kind == 2:
            data += b"\0"
        elif kind == 3:
            data = data.swapcase() + b"\0" + self.random.choice([b"x", b"\0", b"DIST", b"STORE", b"\r\n*1\r\n"])
        return data

    def no_word(self, text):
        """Almost that option word: Redis takes it for another one."""
        data = text.encode()
        at = self.random.randrange(len(data) + 1)
        return self.random.choice([data[:at] + b"\0" + data[at:], b"\0" + data, data + b" ", data[:-1], data + b"\r\n", data[:at] + b"\r\n" + data[at:]])

    def maybe(self, *args):
        return list(args) if self.random.random() < 0.5 else []

    def option(self, *choices):
        """One of the options, its first part a word and the others as they are; or none."""
        chosen = self.random.choice((None, *choices))
        return [] if chosen is None else [self.word(chosen[0]), *chosen[1:]]

    def sound(self, repeats=True):
        """A request that Redis understands. Without `repeats` no option that names a key stands twice."""
        random, key, w = self.random, self.key, self.word
        name = random.choice(self.NAMES)
        self.type = next((type for start, type in TYPES.items() if name.startswith(start)), "")
        if name in ("SORT", "SORT_RO"):
            args = [key(), *self.option(("BY", "nosort"), ("BY", "store"), ("BY", "a:w*")), *self.option(("LIMIT", "0", "5")), *self.option(("ALPHA",)),
                    *self.option(("GET", "#"), ("GET", "b:*"), ("GET", "store"))]
            if name == "SORT":
                for _ in range(random.randrange(3 if repeats else 2)):
                    args += [w("STORE"), key()]
        elif name in ("GEORADIUS", "GEORADIUSBYMEMBER", "GEORADIUS_RO"):
            args = [key(), *(["m"] if "MEMBER" in name else ["1", "1"]), "9", "km", *self.option(("COUNT", "1")), *self.option(("ASC",), ("DESC",))]
            if name != "GEORADIUS_RO":
                for _ in range(random.randrange(3 if repeats else 2)):
                    args += [w(random.choice(["STORE", "STOREDIST"])), key()]
        elif name in ("XREAD", "XREADGROUP"):
            count = random.randrange(1, 3)
            args = [] if name == "XREAD" else [w("GROUP"), random.choice(["g", "STREAMS"]), random.choice(["c", "streams"])]
            args += [*self.option(("COUNT", "2")), *self.option(("BLOCK", "1")), w("STREAMS"), *(key() for _ in range(count)),
                     *(random.choice(["0", "0-1", "5"] + ([">", ">\0"] if name == "XREADGROUP" else ["$", "$\0x"])) for _ in range(count))]
        elif name in ("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"):
            count = random.randrange(1, 3)
            args = [key(), str(count), *(key() for _ in range(count))]
            if name != "ZDIFFSTORE":
                args += self.option(("WEIGHTS", *["1"] * count)) + self.option(("AGGREGATE", w("SUM")))
        elif name in ("ZUNION", "ZINTER", "ZDIFF", "SINTERCARD", "ZINTERCARD"):
            count = random.randrange(1, 3)
            args = [str(count), *(key() for _ in range(count))]
            args += self.option(("LIMIT", "1")) if name.endswith("CARD") else self.option(("WITHSCORES",))
        elif name in ("LMPOP", "ZMPOP"):
            count = random.randrange(1, 3)
            args = [str(count), *(key() for _ in range(count)), w("LEFT" if name == "LMPOP" else "MIN"), *self.option(("COUNT", "1"))]
        elif name == "XADD":
            args = [key(), *self.option(("NOMKSTREAM",)), *self.option(("MAXLEN", "100"), ("MINID", "~", "0-1"), ("MAXLEN", "~\0", "100", "LIMIT", "5")),
                    random.choice(["*", "*\0", "*\0x"]), "message_type", "order_request"]
        elif name == "XAUTOCLAIM":
            args = [key(), "g", "c", "0", "0", *self.option(("COUNT", "1")), *self.option(("JUSTID",))]
        elif name == "XCLAIM":
            args = [key(), "g", "c", "0", "0-1", *self.option(("JUSTID",), ("FORCE",))]
        elif name == "XGROUP":
            args = ["CREATE", key(), random.choice(["g", "h"]), random.choice(["$", "0", "$\0"]), *self.option(("MKSTREAM",)), *self.option(("ENTRIESREAD", "1"))]
        elif name == "XINFO":
            args = [*random.choice([("STREAM", key(), *self.maybe(w("FULL"))), ("GROUPS", key()), ("CONSUMERS", key(), "g")])]
        elif name == "COPY":
            args = [key(), key(), *self.option(("REPLACE",)), *self.option(("DB", "0"))]
        elif name == "SET":
            args = [key(), "v", *self.option(("EX", "100"), ("KEEPTTL",)), *self.option(("NX",), ("GET",))]
        elif name == "GETEX":
            args = [key(), *self.option(("EX", "100"), ("PERSIST",))]
        elif name == "GEOSEARCHSTORE":
            args = [key(), key(), w("FROMLONLAT"), "1", "1", w("BYRADIUS"), "9", "km", *self.option(("COUNT", "1")), *self.option(("STOREDIST",))]
        elif name == "ZRANGESTORE":
            args = [key(), key(), "0", "5", *self.option(("BYSCORE",)), *self.option(("REV",))]
        elif name == "OBJECT":
            args = ["ENCODING", key()]
        elif name == "MEMORY":
            args = ["USAGE", key(), *self.option(("SAMPLES", "5"))]
        elif name in ("MGET", "DEL", "EXISTS", "TOUCH", "SUNION", "PFCOUNT", "WATCH"):
            args = [key() for _ in range(random.randrange(1, 4))]
        elif name in ("RENAME", "RPOPLPUSH", "LCS", "SUNIONSTORE"):
            args = [key(), key()]
        elif name == "LMOVE":
            args = [key(), key(), w("LEFT"), w("RIGHT")]
        elif name == "BITOP":
            args = [w("OR"), key(), key(), key()]
        elif name == "MSET":
            args = [key(), "v", key(), "w"]
        elif name == "EXPIRE":
            args = [key(), "1000", *self.option(("NX",), ("GT",))]
        else:
            args = [key()]
        return [name, *args]

    NAMES = ["SORT"] * 6 + ["SORT_RO", "GEORADIUS", "GEORADIUS", "GEORADIUS", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER", "GEORADIUS_RO"] + \
        ["XREAD"] * 4 + ["XREADGROUP"] * 4 + ["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE", "ZUNION", "ZINTER", "ZDIFF", "SINTERCARD", "ZINTERCARD",
         "LMPOP", "ZMPOP", "XADD", "XADD", "XAUTOCLAIM", "XCLAIM", "XGROUP", "XINFO", "COPY", "COPY", "SET", "GETEX", "GEOSEARCHSTORE",
         "ZRANGESTORE", "OBJECT", "MEMORY", "MGET", "DEL", "EXISTS", "TOUCH", "SUNION", "PFCOUNT", "RENAME", "RPOPLPUSH", "LCS", "SUNIONSTORE",
         "LMOVE", "BITOP", "MSET", "EXPIRE", "GET", "TYPE", "XLEN", "HGETALL", "SMEMBERS", "DUMP"]

    def odd(self):
        """A sound request, and often one or more changes that may make it another one."""
        request = self.sound()
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            at = self.random.randrange(1, len(request) + 1)
            kind = self.random.randrange(6)
            if kind == 0:
                request.insert(at, self.word(self.random.choice(WORDS)))
            elif kind == 1:
                request[at:at] = [self.word(self.random.choice(WORDS)), self.key()]
            elif kind == 2:
                request.insert(at, self.no_word(self.random.choice(WORDS)))
            elif kind == 3 and at < len(request):
                request.insert(at, request[at])
            elif kind == 4 and at < len(request) and len(request) > 2:
                del request[at]
            elif at < len(request):
                request[at] = self.random.choice([self.key(), "0", "1", "2", "-1", "1\0", "\0", ""])
        return short_waits(request)


def bare(word):
    """A word as Redis compares it."""
    return (word if isinstance(word, bytes) else word.encode()).split(b"\0")[0].lower()


def short_waits(request):
    """The request, but nobody waits long: neither for ever nor for a time that was something else before."""
    for at, word in enumerate(request[:-1]):
        if bare(word) == b"block" and bare(request[at + 1]).isdigit():
            request[at + 1] = "1"
    return request
