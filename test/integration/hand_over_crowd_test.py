#!/usr/bin/python3
"""Hand-overs under load: clients of all kinds through several in a row, and processes that are killed in the middle (H1 to H5)."""
import os
import random
import shutil
import socket
import struct
import tempfile
import threading
import time
import unittest

from support import resp
from support.hand_over import Chain, Crowd, summary_of
from support.harness import Stack
from support.servers import sanitized, wait_for


# As in src/app/hand_over_wire.hpp.
FRAME = {"listeners_end": 3, "ready": 4, "offer": 7, "refused": 9}


class HandOverCrowdTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-hand-over-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def make_stack(self, **changes):
        control = {"socket": os.path.join(self.directory, "control.sock"), "handover_timeout": "8s"}
        stack = Stack({"control": control, **changes})
        self.addCleanup(stack.end)
        return stack, Chain(stack)

    def test_h1_to_h4_a_crowd_goes_through_hand_overs_in_a_row(self):
        stack, chain = self.make_stack()
        few = 4 if sanitized() else 1
        crowd = Crowd(stack.daemon.address, publishers=40 // few, pollers=40 // few, waiters=40 // few, poppers=24 // few,
                      subscribers=32 // few, transactions=32 // few).start()
        idle = [resp.Connection(stack.daemon.address) for _ in range(40)]
        try:
            for workers in (1, 2, 1, 3, 1):
                time.sleep(0.7)
                old, _ = chain.hand_over({"workers": workers})
                figures = summary_of(old)
                print(f"{figures}", flush=True)
                self.assertEqual((figures["left"], figures["refused"]), (0, 0), old.log())
                self.assertEqual(crowd.faults, [])
            time.sleep(0.5)
        finally:
            crowd.stop()
        print(f"slowest request: {crowd.slowest * 1000:.0f} ms", flush=True)
        crowd.check(self)
        for client in idle:
            self.assertEqual(client.call("PING"), "PONG")
            client.close()
        stack.check(self)

    def test_h5_the_new_process_is_killed_at_any_moment(self):
        """A client ends only with the process that owns it. Those that had not gone are served on, and none is served twice:
        a counter that each raises by one has the value that its owner has seen."""
        stack, chain = self.make_stack()
        random.seed(5)
        for attempt in range(12):
            counting = Counting(stack.daemon.address, 40, f"el:new-{attempt}").start()
            successor = chain.successor().take_over()
            begun = time.monotonic()
            wait_for(lambda: "taking over from" in successor.log() or not successor.running(), "it begins")
            time.sleep(random.uniform(0, 0.03))
            successor.kill()
            wait_for(lambda: not stack.daemon.running() or "hand-over failed" in stack.daemon.log().split("takes over")[-1],
                     f"the end of the hand-over after {time.monotonic() - begun}\n{stack.daemon.log()}")
            if not stack.daemon.running():  # it was over by then: everybody has gone, and ended with the new process
                counting.stop()
                counting.check(self)
                stack.daemon.start()
                continue
            gone = int(stack.daemon.log().split(" clients had gone to the new one")[-2].rsplit(" ", 1)[-1])
            time.sleep(0.1)
            counting.stop()
            counting.check(self)
            self.assertEqual(counting.closed, gone, stack.daemon.log()[-3000:])
            with resp.Connection(stack.daemon.address) as fresh:
                self.assertEqual(fresh.call("PING"), "PONG")
        chain.hand_over()
        stack.check(self)

    def test_h5_the_old_process_is_killed_at_any_moment(self):
        """Those that had gone, or were offered, are served by the new one, which is the daemon then."""
        stack, chain = self.make_stack()
        random.seed(6)
        for attempt in range(10):
            counting = Counting(stack.daemon.address, 40, f"el:old-{attempt}").start()
            before = stack.daemon
            successor = chain.successor().take_over()
            wait_for(lambda: "taking over from" in successor.log() or not successor.running(), "it begins")
            time.sleep(random.uniform(0, 0.03))
            before.kill()
            wait_for(lambda: not successor.running() or "took over" in successor.log(), f"the end\n{successor.log()}")
            time.sleep(0.1)
            counting.stop()
            counting.check(self)
            if not successor.running():  # it had no listeners yet
                self.assertIn("cannot", successor.log())
                before.start()
                continue
            taken = int(successor.log().split("took over ")[-1].split(" ")[0])
            self.assertEqual(counting.served_after, taken)
            stack.daemon = successor
            with resp.Connection(successor.address) as fresh:
                self.assertEqual(fresh.call("PING"), "PONG")
        chain.hand_over()
        stack.check(self)

    def fake_successor(self, answer):
        """Speaks as a successor until all listeners are there, then answers each offer with `answer`, a kind of frame; 0 is
        nothing. Returns the numbers of the offers when the other side closes."""
        offers = []
        with socket.socket(socket.AF_UNIX) as fake:
            fake.settimeout(30)
            fake.connect(os.path.join(self.directory, "control.sock"))
            fake.sendall(b"dualbus take-over protocol=1 state=1 daemon=0.1.0\n")
            received, descriptors = b"", []
            try:
                while True:
                    more, control, _, _ = fake.recvmsg(1 << 16, socket.CMSG_SPACE(64))
                    for level, kind, data in control:
                        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                            descriptors += struct.unpack(f"{len(data) // 4}i", data)
                    if not more:
                        return offers
                    received += more
                    if received.startswith(b"welcome"):
                        received = received.partition(b"\n")[2]
                    while len(received) >= 10 and len(received) >= 10 + struct.unpack("<I", received[6:10])[0]:
                        kind, _, number, length = struct.unpack("<BBII", received[:10])
                        received = received[10 + length:]
                        if kind == FRAME["listeners_end"]:
                            fake.sendall(struct.pack("<BBII", FRAME["ready"], 0, 0, 0))
                        if kind == FRAME["offer"]:
                            offers.append(number)
                            if answer:
                                fake.sendall(struct.pack("<BBII", answer, 0, number, 6) + b"no way")
                            fake.settimeout(1 if answer else 30)  # nobody is offered again
            except (ConnectionError, TimeoutError):
                return offers
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def test_h5_a_new_process_that_hangs_is_given_up(self):
        stack, chain = self.make_stack()
        counting = Counting(stack.daemon.address, 20, "el:hang").start()
        self.assertGreater(len(self.fake_successor(0)), 20)  # the same clients again and again
        stack.daemon.wait_for_log("hand-over failed: the new process takes no clients")
        before = counting.total()
        wait_for(lambda: counting.total() > before + 200, "all are served")
        with resp.Connection(stack.daemon.address) as fresh:
            self.assertEqual(fresh.call("PING"), "PONG")
        chain.hand_over()
        counting.stop()
        counting.check(self)
        self.assertEqual(counting.closed, 0)
        stack.check(self)

    def test_h5_a_client_that_is_refused_stays(self):
        stack, chain = self.make_stack()
        counting = Counting(stack.daemon.address, 40, "el:refused").start()
        self.assertEqual(len(self.fake_successor(FRAME["refused"])), 40)
        stack.daemon.wait_for_log("hand-over failed")
        self.assertIn("stays: the new process refuses it: no way", stack.daemon.log())
        before = counting.total()
        wait_for(lambda: counting.total() > before + 200, "all are served")
        chain.hand_over()
        counting.stop()
        counting.check(self)
        self.assertEqual(counting.closed, 0)
        stack.check(self)


class Counting:
    """Clients that each raise a counter of their own, and know what it must be."""

    def __init__(self, address, count, key):
        self.address, self.key = address, key
        self.wrong, self.seen, self.closed, self.served_after = [], [0] * count, 0, 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]
        self._connections = [resp.Connection(address) for _ in range(count)]

    def start(self):
        for thread in self._threads:
            thread.start()
        wait_for(lambda: all(self.seen), "all are served")
        return self

    def stop(self):
        self.stopping.set()
        for thread in self._threads:
            thread.join(30)

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

    def check(self, test):
        test.assertEqual(self.wrong, [])


if __name__ == "__main__":
    unittest.main()
