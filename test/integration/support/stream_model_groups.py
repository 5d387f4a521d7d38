"""The reference model's groups: XGROUP, XREADGROUP, XACK."""
from support.redis_stream import Group
from support.stream_ids import LAST, SLOT_STEP, ZERO, after, parse, raw_of, show, slot_of
from support.stream_refusals import NO_KEY_FOR_GROUP, Refused, integer, no_group_for_key, no_group_to_read
from support.stream_replies import NIL_ARRAY, OK, SYNTAX, Error, Streams


class GroupCommands:
    """Mixed into the model, which has `parts`, `pinned` and `now`."""

    @staticmethod
    def exists(parts, name):
        """The anchor decides, and a draining bus, whose groups are on their way to the others."""
        return any(part.group(name) for part in parts if part.anchor or part.draining)

    @staticmethod
    def known(parts):
        """The names of all groups that exist."""
        return sorted({name for part in parts if part.stream and (part.anchor or part.draining) for name in part.stream.groups})

    def behind(self, part, shown):
        """The bus's own ID behind which are its entries behind a client's ID."""
        return shown if part.key in self.pinned else after(shown, part.slot)

    @staticmethod
    def heal(part, name):
        """A group that exists elsewhere comes into being on an active bus, at the beginning."""
        if part.draining or part.group(name):
            return
        if not part.stream:
            part.make()
        part.stream.groups[name] = Group(ZERO)

    # --- XGROUP --------------------------------------------------------------------------------------------------------

    def do_xgroup(self, args, _):
        return getattr(self, "_group_" + args[1].decode().lower())(args[2], args[3], args[4:])

    def _group_position(self, part, text, shown):
        if text == b"$":
            return part.stream.last if part.stream else ZERO
        return self.behind(part, shown)

    def _group_create(self, key, name, rest):
        make = False
        words = [word.lower() for word in rest[1:]]
        while words:
            word = words.pop(0)
            if word == b"mkstream":
                make = True
            elif word == b"entriesread" and words:
                if integer(words.pop(0)) < -1:
                    raise Refused(Error(b"ERR value for ENTRIESREAD must be positive or -1"))
            else:
                raise Refused(SYNTAX)
        parts = self.parts(key)
        if not make and not any(part.stream for part in parts):
            raise Refused(NO_KEY_FOR_GROUP)
        shown = None if rest[0] == b"$" else parse(rest[0])
        busy = Error(b"BUSYGROUP Consumer Group name already exists")
        if any(part.draining and part.group(name) for part in parts):
            for part in parts:
                self.heal(part, name)
            return busy
        reply = None
        for part in parts:
            if part.anchor:
                reply = busy if part.group(name) else OK
        for part in parts:
            if part.group(name) or (part.draining and (not part.stream or reply is not OK)):
                continue
            if not part.stream:
                part.make()
            part.stream.groups[name] = Group(self._group_position(part, rest[0], shown))
        return reply

    def _existing(self, key, name):
        parts = self.parts(key)
        if not any(part.stream for part in parts):
            raise Refused(NO_KEY_FOR_GROUP)
        if not self.exists(parts, name):
            raise Refused(no_group_for_key(key, name))
        return parts

    def _group_setid(self, key, name, rest):
        parts = self._existing(key, name)
        shown = None if rest[0] == b"$" else parse(rest[0], strict=False)
        for part in parts:
            self.heal(part, name)
            if group := part.group(name):
                group.last, group.read = self._group_position(part, rest[0], shown), None
        return OK

    def _group_destroy(self, key, name, _):
        parts = self.parts(key)
        if not any(part.stream for part in parts):
            raise Refused(NO_KEY_FOR_GROUP)
        found = [part.stream.groups.pop(name) for part in parts if part.group(name)]
        return int(bool(found))

    def _group_createconsumer(self, key, name, rest):
        created = []
        for part in self._existing(key, name):
            self.heal(part, name)
            if group := part.group(name):
                created.append(rest[0] not in group.consumers)
                group.consumers.setdefault(rest[0], self.now)
        return int(all(created))

    def _group_delconsumer(self, key, name, rest):
        count = 0
        for part in self._existing(key, name):
            if group := part.group(name):
                ids = group.pending_ids(rest[0])
                for entry in ids:
                    del group.pending[entry]
                group.consumers.pop(rest[0], None)
                count += len(ids)
        return count

    # --- XACK ----------------------------------------------------------------------------------------------------------

    def do_xack(self, args, _):
        ids = [parse(text) for text in args[3:]]
        count = 0
        for part in self.parts(args[1]):
            if group := part.group(args[2]):
                count += sum(group.pending.pop(entry, None) is not None for entry in self.ids_on(part, ids))
        return count

    def ids_on(self, part, ids):
        """Of clients' IDs those of one bus, as that bus has them."""
        if part.key in self.pinned:
            return ids
        return [raw_of(shown) for shown in ids if slot_of(shown) == part.slot]

    # --- XREADGROUP ----------------------------------------------------------------------------------------------------

    def do_xreadgroup(self, args, received):
        count, acknowledged, name, consumer, keys, ids = 0, False, None, None, (), ()
        i = 1
        while i < len(args):
            word = args[i].lower()
            if word == b"count":
                count = max(0, integer(args[i + 1]))
                i += 2
            elif word == b"block":
                i += 2  # nothing changes while it waits
            elif word == b"noack":
                acknowledged = True
                i += 1
            elif word == b"group":
                name, consumer = args[i + 1:i + 3]
                i += 3
            elif word == b"streams":
                half = (len(args) - i - 1) // 2
                keys, ids = args[i + 1:i + 1 + half], args[i + 1 + half:]
                break
            else:
                raise Refused(SYNTAX)
        behind = [LAST if text == b">" else parse(text) for text in ids]
        if self.bare and not all(self.exists(self.parts(key), name) for key in keys):
            raise Refused(next(no_group_to_read(key, name) for key in keys if not self.exists(self.parts(key), name)))
        reply, refusals = Streams(), []
        for key, entry in zip(keys, behind):
            try:
                parts = self.parts(key)
                if not self.exists(parts, name):
                    raise Refused(no_group_to_read(key, name))
                if entry == LAST:
                    entries = self._deliver(parts, name, consumer, count, acknowledged, self._per_slot(received, key))
                    if entries:
                        reply.append([key, entries])
                else:
                    reply.append([key, self._history(parts, name, consumer, count, entry)])
            except Refused as refused:
                refusals.append(refused)
        if refusals and not any(entries for _, entries in reply):
            raise refusals[0]
        return reply or NIL_ARRAY

    @staticmethod
    def _per_slot(received, key):
        """The number of entries of each slot that were answered for a key."""
        counts = {}
        pairs = received.items() if isinstance(received, dict) else received if isinstance(received, list) else ()
        for name, entries in pairs:
            for entry in entries if name == key else ():
                slot = int(entry[0].partition(b"-")[2]) // SLOT_STEP
                counts[slot] = counts.get(slot, 0) + 1
        return counts

    def _deliver(self, parts, name, consumer, count, acknowledged, received):
        """Draining buses first, then the active ones from anyone on; only the answer tells from which."""
        draining = [part for part in parts if part.draining]
        active = [part for part in parts if not part.draining]
        orders = [draining + active[start:] + active[:start] for start in range(len(active))]
        shares = [self._shares(order, name, count) for order in orders]
        fitting = [share for share in shares if {part.slot: size for part, size in share if size} == received]
        entries = []
        for part, size in (fitting or shares)[0]:
            self.heal(part, name)
            if size:
                stream, group = part.stream, part.group(name)
                entries += [(part.shown(entry), stream.entries[entry])
                            for entry in stream.deliver(group, consumer, size, acknowledged, self.now)]
        return [[show(shown), fields] for shown, fields in sorted(entries)]

    @staticmethod
    def _shares(order, name, count):
        """(part, how many entries it gives) of all parts that are asked."""
        shares, missing = [], count
        for part in order:
            if count and not missing:
                break
            group = part.group(name)
            size = 0
            if part.stream and (group or not part.draining):
                size = len(part.stream.after(group.last if group else ZERO))
            size = min(size, missing) if count else size
            missing -= size
            shares.append((part, size))
        return shares

    def _history(self, parts, name, consumer, count, shown):
        having = [part for part in parts if part.group(name)]
        if count:
            candidates = sorted((part.shown(entry), part) for part in having for entry in part.group(name).pending_ids(consumer)
                                if part.shown(entry) > shown)[:count]
            asked = [(part, sum(one[1] is part for one in candidates)) for part in having]
            asked = [(part, size) for part, size in asked if size] or [(part, count) for part in having if part.anchor]
        else:
            asked = [(part, 0) for part in having]
        entries = []
        for part, size in asked:
            stream = part.stream
            for entry in stream.history(part.group(name), consumer, self.behind(part, shown), size, self.now):
                entries.append((part.shown(entry), stream.entries.get(entry, NIL_ARRAY)))
        return [[show(entry), fields] for entry, fields in sorted(entries, key=lambda one: one[0])]
