#!/usr/bin/python3
"""Speaks whole sessions of valid-looking requests at the daemon, many at a time, and checks what comes back.

    DUALBUSD=build/release/dualbusd test/fuzz/session_fuzz.py [--seconds N] [--seed N] [--clients N] [--layout two|plain]

two    several clients at once before two buses, one of which is now and then killed, restarted or frozen: every request has one
       reply, in order, in the protocol of its connection; the daemon closes when Redis would, answers others meanwhile, and
       has given everything back when all have left.
plain  one client before one Redis, and a bare Redis beside it: replies agree byte for byte.

The requests of a session are the same for the same seed; how sessions meet is not. DUALBUS_FUZZ_SECONDS and DUALBUS_FUZZ_SEED
are the defaults; without them it takes 10 s, or with a sanitizer in the daemon and two buses 60 s, and any seed. A failure
names its seed and the last requests.
"""
import argparse
import os
import random
import socket
import sys
import threading
import time
import traceback

from session_model import Model, StrictReader, Violation
from session_requests import STATEFUL, Generator, malformed

from support.harness import Stack, sanitized, wait_for
from support.resp import Connection, encode

# The longest time for a reply: a frozen bus is given up after 2 s, and ten busy processes share the machine.
BOUND = 40
BLOCKING = {b"blpop", b"brpop", b"blmove", b"brpoplpush", b"blmpop", b"bzpopmin", b"bzpopmax", b"bzmpop", b"xread", b"xreadgroup"}
CONFIG = {
    "flush": "allowed",
    "databases": 4,
    "backend": {"reconnect_wait": "300ms", "request_timeout": "2s", "health_interval": "200ms", "health_timeout": "1s", "backoff_max": "200ms",
                "dedicated_connections": 12},
    "limits": {"max_request": "1mb"},
    "log": {"level": "warning"},
}


class World:
    """The state that all sessions share."""

    def __init__(self, options):
        self.options = options
        self.stack = Stack(CONFIG)
        self.daemon = self.stack.daemon
        self.end = time.monotonic() + options.seconds
        self.pauses = options.seed % 2 == 0  # whether sessions send CLIENT PAUSE
        self.failed = threading.Event()
        self.sessions = self.requests = self.outages = 0
        self.lock = threading.Lock()

    def over(self):
        return self.failed.is_set() or time.monotonic() > self.end

    def fail(self, fault, trace=""):
        with self.lock:
            if not self.failed.is_set():
                print(f"\nviolated (seed {self.options.seed}): {fault}\n{trace}", file=sys.stderr, flush=True)
            self.failed.set()


