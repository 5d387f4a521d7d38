"""One stream as one Redis 7.0 keeps it: entries, the blocks they are stored in, groups and their pending entries.

IDs are pairs of numbers, names and fields are bytes. Times are intervals (earliest, latest) of milliseconds, because a test
knows only between which two moments a command was executed.
"""
import bisect

from support.stream_ids import LAST, ZERO, following

# The options that the servers of these tests are started with: blocks of few entries, so that short streams have several of them.
BLOCK_ENTRIES = 5
OPTIONS = ("--stream-node-max-entries", str(BLOCK_ENTRIES), "--stream-node-max-bytes", "0")


class TooSmall(ValueError):
    """The ID is not above the last one."""


class UnclearTime(AssertionError):
    """It depends on moments that nobody knows whether an entry was idle long enough."""


def add(interval, milliseconds):
    return interval[0] + milliseconds, interval[1] + milliseconds


def idle_time(now, since):
    return max(0, now[0] - since[1]), max(0, now[1] - since[0])


def idle_at_least(now, since, limit):
    shortest, longest = now[0] - since[1], now[1] - since[0]
    if shortest < limit <= longest:
        raise UnclearTime(f"idle between {shortest} and {longest} ms, asked for {limit}")
    return shortest >= limit


class Pending:
    """An entry that a consumer got and has not acknowledged."""

    def __init__(self, consumer, since):
        self.consumer = consumer
        self.since = since
        self.deliveries = 1


class Group:
    def __init__(self, last):
        self.last = last
        self.read = None  # how many entries there were up to `last`, if known
        self.pending = {}  # ID -> Pending
        self.consumers = {}  # name -> when it was last seen

    def see(self, consumer, now):
        self.consumers[consumer] = now

    def pending_ids(self, consumer=None):
        return sorted(entry for entry, pending in self.pending.items() if consumer in (None, pending.consumer))


