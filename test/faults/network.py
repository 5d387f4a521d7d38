"""The network between daemons and buses: one link for each pair, in a process of its own, each of which can be disturbed.

A partition is made by the kernel, which drops the packets of a link: what the sender's kernel still has arrives some time after
it has healed, unless the sender has reset the connection. If the kernel cannot be asked to, a link is held: it reads nothing
more. Then its own kernel takes what is sent meanwhile and acknowledges it, so a held link is rather like a bus that hangs; when it
is released, what was sent arrives at once, unless the connection was reset.
"""
import contextlib
import multiprocessing
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time

from support import resp
from support.servers import free_port

MOST_BUFFERED = 1 << 20
FEELS_EVERY = 0.05
RESET = struct.pack("ii", 1, 0)


class Network:
    """Used by the campaign. Add all links, then start()."""

    def __init__(self):
        self._targets, self._listeners, self._ports = {}, {}, {}
        self._dropped = set()
        self._lock = threading.Lock()
        self._pipe = self._process = None

    def add(self, name, address):
        """A new link to `address`; returns where it listens."""
        port = self._ports[name] = free_port()
        self._listeners[name] = socket.create_server(("127.0.0.1", port), backlog=128)
        self._targets[name] = address
        return f"127.0.0.1:{port}"

    def start(self):
        self._pipe, other = multiprocessing.Pipe()
        parent = os.getpid()
        self._process = multiprocessing.get_context("fork").Process(
            target=lambda: _Relay(self._listeners, self._targets, other, parent).run(), daemon=True)
        self._process.start()
        other.close()
        for listener in self._listeners.values():
            listener.close()

    def drop(self, name, on):
        """The kernel drops the packets between the daemon and this link."""
        for way in ("--dport", "--sport"):
            rule = ["INPUT", "-i", "lo", "-p", "tcp", way, str(self._ports[name]), "-j", "DROP"]
            subprocess.run(["iptables", "-w", "-A" if on else "-D", *rule], check=True)
        (self._dropped.add if on else self._dropped.discard)(name)

    def stop(self):
        for name in list(self._dropped):
            self.drop(name, False)
        if self._process:
            self._process.kill()
            self._process.join()

    def call(self, verb, name, *arguments):
        """hold, release, delay, cut, reset, trickle, lie, truth: see _Relay. Returns its answer."""
        with self._lock:
            self._pipe.send((verb, name, *arguments))
            return self._pipe.recv()

    def stalls(self):
        """The times at which it could not work since the last call, as (begin, end)."""
        return self.call("stalls", None)


