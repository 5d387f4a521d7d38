"""Random commands on logical streams, through a daemon to real servers, each reply compared with a model of the merged stream.

DUALBUS_MODEL_COMMANDS: how many in all (100000); DUALBUS_MODEL_SEED: the seed of a run that is to be repeated.
"""
import unittest

from harness import ENGINE_LOGIC, MARKETDATA
from stream_world import OLD_BUS, THIRD, Run, World, commands_wanted, seeded


class ModelTest(unittest.TestCase):
    def compare(self, slots, share, **options):
        chance, seed = seeded(self)
        world = World(slots, **options)
        try:
            run = Run(world, chance, f"seed {seed}")
            try:
                run.go(commands_wanted(share))
            finally:
                run.close()
            world.check(self)
        finally:
            world.end()

    def test_I2_two_buses_answer_as_one_merged_stream(self):
        self.compare({MARKETDATA: 1, ENGINE_LOGIC: 2}, 0.4)

    def test_I2_two_buses_and_one_being_left_answer_as_one_merged_stream(self):
        self.compare({OLD_BUS: 0, MARKETDATA: 1, ENGINE_LOGIC: 2}, 0.4)

    def test_I2_three_buses_with_slots_far_apart_answer_as_one_merged_stream(self):
        self.compare({THIRD: 127, MARKETDATA: 0, ENGINE_LOGIC: 5}, 0.2, anchor=MARKETDATA)


if __name__ == "__main__":
    unittest.main()
