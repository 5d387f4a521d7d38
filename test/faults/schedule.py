"""The order in which faults come: a deck of all kinds, shuffled by the seed, dealt a few at a time."""
import heapq
import time
import traceback

import faults


class Running:
    def __init__(self, kind, thing, generator, entry):
        self.kind, self.thing, self.generator, self.entry = kind, thing, generator, entry

    def __lt__(self, other):
        return id(self) < id(other)


class Schedule:
    """Deals faults until `seconds` are over; run() then waits until the last of them has ended."""

    def __init__(self, world, chance, kinds, most=3):
        self.world, self.most = world, most
        self._chance, self._kinds, self._deck = chance, sorted(kinds), []
        self._due = []  # (when, Running)

    def run(self, seconds):
        """In the main thread: processes end with the thread that started them."""
        end = time.monotonic() + seconds
        following = time.monotonic() + self._chance.uniform(0.2, 0.8)
        checked = 0.0
        while self._due or time.monotonic() < end:
            now = time.monotonic()
            if following <= now < end and self._kinds:
                if len(self._due) < self.most:
                    self._deal()
                following = now + self._chance.uniform(0.05, 0.9)
            while self._due and self._due[0][0] <= time.monotonic():
                self._resume(heapq.heappop(self._due)[1])
            if now - checked > 0.5:
                checked = now
                self.world.check_processes()
            soonest = min([following if now < end else now + 1] + [when for when, _ in self._due[:1]])
            time.sleep(max(0.001, min(0.2, soonest - time.monotonic())))

    def _deal(self):
        """The next card whose fault finds something that is free; the others go back under the deck."""
        if not self._deck:
            self._deck = self._chance.sample(self._kinds, len(self._kinds))
        for index, kind in enumerate(self._deck):
            at, function = faults.KINDS[kind]
            things = faults.things_at(self.world, at)
            self._chance.shuffle(things)
            taken = [running.thing for _, running in self._due]
            for thing, daemon, bus in things:
                if thing is None or thing not in taken:
                    del self._deck[index]
                    self._begin(kind, function, thing, daemon, bus)
                    return

    def _begin(self, kind, function, thing, daemon, bus):
        # Each has random numbers of its own: what one does must not depend on when another is resumed.
        chance = type(self._chance)(self._chance.random())
        entry = self.world.ledger.begin(kind, daemon, bus)
        if self.world.options.verbose:
            print(f"  {time.monotonic() - self.world.started:7.2f} s  {entry}", flush=True)
        self._resume(Running(kind, thing, function(self.world, chance, thing), entry))

    def _resume(self, running):
        try:
            pause = next(running.generator)
            heapq.heappush(self._due, (time.monotonic() + pause, running))
            return
        except StopIteration:
            pass
        except Exception:  # pylint: disable=broad-except
            self.world.findings.add("test", f"the fault {running.kind} itself failed\n{traceback.format_exc()}")
        self.world.ledger.end(running.entry)
