#!/usr/bin/python3
"""Hand-overs under load: clients of all kinds through several in a row, and processes that are killed in the middle (H1 to H5)."""
import os
import shutil
import socket
import struct
import tempfile
import unittest

from support import resp
from support.hand_over import Chain, Crowd, summary_of
from support.hand_over_crowds import Crowds
from support.hand_over_kills import Counting, Kills
from support.harness import Stack
from support.servers import sanitized, wait_for


# As in src/app/hand_over_wire.hpp.
FRAME = {"listeners_end": 3, "ready": 4, "offer": 7, "refused": 9, "done": 10}


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
                crowd.await_progress()
                old, _ = chain.hand_over({"workers": workers})
                figures = summary_of(old)
                print(f"{figures}", flush=True)
                self.assertEqual((figures["left"], figures["refused"]), (0, 0), old.log())
                self.assertEqual(crowd.faults, [])
            crowd.await_progress()
        finally:
            crowd.stop()
        print(f"slowest request: {crowd.slowest * 1000:.0f} ms", flush=True)
        crowd.check(self, chain.unmarked)
        for client in idle:
            self.assertEqual(client.call("PING"), "PONG")
            client.close()
        stack.check(self)

    def test_h1_to_h4_clients_in_several_processes(self):
        """test/faults/hand_overs.py does the same with a thousand."""
        stack, chain = self.make_stack()
        crowds = Crowds(stack.daemon.address, clients=100, processes=2, pace=20)
        try:
            for _ in range(3):
                crowds.await_progress()
                old, _ = chain.hand_over()
                self.assertEqual((summary_of(old)["left"], summary_of(old)["refused"]), (0, 0), old.log())
            crowds.await_progress()
            figures = crowds.finish(chain.unmarked)
        finally:
            crowds.end()
        self.assertEqual(figures["faults"], [])
        self.assertEqual(figures["clients"], 100)
        stack.check(self)

    # H5. test/faults/hand_overs.py does the same at 200 moments.

    def test_h5_the_new_process_is_killed_at_any_moment(self):
        stack, chain = self.make_stack()
        kills = Kills(self, stack, chain, seed=5)
        kills.measure(1)
        for _ in range(12):
            kills.kill_new()
        print(kills.outcomes, flush=True)
        self.assertEqual(kills.faults, [])
        chain.hand_over()
        stack.check(self)

    def test_h5_the_old_process_is_killed_at_any_moment(self):
        stack, chain = self.make_stack()
        kills = Kills(self, stack, chain, seed=6)
        kills.measure(1)
        for _ in range(10):
            kills.kill_old()
        print(kills.outcomes, flush=True)
        self.assertEqual(kills.faults, [])
        chain.hand_over()
        stack.check(self)

    def fake_successor(self, answer):
        """Speaks as a successor until all listeners are there, then answers each offer with `answer`, a kind of frame; 0 is
        nothing. Returns the numbers of the offers when the other side closes, or when all is done: then it has taken the control
        socket as a daemon does, and dies."""
        offers, path = [], os.path.join(self.directory, "control.sock")
        with socket.socket(socket.AF_UNIX) as fake:
            fake.settimeout(30)
            fake.connect(path)
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
                        if kind == FRAME["done"]:
                            with socket.socket(socket.AF_UNIX) as control:
                                control.bind(path + ".new")
                                control.listen()
                                os.rename(path + ".new", path)
                            return offers
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
        counting.await_service()
        with resp.Connection(stack.daemon.address) as fresh:
            self.assertEqual(fresh.call("PING"), "PONG")
        chain.hand_over()
        counting.stop()
        counting.check(self)
        self.assertEqual(counting.closed, 0)
        stack.check(self)

    def test_h5_a_new_process_that_dies_at_the_very_end_takes_nothing_along(self):
        """It has the control socket by then. The old one goes on, and can be followed by another one."""
        stack, chain = self.make_stack()
        self.fake_successor(0)
        stack.daemon.wait_for_log("hand-over failed: .*this process goes on")
        chain.hand_over()
        stack.check(self)

    def test_h5_a_client_that_is_refused_stays(self):
        stack, chain = self.make_stack()
        counting = Counting(stack.daemon.address, 40, "el:refused").start()
        self.assertEqual(len(self.fake_successor(FRAME["refused"])), 40)
        stack.daemon.wait_for_log("hand-over failed")
        self.assertIn("stays: the new process refuses it: no way", stack.daemon.log())
        counting.await_service()
        chain.hand_over()
        counting.stop()
        counting.check(self)
        self.assertEqual(counting.closed, 0)
        stack.check(self)


if __name__ == "__main__":
    unittest.main()
