"""Bytes that are no requests: answered and closed as Redis does, cheap to refuse, and without effect on anybody else."""
import os
import random
import re
import threading
import unittest

from support.harness import StackTest, sanitized, wait_for
from support.resp import encode

ALIVE = encode("ECHO", "alive")
ALIVE_REPLY = b"$5\r\nalive\r\n"
MALFORMED = [
    # counts
    b"*x\r\n", b"*\r\n", b"* 1\r\n", b"*1 \r\n", b"*+1\r\n", b"*01\r\n", b"*1.0\r\n", b"*0x1\r\n", b"*-1\r\n", b"*0\r\n", b"*-5\r\n", b"*--1\r\n",
    b"*2147483648\r\n", b"*4294967297\r\n", b"*9223372036854775807\r\n", b"*9223372036854775808\r\n", b"*-9223372036854775809\r\n",
    b"*99999999999999999999\r\n", b"*" + b"1" * 100 + b"\r\n", b"*" + b"1" * 70000,
    # lengths
    b"*1\r\n$\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$-0\r\n", b"*1\r\n$ 4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$600000000\r\n", b"*1\r\n$4294967300\r\nPING\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\n$9223372036854775807\r\n",
    b"*1\r\n$" + b"1" * 70000, b"*2\r\n$4\r\nECHO\r\n$-7\r\n",
    # no lengths where lengths belong
    b"*1\r\nPING\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n", b"*1\r\n" * 1000, b"*1\r\n:1\r\n", b"*1\r\n+PING\r\n", b"*2\r\n$4\r\nECHO\r\n\r\n", b"*1\r\n\r\n",
    *(b"*1\r\n" + bytes([byte]) + b"4\r\nPING\r\n" for byte in range(1, 256) if byte != ord("$")),
    # line ends that are none
    b"*1\r\n$4\r\nPINGxx", b"*1\rX$4\rXPING\r\n", b"*1\n$4\nPING\n\r\n", b"*2\r\n$4\r\nECHO__$1\r\nx--",
    # inline
    b"\r\n", b"\n", b"\n\n\r\n\r\n", b"   \r\n", b"PING\n", b"  PING   x  \r\n", b"\tPING\r\n", b"PING\r", b"PING\0x\r\n", b"\0\r\n", b"\0\0\0",
    b'PING "\r\n', b"PING 'x\r\n", b'PING "x"y\r\n', b"PING 'x'y\r\n", b'PING "\\x4', b'PING "\\x41\\n\\q\\""\r\n', b"PING 'it\\'s'\r\n",
    b"PING a\x0bb\r\n", b"PING \x0bb\r\n", b'PING ""\r\n', b"PING x\\\r\n", b"A" * 65535, b"A" * 65600, b"A" * 70000 + b"\r\n",
    b"PING " + b"x" * 65000 + b"\r\n", b"+OK\r\n", b"-ERR\r\n", b":1\r\n", b"$4\r\nPING\r\n", b"$-1\r\n", b"%1\r\n", b"\xff\xfe\r\n", b"_\r\n",
    # other protocols
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /metrics HTTP/1.0\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n*1\r\n$4\r\nPING",
    b"post / HTTP/1.1\r\n\r\n", b"Host: x\r\n", b"HEAD / HTTP/1.1\r\nX: y\r\n\r\n", encode("POST", "/"), encode("host:", "x"),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(128, 160)), b"SSH-2.0-OpenSSH_9.2p1\r\n", b"EHLO example\r\n",
]


