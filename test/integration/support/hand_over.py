"""Daemons that take one another's place, and clients that must not notice."""
import functools
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
        self.unmarked = False  # as went_unmarked(), of any of them

    current = property(lambda self: self.stack.daemon)

    def hand_over(self, changes=None, patience=60):
        """Returns when the next daemon serves all clients and the one before has ended with status 0."""
        before = self.current
        wait_for(lambda: holds_control_socket(before) or not before.running(), "a successor may knock")
        after = self.successor(changes).take_over()
        wait_for(lambda: not before.running() or not after.running(), Later(lambda: f"the end of one\n{before.log()}\n{after.log()}"), patience)
        assert not before.running() and before.process.returncode == 0, f"{before.log()}\n{after.log()}"
        assert before.sanitizer_report() == "", before.sanitizer_report()
        self.unmarked |= went_unmarked(before)
        after.wait_for_log(r"took over \d+ clients")
        assert after.running(), after.log()
        self.stack.daemon = after
        return before, after

    def successor(self, changes=None):
        self.number += 1
        after = Successor(self.current, self.number, changes)
        self.stack._others.append(after)  # is ended with the stack, whatever happens
        return after


class Later:
    """A text that is made when somebody wants to read it."""

    def __init__(self, make):
        self._make = make

    def __str__(self):
        return self._make()


def holds_control_socket(daemon):
    """Whether a successor that knocks is heard by this daemon: behind a hand-over somewhat later than it serves clients. A socket
    that takes another one's place keeps the name that it had before that."""
    path = daemon.config["control"]["socket"]
    with open("/proc/net/unix", encoding="utf-8") as file:
        # Its columns: number, references, protocol, flags, type, state, inode, path. The flag says that it listens.
        inodes = {fields[6] for fields in map(str.split, file) if fields[3] == "00010000" and fields[-1] in (path, path + ".new")}
    if os.path.exists(path + ".new"):
        return False
    try:
        for descriptor in os.listdir(f"/proc/{daemon.pid}/fd"):
            if os.readlink(f"/proc/{daemon.pid}/fd/{descriptor}").removeprefix("socket:[").rstrip("]") in inodes:
                return True
    except OSError:
        pass  # it has ended, or one of its descriptors is closed
    return False


def went_unmarked(daemon):
    """Whether it has said that subscribers may have missed a message when they went."""
    return "the marker of a bus does not come" in daemon.log()


def summary_of(daemon):
    """The figures of the line that a daemon writes when it has given its clients away."""
    found = re.search(r"handed over to process \d+ in ([\d.]+) s: (\d+) clients \((\d+) subscribers, (\d+) transactions\); "
                      r"(\d+) offers taken back, (\d+) refused, (\d+) clients are left", daemon.log())
    assert found, daemon.log()
    names = ("seconds", "clients", "subscribers", "transactions", "taken_back", "refused", "left")
    return dict(zip(names, map(float, found.groups())))