class Session:
    """One connection: some batches of requests, cut anywhere, and then one of the ways to end."""

    def __init__(self, world, seed):
        self.world, self.seed = world, seed
        self.random = random.Random(seed)
        self.make = Generator(self.random)
        self.socket = socket.create_connection(world.daemon.address, BOUND)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.model = Model(StrictReader(lambda: self.socket.recv(self.piece)))
        self.piece = self.random.choice((1 << 18, 1 << 18, 997))
        self.sent, self.read = [], 0
        self.off = False  # replies are off behind what has been made so far
        self.may_be_closed = False

    def __str__(self):
        head = "\n".join(f"  {number:4} {self.shown(request)}" for number, request in list(enumerate(self.sent))[max(0, self.read - 12):self.read + 3])
        replies = "\n".join(f"  {raw[:150]!r}" for raw in self.model.reader.last)
        return f"session {self.seed}, request {self.read} of {len(self.sent)}:\n{head}\nlast replies:\n{replies}"

    @staticmethod
    def shown(request):
        return " ".join(repr(word[:60])[1:] + ("…" if len(word) > 60 else "") for word in request[:20])

    def run(self):
        try:
            for _ in range(self.random.choice((1, 1, 2, 3, 6))):
                self.send(self.batch(self.random.choice((1, 2, 5, 12, 30))))
                self.read_all()
            self.random.choice((self.leave, self.leave, self.quit, self.vanish, self.vanish_within_request, self.half_close, self.damage, self.be_killed,
                                self.monitor, self.read_slowly))()
        except (ConnectionError, socket.timeout) as error:
            if not self.may_be_closed:
                raise Violation(f"{type(error).__name__} {error}") from error
        finally:
            self.socket.close()
            self.world.sessions += 1
            self.world.requests += len(self.sent)

    # --- sending

    def batch(self, count):
        requests = []
        for _ in range(count):
            request = self.make.stateless() if self.off else self.make.request()
            if [word.upper() for word in request[:2]] == [b"CLIENT", b"PAUSE"] and not self.world.pauses:
                request = [b"CLIENT", b"UNPAUSE"]
            if request[0].upper() == b"CLIENT" and request[1] == b"REPLY" and request[2] in (b"OFF", b"SKIP"):
                # The server sends nothing back that shows whether this works: behind RESET it depends on nothing else.
                requests += [[b"RESET"], request, *[self.make.stateless() for _ in range(self.random.randrange(1, 5))], [b"CLIENT", b"REPLY", b"ON"]]
                continue
            requests.append(request)
            if self.random.random() < 0.2:
                requests.append([b"ECHO", b"%d-%d" % (len(self.sent), len(requests))])
        return requests

    def send(self, requests):
        data = b"".join(encode(*request) for request in requests)
        self.sent += requests
        cuts = sorted(self.random.randrange(len(data)) for _ in range(self.random.choice((0, 0, 1, 3))))
        writer = threading.Thread(target=self._write, args=(data, cuts), daemon=True)
        writer.start()  # the daemon stops reading from who does not read
        self._writer = writer

    def _write(self, data, cuts):
        try:
            for begin, end in zip([0, *cuts], [*cuts, len(data)]):
                self.socket.sendall(data[begin:end])
                time.sleep(0.0005)
        except OSError:
            pass  # the reading side says whether that may be

    # --- reading

    def read_all(self):
        while self.read < len(self.sent):
            self.model.take(self.sent[self.read])
            self.read += 1
        self._writer.join(BOUND)

    def expect_end(self):
        """Nothing more comes but what others publish."""
        try:
            reply = self.model.one()
        except ConnectionResetError:
            return
        except ConnectionError as error:
            if str(error).endswith("after b''"):
                return
            raise
        raise Violation(f"behind the last reply comes {reply.raw[:200]!r}")

    # --- ways to end

    def leave(self):
        """One more exchange proves that nothing is left over."""
        self.send([[b"RESET"], [b"ECHO", b"the end"]])
        self.read_all()

    def quit(self):
        self.send([[b"RESET"], [b"QUIT"], [b"SET", b"k", b"v"]])
        self.sent.pop()
        self.read_all()
        self.expect_end()

    def vanish(self):
        self.send(self.batch(20))
        self._writer.join(self.random.choice((0, 0.01)))
        self.may_be_closed = True
        if self.random.random() < 0.5:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def vanish_within_request(self):
        data = encode(*self.make.request())
        self.socket.sendall(data[:self.random.randrange(len(data))])
        if self.random.random() < 0.5:
            self.socket.shutdown(socket.SHUT_WR)
            self.expect_end()

    def half_close(self):
        self.send([request for request in self.batch(10) if request[0].lower() not in BLOCKING])
        self._writer.join(BOUND)
        self.may_be_closed = self.world.pauses  # what a pause holds back is dropped with its client, as in Redis
        self.socket.shutdown(socket.SHUT_WR)
        self.read_all()
        self.expect_end()

    def damage(self):
        self.send([[b"RESET"]] + [request for request in self.batch(5) if request[0].lower() not in STATEFUL])
        self._writer.join(BOUND)
        self.socket.sendall(malformed(self.random))
        self.read_all()
        reply = self.model.one()
        if not reply.raw.startswith(b"-ERR Protocol error"):
            raise Violation(f"damage is answered {reply.raw[:200]!r}")
        self.expect_end()

    def be_killed(self):
        self.send([[b"RESET"], [b"CLIENT", b"ID"]])
        self.sent.pop()
        self.read_all()
        own = self.model.one().value
        self.may_be_closed = True
        self.send([self.random.choice(([b"BLPOP", b"nothing", b"30"], [b"XREAD", b"BLOCK", b"30000", b"STREAMS", b"nothing", b"$"],
                                       [b"SUBSCRIBE", b"c1"], [b"MULTI"], [b"WATCH", b"el:k"], [b"PING"]))])
        self._writer.join(BOUND)
        with Connection(self.world.daemon.address, timeout=BOUND) as other:
            if self.random.random() < 0.3:
                other.call("CLIENT", "UNBLOCK", own, "ERROR")
            if (killed := other.call("CLIENT", "KILL", "ID", own)) != 1:
                raise Violation(f"CLIENT KILL ID {own} is answered {killed!r}")
        self.model.reader.rest()

    def monitor(self):
        self.send([[b"RESET"], [b"MONITOR"]])
        self.read_all()
        self.socket.settimeout(0.05)
        try:
            for _ in range(20):
                reply = self.model.one()
                if reply.kind != b"+":
                    raise Violation(f"MONITOR shows {reply.raw[:200]!r}")
        except socket.timeout:
            pass

    def read_slowly(self):
        self.piece = 20011
        self.send([[b"RESET"], [b"SET", b"big", b"x" * 60000]] + [[b"GET", b"big"]] * 100)
        for _ in range(self.random.choice((3, 1000))):
            if self.read == len(self.sent):
                return
            self.model.take(self.sent[self.read])
            self.read += 1
            time.sleep(0.001)


def speak(world, client):
    number = 0
    while not world.over():
        seed = f"{world.options.seed}:{client}:{number}"
        number += 1
        session = None
        try:
            session = Session(world, seed)
            session.run()
        except Exception as error:  # pylint: disable=broad-except
            world.fail(f"{error}\n{session}", "" if isinstance(error, Violation) else traceback.format_exc())


