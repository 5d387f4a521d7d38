"""The reference model's pending entries and figures: XPENDING, XCLAIM, XAUTOCLAIM, XINFO."""
from support.redis_stream import add, idle_at_least, idle_time
from support.stream_ids import SLOT_STEP, ZERO, BadId, first_of, following, last_of, parse, position_of, raw_of, show, slot_of
from support.stream_refusals import NO_KEY, Refused, integer, no_group, no_group_for_key
from support.stream_replies import NIL, NIL_ARRAY, SYNTAX, Error, Map, Near


class InfoCommands:
    """Mixed into the model, which has `parts`, `pinned`, `entries`, `exists`, `known`, `behind`, `ids_on` and `now`."""

    def _parts_with(self, key, name, refusal=no_group):
        parts = self.parts(key)
        if not self.exists(parts, name):
            raise Refused(refusal(key, name))
        return [part for part in parts if part.group(name)]

    @staticmethod
    def _pending(parts, name, consumer=None):
        """(client's ID, what is known of it) of all pending entries, ascending."""
        return sorted(((part.shown(entry), pending) for part in parts for entry, pending in part.group(name).pending.items()
                       if consumer in (None, pending.consumer)), key=lambda one: one[0])

    # --- XPENDING ------------------------------------------------------------------------------------------------------

    def do_xpending(self, args, _):
        key, name = args[1:3]
        if len(args) == 3:
            return self._pending_summary(self._parts_with(key, name), name)
        rest, min_idle = args[3:], 0
        if rest[0].lower() == b"idle":
            min_idle, rest = integer(rest[1]), rest[2:]
        count = max(0, integer(rest[2]))
        first, last = first_of(rest[0]), last_of(rest[1])
        chosen = []
        for shown, pending in self._pending(self._parts_with(key, name), name, rest[3] if len(rest) > 3 else None):
            idle = idle_time(self.now, pending.since)
            if first <= shown <= last and (not min_idle or idle_at_least(self.now, pending.since, min_idle)):
                chosen.append([show(shown), pending.consumer, Near(idle), pending.deliveries])
        return chosen[:count]

    def _pending_summary(self, parts, name):
        pending = self._pending(parts, name)
        if not pending:
            return [0, NIL, NIL, NIL_ARRAY]
        counts = {}
        for _, one in pending:
            counts[one.consumer] = counts.get(one.consumer, 0) + 1
        return [len(pending), show(pending[0][0]), show(pending[-1][0]),
                [[consumer, b"%d" % count] for consumer, count in sorted(counts.items())]]

    # --- XCLAIM, XAUTOCLAIM --------------------------------------------------------------------------------------------

    def do_xclaim(self, args, _):
        key, name, consumer = args[1:4]
        parts = self._parts_with(key, name)
        min_idle = max(0, integer(args[4], Error(b"ERR Invalid min-idle-time argument for XCLAIM")))
        ids, i = [], 5
        try:
            while i < len(args):
                ids.append(parse(args[i]))
                i += 1
        except BadId:
            pass
        options = self._claim_options(args[i:])
        claimed = {}
        nobody = not any(self.ids_on(part, ids) for part in self.parts(key))
        for part in parts:
            mine = [ZERO] if nobody and part.anchor else self.ids_on(part, ids)
            there = dict(options)
            if "last" in options:
                there["last"] = self.behind(part, options["last"])
            if mine:
                for entry in part.stream.claim(part.group(name), consumer, min_idle, mine, there, self.now):
                    shown = part.shown(entry)
                    claimed.setdefault(shown, []).append(show(shown) if "justid" in options else part.entry(entry))
        return [claimed[shown].pop(0) for shown in ids if claimed.get(shown)]

    def _claim_options(self, words):
        options, words = {}, list(words)
        while words:
            original = words.pop(0)
            word = original.lower()
            if word in (b"force", b"justid"):
                options[word.decode()] = True
            elif word in (b"idle", b"time", b"retrycount") and words:
                value = integer(words.pop(0), Error(b"ERR Invalid %s option argument for XCLAIM" % word.upper()))
                if word == b"retrycount":
                    options["retries"] = value
                else:
                    options["since"] = (value, value) if word == b"time" else add(self.now, -value)
            elif word == b"lastid" and words:
                options["last"] = parse(words.pop(0))
            else:
                raise Refused(Error(b"ERR Unrecognized XCLAIM option '%s'" % original))
        return options

    def do_xautoclaim(self, args, _):
        key, name, consumer = args[1:4]
        min_idle = max(0, integer(args[4], Error(b"ERR Invalid min-idle-time argument for XAUTOCLAIM")))
        first_of(args[5])
        exclusive = len(args[5]) > 1 and args[5][:1] == b"("
        start = parse(args[5][1:]) if exclusive else parse(args[5], strict=False)
        count, justid, words = 100, False, list(args[6:])
        while words:
            word = words.pop(0).lower()
            if word == b"justid":
                justid = True
            elif word == b"count" and words:
                too_small = Error(b"ERR COUNT must be > 0")
                count = integer(words.pop(0))
                if not 1 <= count <= (2**63 - 1) // 16:
                    raise Refused(too_small)
            else:
                raise Refused(SYNTAX)
        self._parts_with(key, name)
        slot = 0 if key in self.pinned else slot_of(start)
        left, cursor, claimed, gone = count, None, [], []
        for part in sorted(self.parts(key), key=lambda part: part.slot):
            if part.slot < slot:
                continue
            if not left:
                cursor = cursor or (0, part.slot * SLOT_STEP)
                break
            if not part.group(name):
                continue
            first = start if key in self.pinned else raw_of(start) if part.slot == slot else ZERO
            if exclusive and part.slot == slot:
                first = following(first)
            more, mine, lost = part.stream.claim_idle(part.group(name), consumer, min_idle, first, left, justid, self.now)
            claimed += [show(part.shown(entry)) if justid else part.entry(entry) for entry in mine]
            gone += [show(part.shown(entry)) for entry in lost]
            left -= len(mine) + len(lost)
            if more != ZERO and cursor is None:
                cursor = part.shown(more)
        return [show(cursor or ZERO), claimed, gone]

    # --- XINFO ---------------------------------------------------------------------------------------------------------

    def do_xinfo(self, args, received):
        parts = self.parts(args[2])
        if not any(part.stream for part in parts):
            raise Refused(NO_KEY)
        return getattr(self, "_info_" + args[1].decode().lower())(args[2], parts, args[3:], received)

    def _shown_position(self, part, entry):
        return entry if part.key in self.pinned else position_of(entry, part.slot)

    def _info_stream(self, key, parts, rest, received):
        here = [part for part in parts if part.stream]
        streams = [part.stream for part in here]
        full, count = bool(rest), 10
        if len(rest) == 3:
            count = integer(rest[2])
            count = 10 if count < 0 else count
        firsts = [shown for part in here if (shown := self._shown_position(part, part.stream.first)) != ZERO]
        blocks = sum(len(stream.blocks) for stream in streams)
        reply = Map([
            b"length", sum(len(stream.ids) for stream in streams),
            b"radix-tree-keys", blocks,
            # Each tree has a root; more cannot be said without building the trees.
            b"radix-tree-nodes", Near((len(streams), len(streams) + 20 * blocks)),
            b"last-generated-id", show(max(self._shown_position(part, part.stream.last) for part in here)),
            b"max-deleted-entry-id", show(max(self._shown_position(part, part.stream.deleted) for part in here)),
            b"entries-added", sum(stream.added for stream in streams),
            b"recorded-first-entry-id", show(min(firsts, default=ZERO))])
        entries = [[show(shown), fields] for shown, fields in self.entries(here)]
        if not full:
            first, last = (entries[0], entries[-1]) if entries else (NIL, NIL)
            return Map(reply + [b"groups", len(self.known(parts)), b"first-entry", first, b"last-entry", last])
        groups = [self._full_group(here, name, count) for name in self.known(parts)]
        return Map(reply + [b"entries", entries[:count or None], b"groups", groups])

    def _progress(self, parts, name):
        """last-delivered-id, entries-read and lag of a group over all buses. A part that will yet be made counts as at the beginning."""
        ids, reads, lags = [], [], []
        for part in parts:
            group = part.group(name)
            if not group:
                if part.stream and not part.draining:
                    ids.append(ZERO)
                    reads.append(part.stream.added - len(part.stream.ids))
                    lags.append(len(part.stream.ids))
                continue
            ids.append(self._shown_position(part, group.last))
            reads.append(group.read)
            lags.append(part.stream.lag(group))
        open_ids = [entry for entry, lag in zip(ids, lags) if lag != 0]
        return (show(min(open_ids) if open_ids else max(ids)),
                NIL if None in reads else sum(reads), NIL if None in lags else sum(lags))

    def _consumers(self, parts, name):
        return sorted({consumer for part in parts for consumer in part.group(name).consumers})

    def _full_group(self, here, name, count):
        parts = [part for part in here if part.group(name)]
        last, read, lag = self._progress(here, name)
        pending = self._pending(parts, name)
        consumers = []
        for consumer in self._consumers(parts, name):
            seen = [part.group(name).consumers[consumer] for part in parts if consumer in part.group(name).consumers]
            own = self._pending(parts, name, consumer)
            consumers.append(Map([
                b"name", consumer,
                b"seen-time", Near(map(max, zip(*seen))),
                b"pel-count", len(own),
                b"pending", [[show(shown), Near(one.since), one.deliveries] for shown, one in own[:count or None]]]))
        return Map([
            b"name", name, b"last-delivered-id", last, b"entries-read", read, b"lag", lag, b"pel-count", len(pending),
            b"pending", [[show(shown), one.consumer, Near(one.since), one.deliveries]
                         for shown, one in pending[:count or None]],
            b"consumers", consumers])

    def _info_groups(self, key, parts, *_):
        reply = []
        for name in self.known(parts):
            having = [part for part in parts if part.group(name)]
            last, read, lag = self._progress(parts, name)
            reply.append(Map([b"name", name, b"consumers", len(self._consumers(having, name)),
                              b"pending", len(self._pending(having, name)), b"last-delivered-id", last,
                              b"entries-read", read, b"lag", lag]))
        return reply

    def _info_consumers(self, key, parts, rest, _):
        having = self._parts_with(key, rest[0], no_group_for_key)
        reply = []
        for consumer in self._consumers(having, rest[0]):
            idle = [idle_time(self.now, part.group(rest[0]).consumers[consumer])
                    for part in having if consumer in part.group(rest[0]).consumers]
            reply.append(Map([b"name", consumer, b"pending", len(self._pending(having, rest[0], consumer)),
                              b"idle", Near(map(min, zip(*idle)))]))
        return reply
