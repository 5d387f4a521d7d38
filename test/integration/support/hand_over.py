"""Daemons that take one another's place, and clients that must not notice."""
import os
import re
import threading
import time

from support import resp
from support.servers import Daemon, daemon_program, wait_for


class Successor(Daemon):
    """A daemon with the same configuration that takes the place of a running one."""

    def __init__(self, before, number, changes=None):
        config = {**before.config, **(changes or {})}
        super().__init__(before.directory, config, name=f"successor-{number}")
        self.control = before.config["control"]["socket"]

    def take_over(self):
        """Only begins."""
        self.launch([daemon_program(), "--config", self.config_path, "--take-over", self.control], env=self.env)
        return self


class Chain:
    """The daemon of a stack, and those that follow it."""

    def __init__(self, stack):
        self.stack = stack
        self.number = 0

    current = property(lambda self: self.stack.daemon)

    def hand_over(self, changes=None, patience=60):
        """Returns when the next daemon serves all clients and the one before has ended with status 0."""
        before = self.current
        after = self.successor(changes).take_over()
        wait_for(lambda: not before.running() or not after.running(), f"the end of one\n{before.log()}\n{after.log()}", patience)
        assert before.process.wait() == 0, before.log()
        assert before.sanitizer_report() == "", before.sanitizer_report()
        after.wait_for_log(r"took over \d+ clients")
        assert after.running(), after.log()
        self.stack.daemon = after
        return before, after

    def successor(self, changes=None):
        self.number += 1
        after = Successor(self.current, self.number, changes)
        self.stack._others.append(after)  # is ended with the stack, whatever happens
        return after


def summary_of(daemon):
    """The figures of the line that a daemon writes when it has given its clients away."""
    found = re.search(r"handed over to process \d+ in ([\d.]+) s: (\d+) clients \((\d+) subscribers, (\d+) transactions\); "
                      r"(\d+) offers taken back, (\d+) refused, (\d+) clients are left", daemon.log())
    assert found, daemon.log()
    names = ("seconds", "clients", "subscribers", "transactions", "taken_back", "refused", "left")
    return dict(zip(names, map(float, found.groups())))


