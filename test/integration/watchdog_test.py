"""systemd's watchdog hears of the daemon as long as all of its threads work."""
import contextlib
import ctypes
import os
import shutil
import socket
import tempfile
import time
import unittest

from support.harness import Stack

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL = 0x40000000  # waitpid for a thread
PERIOD = 0.6


@contextlib.contextmanager
def hanging(thread):
    """The thread stands still, and no other."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    if ptrace(PTRACE_ATTACH, thread, None, None) != 0:
        raise unittest.SkipTest(f"no thread can be stopped here: {os.strerror(ctypes.get_errno())}")
    try:
        os.waitpid(thread, WALL)
        yield
    finally:
        ptrace(PTRACE_DETACH, thread, None, None)


class WatchdogTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, directory)
        address = os.path.join(directory, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(address)
        self.manager.settimeout(30)
        self.stack = Stack({"workers": 2}, env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(int(PERIOD * 1e6))})
        self.addCleanup(self.stack.end)
        self.assertEqual(self.manager.recv(200), b"READY=1\n")

    def beats(self, seconds):
        """How many come within that time."""
        until, count = time.monotonic() + seconds, 0
        while (left := until - time.monotonic()) > 0:
            self.manager.settimeout(left)
            try:
                self.assertEqual(self.manager.recv(200), b"WATCHDOG=1\n")
            except TimeoutError:
                break
            count += 1
        return count

    def await_beats(self, count):
        self.manager.settimeout(30)
        for _ in range(count):
            self.assertEqual(self.manager.recv(200), b"WATCHDOG=1\n")

    def workers(self):
        """Threads without a name of their own: the workers, and few others."""
        pid = self.stack.daemon.pid
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/comm", encoding="utf-8") as name:
                if name.read().startswith("dualbusd") and int(thread) != pid:
                    yield int(thread)

    def test_it_is_fed_in_time_and_not_while_a_worker_hangs(self):
        started = time.monotonic()
        self.await_beats(10)
        # Three in a period, with some patience.
        self.assertLess(time.monotonic() - started, 10 * PERIOD)
        silent = 0
        for thread in list(self.workers()):
            with hanging(thread):
                self.beats(PERIOD)  # the answer to the last question may be there already
                silent += self.beats(2 * PERIOD) == 0
            self.await_beats(3)
        self.assertEqual(silent, 2)


if __name__ == "__main__":
    unittest.main()
