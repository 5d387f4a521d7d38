#!/usr/bin/python3
"""The memory and work that a peer can cause before it logs in, and that anybody can through the admin listener.

    test/security/resources.py --daemon build/release/src/app/dualbusd [--seconds 60] [--seed N] [--table]

First each way to hold something is measured by itself in a daemon of its own; then come sieges, in which strangers take all they
can get while engines and an operator must get in; then, for the rest of --seconds, everything at once at random. --table prints
what was measured, for docs/security.md. DUALBUSD and DUALBUS_SECURITY_SEED are the defaults of --daemon and --seed.
"""
import argparse
import contextlib
import hashlib
import itertools
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from support import resp  # noqa: E402 pylint: disable=wrong-import-position
from support.harness import Stack, make_config, merge, running  # noqa: E402 pylint: disable=wrong-import-position
from support.resp import encode  # noqa: E402 pylint: disable=wrong-import-position
from support.servers import Daemon, sanitized, wait_for  # noqa: E402 pylint: disable=wrong-import-position

KILOBYTE, MEGABYTE = 1 << 10, 1 << 20


def user(name, *commands):
    return {"password_hashes": [hashlib.sha256(name.encode()).hexdigest()], "commands": list(commands), "keys": ["*"], "channels": ["*"]}


CONFIG = {"auth": {"users": {"engine": user("engine", "+@all", "-@dangerous"), "operator": user("operator", "+@all")}},
          "limits": {"memory": "64mb"}}

# --- what strangers do on a connection. The memory that one of them may hold, in kilobytes, stands behind.

