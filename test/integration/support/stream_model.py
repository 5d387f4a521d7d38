"""The view that clients should have of logical streams: every reply predicted from what the buses should hold.

The model is told each command in the order of execution, between which two moments it ran, and what was answered. From the
answer it takes what nobody can know in advance, after checking that it may be: IDs made by the clock, and with which of the
active buses a read with COUNT began.
"""
from support.redis_stream import Stream, TooSmall
from support.stream_ids import ZERO, BadId, BadInterval, first_of, following, from_on, last_of, parse, raw_of, show, shown_of, slot_of
from support.stream_model_groups import GroupCommands
from support.stream_model_info import InfoCommands
from support.stream_refusals import Refused, integer
from support.stream_replies import BAD_ID, NIL, NIL_ARRAY, OK, SYNTAX, WRONGTYPE, Error, ErrorStarting, Status, Streams

TEXT = "text"  # stands for a key that is no stream
HOLD_MAX = 100  # milliseconds for which a read waits at most until no smaller IDs can come


class Bus:
    def __init__(self, name, slot, draining=False, anchor=False, default=False):
        self.name, self.slot, self.draining, self.anchor, self.default = name, slot, draining, anchor, default
        self.data = {}


class Part:
    """The part of a stream that is on one bus."""

    def __init__(self, bus, key, pinned):
        self.bus, self.key = bus, key
        self.slot = 0 if pinned else bus.slot
        self.anchor = pinned or bus.anchor
        self.draining = bus.draining and not pinned
        self.stream = bus.data.get(key)

    def make(self):
        self.stream = self.bus.data[self.key] = Stream()

    def group(self, name):
        return self.stream.groups.get(name) if self.stream and self.stream != TEXT else None

    def shown(self, entry):
        return shown_of(entry, self.slot)

    def entry(self, entry):
        return [show(self.shown(entry)), self.stream.entries[entry]]


class AllOn:
    """Says of every key that it is pinned to the same bus."""

    def __init__(self, name):
        self._name = name

    def __contains__(self, _):
        return True

    def __getitem__(self, _):
        return self._name