class BadInputTest(StackTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def outcome(self, server, data):
        """A server's answer to `data` and a request behind it, and whether it closes."""
        with self.connect(to=server) as connection:
            try:
                connection.send_raw(data + ALIVE)
            except ConnectionError:
                pass  # closed before it had read everything
            received = b""
            connection.socket.settimeout(1)
            try:
                while not received.endswith(ALIVE_REPLY):
                    chunk = connection.socket.recv(65536)
                    if not chunk:
                        return received, "closed"
                    received += chunk
            except ConnectionResetError:
                return received, "closed"
            except TimeoutError:
                return received, "waits"
            return received, "goes on"

    def test_malformed_input_is_answered_and_closed_as_by_redis(self):
        # Those that wait for more take a second each, so all of them wait at the same time.
        results = {}

        def compare(data):
            results[data] = self.outcome(self.daemon, data), self.outcome(self.bare, data)

        for start in range(0, len(MALFORMED), 60):
            threads = [threading.Thread(target=compare, args=(data,)) for data in MALFORMED[start:start + 60]]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(len(results), len(set(MALFORMED)))
        for data, (daemon, bare) in results.items():
            with self.subTest(repr(data[:60])):
                self.assertEqual(daemon, bare)
        self.assertGreater(sum(bare[1] == "closed" for _, bare in results.values()), 250)

    def test_a_zero_byte_where_a_length_belongs_is_refused(self):
        # Redis waits for more: it looks for the line's end with strchr, which stops there.
        received, then = self.outcome(self.daemon, b"*1\r\n\x004\r\nPING\r\n")
        self.assertRegex(received, b"^-ERR Protocol error: expected '\\$', got '")
        self.assertEqual(then, "closed")

    def test_random_damage_has_the_same_replies_as_with_redis(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}")
        chance = random.Random(seed)
        valid = [encode("SET", "k", "value"), encode("GET", "k"), encode("ECHO", b"\r\n$3\r\n"), encode("APPEND", "k", "x" * 40), b"ECHO 'a b'\r\n",
                 encode("STRLEN", "k"), b'SET k "\\x00\\r"\r\n']
        for case in range(150):
            data = bytearray(b"".join(chance.choices(valid, k=6)))
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(len(data))
                if chance.random() < 0.5:
                    data[at] = chance.choice(b"\r\n*$0123456789-'\"ABxyz\xff " + bytes([chance.randrange(1, 256)]))
                elif chance.random() < 0.5:
                    del data[at:at + chance.randrange(1, 5)]
                else:
                    data[at:at] = bytes(chance.randrange(1, 256) for _ in range(chance.randrange(1, 4)))
            # No zero bytes, behind which Redis does not look for the end of a line; and no half line at the end, which the
            # daemon may judge already while Redis waits for the rest.
            data += b"\r\n"
            replies = []
            for server in (self.daemon, self.bare):
                self.stack.flush()
                with self.connect(to=server) as connection:
                    connection.send_raw(bytes(data))
                    connection.end_requests()
                    replies.append(connection.read_rest())
            self.assertEqual(*replies, f"seed {seed}, case {case}: {bytes(data)!r}")

    def test_bad_clients_are_named_in_the_log_and_nobody_else_notices(self):
        good = self.connect()

        def misbehave():
            with self.connect() as bad:
                bad.send_raw(b"*1\r\n$x\r\n")
                self.assertEqual(bad.read_rest(), b"-ERR Protocol error: invalid bulk length\r\n")
            self.assertEqual(good.call("PING"), "PONG")
            return re.search(r"client \d+ 127\.0\.0\.1:\d+: Protocol error: invalid bulk length; closing", self.daemon.log())

        with self.counted("dualbus_clients_closed_total", reason="protocol_error") as closed:
            for _ in range(3):
                misbehave()
            wait_for(lambda: closed.value == 3, "three clients closed")
        # There is at most one such line a second.
        wait_for(misbehave, "a line in the log")

    def test_what_precedes_the_damage_is_answered(self):
        client = self.connect()
        client.send_raw(encode("SET", "k", "v") + encode("MGET", "k", "md:k") + encode("GET", "k") + b"*1\r\n!\r\n" + encode("SET", "k", "w"))
        self.assertEqual(client.read_rest(), b"+OK\r\n*2\r\n$1\r\nv\r\n$-1\r\n$1\r\nv\r\n-ERR Protocol error: expected '$', got '!'\r\n")
        self.assertEqual(self.client(self.stack.engine_logic).get("k"), b"v")


class SizeTest(StackTest):
    config = {"limits": {"max_request": "1mb"}}

    def refused(self, data):
        with self.connect() as client:
            try:
                client.send_raw(data)
            except ConnectionError:
                pass
            return client.read_rest().decode()

    def test_requests_up_to_the_limit_pass_and_larger_ones_are_refused(self):
        client = self.connect()
        value = os.urandom((1 << 20) - 100)
        self.assertEqual(client.call("SET", "k", value), "OK")
        self.assertEqual(client.call("GET", "k"), value)
        self.assertEqual(self.refused(encode("SET", "k", b"x" * (1 << 21))), "-ERR Protocol error: invalid bulk length\r\n")
        self.assertRegex(self.refused(encode("SET", "k", b"x" * ((1 << 20) - 5))), r"^-ERR Protocol error: .*max_request")
        self.assertRegex(self.refused(encode("MSET", *["k", b"x" * 1000] * 1200)), r"^-ERR Protocol error: .*max_request")
        self.assertEqual(self.refused(b"*1000000\r\n$4\r\nMSET\r\n"), "-ERR Protocol error: invalid multibulk length\r\n")
        self.assertEqual(client.call("GET", "k"), value)

    def test_announcements_buy_no_memory(self):
        before = self.daemon.resident_bytes()
        for header in (b"*174000\r\n", b"*2\r\n$3\r\nGET\r\n$1048000\r\n", b"*174000\r\n$1000000\r\n"):
            connections = [self.connect() for _ in range(200)]
            for connection in connections:
                connection.send_raw(header)
            self.assertEqual(self.connect().call("PING"), "PONG")
            grown = self.daemon.resident_bytes() - before
            # 200 clients that announce 1 MB each and send a few bytes.
            self.assertLess(grown, (100 if sanitized() else 30) << 20)
            for connection in connections:
                connection.close()

    def test_a_large_request_in_small_pieces_is_put_together(self):
        client, other = self.connect(), self.connect()
        value = os.urandom(1 << 19)
        data = encode("SET", "k", value)
        for start in range(0, len(data), 20011):
            client.send_raw(data[start:start + 20011])
            self.assertEqual(other.call("PING"), "PONG")
        self.assertEqual(client.read(), "OK")
        self.assertEqual(self.client(self.stack.engine_logic).get("k"), value)


if __name__ == "__main__":
    unittest.main()
