"""redis-cli and redis-benchmark against the daemon."""
import csv
import os
import pty
import re
import select
import subprocess
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, PATIENCE, StackTest, stored
from support.resp import encode


class CommandLineTest(StackTest):
    def cli(self, *arguments, stdin=None):
        done = subprocess.run(["redis-cli", "-p", str(self.daemon.port), *map(str, arguments)], input=stdin, capture_output=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode()

    def test_single_commands_in_both_protocols(self):
        for options in ([], ["-3"]):
            entry = self.cli(*options, "XADD", "s", "*", "message_type", "market_data", "payload", '{"bid":1}').strip()
            self.assertEqual(stored(entry)[0], MARKETDATA)
            self.assertEqual(self.cli(*options, "XRANGE", "s", entry, entry).split(), [entry, "message_type", "market_data", "payload", '{"bid":1}'])
            self.assertEqual(self.cli(*options, "MSET", "md:a", 1, "b", 2), "OK\n")
            self.assertEqual(self.cli(*options, "MGET", "md:a", "b"), "1\n2\n")
            self.assertEqual(self.cli(*options, "-r", 3, "INCR", "n").split()[-1], str(3 if not options else 6))
            self.assertEqual(self.cli(*options, "PING"), "PONG\n")
            self.assertIn("redis_mode:standalone", self.cli(*options, "INFO"))
            self.assertRegex(self.cli(*options, "FLUSHALL"), "^NOTSUPPORTED ")
            self.assertRegex(self.cli(*options, "CLIENT", "LIST"), r"^id=\d+ addr=")
        self.assertEqual(self.cli("-x", "SET", "md:x", stdin=b"binary\0\xff\r\n"), "OK\n")
        self.assertEqual(self.client(self.stack.marketdata).get("md:x"), b"binary\0\xff\r\n")
        self.assertEqual(self.cli(stdin=b'SET k "a\\x00b"\nSTRLEN k\n'), "OK\n3\n")

    def test_mass_insertion(self):
        requests = b"".join(encode("XADD", "s", "*", "message_type", ("market_data", "order_request")[number % 2], "n", number) + encode("INCR", "md:n")
                            for number in range(5000))
        output = self.cli("--pipe", stdin=requests)
        self.assertIn("errors: 0, replies: 10000", output)
        for bus in self.stack.buses.values():
            self.assertEqual(self.client(bus).xlen("s"), 2500)
        self.assertEqual(self.client(self.stack.marketdata).get("md:n"), b"5000")

    def test_scans_and_scripts_from_files(self):
        self.cli("MSET", "md:a", "x" * 500, "b", 1)
        self.cli("RPUSH", "md:list", 1, 2, 3)
        for message_type in ("market_data", "order_request"):
            self.cli("XADD", "s", "*", "message_type", message_type)
        self.assertEqual(set(self.cli("--scan", "--pattern", "md:*").split()), {"md:a", "md:list"})
        biggest = self.cli("--bigkeys")
        for line in ("Biggest string found '\"md:a\"' has 500 bytes", "Biggest   list found '\"md:list\"' has 3 items", "Biggest stream found '\"s\"' has 2 entries"):
            self.assertIn(line, biggest)
        self.assertIn("Biggest stream found", self.cli("--memkeys"))
        path = os.path.join(self.stack.directory, "script.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write("return redis.call('STRLEN', KEYS[1]) + ARGV[1]")
        self.assertEqual(self.cli("--eval", path, "md:a", ",", 2), "502\n")

    def test_an_interactive_session_starts_with_the_daemons_command_docs(self):
        for options in ([], ["-3"]):
            master, slave = pty.openpty()
            environment = {**os.environ, "TERM": "dumb", "HOME": self.stack.directory}
            session = subprocess.Popen(["redis-cli", "-p", str(self.daemon.port), *options], stdin=slave, stdout=slave, stderr=slave, env=environment)
            os.close(slave)
            screen = ""

            def until(text):
                nonlocal screen
                deadline = time.monotonic() + PATIENCE
                while text not in screen:
                    self.assertLess(time.monotonic(), deadline, f"no {text!r} in {screen!r}")
                    if select.select([master], [], [], 1)[0]:
                        screen += os.read(master, 65536).decode()
                before, _, screen = screen.partition(text)
                return before

            try:
                prompt = f"127.0.0.1:{self.daemon.port}> "
                until(prompt)
                os.write(master, b"SET md:k hello\n")
                self.assertIn("OK", until(prompt))
                os.write(master, b"GET md:k\n")
                self.assertIn('"hello"', until(prompt))
                os.write(master, b"help xadd\n")
                self.assertRegex(until("since:"), r"XADD[\s\S]*summary:")
                until(prompt)
                os.write(master, b"HGETALL none\n")
                self.assertRegex(until(prompt), r"\(empty (array|hash)\)")
                os.write(master, b"quit\n")
                self.assertEqual(session.wait(PATIENCE), 0)
            finally:
                session.kill()
                session.wait()
                os.close(master)
        self.assertGreaterEqual(self.daemon.metrics().value("dualbus_requests_total", cmd="command", outcome="ok"), 2)


class BenchmarkTest(StackTest):
    def bench(self, *arguments):
        done = subprocess.run(["redis-benchmark", "-p", str(self.daemon.port), "--csv", *map(str, arguments)], capture_output=True, text=True,
                              timeout=2 * PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(re.findall("(?i)error|warning", done.stdout + done.stderr), [], done.stdout + done.stderr)
        return {row["test"]: float(row["rps"]) for row in csv.DictReader(done.stdout.splitlines())}

    def test_set_and_get_with_and_without_pipelining(self):
        for pipelining in (1, 16):
            rates = self.bench("-t", "set,get", "-n", 10000, "-c", 20, "-P", pipelining, "-r", 100000)
            self.assertEqual(set(rates), {"SET", "GET"})
            self.assertGreater(min(rates.values()), 0)
        self.assertEqual(self.daemon.metrics().value("dualbus_requests_total", cmd="set", outcome="ok"), 20000)
        self.assertGreater(self.client(self.stack.engine_logic).dbsize(), 1000)

    def test_messages_with_and_without_pipelining(self):
        count = 0
        for pipelining in (1, 16):
            for bus, message_type in ((MARKETDATA, "market_data"), (ENGINE_LOGIC, "order_request")):
                self.bench("-n", 8000, "-c", 20, "-P", pipelining,
                           "XADD", "s", "MAXLEN", "~", 100000, "*", "message_type", message_type, "n", "__rand_int__", "payload", "x" * 300)
                self.assertEqual(self.client(self.stack.buses[bus]).xlen("s"), 8000 + count)
            count += 8000

    def test_threads_and_other_data_types(self):
        rates = self.bench("-t", "ping,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset", "-n", 1000, "-c", 10, "--threads", 2)
        self.assertGreater(len(rates), 14)


if __name__ == "__main__":
    unittest.main()
