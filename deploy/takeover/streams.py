#!/usr/bin/python3
"""Looks at the streams of a Redis for deploy/takeover.sh, and clears entries that would be in the way.

    streams.py look HOST PORT       lines "objection TEXT" and "note TEXT" about the streams of database 0
    streams.py clear HOST PORT KEY...  acknowledges in every group, and deletes, what has sequences of 10^12 and more

The environment variable REDISCLI_AUTH may hold the password, as for redis-cli. `look` changes nothing.
"""
import os
import sys
import time

try:
    import redis
except ImportError:
    sys.exit("streams.py: the package python3-redis is missing")

# The daemon adds slot * 10^12 to a sequence, so that larger ones have no form for clients: see docs/streams.md.
DIGITS = 12
PAGE = 500
SECONDS = 30  # after which `look` leaves the rest of the entries alone
LISTED = 20
ABSENT_MS = 60_000  # consumers that were not seen for so long do not read

# A page of entries or of pending entries: its last ID, how many they are, and the IDs of these with a large sequence. The
# entries stay where they are.
FIND = """
local page
if ARGV[3] then
  page = redis.call('XPENDING', KEYS[1], ARGV[3], ARGV[1], '+', ARGV[2])
else
  page = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
end
local large = {}
for _, entry in ipairs(page) do
  if #entry[1] - string.find(entry[1], '-', 1, true) > %d then large[#large + 1] = entry[1] end
end
return {#page > 0 and page[#page][1] or '', #page, large}
""" % DIGITS


def text(name):
    return name.decode(errors="backslashreplace").encode("unicode_escape").decode()


def fields(flat):
    return dict(zip(flat[::2], flat[1::2]))


class Streams:
    """The streams of a Redis."""

    def __init__(self, host, port):
        self._redis = redis.Redis(host=host, port=int(port), password=os.environ.get("REDISCLI_AUTH"), socket_timeout=20,
                                  client_name="dualbus-takeover")
        self._redis.response_callbacks.clear()  # replies as they are
        self._find = FIND
        self.deadline = None

    def keys(self):
        cursor, seen = b"0", set()
        while True:
            cursor, page = self._redis.execute_command("SCAN", cursor, "COUNT", PAGE, "TYPE", "stream")
            for key in page:
                if key not in seen:
                    seen.add(key)
                    yield key
            if cursor == b"0":
                return

    def groups(self, key):
        info = fields(self._redis.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 1))
        return [fields(group) for group in info[b"groups"]]

    def large(self, key, group=None):
        """IDs with a large sequence, of entries or of a group's pending ones; None at the end: the time was over before all were seen."""
        start = "-"
        while True:
            last, count, found = self._redis.execute_command("EVAL", self._find, 1, key, start, PAGE, *([group] if group else []))
            yield from found
            if count < PAGE:
                return
            if self.deadline and time.monotonic() > self.deadline:
                yield None
                return
            start = b"(" + last

    def unread(self, key, group):
        return bool(self._redis.execute_command("XRANGE", key, b"(" + group[b"last-delivered-id"], "+", "COUNT", 1))

    def now_ms(self):
        seconds, microseconds = self._redis.execute_command("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def clear(self, key):
        ids = set(self.large(key))
        for group in self.groups(key):
            pending = set(self.large(key, group[b"name"]))
            for number in pending:
                self._redis.execute_command("XACK", key, group[b"name"], number)
            ids |= pending
        for number in ids:
            self._redis.execute_command("XDEL", key, number)
        return len(ids)


def large_sequences(streams, key, groups):
    found = list(streams.large(key))
    for group in groups:
        if group[b"pel-count"]:
            found += streams.large(key, group[b"name"])
    some = {number for number in found if number}
    if some:
        first = min(some, key=lambda number: tuple(map(int, number.split(b"-")))).decode()
        yield (f"objection stream '{text(key)}' has {len(some)} entries with sequences of 10^12 and more, such as {first}: "
               "no client would get them after the move")
    if None in found:
        yield f"note stream '{text(key)}' is long: not all of its entries were looked at for sequences of 10^12 and more"


def readers(group, now_ms):
    """Its consumers that were seen lately."""
    return [consumer for consumer in map(fields, group[b"consumers"]) if now_ms - consumer[b"seen-time"] < ABSENT_MS]


def look(host, port):
    streams = Streams(host, port)
    streams.deadline = time.monotonic() + SECONDS
    now_ms = streams.now_ms()
    idle = []
    for key in streams.keys():
        try:
            groups = streams.groups(key)
            yield from large_sequences(streams, key, groups)
            for group in groups:
                left = streams.unread(key, group)
                if not group[b"consumers"] or (not readers(group, now_ms) and (left or group[b"pel-count"])):
                    idle.append((key, group, left))
        except redis.ResponseError as error:
            if "no such key" not in str(error):  # gone meanwhile
                raise
    for key, group, left in idle[:LISTED]:
        what = ["entries to read"] if left else []
        if group[b"pel-count"]:
            what.append(f"{group[b'pel-count']} pending")
        yield f"note nobody reads group '{text(group[b'name'])}' of stream '{text(key)}' ({', '.join(what) or 'nothing to read now'})"
    if len(idle) > LISTED:
        yield f"note and {len(idle) - LISTED} more groups that nobody reads"
    if idle:
        yield ("note such a group holds back draining, and the way back: destroy it, or name it in draining.ignore_groups "
               "(docs/migration.md)")


def clear(host, port, *keys):
    streams = Streams(host, port)
    for key in keys:
        yield f"stream '{key}': {streams.clear(os.fsencode(key))} entries acknowledged in every group and deleted"


def main(command="", *arguments):
    commands = {"look": look, "clear": clear}
    if command not in commands or len(arguments) < 2 + (command == "clear"):
        sys.exit(__doc__)
    try:
        for line in commands[command](*arguments):
            print(line, flush=True)
    except (redis.RedisError, OSError, ValueError) as error:
        sys.exit(f"streams.py {command}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
