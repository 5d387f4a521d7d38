"""A server that a bus may be and that is no Redis, or not any more."""
import contextlib
import socket
import threading

from support import resp
from support.harness import MARKETDATA, StackTest, free_port, wait_for

HELLO = (b"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
         b"$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n")
CLOSE = None


class FakeRedis:
    """Answers `GET key` with the bytes in `answers[key]`, or runs it with the socket if it is a function; everything else as Redis
    would, more or less. `greeting` takes the place of the answer to HELLO, `always` that of the answers to all but it, PING and
    INFO. A command in `commands` is answered with what stands there, bytes or a function of the socket and the words. `script`,
    given a request's words, may say what is answered instead."""

    def __init__(self):
        self.port = free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self.answers = {}
        self.always = None
        self.script = None
        self.greeting = HELLO
        self.info = b"# Server\r\nredis_version:7.0.15\r\nrole:master\r\n"
        self.commands = {}
        self.connections = 0
        self.sockets = set()
        self.requests = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def client(self):
        """For the harness, which empties its servers before each test."""
        return contextlib.nullcontext(self)

    def flushall(self):
        pass

    def kill(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        self.sockets.add(connection)
        reader = resp.Reader(lambda: connection.recv(65536))
        with contextlib.suppress(OSError), connection:
            while True:
                request = reader.read()
                words = [word.upper() if isinstance(word, bytes) else word for word in request]
                answer = self._answer(words, request)
                if callable(answer):
                    answer = answer(connection)
                if answer is CLOSE:
                    break
                connection.sendall(answer)
        self.sockets.discard(connection)

    def _answer(self, words, request):
        command = words[0]
        if command == b"HELLO":
            return self.greeting
        if command in self.commands:
            answer = self.commands[command]
            return (lambda connection: answer(connection, words)) if callable(answer) else answer
        if command == b"ECHO":
            return b"$%d\r\n%s\r\n" % (len(request[1]), request[1])
        if self.always is not None and command not in (b"PING", b"INFO"):
            return self.always
        if self.script is not None and (answer := self.script(words)) is not None:
            return answer
        if command == b"GET":
            self.requests.append(words[1].decode())
            return self.answers.get(words[1].decode(), b"$5\r\nplain\r\n")
        if command == b"PING":
            return b"$%d\r\n%s\r\n" % (len(request[1]), request[1]) if len(request) > 1 else b"+PONG\r\n"
        if command == b"INFO":
            return b"$%d\r\n%s\r\n" % (len(self.info), self.info)
        return b"+OK\r\n"


class FakeStackTest(StackTest):
    """The bus marketdata is a fake."""

    backend = {}

    @classmethod
    def setUpClass(cls):
        cls.fake = FakeRedis()
        cls.config = {"buses": {MARKETDATA: {"endpoint": cls.fake.endpoint}}, "backend": cls.backend}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.fake.answers.clear()
        self.fake.always = None
        self.fake.greeting = HELLO
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready")

    def get(self, key, client=None):
        return (client or self.connect()).call("GET", key)

    def check_recovers(self):
        wait_for(lambda: self.get("md:plain") == b"PLAIN" or self.get("md:plain") == b"plain", "the bus works again")
        self.assertEqual(self.connect().call("SET", "k", 1), "OK")
