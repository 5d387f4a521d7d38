"""Queues of BullMQ: scripts, streams of events and blocking calls, on the default bus and where a rule puts them."""
import unittest

from support.client_programs import ClientTest


class BullTest(ClientTest):
    def work_off(self, prefix, there, elsewhere):
        seen = self.run_node("bullmq.mjs", self.daemon.port, prefix)
        self.assertEqual(seen, {
            "results": list(range(0, 40, 2)), "delayed": 42, "retried": [2, 2], "failed": ["wanted", 2], "parent": 12, "schedulerGone": True,
            "removed": 1, "waiting": 3, "order": ["priority-1", "priority-2", "priority-3"],
            "counts": {"failed": 1, "active": 0, "wait": 0, "completed": True}, "progress": 50, "cleaned": 1, "left": 0})
        self.assertGreater(len(self.client(there).keys(prefix + ":children:*")), 0)
        self.assertEqual(self.client(elsewhere).dbsize(), 0)
        self.assert_nothing_refused()

    def test_without_a_rule_all_of_it_is_on_the_default_bus(self):
        self.work_off("bull", self.stack.engine_logic, self.stack.marketdata)

    def test_with_a_rule_all_of_it_is_on_that_bus(self):
        self.work_off("md:bull", self.stack.marketdata, self.stack.engine_logic)


if __name__ == "__main__":
    unittest.main()
