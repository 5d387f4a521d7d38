"""Queues of RQ: jobs are put into them here and worked off by workers that are processes of their own."""
import os
import sys
import unittest
from datetime import timedelta

from support.client_programs import CLIENTS, ClientTest
from support.harness import MARKETDATA, merge, wait_for
from rq import Queue, Retry, Worker
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry

sys.path.insert(0, CLIENTS)
import rq_jobs  # noqa: E402 pylint: disable=wrong-import-position


class QueueTest(ClientTest):
    def queue(self, name="default"):
        return Queue(name, connection=self.client(), default_timeout=60)

    def worker(self, *options, queues=("default",)):
        """A worker as the command line starts it: it forks for every job."""
        return self.start_program("rq-worker", ["/usr/bin/rq", "worker", "--url", f"redis://127.0.0.1:{self.daemon.port}/0",
                                                "--path", CLIENTS, *options, *queues])

    def finish(self, *options, **queues):
        worker = self.worker("--burst", *options, **queues)
        self.assertEqual(worker.process.wait(60), 0, worker.log())
        self.assertNotIn("redis.exceptions", worker.log())

    def test_jobs_are_worked_off_with_their_results(self):
        urgent, queue = self.queue("urgent"), self.queue()
        jobs = [queue.enqueue(rq_jobs.add, number, 1) for number in range(6)]
        last = queue.enqueue(rq_jobs.add, "after ", "the others", depends_on=jobs)
        first = urgent.enqueue(rq_jobs.add, [1], [2], job_id="named", meta={"who": "test"}, result_ttl=500)
        self.assertEqual((queue.count, urgent.count, last.get_status()), (6, 1, JobStatus.DEFERRED))
        self.finish(queues=("urgent", "default"))
        self.assertEqual([job.return_value() for job in jobs], list(range(1, 7)))
        self.assertEqual((first.return_value(), last.return_value()), ([1, 2], "after the others"))
        self.assertEqual(first.latest_result().return_value, [1, 2])
        found, other = Job.fetch_many(["named", jobs[0].id], connection=self.client())
        self.assertLess(found.ended_at, other.started_at, "the first queue comes first")
        self.assertEqual((found.get_status(), found.meta), (JobStatus.FINISHED, {"who": "test"}))
        self.assertEqual(len(FinishedJobRegistry(queue=queue)), 7)
        self.assertEqual((queue.count, urgent.count), (0, 0))
        self.assertIn(self.client().ttl("rq:job:named"), range(400, 501))
        self.assert_nothing_refused()

    def test_a_rule_puts_queues_on_another_bus(self):
        self.daemon.reload(merge(self.stack.config, {"routing": {"keys": [{"match": "rq:*", "bus": MARKETDATA}]}}))
        self.addCleanup(self.daemon.reload, self.stack.config)
        queue = self.queue()
        first = queue.enqueue(rq_jobs.add, 1, 2)
        second = queue.enqueue(rq_jobs.add, 3, 4, depends_on=first)
        self.finish()
        self.assertEqual((first.return_value(), second.return_value()), (3, 7))
        self.assertGreater(self.client(self.stack.marketdata).dbsize(), 3)
        self.assertEqual(self.client(self.stack.engine_logic).dbsize(), 0)
        self.assert_nothing_refused()

    def test_failures_and_retries(self):
        queue = self.queue()
        lost = queue.enqueue(rq_jobs.fail, "wanted")
        found = queue.enqueue(rq_jobs.fail_once, os.path.join(self.stack.directory, "tried"), retry=Retry(max=2))
        self.finish()
        self.assertEqual((lost.get_status(), found.get_status(), found.return_value()), (JobStatus.FAILED, JobStatus.FINISHED, "at last"))
        self.assertIn("ValueError: wanted", lost.latest_result().exc_string)
        self.assertEqual(FailedJobRegistry(queue=queue).get_job_ids(), [lost.id])
        lost.requeue()
        self.assertEqual(queue.job_ids, [lost.id])
        lost.delete()
        self.assertEqual((queue.count, self.client().exists("rq:job:" + lost.id)), (0, 0))
        self.assert_nothing_refused()

    def test_a_worker_that_waits_gets_new_jobs_and_scheduled_ones(self):
        queue = self.queue()
        worker = self.worker("--with-scheduler", "--name", "waiting")
        wait_for(lambda: Worker.count(connection=self.client()) == 1, f"the worker has registered\n{worker.log()}")
        self.assertIn("waiting", [client["name"] for client in self.client().client_list()])
        later = queue.enqueue_in(timedelta(seconds=1), rq_jobs.add, 20, 22)
        self.assertEqual(ScheduledJobRegistry(queue=queue).get_job_ids(), [later.id])
        now = queue.enqueue(rq_jobs.add, 1, 2)
        wait_for(lambda: later.get_status() == JobStatus.FINISHED, f"the scheduled job is done\n{worker.log()}", 20)
        self.assertEqual((now.return_value(), later.return_value(), ScheduledJobRegistry(queue=queue).count), (3, 42, 0))
        self.assertEqual(worker.end(), 0, worker.log())
        self.assertEqual(Worker.count(connection=self.client()), 0, worker.log())
        self.assert_nothing_refused()


if __name__ == "__main__":
    unittest.main()