class _Side:
    """One of the two sockets of a connection, and what is to be written to it."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.out = bytearray()
        self.later = []  # (when, bytes), in order
        self.ended = False  # nothing more comes from it
        self.shut = False  # it has been told that nothing more comes
        self.received = 0
        self.other = self.pair = None


class _Link:
    def __init__(self, name, target):
        self.name, self.target = name, target
        self.held = False
        self.delay, self.jitter = 0.0, 0.0
        self.trickle = False
        self.lies = []  # pending: "omit", or bytes to be slipped in
        self.told = 0  # lies told
        self.pairs = set()


class _Relay:
    """The process of the links: one thread, one selector."""

    def __init__(self, listeners, targets, pipe, parent):
        self._parent, self._pipe = parent, pipe
        self._selector = selectors.DefaultSelector()
        self._links = {name: _Link(name, target) for name, target in targets.items()}
        self._listeners = listeners
        self._chance = random.Random(1)
        self._waiting = set()  # sides with something for later
        self._stalls = []

    def run(self):
        self._selector.register(self._pipe, selectors.EVENT_READ, self._obey)
        for name, listener in self._listeners.items():
            listener.setblocking(False)
            self._watch_listener(self._links[name])
        while os.getppid() == self._parent:
            began, patience = time.monotonic(), self._patience()
            ready = self._selector.select(patience)
            self._note_stall(began, patience)
            began = time.monotonic()
            for key, mask in ready:
                try:
                    if isinstance(key.data, _Side):
                        self._ready(key.data, mask)
                    else:
                        key.data()
                except OSError as error:
                    if isinstance(key.data, _Side):
                        self._break(key.data.pair, reset=isinstance(error, ConnectionResetError))
            self._send_what_is_due()
            self._note_stall(began, 0)

    def _patience(self):
        soonest = min((side.later[0][0] for side in self._waiting), default=None)
        return FEELS_EVERY if soonest is None else min(FEELS_EVERY, max(0.0, soonest - time.monotonic()))

    def _note_stall(self, began, patience):
        """This process had no processor, or too much to do: what passes its links was late."""
        now = time.monotonic()
        if now - began > patience + 0.15:
            self._stalls.append((began, now))

    # --- orders

    def _obey(self):
        try:
            verb, name, *arguments = self._pipe.recv()
        except EOFError:
            sys.exit()
        link = self._links.get(name)
        self._pipe.send(getattr(self, "_do_" + verb)(link, *arguments))

    def _do_hold(self, link):
        """Nothing passes any more."""
        link.held = True
        self._selector.unregister(self._listeners[link.name])
        for pair in link.pairs:
            for side in pair:
                self._interest(side)

    def _do_release(self, link):
        """Passes on what has been held back, unless its sender has reset the connection."""
        link.held, given_up = False, 0
        self._watch_listener(link)
        for pair in list(link.pairs):
            if any(side.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for side in pair):
                self._break(pair, reset=True)
                given_up += 1
            else:
                for side in pair:
                    self._interest(side)
        return given_up

    def _do_delay(self, link, seconds, jitter=0.0):
        link.delay, link.jitter = seconds, jitter

    def _do_trickle(self, link, on):
        link.trickle = on

    def _do_cut(self, link):
        return self._end_all(link, reset=False)

    def _do_reset(self, link):
        return self._end_all(link, reset=True)

    def _end_all(self, link, reset):
        count = len(link.pairs)
        for pair in list(link.pairs):
            self._break(pair, reset)
        return count

    def _do_lie(self, link, lie):
        """`lie`: "omit" leaves the next reply out, bytes are slipped in before it."""
        link.lies.append(lie)

    def _do_truth(self, link):
        """No lie from now on; how many have been told."""
        told, link.told, link.lies = link.told, 0, []
        return told

    def _do_stalls(self, _):
        stalls, self._stalls = self._stalls, []
        return stalls

    # --- connections

    def _watch_listener(self, link):
        self._selector.register(self._listeners[link.name], selectors.EVENT_READ, lambda: self._accept(link))

    def _accept(self, link):
        connection, _ = self._listeners[link.name].accept()
        try:
            bus = socket.create_connection(link.target, 1)
        except OSError:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
            return
        pair = (_Side(connection), _Side(bus))
        pair[0].other, pair[1].other = pair[1], pair[0]
        for side in pair:
            side.pair = pair
            side.link = link
            self._selector.register(side.socket, selectors.EVENT_READ, side)
        link.pairs.add(pair)

    def _interest(self, side):
        """Tells the selector what this side waits for."""
        if side.pair not in side.link.pairs:
            return
        events = 0
        if not side.link.held:
            if not side.ended and len(side.other.out) + sum(len(data) for _, data in side.other.later) < MOST_BUFFERED:
                events |= selectors.EVENT_READ
            if side.out:
                events |= selectors.EVENT_WRITE
        known = side.socket.fileno() in self._selector.get_map()
        if events and known:
            self._selector.modify(side.socket, events, side)
        elif events:
            self._selector.register(side.socket, events, side)
        elif known:
            self._selector.unregister(side.socket)

    def _ready(self, side, mask):
        if side.pair not in side.link.pairs or side.link.held:
            return
        if mask & selectors.EVENT_READ and not side.ended:
            self._receive(side)
        if mask & selectors.EVENT_WRITE and side.pair in side.link.pairs:
            self._flush(side)

    def _receive(self, side):
        link, other = side.link, side.other
        data = side.socket.recv(1 << 16)
        if not data:
            side.ended = True
        elif side is side.pair[1]:
            if link.lies and side.received > 4000:  # past the greetings
                data = self._lie(link, data)
            side.received += len(data)
        if link.delay or other.later:
            if data:
                other.later.append((time.monotonic() + link.delay + self._chance.uniform(0, link.jitter), data))
                self._waiting.add(other)
        else:
            other.out += data
        self._flush(other)
        if side.pair in link.pairs:
            self._interest(side)

    def _flush(self, side):
        while side.out and side.pair in side.link.pairs:
            piece = side.out[:self._chance.randrange(1, 40)] if side.link.trickle else side.out
            try:
                sent = side.socket.send(piece)
            except BlockingIOError:
                break
            del side.out[:sent]
        if not side.out and not side.later and side.other.ended and not side.shut:
            side.shut = True
            with contextlib.suppress(OSError):
                side.socket.shutdown(socket.SHUT_WR)
            if side.ended:
                self._break(side.pair, reset=False)
                return
        self._interest(side)
        self._interest(side.other)

    def _send_what_is_due(self):
        now = time.monotonic()
        for side in list(self._waiting):
            if side.pair not in side.link.pairs:
                continue
            if side.link.held:
                for index, (when, data) in enumerate(side.later):
                    side.later[index] = (max(when, now + 0.01), data)
                continue
            while side.later and side.later[0][0] <= now:
                side.out += side.later.pop(0)[1]
            if not side.later:
                self._waiting.discard(side)
            try:
                self._flush(side)
            except OSError:
                self._break(side.pair, reset=True)

    def _break(self, pair, reset):
        link = pair[0].link
        if pair not in link.pairs:
            return
        link.pairs.discard(pair)
        for side in pair:
            self._waiting.discard(side)
            if side.socket.fileno() in self._selector.get_map():
                self._selector.unregister(side.socket)
            if reset:
                with contextlib.suppress(OSError):
                    side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            side.socket.close()

    # --- lies

    def _lie(self, link, data):
        """Only where `data` is made of whole replies, so that it is known where one begins."""
        ends = _ends_of_replies(data)
        if not ends or ends[-1] != len(data):
            return data
        lie = link.lies.pop(0)
        link.told += 1
        return data[ends[0]:] if lie == "omit" else lie + data


def namespace():
    """The words before a command that give it a network of its own, in which packets can be dropped; None if that cannot be had."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        words = [*words, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        try:
            subprocess.run([*words, "iptables", "-w", "-A", "INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP"], check=True, capture_output=True)
            return words
        except (OSError, subprocess.CalledProcessError):
            pass
    return None


def _ends_of_replies(data):
    """The ends of the replies, if `data` begins with one; the last number is smaller than its length if a reply is cut."""
    ends, read = [], 0
    chunks = [data]
    reader = resp.Reader(lambda: chunks.pop() if chunks else b"")
    try:
        while read < len(data):
            read += len(reader.read_raw())
            ends.append(read)
    except (ValueError, ConnectionError, IndexError):
        pass
    return ends
