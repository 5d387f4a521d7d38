"""A stack with a third bus that is being left behind."""
import json

from support.harness import MARKETDATA, Daemon, Redis, StackTest, make_config, wait_for

MAIN = "main"
QUIET = 0.3  # seconds
DRAINING = {"interval": "100ms", "quiet": f"{QUIET * 1000:.0f}ms", "ignore_groups": [{"key": "s*", "group": "abandoned"}, {"key": "*", "group": "test-*"}]}


class DrainingStackTest(StackTest):
    """A third bus: slot 0, draining. The anchor is engine_logic."""

    keys = [{"match": "legacy:*", "bus": MAIN}, {"match": "md:*", "bus": MARKETDATA}]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.main: Redis = cls.stack.add_redis(MAIN)
        cls.wanted = make_config({name: bus.endpoint for name, bus in cls.stack.buses.items()},
                                 {"buses": {MAIN: {"id_slot": 0, "endpoint": cls.main.endpoint, "state": "draining"}},
                                  "routing": {"keys": cls.keys}, "draining": DRAINING})
        cls.stack.daemon.terminate()
        cls.stack.daemon = cls.daemon = Daemon(cls.stack.directory, cls.wanted, name="draining").start()

    def setUp(self):
        self.old = self.client(self.main)
        # First here: a group that the draining bus still has would be made again on the others.
        self.old.flushall()
        self.assertEqual(self.wait_drained()["streams"]["total"], 0)
        super().setUp()

    def bus(self):
        """The draining bus on the page."""
        status, text = self.daemon.fetch("/drain")
        self.assertEqual(status, 200)
        (bus,) = json.loads(text)["buses"]
        self.assertEqual(bus["bus"], MAIN)
        return bus

    def checked(self, times=2):
        """The bus after that many more checks."""
        before = self.bus()["checks"]
        return wait_for(lambda: (bus := self.bus())["checks"] >= before + times and bus, f"{times} more checks")

    def group(self, name="g", key="s"):
        """The row of a group that holds the bus back, or None."""
        rows = [row for row in self.bus()["held_by"]["listed"] if (row["stream"], row["group"]) == (key, name)]
        self.assertLessEqual(len(rows), 1)
        return rows[0] if rows else None

    def wait_drained(self):
        """Until a check that began after the call finds it drained."""
        before = self.bus()["checks"]
        return wait_for(lambda: (bus := self.bus())["drained"] and bus["checks"] >= before + 2 and bus, "it is drained")

    def settle(self):
        """Until nothing but groups can hold the bus back: the streams there are quiet."""
        def quiet():
            bus = self.bus()
            return bus["streams"]["total"] > 0 and all(row["group"] for row in bus["held_by"]["listed"])
        wait_for(quiet, "the streams are quiet")

    def metric(self, name, metrics=None):
        """The value of a gauge of the draining bus; None if it is absent."""
        found = (metrics or self.daemon.metrics()).matching(name, bus=MAIN)
        return found[0][1] if found else None
