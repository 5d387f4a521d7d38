"""The findings: what must not be. Each is printed when it is found, with the seed, the time, and the faults around it."""
import sys
import threading
import time

SHOWN_OF_A_KIND = 6


class Findings:
    def __init__(self, world):
        self._world = world
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self.list = []
        self.counts = {}
        self.reports = set()

    def add(self, kind, text, daemon=None, since=None, until=None):
        """`since` and `until`: the time of the request that it is about."""
        now = time.monotonic()
        around = self._world.ledger.around(since or now, until or now, daemon)
        options = self._world.options
        with self._lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if self.counts[kind] > SHOWN_OF_A_KIND:
                self.list.append((kind, ""))
                return
            where = f"seed {options.seed} round {self._world.round}, {(since or now) - self._start:.1f} s"
            if until:
                where += f" to {until - self._start:.1f} s"
            line = f"FINDING {kind} ({where}): {text}\n        faults then: {around or 'none'}"
            self.list.append((kind, line))
            print(line, file=sys.stderr, flush=True)
