"""Clients that leave in the middle of what they do, and crowds of them."""
import socket
import time

from support import resp
from client import DONE, REFUSED, Client
from streams import Publisher


class Leaver(Publisher):
    """Sends requests and leaves in some way, again and again. A request that it did not wait for has an unknown fate."""

    def __init__(self, world, name, daemon, chance, keys, list_key):
        super().__init__(world, name, daemon, chance, keys)
        self.leaves_by_itself = True
        self.list_key = list_key
        self.values = {}  # value -> whether its RPUSH was acknowledged
        self.unknown_pops = 0

    def step(self):
        self.connect()
        made = [self.xadd() for _ in range(self.random.randrange(1, 5))]
        requests = [request for request, _ in made]
        more = self.random.choice(((), (), ("WATCH", "el:any"), ("MULTI", ), ("BLPOP", self.list_key, 5), ("SUBSCRIBE", "somewhere"),
                                   ("XREAD", "BLOCK", 5000, "STREAMS", self.keys[0], "$"), ("WAIT", 1, 100)))
        if more:
            requests.insert(self.random.randrange(len(requests) + 1), more)
            if more[0] == "BLPOP":
                self.unknown_pops += 1
        way = self.random.choice(("close", "half-close", "reset", "cut", "quit"))
        data = b"".join(resp.encode(*request) for request in requests)
        try:
            if way == "cut":
                self.connection.send_raw(data[:self.random.randrange(len(data))])
            else:
                self.connection.send_raw(data + (resp.encode("QUIT") if way == "quit" else b""))
            if way in ("half-close", "quit"):
                if way == "half-close":
                    self.connection.end_requests()
                self._read_all(made, bool(more))
            elif way == "reset":
                self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                self.pause(self.random.choice((0, 0, 0.01)))
        except OSError:
            pass
        self.close()
        self.world.count("clients that left in the middle")
        self.pause(self.random.uniform(0, 0.1))

    def _read_all(self, made, something_else):
        """Everything that was sent is answered, in its order, before the end."""
        self.connection.socket.settimeout(self.daemon.longest_request + 30)
        began, rest = time.monotonic(), self.connection.read_rest()
        if something_else:
            return
        chunks = [rest]
        reader = resp.Reader(lambda: chunks.pop() if chunks else b"")
        for _, message in made:
            try:
                reply = reader.read()
            except ConnectionError:
                now = time.monotonic()
                if not self.world.ledger.found(("slay", "leave", "freeze"), self.daemon.number, None, began, now):
                    self.finding("no answer", f"a client that had closed its half was not answered; {len(rest)} bytes came: {rest[:100]!r}")
                return
            if self.world.ledger.doubtful(self.daemon.number, began, time.monotonic()):
                continue
            if isinstance(reply, bytes):
                message.fate, message.id, message.done_at = DONE, reply, time.monotonic()
            elif isinstance(reply, resp.ReplyError) and not reply.startswith(("BUSLOST", "BUSTIMEOUT")):
                message.fate = REFUSED


class Crowd(Client):
    """Some hundred clients at once that wait for something, and then all leave."""

    def __init__(self, world, name, daemon, chance, keys):
        super().__init__(world, name, daemon, chance)
        self._keys, self._size = keys, chance.choice((50, 150, 300))

    def step(self):
        clients = []
        try:
            for number in range(self._size):
                if self.stopping():
                    break
                try:
                    clients.append(resp.Connection(self.daemon.address, timeout=20))
                    clients[-1].send(*self.random.choice((
                        ("PING", ), ("GET", "el:any"), ("XREAD", "BLOCK", 0, "STREAMS", *self._keys, *("$" for _ in self._keys)),
                        ("XREADGROUP", "GROUP", "crowd", f"c{number}", "BLOCK", 0, "STREAMS", self._keys[0] + ":crowd", ">"),
                        ("SUBSCRIBE", "crowd"), ("WATCH", "md:any") if number % 10 == 0 else ("ECHO", "x"))))
                except OSError:
                    pass
                self.pause(0.001)
            self.pause(self.random.uniform(0, 0.5))
            self.world.count("clients in crowds", len(clients))
        finally:
            for client in clients:
                if self.random.random() < 0.3:
                    client.abort()
                else:
                    client.close()
        self.stop()
