"""Crowds of clients, each in a process of its own, so that a request is slow because of the daemon and not of this Python."""
import multiprocessing
import os
import signal
import traceback
import unittest

from support.hand_over import Crowd
from support.servers import Process

KINDS = ("publishers", "pollers", "waiters", "subscribers", "transactions")


class Crowds:
    """`clients` in all, of all kinds. They begin at once."""

    def __init__(self, address, clients, processes, pace):
        context = multiprocessing.get_context("fork")
        self._pipes, self._processes = [], []
        for number in range(processes):
            own = clients // processes + (number < clients % processes)
            counts = {kind: own // len(KINDS) + (index < own % len(KINDS)) for index, kind in enumerate(KINDS)}
            # A poller gets what all publishers send: a few of them are enough.
            moved = counts["publishers"] // 2
            counts["publishers"] -= moved
            counts["waiters"] += moved
            counts["transactions"] -= 1  # one more client speaks to the subscribers
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, address, counts, f"crowd{number}", pace), daemon=True)
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        self._answers()

    def await_progress(self):
        """Until every client has done something since now."""
        self._ask("progress")

    def finish(self, unmarked=False):
        """Ends all clients; their figures together. `unmarked`: as Crowd.check()."""
        found = self._ask("finish unmarked" if unmarked else "finish")
        result = {name: sum(each[name] for each in found) for name in ("clients", "requests", "published", "delivered")}
        return {**result, "slowest": max(each["slowest"] for each in found), "faults": sum((each["faults"] for each in found), [])}

    def end(self):
        for process in self._processes:
            if process.is_alive():
                process.kill()
            process.join()

    def _ask(self, word):
        for pipe in self._pipes:
            pipe.send(word)
        return self._answers()

    def _answers(self):
        answers = []
        for pipe in self._pipes:
            assert pipe.poll(240), "a process with clients does not answer"
            done, answer = pipe.recv()
            assert done, answer
            answers.append(answer)
        return answers


def _serve(pipe, address, counts, prefix, pace):
    """In a process of its own: does what the pipe says."""
    Process.before_exec()  # it ends with its parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        crowd = Crowd(address, prefix=prefix, pace=pace, **counts).start()
        pipe.send((True, None))
        while True:
            word = pipe.recv()
            if word == "progress":
                crowd.await_progress()
                pipe.send((True, None))
                continue
            crowd.stop()
            faults = list(crowd.faults)
            try:
                crowd.check(unittest.TestCase(), unmarked=word == "finish unmarked")
            except AssertionError as error:
                faults.append(str(error)[:2000])
            pipe.send((True, {"clients": sum(counts.values()) + 1, "requests": crowd.requests, "slowest": crowd.slowest, "faults": faults,
                              "published": sum(map(len, crowd.published)),
                              "delivered": sum(map(len, (*crowd.followed, *crowd.grouped, *crowd.heard)))}))
    except EOFError:
        pass
    except BaseException:  # pylint: disable=broad-except
        pipe.send((False, traceback.format_exc(limit=5)))
    finally:
        os._exit(0)
