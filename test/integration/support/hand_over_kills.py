"""Processes that are killed in the middle of a hand-over, and clients that know whether they were served once (H5)."""
import contextlib
import os
import random
import re
import socket
import threading
import time

from support import resp
from support.hand_over import Later, holds_control_socket, summary_of
from support.servers import wait_for

# Anything ends within these seconds, or it hangs.
JOINED = 60


class Counting:
    """Clients that each raise a counter of their own, and know what it must be."""

    def __init__(self, address, count, key):
        self.address, self.key = address, key
        self.wrong, self.seen, self.closed, self.served_after = [], [0] * count, 0, 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._over = [False] * count
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]
        self._connections = [resp.Connection(address) for _ in range(count)]

    def start(self):
        for thread in self._threads:
            thread.start()
        wait_for(lambda: all(self.seen), "all are served")
        return self

    def await_service(self):
        """Until each client has been closed, or has begun a request since now and got the answer."""
        before = list(self.seen)
        wait_for(lambda: all(over or now > then + 1 for over, now, then in zip(self._over, self.seen, before)),
                 Later(lambda: f"all are served: {[number for number, then in enumerate(before) if not self._over[number] and self.seen[number] <= then + 1]} are not"))

    def stop(self):
        self.stopping.set()
        for thread in self._threads:
            thread.join(JOINED)
            if thread.is_alive():
                self.wrong.append("a client does not end")

    def total(self):
        return sum(self.seen)

    def _run(self, number):
        with self._connections[number] as connection:
            try:
                while True:
                    last = self.stopping.is_set()
                    value = connection.call("INCR", f"{self.key}-{number}")
                    if value != self.seen[number] + 1:
                        self.wrong.append(f"client {number}: {value} behind {self.seen[number]}")
                        return
                    self.seen[number] = value
                    if last:
                        break
                    time.sleep(0.002)
                with self._lock:
                    self.served_after += 1
            except TimeoutError:
                self.wrong.append(f"client {number} gets no answer behind {self.seen[number]}")
            except OSError:
                with self._lock:
                    self.closed += 1
            finally:
                self._over[number] = True

    def check(self, test, bus=None):
        """`bus`: where the counters are. What a client has seen happened there once, and one more request at most of a client that
        was closed before the answer came."""
        test.assertEqual(self.wrong, [])
        test.assertEqual(self.closed + self.served_after, len(self.seen))
        if bus is None:
            return
        with bus.client() as client:
            stored = [int(value or 0) for value in client.mget([f"{self.key}-{number}" for number in range(len(self.seen))])]
        more = [now - seen for now, seen in zip(stored, self.seen)]
        test.assertLessEqual(set(more), {0, 1}, "served more often than answered")
        test.assertLessEqual(sum(more), self.closed)


