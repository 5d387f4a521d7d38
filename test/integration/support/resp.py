"""A RESP client that hides nothing: it keeps the exact bytes of every reply and sends whatever it is told to."""
import socket


class ReplyError(str):
    """An error reply, without the leading '-'."""


class Push(list):
    """An out-of-band message of RESP3."""


def encode(*args):
    """One request as a client library writes it. Numbers and texts are converted, bytes are sent as they are."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def error(text):
    """The bytes of an error reply."""
    return b"-" + text.encode() + b"\r\n"


class Reader:
    """Finds the replies in a stream of bytes. `receive` returns more bytes, or b"" at the end."""

    def __init__(self, receive):
        self._receive = receive
        self._buffer = bytearray()
        self._position = 0

    def read_raw(self):
        """The bytes of the next reply."""
        self._position = 0
        self._value()
        raw = bytes(self._buffer[:self._position])
        del self._buffer[:self._position]
        return raw

    def rest(self):
        """Everything up to the end of the stream; a reset is an end, too."""
        try:
            while chunk := self._receive():
                self._buffer += chunk
        except ConnectionResetError:
            pass
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def read(self):
        self._position = 0
        value = self._value()
        del self._buffer[:self._position]
        return value

    def _more(self):
        chunk = self._receive()
        if not chunk:
            raise ConnectionError(f"closed in the middle of a reply, after {bytes(self._buffer[:100])!r}")
        self._buffer += chunk

    def _line(self):
        while (end := self._buffer.find(b"\r\n", self._position)) < 0:
            self._more()
        line = bytes(self._buffer[self._position:end])
        self._position = end + 2
        return line

    def _body(self, size):
        while len(self._buffer) < self._position + size + 2:
            self._more()
        body = bytes(self._buffer[self._position:self._position + size])
        self._position += size + 2
        return body

    def _values(self, count):
        return [self._value() for _ in range(count)]

    def _value(self):
        line = self._line()
        kind, text = line[:1], line[1:]
        if kind == b"+":
            return text.decode(errors="surrogateescape")
        if kind == b"-":
            return ReplyError(text.decode(errors="surrogateescape"))
        if kind in b":(":
            return int(text)
        if kind == b",":
            return float(text)
        if kind == b"#":
            return text == b"t"
        if kind == b"_" or text == b"-1":
            return None
        if kind == b"$":
            return self._body(int(text))
        if kind == b"=":
            return self._body(int(text))[4:]
        if kind == b"!":
            return ReplyError(self._body(int(text)).decode(errors="surrogateescape"))
        if kind == b"%":
            flat = self._values(2 * int(text))
            return dict(zip(map(_hashable, flat[::2]), flat[1::2]))
        if kind == b"|":
            self._values(2 * int(text))
            return self._value()
        if kind in (b"*", b"~", b">"):
            values = self._values(int(text))
            return Push(values) if kind == b">" else values
        raise ValueError(f"not RESP: {line!r}")


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value


class Connection:
    """A socket to a RESP server. `address` is (host, port) or the path of a Unix socket."""

    def __init__(self, address, timeout=20, protocol=2):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = Reader(lambda: self.socket.recv(1 << 18))
        if protocol == 3:
            self.call("HELLO", 3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def abort(self):
        """Ends the connection with a reset, as a machine does that lost its process."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, *args):
        self.send_raw(encode(*args))

    def end_requests(self):
        """Sends nothing more, but still reads."""
        self.socket.shutdown(socket.SHUT_WR)

    def read(self):
        return self._reader.read()

    def read_raw(self):
        return self._reader.read_raw()

    def read_rest(self):
        """Everything until the server closes. A reset counts as a close."""
        return self._reader.rest()

    def call(self, *args):
        self.send(*args)
        return self.read()

    def call_raw(self, *args):
        self.send(*args)
        return self.read_raw()

    def pipeline(self, requests):
        """Sends all requests at once; the replies."""
        self.send_raw(b"".join(encode(*request) for request in requests))
        return [self.read() for _ in requests]

    def is_closed(self):
        """True once the server has closed the connection; must not be called while replies are owed."""
        self.socket.settimeout(0.01)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True