class Model(GroupCommands, InfoCommands):
    """`bare`: the one bus without a daemon before it, which checks every key of a read before it reads any."""

    def __init__(self, buses, route=None, pinned=(), bare=False):
        """`route`: from the fields of a message to the name of its bus; `pinned`: from keys to names of buses."""
        self.buses = buses
        self.route = route
        self.pinned = AllOn(buses[0].name) if bare else pinned
        self.bare = bare
        self.now = (0, 0)

    def directly(self, name):
        """The model of what a client of one bus sees; it shares the bus with this one."""
        return Model([self.bus(name)], bare=True)

    def expect(self, args, now, received):
        """The reply to one command; `received` is what was answered, parsed."""
        self.now = now
        name = args[0].decode().upper()
        try:
            return getattr(self, "do_" + name.lower())(args, received)
        except Refused as refused:
            return refused.reply
        except BadId:
            return BAD_ID
        except BadInterval as bad:
            return Error(b"ERR invalid %s ID for the interval" % bad.args[0].encode())

    # --- parts ---------------------------------------------------------------------------------------------------------

    def bus(self, name):
        return next(bus for bus in self.buses if bus.name == name)

    def parts(self, key, checked=True):
        """The parts of a logical stream on all buses, or the one of a pinned stream."""
        if key in self.pinned:
            parts = [Part(self.bus(self.pinned[key]), key, True)]
        else:
            parts = [Part(bus, key, False) for bus in self.buses]
        if checked and any(part.stream == TEXT for part in parts):
            raise Refused(WRONGTYPE)
        return parts

    def known_groups(self, key):
        """The names of the groups that clients see."""
        return self.known([part for part in self.parts(key, checked=False) if part.stream != TEXT])

    @staticmethod
    def entries(parts):
        """(client's ID, fields) of all entries, ascending."""
        return sorted((part.shown(entry), fields) for part in parts if part.stream
                      for entry, fields in part.stream.entries.items())

    # --- adding and removing entries -----------------------------------------------------------------------------------

    def _add_or_trim(self, args, adding):
        """The options of XADD and XTRIM, and where they end."""
        options, i = {}, 2
        while i < len(args):
            word, more = args[i].lower(), len(args) - 1 - i
            if adding and word == b"*":
                break
            if word in (b"maxlen", b"minid") and more:
                if "maxlen" in options or "minid" in options:
                    raise Refused(Error(b"ERR syntax error, MAXLEN and MINID options at the same time are not compatible"))
                if more >= 2 and args[i + 1] in (b"~", b"="):
                    i += 1
                    options["approximate"] = args[i] == b"~"
                if word == b"maxlen":
                    options["maxlen"] = integer(args[i + 1])
                    if options["maxlen"] < 0:
                        raise Refused(Error(b"ERR The MAXLEN argument must be >= 0."))
                else:
                    options["minid"] = parse(args[i + 1])
                i += 2
            elif word == b"limit" and more:
                options["limit"] = integer(args[i + 1])
                if options["limit"] < 0:
                    raise Refused(Error(b"ERR The LIMIT argument must be >= 0."))
                i += 2
            elif adding and word == b"nomkstream":
                options["careful"] = True
                i += 1
            elif adding:
                if not args[i].endswith(b"-*"):
                    parse(args[i])
                break
            else:
                raise Refused(SYNTAX)
        trims = "maxlen" in options or "minid" in options
        if options.get("limit") and not trims:
            raise Refused(Error(b"ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"))
        if not adding and not trims:
            raise Refused(Error(b"ERR syntax error, XTRIM must be called with a trimming strategy"))
        if "limit" in options and not options.get("approximate"):
            raise Refused(Error(b"ERR syntax error, LIMIT cannot be used without the special ~ option"))
        return options, i

    def _trim(self, part, options):
        if not part.stream or not ("maxlen" in options or "minid" in options):
            return 0
        minid = options.get("minid")
        if minid is not None and part.key not in self.pinned:
            minid = from_on(minid, part.slot)
        return part.stream.trim(options.get("maxlen"), minid, options.get("approximate", False), options.get("limit"))

    def do_xadd(self, args, received):
        options, i = self._add_or_trim(args, True)
        fields = list(args[i + 1:])
        if len(fields) < 2 or len(fields) % 2:
            raise Refused(Error(b"ERR wrong number of arguments for 'xadd' command"))
        parts = self.parts(args[1], checked=False)
        target = self.pinned[args[1]] if args[1] in self.pinned else self.route(fields)
        part = next(part for part in parts if part.bus.name == target)
        asked = None if args[i].endswith(b"*") else parse(args[i])
        too_low = Error(b"ERR The ID specified in XADD must be greater than 0-0")
        if asked is not None:
            if asked == ZERO:
                raise Refused(too_low)
            if args[1] not in self.pinned:
                if slot_of(asked) != part.slot:
                    raise Refused(ErrorStarting(b"ERR dualbus: explicit ID"))
                asked = raw_of(asked)
                if asked == ZERO:
                    raise Refused(too_low)
        if part.stream == TEXT:
            raise Refused(WRONGTYPE)
        if options.get("careful") and not any(other.stream for other in parts):
            return NIL
        if not part.stream:
            part.make()
        if args[i] == b"*":
            asked = self._made_by_clock(part, received)
            if asked is None:
                return b"an ID of these milliseconds, of slot %d" % part.slot
        elif asked is None:
            asked = part.stream.next_id(parse(args[i][:-2])[0])
        try:
            part.stream.append(asked, fields)
        except TooSmall:
            return Error(b"ERR The ID specified in XADD is equal or smaller than the target stream top item")
        self._trim(part, options)
        return show(part.shown(asked))

    def _made_by_clock(self, part, received):
        if not isinstance(received, bytes):
            return None
        shown = parse(received)
        entry, last = (shown if part.slot == 0 else raw_of(shown)), part.stream.last
        if part.slot and slot_of(shown) != part.slot:
            return None
        fresh = self.now[0] <= entry[0] <= self.now[1] and entry[0] > last[0] and entry[1] == 0
        return entry if fresh or (entry == following(last) and last[0] >= self.now[0]) else None

    def do_xtrim(self, args, _):
        options, _ = self._add_or_trim(args, False)
        return sum(self._trim(part, options) for part in self.parts(args[1]))

    def do_xdel(self, args, _):
        ids = [parse(text) for text in args[2:]]
        count = 0
        for part in self.parts(args[1]):
            if part.stream:
                count += part.stream.delete(self.ids_on(part, ids))
        return count

    # --- reading without groups ----------------------------------------------------------------------------------------

    def do_xlen(self, args, _):
        return sum(len(part.stream.ids) for part in self.parts(args[1]) if part.stream)

    def do_xrange(self, args, _):
        return self._range(args[1], args[2], args[3], args[4:], False)

    def do_xrevrange(self, args, _):
        return self._range(args[1], args[3], args[2], args[4:], True)

    def _range(self, key, start, end, options, reverse):
        first, last, count = first_of(start), last_of(end), None
        for word, value in zip(options[::2], options[1::2]):
            if word.lower() != b"count":
                raise Refused(SYNTAX)
            count = max(0, integer(value))
        if len(options) % 2:
            raise Refused(SYNTAX)
        parts = self.parts(key)
        if not any(part.stream for part in parts):
            return []
        if count == 0:
            return NIL_ARRAY
        chosen = [[show(entry), fields] for entry, fields in self.entries(parts) if first <= entry <= last]
        return chosen[::-1][:count] if reverse else chosen[:count]

    def do_xread(self, args, _):
        count, keys, ids = 0, (), ()
        i = 1
        while i < len(args):
            if args[i].lower() == b"count":
                count = max(0, integer(args[i + 1]))
                i += 2
            elif args[i].lower() == b"block":
                i += 2  # nothing changes while it waits
            elif args[i].lower() == b"streams":
                half = (len(args) - i - 1) // 2
                keys, ids = args[i + 1:i + 1 + half], args[i + 1 + half:]
                break
            else:
                raise Refused(SYNTAX)
        behind = []
        for key, text in zip(keys, ids):
            self.parts(key)
            behind.append(None if text == b"$" else parse(text))
        reply = Streams()
        for key, entry in zip(keys, behind):
            if entry is None:
                continue
            parts = self.parts(key)
            found = [(shown, fields) for shown, fields in self.entries(parts) if shown > entry][:count or None]
            if len(parts) > 1 and any(shown[0] > self.now[1] + HOLD_MAX for shown, _ in found):
                # IDs that no clock made are never waited for, and what a clock could still make smaller ones for is held back.
                found = [(shown, fields) for shown, fields in found if shown[0] < self.now[0]]
            if found:
                reply.append([key, [[show(shown), fields] for shown, fields in found]])
        return reply or NIL_ARRAY

    # --- keys ----------------------------------------------------------------------------------------------------------

    def do_set(self, args, _):
        next(bus for bus in self.buses if bus.default).data[args[1]] = TEXT
        return OK

    def do_del(self, args, _):
        count = 0
        for key in args[1:]:
            parts = self.parts(key, checked=False)
            count += any(part.stream for part in parts)
            for part in parts:
                part.bus.data.pop(key, None)
        return count

    def do_exists(self, args, _):
        return sum(any(part.stream for part in self.parts(key, checked=False)) for key in args[1:])

    def do_type(self, args, _):
        streams = [part.stream for part in self.parts(args[1], checked=False) if part.stream]
        if not streams:
            return Status(b"none")
        return Status(b"string" if all(stream == TEXT for stream in streams) else b"stream")