class Crowd:
    """Clients of all kinds, each with a thread of its own. Each error, each closed connection and each answer that was not
    expected goes into `faults`; the longest time of a request that does not wait into `slowest`."""

    def __init__(self, address, publishers=0, pollers=0, waiters=0, poppers=0, subscribers=0, transactions=0, prefix="crowd"):
        self.address, self.prefix = address, prefix
        self.faults, self.slowest, self.stopping = [], 0.0, threading.Event()
        self.published = [[] for _ in range(publishers)]
        self.followed = [[] for _ in range(pollers)]
        self.grouped = [[] for _ in range(waiters)]
        self.popped = [[] for _ in range(poppers)]
        self.heard = [[] for _ in range(subscribers)]
        self.committed = [0] * transactions
        self.spoken = [0]
        self._lock = threading.Lock()
        self._threads = []
        for run, count in ((self._publish, publishers), (self._poll, pollers), (self._wait, waiters), (self._pop, poppers),
                           (self._subscribe, subscribers), (self._transact, transactions)):
            for number in range(count):
                self._threads.append(threading.Thread(target=self._guarded, args=(run, number), daemon=True))
        if poppers:
            self._threads.append(threading.Thread(target=self._guarded, args=(self._push, 0), daemon=True))
        if subscribers:
            self._threads.append(threading.Thread(target=self._guarded, args=(self._speak, 0), daemon=True))
        self.stream = f"{prefix}-stream"
        self.ready = threading.Semaphore(0)

    def start(self):
        with resp.Connection(self.address) as first:
            first.call("XGROUP", "CREATE", self.stream, "g", "0", "MKSTREAM")
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            self.ready.acquire()
        return self

    def stop(self, grace=1.0):
        """Publishers stop first; the others get what is on its way."""
        self.stopping.set()
        time.sleep(grace)
        for thread in self._threads:
            thread.join(30)
            if thread.is_alive():
                self.faults.append(f"{thread.name} does not end")

    def _guarded(self, run, number):
        try:
            with resp.Connection(self.address, timeout=30, protocol=2 + number % 2) as connection:
                run(connection, number)
        except Exception as error:  # pylint: disable=broad-except
            self.faults.append(f"{run.__name__} {number}: {type(error).__name__} {error}")
            self.ready.release()

    def _timed(self, connection, *request):
        begun = time.monotonic()
        reply = connection.call(*request)
        took = time.monotonic() - begun
        with self._lock:
            self.slowest = max(self.slowest, took)
        if isinstance(reply, resp.ReplyError):
            raise AssertionError(f"{request}: {reply}")
        return reply

    def _publish(self, connection, number):
        connection.call("CLIENT", "SETNAME", f"{self.prefix}-publisher-{number}")
        self.ready.release()
        count = 0
        while not self.stopping.is_set():
            kind = ("market_data", "order_request")[count % 2]
            message = f"{number}:{count}"
            self.published[number].append((self._timed(connection, "XADD", self.stream, "*", "message_type", kind, "n", message),
                                           message))
            count += 1
            time.sleep(0.005)

    def _poll(self, connection, number):
        """Follows the stream with XREAD, without waiting and with."""
        self.ready.release()
        last = "0-0"
        idle = 0
        while idle < 3:
            block = ("BLOCK", 100) if number % 2 else ()
            begun = time.monotonic()
            reply = connection.call("XREAD", "COUNT", 100, *block, "STREAMS", self.stream, last)
            if not block:
                with self._lock:
                    self.slowest = max(self.slowest, time.monotonic() - begun)
            if isinstance(reply, resp.ReplyError):
                raise AssertionError(reply)
            entries = _entries(reply)
            self.followed[number] += [fields[3].decode() for _, fields in entries]
            last = entries[-1][0].decode() if entries else last
            idle = idle + 1 if self.stopping.is_set() and not entries else 0
            time.sleep(0.01)

    def _wait(self, connection, number):
        """Reads with the group, and waits."""
        self.ready.release()
        idle = 0
        while idle < 2:
            reply = connection.call("XREADGROUP", "GROUP", "g", f"c{number}", "COUNT", 10, "BLOCK", 500, "STREAMS", self.stream, ">")
            if isinstance(reply, resp.ReplyError):
                raise AssertionError(reply)
            entries = _entries(reply)
            self.grouped[number] += [fields[3].decode() for _, fields in entries]
            if entries:
                self._timed(connection, "XACK", self.stream, "g", *[entry_id for entry_id, _ in entries])
            idle = idle + 1 if self.stopping.is_set() and not entries else 0

    def _pop(self, connection, number):
        self.ready.release()
        while True:
            reply = connection.call("BLPOP", f"el:{self.prefix}-list", 2)
            if isinstance(reply, resp.ReplyError):
                raise AssertionError(reply)
            if reply is not None:
                self.popped[number].append(int(reply[1]))
            elif self.stopping.is_set():
                return

    def _push(self, connection, _):
        self.ready.release()
        count = 0
        while not self.stopping.is_set():
            self._timed(connection, "RPUSH", f"el:{self.prefix}-list", count)
            count += 1
            time.sleep(0.01)
        self.pushed = count

    def _subscribe(self, connection, number):
        words = (("SUBSCRIBE", f"{self.prefix}:news"), ("PSUBSCRIBE", f"{self.prefix}:n*"))[number // 2 % 2]
        connection.send(*words)
        connection.read()
        self.ready.release()
        connection.socket.settimeout(0.5)
        while True:
            try:
                message = connection.read()
                self.heard[number].append(int(message[-1]))
            except TimeoutError:
                if self.stopping.is_set():
                    return

    def _speak(self, connection, _):
        self.ready.release()
        time.sleep(0.3)
        while not self.stopping.is_set():
            self._timed(connection, "PUBLISH", f"{self.prefix}:news", self.spoken[0])
            self.spoken[0] += 1
            time.sleep(0.002)

    def _transact(self, connection, number):
        self.ready.release()
        while not self.stopping.is_set():
            self._timed(connection, "MULTI")
            for _ in range(3):
                assert self._timed(connection, "INCR", f"el:{self.prefix}-count-{number}") == "QUEUED"
                time.sleep(0.01)
            reply = self._timed(connection, "EXEC")
            self.committed[number] += 3
            if reply != list(range(self.committed[number] - 2, self.committed[number] + 1)):
                raise AssertionError(f"EXEC answered {reply} behind {self.committed[number]}")

    def check(self, test):
        """Nobody was closed, nothing failed, nothing was lost or doubled."""
        test.assertEqual(self.faults, [])
        sent = sorted(message for each in self.published for _, message in each)
        test.assertEqual(len(sent), len(set(sent)))
        for each in self.followed:
            test.assertEqual(sorted(each), sent)
        if self.grouped:
            test.assertEqual(sorted(message for each in self.grouped for message in each), sent)
        if self.popped:
            test.assertEqual(sorted(n for each in self.popped for n in each), list(range(self.pushed)))
        for number, each in enumerate(self.heard):
            test.assertEqual(each, list(range(self.spoken[0])), f"subscriber {number}")


def _entries(reply):
    if reply is None:
        return []
    [(_, entries)] = reply.items() if isinstance(reply, dict) else [tuple(pair) for pair in reply]
    return entries


def control_socket_of(stack_directory):
    return os.path.join(stack_directory, "control.sock")