WAYS = {
    "silent": (b"", 6),
    "half an inline request": (b"AUTH " + b"x" * 20_000, 32),
    "half an argument": (b"*3\r\n$4\r\nAUTH\r\n$16384\r\n" + b"x" * 16_000, 32),
    "nine empty arguments of ten": (b"*10\r\n" + b"$0\r\n\r\n" * 9, 8),
    "a length that does not end": (b"*3\r\n$4\r\nAUTH\r\n$" + b"0" * 16_000, 32),
    "requests, and half of the next": (encode("PING") * 50 + b"*3\r\n$4\r\nAUTH", 8),
    "a log-in that has to wait": (encode("AUTH", "engine", "wrong"), 8),
}
# These are closed at once.
REFUSED = {
    "11 arguments": b"*11\r\n",
    "11,000,000 empty arguments": b"*11000000\r\n" + b"$0\r\n\r\n" * 25_000,
    "an argument of 16 KiB and a byte": b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
    "many words without an end": b"AUTH" + b" x" * 40_000,
    "three arguments of 16 KiB": b"*3\r\n" + b"$16384\r\n%s\r\n" % (b"x" * 16384) * 2,
    "a length of 40 kB": b"*" + b"0" * 40_000,
}
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
# The beginning, and the bytes that follow for ever.
HTTP = {
    "an endless chunk extension": (HEAD + b"1;a=", b"x" * 65536),
    "endless trailers": (HEAD + b"0\r\n", b"A: b\r\n" * 10_000),
    "an endless body": (HEAD, b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
    "an endless header": (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nA: ", b"x" * 65536),
    "endless header fields": (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n", b"A: b\r\n" * 10_000),
    "requests, no answer read": (b"", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200),
}


class Suite:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.stack = None
        self.rows = []
        self.numbers = itertools.count()
        self.sanitized = sanitized()

    # --- parts

    @contextlib.contextmanager
    def daemon(self, workers=1, **limits):
        """One of its own: what one has freed would hide what the next takes."""
        buses = {name: bus.endpoint for name, bus in self.stack.buses.items()}
        daemon = Daemon(self.stack.directory, make_config(buses, merge(CONFIG, {"limits": limits, "workers": workers})), name=f"daemon{next(self.numbers)}")
        daemon.start()
        try:
            yield daemon
            assert daemon.running(), f"the daemon ended:\n{daemon.log()}"
            wait_for(daemon.gauges_are_zero, "nobody is left")
            assert daemon.metrics().value("dualbus_clients_not_logged_in") == 0
            assert daemon.terminate() == 0 and not daemon.sanitizer_report(), daemon.log()[-4000:]
        finally:
            daemon.kill()

    @staticmethod
    def strangers(daemon, count, stack, source="127.0.0.1"):
        sockets = []
        for _ in range(count):
            peer = socket.create_connection(daemon.address, 20, (source, 0))
            stack.callback(peer.close)
            sockets.append(peer)
        return sockets

    @staticmethod
    def log_in(daemon, name, stack=None):
        client = resp.Connection(daemon.address, timeout=60)
        if stack:
            stack.callback(client.close)
        return client, client.call("AUTH", name, name)

    def check_served(self, daemon):
        """An engine and an operator get in, and the pages are there."""
        for name in ("engine", "operator"):
            client, answer = self.log_in(daemon, name)
            with client:
                assert answer == "OK" and client.call("PING") == "PONG", f"{name}: {answer}"
        assert daemon.fetch("/healthz")[0] == 200

    def note(self, name, value, bound, unit):
        self.rows.append((name, value, bound, unit))
        assert bound is None or value <= bound, f"{name}: {value:.1f} {unit}, at most {bound}"

    # --- one thing at a time

    def measure(self, name, bound, prepare, count=200):
        """The memory that each of `count` strangers makes the daemon hold."""
        with self.daemon(login_delay="20s") as daemon, contextlib.ExitStack() as stack:
            self.check_served(daemon)
            wait_for(daemon.gauges_are_zero, "those before are gone")
            before = daemon.resident_bytes()
            held = daemon.metrics().value("dualbus_memory_bytes")
            prepare(daemon, count, stack)
            wait_for(lambda: daemon.metrics().value("dualbus_clients_not_logged_in") == count, "all are there")
            each = (daemon.resident_bytes() - before) / count / KILOBYTE
            counted = (daemon.metrics().value("dualbus_memory_bytes") - held) / count / KILOBYTE
            self.check_served(daemon)
            self.note(f"{name}: counted in limits.memory", counted, bound, "kB")
            if not self.sanitized:
                self.note(name, each, bound, "kB")

    def holding(self):
        for what, (data, bound) in WAYS.items():
            def send(daemon, count, stack, data=data):
                peers = self.strangers(daemon, count, stack, "127.0.0.2")
                for peer in peers:
                    peer.sendall(data)
                total = len(data) * count
                wait_for(lambda: daemon.metrics().value("dualbus_client_received_bytes_total") >= total, "all is read")

            self.measure(what, bound, send)

        def between(daemon, count, stack):
            engine, _ = self.log_in(daemon, "engine", stack)
            for peer in self.strangers(daemon, count, stack):
                engine.call("DEL", *range(4000))
                peer.sendall(b"*3\r\n$4\r\nAUTH")
                engine.call("PING")

        self.measure("half a request behind a large one of another client", 24, between, 100)

    def refused(self):
        with self.daemon() as daemon:
            for what, data in REFUSED.items():
                with socket.create_connection(daemon.address, 20) as peer:
                    peer.sendall(data)
                    answer = resp.Reader(lambda peer=peer: peer.recv(65536)).rest()
                    assert answer.startswith(b"-ERR Protocol error: ") or answer == b"", f"{what}: {answer[:100]}"
            self.check_served(daemon)

    def unread(self):
        """Replies that nobody reads: the kernel takes some, the daemon next to none."""
        with self.daemon() as daemon, contextlib.ExitStack() as stack:
            self.check_served(daemon)
            daemon.metrics()  # what the first look takes is nobody's
            before = daemon.resident_bytes()
            peers = self.strangers(daemon, 40, stack)
            sent = []
            for peer in peers:
                peer.settimeout(5)
                sent.append(0)
                with contextlib.suppress(OSError):
                    while sent[-1] < 32 * MEGABYTE:
                        sent[-1] += peer.send(encode("PING") * 1000)
            wait_for(lambda: daemon.metrics().value("dualbus_clients_closed_total", reason="output_limit") == len(peers), "all are closed")
            self.note("unread replies: bytes sent until it is closed", max(sent) / KILOBYTE, 8 * KILOBYTE, "kB")
            if not self.sanitized:
                self.note("unread replies", (daemon.resident_bytes() - before) / len(peers) / KILOBYTE, 64, "kB")
            self.check_served(daemon)

    def listener(self):
        for what, (head, piece) in HTTP.items():
            with self.daemon() as daemon:
                daemon.metrics()
                before, most = daemon.resident_bytes(), 0

                def send(daemon=daemon, head=head, piece=piece):
                    with socket.create_connection(("127.0.0.1", daemon.admin_port), 20) as peer, contextlib.suppress(OSError):
                        peer.settimeout(2)
                        peer.sendall(head)
                        for _ in range(32 * MEGABYTE // len(piece)):
                            peer.sendall(piece)

                with running(send) as thread:
                    while thread.is_alive():
                        most = max(most, daemon.resident_bytes() - before)
                        thread.join(0.005)
                self.note(f"admin listener: {what}", most / KILOBYTE, None if self.sanitized else 8 * KILOBYTE, "kB")
                self.check_served(daemon)

    # --- sieges

    def places(self):
        """Silent strangers keep nobody out; engines keep no operator out."""
        for workers in (1, 2):
            with self.daemon(workers, max_clients=48) as daemon, contextlib.ExitStack() as stack:
                self.strangers(daemon, 200, stack)
                for i in range(45):
                    _, answer = self.log_in(daemon, "engine", stack)
                    assert answer == "OK", f"engine {i}: {answer}"
                    if i % 9 == 0:
                        self.strangers(daemon, 50, stack)
                client, answer = self.log_in(daemon, "engine", stack)
                assert answer == "ERR max number of clients reached" and client.read_rest() == b"", answer
                for i in range(3):
                    client, answer = self.log_in(daemon, "operator", stack)
                    assert answer == "OK" and client.call("PING") == "PONG", f"operator {i}: {answer}"
                wait_for(lambda daemon=daemon: daemon.metrics().value("dualbus_clients") == 48, "nobody is left but who has logged in")
                assert daemon.metrics().value("dualbus_clients_closed_total", reason="displaced") >= 400
                refused = resp.Connection(daemon.address)
                stack.callback(refused.close)
                assert refused.read_rest() == b"-ERR max number of clients reached\r\n"

    def time_to_log_in(self):
        """However a stranger spends its time, it ends."""
        with self.daemon(login_timeout="1s") as daemon, contextlib.ExitStack() as stack:
            engine, _ = self.log_in(daemon, "engine", stack)
            silent, wrong, slow = self.strangers(daemon, 3, stack)
            wrong.sendall(encode("AUTH", "engine", "wrong"))
            with contextlib.suppress(OSError):
                for byte in encode("AUTH", "engine", "x" * 16_000):
                    slow.sendall(bytes([byte]))
                    time.sleep(0.05)
            for peer in (silent, wrong, slow):
                with contextlib.suppress(ConnectionResetError):
                    while peer.recv(65536):
                        pass
            assert daemon.metrics().value("dualbus_clients_closed_total", reason="login_timeout") == 3
            assert engine.call("PING") == "PONG"

    def guesses(self):
        """Guesses of one address become slow; a client that knows the password gets in all the same."""
        count, seconds = 20, 3
        with self.daemon() as daemon, contextlib.ExitStack() as stack:
            answers = [0] * count
            begun = time.monotonic()

            def guess(i, peer):
                reader = resp.Reader(lambda: peer.recv(65536))
                while time.monotonic() < begun + seconds:
                    peer.sendall(encode("AUTH", "engine", f"guess {answers[i]}"))
                    assert reader.read().startswith("WRONGPASS"), "an answer"
                    answers[i] += 1

            peers = self.strangers(daemon, count, stack, "127.0.0.2")
            with contextlib.ExitStack() as threads:
                for i, peer in enumerate(peers):
                    threads.enter_context(running(guess, i, peer))
                time.sleep(1)
                for source in ("127.0.0.1", "127.0.0.2"):
                    (peer,) = self.strangers(daemon, 1, stack, source)
                    start = time.monotonic()
                    peer.sendall(encode("AUTH", "engine", "engine") + encode("PING"))
                    reader = resp.Reader(lambda peer=peer: peer.recv(65536))
                    assert [reader.read(), reader.read()] == ["OK", "PONG"]
                    self.note(f"guesses go on: a log-in from {'the same' if source.endswith('2') else 'another'} address",
                              (time.monotonic() - start) * 1000, None, "ms")
            took = time.monotonic() - begun
            # Each connection: one a second, but for the time until the failures are counted.
            self.note("guesses: answered a second, of 20 connections", sum(answers) / took, count + 3 * count / seconds, "")
            assert daemon.metrics().value("dualbus_logins_delayed_total") > 0

    def flood(self):
        """Floods of the smallest requests, and how long others wait meanwhile."""
        count = 43_690  # as many as one read takes
        answer = len(b"-ERR unknown command 'P', with args beginning with: \r\n")
        for flooders in (0, 1, 10):
            with self.daemon() as daemon, contextlib.ExitStack() as stack:
                engine, _ = self.log_in(daemon, "engine", stack)
                over = threading.Event()

                def flood(client, over=over):
                    while not over.is_set():
                        client.socket.sendall(b"P\r\n" * count)
                        missing = count * answer
                        while missing > 0:
                            missing -= len(client.socket.recv(1 << 20))

                with contextlib.ExitStack() as threads:
                    threads.callback(over.set)
                    for _ in range(flooders):
                        threads.enter_context(running(flood, self.log_in(daemon, "engine", stack)[0]))
                    threads.callback(over.set)
                    times = []
                    end = time.monotonic() + 1.5
                    while time.monotonic() < end or len(times) < 20:
                        start = time.monotonic()
                        assert engine.call("PING") == "PONG"
                        times.append((time.monotonic() - start) * 1000)
                assert flooders == 0 or daemon.metrics().value("dualbus_client_shares_used_up_total") > 0
                self.note(f"{flooders} clients flood: p99 of another's PING", sorted(times)[len(times) * 99 // 100], None, "ms")

    # --- everything at once

    def round(self, daemon):
        pick = self.random
        with contextlib.ExitStack() as stack:
            for _ in range(pick.randrange(1, 8)):
                data = pick.choice([d for d, _ in WAYS.values()] + list(REFUSED.values()) + [b"P\r\n" * 20_000, encode("PING") * 1000])
                for peer in self.strangers(daemon, pick.randrange(1, 40), stack, f"127.0.0.{pick.randrange(2, 20)}"):
                    peer.setblocking(False)
                    with contextlib.suppress(OSError):
                        peer.send(data[:pick.randrange(len(data) + 1)] if pick.random() < 0.5 else data)
            if pick.random() < 0.3:
                head, piece = pick.choice(list(HTTP.values()))
                peer = socket.create_connection(("127.0.0.1", daemon.admin_port), 20)
                stack.callback(peer.close)
                peer.setblocking(False)
                with contextlib.suppress(OSError):
                    peer.send(head + piece[:pick.randrange(len(piece))])
            if pick.random() < 0.2:
                daemon.reload(daemon.config)
            self.check_served(daemon)

    def at_random(self, until):
        with self.daemon(max_clients=100, login_timeout="2s") as daemon:
            self.round(daemon)
            before, rounds = daemon.resident_bytes(), 0
            while time.monotonic() < until or rounds < 3:
                self.round(daemon)
                rounds += 1
            if not self.sanitized:
                self.note(f"everything at random, {rounds} rounds: growth", (daemon.resident_bytes() - before) / KILOBYTE, 32 * KILOBYTE, "kB")

    def run(self):
        until = time.monotonic() + self.options.seconds
        self.stack = Stack()
        try:
            for step in (self.holding, self.refused, self.unread, self.listener, self.places, self.time_to_log_in, self.guesses, self.flood):
                began = time.monotonic()
                step()
                if self.options.table:
                    print(f"{step.__name__}: {time.monotonic() - began:.1f} s", flush=True)
            self.at_random(until)
        finally:
            self.stack.end()
            if self.options.table:
                for what, value, bound, unit in self.rows:
                    print(f"{what:70} {value:10.1f} {unit:3}" + (f"   at most {bound:g}" if bound is not None else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DUALBUS_SECURITY_SEED", "0")) or random.SystemRandom().randrange(1, 10**9))
    parser.add_argument("--daemon", help="the program")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    options = parser.parse_args()
    if options.daemon:
        os.environ["DUALBUSD"] = os.path.abspath(options.daemon)
    print(f"seed {options.seed}", flush=True)
    Suite(options).run()


if __name__ == "__main__":
    main()
