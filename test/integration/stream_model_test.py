"""Random commands on logical streams, through a daemon to real servers, each reply compared with a model of the merged stream.

DUALBUS_MODEL_COMMANDS: how many in all (100000); DUALBUS_MODEL_SEED: the seed of a run that is to be repeated.
"""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA
from support.stream_world import OLD_BUS, THIRD, Run, World, commands_wanted, seeded


class ModelTest(unittest.TestCase):
    def compare(self, slots, share, absorb="off", past_the_daemon=("entries", "groups"), **options):
        chance, seed = seeded(self)
        world = World(slots, changes={"absorb": absorb}, **options)
        try:
            run = Run(world, chance, f"seed {seed}", past_the_daemon)
            try:
                run.go(commands_wanted(share))
            finally:
                run.close()
            world.check(self)
            return world.daemon.metrics()
        finally:
            world.end()

    def test_I2_two_buses_answer_as_one_merged_stream(self):
        self.compare({MARKETDATA: 1, ENGINE_LOGIC: 2}, 0.3)

    def test_I2_two_buses_and_one_being_left_answer_as_one_merged_stream(self):
        self.compare({OLD_BUS: 0, MARKETDATA: 1, ENGINE_LOGIC: 2}, 0.3)

    def test_I2_three_buses_with_slots_far_apart_answer_as_one_merged_stream(self):
        self.compare({THIRD: 127, MARKETDATA: 0, ENGINE_LOGIC: 5}, 0.1, anchor=MARKETDATA)

    def test_I15_polls_answered_from_memory_are_those_of_one_merged_stream(self):
        metrics = self.compare({OLD_BUS: 0, MARKETDATA: 1, ENGINE_LOGIC: 2}, 0.2, absorb="relaxed", past_the_daemon=())
        for reason in ("empty", "no_group"):
            self.assertGreater(metrics.value("dualbus_polls_absorbed_total", reason=reason), 0, reason)

    def test_I15_polls_answered_strictly_from_memory_know_of_entries_that_others_added(self):
        metrics = self.compare({MARKETDATA: 1, ENGINE_LOGIC: 2}, 0.1, absorb="strict", past_the_daemon=("entries",))
        for reason in ("empty", "no_group"):
            self.assertGreater(metrics.value("dualbus_polls_absorbed_total", reason=reason), 0, reason)


if __name__ == "__main__":
    unittest.main()
