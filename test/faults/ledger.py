"""The faults that were, with their times: what explains an error, and when a reply cannot be believed."""
import bisect
import re
import threading
import time

# The time after a fault in which its traces may show: a bus is found again within backend.backoff_max and a handshake.
RECOVERY = 2.5
# A machine that had no time for so many seconds within a request, or just before it, had none for buses either.
MOST_STALLED = 0.4
# The time after one left-out or added reply in which wrong ones may follow.
LIE_LASTS = 1.5

CONNECTION = ("kill", "stop", "partition", "cut", "reset", "maxclients", "clientkill", "lie", "garbage", "rotate", "freeze", "slay", "leave", "delay",
              "pause")
SLOW = ("kill", "stop", "partition", "pause", "delay", "trickle", "freeze", "lie", "garbage")
# error code -> the kinds of faults that explain it
EXPLAINS = {
    "BUSDOWN": CONNECTION,
    "BUSLOST": CONNECTION,
    "BUSTIMEOUT": SLOW,
    "LOADING": ("kill", ),
    "READONLY": ("readonly", ),
    "MASTERDOWN": ("readonly", ),
    "UNBLOCKED": ("readonly", ),
    "MISCONF": ("misconf", ),
    "NOREPLICAS": ("noreplicas", ),
    "OOM": ("oom", ),
    "NOPERM": ("noperm", ),
    "NOAUTH": ("rotate", ),
    "WRONGPASS": ("rotate", ),
}
NAMED = re.compile(r"bus '(\w+)'")


class Entry:
    """One fault. `daemon` and `bus` are None if it concerns all of them."""

    def __init__(self, kind, daemon, bus):
        self.kind, self.daemon, self.bus = kind, daemon, bus
        self.begin, self.end = time.monotonic(), None

    def touches(self, daemon, bus):
        return (self.daemon is None or daemon is None or self.daemon == daemon) and (self.bus is None or bus is None or self.bus == bus)

    def within(self, since, until):
        return self.begin <= until and (self.end is None or self.end >= since)

    def __str__(self):
        where = " ".join(str(part) for part in (self.daemon if self.daemon is None else f"dualbusd-{self.daemon}", self.bus) if part is not None)
        return f"{self.kind}({where})"


class Stalls:
    """The times at which the machine had no time for this process, which is not the daemon's fault."""

    def __init__(self):
        self._lock = threading.Lock()
        self._stalls = []
        self.longest = 0.0
        threading.Thread(target=self._feel, daemon=True).start()

    def _feel(self):
        last = time.monotonic()
        while True:
            time.sleep(0.02)
            now = time.monotonic()
            if now - last > 0.15:
                self.add(last, now)
            last = now

    def add(self, begin, end):
        with self._lock:
            bisect.insort(self._stalls, (begin, end))
            self.longest = max(self.longest, end - begin)

    def within(self, since, until):
        """Seconds that were lost."""
        with self._lock:
            first = max(0, bisect.bisect_left(self._stalls, (since, since)) - 3)
            return sum(max(0.0, min(until, b) - max(since, a)) for a, b in self._stalls[first:])


class Ledger:
    """All faults of a round."""

    def __init__(self, options):
        self.slack = options.slack
        self.stalls = Stalls()
        self._entries = []
        self.kinds = {}

    def begin(self, kind, daemon=None, bus=None):
        entry = Entry(kind, daemon, bus)
        self._entries.append(entry)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        return entry

    @staticmethod
    def end(entry):
        entry.end = time.monotonic()

    def clear(self):
        self._entries = []

    def last_end(self):
        return max((entry.end or time.monotonic() for entry in self._entries), default=time.monotonic())

    def active(self, kinds, daemon=None, bus=None):
        now = time.monotonic()
        return any(entry.kind in kinds and entry.touches(daemon, bus) and entry.within(now, now) for entry in list(self._entries))

    def grace(self, until):
        return RECOVERY + self.slack + 2 * self.stalls.within(until - 10, until)

    def around(self, since, until, daemon=None):
        """For a report: the faults that were on then, or shortly before."""
        return ", ".join(f"{entry} {entry.begin - since:+.1f}…" + ("" if entry.end is None else f"{entry.end - since:+.1f}") + " s"
                         for entry in list(self._entries) if entry.touches(daemon, None) and entry.within(since - 6, until))

    def found(self, kinds, daemon, bus, since, until):
        """True if such a fault was on then, or over so lately that its traces may show."""
        since -= self.grace(until)
        return any(entry.kind in kinds and entry.touches(daemon, bus) and entry.within(since, until) for entry in list(self._entries))

    def explains(self, error, daemon, since, until):
        """True if faults explain that `daemon` gave this error to a request that was under way then."""
        code = error.split(" ", 1)[0]
        if code == "EXECABORT":
            kinds = tuple(kind for kinds in EXPLAINS.values() for kind in kinds)
        else:
            kinds = EXPLAINS.get(code, ())
        if code in ("BUSDOWN", "BUSLOST", "BUSTIMEOUT", "EXECABORT") and self.stalls.within(since - 2, until) > MOST_STALLED:
            return True
        named = NAMED.search(error)
        return self.found(kinds, daemon, named.group(1) if named else None, since, until)

    def every_bus_disturbed(self, buses, daemon, since, until):
        if self.stalls.within(since - 2, until) > MOST_STALLED:
            return True
        kinds = tuple(kind for kinds in EXPLAINS.values() for kind in kinds)
        return all(self.found(kinds, daemon, bus, since, until) for bus in buses)

    def doubtful(self, daemon, since, until):
        """True if a bus may have lied to this daemon so lately that the reply proves nothing."""
        return any(entry.kind == "lie" and entry.touches(daemon, None) and entry.within(since - LIE_LASTS - self.slack / 2, until)
                   for entry in list(self._entries))

    def frozen(self, daemon, since, until):
        """Seconds in which the daemon was stopped."""
        return sum(max(0.0, min(until, entry.end or until) - max(since, entry.begin)) for entry in list(self._entries)
                   if entry.kind == "freeze" and entry.daemon == daemon)