class Kills:
    """Kills one of two processes at a random moment of a hand-over, again and again. `outcomes` counts how far each had come."""

    def __init__(self, test, stack, chain, seed, clients=40):
        self.test, self.stack, self.chain, self.clients = test, stack, chain, clients
        self.chance = random.Random(seed)
        self.longest = 0.0  # from the greeting to the latest kill, in seconds
        self.attempts = 0
        self.outcomes = {}
        self.faults = []
        self.served = self.ended = 0  # clients that were served on, and that ended with their owner

    def measure(self, times=3):
        """How long a hand-over takes that nobody disturbs."""
        self.longest = 0.0
        for _ in range(times):
            counting = self._begin("measured")
            old, _ = self.chain.hand_over()
            self.longest = max(self.longest, summary_of(old)["seconds"])
            self._finish(counting)
            self.test.assertEqual(counting.closed, 0)

    def _begin(self, name):
        # The clients of the attempt before have gone, so that none of them is counted among those that change hands.
        wait_for(lambda: self.stack.daemon.metrics().value("dualbus_clients") == 0, "no clients are left")
        wait_for(lambda: holds_control_socket(self.stack.daemon), "a successor may knock")
        self.attempts += 1
        return Counting(self.stack.daemon.address, self.clients, f"el:{name}-{self.attempts}").start()

    def _launch(self):
        """The next process, at a random moment after it has been greeted."""
        successor = self.chain.successor().take_over()
        deadline = time.monotonic() + JOINED
        while "taking over from" not in successor.log():
            assert successor.running() and time.monotonic() < deadline, f"{successor.log()}\n{self.stack.daemon.log()[-2000:]}"
            time.sleep(0.0005)
        time.sleep(self.chance.uniform(0, self.longest))
        return successor

    def _note(self, outcome, counting):
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.served += counting.served_after
        self.ended += counting.closed
        if "some" not in outcome:
            self._aim(early="no client" in outcome or "no listeners" in outcome)

    def _finish(self, counting):
        counting.await_service()
        counting.stop()
        counting.check(self.test, self.stack.engine_logic)

    def _some(self, count):
        return "no client had changed hands" if count == 0 else "all clients had" if count == self.clients else "some clients had"

    def _aim(self, early):
        """So that about as many kills come early as late, however busy the machine is."""
        self.longest = min(max(self.longest * (1.1 if early else 0.9), 0.001), 2.0)

    def kill_new(self):
        """A client ends only with the process that owns it; the others are served on by the old one."""
        counting = self._begin("new")
        old = self.stack.daemon
        failures = _failures(old)
        successor = self._launch()
        successor.kill()
        with contextlib.suppress(FileNotFoundError):  # it was about to have the control socket; holds_control_socket() looks for this
            os.unlink(old.config["control"]["socket"] + ".new")
        wait_for(lambda: not old.running() or _failures(old)[len(failures):], Later(lambda: f"the end of the hand-over\n{old.log()[-3000:]}"))
        if not old.running():  # it was over by then: everybody had gone, and ended with the new process
            self._finish(counting)
            self.test.assertEqual(old.process.returncode, 0, old.log()[-3000:])
            self.test.assertEqual(counting.closed, self.clients)
            self._note("new killed: the hand-over was over", counting)
            old.start()
            return
        gone = int(_failures(old)[-1])
        self._finish(counting)
        self.test.assertEqual(counting.closed, gone, old.log()[-3000:])
        self._note("new killed: " + self._some(gone), counting)
        self._check_control_socket(old)
        with resp.Connection(old.address) as fresh:
            self.test.assertEqual(fresh.call("PING"), "PONG")

    def _check_control_socket(self, old):
        """Another successor may try. If none can, the daemon is started anew, for the sake of the attempts that follow."""
        path = old.config["control"]["socket"]
        try:
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.connect(path)
        except OSError as error:
            self.faults.append(f"attempt {self.attempts}: no successor can reach the daemon that goes on, {path}: {error.strerror}")
            self.test.assertEqual(old.terminate(), 0, old.log()[-3000:])
            old.start()

    def kill_old(self):
        """Those that had gone, or were offered, are served by the new one, which is the daemon then."""
        counting = self._begin("old")
        old = self.stack.daemon
        successor = self._launch()
        old.kill()
        wait_for(lambda: not successor.running() or _taken(successor), Later(lambda: f"the end\n{successor.log()}"))
        if not successor.running():  # it had no listeners yet
            self._finish(counting)
            self.test.assertIn("cannot take over at", successor.log())
            self.test.assertEqual(counting.closed, self.clients)
            self._note("old killed: the new one had no listeners", counting)
            old.start()
            return
        taken = int(_taken(successor)[-1])
        self.stack.daemon = successor
        self._finish(counting)
        self.test.assertEqual(counting.served_after, taken, successor.log())
        self._note("old killed: " + self._some(taken), counting)
        with resp.Connection(successor.address) as fresh:
            self.test.assertEqual(fresh.call("PING"), "PONG")


def _failures(daemon):
    """For each hand-over that failed how many clients had gone."""
    return re.findall(r"hand-over failed: .* (\d+) clients had gone to the new one", daemon.log())


def _taken(daemon):
    return re.findall(r"took over (\d+) clients", daemon.log())