def disturb(world):
    """Now and then a bus is frozen or killed. Between it there is time for everything to work."""
    chance = random.Random(world.options.seed)
    while not world.over():
        time.sleep(chance.uniform(1, 4))
        bus = chance.choice([world.stack.marketdata, world.stack.engine_logic])
        world.outages += 1
        if chance.random() < 0.5:
            bus.pause()
            time.sleep(chance.choice((0.05, 0.5, 2.5)))
            bus.proceed()
        else:
            bus.kill()
            time.sleep(chance.choice((0, 0.2, 1)))
            bus.start()


def observe(world):
    """PING and the metrics page, as long as the sessions last."""
    with Connection(world.daemon.address, timeout=BOUND) as client:
        slowest = 0.0
        while not world.over():
            started = time.monotonic()
            try:
                if client.call("ECHO", "here") != b"here":
                    world.fail("an observer's ECHO has another reply")
                slowest = max(slowest, time.monotonic() - started)
                world.daemon.metrics()
            except Exception as error:  # pylint: disable=broad-except
                world.fail(f"an observer: {error}")
            if not world.daemon.running():
                world.fail(f"the daemon ended\n{world.daemon.log()[-8000:]}")
            time.sleep(0.1)
        print(f"slowest ECHO {slowest * 1000:.0f} ms", flush=True)


def check_leftovers(world, before):
    """Nobody is there any more: everything that was taken is back."""
    daemon = world.daemon
    wait_for(daemon.gauges_are_zero, "gauges at zero")
    metrics = daemon.metrics()
    for gauge in ("dualbus_pubsub_clients", "dualbus_pubsub_channels", "dualbus_pubsub_patterns", "dualbus_pubsub_shard_channels",
                  "dualbus_parked_readers", "dualbus_engine_connections"):
        if metrics.value(gauge):
            raise Violation(f"{gauge} is {metrics.value(gauge)} without clients")
    watchers = []
    for key in ("md:k", "el:k"):  # each takes one of the dedicated connections: all of them are to be had
        for _ in range(CONFIG["backend"]["dedicated_connections"]):
            watchers.append(Connection(daemon.address, timeout=BOUND))
            wait_for(lambda key=key: watchers[-1].call("WATCH", key) == "OK", f"a connection of its own for WATCH {key}")
    for watcher in watchers:
        watcher.close()
    wait_for(daemon.gauges_are_zero, "gauges at zero")
    descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    spare = 2 * (CONFIG["backend"]["dedicated_connections"] + 3 * CONFIG["databases"] + 4)
    if descriptors > before["descriptors"] + spare:
        raise Violation(f"{descriptors} descriptors, {before['descriptors']} at the beginning")
    grown = (daemon.resident_bytes() - before["memory"]) >> 20
    if grown > (700 if sanitized() else 150):  # a sanitizer keeps 256 MB of what was freed
        raise Violation(f"grown by {grown} MB")
    print(f"{descriptors} descriptors ({before['descriptors']} at first), grown by {grown} MB", flush=True)


def fuzz(options):
    world = World(options)
    try:
        before = {"descriptors": len(os.listdir(f"/proc/{world.daemon.pid}/fd")), "memory": world.daemon.resident_bytes()}
        threads = [threading.Thread(target=speak, args=(world, client), daemon=True) for client in range(options.clients)]
        threads.append(threading.Thread(target=observe, args=(world,), daemon=True))
        for thread in threads:
            thread.start()
        disturb(world)  # here: a process ends with the thread that started it
        for thread in threads:
            thread.join()
        if world.failed.is_set():
            print(world.daemon.sanitizer_report() or world.daemon.log()[-2000:], file=sys.stderr)
            return 1
        wait_for(lambda: world.daemon.fetch("/readyz?all")[0] == 200, "the daemon is ready")
        check_leftovers(world, before)
        assert world.daemon.terminate() == 0 and not world.daemon.sanitizer_report(), world.daemon.sanitizer_report() or world.daemon.log()
        print(f"seed {options.seed}: {world.sessions} sessions, {world.requests} requests, {world.outages} outages", flush=True)
        return 0
    finally:
        world.stack._end_processes()  # pylint: disable=protected-access


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("DUALBUS_FUZZ_SECONDS", "0")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DUALBUS_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 10**9))
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--layout", choices=("two", "plain"), default="two")
    options = parser.parse_args()
    options.seconds = options.seconds or (60 if options.layout == "two" and sanitized() else 10)
    print(f"seed {options.seed}, {options.seconds:.0f} s", flush=True)
    if options.layout == "plain":
        from session_comparison import compare  # pylint: disable=import-outside-toplevel
        return compare(options)
    return fuzz(options)


if __name__ == "__main__":
    sys.exit(main())
