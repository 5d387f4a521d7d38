#!/usr/bin/env python3
"""Tries to get a message type past the daemon to any consumer, for a user who may send only some others.

Messages are made of JSON in which types stand twice, in lists, in strings, in other encodings, among numbers and words that
only some programs read. Messages that the daemon takes are read by several kinds of consumers, all in Python: by the first field that
they can read or by the last, in the order of the configuration or of the message, from bytes or text, strictly or not. None
may find a type that is not allowed. And plain messages of an allowed type must be taken.

message_type_fuzz.py [--seconds 10] [--seed N] [--daemon PATH]
"""
import argparse
import ast
import hashlib
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from support import resp  # noqa: E402
from support.harness import Stack  # noqa: E402

ALLOWED = ["risk_x", "market_data"]
FORBIDDEN = "order_request"
JSON_FIELDS = [b"payload", b"data", b"message"]
CONFIG = {"auth": {"users": {"feed": {"password_hashes": [hashlib.sha256(b"feed").hexdigest()], "commands": ["+xadd", "+publish"], "keys": ["*"],
                                      "channels": ["*"], "message_types": ["risk_*", "market_data"]}}}}
BATCH = 100


class Messages:
    def __init__(self, rng):
        self.random = rng

    def type(self):
        return self.random.choice([*ALLOWED, FORBIDDEN, FORBIDDEN])

    def value(self):
        """JSON text of something, or nearly JSON."""
        return self.random.choice(["1", "\"x\"", "null", "true", "[1, 2]", "{}", "NaN", "-Infinity", "1e999", "9" * 40, "\"\\ud800\"", "\"\\u0000\"", "01",
                                   "[NaN, {\"message_type\": \"%s\"}]" % self.type(), "{\"message_type\": \"%s\"}" % self.type(), "\"{\\\"message_type\\\"\"",
                                   "/* } */ 1", "'x'", "\"\\x\"", "\"\t\"", "[1, 2,]", "\"\x7f\u2028\""])

    def member(self):
        rng = self.random
        name = rng.choice(["message_type"] * 5 + ["x", "y", "message\\u005ftype", "Message_Type", "message_type\\u0000", "message_type ", "message\\/type"])
        if name.startswith("m") and rng.random() < 0.8:
            kind = rng.randrange(10)
            text = self.type()
            value = '"%s"' % text if kind < 6 else ["[\"%s\"]", "\"\\u006f%s\"", "'%s'", "{\"message_type\": \"%s\"}"][kind - 6] % (
                text[1:] if kind == 7 else text)
        else:
            value = self.value()
        return f'"{name}"{rng.choice([":", ": ", " : "])}{value}'

    def document(self):
        rng = self.random
        text = "{" + rng.choice([",", ", "]).join(self.member() for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3]))) + "}"
        kind = rng.randrange(24)
        if kind == 0:
            text = text[:rng.randrange(len(text) + 1)]
        elif kind == 1:
            text = f"[{text}]"
        elif kind == 2:
            text = json.dumps(text)
        elif kind == 3:
            text = rng.choice(["/**/", "\f", "\u00a0", "\ufeff", "\ufeff\ufeff", " \n", "x", "#\n", ")]}'\n"]) + text
        elif kind == 4:
            text += rng.choice([" ", "\0", text, "x", ",", "//"])
        elif kind == 5:
            text = rng.choice(["text", "", "12", "\"text\"", "[1, 2]", "null", "a: b", "C:\\x", "{", "}"])
        elif kind == 6:
            text = "".join(c for c in text if rng.random() > 0.03)
        elif kind == 7:
            text = text.replace('"', "'")
        elif kind == 8:
            text = '{"x": "' + "x" * (4 << 20) + '", ' + text[1:] if rng.random() < 0.03 else text
        encoding = rng.choice(["utf-8"] * 8 + ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig", "utf-7"])
        data = text.encode(encoding, "surrogatepass")
        return data[:1] + rng.choice([b"\xff", b"\xc0\xa2", b"\0"]) + data[1:] if rng.random() < 0.03 else data

    def fields(self):
        rng = self.random
        fields = []
        for _ in range(rng.randrange(1, 4)):
            if rng.random() < 0.15:
                fields += [b"message_type", rng.choice([self.type().encode(), b"", b"risk_x", b"\0"])]
            else:
                fields += [rng.choice(JSON_FIELDS), self.document()]
        return fields


# --- consumers -----------------------------------------------------------------------------------------------------------


def from_bytes(data):
    return json.loads(data)  # finds out the encoding


def from_text(data):
    return json.loads(data.decode("utf-8", "replace").lstrip("\ufeff"), strict=False)


def from_text_again(data):
    value = from_text(data)
    return json.loads(value) if isinstance(value, str) else value


def first_of_a_name(data):
    return json.loads(data, object_pairs_hook=lambda pairs: dict(reversed(pairs)))


def as_python(data):
    return ast.literal_eval(data.decode("utf-8", "replace").strip())


def types_in(data, reader):
    """The types that a consumer takes from one text, which may be a list of them or of messages."""
    try:
        value = reader(data)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return []
    found = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and one.get("message_type") is not None:
            named = one["message_type"]
            found += [str(n) for n in named] if isinstance(named, list) else [str(named)]
    return found


READERS = (from_bytes, from_text, from_text_again, first_of_a_name, as_python)


def types_for_consumers(fields):
    """Every type that some consumer takes the message for, with how it does."""
    pairs = list(zip(fields[::2], fields[1::2]))
    for order, chosen in (("first", dict(reversed(pairs))), ("last", dict(pairs))):
        named = chosen.get(b"message_type")
        if named:
            yield named.decode(errors="replace"), f"field, {order}"
            continue
        for reader in READERS:
            for where, texts in (("configured", [chosen[f] for f in JSON_FIELDS if f in chosen]), ("sent", [v for f, v in pairs if f in JSON_FIELDS])):
                for text in texts:
                    found = types_in(text, reader)
                    if found:
                        yield from ((f, f"{reader.__name__}, {order}, {where} order") for f in found)
                        break


def is_allowed(name):
    return name.startswith("risk_") or name == "market_data"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--daemon", help="the program; else the environment's DUALBUSD")
    options = parser.parse_args()
    if options.daemon:
        os.environ["DUALBUSD"] = os.path.abspath(options.daemon)
    print(f"seed {options.seed}", flush=True)
    messages = Messages(random.Random(options.seed))
    stack = Stack(CONFIG)
    faults = []
    taken = sent = 0

    def fault(text):
        faults.append(text)
        print("FAULT " + text[:600], flush=True)

    try:
        client = resp.Connection(stack.daemon.address)
        assert client.call("AUTH", "feed", "feed") == "OK"
        end = time.monotonic() + options.seconds
        while time.monotonic() < end and len(faults) < 20:
            batch = [messages.fields() for _ in range(BATCH)]
            texts = [messages.document() for _ in range(BATCH // 10)]
            replies = client.pipeline([("XADD", "s", "MAXLEN", "10", "*", *fields) for fields in batch] + [("PUBLISH", "c", text) for text in texts])
            for fields, reply in zip(batch + [[b"payload", text] for text in texts], replies):
                sent += 1
                if isinstance(reply, resp.ReplyError):
                    if not reply.startswith("NOPERM"):
                        fault(f"{fields}: {reply}")
                    continue
                taken += 1
                for name, consumer in types_for_consumers(fields):
                    if not is_allowed(name):
                        fault(f"{name!r} found by {consumer} in {fields}")
                        break
            for plain in (["message_type", "risk_x", "payload", "{"], ["payload", '{"x": NaN, "message_type": "risk_x"}'],
                          ["payload", "text", "data", '{"x": [1], "message_type": "market_data"}']):
                if isinstance(reply := client.call("XADD", "s", "*", *plain), resp.ReplyError):
                    fault(f"{plain} is refused: {reply}")
        client.close()
        if taken == 0:
            fault("no message was taken")
    finally:
        try:
            stack.end()
        except AssertionError as error:
            fault(str(error))
    print(f"{sent} messages, {taken} taken: {len(faults)} faults", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
