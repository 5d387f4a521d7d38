"""The log: it holds nobody up, nobody forges lines in it, and what many clients cause at once is counted instead of repeated."""
import fcntl
import os
import re
import signal
import subprocess
import unittest

from support import resp
from support.harness import Daemon, Stack, StackTest, make_config, wait_for
from support.resp import encode

F_SETPIPE_SZ = 1031


class DaemonWithPipe(Daemon):
    """Its standard error is a pipe, of which the test has the reading end."""

    def launch(self, command, **options):
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, **options)
        # The test's own way to write into it, which does not block.
        self.filler = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
        os.close(writer)

    def log(self):
        return "(a pipe)"

    def fill(self):
        try:
            while True:
                os.write(self.filler, b"x")
        except BlockingIOError:
            pass

    def close_reader(self):
        os.close(self.reader)

    def read_log(self):
        """The text that is in the pipe by now and until the daemon has ended."""
        os.close(self.filler)
        text = b""
        while part := os.read(self.reader, 65536):
            text += part
        return text.decode()


class HangingLogTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.end)
        endpoints = {name: bus.endpoint for name, bus in self.stack.buses.items()}
        self.daemon = DaemonWithPipe(self.stack.directory, make_config(endpoints), name="piped")
        self.addCleanup(self.daemon.kill)
        self.daemon.start()

    def cause_lines(self):
        """Protocol errors and reloads, each of which is a line."""
        for _ in range(20):
            with self.daemon.connect() as client:
                client.send_raw(b"*1\r\n!bad\r\n")
                self.assertIn(b"Protocol error", client.read_rest())
        for _ in range(20):
            self.daemon.reload(self.daemon.config)

    def test_a_log_that_nobody_reads_holds_neither_clients_nor_the_end_up(self):
        self.daemon.fill()
        self.cause_lines()
        with self.daemon.connect() as client:
            self.assertEqual(client.call("SET", "k", 1), "OK")
        self.assertEqual(self.daemon.terminate(), 0)

    def test_a_log_that_is_read_late_is_complete(self):
        self.daemon.fill()
        self.cause_lines()
        self.daemon.process.terminate()
        text = self.daemon.read_log()
        self.assertEqual(self.daemon.process.wait(20), 0)
        self.assertEqual(text.count("configuration reloaded"), 20)
        self.assertRegex(text, r"Protocol error.*\(and \d+ more like it\)")
        self.assertIn("stopped", text)

    def test_lines_that_a_closed_pipe_does_not_take_are_counted(self):
        self.daemon.close_reader()
        os.close(self.daemon.filler)
        self.cause_lines()
        wait_for(lambda: self.daemon.metrics().value("dualbus_log_lines_dropped_total", reason="output") >= 20, "lost lines are counted")
        with self.daemon.connect() as client:
            self.assertEqual(client.call("SET", "k", 1), "OK")
        self.assertEqual(self.daemon.terminate(), 0)


class LimitsTest(StackTest):
    config = {"missing_group": {"action": "create"}}

    def test_a_thousand_lines_of_one_kind_become_a_few_with_their_number(self):
        def lines():
            return [line for line in self.daemon.log().splitlines() if "Protocol error: unbalanced quotes" in line]

        with self.counted("dualbus_log_lines_dropped_total", reason="limit") as limited:
            for _ in range(1000):
                client = resp.Connection(self.daemon.address)
                client.send_raw(b'GET "\r\n')
                client.read_rest()
                client.close()
            wait_for(lambda: limited.value >= 980, "most are left out")
        self.assertLess(len(lines()), 10)
        # No other event is needed for it to be said.
        wait_for(lambda: len(lines()) + sum(int(number) for number in re.findall(r"\(and (\d+) more like it\)", "".join(lines()))) == 1000,
                 "their number is said", 30)

    def test_names_of_streams_and_groups_forge_no_line(self):
        forged = "x\n2026-11-29T00:00:00.000+0000 error forged"
        client = self.connect()
        client.call("XREADGROUP", "GROUP", forged + " by a group", "c", "STREAMS", forged + " by a stream", ">")
        self.daemon.wait_for_log(r"group 'x\\n2026.* forged by a group' of stream 'x\\n2026.* forged by a stream' did not exist")
        self.assertNotRegex(self.daemon.full_log(), r"(?m)^\S+ error forged")
        client.call("XGROUP", "CREATE", forged, "g' of stream 'other", "$", "MKSTREAM")
        client.call("DEL", forged)
        client.call("XREADGROUP", "GROUP", "g' of stream 'other", "c", "STREAMS", "s", ">")
        self.daemon.wait_for_log(r"group 'g\\' of stream \\'other' of stream 's' did not exist")

    def test_names_steer_no_terminal_and_fill_no_log(self):
        client = self.connect()
        odd = b"\x1b[2J\x9b31m\xff\xfe\xe2\x80\xae\xc2\x9b\x00\x07"
        for name in (odd, b"A" * 100_000, odd * 10_000):
            client.call("XREADGROUP", "GROUP", b"g" + name, "c", "STREAMS", b"steer" + name, ">")
        client.call("XREADGROUP", "GROUP", "last", "c", "STREAMS", "steer", ">")
        self.daemon.wait_for_log("group 'last' of stream 'steer' did not exist")
        with open(self.daemon.log_path, "rb") as file:
            log = file.read()
        self.assertRegex(log, rb"stream 'steer\\x1b\[2J\\x9b31m\\xff\\xfe\\xe2\\x80\\xae\\xc2\\x9b\\x00\\x07'")
        log.decode("utf-8")
        self.assertNotRegex(log, rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]")
        self.assertLess(max(map(len, log.splitlines())), 1500)

    def test_signals_without_a_meaning_do_not_end_the_daemon(self):
        for number in (signal.SIGALRM, signal.SIGPIPE, signal.SIGVTALRM):
            self.daemon.signal(number)
        self.daemon.wait_for_log("signal ALRM means nothing to dualbusd: ignored")
        self.assertEqual(self.connect().call("PING"), "PONG")
        self.assertTrue(self.daemon.running())


if __name__ == "__main__":
    unittest.main()
