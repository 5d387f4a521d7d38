"""Celery with the daemon as broker and as store of results: a worker and a caller, each a process of its own."""
import json
import os
import unittest

from support.client_programs import CLIENTS, PYTHON, ClientTest
from support.harness import ENGINE_LOGIC, wait_for


class CeleryTest(ClientTest):
    def test_tasks_are_delivered_done_and_answered(self):
        environment = {**os.environ, "BROKER": f"redis://127.0.0.1:{self.daemon.port}/0", "PYTHONPATH": CLIENTS}
        worker = self.start_program("celery-worker", [*PYTHON, "-m", "celery", "--app", "celery_jobs", "worker", "--concurrency", "2",
                                                      "--hostname", "tester@here", "--loglevel", "INFO"], env=environment)
        wait_for(lambda: "ready." in worker.log(), f"the worker is ready\n{worker.log()}")
        seen = json.loads(self.run_program([*PYTHON, os.path.join(CLIENTS, "celery_caller.py")], env=environment))
        self.assertEqual(seen, {
            "many": list(range(1, 31)), "later": 3, "failed": "wanted", "retried": 1, "chain": 6, "group": [0, 2, 4, 6, 8], "chord": 15,
            "ping": [{"tester@here": {"ok": "pong"}}], "registered": ["celery_jobs." + task for task in ("add", "fail", "fail_once", "total")],
            "scheduled": True, "revoked": True, "forgotten": ["SUCCESS", None, "PENDING"]}, worker.log())

        bus = self.client(self.stack.buses[ENGINE_LOGIC])
        self.assertEqual(bus.hlen("unacked"), 1, "only what waits for its hour is not acknowledged")
        self.assertEqual(worker.end(), 0, worker.log())
        self.assertEqual((bus.llen("celery"), bus.exists("unacked", "unacked_index")), (1, 0), "it has gone back to the queue")
        self.assertEqual(self.client(self.stack.marketdata).keys(), [], "all keys are on one bus")
        for problem in ("redis.exceptions", "Connection to broker lost"):
            self.assertNotIn(problem, worker.log())
        self.assert_nothing_refused()


if __name__ == "__main__":
    unittest.main()