class Stream:
    def __init__(self):
        self.entries = {}  # ID -> list of fields and values
        self.ids = []  # of the entries, ascending
        self.blocks = []  # lists of IDs, of deleted entries, too
        self.last = ZERO
        self.first = ZERO
        self.deleted = ZERO  # the largest ID that XDEL took
        self.added = 0
        self.groups = {}

    # --- entries -------------------------------------------------------------------------------------------------------

    def next_id(self, milliseconds):
        """The ID that "milliseconds-*" gets."""
        return following(self.last) if milliseconds == self.last[0] else (milliseconds, 0)

    def append(self, entry, fields):
        if entry <= self.last:
            raise TooSmall(entry)
        if not self.blocks or len(self.blocks[-1]) >= BLOCK_ENTRIES:
            self.blocks.append([])
        self.blocks[-1].append(entry)
        self.entries[entry] = fields
        self.ids.append(entry)
        self.last = entry
        self.added += 1
        if len(self.ids) == 1:
            self.first = entry

    def _remove(self, entry):
        del self.entries[entry]
        self.ids.remove(entry)

    def _live(self, block):
        return [entry for entry in block if entry in self.entries]

    def delete(self, ids):
        count, first_went = 0, False
        for entry in ids:
            if entry not in self.entries:
                continue
            self._remove(entry)
            count += 1
            first_went |= entry == self.first
            self.deleted = max(self.deleted, entry)
            block = next(block for block in self.blocks if entry in block)
            if not self._live(block):
                self.blocks.remove(block)
        if count and not self.ids:
            self.first = ZERO
        elif first_went:
            self.first = self.ids[0]
        return count

    def trim(self, maxlen=None, minid=None, approximate=False, limit=None):
        """Whole blocks from the oldest on, then, unless approximate, single entries of one block."""
        if approximate and limit is None:
            limit = 100 * BLOCK_ENTRIES
        count = 0
        while self.blocks and (minid is not None or len(self.ids) > maxlen):
            block = self.blocks[0]
            live = self._live(block)
            if limit and count + len(live) > limit:
                break
            if block[-1] < minid if minid is not None else len(self.ids) - len(live) >= maxlen:
                for entry in live:
                    self._remove(entry)
                self.blocks.pop(0)
                count += len(live)
                continue
            if not approximate:
                for entry in live:
                    if entry >= minid if minid is not None else len(self.ids) <= maxlen:
                        break
                    self._remove(entry)
                    count += 1
            break
        if not self.ids:
            self.first = ZERO
        elif count:
            self.first = self.ids[0]
        return count

    def range(self, first=ZERO, last=LAST):
        return self.ids[bisect.bisect_left(self.ids, first):bisect.bisect_right(self.ids, last)]

    def after(self, entry):
        return self.ids[bisect.bisect_right(self.ids, entry):]

    # --- how far groups are --------------------------------------------------------------------------------------------

    def _gaps_from(self, entry):
        return bool(self.ids) and self.deleted != ZERO and self.first <= self.deleted and entry <= self.deleted

    def _distance(self, entry):
        """The number of entries ever added up to this one, if that can be told."""
        if not self.added or (not self.ids and entry <= self.last) or entry == self.last:
            return self.added
        if entry < self.last and (self.deleted == ZERO or self.deleted < self.first):
            if entry < self.first:
                return self.added - len(self.ids)
            if entry == self.first:
                return self.added - len(self.ids) + 1
        return None

    def lag(self, group):
        if not self.added:
            return 0
        if group.read is not None and not self._gaps_from(group.last):
            return self.added - group.read
        distance = self._distance(group.last)
        return None if distance is None else self.added - distance

    # --- reading with groups -------------------------------------------------------------------------------------------

    def deliver(self, group, consumer, count, acknowledged, now):
        """The next entries for a consumer; without any, the consumer is not even created."""
        ids = self.after(group.last)
        if count:
            ids = ids[:count]
        if ids:
            group.see(consumer, now)
        for entry in ids:
            if group.read is not None and not self._gaps_from(entry):
                group.read += 1
            elif self.added:
                group.read = self._distance(entry)
            group.last = entry
            if not acknowledged:
                group.pending[entry] = Pending(consumer, now)
        return ids

    def history(self, group, consumer, behind, count, now):
        """The consumer's pending entries behind an ID."""
        group.see(consumer, now)
        ids = [entry for entry in group.pending_ids(consumer) if entry > behind]
        if count:
            ids = ids[:count]
        for entry in ids:
            if entry in self.entries:
                group.pending[entry].since = now
                group.pending[entry].deliveries += 1
        return ids

    def claim(self, group, consumer, min_idle, ids, options, now):
        """The IDs claimed. `options`: since, retries, force, justid, last."""
        if options.get("last", ZERO) > group.last:
            group.last = options["last"]
        since = options.get("since", now)
        if since[0] < 0 or since[1] > now[1]:
            since = now
        claimed = []
        for entry in ids:
            pending = group.pending.get(entry)
            if entry not in self.entries:
                group.pending.pop(entry, None)
                continue
            if pending is None:
                if not options.get("force"):
                    continue
                pending = group.pending[entry] = Pending(None, now)
            if pending.consumer is not None and min_idle and not idle_at_least(now, pending.since, min_idle):
                continue
            group.see(consumer, now)
            pending.consumer, pending.since = consumer, since
            if options.get("retries", -1) >= 0:
                pending.deliveries = options["retries"]
            elif not options.get("justid"):
                pending.deliveries += 1
            claimed.append(entry)
        return claimed

    def claim_idle(self, group, consumer, min_idle, first, count, justid, now):
        """XAUTOCLAIM: the ID to go on with, what was claimed, what is no longer there."""
        claimed, gone = [], []
        attempts = 10 * count
        waiting = [entry for entry in group.pending_ids() if entry >= first]
        while attempts and waiting and len(claimed) + len(gone) < count:
            attempts -= 1
            entry = waiting.pop(0)
            pending = group.pending[entry]
            if entry not in self.entries:
                del group.pending[entry]
                gone.append(entry)
            elif not min_idle or idle_at_least(now, pending.since, min_idle):
                group.see(consumer, now)
                pending.consumer, pending.since = consumer, now
                pending.deliveries += not justid
                claimed.append(entry)
        return waiting[0] if waiting else ZERO, claimed, gone
