"""In the steady state no XADD, no command that is passed on, and no transaction of them makes the daemon allocate memory."""
import os
import shutil
import struct
import tempfile
import unittest

from support.harness import Stack
from support.resp import Connection, encode

COUNTER = os.environ.get("DUALBUS_ALLOCATION_COUNTER")
ROUNDS = 500
XADD = encode("XADD", "s", "MAXLEN", "~", "1000", "*", "message_type", "market_data", "payload", "x" * 300)
PINNED = encode("XADD", "md:s", "MAXLEN", "~", "1000", "*", "message_type", "market_data", "payload", "x" * 300)
ROUNDS_OF = {  # requests of one round, and how many replies they have
    "XADD to a stream over both buses": (XADD * 10, 10),
    "XADD to a pinned stream": (PINNED * 10, 10),
    "GET and SET": (encode("SET", "k", "v" * 100) + encode("GET", "k"), 2),
    "a transaction": (encode("MULTI") + PINNED * 10 + encode("EXEC"), 12),
    "answered by the daemon": (encode("PING") + encode("SELECT", 0), 2),
}


@unittest.skipUnless(COUNTER, "needs DUALBUS_ALLOCATION_COUNTER, a library that counts")
class AllocationTest(unittest.TestCase):
    def test_requests_allocate_nothing(self):
        directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, "allocations")
        stack = Stack({"routing": {"keys": [{"match": "md:*", "bus": "marketdata"}]}, "workers": 1},
                      env={"LD_PRELOAD": COUNTER, "DUALBUS_ALLOCATIONS": path})
        self.addCleanup(stack.end)
        with Connection(stack.daemon.address) as client, open(path, "rb") as file:
            def allocated(data, replies, rounds):
                before = os.pread(file.fileno(), 16, 0)
                for _ in range(rounds):
                    client.send_raw(data)
                    for _ in range(replies):
                        reply = client.read()
                self.assertFalse(isinstance(reply, str) and reply.startswith("ERR"), reply)
                return [new - old for new, old in zip(struct.unpack("QQ", os.pread(file.fileno(), 16, 0)), struct.unpack("QQ", before))]

            self.assertGreater(allocated(encode("CLIENT", "LIST"), 1, 10)[0], 10, "it counts")
            for name, (data, replies) in ROUNDS_OF.items():
                with self.subTest(name):
                    allocated(data, replies, ROUNDS)
                    calls, size = allocated(data, replies, ROUNDS)
                    # The daemon itself allocates meanwhile: it asks the buses for INFO, and sees to its timers.
                    self.assertLess(calls, ROUNDS / 5, f"{size} bytes")


if __name__ == "__main__":
    unittest.main()