class Crowd:
    """Clients of all kinds, each with a thread of its own. Each error, each closed connection and each answer that was not
    expected goes into `faults`; the longest time of a request that does not wait into `slowest`. `pace` multiplies all pauses."""

    def __init__(self, address, publishers=0, pollers=0, waiters=0, poppers=0, subscribers=0, transactions=0, prefix="crowd", pace=1):
        self.address, self.prefix, self.pace = address, prefix, pace
        self.faults, self.slowest, self.requests, self.stopping = [], 0.0, 0, threading.Event()
        self.published = [[] for _ in range(publishers)]
        self.followed = [[] for _ in range(pollers)]
        self.grouped = [[] for _ in range(waiters)]
        self.popped = [[] for _ in range(poppers)]
        self.heard = [[] for _ in range(subscribers)]
        self.committed = [0] * transactions
        self.spoken, self.pushed = [0], 0
        self._lock = threading.Lock()
        self._begun, self._all_sent = threading.Event(), threading.Event()
        self._deadline = None  # of what is on its way when all is sent
        self._senders, self._receivers = [], []
        for threads, run, count in ((self._senders, self._publish, publishers), (self._senders, self._transact, transactions),
                                    (self._senders, self._push, min(poppers, 1)), (self._senders, self._speak, min(subscribers, 1)),
                                    (self._receivers, self._poll, pollers), (self._receivers, self._wait, waiters),
                                    (self._receivers, self._pop, poppers), (self._receivers, self._subscribe, subscribers)):
            for number in range(count):
                threads.append(threading.Thread(target=self._guarded, args=(run, number), daemon=True))
        self.stream = f"{prefix}-stream"
        self.ready = threading.Semaphore(0)

    def start(self):
        """Returns when all are connected."""
        with resp.Connection(self.address) as first:
            first.call("XGROUP", "CREATE", self.stream, "g", "0", "MKSTREAM")
        for thread in (*self._senders, *self._receivers):
            thread.start()
        for _ in (*self._senders, *self._receivers):
            self.ready.acquire()
        self._begun.set()  # all who subscribe have done so
        return self

    def stop(self, patience=60):
        """Those who send end first; the others when they have got everything."""
        self.stopping.set()
        self._join(self._senders, patience)
        self._deadline = time.monotonic() + patience
        self._all_sent.set()
        self._join(self._receivers, 2 * patience)

    def _join(self, threads, patience):
        for thread in threads:
            thread.join(patience)
            if thread.is_alive():
                self.faults.append(f"{thread.name} does not end")

    def await_progress(self, patience=60):
        """Until everybody has done something since now."""
        before = self._done()
        wait_for(lambda: self.faults or all(now > then for now, then in zip(self._done(), before)), "everybody goes on", patience)

    def _done(self):
        each = (*self.published, *self.followed, *self.heard)
        together = [sum(map(len, some)) for some in (self.grouped, self.popped) if some]
        return [*map(len, each), *self.committed, *together]

    def _over(self, complete):
        """Whether a receiver may end as soon as nothing more comes: it has everything, or has waited for too long."""
        return self._all_sent.is_set() and (complete() or time.monotonic() > self._deadline)

    def _sent(self):
        return sum(map(len, self.published))

    def _pause(self, seconds):
        time.sleep(seconds * self.pace)

    def _guarded(self, run, number):
        try:
            with resp.Connection(self.address, timeout=60, protocol=2 + number % 2) as connection:
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
            self.requests += 1
        if isinstance(reply, resp.ReplyError):
            raise AssertionError(f"{request}: {reply}")
        return reply

    def _publish(self, connection, number):
        connection.call("CLIENT", "SETNAME", f"{self.prefix}-publisher-{number}")
        self.ready.release()
        self._begun.wait()
        count = 0
        while not self.stopping.is_set():
            kind = ("market_data", "order_request")[count % 2]
            message = f"{number}:{count}"
            self.published[number].append((self._timed(connection, "XADD", self.stream, "*", "message_type", kind, "n", message),
                                           message))
            count += 1
            self._pause(0.005)

    def _poll(self, connection, number):
        """Follows the stream with XREAD, without waiting and with."""
        self.ready.release()
        last = "0-0"
        idle = 0
        while idle < 3:
            call = connection.call if number % 2 else functools.partial(self._timed, connection)
            reply = call("XREAD", "COUNT", 1000, *(("BLOCK", 100) if number % 2 else ()), "STREAMS", self.stream, last)
            if isinstance(reply, resp.ReplyError):
                raise AssertionError(reply)
            entries = _entries(reply)
            self.followed[number] += [fields[3].decode() for _, fields in entries]
            last = entries[-1][0].decode() if entries else last
            idle = idle + 1 if not entries and self._over(lambda: len(self.followed[number]) >= self._sent()) else 0
            if idle == 0:
                self._pause(0.01)

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
            idle = idle + 1 if not entries and self._over(lambda: sum(map(len, self.grouped)) >= self._sent()) else 0

    def _pop(self, connection, number):
        self.ready.release()
        while True:
            reply = connection.call("BLPOP", f"el:{self.prefix}-list", 2)
            if isinstance(reply, resp.ReplyError):
                raise AssertionError(reply)
            if reply is not None:
                self.popped[number].append(int(reply[1]))
            elif self._over(lambda: sum(map(len, self.popped)) >= self.pushed):
                return

    def _push(self, connection, _):
        self.ready.release()
        self._begun.wait()
        while not self.stopping.is_set():
            self._timed(connection, "RPUSH", f"el:{self.prefix}-list", self.pushed)
            self.pushed += 1
            self._pause(0.01)

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
                if self._over(lambda: len(self.heard[number]) >= self.spoken[0]):
                    return

    def _speak(self, connection, _):
        self.ready.release()
        self._begun.wait()
        while not self.stopping.is_set():
            self._timed(connection, "PUBLISH", f"{self.prefix}:news", self.spoken[0])
            self.spoken[0] += 1
            self._pause(0.002)

    def _transact(self, connection, number):
        self.ready.release()
        while not self.stopping.is_set():
            self._timed(connection, "MULTI")
            for _ in range(3):
                assert self._timed(connection, "INCR", f"el:{self.prefix}-count-{number}") == "QUEUED"
                self._pause(0.01)
            reply = self._timed(connection, "EXEC")
            self.committed[number] += 3
            if reply != list(range(self.committed[number] - 2, self.committed[number] + 1)):
                raise AssertionError(f"EXEC answered {reply} behind {self.committed[number]}")

    def check(self, test, unmarked=False):
        """Nobody was closed, nothing failed, nothing was lost or doubled; with `unmarked` subscribers may have missed a few
        messages, or got them twice."""
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
            if unmarked:
                test.assertLess(len(set(range(self.spoken[0])) - set(each)), 20, f"subscriber {number}")
            else:
                test.assertEqual(each, list(range(self.spoken[0])), f"subscriber {number}")


def _entries(reply):
    if reply is None:
        return []
    [(_, entries)] = reply.items() if isinstance(reply, dict) else [tuple(pair) for pair in reply]
    return entries
