"""buses.*.coalesce: a shared connection is written to at most so often."""
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, merge
from support.resp import encode
from support.servers import wait_for


class CoalescedWritesTest(StackTest):
    config = {"workers": 1, "buses": {ENGINE_LOGIC: {"coalesce": "1ms"}}}

    def seconds(self, key, times):
        client = self.connect()
        begin = time.monotonic()
        for _ in range(times):
            client.call("GET", key)
        return time.monotonic() - begin

    def test_requests_one_after_the_other_wait_for_their_time(self):
        self.assertGreaterEqual(self.seconds("k", 200), 0.199)
        wait_for(lambda: self.seconds("md:k", 20) < 0.019, "the other bus is written to at once")

    def test_a_reload_changes_the_time(self):
        self.addCleanup(self.daemon.reload, self.stack.config)
        self.daemon.reload(merge(self.stack.config, {"buses": {ENGINE_LOGIC: {"coalesce": 0}, MARKETDATA: {"coalesce": "500us"}}}))
        self.assertGreaterEqual(self.seconds("md:k", 200), 0.0995)
        wait_for(lambda: self.seconds("k", 20) < 0.019, "it is written to at once")

    def test_what_comes_in_between_is_written_together(self):
        with self.stack.engine_logic.connect() as bare:
            def reads():
                lines = bare.call("INFO", "stats").decode().splitlines()
                return int(next(line.split(":")[1] for line in lines if line.startswith("total_reads_processed:")))

            clients = [self.connect() for _ in range(20)]
            before, begin = reads(), time.monotonic()
            for _ in range(50):
                for client in clients:
                    client.send("GET", "k")
                for client in clients:
                    self.assertIsNone(client.read())
            most = (time.monotonic() - begin) / 0.001
            # The watcher and this connection are read, too.
            self.assertLessEqual(reads() - before, most + 20)

    def test_many_bytes_do_not_wait(self):
        client = self.connect()
        value = b"x" * 70_000

        def seconds():
            begin = time.monotonic()
            for _ in range(20):
                self.assertEqual(client.call("SET", "k", value), "OK")
            return time.monotonic() - begin

        wait_for(lambda: seconds() < 0.019, "they are written at once")

    def test_order_and_answers_stay(self):
        client = self.connect()
        lines = [line for number in range(200) for line in (("INCR", "n"), ("INCR", "md:n"), ("SET", "big", b"y" * (number * 700)), ("STRLEN", "big"))]
        client.send_raw(b"".join(encode(*line) for line in lines))
        for number in range(200):
            self.assertEqual([client.read() for _ in range(4)], [number + 1, number + 1, "OK", number * 700])


if __name__ == "__main__":
    unittest.main()
